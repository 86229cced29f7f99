package explain

import (
	"strings"
	"testing"
	"time"
)

// side plays what one side of a NAT sees: its addresses, its clock, and sequence
// numbers of its own.
func side(t *testing.T, ahead time.Duration, client, server string, shift uint32, dialogue string) *tape {
	t.Helper()
	p := newTape()
	p.now = p.now.Add(ahead)
	w := p.dial(client, server)
	w.seq[0] += shift
	w.seq[1] += shift
	w.open()
	w.talk(t, dialogue)
	w.close(0)
	return p
}

// Two captures of a session are known for what they are, whatever a NAT changes:
// addresses, ports, sequence numbers, announcements; and whatever the clocks say.
func TestPair(t *testing.T) {
	t.Parallel()
	const ahead = 2 * time.Hour
	inside := side(t, 0, "10.0.0.7:40000", "198.51.100.2:21", 0, login+`
		C: PORT 10,0,0,7,195,80
		S: 200 ok
		C: LIST
		D: server 10.0.0.7:50000 server 10
		S: 226 done`)
	outside := side(t, ahead, "203.0.113.1:61234", "198.51.100.2:21", 77777, login+`
		C: PORT 203,0,113,1,234,96
		S: 200 ok
		C: LIST
		D: server 203.0.113.1:60000 server 10
		S: 226 done`)
	s := told(t, Options{}, inside, outside)
	if len(s.Translations) != 1 {
		t.Fatalf("%d translations, want 1", len(s.Translations))
	}
	n := s.Translations[0]
	if n.Kind != "snat" || n.Payload != "rewritten" || n.Inside.String() != "10.0.0.7:40000" || n.Outside.String() != "203.0.113.1:61234" ||
		n.Sessions[0] != 1 || n.Sessions[1] != 2 || len(n.Rewrites) != 1 {
		t.Fatalf("got %+v", n)
	}
	w := n.Rewrites[0]
	if w.Said != "PORT 10,0,0,7,195,80" || w.Heard != "PORT 203,0,113,1,234,96" || w.Shift != 3 || w.Became.Port() != 60000 {
		t.Errorf("got %+v", w)
	}
	if got := s.Captures[1].Ahead; got != ahead {
		t.Errorf("the second clock is %v ahead, want %v", got, ahead)
	}
	if s.Sessions[0].Twin != 2 || s.Sessions[1].Twin != 1 {
		t.Errorf("twins are %d and %d", s.Sessions[0].Twin, s.Sessions[1].Twin)
	}
}

// What one side cannot know, the other tells it.
func TestOtherSide(t *testing.T) {
	t.Parallel()
	const passive = login + "C: PASV\nS: 227 Entering Passive Mode (198,51,100,2,195,80).\n"
	for name, c := range map[string]struct{ near, far, server, cause string }{
		"dropped on the way": {
			passive + "D: client 198.51.100.2:50000 unanswered", passive, "198.51.100.2:21", "firewall",
		},
		"refused on the way": {
			passive + "D: client 198.51.100.2:50000 refused", passive, "198.51.100.2:21", "firewall",
		},
		"refused at the server": {
			passive + "D: client 198.51.100.2:50000 refused", passive + "D: client 198.51.100.2:50000 refused", "198.51.100.2:21", "closed-port",
		},
		"a farewell that the helper eats": {
			passive + "D: client 198.51.100.2:50000 unanswered", strings.ReplaceAll(passive, "198,51,100", "10,0,0") + "S: 227 Logout.", "10.0.0.2:21", "not-forwarded",
		},
		"told an address outside, and tried": {
			passive + "D: client 198.51.100.2:50000 refused\nC: QUIT\nS: 221 Goodbye.", passive + "C: QUIT\nS: 221 Goodbye.", "10.0.0.2:21", "not-forwarded",
		},
		"not forwarded": {
			passive + "D: client 198.51.100.2:50000 unanswered", strings.ReplaceAll(passive, "198,51,100", "10,0,0"), "10.0.0.2:21", "not-forwarded",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			near := side(t, 0, clientAt, serverAt, 0, c.near)
			far := side(t, 0, clientAt, c.server, 0, c.far)
			s := told(t, Options{}, near, far)
			for _, x := range s.Sessions {
				if x.Verdict != Failed || len(x.Transfers) != 1 || x.Transfers[0].Cause != c.cause {
					t.Errorf("session %d %s: %+v, want %s", x.ID, x.Verdict, x.Findings, c.cause)
				}
			}
			if s.Cause() != c.cause {
				t.Errorf("the story says %s, want %s", s.Cause(), c.cause)
			}
		})
	}
}

// What came of an announcement is judged by both sides, even if a second one
// has taken its place and worked: as curl does it.
func TestInItsPlace(t *testing.T) {
	t.Parallel()
	const again = `
		C: PASV
		S: 227 Entering Passive Mode (198,51,100,2,195,81).
		D: client 198.51.100.2:50001 server 10
		C: RETR a.bin
		S: 226 done`
	near := side(t, 0, clientAt, serverAt, 0, login+"C: EPSV\nS: 229 ok (|||50000|)\nD: client 198.51.100.2:50000 refused"+again)
	far := side(t, 0, clientAt, "10.0.0.2:21", 0, login+"C: EPSV\nS: 229 ok (|||50000|)"+strings.ReplaceAll(strings.ReplaceAll(again, "198.51.100", "10.0.0"), "198,51,100", "10,0,0"))
	s := told(t, Options{}, near, far)
	if got := s.Sessions[0].Transfers; len(got) != 2 || got[0].Cause != "not-forwarded" || got[1].Verdict != Worked {
		t.Errorf("got %+v", got)
	}
}

// A server that hangs up on a stranger, and waits on for its client, says nothing
// of it; its side shows who came.
func TestStrangerHungUpOn(t *testing.T) {
	t.Parallel()
	const passive = login + "C: EPSV\nS: 229 ok (|||50000|)\nC: RETR a.bin\nD: client 198.51.100.2:50000 server 0"
	near := side(t, 0, "10.0.0.7:40000", serverAt, 0, passive)
	far := side(t, 0, "203.0.113.1:40000", serverAt, 0, strings.ReplaceAll(passive, "D: client", "D: 203.0.113.9"))
	s := told(t, Options{}, near, far)
	if s.Cause() != "stranger" {
		t.Errorf("got %q of %+v", s.Cause(), s.Sessions[0].Findings)
	}
}

// A reply that was sent and sent again, and never came, is missed before the
// client gives up. While nobody sends it again it may still be on its way.
func TestLostReply(t *testing.T) {
	t.Parallel()
	const transfer = login + `
		C: EPSV
		S: 229 ok (|||50000|)
		C: RETR a.bin
		S: 150 opening
		D: client 198.51.100.2:50000 server 1000
		`
	seen := func(ahead time.Duration, client, dialogue string) *tape {
		p := newTape()
		p.now = p.now.Add(ahead)
		p.dial(client, serverAt).open().talk(t, dialogue)
		return p
	}
	for name, c := range map[string]struct {
		far     string
		verdict Verdict
		cause   string
	}{
		"lost":         {transfer + "L: 226 done", Failed, "forgotten"},
		"acknowledged": {transfer + "S: 226 done", Unknown, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := told(t, Options{}, seen(0, "10.0.0.7:40000", transfer), seen(time.Second, "203.0.113.1:61234", c.far))
			x := s.Sessions[0].Transfers[0]
			if x.Verdict != c.verdict || x.Cause != c.cause || s.Cause() != c.cause || s.Sessions[0].Verdict != c.verdict {
				t.Errorf("got %s, cause %q, of the story %q; want %s, %q", x.Verdict, x.Cause, s.Cause(), c.verdict, c.cause)
			}
		})
	}
}
