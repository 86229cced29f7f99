package ftpserver

// commands is all that the server knows, by verb. It is filled by init since
// HELP and FEAT, which are in it, are printed from it.
var commands map[string]*command

func init() {
	commands = map[string]*command{
		// Access control.
		"USER": {run: (*session).username, arg: text, syntax: "name", early: true, defined: "RFC 959 4.1.1"},
		"PASS": {run: (*session).password, arg: optional, syntax: "password", early: true, defined: "RFC 959 4.1.1"},
		"ACCT": {run: (*session).account, arg: optional, syntax: "account", early: true, defined: "RFC 959 4.1.1"},
		"CWD":  {run: (*session).chdir, arg: aPath, syntax: "directory", any: enter, defined: "RFC 959 4.1.1"},
		"CDUP": {run: (*session).cdup, arg: nothing, defined: "RFC 959 4.1.1"},
		"SMNT": {run: notHere("There is nothing to mount."), arg: optional, syntax: "path", defined: "RFC 959 4.1.1"},
		"REIN": {run: (*session).reinitialize, arg: nothing, early: true, defined: "RFC 959 4.1.1"},
		"QUIT": {run: (*session).quit, arg: optional, early: true, defined: "RFC 959 4.1.1"},
		"HOST": {run: (*session).hostname, arg: text, syntax: "name", early: true, feature: "HOST", defined: "RFC 7151 3"},

		// Transfer parameters.
		"PORT": {run: (*session).port, arg: text, syntax: "h1,h2,h3,h4,p1,p2", defined: "RFC 959 4.1.2"},
		"PASV": {run: (*session).passive, arg: nothing, featured: passiveFeature("PASV"), defined: "RFC 959 4.1.2"},
		"EPRT": {run: (*session).extendedPort, arg: text, syntax: "|family|address|port|", featured: activeFeature("EPRT"), defined: "RFC 2428 2"},
		"EPSV": {run: (*session).extendedPassive, arg: optional, syntax: "[1|2|ALL]", featured: passiveFeature("EPSV"), defined: "RFC 2428 3"},
		"TYPE": {run: (*session).setType, arg: text, syntax: "A|I|L 8", defined: "RFC 959 4.1.2"},
		"STRU": {run: (*session).setStructure, arg: text, syntax: "F|R", defined: "RFC 959 4.1.2"},
		"MODE": {run: (*session).setMode, arg: text, syntax: "S|Z", feature: "MODE Z", defined: "RFC 959 4.1.2, draft-preston-ftpext-deflate"},

		// Files, over the data connection.
		"RETR": {run: (*session).retr, arg: aPath, syntax: "path", needs: Read, moves: true, defined: "RFC 959 4.1.3"},
		"STOR": {run: (*session).stor, arg: newPath, syntax: "path", needs: Write, moves: true, defined: "RFC 959 4.1.3"},
		"STOU": {run: (*session).stou, arg: optional, syntax: "[path]", moves: true, defined: "RFC 959 4.1.3, RFC 1123 4.1.2.9"},
		"APPE": {run: (*session).appe, arg: newPath, syntax: "path", needs: Append, moves: true, defined: "RFC 959 4.1.3"},
		"LIST": {run: (*session).list, arg: optional, syntax: "[path|pattern]", moves: true, defined: "RFC 959 4.1.3"},
		"NLST": {run: (*session).nlst, arg: optional, syntax: "[path|pattern]", moves: true, defined: "RFC 959 4.1.3"},
		"MLSD": {run: (*session).mlsd, arg: optionalPath, syntax: "[directory]", needs: List, moves: true, defined: "RFC 3659 7"},
		"MLST": {run: (*session).mlst, arg: optionalPath, syntax: "[path]", needs: List, featured: mlstFeature, defined: "RFC 3659 7"},
		"REST": {run: (*session).restartAt, arg: text, syntax: "offset", feature: "REST STREAM", defined: "RFC 3659 5"},
		"ALLO": {run: (*session).allocate, arg: text, syntax: "bytes [R bytes]", defined: "RFC 959 4.1.3"},
		"ABOR": {run: (*session).abort, arg: nothing, defined: "RFC 959 4.1.3"},

		// Files, without.
		"RNFR": {run: (*session).renameFrom, arg: aPath, syntax: "path", needs: Rename, defined: "RFC 959 4.1.3"},
		"RNTO": {run: (*session).renameTo, arg: newPath, syntax: "path", needs: Rename, slow: true, defined: "RFC 959 4.1.3"},
		"DELE": {run: (*session).dele, arg: aPath, syntax: "path", needs: Delete, defined: "RFC 959 4.1.3"},
		"RMD":  {run: (*session).rmd, arg: aPath, syntax: "directory", needs: Rmdir, defined: "RFC 959 4.1.3"},
		"RMDA": {run: (*session).removeAll, arg: aPath, syntax: "directory", needs: Rmdir, slow: true, feature: "RMDA <path>", defined: "draft-bryan-ftpext-rmda"},
		"MKD":  {run: (*session).mkd, arg: newPath, syntax: "directory", needs: Mkdir, defined: "RFC 959 4.1.3"},
		"PWD":  {run: (*session).pwd, arg: nothing, defined: "RFC 959 4.1.3"},
		"SIZE": {run: (*session).size, arg: aPath, syntax: "path", needs: List, slow: true, feature: "SIZE", defined: "RFC 3659 4"},
		"MDTM": {run: (*session).mdtm, arg: text, syntax: "path", feature: "MDTM", defined: "RFC 3659 3"},
		"MFMT": {run: (*session).mfmt, arg: text, syntax: "YYYYMMDDHHMMSS path", feature: "MFMT", defined: "draft-somers-ftp-mfxx 3.1"},
		"MFCT": {run: (*session).mfct, arg: text, syntax: "YYYYMMDDHHMMSS path", defined: "draft-somers-ftp-mfxx 3.2"},
		"MFF":  {run: (*session).mff, arg: text, syntax: "modify=YYYYMMDDHHMMSS;unix.mode=0644; path", feature: "MFF modify;unix.mode;", defined: "draft-somers-ftp-mfxx 3.3"},
		"HASH": {run: (*session).hash, arg: aPath, syntax: "path", needs: Read, slow: true, featured: hashFeature, defined: "draft-bryan-ftpext-hash"},
		"RANG": {run: (*session).rang, arg: text, syntax: "first last", feature: "RANG STREAM", defined: "draft-bryan-ftp-range"},
		"AVBL": {run: (*session).avbl, arg: optionalPath, syntax: "[directory]", needs: List, feature: "AVBL", defined: "draft-peterson-streamlined-ftp-command-extensions 4"},
		"COMB": {run: (*session).comb, arg: text, syntax: "target source...", slow: true, feature: "COMB", defined: "GlobalSCAPE"},

		// Service.
		"SYST": {run: (*session).syst, arg: optional, early: true, defined: "RFC 959 4.1.3"},
		"STAT": {run: (*session).stat, arg: optional, syntax: "[path]", early: true, beside: true, defined: "RFC 959 4.1.3"},
		"HELP": {run: (*session).help, arg: optional, syntax: "[command]", early: true, defined: "RFC 959 4.1.3"},
		"NOOP": {run: (*session).noop, arg: optional, early: true, beside: true, defined: "RFC 959 4.1.3"},
		"SITE": {run: (*session).site, arg: text, syntax: "word ...", feature: "SITE CHMOD;CPFR;CPTO;HELP;IDLE;QUOTA;UTIME;WHO", defined: "RFC 959 4.1.3"},
		"FEAT": {run: (*session).feat, arg: optional, early: true, defined: "RFC 2389 3"},
		"OPTS": {run: (*session).opts, arg: text, syntax: "command options", early: true, defined: "RFC 2389 4"},
		"LANG": {run: (*session).lang, arg: optional, syntax: "[tag]", early: true, feature: "LANG EN*", defined: "RFC 2640 4.1"},
		"CLNT": {run: (*session).clnt, arg: optional, syntax: "name", early: true, feature: "CLNT", defined: "draft-peterson-streamlined-ftp-command-extensions 6"},
		"CSID": {run: (*session).csid, arg: optional, syntax: "Name=...; Version=...;", early: true, feature: "CSID", defined: "draft-peterson-streamlined-ftp-command-extensions 5"},

		// TLS.
		"AUTH": {run: (*session).auth, arg: text, syntax: "TLS", early: true, featured: authFeature, defined: "RFC 4217 4"},
		"PBSZ": {run: (*session).bufferSize, arg: text, syntax: "0", early: true, featured: withTLS("PBSZ"), defined: "RFC 4217 8"},
		"PROT": {run: (*session).protection, arg: text, syntax: "C|P", early: true, featured: withTLS("PROT"), defined: "RFC 4217 9"},
		"CCC":  {run: (*session).clearCommandChannel, arg: nothing, featured: withTLS("CCC"), defined: "RFC 4217 6"},
	}
	// The names that RFC 1123 4.1.3.1 asks servers to know, from RFC 775.
	for x, verb := range map[string]string{"XCWD": "CWD", "XCUP": "CDUP", "XMKD": "MKD", "XRMD": "RMD", "XPWD": "PWD"} {
		alias := *commands[verb]
		alias.feature, alias.defined = "", "RFC 775, RFC 1123 4.1.3.1"
		commands[x] = &alias
	}
	for verb, algo := range map[string]string{
		"XCRC": "CRC32", "XMD5": "MD5", "XSHA": "SHA-1", "XSHA1": "SHA-1", "XSHA256": "SHA-256", "XSHA512": "SHA-512",
	} {
		commands[verb] = &command{
			run: xdigest(algo), arg: text, syntax: "path [first [end]]", slow: true,
			feature: verb, defined: "GlobalSCAPE",
		}
	}
}
