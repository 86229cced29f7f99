package dialogue

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"towpath/ftp"
	"towpath/internal/transcript"
)

// between returns a Tracker of a session from 192.0.2.1 to 198.51.100.2.
func between() *Tracker {
	return &Tracker{
		Client: netip.MustParseAddrPort("192.0.2.1:40000"),
		Server: netip.MustParseAddrPort("198.51.100.2:21"),
	}
}

// play feeds t a transcript and tells each exchange in one line:
//
//	227 to PASV: passive by PASV: client 192.0.2.1 to 198.51.100.2:50000
//	226 to RETR sea.txt: ended, over 1, from 4
func play(tb testing.TB, t *Tracker, script string) string {
	tb.Helper()
	steps, err := transcript.Script(script)
	if err != nil {
		tb.Fatal(err)
	}
	var told strings.Builder
	for _, s := range steps {
		switch s.Who {
		case transcript.Client:
			// What is no command is fed as the zero Command.
			c, _ := ftp.ParseCommand(s.Text)
			t.Command(c)
		case transcript.Server:
			e, ok := t.Reply(s.Reply)
			x := *t.Exchange()
			if e != x.Expectation || ok != (e != Expectation{}) {
				tb.Errorf("line %d: Reply returns %v, %v; Exchange says %v", s.Number, e, ok, x.Expectation)
			}
			told.WriteString(tell(x) + "\n")
		}
	}
	return told.String()
}

func tell(x Exchange) string {
	s := fmt.Sprintf("%d to nobody", x.Reply.Code)
	if x.Number != 0 {
		s = strings.TrimSpace(fmt.Sprintf("%d to %s %s", x.Reply.Code, x.Command.Verb, x.Command.Arg))
	}
	if e := x.Expectation; e != (Expectation{}) {
		s += ": " + e.String()
		if e.Foreign {
			s += ", foreign"
		}
		if e.Protected {
			s += ", protected"
		}
	}
	if tr := x.Transfer; tr != (Transfer{}) {
		s += fmt.Sprintf(": %v", tr.Phase)
		if tr.Path != x.Command.Arg {
			s += " as " + tr.Path
		}
		if n := tr.Expectation.Number; n != 0 {
			s += fmt.Sprintf(", over %d", n)
		}
		if tr.Offset != 0 {
			s += fmt.Sprintf(", from %d", tr.Offset)
		}
		if tr.Protected {
			s += ", protected"
		}
	}
	if x.Problem != nil {
		s += "! " + x.Problem.Error()
	}
	return s
}

// The greeting and the login that most transcripts begin with.
const login = `
	S: 220
	C: USER anna
	S: 331
	C: PASS x
	S: 230
`

const loginTold = `220 to nobody
331 to USER anna
230 to PASS x
`

func TestTranscripts(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, script, want string }{
		{"FileZilla uploads, passive", `
			C: PWD
			S: 257 "/"
			C: TYPE A
			S: 200
			C: PASV
			S: 227 Entering Passive Mode (198,51,100,2,195,80).
			C: STOR sea.txt
			S: 150
			D: 0123\r\n
			S: 226
			C: TYPE I
			S: 200
			C: PASV
			S: 227 Entering Passive Mode (198,51,100,2,195,81).
			C: MLSD
			S: 150
			S: 226`, `
			257 to PWD
			200 to TYPE A
			227 to PASV: passive by PASV: client 192.0.2.1 to 198.51.100.2:50000
			150 to STOR sea.txt: begun, over 1
			226 to STOR sea.txt: ended, over 1
			200 to TYPE I
			227 to PASV: passive by PASV: client 192.0.2.1 to 198.51.100.2:50001
			150 to MLSD: begun, over 2
			226 to MLSD: ended, over 2`},
		{"Windows ftp.exe lists, active", `
			C: opts utf8 on
			S: 500
			C: PORT 192,0,2,1,195,80
			S: 200
			C: LIST -l
			S: 150
			S: 226`, `
			500 to OPTS utf8 on
			200 to PORT 192,0,2,1,195,80: active by PORT: server 198.51.100.2 to 192.0.2.1:50000
			150 to LIST -l: begun, over 1
			226 to LIST -l: ended, over 1`},
		{"a refused announcement expects nothing", `
			C: PORT 192,0,2,1,195,80
			S: 500 Illegal PORT command.
			C: EPRT |1|192.0.2.1|50000|
			S: 522
			C: PASV
			S: 421 No ports left.
			C: EPSV
			S: 425
			C: LIST
			S: 425`, `
			500 to PORT 192,0,2,1,195,80
			522 to EPRT |1|192.0.2.1|50000|
			421 to PASV
			425 to EPSV
			425 to LIST: ended`},
		{"a newer announcement replaces the older, even if it is refused", `
			C: EPSV
			S: 229 Entering Extended Passive Mode (|||50000|)
			C: PASV
			S: 227 Entering Passive Mode (198,51,100,2,195,81).
			C: RETR a
			S: 150
			S: 226
			C: PASV
			S: 227 Entering Passive Mode (198,51,100,2,195,82).
			C: PORT 10,0,0,1,195,80
			S: 500
			C: RETR b
			S: 425`, `
			229 to EPSV: passive by EPSV: client 192.0.2.1 to 198.51.100.2:50000
			227 to PASV: passive by PASV: client 192.0.2.1 to 198.51.100.2:50001
			150 to RETR a: begun, over 2
			226 to RETR a: ended, over 2
			227 to PASV: passive by PASV: client 192.0.2.1 to 198.51.100.2:50002
			500 to PORT 10,0,0,1,195,80
			425 to RETR b: ended`},
		{"an expectation serves one transfer", `
			C: EPSV
			S: 229 (|||50000|)
			C: RETR a
			S: 226
			C: RETR b
			S: 425`, `
			229 to EPSV: passive by EPSV: client 192.0.2.1 to 198.51.100.2:50000
			226 to RETR a: ended, over 1
			425 to RETR b: ended`},
		{"a transfer refused before it began leaves its expectation to the next (vsftpd)", `
			C: EPSV
			S: 229 (|||50000|)
			C: RETR missing
			S: 550
			C: RETR a
			S: 150
			S: 550
			C: RETR b
			S: 425`, `
			229 to EPSV: passive by EPSV: client 192.0.2.1 to 198.51.100.2:50000
			550 to RETR missing: ended
			150 to RETR a: begun, over 1
			550 to RETR a: ended, over 1
			425 to RETR b: ended`},
		{"a data connection that failed is used up", `
			C: PORT 192,0,2,1,195,80
			S: 200
			C: LIST
			S: 425 Failed to establish connection.
			C: LIST
			S: 425 Use PORT or PASV first.`, `
			200 to PORT 192,0,2,1,195,80: active by PORT: server 198.51.100.2 to 192.0.2.1:50000
			425 to LIST: ended, over 1
			425 to LIST: ended`},
		{"227 counts for PASV alone, and in the last line", `
			C: STAT
			S: 211-
			S: 227 Entering Passive Mode (198,51,100,2,0,22).
			S: 211 End
			C: NOOP
			S: 227 Entering Passive Mode (198,51,100,2,0,22).
			C: EPSV
			S: 227 Entering Passive Mode (198,51,100,2,0,22).
			C: PASV
			S: 229 (|||22|)
			S: 227 Entering Passive Mode (198,51,100,2,0,22).
			C: PASV
			S: 227-Entering Passive Mode (198,51,100,2,0,22).
			S: 227 Entering Passive Mode (198,51,100,2,195,80).`, `
			211 to STAT
			227 to NOOP
			227 to EPSV! EPSV answered by 227: want 229
			229 to PASV! PASV answered by 229: want 227
			227 to nobody
			227 to PASV: passive by PASV: client 192.0.2.1 to 198.51.100.2:50000`},
		{"other hosts and no hosts", `
			C: PORT 10,0,0,1,195,80
			S: 200
			C: PASV
			S: 227 Entering Passive Mode (10,0,0,2,195,80).
			C: PASV
			S: 227 Entering Passive Mode (0,0,0,0,195,80).
			C: EPRT |2|2001:db8::1|50000|
			S: 200
			C: EPSV 1
			S: 229 (|1|198.51.100.2|50000|)
			C: P@SW
			S: 227 =198,51,100,2,195,80
			C: LPRT 4,4,192,0,2,1,2,195,80
			S: 200
			C: LPSV
			S: 228 Entering Long Passive Mode (4,4,198,51,100,2,2,195,80)`, `
			200 to PORT 10,0,0,1,195,80: active by PORT: server 198.51.100.2 to 10.0.0.1:50000, foreign
			227 to PASV: passive by PASV: client 192.0.2.1 to 10.0.0.2:50000, foreign
			227 to PASV: passive by PASV: client 192.0.2.1 to 198.51.100.2:50000
			200 to EPRT |2|2001:db8::1|50000|: active by EPRT: server 198.51.100.2 to [2001:db8::1]:50000, foreign
			229 to EPSV 1: passive by EPSV: client 192.0.2.1 to 198.51.100.2:50000
			227 to P@SW: passive by P@SW: client 192.0.2.1 to 198.51.100.2:50000
			200 to LPRT 4,4,192,0,2,1,2,195,80: active by LPRT: server 198.51.100.2 to 192.0.2.1:50000
			228 to LPSV: passive by LPSV: client 192.0.2.1 to 198.51.100.2:50000`},
		{"REST holds for the next transfer only", `
			C: REST 4
			S: 350
			C: PASV
			S: 227 (198,51,100,2,195,80)
			C: RETR a
			S: 550
			C: RETR b
			S: 150
			S: 226
			C: REST 5
			S: 502
			C: REST -5
			S: 350
			C: RETR c
			S: 425`, `
			350 to REST 4
			227 to PASV: passive by PASV: client 192.0.2.1 to 198.51.100.2:50000
			550 to RETR a: ended, from 4
			150 to RETR b: begun, over 1
			226 to RETR b: ended, over 1
			502 to REST 5
			350 to REST -5! ` + restError(t) + `
			425 to RETR c: ended`},
		{"commands are sent before the replies to earlier ones", `
			C: REST 4
			C: EPSV
			C: RETR a
			C: EPSV
			C: RETR b
			S: 350
			S: 229 (|||50000|)
			S: 150
			S: 226
			S: 229 (|||50001|)
			S: 150
			S: 226`, `
			350 to REST 4
			229 to EPSV: passive by EPSV: client 192.0.2.1 to 198.51.100.2:50000
			150 to RETR a: begun, over 1, from 4
			226 to RETR a: ended, over 1, from 4
			229 to EPSV: passive by EPSV: client 192.0.2.1 to 198.51.100.2:50001
			150 to RETR b: begun, over 2
			226 to RETR b: ended, over 2`},
		{"lines that are no commands are answered too", `
			C: -- what
			C: EPSV
			S: 500
			S: 229 (|||50000|)`, `
			500 to
			229 to EPSV: passive by EPSV: client 192.0.2.1 to 198.51.100.2:50000`},
		{"STAT and NOOP while data flows, and after", `
			C: EPSV
			S: 229 (|||50000|)
			C: RETR a
			S: 150
			C: STAT
			S: 211 1 of 2 bytes
			C: NOOP
			C: NOOP
			S: 200
			C: STAT
			S: 226
			S: 200
			S: 211`, `
			229 to EPSV: passive by EPSV: client 192.0.2.1 to 198.51.100.2:50000
			150 to RETR a: begun, over 1
			211 to STAT
			200 to NOOP
			226 to RETR a: ended, over 1
			200 to NOOP
			211 to STAT`},
		{"NOOP is refused while data flows", `
			C: EPSV
			S: 229 (|||50000|)
			C: RETR a
			S: 150
			C: NOOP
			S: 503
			S: 226`, `
			229 to EPSV: passive by EPSV: client 192.0.2.1 to 198.51.100.2:50000
			150 to RETR a: begun, over 1
			503 to NOOP
			226 to RETR a: ended, over 1`},
		{"QUIT while data flows", `
			C: EPSV
			S: 229 (|||50000|)
			C: RETR a
			S: 150
			C: QUIT
			S: 221
			S: 226`, `
			229 to EPSV: passive by EPSV: client 192.0.2.1 to 198.51.100.2:50000
			150 to RETR a: begun, over 1
			221 to QUIT
			226 to RETR a: ended, over 1`},
		{"ABOR in time", `
			C: EPSV
			S: 229 (|||50000|)
			C: RETR a
			S: 150
			C: ABOR
			S: 426
			S: 226
			C: ABOR
			S: 225`, `
			229 to EPSV: passive by EPSV: client 192.0.2.1 to 198.51.100.2:50000
			150 to RETR a: begun, over 1
			426 to RETR a: ended, over 1
			226 to ABOR
			225 to ABOR`},
		{"ABOR too late (vsftpd)", `
			C: RETR a
			S: 150
			C: ABOR
			S: 226
			S: 225`, `
			150 to RETR a: begun
			226 to RETR a: ended
			225 to ABOR`},
		{"ABOR is answered first", `
			C: RETR a
			S: 150
			C: ABOR
			C: EPSV
			S: 225
			S: 426
			S: 229 (|||50000|)`, `
			150 to RETR a: begun
			225 to ABOR
			426 to RETR a: ended
			229 to EPSV: passive by EPSV: client 192.0.2.1 to 198.51.100.2:50000`},
		{"ABOR is answered, its transfer never", `
			C: RETR a
			S: 150
			C: ABOR
			S: 225
			C: EPSV
			S: 229 (|||50000|)
			C: RETR b
			S: 150
			S: 226`, `
			150 to RETR a: begun
			225 to ABOR
			229 to EPSV: passive by EPSV: client 192.0.2.1 to 198.51.100.2:50000
			150 to RETR b: begun, over 1
			226 to RETR b: ended, over 1`},
		{"the transfer is answered, ABOR never", `
			C: RETR a
			S: 150
			C: ABOR
			S: 426
			C: EPSV
			S: 229 (|||50000|)
			C: RETR b
			S: 150
			S: 226`, `
			150 to RETR a: begun
			426 to RETR a: ended
			229 to EPSV: passive by EPSV: client 192.0.2.1 to 198.51.100.2:50000
			150 to RETR b: begun, over 1
			226 to RETR b: ended, over 1`},
		{"EPSV ALL", `
			C: EPSV ALL
			S: 501
			C: PASV
			S: 227 (198,51,100,2,195,80)
			C: EPSV all
			S: 200
			C: RETR a
			S: 150
			S: 226
			C: PASV
			S: 227 (198,51,100,2,195,81)
			C: PORT 192,0,2,1,195,80
			S: 200
			C: EPRT |1|192.0.2.1|50000|
			S: 503
			C: EPSV
			S: 229 (|||50002|)`, `
			501 to EPSV ALL
			227 to PASV: passive by PASV: client 192.0.2.1 to 198.51.100.2:50000
			200 to EPSV all
			150 to RETR a: begun, over 1
			226 to RETR a: ended, over 1
			227 to PASV! PASV: not allowed after EPSV ALL
			200 to PORT 192,0,2,1,195,80! PORT: not allowed after EPSV ALL
			503 to EPRT |1|192.0.2.1|50000|
			229 to EPSV: passive by EPSV: client 192.0.2.1 to 198.51.100.2:50002`},
		{"EPSV ALL is sent ahead", `
			C: EPSV ALL
			C: PASV
			S: 200
			S: 227 (198,51,100,2,195,80)`, `
			200 to EPSV ALL
			227 to PASV! PASV: not allowed after EPSV ALL`},
		{"a new USER drops what was prepared", `
			C: REST 4
			S: 350
			C: EPSV
			S: 229 (|||50000|)
			C: USER berta
			S: 331
			C: PASS x
			S: 230
			C: RETR a
			S: 425`, `
			350 to REST 4
			229 to EPSV: passive by EPSV: client 192.0.2.1 to 198.51.100.2:50000
			331 to USER berta
			230 to PASS x
			425 to RETR a: ended`},
		{"a refused USER changes nothing", `
			C: EPSV
			S: 229 (|||50000|)
			C: USER berta
			S: 530 Can't change from guest user.
			C: RETR a
			S: 150`, `
			229 to EPSV: passive by EPSV: client 192.0.2.1 to 198.51.100.2:50000
			530 to USER berta
			150 to RETR a: begun, over 1`},
		{"REIN during a transfer", `
			C: EPSV
			S: 229 (|||50000|)
			C: RETR a
			S: 150
			C: REIN
			S: 226
			S: 120
			S: 220
			C: LIST
			S: 530`, `
			229 to EPSV: passive by EPSV: client 192.0.2.1 to 198.51.100.2:50000
			150 to RETR a: begun, over 1
			226 to RETR a: ended, over 1
			120 to REIN
			220 to REIN
			530 to LIST: ended`},
		{"PROT counts as it stands at the transfer", `
			C: PBSZ 0
			S: 200
			C: PASV
			S: 227 (198,51,100,2,195,80)
			C: PROT P
			S: 200
			C: LIST
			S: 150
			S: 226
			C: EPSV
			S: 229 (|||50001|)
			C: PROT C
			S: 536
			C: LIST
			S: 522`, `
			200 to PBSZ 0
			227 to PASV: passive by PASV: client 192.0.2.1 to 198.51.100.2:50000
			200 to PROT P
			150 to LIST: begun, over 1, protected
			226 to LIST: ended, over 1, protected
			229 to EPSV: passive by EPSV: client 192.0.2.1 to 198.51.100.2:50001, protected
			536 to PROT C
			522 to LIST: ended, over 2, protected`},
		{"STOU tells the name it chose", `
			C: STOU
			S: 150 FILE: sea.1
			S: 226`, `
			150 to STOU: begun as sea.1
			226 to STOU: ended as sea.1`},
		{"421 when nobody asked", `
			C: EPSV
			S: 229 (|||50000|)
			S: 421 Timeout.
			C: RETR a
			S: 425`, `
			229 to EPSV: passive by EPSV: client 192.0.2.1 to 198.51.100.2:50000
			421 to nobody
			425 to RETR a: ended`},
		{"announcements that cannot be read", `
			C: PORT 1,2
			S: 200
			C: PASV
			S: 227 Logout.
			C: LPSV
			S: 228 none`, `
			200 to PORT 1,2! PORT answered by 200: ` + parseError(ftp.ParseHostPort("1,2")) + `
			227 to PASV! PASV answered by 227: ` + parseError(ftp.ParsePassive("Logout.")) + `
			228 to LPSV! LPSV answered by 228: "none": want numbers in parentheses`},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got := play(t, between(), login+c.script)
			want := loginTold + strings.ReplaceAll(strings.TrimLeft(c.want, "\n"), "\t", "") + "\n"
			if d := cmp.Diff(want, got); d != "" {
				t.Error(d)
			}
		})
	}
}

func parseError(_ netip.AddrPort, err error) string { return err.Error() }

func restError(tb testing.TB) string {
	_, err := ftp.ParseSize("-5")
	if err == nil {
		tb.Fatal("ParseSize takes -5")
	}
	return err.Error()
}

func TestGreeting(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, script, want string }{
		{"late", "S: 120\nS: 220\nC: NOOP\nS: 200", "120 to nobody\n220 to nobody\n200 to NOOP\n"},
		{
			"behind the first command", "C: HOST a\nC: EPSV\nS: 220\nS: 220\nS: 229 (|||50000|)",
			"220 to nobody\n220 to HOST a\n229 to EPSV: passive by EPSV: client 192.0.2.1 to 198.51.100.2:50000\n",
		},
		{"refused", "C: USER a\nS: 421", "421 to nobody\n"},
		{"with a 227 in it", "S: 227 (198,51,100,2,0,22)", "227 to nobody\n"},
		{
			"missed", "C: PASV\nC: RETR a\nS: 227 (198,51,100,2,195,80)\nS: 150",
			"227 to PASV: passive by PASV: client 192.0.2.1 to 198.51.100.2:50000\n150 to RETR a: begun, over 1\n",
		},
		{"missed, and a transfer is first", "C: RETR a\nS: 150\nS: 226", "150 to RETR a: begun\n226 to RETR a: ended\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if d := cmp.Diff(c.want, play(t, between(), c.script)); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestExpectationWithoutEnds(t *testing.T) {
	t.Parallel()
	var tr Tracker
	got := play(t, &tr, `
		S: 220
		C: EPSV 2
		S: 229 Entering Extended Passive Mode (|||50000|)
		C: PORT 192,0,2,1,195,80
		S: 200
		C: PASV
		S: 227 (0,0,0,0,195,80)`)
	want := `220 to nobody
229 to EPSV 2: passive by EPSV: client at an unknown address to port 50000
200 to PORT 192,0,2,1,195,80: active by PORT: server at an unknown address to 192.0.2.1:50000
227 to PASV: passive by PASV: client at an unknown address to port 50000
`
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestExpectation(t *testing.T) {
	t.Parallel()
	six := &Tracker{
		Client: netip.MustParseAddrPort("[::ffff:192.0.2.1]:40000"),
		Server: netip.MustParseAddrPort("[::ffff:198.51.100.2]:21"),
	}
	play(t, six, login+`
		C: PORT 192,0,2,1,195,80
		S: 200`)
	want := Expectation{
		Number: 1, Opener: Server, Family: 4, Verb: "PORT",
		From:      netip.MustParseAddr("198.51.100.2"),
		To:        netip.MustParseAddrPort("192.0.2.1:50000"),
		Announced: netip.MustParseAddrPort("192.0.2.1:50000"),
	}
	got := six.State().Expectation
	if got != want {
		t.Errorf("IPv4 in IPv6: got %+v, want %+v", got, want)
	}
	if got.Mode() != Active {
		t.Errorf("mode is %v, want active", got.Mode())
	}

	none := &Tracker{}
	play(t, none, login+`
		C: EPSV 2
		S: 229 (|||50000|)`)
	want = Expectation{
		Number: 1, Opener: Client, Family: 6, Verb: "EPSV",
		To:        netip.AddrPortFrom(netip.Addr{}, 50000),
		Announced: netip.AddrPortFrom(netip.Addr{}, 50000),
	}
	if got := none.State().Expectation; got != want {
		t.Errorf("without ends: got %+v, want %+v", got, want)
	}
}

func TestState(t *testing.T) {
	t.Parallel()
	fresh := State{Type: "A", Mode: "S", Structure: "F", Prot: "C"}
	greeted := fresh
	greeted.Greeted = true
	for _, c := range []struct {
		name, script string
		want         func(*State)
	}{
		{"nothing but a greeting", `S: 220`, func(*State) {}},
		{"a password is wanted", "S: 220\nC: USER anna\nS: 331", func(s *State) { s.Login, s.User = WantPassword, "anna" }},
		{"an account is wanted", "S: 220\nC: USER anna\nS: 331\nC: PASS x\nS: 332", func(s *State) { s.Login, s.User = WantAccount, "anna" }},
		{"an account is given", "S: 220\nC: USER anna\nS: 332\nC: ACCT x\nS: 230", func(s *State) { s.Login, s.User = LoggedIn, "anna" }},
		{"no password needed", "S: 220\nC: USER anna\nS: 230", func(s *State) { s.Login, s.User = LoggedIn, "anna" }},
		{"the password is wrong", "S: 220\nC: USER anna\nS: 331\nC: PASS x\nS: 530", func(s *State) { s.User = "anna" }},
		{"PASS too many", login + "C: PASS x\nS: 503", func(s *State) { s.Login, s.User = LoggedIn, "anna" }},
		{"parameters outlive USER", login + `
			C: type a  n
			S: 200
			C: MODE z
			S: 200
			C: STRU R
			S: 200
			C: TYPE E
			S: 504
			C: HOST example.org
			S: 220
			C: USER anna
			S: 331`, func(s *State) {
			s.Login, s.User, s.Host = WantPassword, "anna", "example.org"
			s.Type, s.Mode, s.Structure = "A N", "Z", "R"
		}},
		{"REIN sets all back", login + `
			C: TYPE I
			S: 200
			C: EPSV ALL
			S: 200
			C: RNFR a
			S: 350
			C: REST 4
			S: 350
			C: REIN
			S: 220`, func(*State) {}},
		{"RNFR awaits RNTO", login + "C: RNFR a\nS: 350", func(s *State) {
			s.Login, s.User, s.RenameFrom = LoggedIn, "anna", "a"
		}},
		{"RNTO ends it, even if it fails", login + "C: RNFR a\nS: 350\nC: RNTO b\nS: 550", func(s *State) {
			s.Login, s.User = LoggedIn, "anna"
		}},
		{"AUTH TLS", login + `
			C: REST 4
			S: 350
			C: AUTH TLS
			S: 234`, func(s *State) { s.Opaque = true }},
		{"AUTH refused", "S: 220\nC: AUTH TLS\nS: 534", func(*State) {}},
		{"AUTH SSL (vsftpd)", "S: 220\nC: AUTH ssl\nS: 234", func(s *State) { s.Opaque, s.Prot = true, "P" }},
		{"PBSZ and PROT, seen by an end", `
			S: 220
			C: AUTH TLS
			S: 234
			C: PBSZ 0
			S: 200
			C: PROT p
			S: 200`, func(s *State) { s.Opaque, s.BufferSize, s.Prot = true, "0", "P" }},
		{"CCC", "S: 220\nC: AUTH TLS\nS: 234\nC: CCC\nS: 200", func(*State) {}},
		{"CCC refused", "S: 220\nC: AUTH TLS\nS: 234\nC: CCC\nS: 533", func(s *State) { s.Opaque = true }},
		{"REIN ends TLS", "S: 220\nC: AUTH TLS\nS: 234\nC: REIN\nS: 220", func(*State) {}},
		{"QUIT", "S: 220\nC: QUIT\nS: 221", func(s *State) { s.Closing = true }},
		{"STAT answered by 221 (FileZilla)", "S: 220\nC: STAT\nS: 221", func(*State) {}},
		{"421 and yet it goes on (SFTPGo)", "S: 220\nC: PASV\nS: 421\nC: NOOP\nS: 200", func(*State) {}},
		{"awaiting", "S: 220\nC: USER a\nC: PASS x", func(s *State) { s.Awaiting = 2 }},
		{"EPSV ALL", "S: 220\nC: EPSV ALL\nS: 200", func(s *State) { s.EPSVAll = true }},
		{"EPSV ALL taken for EPSV (ftpserverlib)", "S: 220\nC: EPSV ALL\nS: 229 (|||50000|)", func(s *State) {
			s.EPSVAll = true
			s.Expectation = Expectation{
				Number: 1, Opener: Client, Verb: "EPSV", Family: 4,
				From:      netip.MustParseAddr("192.0.2.1"),
				To:        netip.MustParseAddrPort("198.51.100.2:50000"),
				Announced: netip.AddrPortFrom(netip.Addr{}, 50000),
			}
		}},
		{"a transfer whose turn has come", "S: 220\nC: TYPE I\nS: 200\nC: RETR a", func(s *State) {
			s.Awaiting, s.Type = 1, "I"
			s.Transfer = Transfer{Number: 2, Verb: "RETR", Path: "a", Type: "I", Phase: Asked}
		}},
		{"a transfer whose turn has not come", "S: 220\nC: PASV\nC: RETR a", func(s *State) { s.Awaiting = 2 }},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			tr := between()
			if d := cmp.Diff(fresh, tr.State(), comparers); d != "" {
				t.Fatal(d)
			}
			play(t, tr, c.script)
			want := greeted
			c.want(&want)
			if d := cmp.Diff(want, tr.State(), comparers); d != "" {
				t.Error(d)
			}
		})
	}
}

var comparers = cmp.Options{
	cmp.Comparer(func(a, b netip.Addr) bool { return a == b }),
	cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b }),
	cmp.Comparer(func(a, b error) bool { return a == b || a != nil && b != nil && a.Error() == b.Error() }),
}

func TestBehindAUTH(t *testing.T) {
	t.Parallel()
	got := play(t, between(), `
		S: 220
		C: AUTH TLS
		C: USER mallory
		C: PASV
		S: 234
		S: 331
		S: 227 (198,51,100,2,0,22)
		C: PASV
		S: 227 (198,51,100,2,195,80)`)
	want := `220 to nobody
234 to AUTH TLS! commands behind AUTH came before TLS
331 to nobody
227 to nobody
227 to PASV: passive by PASV: client 192.0.2.1 to 198.51.100.2:50000
`
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestResync(t *testing.T) {
	t.Parallel()
	t.Run("in the middle of a session", func(t *testing.T) {
		t.Parallel()
		tr := between()
		tr.Resync()
		got := play(t, tr, "C: HOST a\nS: 220\nC: EPSV\nS: 229 (|||50000|)")
		want := "220 to HOST a\n229 to EPSV: passive by EPSV: client 192.0.2.1 to 198.51.100.2:50000\n"
		if d := cmp.Diff(want, got); d != "" {
			t.Error(d)
		}
	})
	t.Run("behind CCC that was not seen", func(t *testing.T) {
		t.Parallel()
		tr := between()
		play(t, tr, `
			S: 220
			C: TYPE I
			S: 200
			C: PASV
			S: 227 (198,51,100,2,195,80)
			C: RETR a
			S: 150
			C: AUTH TLS`)
		tr.Resync()
		s := tr.State()
		if s.Opaque || s.Awaiting != 0 || s.Transfer.Phase != Ended || s.Transfer.Expectation.Number != 1 || s.Type != "I" {
			t.Errorf("state is %+v", s)
		}
		got := play(t, tr, "S: 226\nC: LIST\nS: 150")
		if want := "226 to nobody\n150 to LIST: begun\n"; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}

func TestTooManyAhead(t *testing.T) {
	t.Parallel()
	const many = 3 * MaxAwaited
	tr := between()
	tr.Reply(ftp.NewReply(220, ""))
	tr.Command(ftp.Command{Verb: "EPSV"})
	tr.Reply(ftp.NewReply(229, "(|||50000|)"))
	for range many {
		tr.Command(ftp.Command{Verb: "NOOP"})
	}
	if got := tr.State().Awaiting; got != many {
		t.Errorf("awaiting %d, want %d", got, many)
	}
	for i := range many {
		e, ok := tr.Reply(ftp.NewReply(227, "(198,51,100,2,195,80)"))
		x := tr.Exchange()
		if ok || x.Number != i+2 {
			t.Fatalf("reply %d: %v, number %d", i, e, x.Number)
		}
		if forgotten := i >= MaxAwaited; forgotten != errors.Is(x.Problem, ErrTooMany) || forgotten != (x.Command.Verb == "") {
			t.Fatalf("reply %d: %+v", i, x)
		}
	}
	if e := tr.State().Expectation; e != (Expectation{}) {
		t.Errorf("%v outlives commands that are not known", e)
	}
	got := play(t, tr, "C: EPSV\nS: 229 (|||50001|)")
	if want := "229 to EPSV: passive by EPSV: client 192.0.2.1 to 198.51.100.2:50001\n"; got != want {
		t.Errorf("afterwards: got %q, want %q", got, want)
	}
}

func TestHugeCommandIsCut(t *testing.T) {
	t.Parallel()
	var tr Tracker
	tr.Reply(ftp.NewReply(220, ""))
	tr.Command(ftp.Command{Verb: "STOR", Arg: strings.Repeat("x", 10*ftp.MaxLine)})
	tr.Reply(ftp.Reply{Code: 150}) // without any line
	if got := len(tr.State().Transfer.Path); got != ftp.MaxLine {
		t.Errorf("kept %d bytes, want %d", got, ftp.MaxLine)
	}
}
