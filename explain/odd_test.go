package explain

import (
	"strings"
	"testing"
	"time"
)

func has(x *Session, id string) bool {
	for _, f := range x.Findings {
		if f.ID == id {
			return true
		}
	}
	return false
}

// A server that nobody reaches, and one whose answer comes from elsewhere, are
// told without a word of dialogue.
func TestNoDialogue(t *testing.T) {
	t.Parallel()
	silent, refused, stray := newTape(), newTape(), newTape()
	silent.dial(clientAt, serverAt).try(3)
	refused.dial(clientAt, serverAt).refuse()
	stray.dial(clientAt, serverAt).try(1)
	w := stray.dial(clientAt, "10.0.0.2:21") // behind the same NAT as the client
	w.flag(1, syn|ack)
	w.flag(0, rst)
	for want, p := range map[string]*tape{"no-answer": silent, "closed-port": refused, "answer-strays": stray} {
		s := told(t, Options{}, p)
		if len(s.Sessions) != 1 || s.Cause() != want || s.Verdict() != Failed {
			t.Errorf("%d sessions, %s, %s; want one that failed for %s", len(s.Sessions), s.Verdict(), s.Cause(), want)
		}
	}
}

// Sessions are found on any port, also where they begin before the capture, and
// nothing else is taken for one.
func TestFound(t *testing.T) {
	t.Parallel()
	p := newTape()
	p.dial(clientAt, "198.51.100.2:2121").open().talk(t, login)
	late := p.dial("192.0.2.7:40001", "198.51.100.2:2122")
	late.talk(t, "C: CWD pub\nS: 250 ok\nC: PWD\nS: 257 \"/pub\"")
	mail := p.dial("192.0.2.7:40002", "198.51.100.2:25").open()
	mail.talk(t, "S: 220 mail.example.com ESMTP\nC: EHLO me\nS: 250 hello")
	web := p.dial("192.0.2.7:40003", "198.51.100.2:80").open()
	web.talk(t, "C: GET / HTTP/1.1\nS: HTTP/1.1 200 OK")
	s := told(t, Options{}, p)
	var got []string
	for _, x := range s.Sessions {
		got = append(got, x.Server.String())
	}
	if want := "198.51.100.2:2121 198.51.100.2:2122"; strings.Join(got, " ") != want {
		t.Errorf("sessions with %v, want %s", got, want)
	}
}

// Under TLS a data connection is tied by what else is known of it: where it runs
// and when; one that fails tells why.
func TestSecret(t *testing.T) {
	t.Parallel()
	const secured = "S: 220 ready\nC: AUTH TLS\nS: 234 go\nC: \x16\x03\x01\x00\x01x\n"
	for name, c := range map[string]struct {
		data    string
		verdict Verdict
		cause   string
	}{
		"works, as far as anybody can tell": {"D: client 198.51.100.2:50000 server 100", Unknown, ""},
		"dropped":                           {"D: client 198.51.100.2:50000 unanswered", Failed, "firewall"},
		"led astray":                        {"D: client 10.0.0.2:50000 unanswered", Failed, "inside-address"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			x := played(t, Options{}, secured+c.data)
			if len(x.Transfers) != 1 || !x.TLS {
				t.Fatalf("%d transfers, TLS %v; want one under TLS", len(x.Transfers), x.TLS)
			}
			if y := x.Transfers[0]; !y.Inferred || y.Verdict != c.verdict || y.Cause != c.cause || y.Connection == nil {
				t.Errorf("got %+v, want %s %s", y, c.verdict, c.cause)
			}
		})
	}
}

// Who tries one password after the other is named.
func TestGuesses(t *testing.T) {
	t.Parallel()
	p := newTape()
	for range bruteForce {
		w := p.dial(clientAt, serverAt).open()
		w.talk(t, "S: 220 ready\nC: USER root\nS: 331 password\nC: PASS guess\nS: 530 no")
		w.close(0)
		p.now = p.now.Add(time.Second)
	}
	s := told(t, Options{}, p)
	if len(s.Sessions) != bruteForce || !has(s.Sessions[0], "brute-force") || has(s.Sessions[1], "brute-force") || !has(s.Sessions[1], "login-refused") {
		t.Errorf("%d sessions, %+v", len(s.Sessions), s.Sessions[0].Findings)
	}
}

// A receiver without room, and a server that leaves, are told.
func TestStall(t *testing.T) {
	t.Parallel()
	p := newTape()
	w := p.dial(clientAt, serverAt).open()
	w.talk(t, login+"C: EPSV\nS: 229 ok (|||50000|)\nC: RETR a.bin\nS: 150 opening")
	d := w.dial("192.0.2.7:41000", "198.51.100.2:50000").open()
	d.say(1, strings.Repeat("a", 1000))
	d.window = 0
	d.flag(0, ack)
	d.now = d.now.Add(5 * time.Second)
	d.window = 65000
	d.flag(0, ack)
	d.say(1, strings.Repeat("a", 1000))
	d.close(1)
	w.talk(t, "S: 226 done\nS: 421 idle for too long")
	w.close(1)
	x := told(t, Options{}, p).Sessions[0]
	if !has(x, "stall") || !has(x, "ended-by-server") || x.Transfers[0].Verdict != Worked {
		t.Errorf("%+v %+v", x.Transfers[0], x.Findings)
	}
}
