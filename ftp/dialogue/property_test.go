package dialogue

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"towpath/ftp"
	"towpath/internal/transcript"
)

// turn is a command with its replies, of which the last is final.
type turn struct {
	command ftp.Command
	replies []ftp.Reply
}

// turns draws whatever a client may say, with the answers of a server that
// keeps to the protocol.
var turns = rapid.Custom(func(t *rapid.T) turn {
	port := rapid.Uint16Range(1, 65535).Draw(t, "port")
	host := rapid.SampledFrom([]string{"192.0.2.1", "198.51.100.2", "10.1.2.3", "2001:db8::1"}).Draw(t, "host")
	addr := netip.AddrPortFrom(netip.MustParseAddr(host), port)
	four := addr
	if !addr.Addr().Is4() {
		four = netip.AddrPortFrom(netip.MustParseAddr("10.1.2.4"), port)
	}
	say := func(verb, arg string, answers ...[]ftp.Reply) turn {
		return turn{ftp.Command{Verb: verb, Arg: arg}, rapid.SampledFrom(answers).Draw(t, "answer")}
	}
	code := func(codes ...int) []ftp.Reply {
		var r []ftp.Reply
		for _, c := range codes {
			r = append(r, ftp.NewReply(c, "text"))
		}
		return r
	}
	switch rapid.IntRange(0, 13).Draw(t, "command") {
	case 0:
		return say("PORT", ftp.FormatHostPort(four), code(200), code(500))
	case 1:
		return say("EPRT", ftp.FormatEPRT(addr), code(200), code(522))
	case 2:
		return say("PASV", "", []ftp.Reply{ftp.NewReply(227, ftp.FormatPassive(four))}, code(227), code(425), code(421))
	case 3:
		return say("EPSV", "", []ftp.Reply{ftp.NewReply(229, ftp.FormatExtendedPassive(port))}, code(500))
	case 4:
		return say("EPSV", "ALL", code(200), code(501), code(501))
	case 5, 6, 7:
		verb := rapid.SampledFrom([]string{"RETR", "STOR", "APPE", "LIST", "NLST", "MLSD"}).Draw(t, "verb")
		return say(verb, "sea.txt", code(150, 226), code(150, 226), code(125, 426), code(150, 110, 451), code(226), code(550), code(425), code(500))
	case 8:
		return say("REST", fmt.Sprint(port), code(350), code(501))
	case 9:
		return say("USER", "anna", code(331), code(230), code(530))
	case 10:
		return say("REIN", "", code(220), code(120, 220), code(502))
	case 11:
		return say("PROT", rapid.SampledFrom([]string{"P", "C"}).Draw(t, "level"), code(200), code(536))
	case 12:
		return say("ABOR", "", code(225), code(226), code(502))
	}
	return say(rapid.SampledFrom([]string{"NOOP", "STAT", "PASS", "TYPE", "SITE"}).Draw(t, "verb"), "x", code(200), code(211), code(502))
})

// outcome is what a turn comes to: the port that is expected by it or 0, or how
// its transfer went.
type outcome struct {
	port      uint16
	opener    Opener
	used      int // the number of the turn that announced, -1 if none
	offset    int64
	protected bool
}

// model says by the plainest means what a dialogue comes to.
func model(dialogue []turn) []outcome {
	var all []outcome
	live, offset, protected, epsvOnly := -1, int64(0), false, false
	for i, d := range dialogue {
		o := outcome{used: -1}
		final := d.replies[len(d.replies)-1]
		ok := final.Code/100 == 2
		announced := func(opener Opener, addr netip.AddrPort, err error) {
			live = -1
			if ok && err == nil && (!epsvOnly || d.command.Verb == "EPSV") {
				live = i
				o.port, o.opener = addr.Port(), opener
			}
		}
		switch verb := d.command.Verb; verb {
		case "PORT":
			addr, err := ftp.ParseHostPort(d.command.Arg)
			announced(Server, addr, err)
		case "EPRT":
			addr, err := ftp.ParseEPRT(d.command.Arg)
			announced(Server, addr, err)
		case "PASV":
			addr, err := ftp.ParsePassive(final.Lines[0])
			announced(Client, addr, err)
		case "EPSV":
			if d.command.Arg == "ALL" {
				epsvOnly = epsvOnly || ok
				break
			}
			addr, err := ftp.ParseExtendedPassive(final.Lines[0])
			announced(Client, addr, err)
		case "RETR", "STOR", "APPE", "LIST", "NLST", "MLSD":
			o.offset, offset = offset, 0
			o.protected = protected
			if len(d.replies) > 1 || final.Code == 226 || final.Code == 425 {
				o.used, live = live, -1
			}
		case "REST":
			if final.Code == 350 {
				offset, _ = ftp.ParseSize(d.command.Arg)
			}
		case "USER":
			if final.Code != 530 {
				live, offset = -1, 0
			}
		case "REIN":
			if ok {
				live, offset, protected, epsvOnly = -1, 0, false, false
			}
		case "PROT":
			if ok {
				protected = d.command.Arg == "P"
			}
		}
		if final.Code == 421 {
			live = -1
		}
		all = append(all, o)
	}
	return all
}

// follow feeds a dialogue to a Tracker; ahead(i) is how many commands have been
// sent before command i has its first reply, besides command i itself.
func follow(dialogue []turn, ahead func(i int) int) []Exchange {
	t := between()
	t.Reply(ftp.NewReply(220, ""))
	var all []Exchange
	sent := 0
	for i, d := range dialogue {
		for ; sent < len(dialogue) && sent <= i+ahead(i); sent++ {
			t.Command(dialogue[sent].command)
		}
		for _, r := range d.replies {
			t.Reply(r)
			all = append(all, *t.Exchange())
		}
	}
	return all
}

func TestTrackerDoesWhatTheModelSays(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		dialogue := rapid.SliceOfN(turns, 1, 40).Draw(t, "dialogue")
		exchanges := follow(dialogue, func(int) int { return 0 })
		announcer := map[int]int{} // by the number of the expectation
		var got []outcome
		for _, x := range exchanges {
			if !x.Final {
				continue
			}
			if n := x.Expectation.Number; n != 0 {
				announcer[n] = x.Number - 1
			}
			o := outcome{
				port:      x.Expectation.To.Port(),
				opener:    x.Expectation.Opener,
				used:      -1,
				offset:    x.Transfer.Offset,
				protected: x.Transfer.Protected,
			}
			if n := x.Transfer.Expectation.Number; n != 0 {
				o.used = announcer[n]
			}
			got = append(got, o)
		}
		if d := cmp.Diff(model(dialogue), got, cmp.AllowUnexported(outcome{})); d != "" {
			t.Fatal(d)
		}
	})
}

func TestSendingAheadChangesNothing(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		dialogue := rapid.SliceOfN(turns, 1, 40).Draw(t, "dialogue")
		lead := rapid.SliceOfN(rapid.IntRange(0, MaxAwaited-1), len(dialogue), len(dialogue)).Draw(t, "ahead")
		want := follow(dialogue, func(int) int { return 0 })
		got := follow(dialogue, func(i int) int { return lead[i] })
		if d := cmp.Diff(want, got, comparers); d != "" {
			t.Fatal(d)
		}
	})
}

// Servers answer NOOP and STAT while data flows or after it; the client cannot
// know which, and both must be told apart from the end of the transfer.
func TestAnswersWhileDataFlows(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		questions := rapid.SliceOfN(rapid.SampledFrom([]string{"NOOP", "STAT"}), 1, 20).Draw(t, "questions")
		early := rapid.IntRange(0, len(questions)).Draw(t, "early")
		end := rapid.SampledFrom([]int{226, 250, 426, 451, 550, 552}).Draw(t, "end")
		refusal := rapid.SampledFrom([]int{0, 500, 502, 530}).Draw(t, "refusal")
		answers := map[string]int{"NOOP": 200, "STAT": 211}
		if refusal != 0 {
			answers = map[string]int{"NOOP": refusal, "STAT": refusal}
		}

		tr := between()
		tr.Reply(ftp.NewReply(220, ""))
		tr.Command(ftp.Command{Verb: "RETR"})
		tr.Reply(ftp.NewReply(150, ""))
		for _, q := range questions {
			tr.Command(ftp.Command{Verb: q})
		}
		for i := range len(questions) + 1 {
			switch {
			case i == early:
				tr.Reply(ftp.NewReply(end, ""))
				if x := tr.Exchange(); x.Number != 1 || x.Transfer.Phase != Ended || x.Transfer.Code != end {
					t.Fatalf("%d went to %v", end, x)
				}
			default:
				n := i
				if i > early {
					n--
				}
				tr.Reply(ftp.NewReply(answers[questions[n]], ""))
				if x := tr.Exchange(); x.Number != n+2 {
					t.Fatalf("answer to question %d went to %v", n, x)
				}
			}
		}
		if s := tr.State(); s.Awaiting != 0 {
			t.Fatalf("awaiting %d", s.Awaiting)
		}
	})
}

// check feeds anything, and demands what always holds.
type check struct {
	*Tracker
	began map[int]int // which transfer has used an expectation
	said  int         // commands
}

func (c *check) command(verb, arg string) {
	c.said++
	c.Command(ftp.Command{Verb: verb, Arg: arg})
}

func (c *check) reply(tb interface{ Fatalf(string, ...any) }, r ftp.Reply) {
	before := c.State()
	e, ok := c.Reply(r)
	x, s := *c.Exchange(), c.State()
	switch {
	case ok && r.Code/100 != 2:
		tb.Fatalf("%d brings about %v", r.Code, e)
	case ok && (x.Number == 0 || announcements[x.Command.Verb].read == nil):
		tb.Fatalf("%v brings about %v", x, e)
	case ok && s.EPSVAll && e.Verb != "EPSV":
		tb.Fatalf("%v after EPSV ALL", e)
	case ok && e.To.Port() == 0:
		tb.Fatalf("%v has no port", e)
	case x.Number > c.said:
		tb.Fatalf("reply to command %d of %d", x.Number, c.said)
	case s.Awaiting > before.Awaiting || x.Number != 0 && x.Final && s.Awaiting == before.Awaiting:
		tb.Fatalf("awaiting %d after %d", s.Awaiting, before.Awaiting)
	case len(c.queue.list) > MaxAwaited:
		tb.Fatalf("keeps %d commands", len(c.queue.list))
	case s.Offset < 0:
		tb.Fatalf("offset %d", s.Offset)
	}
	if n := x.Transfer.Expectation.Number; n != 0 {
		if by, used := c.began[n]; used && by != x.Number {
			tb.Fatalf("expectation %d used by %d and %d", n, by, x.Number)
		}
		c.began[n] = x.Number
	}
}

func TestAnyLinesAtAll(t *testing.T) {
	t.Parallel()
	verbs := slices.Concat([]string{"", "NOOP", "STAT", "QUIT", "SITE"}, keys(announcements), keys(transfers), keys(effects))
	codes := []int{110, 120, 125, 150, 200, 202, 211, 220, 221, 225, 226, 227, 228, 229, 230, 234, 235, 250, 257, 331, 332, 334, 350, 421, 425, 426, 450, 500, 501, 502, 503, 522, 530, 550, 631}
	args := []string{"", "ALL", "all", "1", "2", "P", "TLS", "SSL", "7", "192,0,2,1,195,80", "|1|192.0.2.1|50000|", "4,4,192,0,2,1,2,195,80"}
	texts := []string{"", "(198,51,100,2,195,80)", "(|||50000|)", "(4,4,198,51,100,2,2,195,80)", "FILE: x"}
	rapid.Check(t, func(t *rapid.T) {
		c := check{between(), map[int]int{}, 0}
		for range rapid.IntRange(1, 300).Draw(t, "lines") {
			switch rapid.IntRange(0, 20).Draw(t, "who") {
			case 0:
				c.Resync()
			case 1, 2, 3, 4, 5, 6, 7, 8, 9, 10:
				c.command(rapid.SampledFrom(verbs).Draw(t, "verb"), rapid.SampledFrom(args).Draw(t, "arg"))
			default:
				c.reply(t, ftp.NewReply(rapid.SampledFrom(codes).Draw(t, "code"), rapid.SampledFrom(texts).Draw(t, "text")))
			}
		}
	})
}

// keys returns the keys in order, so that rapid can repeat a failure.
func keys[V any](m map[string]V) []string {
	var k []string
	for s := range m {
		k = append(k, s)
	}
	slices.Sort(k)
	return k
}

func FuzzTracker(f *testing.F) {
	f.Add(login + "C: PASV\nS: 227 (198,51,100,2,195,80)\nC: RETR a\nS: 150\nC: ABOR\nS: 426\nS: 226")
	f.Add("S: 120\nC: EPSV ALL\nC: EPRT |1|192.0.2.1|50000|\nS: 220\nS: 200\nS: 200\nC: REIN\nS: 120\nS: 220")
	f.Add("S: 220\nC: AUTH SSL\nC: LPSV\nS: 234\nC: LPSV\nS: 228 (4,4,198,51,100,2,2,195,80)\nC: STOU\nS: 150 FILE: x\nS: 226")
	f.Fuzz(func(t *testing.T, text string) {
		steps, err := transcript.Script(text)
		if err != nil {
			return
		}
		c := check{between(), map[int]int{}, 0}
		for _, s := range steps {
			switch s.Who {
			case transcript.Client:
				command, _ := ftp.ParseCommand(s.Text) // what is no command is fed as the zero Command
				c.command(command.Verb, command.Arg)
			case transcript.Server:
				c.reply(t, s.Reply)
			}
		}
	})
}
