package ftpserver_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"towpath/ftptest"
)

var update = flag.Bool("update", false, "write the golden files anew")

// meaning is what the coverage table says of a verb beside what the command
// table knows.
type meaning struct{ what, notes string }

var meanings = map[string]meaning{
	"USER": {"say who wants to enter", "ends a login that was there; transfer parameters stay"},
	"PASS": {"say the password", "a failed login costs its address a growing delay"},
	"ACCT": {"say the account", "none is needed: 202"},
	"CWD":  {"change the working directory", ""},
	"CDUP": {"go to the parent directory", "ends at the user's top"},
	"SMNT": {"mount another file system", "502"},
	"REIN": {"begin anew without reconnecting", "TLS stays"},
	"QUIT": {"end the session", "a running transfer is finished first"},
	"HOST": {"name the virtual host", "must agree with SNI; before login only"},

	"PORT": {"announce active mode, IPv4", "the client's own address and ports from 1024 only, unless configured otherwise"},
	"PASV": {"ask for passive mode, IPv4", "425 on IPv6"},
	"EPRT": {"announce active mode", "as PORT; 522 for families other than 1 and 2"},
	"EPSV": {"ask for passive mode", "EPSV ALL is enforced"},
	"TYPE": {"choose how bytes are represented", "A, A N, I and L 8"},
	"STRU": {"choose the structure of files", "F, and R in ASCII"},
	"MODE": {"choose how data is sent", "S, and Z with a bound on how far data may grow"},

	"RETR": {"download a file", "never 226 if the file became shorter meanwhile"},
	"STOR": {"upload a file", "appears whole or not at all; a cut one can be resumed"},
	"STOU": {"upload under a new name", "150 FILE: name"},
	"APPE": {"add to a file", "goes on from what a cut upload left"},
	"LIST": {"list for people", "as ls -l, or in the style of MS-DOS; leading -options are skipped"},
	"NLST": {"list names", "as LIST; an empty directory is no failure"},
	"MLSD": {"list for programs", ""},
	"MLST": {"facts of one name", "OPTS MLST chooses them"},
	"REST": {"say where to go on", "in ASCII counts bytes on the wire"},
	"ALLO": {"say how much will come", "a hint, checked against the quota"},
	"ABOR": {"stop the transfer", "bare or with Telnet Synch in any form; 426, then 226"},

	"RNFR": {"say what to rename", "RNTO must follow at once"},
	"RNTO": {"say the new name", "replaces a file"},
	"DELE": {"delete a file", "also what a cut upload left"},
	"RMD":  {"remove a directory", "an empty one"},
	"RMDA": {"remove a directory and its content", ""},
	"MKD":  {"make a directory", "550 if it is there"},
	"PWD":  {"tell the working directory", ""},
	"SIZE": {"tell what RETR would send", "of a cut upload, how much has come; counts line ends in ASCII"},
	"MDTM": {"tell the time of modification", "of a cut upload, when it was cut; with a time before the name it sets it"},
	"MFMT": {"set the time of modification", ""},
	"MFCT": {"set the time of creation", "504: no storage keeps one"},
	"MFF":  {"set facts", "modify and unix.mode"},
	"HASH": {"digest of a file", "OPTS HASH chooses SHA-256, SHA-512, SHA-1, MD5 or CRC32"},
	"RANG": {"part of a file for RETR or HASH", "in TYPE I"},
	"AVBL": {"tell how much room there is", "the quota's, if that is less"},
	"COMB": {"join files", "on the server; the parts are removed"},

	"SYST": {"tell the dialect of LIST", ""},
	"STAT": {"tell the state, or list a path", "answered during transfers; a path wants a login"},
	"HELP": {"tell the syntax of commands", ""},
	"NOOP": {"do nothing", "answered during transfers"},
	"SITE": {"commands of this server", "see below"},
	"FEAT": {"tell what is offered", ""},
	"OPTS": {"choose for a command", "UTF8, MLST, HASH, MODE Z"},
	"LANG": {"choose the language of replies", "English"},
	"CLNT": {"name the client", "goes to the log"},
	"CSID": {"name the client", "goes to the log"},

	"AUTH": {"begin TLS", "TLS, TLS-C; SSL and TLS-P protect data at once"},
	"PBSZ": {"protection buffer", "always 0"},
	"PROT": {"protect data connections", "C and P"},
	"CCC":  {"go back to clear text for commands", "data stays protected; refused where TLS is required"},

	"XCUP": {"CDUP", ""}, "XCWD": {"CWD", ""}, "XMKD": {"MKD", ""}, "XPWD": {"PWD", ""}, "XRMD": {"RMD", ""},
	"XCRC": {"CRC32 of a file, or of a part", ""}, "XMD5": {"MD5 of the same", ""},
	"XSHA": {"SHA-1 of the same", ""}, "XSHA1": {"SHA-1 of the same", ""},
	"XSHA256": {"SHA-256 of the same", ""}, "XSHA512": {"SHA-512 of the same", ""},

	"SITE CHMOD":   {"set permission bits", "set-id and sticky bits are masked"},
	"SITE CPFR":    {"say what to copy", ""},
	"SITE CPTO":    {"copy on the server", ""},
	"SITE HELP":    {"list these words", ""},
	"SITE IDLE":    {"show or set the idle time-out", "up to a bound"},
	"SITE QUOTA":   {"show the quota", ""},
	"SITE SYMLINK": {"make a symbolic link", "off unless configured; never leads out of the user's tree"},
	"SITE UTIME":   {"set the time of modification", "in two forms"},
	"SITE WHO":     {"list sessions", "for administrators"},
}

// refused is what the RFCs have and this server has not. The codes are asked of
// a server.
var refused = []struct{ line, defined, why string }{
	{"SMNT /", "RFC 959 4.1.1", "there is one tree, and what is in it is the account's matter"},
	{"TYPE E", "RFC 959 3.1.1.2", "EBCDIC: its end of line and its charset would both have to be guessed"},
	{"TYPE A T", "RFC 959 3.1.1.5.2", "vertical format is for printers"},
	{"TYPE A C", "RFC 959 3.1.1.5.3", "carriage control is for printers"},
	{"TYPE L 36", "RFC 959 3.1.1.4", "bytes have eight bits here"},
	{"STRU P", "RFC 959 3.1.2.3", "pages are TOPS-20's"},
	{"MODE B", "RFC 959 3.4.2", "REST in MODE S does what its markers were for"},
	{"MODE C", "RFC 959 3.4.3", "MODE Z compresses better"},
	{"LPRT 4,4,127,0,0,1,2,200,10", "RFC 1639", "EPRT took its place"},
	{"LPSV", "RFC 1639", "EPSV took its place"},
	{"ADAT x", "RFC 2228 3", "TLS needs no further data from AUTH"},
	{"MIC x", "RFC 2228 3", "TLS protects the control connection as a whole"},
	{"CONF x", "RFC 2228 3", "as MIC"},
	{"ENC x", "RFC 2228 3", "as MIC"},
	{"PROT S", "RFC 2228 3", "TLS knows no integrity without privacy"},
	{"PROT E", "RFC 2228 3", "TLS knows no privacy without integrity"},
	{"ALGS STATUS64", "RFC 6384 11", "it is for gateways between IPv6 and IPv4"},
	{"XSEN USER", "RFC 737", "mail goes by SMTP"},
	{"XRSQ R", "RFC 743", "mail goes by SMTP"},
	{"XRCP user", "RFC 743", "mail goes by SMTP"},
}

// TestCoverage prints the coverage table out of the command table, and compares
// it with docs/rfc.md.
func TestCoverage(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	var verbs, words strings.Builder
	for _, row := range rows() {
		m, ok := meanings[row.Verb]
		if !ok {
			t.Errorf("%s is in the command table, and nobody has said what it means", row.Verb)
		}
		seen[row.Verb] = true
		if word, ok := strings.CutPrefix(row.Verb, "SITE "); ok {
			fmt.Fprintf(&words, "| %s | `%s` | %s | %s |\n", word, cell(row.Syntax), m.what, m.notes)
			continue
		}
		early := "no"
		if row.Early {
			early = "yes"
		}
		if row.Defined == "" {
			t.Errorf("%s is defined nowhere", row.Verb)
		}
		fmt.Fprintf(&verbs, "| `%s` | %s | %s | %s | %s |\n",
			cell(strings.TrimSpace(row.Verb+" "+row.Syntax)), m.what, row.Defined, early, m.notes)
	}
	for verb := range meanings {
		if !seen[verb] {
			t.Errorf("%s has a meaning, and is not in the command table", verb)
		}
	}
	var not strings.Builder
	c := ftptest.Serve(t, nil, ftptest.TLS).Dial()
	c.Expect(220)
	c.StartTLS(ftptest.ClientTLS())
	c.Do("USER "+ftptest.User, 331)
	c.Do("PASS "+ftptest.Password, 230)
	for _, r := range refused {
		code := alone(t, c, r.line)
		if code/100 != 5 {
			t.Errorf("C: %s\nS: %d, and the table says that it is refused", r.line, code)
		}
		line := r.line
		if verb, _, _ := strings.Cut(line, " "); !seen[verb] {
			line = verb
		}
		fmt.Fprintf(&not, "| `%s` | %s | %d | %s |\n", line, r.defined, code, r.why)
	}
	got := "# What Towpath's server speaks\n\n" +
		"A test prints this page from the server's command table:\n" +
		"`go test ./ftpserver -run TestCoverage -update`. Beside these, replies and lines follow\n" +
		"RFC 959 4.2, Telnet in them RFC 1123 4.1.2.12, names in UTF-8 RFC 2640, their form TVFS of RFC 3659 6,\n" +
		"the list of features RFC 2389 3, and TLS on both connections RFC 4217.\n\n" +
		"## Commands\n\n" +
		"| Command | What it does | Defined in | Before login | Notes |\n| --- | --- | --- | --- | --- |\n" + verbs.String() +
		"\n## The words of SITE\n\n| Word | Syntax | What it does | Notes |\n| --- | --- | --- | --- |\n" + words.String() +
		"\n## What the RFCs have and the server refuses\n\n| Command | Defined in | Reply | Why |\n| --- | --- | --- | --- |\n" + not.String()
	golden := filepath.Join("..", "docs", "rfc.md")
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), got); d != "" {
		t.Errorf("%s is not what the command table says; run this test with -update (-file +table):\n%s", golden, d)
	}
}

// cell makes text fit for a cell of a Markdown table.
func cell(s string) string { return strings.ReplaceAll(s, "|", `\|`) }
