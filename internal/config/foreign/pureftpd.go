package foreign

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// pureftpdSetting is one setting of Pure-FTPd: it has a name in files, a
// letter and a long name on the command line.
type pureftpdSetting struct {
	short byte   // 0: none
	long  string // "": none
	// takes says that it has a value; the others are yes or no, and without
	// carry they are told of when they are yes.
	takes bool
	carry func(p *pureftpd, l Line, value string)
	why   string
}

// pureftpd is a configuration of Pure-FTPd on its way.
type pureftpd struct {
	*Import
	bind, tls, cert entry
	noAnon          bool
}

// entry is a setting with its value, as found. The zero value: not found.
type entry struct {
	name  string
	value string
	line  Line
}

// pureTo carries a value over as it is.
func pureTo(key string) func(*pureftpd, Line, string) {
	return func(p *pureftpd, l Line, value string) { p.set(key, []Line{l}, value) }
}

// pureWarn notes what looks wrong.
func pureWarn(text string) func(*pureftpd, Line, string) {
	return func(p *pureftpd, l Line, _ string) { p.note(LooksWrong, l, text) }
}

const byDatabase = "accounts are not carried over: make them with \"towpath account add\"; their password hashes can be taken over as they are"

// pureftpdSettings are those of Pure-FTPd 1.0.5x, by their names in lower case.
var pureftpdSettings = map[string]pureftpdSetting{
	"bind":             {short: 'S', long: "bind", takes: true, carry: func(p *pureftpd, l Line, v string) { p.bind = entry{"Bind", v, l} }},
	"ipv4only":         {short: '4', long: "ipv4only", why: "an address of listen without IPv6 says the same: 0.0.0.0:21"},
	"ipv6only":         {short: '6', long: "ipv6only", why: "name the addresses of IPv6 in listen; [::]:21 takes IPv4 too"},
	"daemonize":        {short: 'B', long: "daemonize", why: byProcess},
	"pidfile":          {short: 'g', long: "pidfile", takes: true, why: byProcess},
	"bonjour":          {short: 'v', long: "bonjour", takes: true, why: "Towpath does not announce itself on the network"},
	"dontresolve":      {short: 'H', long: "dontresolve", why: noResolver},
	"maxload":          {short: 'm', long: "maxload", takes: true, why: "limits do not follow the load of the machine"},
	"maxclientsnumber": {short: 'c', long: "maxclientsnumber", takes: true, carry: pureTo("limits.max_sessions")},
	"maxclientsperip":  {short: 'C', long: "maxclientsperip", takes: true, carry: pureTo("limits.max_per_address")},
	"peruserlimits":    {short: 'y', long: "peruserlimits", takes: true, why: "access_limit is said for each account"},
	"maxidletime": {short: 'I', long: "maxidletime", takes: true, carry: func(p *pureftpd, l Line, v string) {
		p.set("limits.idle_timeout", []Line{l}, v+"m")
	}},
	"maxdiskusage":   {short: 'k', long: "maxdiskusagepct", takes: true, why: "uploads are refused (452) when the disk is full; quotas are said for each account"},
	"limitrecursion": {short: 'L', long: "limitrecursion", takes: true, carry: limitRecursion},
	"quota":          {short: 'n', long: "quota", takes: true, why: "quotas are said for each account"},
	"anonymousratio": {short: 'q', long: "anonymousratio", takes: true, why: "ratios of uploads to downloads are out of use"},
	"userratio":      {short: 'Q', long: "userratio", takes: true, why: "ratios of uploads to downloads are out of use"},
	"anonymousbandwidth": {
		short: 't', long: "anonymousbandwidth", takes: true,
		why: "limits.download_rate is for everybody who has no rate in the accounts file; there is none for anonymous clients alone",
	},
	"userbandwidth": {short: 'T', long: "userbandwidth", takes: true, carry: bandwidth},

	"anonymousonly": {short: 'e', long: "anonymousonly", carry: func(p *pureftpd, l Line, _ string) {
		p.set("anonymous", []Line{l}, "true")
	}},
	"noanonymous": {short: 'E', long: "noanonymous", carry: func(p *pureftpd, l Line, _ string) {
		p.noAnon = true
		p.set("anonymous", []Line{l}, "false")
	}},
	"anonymouscancreatedirs": {short: 'M', long: "anonymouscancreatedirs", carry: pureWarn("anybody could make directories here. " + anonReads)},
	"anonymouscantupload":    {short: 'i', long: "anonymouscantupload", why: "anonymous clients of Towpath never upload"},
	"antiwarez":              {short: 's', long: "antiwarez", why: "anonymous clients of Towpath never upload"},
	"allowuserfxp":           {short: 'w', long: "allowuserfxp", carry: foreignData},
	"allowanonymousfxp":      {short: 'W', long: "allowanonymousfxp", carry: foreignData},
	"chrooteveryone":         {short: 'A', long: "chrooteveryone", why: alwaysInTop},
	"trustedgid":             {short: 'a', long: "trustedgid", takes: true, why: alwaysInTop},
	"trustedip":              {short: 'V', long: "trustedip", takes: true, why: "listen on that address alone, or say the networks for each account"},
	"minuid":                 {short: 'u', long: "minuid", takes: true, why: "accounts of Towpath are none of the system"},
	"createhomedir":          {short: 'j', long: "createhomedir", why: "\"towpath account add\" names the home of an account"},
	"authentication":         {short: 'l', long: "login", takes: true, why: byDatabase},
	"puredb":                 {takes: true, why: byDatabase},
	"ldapconfigfile":         {takes: true, why: byDatabase},
	"mysqlconfigfile":        {takes: true, why: byDatabase},
	"pgsqlconfigfile":        {takes: true, why: byDatabase},
	"extauth":                {takes: true, why: byDatabase},
	"pamauthentication":      {why: byPAM},
	"unixauthentication":     {why: byPAM},

	"umask":                      {short: 'U', long: "umask", takes: true, carry: pureUmask},
	"displaydotfiles":            {short: 'D', long: "displaydotfiles", why: "names that begin with a dot are listed like all others"},
	"allowdotfiles":              {short: 'z', long: "allowdotfiles", why: "names that begin with a dot are served like all others"},
	"prohibitdotfileswrite":      {short: 'x', long: "prohibitdotfileswrite", why: byRights},
	"prohibitdotfilesread":       {short: 'X', long: "prohibitdotfilesread", why: byRights},
	"autorename":                 {short: 'r', long: "autorename", why: "a new upload replaces the old file; STOU chooses a name of its own"},
	"nochmod":                    {short: 'R', long: "nochmod", why: byRights},
	"keepallfiles":               {short: 'K', long: "keepallfiles", why: byRights + " (write without delete and rename)"},
	"norename":                   {short: 'G', long: "norename", why: byRights},
	"customerproof":              {short: 'Z', long: "customerproof", why: "rights are said for each account, and nobody locks himself out of his home by one"},
	"notruncate":                 {short: '0', long: "notruncate", why: "the old file stays whole until the new one is"},
	"calluploadscript":           {short: 'o', long: "uploadscript", why: "Towpath starts no programs"},
	"brokenclientscompatibility": {short: 'b', long: "brokenclientscompatibility", why: "replies keep to what old clients can read"},
	"clientcharset":              {takes: true, carry: pureTo("files.charset")},
	"filesystemcharset":          {takes: true, why: "names on the disk are UTF-8"},
	"fortunesfile": {short: 'F', long: "fortunesfile", takes: true, carry: func(p *pureftpd, l Line, v string) {
		p.set("banner_file", []Line{l}, v)
		p.note(Differs, l, "the whole file is the greeting; Pure-FTPd chooses a part of it")
	}},

	"passiveportrange": {short: 'p', long: "passiveportrange", takes: true, carry: purePorts},
	"forcepassiveip":   {short: 'P', long: "forcepassiveip", takes: true, carry: pureAddress},
	"natmode": {short: 'N', long: "natmode", carry: func(p *pureftpd, l Line, _ string) {
		p.set("passive.enable", []Line{l}, "false")
		p.note(LooksWrong, l, "forces active mode, which most clients cannot do: open a range of ports and set passive.external instead")
	}},

	"verboselog":     {short: 'd', long: "verboselog", carry: func(p *pureftpd, l Line, _ string) { p.set("log.level", []Line{l}, "debug") }},
	"syslogfacility": {short: 'f', long: "syslogfacility", takes: true, why: toStderr},
	"logpid":         {short: '1', long: "logpid", why: "each line of the log bears the number of its session"},
	"altlog":         {short: 'O', long: "altlog", takes: true, carry: altLog},

	"tls":            {short: 'Y', long: "tls", takes: true, carry: func(p *pureftpd, l Line, v string) { p.tls = entry{"TLS", v, l} }},
	"tlsciphersuite": {short: 'J', long: "tlsciphersuite", takes: true, why: noCiphers},
	"certfile":       {short: '2', long: "certfile", takes: true, carry: func(p *pureftpd, l Line, v string) { p.cert = entry{"CertFile", v, l} }},
	"certfileandkey": {takes: true, carry: func(p *pureftpd, l Line, v string) { p.cert = entry{"CertFileAndKey", v, l} }},
	"extcert":        {short: '3', long: "extcert", takes: true, why: "tls.hosts gives each host name a certificate"},
}

// readPureFTPd reads pure-ftpd.conf, or a text with the command line of the
// daemon.
func readPureFTPd(src source) *Import {
	p := &pureftpd{Import: newImport(PureFTPd)}
	lines := contentLines(src.text)
	if len(lines) > 0 && (lines[0][0] == '-' || filepath.Base(strings.Fields(lines[0])[0]) == "pure-ftpd") {
		p.commandLine(src)
	} else {
		p.file(src)
	}
	p.finish()
	return p.Import
}

// readDirectory reads a directory as Debian's /etc/pure-ftpd/conf: each file
// bears the name of a setting and holds its value.
func readDirectory(dir string) (*Import, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	p := &pureftpd{Import: newImport(PureFTPd)}
	known := 0
	for _, e := range entries {
		if e.IsDir() || strings.HasPrefix(e.Name(), ".") || strings.HasSuffix(e.Name(), "~") {
			continue
		}
		path := filepath.Join(dir, e.Name())
		src, err := readSource(path)
		if err != nil {
			return nil, err
		}
		value := ""
		if content := contentLines(src.text); len(content) > 0 {
			value = content[0]
		}
		if _, ok := pureftpdSettings[strings.ToLower(e.Name())]; ok {
			known++
		}
		p.setting(e.Name(), value, Line{path, 1, value})
	}
	if known == 0 {
		return nil, fmt.Errorf("%s: no file in it bears the name of a setting of Pure-FTPd; name a configuration file, or a directory as /etc/pure-ftpd/conf", dir)
	}
	p.finish()
	return p.Import, nil
}

// file reads lines of "Name value".
func (p *pureftpd) file(src source) {
	for i, raw := range strings.Split(src.text, "\n") {
		text := strings.TrimSpace(raw)
		if text == "" || text[0] == '#' {
			continue
		}
		name := strings.Fields(text)[0]
		value := strings.TrimSpace(text[len(name):])
		if at := strings.Index(value, " #"); at >= 0 {
			value = strings.TrimSpace(value[:at])
		}
		p.setting(name, value, Line{src.name, i + 1, text})
	}
}

// setting takes one setting by its name.
func (p *pureftpd) setting(name, value string, l Line) {
	s, known := pureftpdSettings[strings.ToLower(name)]
	switch {
	case !known:
		p.note(LooksWrong, l, name+" is not a setting of Pure-FTPd")
		return
	case !s.takes:
		switch strings.ToLower(value) {
		case "yes", "on", "1", "true":
		case "no", "off", "0", "false", "":
			return // as if it were not there
		default:
			// A switch that some releases give a value, as CallUploadScript.
			if s.carry != nil {
				p.note(LooksWrong, l, fmt.Sprintf("%q is neither yes nor no", value))
				return
			}
		}
	case value == "":
		p.note(LooksWrong, l, name+" has no value")
		return
	}
	p.take(s, value, l)
}

func (p *pureftpd) take(s pureftpdSetting, value string, l Line) {
	if s.carry == nil {
		p.note(NoCounterpart, l, s.why)
		return
	}
	s.carry(p, l, value)
}

// commandLine reads the flags of pure-ftpd, over one or more lines.
func (p *pureftpd) commandLine(src source) {
	type word struct {
		text string
		line Line
	}
	var words []word
	for i, raw := range strings.Split(src.text, "\n") {
		text := strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(raw), "\\"))
		if text == "" || text[0] == '#' {
			continue
		}
		l := Line{src.name, i + 1, text}
		ws, err := splitWords(text)
		if err != nil {
			p.note(LooksWrong, l, err.Error())
			continue
		}
		for _, w := range ws {
			words = append(words, word{w, l})
		}
	}
	next := func(i *int) (string, error) {
		if *i+1 >= len(words) {
			return "", errors.New("its value is not there")
		}
		*i++
		return words[*i].text, nil
	}
	for i := 0; i < len(words); i++ {
		w := words[i]
		l := w.line
		l.Text = w.text
		if long, ok := strings.CutPrefix(w.text, "--"); ok {
			name, value, given := strings.Cut(long, "=")
			s, known := byFlag(func(s pureftpdSetting) bool { return s.long != "" && s.long == name })
			var err error
			switch {
			case !known:
				err = errors.New("--" + name + " is not a flag of pure-ftpd")
			case s.takes && !given:
				value, err = next(&i)
				l.Text += " " + value
			}
			if err != nil {
				p.note(LooksWrong, l, err.Error())
				continue
			}
			p.take(s, value, l)
			continue
		}
		letters, ok := strings.CutPrefix(w.text, "-")
		if !ok {
			if filepath.Base(w.text) != "pure-ftpd" {
				p.note(LooksWrong, l, "is no flag")
			}
			continue
		}
		for letters != "" {
			c := letters[0]
			letters = letters[1:]
			l.Text = "-" + string(rune(c))
			s, known := byFlag(func(s pureftpdSetting) bool { return s.short == c })
			if !known {
				p.note(LooksWrong, l, l.Text+" is not a flag of pure-ftpd")
				continue
			}
			value := ""
			if s.takes {
				// The rest of the word is the value, or else the next word.
				if value, letters = letters, ""; value == "" {
					var err error
					if value, err = next(&i); err != nil {
						p.note(LooksWrong, l, err.Error())
						continue
					}
				}
				l.Text += " " + value
			}
			p.take(s, value, l)
		}
	}
}

func byFlag(match func(pureftpdSetting) bool) (pureftpdSetting, bool) {
	for _, s := range pureftpdSettings {
		if match(s) {
			return s, true
		}
	}
	return pureftpdSetting{}, false
}

// purePorts carries "30000 50000", or "30000:50000" of the command line, over.
func purePorts(p *pureftpd, l Line, value string) {
	a, b, ok := pair(value)
	low, errLow := strconv.ParseUint(a, 10, 16)
	high, errHigh := strconv.ParseUint(b, 10, 16)
	switch {
	case !ok || errLow != nil || errHigh != nil:
		p.note(LooksWrong, l, fmt.Sprintf("%q is not two port numbers", value))
		return
	case low > high:
		p.note(LooksWrong, l, fmt.Sprintf("the last port, %d, is below the first, %d; turned round to %d-%d", high, low, high, low))
		low, high = high, low
	}
	p.set("passive.ports", []Line{l}, fmt.Sprintf("%d-%d", low, high))
}

// pair parts "a b" or "a:b".
func pair(s string) (a, b string, ok bool) {
	if a, b, ok = strings.Cut(s, ":"); !ok {
		a, b, ok = strings.Cut(s, " ")
	}
	return strings.TrimSpace(a), strings.TrimSpace(b), ok
}

func pureAddress(p *pureftpd, l Line, value string) {
	if a, err := netip.ParseAddr(value); err == nil {
		noteAddress(p.Import, l, a)
	} else {
		p.note(Differs, l, "Pure-FTPd looks "+value+" up once at start, Towpath again as it ages")
	}
	p.set("passive.external", []Line{l}, value)
}

// pureUmask carries "133:022" over: files, then directories.
func pureUmask(p *pureftpd, l Line, value string) {
	files, dirs, two := pair(value)
	if two && files != dirs {
		p.note(Differs, l, "files.umask is for files and directories alike; the one for directories was taken, as files get no leave to run anyway")
		files = dirs
	}
	p.set("files.umask", []Line{l}, files)
}

// bandwidth carries "upload:download" in KiB per second over; one number alone
// is for both.
func bandwidth(p *pureftpd, l Line, value string) {
	up, down, two := pair(value)
	if !two {
		down = up
	}
	for _, r := range []struct{ key, kib string }{{"limits.upload_rate", up}, {"limits.download_rate", down}} {
		if r.kib != "" && r.kib != "0" {
			p.set(r.key, []Line{l}, r.kib+"KiB/s")
		}
	}
}

// limitRecursion carries "files depth" over, as far as it goes.
func limitRecursion(p *pureftpd, l Line, value string) {
	files, _, _ := pair(value)
	p.set("limits.max_matches", []Line{l}, files)
	p.note(Differs, l, "a listing is never cut; the number limits what a pattern may match, and LIST -R is refused")
}

func foreignData(p *pureftpd, l Line, _ string) {
	p.set("passive.allow_foreign_data", []Line{l}, "true")
	p.set("active.allow_foreign", []Line{l}, "true")
	p.note(LooksWrong, l, "lets data connections go to and come from any host; wanted for FXP alone")
}

// altLog carries "format:file" over when the format is xferlog.
func altLog(p *pureftpd, l Line, value string) {
	format, file, ok := strings.Cut(value, ":")
	switch {
	case !ok || file == "":
		p.note(LooksWrong, l, fmt.Sprintf("%q is not FORMAT:FILE", value))
	case format == "xferlog":
		p.set("log.xferlog", []Line{l}, file)
	default:
		p.note(NoCounterpart, l, "the log has all of it as fields (log.format = \"json\"); of Pure-FTPd's formats there is xferlog")
	}
}

// finish joins what several settings say together.
func (p *pureftpd) finish() {
	if !p.noAnon && !p.has("anonymous") {
		p.set("anonymous", []Line{{File: "pure-ftpd", Text: "NoAnonymous no"}}, "true")
	}
	if p.bind.name == "" {
		p.set("listen", []Line{{File: "pure-ftpd", Text: "Bind 21"}}, ":21")
	} else {
		address, port, two := strings.Cut(p.bind.value, ",")
		switch {
		case !two && strings.ContainsAny(address, ".:"):
			port = "21"
		case !two:
			address, port = "", address
		}
		switch port {
		case "ftp":
			port = "21"
		case "ftps":
			port = "990"
		}
		p.set("listen", []Line{p.bind.line}, net.JoinHostPort(strings.Trim(address, "[]"), port))
	}
	switch p.tls.value {
	case "1", "2", "3":
	default:
		if p.tls.name != "" && p.tls.value != "0" {
			p.note(LooksWrong, p.tls.line, fmt.Sprintf("%q is not 0, 1, 2 or 3", p.tls.value))
		}
		if p.cert.name != "" {
			p.note(NoCounterpart, p.cert.line, "has no effect without TLS 1, 2 or 3")
		}
		return
	}
	if p.cert.name == "" {
		p.set("tls.cert", []Line{p.tls.line, {File: "pure-ftpd", Text: "CertFile /etc/ssl/private/pure-ftpd.pem"}}, "/etc/ssl/private/pure-ftpd.pem")
	} else {
		// One file with both, or "certificate","key".
		cert, key, _ := strings.Cut(p.cert.value, ",")
		unquote := func(s string) string { return strings.Trim(strings.TrimSpace(s), `"`) }
		p.set("tls.cert", []Line{p.cert.line}, unquote(cert))
		if key = unquote(key); key != "" {
			p.set("tls.key", []Line{p.cert.line}, key)
		}
	}
	if p.tls.value != "1" {
		p.set("tls.require", []Line{p.tls.line}, "true")
	}
	if p.tls.value == "2" {
		p.note(Differs, p.tls.line, "tls.require covers logins and data together")
	}
}
