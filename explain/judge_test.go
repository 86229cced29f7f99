package explain

import (
	"strings"
	"testing"
	"time"
)

// What is like a failure, and is none.
func TestNoFailure(t *testing.T) {
	t.Parallel()
	const passive = "\nC: PASV\nS: 227 Entering Passive Mode (198,51,100,2,195,80).\n"
	for name, c := range map[string]struct{ dialogue, not string }{
		"TLS is wanted first": {`
			S: 220 ready
			C: USER anna
			S: 530 Use TLS first.
			C: AUTH TLS
			S: 234 go` + "\nC: \x16\x03\x01\x00\x01x\n", "login-refused"},
		"a file that was stored in between is of another size": {login + `
			C: SIZE a.bin
			S: 213 5000` + passive + `
			C: STOR a.bin
			D: client 198.51.100.2:50000 client 1000
			S: 226 done` + passive + `
			C: RETR a.bin
			D: client 198.51.100.2:50000 server 1000
			S: 226 done`, "short"},
		"SIZE of the file as text": {login + `
			C: TYPE A
			S: 200 ok
			C: SIZE a.bin
			S: 213 1010
			C: TYPE I
			S: 200 ok` + passive + `
			C: RETR a.bin
			D: client 198.51.100.2:50000 server 1000
			S: 226 done`, "short"},
		"MODE Z": {login + `
			C: MODE Z
			S: 200 ok` + passive + `
			C: RETR a.bin
			S: 150 Opening BINARY mode data connection for a.bin (10000 bytes).
			D: client 198.51.100.2:50000 server 1000
			S: 226 done`, "short"},
		"a part of a file": {login + `
			C: RANG 0 999
			S: 350 ok` + passive + `
			C: RETR a.bin
			S: 150 Opening BINARY mode data connection for a.bin (10000 bytes).
			D: client 198.51.100.2:50000 server 1000
			S: 226 done`, "short"},
		"the server takes leave of TLS behind the client's first words in clear text": {`
			S: 220 ready
			C: AUTH TLS
			S: 234 go` + "\nC: \x16\x03\x01\x00\x03x\nS: \x17\x03\x03\x00\x03x" +
			"\nC: \x15\x03\x03\x00\x02\x01\x00PASV\nS: \x15\x03\x03\x00\x04\x01\x00" + `
			S: 227 Entering Passive Mode (198,51,100,2,195,80).
			C: RETR a.bin
			D: client 198.51.100.2:50000 server 1000
			S: 226 done`, "bad-reply"},
		"a client behind a NAT, and the server behind it too": {`
			S: 220 ready
			C: USER ftp
			S: 230 welcome
			C: PORT 10,1,2,3,195,80
			S: 200 ok`, "bounce"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			x := played(t, Options{}, c.dialogue)
			if x.Verdict != Worked || has(x, c.not) {
				t.Errorf("%s, %+v; want one that worked, without %s", x.Verdict, x.Findings, c.not)
			}
		})
	}
}

// A server that listens in vain says that the client could not connect, or that
// it did not want to. A line "W: " is a while in which nothing is said.
func TestListensInVain(t *testing.T) {
	t.Parallel()
	const (
		pasv = "C: PASV\nS: 227 Entering Passive Mode (198,51,100,2,195,80).\n"
		epsv = "C: EPSV\nS: 229 ok (|||50000|)\n"
		quit = "C: QUIT\nS: 221 bye\n"
		noop = "C: NOOP\nS: 200 ok\n"
		get  = "C: PASV\nS: 227 ok (198,51,100,2,195,81).\nC: RETR a\nD: client 198.51.100.2:50001 server 10\nS: 226 done\n"
		wait = "W: 30s\n"
	)
	for _, c := range []struct {
		name, dialogue string
		want           string // the verdict, and what is found
	}{
		{"it leaves at once", pasv + quit, "worked"},
		{"it has other things to say", pasv + wait + noop + wait + quit, "worked"},
		{"again and again", pasv + noop + pasv + noop + pasv + quit, "worked"},
		{"its data is in the capture", get + pasv + wait + quit, "worked"},
		{"it waits, and leaves", pasv + wait + quit, "unknown no-connection"},
		{"it waits, and asks again", pasv + wait + pasv + wait + quit, "unknown no-connection no-connection"},
		{"it waits as long for each", pasv + wait + pasv + wait + pasv + wait + quit, "unknown no-connection no-connection no-connection"},
		{"it asks when it likes", pasv + wait + pasv + wait + wait + pasv + "W: 5s\n" + quit, "unknown no-connection no-connection no-connection"},
		{"it beats, and leaves in between", pasv + wait + pasv + wait + pasv + "W: 5s\n" + quit, "worked"},
		{"it beats, and leaves at once", epsv + wait + epsv + wait + epsv + quit, "worked"},
		{"it beats for long", strings.Repeat(pasv+wait, 20) + quit, "worked"},
		{"it beats, and then asks for another way", strings.Repeat(epsv+wait, 6) + pasv + wait + quit, "unknown no-connection no-connection"},
		{"it waits, and is sent away", pasv + wait + "S: 421 Time-out.\n", "unknown no-connection ended-by-server"},
		{"it leaves without a word", pasv, "unknown no-connection"},
		{"it asks for another way at once", epsv + pasv + quit, "unknown no-connection"},
		{"it would have to go elsewhere", "C: PASV\nS: 227 ok (10,0,0,5,195,80).\n" + quit, "failed inside-address foreign"},
		{"the file is not there", epsv + "C: SIZE a\nS: 550 No such file.\n" + quit, "failed refused"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := newTape()
			w := p.dial(clientAt, serverAt).open()
			w.talk(t, "S: 220 ready\nC: USER ftp\nS: 230 welcome")
			for line := range strings.Lines(c.dialogue) {
				if while, ok := strings.CutPrefix(line, "W: "); ok {
					d, err := time.ParseDuration(strings.TrimSpace(while))
					if err != nil {
						t.Fatal(err)
					}
					p.now = p.now.Add(d)
					continue
				}
				w.talk(t, line)
			}
			w.close(0)
			x := told(t, Options{}, p).Sessions[0]
			got := string(x.Verdict)
			for _, f := range x.Findings {
				got += " " + f.ID
			}
			if got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}

// Who is sent away before the login has not had a session.
func TestTakesNoSession(t *testing.T) {
	t.Parallel()
	for dialogue, want := range map[string]string{
		"S: 421 Too many users.": `The server takes no session: "421 Too many users."`,
		"S: 530 Not for you.":    `The server takes no session: "530 Not for you."`,
		"S: 220 ready\nC: USER anna\nS: 331 password\nC: PASS secret\nS: 421 Too many of you.": `The server takes no session: "421 Too many of you."`,
		"S: 220 ready\nC: USER anna\nS: 331 password\nC: PASS secret\nS: 430 No.":              `The server refuses the password of anna: "430 No."`,
	} {
		x := played(t, Options{}, dialogue)
		if len(x.Findings) == 0 || x.Findings[0].Text != want || x.Verdict != Failed {
			t.Errorf("%s: %s, %+v, want %s", dialogue, x.Verdict, x.Findings, want)
		}
	}
}

// A client that gives up has its reason, and the RST that follows is not it.
func TestAborted(t *testing.T) {
	t.Parallel()
	for name, replies := range map[string]string{
		"two replies": "S: 426 cut\nS: 226 aborted",
		"one reply":   "S: 226 aborted",
	} {
		x := played(t, Options{}, login+`
			C: EPSV
			S: 229 ok (|||50000|)
			C: RETR a.bin
			S: 150 opening
			D: client 198.51.100.2:50000 reset
			C: ABOR
			`+replies)
		if y := x.Transfers[0]; y.Verdict != Failed || y.Cause != "aborted" {
			t.Errorf("%s: %s for %q: %+v", name, y.Verdict, y.Cause, x.Findings)
		}
	}
}

// A client may speak before it is greeted.
func TestBeforeGreeting(t *testing.T) {
	t.Parallel()
	x := played(t, Options{}, "C: USER anna\nS: 220 ready\nS: 331 password\nC: PASS secret\nS: 230 welcome")
	if len(x.Commands) != 3 || x.Commands[0].Verb != "USER" || x.Commands[0].Code != 331 || x.Commands[2].Code != 230 {
		t.Errorf("%+v, want USER answered by 331 and PASS by 230", x.Commands)
	}
}

// A reply that is not in the capture, though the client had it, was not lost on
// the way.
func TestReplyNotCaptured(t *testing.T) {
	t.Parallel()
	p := newTape()
	w := p.dial(clientAt, serverAt).open()
	w.talk(t, login+`
		C: EPSV
		S: 229 ok (|||50000|)
		C: RETR a.bin
		S: 150 opening
		D: client 198.51.100.2:50000 server 1000`)
	w.seq[1] += uint32(len("226 done\r\n"))
	w.flag(0, ack)
	w.now = w.now.Add(time.Second)
	w.talk(t, "C: QUIT\nS: 221 bye")
	w.close(1)
	x := told(t, Options{}, p).Sessions[0]
	if y := x.Transfers[0]; y.Verdict != Unknown || y.Cause != "" {
		t.Errorf("%s for %q, %+v; want unknown", y.Verdict, y.Cause, x.Findings)
	}
}

// Where the capture ends right behind a SYN, nobody knows whether it is answered.
func TestEndsBehindSYN(t *testing.T) {
	t.Parallel()
	control, data := newTape(), newTape()
	control.dial(clientAt, serverAt).flag(0, syn)
	data.dial(clientAt, serverAt).open().talk(t, login+"C: EPSV\nS: 229 ok (|||50000|)")
	data.dial("192.0.2.7:41000", "198.51.100.2:50000").flag(0, syn)
	for name, p := range map[string]*tape{"control": control, "data": data} {
		if s := told(t, Options{}, p); s.Verdict() != Unknown || s.Cause() != "" {
			t.Errorf("%s: %s for %q, want unknown", name, s.Verdict(), s.Cause())
		}
	}
}

// Of a session that begins before the capture nobody knows the TYPE.
func TestTypeNotCaptured(t *testing.T) {
	t.Parallel()
	p := newTape()
	p.dial(clientAt, serverAt).talk(t, `
		C: EPSV
		S: 229 ok (|||50000|)
		C: RETR a.zip
		D: client 198.51.100.2:50000 server 1000
		S: 226 done`)
	x := told(t, Options{}, p).Sessions[0]
	if y := x.Transfers[0]; y.Verdict != Worked || y.Type != "" || has(x, "ascii") {
		t.Errorf("%s, type %q, %+v", y.Verdict, y.Type, x.Findings)
	}
}

// A RST of the sender behind its FIN takes nothing back that has arrived.
func TestResetBehindEnd(t *testing.T) {
	t.Parallel()
	p := newTape()
	w := p.dial(clientAt, serverAt).open()
	w.talk(t, login+"C: EPSV\nS: 229 ok (|||50000|)\nC: RETR a.bin\nS: 150 opening")
	d := p.dial("192.0.2.7:41000", "198.51.100.2:50000").open()
	d.say(1, "all of it")
	d.flag(1, fin|ack)
	d.flag(0, ack)
	d.flag(1, rst|ack)
	w.talk(t, "S: 226 done")
	x := told(t, Options{}, p).Sessions[0]
	if y := x.Transfers[0]; y.Verdict != Worked || !y.Complete || y.Bytes != 9 {
		t.Errorf("%s, complete %v, %d bytes", y.Verdict, y.Complete, y.Bytes)
	}
}
