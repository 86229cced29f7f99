package explain

import (
	"bytes"
	"fmt"
	"net/netip"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"towpath/ftp"
	"towpath/ftp/dialogue"
)

// conclude says what became of a session as far as it is known. It can be done
// again when more is known.
func (t *talk) conclude() {
	if !t.terse { // who was told the last time may still look
		t.Findings, t.Transfers, t.evidence, t.args = []Finding{}, []*Transfer{}, nil, nil
	}
	t.Findings, t.Transfers, t.evidence, t.args = t.Findings[:0], t.Transfers[:0], t.evidence[:0], t.args[:0]
	if t.Commands == nil {
		t.Commands = []Command{}
	}
	t.Ended = t.link.conn.Last.Time
	t.link.describe(&t.Control, "client", t.turned)
	t.shown = t.told()
	for _, d := range t.shown {
		i := len(t.Transfers)
		t.Transfers = append(t.Transfers, d.transfer)
		if !t.terse && d.announced.IsValid() {
			d.transfer.Sum = sum(d.transfer.AnnouncedBy, d.announced)
		}
		d.carry()
		t.judge(d, i)
	}
	t.observe()
	t.rank()
	t.Verdict = t.overall()
}

// rank puts findings in order: what matters most comes first.
func (t *talk) rank() {
	order := []Severity{Error, Warning, Note}
	slices.SortStableFunc(t.Findings, func(a, b Finding) int { return slices.Index(order, a.Severity) - slices.Index(order, b.Severity) })
}

// told are the data connections that are worth telling, in the order of their
// announcements.
func (t *talk) told() []*deal {
	var all []*deal
	if t.terse {
		all = t.shown[:0]
	}
	for i, d := range t.deals {
		if !d.unused() || t.inVain(d) && !slices.ContainsFunc(t.deals[i:], func(d *deal) bool { return d.transfer.Verb != "" }) {
			all = append(all, d)
		}
	}
	// What was refused is worth it if nothing else came instead.
	if len(all) == 0 {
		all = append(all, t.refusals...)
	}
	if d := t.stalled(); d != nil {
		all = append(all, d)
	}
	all = append(all, t.inferred(all)...)
	slices.SortStableFunc(all, func(a, b *deal) int { return a.place() - b.place() })
	return all
}

// inVain says that a client may have tried to connect where the server listened,
// though no packet of that is in the capture: it asked for another way then, or
// left after a while, or without a word. One that takes its leave at once, has
// other things to say, or says the same to a beat, has said PASV to keep the session
// alive; and where other data connections of the session are in the capture, this
// one would be.
func (t *talk) inVain(d *deal) bool {
	x := d.transfer
	switch {
	case d.expect.Opener != dialogue.Client || !t.gaveUp() && !t.left():
		return false
	case x.Announced.Addr() != t.Server.Addr(), t.turnedAway(x.AnnouncedAt) != nil:
		return true // these have reasons of their own to leave at once
	}
	for _, c := range t.Commands[x.AnnouncedAt+1:] {
		switch {
		case c.Verb == "": // the server says that it has waited long enough
		case announces(c.Verb) && c.Verb != x.AnnouncedBy:
			return true
		case !announces(c.Verb) && c.Verb != "QUIT" && c.Verb != "ABOR":
			return false
		default:
			const tries = time.Second // a SYN that nobody answers comes again after that
			return c.Time.Sub(d.agreed.Time) >= tries && !t.beats(x.AnnouncedAt) &&
				!slices.ContainsFunc(t.deals, func(d *deal) bool { return len(d.links) > 0 })
		}
	}
	return true // it leaves without a word
}

// beats says that an announcement is one of several alike, at least three, that
// follow each other at one distance, and that the client did not wait as long for
// the last: who waits for a connection waits as long each time, and who keeps his
// session alive leaves when he likes. More than tries of them are a beat anyway.
func (t *talk) beats(at int) bool {
	const tries = 5
	alike := func(i int) bool {
		return i >= 0 && i < len(t.Commands) && t.Commands[i].Verb == t.Commands[at].Verb
	}
	from, to := at, at
	for alike(from-1) && at-from < tries {
		from--
	}
	for alike(to+1) && to-at < tries {
		to++
	}
	if to-from < 2 {
		return false
	}
	beat := t.Commands[to].Time.Sub(t.Commands[from].Time) / time.Duration(to-from)
	for i := from; i < to; i++ {
		if d := t.Commands[i+1].Time.Sub(t.Commands[i].Time) - beat; d.Abs() > beat/10 {
			return false
		}
	}
	return to-from >= tries || to+1 < len(t.Commands) && t.Commands[to+1].Time.Sub(t.Commands[to].Time) < beat*9/10
}

// place is the number of a packet by which deals are put in order.
func (d *deal) place() int {
	switch {
	case d.transfer.Asked.Packet != 0:
		return d.transfer.Asked.Packet
	case d.transfer.Announcement.Packet != 0:
		return d.transfer.Announcement.Packet
	case len(d.links) > 0:
		return d.links[0].conn.First.Packet
	}
	return 0
}

// stalled finds an announcement that nobody has answered, as the last thing
// that was said before the client gave up.
func (t *talk) stalled() *deal {
	if t.missed {
		return nil
	}
	for i := len(t.Commands) - 1; i >= 0; i-- {
		switch c := &t.Commands[i]; {
		case c.Verb == "QUIT" && c.Code == 0:
			continue
		case !announces(c.Verb) || c.Code != 0 || !t.gaveUp() && t.after(c.said()) < time.Second:
			return nil
		}
		if slices.ContainsFunc(t.Commands[:i], func(c Command) bool { return c.Code == 0 }) {
			return nil // it is not the announcement that ails
		}
		d := &deal{refused: true, transfer: &Transfer{AnnouncedBy: t.Commands[i].Verb, AnnouncedAt: i, CommandAt: -1}}
		d.refuse(&dialogue.Exchange{Command: t.sent(i)}, t, i)
		d.problem, d.stalled = nil, true
		return d
	}
	return nil
}

// inferred ties connections between the same hosts to a session whose
// announcements cannot be read.
func (t *talk) inferred(told []*deal) []*deal {
	var all []*deal
	var open []*deal // transfers of which the announcement is missing
	for _, d := range told {
		if d.transfer.Verb != "" && d.transfer.AnnouncedBy == "" && len(d.links) == 0 && d.transfer.Code/100 != 5 {
			open = append(open, d)
		}
	}
	for _, l := range t.suspects {
		if l.deal != nil && !l.deal.inferred || l.talk != nil {
			continue
		}
		c := l.conn
		passive := c.Client.Addr() == t.Client.Addr() && c.Server.Port() >= 1024 && c.Server.Port() != t.Server.Port()
		if c.Server.Addr() != t.Server.Addr() && passive && l.established() {
			continue // it went elsewhere and came about: something else
		}
		active := c.Client.Addr() == t.Server.Addr() && c.Server.Port() >= 1024 && !passive
		if !passive && !active {
			continue
		}
		d := l.deal
		if d == nil {
			secured := t.Secured.Packet
			hidden := secured != 0 && c.First.Packet > secured && (t.Cleared.Packet == 0 || c.First.Packet < t.Cleared.Packet)
			i := slices.IndexFunc(open, func(d *deal) bool {
				end := d.answered.Packet
				return len(d.links) == 0 && (!d.final || c.First.Packet < end)
			})
			switch {
			case hidden:
				d = &deal{talk: t, inferred: true, transfer: &Transfer{AnnouncedAt: -1, CommandAt: -1}}
			case i >= 0:
				d = open[i]
				d.inferred = true
			default:
				continue
			}
			d.take(l)
		}
		x := d.transfer
		x.Inferred, x.Mode, x.Opener = true, "passive", "client"
		if active {
			x.Mode, x.Opener = "active", "server"
		}
		x.Protected = l.isTLS()
		if x.Verb == "" {
			all = append(all, d)
		}
	}
	return all
}

// isTLS says whether the connection begins as TLS does.
func (l *link) isTLS() bool {
	var r records
	return r.starts(l.head[fromClient]) || r.starts(l.head[fromServer])
}

// judge gives the verdict on a transfer, and says why it failed.
func (t *talk) judge(d *deal, i int) {
	x := d.transfer
	l := d.best()
	established := l != nil && l.established()
	x.Cause = ""
	switch {
	case d.refused:
		x.Verdict = Failed
		t.refusal(d, i)
	case d.final && x.Code < 400 && established && !x.Complete && x.Connection.isReset() && t.aborted(d) != 0:
		x.Verdict = Failed
		t.failure(d, i)
	case d.final && x.Code < 400 && established:
		x.Verdict = Worked
	case d.final && x.Code < 400:
		x.Verdict = NotCaptured
	case d.final:
		x.Verdict = Failed
		t.failure(d, i)
	case l != nil && !established && l.fresh() && !t.gaveUp():
		x.Verdict = Unknown
	case l != nil && !established:
		x.Verdict = Failed
		t.failure(d, i)
	case x.Verb == "" && x.AnnouncedAt >= 0 && (established || l == nil) && t.turnedAway(x.AnnouncedAt) != nil:
		x.Verdict = Failed
		t.deny(d, i, t.turnedAway(x.AnnouncedAt))
	case established && x.Connection.isReset() && !x.Complete:
		if x.Inferred && x.Protected && x.Bytes > 0 { // some programs end TLS so
			x.Verdict = Unknown
			break
		}
		x.Verdict = Failed
		t.failure(d, i)
	case established && x.Complete && x.Bytes == 0 && d.strange(t): // Pure-FTPd hangs up on him, and goes on waiting
		x.Verdict = Failed
		t.found(d, i, "stranger", Error, t.packets(d), "peer", x.From.Addr(), "want", d.expect.From)
	case established && x.Complete && x.Verb != "" && (x.Bytes > 0 || t.begun(x)) && t.silent(d):
		x.Verdict = Failed
		t.found(d, i, "forgotten", Error, t.packets(d), "bytes", x.Bytes)
	case x.Verb != "" && t.gaveUp() && t.Secured.Packet == 0 && !established && x.Code == 0 && x.AnnouncedBy != "" && !t.missed:
		x.Verdict = Failed
		t.failure(d, i)
	case l == nil && x.Verb == "" && t.shied(x): // tnftp goes no further
		x.Verdict = Failed
		t.unseen(d, i, true, t.packets(d))
	case l == nil && x.Verb == "":
		x.Verdict = Unknown
		t.found(d, i, "no-connection", Warning, t.packets(d), "opener", who(x.Opener), "to", x.Announced)
	default:
		x.Verdict = Unknown
	}
	t.inspect(d, i)
}

// turnedAway finds the command that the server refused as the last thing before
// the client left, or announced again: what it wanted to move it then gave up.
// curl asks for SIZE before it asks for the file. It looks behind command from.
func (t *talk) turnedAway(from int) *Command {
	var last *Command
	again := false
	for i := from + 1; i < len(t.Commands) && !again; i++ {
		switch c := &t.Commands[i]; {
		case announces(c.Verb):
			again = true
		case c.Verb != "" && c.Verb != "QUIT" && c.Verb != "ABOR":
			last = c
		}
	}
	if last == nil || last.Code/100 != 5 || !ofFiles(last.Verb) || !again && !t.gaveUp() && !t.left() {
		return nil
	}
	return last
}

// deny says that a client has left since a command was refused.
func (t *talk) deny(d *deal, i int, c *Command) {
	t.found(d, i, "refused.file", Error, []int{c.Packet, c.Replied.Packet}, "verb", quoted(strings.TrimSpace(c.Verb+" "+c.Arg)), "reply", answered(c.Code, c.Reply))
}

// ofFiles says whether a verb is about a file or a directory, and moves none.
func ofFiles(verb string) bool {
	switch verb {
	case "CWD", "CDUP", "SIZE", "MDTM", "MLST", "MKD", "RMD", "DELE", "RNFR", "RNTO", "XCWD", "XMKD", "XRMD":
		return true
	}
	return false
}

func (c *Connection) isReset() bool {
	_, is := c.Reset()
	return is
}

// shied says that a client took its leave from a 227 that names another host
// than the one that it speaks with.
func (t *talk) shied(x *Transfer) bool {
	return x.Opener == "client" && x.Announced.IsValid() && x.Announced.Addr() != t.Server.Addr() &&
		x.AnnouncedAt >= 0 && x.AnnouncedAt == len(t.Commands)-2 && t.left()
}

// silent says that the control connection is dead at the end of a transfer: the
// client speaks or leaves and is not answered, or a long time passes.
func (t *talk) silent(d *deal) bool {
	last := d.transfer.Connection.Ends
	if len(last) == 0 || t.missed {
		return false
	}
	end := last[len(last)-1].Time
	for _, e := range t.Control.Ends {
		if e.Time.After(end) {
			return true
		}
	}
	return t.Control.Retransmitted > 0 && t.after(Mark{Time: end}) > time.Second
}

// packets are the evidence on a transfer.
func (t *talk) packets(d *deal) []int {
	x := d.transfer
	all := []int{x.Announcement.Packet, x.Asked.Packet}
	if c := x.Connection; c != nil {
		for _, m := range c.SYN {
			all = append(all, m.Packet)
		}
		if len(c.SYN) == 0 {
			all = append(all, c.First.Packet)
		}
		for _, e := range c.Ends {
			all = append(all, e.Packet)
		}
	}
	all = append(all, d.answered.Packet)
	all = slices.DeleteFunc(all, func(n int) bool { return n == 0 })
	slices.Sort(all)
	return slices.Compact(all)
}

// refusal says why an announcement came to nothing.
func (t *talk) refusal(d *deal, i int) {
	x := d.transfer
	packets := []int{x.Announcement.Packet, t.Commands[x.AnnouncedAt].Replied.Packet}
	switch {
	case d.stalled:
		t.found(d, i, "announcement-eaten", Error, packets[:1], "verb", x.AnnouncedBy)
	case x.AnnouncedBy == "EPRT" && x.Announced.IsValid() && x.Announced.Addr().Is6() != t.Client.Addr().Is6():
		t.found(d, i, "family", Error, packets, "verb", x.AnnouncedBy, "address", x.Announced.Addr(), "peer", t.Client.Addr())
	case d.problem != nil && x.Code < 400, d.problem != nil && x.Mode == "active":
		t.misread(d, i, Error)
	case x.Mode == "active" && x.Announced.IsValid() && x.Announced.Addr() != t.Client.Addr():
		t.found(d, i, "address-mismatch", Error, packets, "verb", x.AnnouncedBy, "address", x.Announced.Addr(), "peer", t.Client.Addr())
	case x.Mode == "active" && x.Announced.IsValid() && (isUnroutable(x.Announced.Addr()) && x.Code/10 == 50 || ofAddress.MatchString(x.Reply)):
		t.found(d, i, "address-mismatch.own", Error, packets, "verb", x.AnnouncedBy, "address", x.Announced.Addr())
	default:
		t.found(d, i, "refused", Error, packets, "verb", x.AnnouncedBy, "reply", answered(x.Code, x.Reply))
	}
}

// answered is a reply as it is quoted: its first line that says something, and
// not too much of it.
func answered(code int, text string) string {
	line := ""
	for next := range strings.SplitSeq(text, "\n") {
		if line = strings.TrimSpace(strings.TrimPrefix(next, strconv.Itoa(code))); line != "" {
			break
		}
	}
	return quoted(strings.TrimSpace(strconv.Itoa(code) + " " + line))
}

// quoted cuts what was said to what can be read in a sentence.
func quoted(s string) string {
	const most = 120
	if r := []rune(s); len(r) > most {
		return string(r[:most]) + "…"
	}
	return s
}

// misread tells of an announcement that cannot be read, and whose fault that is.
func (t *talk) misread(d *deal, i int, how Severity) {
	x := d.transfer
	c := t.Commands[x.AnnouncedAt]
	said, by := answered(c.Code, c.Reply), "server"
	if readers[c.Verb] != nil {
		said, by = quoted(strings.TrimSpace(c.Verb+" "+c.Arg)), "client"
	}
	packets := []int{c.Packet, c.Replied.Packet}
	if how == Error {
		t.found(d, i, "bad-announcement", how, packets, "said", said, "who", who(by))
	} else {
		t.found(nil, -1, "bad-announcement", how, packets, "said", said, "who", who(by))
	}
}

// ofAddress is how servers say that they do not like the address of a PORT:
// vsftpd "Illegal PORT command", ProFTPD "Illegal PORT command", Pure-FTPd "I
// won't open a connection to …", ours "… but you come from …".
var ofAddress = regexp.MustCompile(`(?i)illegal (port|eprt)|won't open|come from|foreign|bounce|third.party|not your|address`)

// isUnroutable says that an address leads nowhere on the Internet.
func isUnroutable(a netip.Addr) bool {
	return a.IsPrivate() || a.IsLoopback() || a.IsLinkLocalUnicast() || a.IsUnspecified() || netip.MustParsePrefix("100.64.0.0/10").Contains(a)
}

// failure says why a data connection failed.
func (t *talk) failure(d *deal, i int) {
	x := d.transfer
	l := d.best()
	packets := t.packets(d)
	peer := t.Server
	if x.Opener == "server" {
		peer = t.Client
	}
	foreign := x.Announced.IsValid() && x.Announced.Addr() != peer.Addr()
	switch {
	case l == nil && x.AnnouncedBy == "" && x.Code == 425:
		t.found(d, i, "no-mode", Error, packets, "verb", x.Verb)
	case l == nil && (x.Code == 425 || x.Code == 426 || !d.final):
		t.unseen(d, i, foreign, packets)
	case l == nil:
		t.found(d, i, "refused.file", Error, packets, "verb", x.Verb, "reply", answered(x.Code, x.Reply))
	case l.halfOpen():
		t.found(d, i, "answer-strays", Error, packets, "opener", who(x.Opener), "to", x.To)
	case l.refused() && x.Opener == "client" && x.To.Addr() == peer.Addr() && t.misnamed():
		t.found(d, i, "not-forwarded", Error, packets, "opener", who(x.Opener), "to", x.To)
	case l.refused():
		t.found(d, i, "closed-port", Error, packets, "opener", who(x.Opener), "to", x.To)
	case !l.established() && x.To.IsValid() && x.To.Addr() != peer.Addr():
		t.found(d, i, "inside-address", Error, packets, "verb", x.announcing(), "address", x.To.Addr(), "peer", peer.Addr(), "opener", who(x.Opener))
	case !l.established() && l.icmp() != nil:
		e := l.icmp()
		name, what := stopped(e)
		t.found(d, i, name, Error, append(packets, e.Packet), "opener", who(x.Opener), "to", x.To, "by", e.By, "what", what)
	case !l.established():
		t.found(d, i, dropped(x.Opener), Error, packets, "opener", who(x.Opener), "to", x.To)
	case d.strange(t):
		t.found(d, i, "stranger", Error, packets, "peer", x.From.Addr(), "want", d.expect.From)
	case d.final && x.Bytes > 0 && t.aborted(d) != 0:
		t.found(d, i, "aborted", Error, append(packets, t.aborted(d)), "bytes", x.Bytes)
	case d.final && t.neverBegun(x):
		t.found(d, i, "refused.file", Error, packets, "verb", x.Verb, "reply", answered(x.Code, x.Reply))
	case x.Connection.isReset():
		e, _ := x.Connection.Reset()
		t.found(d, i, "reset", Error, packets, "who", who(e.By), "bytes", x.Bytes)
	case d.final && x.Code == 425 && foreign:
		t.found(d, i, "stranger", Error, packets, "peer", x.From.Addr(), "want", d.expect.From)
	case d.final:
		t.found(d, i, "refused.file", Error, packets, "verb", x.Verb, "reply", answered(x.Code, x.Reply))
	default:
		t.found(d, i, "cut", Error, packets, "bytes", x.Bytes)
	}
}

// misnamed says that the server names another address than the one that the
// client knows it by. The latter is then that of a machine before it, which
// forwards what it was told to: so a RST from there is not the server's.
func (t *talk) misnamed() bool {
	return slices.ContainsFunc(t.odd, func(o oddity) bool { return o.name == "foreign" && slices.Contains(o.args, any("227")) })
}

// begun says that the server announced that it begins.
func (t *talk) begun(x *Transfer) bool {
	return x.CommandAt >= 0 && t.Commands[x.CommandAt].Begun != nil
}

// neverBegun says that the server refused a transfer outright, and not since its
// connection broke: what became of that afterwards says nothing.
func (t *talk) neverBegun(x *Transfer) bool {
	return x.CommandAt >= 0 && !t.begun(x) && x.Bytes == 0 && x.Code != 425 && x.Code != 426
}

// aborted is the packet by which the client gave a transfer up that had begun, 0
// if it did not.
func (t *talk) aborted(d *deal) int {
	x := d.transfer
	if x.CommandAt < 0 || !t.begun(x) {
		return 0
	}
	for _, c := range t.Commands[x.CommandAt+1:] {
		switch {
		case c.Packet > d.answered.Packet:
			return 0
		case c.Verb == "ABOR":
			return c.Packet
		}
	}
	return 0
}

// strange says that the connection was made by another host than the session.
func (d *deal) strange(t *talk) bool {
	return d.expect.From.IsValid() && d.transfer.From.IsValid() && d.transfer.From.Addr() != d.expect.From
}

// unseen says why a connection failed of which nothing is in the capture.
func (t *talk) unseen(d *deal, i int, foreign bool, packets []int) {
	x := d.transfer
	a := x.Announced.Addr()
	switch {
	case foreign:
		peer := t.Server.Addr()
		if x.Opener == "server" {
			peer = t.Client.Addr()
		}
		t.found(d, i, "inside-address", Error, packets, "verb", x.announcing(), "address", a, "peer", peer, "opener", who(x.Opener))
	case x.Mode == "active" && isUnroutable(a) && !isUnroutable(t.Server.Addr()):
		t.found(d, i, "inside-address.far", Error, packets, "verb", x.AnnouncedBy, "address", a, "peer", t.Server.Addr())
	default:
		t.found(d, i, "no-connection", Error, packets, "opener", who(x.Opener), "to", x.Announced)
	}
}

// announcing is the announcement as it stands on the wire.
func (x *Transfer) announcing() string {
	switch x.AnnouncedBy {
	case "PASV":
		return "227"
	case "EPSV":
		return "229"
	}
	return x.AnnouncedBy
}

// overall is the verdict on the session.
func (t *talk) overall() Verdict {
	c := t.link
	switch {
	case c.fresh():
		return Unknown
	case !c.established():
		return Failed
	case len(t.Transfers) == 0:
		for _, f := range t.Findings {
			if f.Severity == Error {
				return Failed
			}
		}
		return Worked
	}
	v := Worked
	for _, x := range t.Transfers {
		v = worse(v, x.Verdict)
	}
	return v
}

// left says that the client has taken its leave.
func (t *talk) left() bool {
	return len(t.Commands) > 0 && t.Commands[len(t.Commands)-1].Verb == "QUIT"
}

// suspect looks at the address of an announcement that was accepted.
func (t *talk) suspect(e dialogue.Expectation, at Mark) {
	switch {
	case e.To.Addr().Is6() != t.Client.Addr().Is6():
		peer := t.Client.Addr()
		t.note("family", at, "verb", e.Verb, "address", e.To.Addr(), "peer", peer)
	case !e.Foreign:
	case e.Opener == dialogue.Client:
		t.note("foreign", at, "verb", "227", "address", e.To.Addr(), "peer", t.Server.Addr())
	case isUnroutable(e.To.Addr()) && e.To.Port() >= 1024 && !beside(e.To.Addr(), t.Client.Addr()) && !beside(e.To.Addr(), t.Server.Addr()):
		t.note("foreign", at, "verb", e.Verb, "address", e.To.Addr(), "peer", t.Client.Addr())
	default:
		t.note("bounce", at, "verb", e.Verb, "to", e.To, "peer", t.Client.Addr())
	}
}

// beside says that two addresses are of the same small network, as far as that
// can be told. An address of a private network that is beside neither end is
// rather what a client behind a NAT calls itself than a third host.
func beside(a, b netip.Addr) bool {
	bits := 24
	if a.Is6() {
		bits = 64
	}
	near, err := a.Prefix(bits)
	return err == nil && near.Contains(b)
}

// inspect looks at what a data connection carried.
func (t *talk) inspect(d *deal, i int) {
	x, c := d.transfer, d.transfer.Connection
	if c == nil {
		return
	}
	ended := func(before ...int) []int { return append(before, c.First.Packet, c.Last.Packet) }
	if size, at := t.size(d); size > x.Bytes && x.Verdict == Worked {
		if x.Complete {
			t.found(nil, i, "short", Warning, ended(at), "bytes", x.Bytes, "size", size)
		} else {
			t.found(nil, i, "not-in-capture", Note, ended(at), "bytes", x.Bytes, "size", size)
		}
	} else if c.Missing > 0 {
		t.found(nil, i, "missing", Note, ended(), "missing", c.Missing, "bytes", x.Bytes)
	}
	if x.undone != "" {
		how, made := Note, int64(0)
		if x.Decoded != nil {
			how, made = Warning, *x.Decoded
		}
		t.found(nil, i, x.undone, how, ended(x.Asked.Packet), "mode", x.Coding, "bytes", made)
	}
	if c.Stalled > time.Second {
		t.found(nil, i, "stall", Warning, ended(), "seconds", fmt.Sprintf("%.1f", c.Stalled.Seconds()))
	}
	if strings.HasPrefix(x.Type, "A") && !x.listing() && x.Verb != "" && !x.Protected && d.binary() {
		t.found(nil, i, "ascii", Warning, ended(x.Asked.Packet), "verb", x.Verb, "path", x.Path)
	}
	if resumed, known := d.resumption(); known && !resumed {
		t.found(nil, i, "not-resumed", Note, []int{c.First.Packet})
	}
	if x.Inferred {
		t.found(nil, i, "inferred", Note, []int{d.best().conn.First.Packet}, "from", c.From, "to", c.To)
	}
}

// size is how long the file is that a transfer fetches, as the server said: in
// its 150, or in answer to SIZE. It is 0 if it said nothing.
func (t *talk) size(d *deal) (size int64, packet int) {
	x := d.transfer
	if x.Verb != "RETR" || x.Offset != 0 || x.Coding != "" || !strings.HasPrefix(x.Type, "I") || x.CommandAt < 0 {
		return 0, 0
	}
	for _, c := range slices.Backward(t.Commands[:x.CommandAt]) {
		if c.Verb == "RANG" && c.Code/100 == 3 { // a part of it is wanted
			return 0, 0
		}
		if !sameFile(c.Verb) {
			break
		}
	}
	if b := t.Commands[x.CommandAt].Begun; b != nil {
		if m := opening.FindStringSubmatch(b.Text); m != nil {
			n, _ := strconv.ParseInt(m[1], 10, 64)
			return n, b.Packet
		}
	}
	for i := x.CommandAt - 1; i >= 0; i-- {
		c := &t.Commands[i]
		if c.Verb == "SIZE" && c.Code == 213 && c.Arg == t.Commands[x.CommandAt].Arg {
			n, err := ftp.ParseSize(strings.TrimSpace(c.Reply))
			if err != nil {
				return 0, 0
			}
			return n, c.Replied.Packet
		}
		if !sameFile(c.Verb) {
			break
		}
	}
	return 0, 0
}

// sameFile says whether a path means the same file of the same size behind a
// command as before it. SIZE under another TYPE may be another size.
func sameFile(verb string) bool {
	switch verb {
	case "CWD", "CDUP", "XCWD", "XCUP", "USER", "REIN", "TYPE", "STOR", "STOU", "APPE", "RETR", "DELE", "RNTO", "SITE":
		return false
	}
	return true
}

// opening is how a 150 tells the size: BSD, vsftpd and ProFTPD write it so.
var opening = regexp.MustCompile(`\((\d{1,18}) bytes\)`)

// binary says that what a transfer moves is no text: by its name, or by the NUL
// bytes in its beginning.
func (d *deal) binary() bool {
	switch strings.ToLower(path.Ext(d.transfer.Path)) {
	case ".zip", ".gz", ".tgz", ".bz2", ".xz", ".zst", ".7z", ".tar", ".iso", ".exe", ".bin", ".jar", ".png", ".jpg", ".jpeg", ".gif",
		".pdf", ".mp3", ".mp4", ".doc", ".docx", ".xls", ".xlsx", ".so", ".dll", ".deb", ".rpm", ".dmg", ".apk", ".sqlite":
		return true
	}
	if d.transfer.Coding != "" {
		return false
	}
	l := d.best()
	return bytes.IndexByte(l.head[0], 0) >= 0 || bytes.IndexByte(l.head[1], 0) >= 0
}

// observe finds what is to be said of the session as a whole.
func (t *talk) observe() {
	c := t.link
	syns := func() (all []int) {
		for _, m := range c.asked() {
			all = append(all, m.Packet)
		}
		return all
	}
	switch {
	case c.fresh():
	case c.refused():
		t.found(nil, -1, "closed-port", Error, append(syns(), c.conn.Side(1).RST.Packet), "opener", who("client"), "to", t.Server)
	case t.strays != nil:
		t.found(nil, -1, "answer-strays.from", Error, append(syns(), t.strays.link.conn.First.Packet), "to", t.Server, "from", t.strays.Server)
	case c.halfOpen():
		t.found(nil, -1, "answer-strays", Error, append(syns(), c.conn.SYNACK.Packet), "opener", who("client"), "to", t.Server)
	case c.conn.SYN.Seen() && !c.established() && c.icmp() != nil:
		e := c.icmp()
		name, what := stopped(e)
		t.found(nil, -1, name, Error, append(syns(), e.Packet), "opener", who("client"), "to", t.Server, "by", e.By, "what", what)
	case c.conn.SYN.Seen() && !c.established():
		t.found(nil, -1, "no-answer", Error, syns(), "to", t.Server, "count", len(c.asked()))
	}
	for _, o := range t.odd {
		how := Warning
		switch o.name {
		case "foreign":
			how = Note
		case "tls-refused":
			how = Error
		}
		var packets []int
		for _, m := range o.at {
			packets = append(packets, m.Packet)
		}
		t.found(nil, -1, o.name, how, packets, o.args...)
	}
	if t.full {
		t.found(nil, -1, "too-long", Note, []int{t.Commands[len(t.Commands)-1].Replied.Packet}, "count", len(t.Commands))
	}
	for i := range t.Commands {
		if !t.refused {
			break
		}
		switch c := &t.Commands[i]; {
		case t.atDoor(i):
			t.found(nil, -1, "refused.session", Error, []int{c.Packet, c.Replied.Packet}, "reply", answered(c.Code, c.Reply))
		case c.Verb == "" && c.Code == 421 && c.Packet == 0:
			t.found(nil, -1, "ended-by-server", Warning, []int{c.Replied.Packet}, "reply", c.Reply)
		}
	}
	for _, d := range t.refusals {
		if d.problem != nil && !slices.Contains(t.shown, d) {
			t.misread(d, -1, Warning)
		}
	}
	if at := t.refusedLogins(); len(at) > 0 && !t.loggedIn() {
		var last *Command
		for i := range t.Commands {
			if c := &t.Commands[i]; t.refusesLogin(c) {
				last = c
			}
		}
		name := "login-refused"
		if last.Verb == "USER" {
			name = "login-refused.user" // no password was asked for
		}
		t.found(nil, -1, name, Error, at, "user", t.User, "reply", answered(last.Code, last.Reply))
	}
	if len(t.Transfers) == 0 && t.loggedIn() {
		if c := t.turnedAway(-1); c != nil {
			t.deny(nil, -1, c)
		}
	}
	if e, cut := t.Control.Reset(); cut && len(t.Commands) > 0 {
		if last := &t.Commands[len(t.Commands)-1]; last.Code == 0 && last.Verb != "QUIT" && !t.missed {
			how := Warning
			if !t.loggedIn() { // it never came about
				how = Error
			}
			t.found(nil, -1, "session-cut", how, []int{last.Packet, e.Packet}, "who", who(e.By), "verb", last.Verb)
		}
	}
	if t.PasswordInClear && !anonymous(t.User) {
		i := 0
		for t.Commands[i].Verb != "PASS" {
			i++
		}
		t.found(nil, -1, "password-in-clear", Warning, []int{t.Commands[i].Packet}, "user", t.User)
	}
}

// refusedLogins are the packets of the replies that refused a password.
func (t *talk) refusedLogins() (at []int) {
	if !t.refused {
		return nil
	}
	for i := range t.Commands {
		if c := &t.Commands[i]; t.refusesLogin(c) {
			at = append(at, c.Replied.Packet)
		}
	}
	return at
}

// refusesLogin says whether c is a login that was refused, for good. Servers
// that want TLS first refuse one without it: what became of the next one is
// not to be seen.
func (t *talk) refusesLogin(c *Command) bool {
	return c.Code >= 400 && c.Code != 421 && (c.Verb == "PASS" || c.Verb == "USER") && (c.Packet > t.Secured.Packet || t.Secured.Packet == 0)
}

// atDoor says whether the reply to command i sends the client away before it is
// let in, whoever it is: that in place of the greeting, or a 421 to a login.
func (t *talk) atDoor(i int) bool {
	c := &t.Commands[i]
	switch c.Verb {
	case "USER", "PASS":
		return c.Code == 421
	case "":
		begun := t.link.conn.SYN.Seen() || t.link.conn.SYNACK.Seen()
		return i == 0 && c.Packet == 0 && c.Code >= 400 && begun
	}
	return false
}

// bruteForce is how many passwords of one host are refused before it is said to
// be guessing.
const bruteForce = 10

// guesses finds hosts that try many passwords.
func guesses(talks []*talk) {
	type tries struct {
		first   *talk
		packets []int
		count   int
	}
	by := map[netip.Addr]*tries{}
	var order []*tries
	for _, t := range talks {
		at := t.refusedLogins()
		if len(at) == 0 {
			continue
		}
		x := by[t.Client.Addr()]
		if x == nil {
			x = &tries{first: t}
			by[t.Client.Addr()] = x
			order = append(order, x)
		}
		x.count += len(at)
		if t.Capture == x.first.Capture && len(x.packets) < 100 {
			x.packets = append(x.packets, at...)
		}
	}
	for _, x := range order {
		if x.count >= bruteForce {
			x.first.found(nil, -1, "brute-force", Warning, x.packets, "count", x.count, "client", x.first.Client.Addr())
		}
	}
}

func anonymous(user string) bool {
	return strings.EqualFold(user, "anonymous") || strings.EqualFold(user, "ftp")
}
