package explain

import (
	"cmp"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"towpath/internal/words"
)

// Step is one thing that happened. A session is told by its steps, in the order
// in which they happened; of a data connection, all packets with bytes are one.
type Step struct {
	Mark
	Kind StepKind
	// From and To are the ends of the packet. Speaker is client or server,
	// whoever sent it.
	From, To netip.AddrPort
	Speaker  string
	// Transfer is the index in [Session.Transfers], -1 for what belongs to the
	// control connection.
	Transfer int
	// Line is the line of the dialogue as it was said, safe to show, empty if
	// it is none. Lines of a reply are parted by \n.
	Line string
	// Says tells it in a sentence.
	Says words.Phrase
	// Bad says that it was refused, or that nobody answered it.
	Bad bool
	// Bytes and Took are those of all packets that the step stands for.
	Bytes int64
	Took  time.Duration
}

// StepKind is what kind of thing happened.
type StepKind string

// The kinds of steps.
const (
	StepHandshake StepKind = "handshake" // SYN, SYN+ACK, ACK, or the RST that refuses
	StepCommand   StepKind = "command"
	StepReply     StepKind = "reply"
	StepTLS       StepKind = "tls"   // TLS begins or ends on the control connection
	StepBytes     StepKind = "bytes" // the bytes of a transfer
	StepEnd       StepKind = "end"   // FIN or RST
)

// Steps tells the session step by step.
func (s *Session) Steps() []Step {
	n := teller{session: s}
	n.connection(&s.Control, -1)
	announced := map[int]*Transfer{}
	for _, x := range s.Transfers {
		if x.AnnouncedAt >= 0 {
			announced[x.AnnouncedAt] = x
		}
	}
	serves := map[int]int{}
	for i, x := range s.Transfers {
		if x.CommandAt >= 0 {
			serves[x.CommandAt] = i + 1
		}
	}
	if s.Secured.Packet != 0 {
		n.add(Step{Mark: s.Secured, Kind: StepTLS, Transfer: -1, Says: words.Say("step.secured")}, "client")
	}
	if s.Cleared.Packet != 0 {
		n.add(Step{Mark: s.Cleared, Kind: StepTLS, Transfer: -1, Says: words.Say("step.cleared")}, "client")
	}
	for i := range s.Commands {
		n.command(&s.Commands[i], announced[i], serves[i]-1)
	}
	for i, x := range s.Transfers {
		if x.Connection != nil {
			n.connection(x.Connection, i)
		}
	}
	slices.SortStableFunc(n.steps, func(a, b Step) int { return cmp.Compare(a.Packet, b.Packet) })
	return n.steps
}

// teller gathers the steps of a session.
type teller struct {
	session *Session
	steps   []Step
}

// add adds a step on the control connection.
func (n *teller) add(s Step, speaker string) {
	s.Speaker, s.From, s.To = speaker, n.session.Client, n.session.Server
	if speaker == "server" {
		s.From, s.To = s.To, s.From
	}
	n.steps = append(n.steps, s)
}

// command tells a command and its replies; x is the transfer whose connection
// it announces, of is that which it asks for.
func (n *teller) command(c *Command, x *Transfer, of int) {
	says := words.Say("step.command.none")
	var listens words.Phrase
	switch {
	case x != nil && x.Mode == "active" && x.Announced.IsValid():
		says = words.Say("step.announce", "to", x.Announced)
		if x.Sum != "" {
			says = words.Say("step.announce.sum", "to", x.Announced, "sum", x.Sum)
		}
	case words.Has("step.command." + c.Verb):
		says = words.Say("step.command." + c.Verb)
	case c.Verb == "NLST" || c.Verb == "MLSD":
		says = words.Say("step.command.LIST")
	case c.Verb != "":
		says = words.Say("step.command", "verb", c.Verb)
	}
	if x != nil && x.Mode == "passive" && x.Announced.IsValid() {
		listens = words.Say("step.listens", "to", x.Announced)
		if x.Sum != "" {
			listens = words.Say("step.listens.sum", "to", x.Announced, "sum", x.Sum)
		}
	}
	if c.Packet != 0 {
		n.add(Step{
			Mark: c.said(), Kind: StepCommand, Transfer: of,
			Line: strings.TrimSpace(c.Verb + " " + c.Arg), Says: says,
		}, "client")
	}
	if c.Begun != nil {
		n.reply(c.Begun.Mark, c.Begun.Code, c.Begun.Text, words.Phrase{}, of)
	}
	if c.Code/100 == 5 && readers[c.Verb] != nil {
		listens = words.Say("step.reply.announce") // servers say 500 whatever they dislike
	}
	if c.Code != 0 {
		n.reply(c.Replied, c.Code, c.Reply, listens, of)
	}
}

func (n *teller) reply(at Mark, code int, text string, says words.Phrase, of int) {
	if says.Name() == "" {
		name := "step.reply." + strconv.Itoa(code)
		if !words.Has(name) {
			name = "step.reply." + strconv.Itoa(code/100)
		}
		says = words.Say(name)
	}
	n.add(Step{
		Mark: at, Kind: StepReply, Transfer: of, Line: strings.TrimSuffix(strconv.Itoa(code)+" "+text, " "),
		Says: says, Bad: code >= 400 && code < 600,
	}, "server")
}

// connection tells a connection of the session; of is the index of its
// transfer, -1 for the control connection.
func (n *teller) connection(c *Connection, of int) {
	opener, listener := "client", "server"
	var x *Transfer
	if of >= 0 {
		x = n.session.Transfers[of]
		if x.Opener == "server" {
			opener, listener = listener, opener
		}
	}
	add := func(s Step, by string) {
		s.Transfer, s.Speaker, s.From, s.To = of, by, c.From, c.To
		if by == listener {
			s.From, s.To = c.To, c.From
		}
		n.steps = append(n.steps, s)
	}
	unanswered := c.SYNACK.Packet == 0 && len(c.SYN) > 0
	for i, at := range c.SYN {
		says := words.Say("step.syn.control", "port", c.To.Port())
		switch {
		case i > 0:
			says = words.Say("step.syn.again", "opener", words.Say(opener))
		case x != nil && x.AnnouncedBy == "":
			says = words.Say("step.syn.tied", "opener", words.Say(opener), "from", c.From.Port(), "listener", words.Say(listener), "port", c.To.Port())
		case x != nil:
			says = words.Say("step.syn.data", "opener", words.Say(opener), "from", c.From.Port(), "listener", words.Say(listener), "port", c.To.Port())
		}
		add(Step{Mark: at, Kind: StepHandshake, Says: says, Bad: unanswered}, opener)
	}
	if c.SYNACK.Packet != 0 {
		add(Step{Mark: c.SYNACK, Kind: StepHandshake, Says: words.Say("step.synack", "listener", words.Say(listener))}, listener)
	}
	if c.ACK.Packet != 0 {
		add(Step{Mark: c.ACK, Kind: StepHandshake, Says: words.Say("step.ack")}, opener)
	}
	if x != nil && c.First.Packet != 0 {
		for _, d := range []struct {
			by    string
			bytes int64
		}{{opener, c.Sent}, {listener, c.Received}} {
			if d.bytes == 0 {
				continue
			}
			says := words.Say("step.bytes", "who", words.Say(d.by), "bytes", d.bytes)
			if c.Missing > 0 && d.bytes == x.Bytes {
				says = words.Say("step.missing", "who", words.Say(d.by), "bytes", d.bytes, "missing", c.Missing)
			}
			add(Step{Mark: c.First, Kind: StepBytes, Says: says, Bytes: d.bytes, Took: c.Last.Time.Sub(c.First.Time)}, d.by)
		}
	}
	for _, e := range c.Ends {
		switch {
		case e.RST && unanswered && e.By == listener:
			add(Step{Mark: e.Mark, Kind: StepHandshake, Says: words.Say("step.refused"), Bad: true}, e.By)
		case e.RST:
			add(Step{Mark: e.Mark, Kind: StepEnd, Says: words.Say("step.rst", "who", words.Say(e.By)), Bad: true}, e.By)
		default:
			add(Step{Mark: e.Mark, Kind: StepEnd, Says: words.Say("step.fin", "who", words.Say(e.By))}, e.By)
		}
	}
}
