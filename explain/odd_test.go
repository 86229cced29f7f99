package explain

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"towpath/capture"
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

// On the port of implicit TLS not a word can be read, and there is a session all
// the same.
func TestImplicit(t *testing.T) {
	t.Parallel()
	p := newTape()
	w := p.dial(clientAt, "198.51.100.2:990").open()
	w.talk(t, "C: \x16\x03\x01\x00\x01x\nS: \x16\x03\x01\x00\x01x\nD: client 198.51.100.2:50000 unanswered")
	w.close(0)
	p.dial("192.0.2.7:40001", "198.51.100.2:990").open().talk(t, login)
	s := told(t, Options{}, p)
	if len(s.Sessions) != 2 {
		t.Fatalf("%d sessions, want 2", len(s.Sessions))
	}
	if x := s.Sessions[0]; !x.TLS || len(x.Commands) != 0 || len(x.Transfers) != 1 || x.Transfers[0].Cause != "firewall" {
		t.Errorf("%+v, want one under TLS whose data connection is dropped", x)
	}
	if x := s.Sessions[1]; x.TLS || x.User != "anna" || x.Verdict != Worked {
		t.Errorf("%+v, want one in clear text", x)
	}
}

// Who refuses the handshake says why, as long as that is in clear text.
func TestTLSRefused(t *testing.T) {
	t.Parallel()
	const asked = "S: 220 ready\nC: AUTH TLS\nS: 234 go\nC: \x16\x03\x01\x00\x03x\n"
	for dialogue, want := range map[string]string{
		asked + "S: \x15\x03\x03\x00\x02\x02\x46":                                           "The server refuses the TLS handshake: protocol_version.",
		asked + "S: \x16\x03\x03\x00\x03x\nC: \x15\x03\x03\x00\x02\x02\x30":                 "The client refuses the TLS handshake: unknown_ca.",
		asked + "S: \x16\x03\x03\x00\x03x\nC: \x15\x03\x03\x00\x02\x01\x00":                 "", // close_notify is a warning
		asked + "S: \x16\x03\x03\x00\x01x\x17\x03\x03\x00\x01x\x15\x03\x03\x00\x02\x02\x30": "", // there has been a session
	} {
		x := played(t, Options{}, dialogue)
		if got := has(x, "tls-refused"); got != (want != "") || got && (x.Findings[0].Text != want || x.Verdict != Failed) {
			t.Errorf("%q: %s, %+v, want %q", dialogue, x.Verdict, x.Findings, want)
		}
	}
}

// unreachable records what a router answers to the last packet.
func (p *tape) unreachable(by string, kind, code byte) {
	about := p.packets[len(p.packets)-1].Data
	p.now = p.now.Add(time.Millisecond)
	ip := append([]byte{0x45, 0, 0, 56, 0, 0, 0, 0, 64, 1, 0, 0}, netip.MustParseAddr(by).AsSlice()...)
	ip = append(append(ip, about[12:16]...), kind, code, 0, 0, 0, 0, 0, 0)
	ip = append(ip, about[:28]...)
	p.packets = append(p.packets, capture.Packet{Number: len(p.packets) + 1, Time: capture.InstantOf(p.now), Link: capture.LinkRaw, Length: len(ip), Data: ip})
}

// A router that answers in place of the host is named, with what it says.
func TestUnreachable(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		kind, code  byte
		cause, says string
	}{
		{3, 3, "firewall", "192.0.2.1 refuses by ICMP (port unreachable)"},
		{3, 13, "firewall", "192.0.2.1 refuses by ICMP (prohibited)"},
		{3, 1, "no-route", "192.0.2.1 answers by ICMP that it cannot be reached (host unreachable)"},
		{11, 0, "no-route", "time exceeded"},
		{3, 4, "firewall", "nobody answers"}, // too big, and sent again
	} {
		p := newTape()
		p.dial(clientAt, serverAt).open().talk(t, login+"C: EPSV\nS: 229 ok (|||50000|)")
		d := p.dial("192.0.2.7:41000", "198.51.100.2:50000")
		d.flag(0, syn)
		p.unreachable("192.0.2.1", c.kind, c.code)
		d.seq[0]--
		d.try(2)
		x := told(t, Options{}, p).Sessions[0]
		if y := x.Transfers[0]; y.Cause != c.cause || y.Verdict != Failed || !strings.Contains(x.Findings[0].Text, c.says) {
			t.Errorf("%d.%d: %s for %s, %+v; want %s that says %q", c.kind, c.code, y.Verdict, y.Cause, x.Findings, c.cause, c.says)
		}
	}
	p := newTape()
	p.dial(clientAt, serverAt).flag(0, syn)
	p.unreachable("192.0.2.1", 3, 10)
	if s := told(t, Options{}, p); s.Cause() != "firewall" || s.Verdict() != Failed {
		t.Errorf("control connection: %s for %s, want firewall", s.Verdict(), s.Cause())
	}
}

// An empty line between replies, as some servers send, answers no command.
func TestEmptyLine(t *testing.T) {
	t.Parallel()
	p := newTape()
	w := p.dial(clientAt, serverAt).open()
	w.talk(t, "S: 220 Hello.\nC: USER anna")
	w.say(1, "\r\n")
	w.talk(t, "S: 331 Password?\nC: PASS secret")
	w.say(1, "\n")
	w.talk(t, "S: 230 In.\nC: QUIT\nS: 221 Bye.")
	for _, c := range told(t, Options{}, p).Sessions[0].Commands {
		want := map[string]int{"": 220, "USER": 331, "PASS": 230, "QUIT": 221}[c.Verb]
		if c.Code != want {
			t.Errorf("%s was answered by %d, want %d", c.Verb, c.Code, want)
		}
	}
}
