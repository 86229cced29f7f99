package explain

import (
	"slices"
	"strings"
	"testing"
)

const login = `
	S: 220 ready
	C: USER anna
	S: 331 password
	C: PASS secret
	S: 230 welcome
	C: TYPE I
	S: 200 binary
`

// What helps against a firewall is at the end that is connected to.
func TestAdviceForTheEnd(t *testing.T) {
	t.Parallel()
	for dialogue, want := range map[string]string{
		"C: EPSV\nS: 229 ok (|||50000|)\nD: client 198.51.100.2:50000 unanswered":                           "range of passive ports",
		"C: EPRT |1|192.0.2.7|50000|\nS: 200 ok\nC: LIST\nD: server 192.0.2.7:50000 unanswered\nS: 425 No.": "Use passive mode",
	} {
		x := played(t, Options{}, login+dialogue)
		if len(x.Findings) == 0 || x.Findings[0].ID != "firewall" || !strings.Contains(x.Findings[0].Advice, want) {
			t.Errorf("%s\nis told %+v, want advice with %q", dialogue, x.Findings, want)
		}
	}
}

// Each failure is told by its cause.
func TestFindings(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ dialogue, cause, verdict, says string }{
		"firewall": {`
			C: PASV
			S: 227 Entering Passive Mode (198,51,100,2,195,80).
			D: client 198.51.100.2:50000 unanswered`, "firewall", "failed", "a firewall on the way"},
		"refused port": {`
			C: EPSV
			S: 229 Entering Extended Passive Mode (|||50000|)
			D: client 198.51.100.2:50000 refused`, "closed-port", "failed", "198.51.100.2:50000"},
		"refused by the NAT before the server": {`
			C: EPSV
			S: 229 Entering Extended Passive Mode (|||50000|)
			D: client 198.51.100.2:50000 refused
			C: PASV
			S: 227 Entering Passive Mode (10,0,0,2,195,81).
			D: client 198.51.100.2:50001 refused`, "not-forwarded", "failed", "198.51.100.2:50000"},
		"no such file, and so never asked for": {`
			C: EPSV
			S: 229 ok (|||50000|)
			C: SIZE none.txt
			S: 550 No such file.
			D: client 198.51.100.2:50000 reset
			C: QUIT
			S: 221 bye`, "refused", "failed", `refuses SIZE none.txt: "550 No such file."`},
		"a directory on the way to a file": {`
			C: CWD none
			S: 550 none
			C: EPSV
			S: 229 ok (|||50000|)
			C: SIZE some
			S: 550 is none
			C: RETR some
			D: client 198.51.100.2:50000 server 10
			S: 226 done`, "", "worked", ""},
		"inside address": {`
			C: PASV
			S: 227 Entering Passive Mode (10,0,0,2,195,80).
			D: client 10.0.0.2:50000 unanswered`, "inside-address", "failed", "227 names 10.0.0.2"},
		"inside address that tnftp does not try": {`
			C: PASV
			S: 227 Entering Passive Mode (10,0,0,2,195,80).
			C: QUIT
			S: 221 Goodbye.`, "inside-address", "failed", "227 names 10.0.0.2"},
		"inside address in PORT": {`
			C: PORT 10,0,0,7,195,80
			S: 200 ok
			C: LIST
			S: 150 opening
			D: server 10.0.0.7:50000 unanswered
			S: 425 Can't open data connection.`, "inside-address", "failed", "PORT names 10.0.0.7"},
		"announcement refused": {`
			C: PORT 10,0,0,7,195,80
			S: 500 Illegal PORT command.`, "address-mismatch", "failed", "the server sees the client at 192.0.2.7"},
		"no mode": {`
			C: LIST
			S: 425 Use PORT or PASV first.`, "no-mode", "failed", "neither PORT nor PASV"},
		"no connection": {`
			C: PORT 192,0,2,7,195,80
			S: 200 ok
			C: LIST
			S: 150 opening
			S: 425 Can't open data connection.`, "no-connection", "failed", "192.0.2.7:50000"},
		"no such file": {`
			C: EPSV
			S: 229 ok (|||50000|)
			C: RETR none.txt
			S: 550 No such file.`, "refused", "failed", `refuses RETR: "550 No such file."`},
		"reset": {`
			C: EPSV
			S: 229 ok (|||50000|)
			C: RETR a.bin
			D: client 198.51.100.2:50000 reset
			S: 426 broken`, "reset", "failed", "after 13 bytes"},
		"no such file, and the connection is reset": {`
			C: EPSV
			S: 229 ok (|||50000|)
			C: RETR none.txt
			S: 550 No such file.
			D: client 198.51.100.2:50000 left`, "refused", "failed", "550"},
		"reset before anything was sent": {`
			C: EPSV
			S: 229 ok (|||50000|)
			C: RETR a.bin
			S: 150 opening
			D: client 198.51.100.2:50000 left
			S: 451 broken`, "reset", "failed", "after 0 bytes"},
		"forgotten": {`
			C: EPSV
			S: 229 ok (|||50000|)
			C: RETR a.bin
			S: 150 opening
			D: client 198.51.100.2:50000 server 1000`, "forgotten", "failed", "All 1000 bytes"},
		"eaten": {`
			C: PORT 192,0,2,7,195,80`, "announcement-eaten", "failed", "PORT"},
		"malformed": {`
			C: PORT 1234
			S: 501 no`, "bad-announcement", "failed", `"PORT 1234" cannot be read as an address and a port: a fault of the client.`},
		"other family": {`
			C: EPRT |2|2001:db8::7|50000|
			S: 522 no`, "family", "failed", "2001:db8::7"},
		"not captured": {`
			C: EPSV
			S: 229 ok (|||50000|)
			C: RETR a.bin
			S: 150 opening
			S: 226 done`, "", "not-captured", ""},
		"works": {`
			C: PORT 192,0,2,7,195,80
			S: 200 ok
			C: RETR a.bin
			S: 150 opening
			D: server 192.0.2.7:50000 server 1000
			S: 226 done`, "", "worked", ""},
		"fallback": {`
			C: EPSV
			S: 500 what?
			C: PASV
			S: 227 Entering Passive Mode (198,51,100,2,195,80).
			C: LIST
			D: client 198.51.100.2:50000 server 10
			S: 226 done`, "", "worked", ""},
		"another address than announced": {`
			C: PASV
			S: 227 Entering Passive Mode (10,0,0,2,195,80).
			C: RETR x
			D: client 198.51.100.2:50000 server 10
			S: 226 done`, "", "worked", ""},
		"after a refusal the listener is still there": {`
			C: EPSV
			S: 229 ok (|||50000|)
			C: RETR none
			S: 550 none
			C: RETR some
			D: client 198.51.100.2:50000 server 10
			S: 226 done`, "refused", "failed", "RETR"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			x := played(t, Options{}, login+c.dialogue)
			if len(x.Transfers) == 0 {
				t.Fatalf("no transfers in %+v", x)
			}
			y := x.Transfers[0]
			if y.Cause != c.cause || string(y.Verdict) != c.verdict || string(x.Verdict) != c.verdict {
				t.Errorf("cause %q, verdict %q of a session that %s, want %q, %q: %+v", y.Cause, y.Verdict, x.Verdict, c.cause, c.verdict, x.Findings)
			}
			if c.cause == "" {
				return
			}
			for _, f := range x.Findings {
				if f.ID == c.cause && f.Transfer == 0 && strings.Contains(f.Text, c.says) {
					return
				}
			}
			t.Errorf("want %s that says %q in %+v", c.cause, c.says, x.Findings)
		})
	}
}

// Who is not let in reads what the server said, and whether it was for the
// password.
func TestLoginRefused(t *testing.T) {
	t.Parallel()
	for dialogue, want := range map[string]string{
		"S: 220 ready\nC: USER anna\nS: 530 Use TLS first.":                                    `The server does not let anna in, and asks for no password: "530 Use TLS first."`,
		"S: 220 ready\nC: USER anna\nS: 331 password\nC: PASS secret\nS: 530 Login incorrect.": `The server refuses the password of anna: "530 Login incorrect."`,
	} {
		x := played(t, Options{}, dialogue)
		if f := x.Findings[0]; x.Verdict != Failed || f.ID != "login-refused" || f.Text != want {
			t.Errorf("%s: got %s, %+v, want %s", dialogue, x.Verdict, f, want)
		}
	}
}

// A session that ends with a refusal has not done what it was for.
func TestTurnedAway(t *testing.T) {
	t.Parallel()
	for dialogue, want := range map[string]Verdict{
		"C: CWD none\nS: 550 None.\nC: QUIT\nS: 221 bye":                         Failed,
		"C: CWD none\nS: 550 None.\nC: CWD some\nS: 250 ok\nC: QUIT\nS: 221 bye": Worked,
		"C: FEAT\nS: 500 What?\nC: QUIT\nS: 221 bye":                             Worked,
	} {
		x := played(t, Options{}, login+dialogue)
		has := slices.ContainsFunc(x.Findings, func(f Finding) bool { return f.ID == "refused" && f.Text == `The server refuses CWD none: "550 None."` })
		if x.Verdict != want || has != (want == Failed) {
			t.Errorf("%s: got %s, %+v, want %s", dialogue, x.Verdict, x.Findings, want)
		}
	}
}

// What is odd and no failure is told too.
func TestWarnings(t *testing.T) {
	t.Parallel()
	for id, dialogue := range map[string]string{
		"bounce": `
			C: PORT 198,51,100,9,0,25
			S: 200 ok`,
		"password-in-clear": ``,
		"foreign": `
			C: PASV
			S: 227 Entering Passive Mode (10,0,0,2,195,80).
			C: LIST
			S: 226 done`,
		"ascii": `
			C: TYPE A
			S: 200 ok
			C: EPSV
			S: 229 ok (|||50000|)
			C: RETR a.zip
			D: client 198.51.100.2:50000 server 100
			S: 226 done`,
		"short": `
			C: SIZE a.txt
			S: 213 5000
			C: EPSV
			S: 229 ok (|||50000|)
			C: RETR a.txt
			D: client 198.51.100.2:50000 server 100
			S: 226 done`,
		"bad-reply": `
			S: so what`,
	} {
		t.Run(id, func(t *testing.T) {
			t.Parallel()
			x := played(t, Options{}, login+dialogue)
			for _, f := range x.Findings {
				if f.ID == id && f.Severity != Error {
					return
				}
			}
			t.Errorf("want %s in %+v", id, x.Findings)
		})
	}
}

// A password is shown to nobody who does not ask for it, wherever it stands.
func TestSecrets(t *testing.T) {
	t.Parallel()
	const dialogue = login + `
		C: SITE PSWD secret geheim
		S: 200 the password was secret
		C: secret
		S: 500 SECRET not understood
		C: passgeheim
		S: 500 PASSGEHEIM not understood
		C: ACCT geheim
		S: 230 ok`
	all := func(x *Session) string {
		var b strings.Builder
		for _, c := range x.Commands {
			b.WriteString(c.Verb + " " + c.Arg + " " + c.Reply + "\n")
		}
		for _, s := range x.Steps() {
			b.WriteString(s.Line + " " + s.Says.String() + "\n")
		}
		for _, f := range x.Findings {
			b.WriteString(f.Text + f.Advice + "\n")
		}
		return b.String()
	}
	x := played(t, Options{}, dialogue)
	if text := all(x); strings.Contains(strings.ToLower(text), "secret") || strings.Contains(strings.ToLower(text), "geheim") {
		t.Errorf("the password is in\n%s", text)
	}
	if !x.PasswordInClear {
		t.Error("the password went in clear, and the story does not say so")
	}
	if text := all(played(t, Options{ShowSecrets: true}, dialogue)); !strings.Contains(text, "PASS secret") || !strings.Contains(strings.ToLower(text), "geheim") {
		t.Errorf("the password was to be shown, and is not in\n%s", text)
	}
}
