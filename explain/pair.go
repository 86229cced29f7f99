package explain

import (
	"cmp"
	"fmt"
	"hash/maphash"
	"net/netip"
	"slices"
	"strings"
	"time"

	"towpath/capture"
)

// pairs finds the sessions that several captures show, or one capture on both
// sides of a NAT, and returns them as groups; each begins next to the client.
//
// Addresses, ports and sequence numbers may all be others; what is said is not,
// but for announcements. Sessions that say the same are told apart by their
// first sequence numbers where those are kept, by the client's port, and in the
// end by their order.
func pairs(talks []*talk) [][]*talk {
	alike := map[uint64][]*talk{}
	var order []uint64
	for _, t := range talks {
		p := t.print()
		if alike[p] == nil {
			order = append(order, p)
		}
		alike[p] = append(alike[p], t)
	}
	var groups [][]*talk
	for _, p := range order {
		for _, g := range split(alike[p]) {
			if len(g) > 1 {
				slices.SortStableFunc(g, func(a, b *talk) int { return cmp.Compare(b.away(), a.away()) })
				groups = append(groups, g)
			}
		}
	}
	return groups
}

// print is what a session says, but for what NATs and their helpers change. Of
// a long session the beginning is enough, and captures do not end together.
func (t *talk) print() uint64 {
	var h maphash.Hash
	h.SetSeed(seed)
	n := 0
	for _, c := range t.Commands {
		if n++; n > 8 {
			break
		}
		arg, reply := c.Arg, c.Reply
		if announces[c.Verb] {
			arg, reply = "", ""
			if c.Code/100 != 2 {
				break // one side may have heard another answer
			}
		}
		for _, s := range [...]string{c.Verb, arg, reply} {
			h.WriteString(s)
			h.WriteByte(0)
		}
		h.WriteByte(byte(c.Code))
	}
	if n == 0 { // not a word: only the handshake tells
		maphash.WriteComparable(&h, t.Client.Port())
		maphash.WriteComparable(&h, t.link.conn.Side(capture.FromClient).ISN)
	}
	return h.Sum64()
}

var seed = maphash.MakeSeed()

// split makes groups of sessions that say the same: one of each place.
func split(alike []*talk) [][]*talk {
	var groups [][]*talk
	for _, t := range alike {
		best, score := -1, 0
		for i, g := range groups {
			if slices.ContainsFunc(g, func(x *talk) bool { return x.samePlace(t) }) {
				continue
			}
			if s := g[0].kinship(t); s > score {
				best, score = i, s
			}
		}
		if best < 0 {
			groups = append(groups, []*talk{t})
			continue
		}
		groups[best] = append(groups[best], t)
	}
	return groups
}

// samePlace says that two sessions were captured at the same place, and so are
// not the same session.
func (t *talk) samePlace(x *talk) bool {
	return t.Capture == x.Capture && (t.Client.Addr() == x.Client.Addr() && t.Server == x.Server)
}

// kinship is how much speaks for two sessions being the same one, 0 if they
// cannot be.
func (t *talk) kinship(x *talk) int {
	a, b := t.link.conn, x.link.conn
	score := 1
	isn := func(d capture.Direction) bool { return a.Side(d).ISN == b.Side(d).ISN }
	if a.SYN.Seen() && b.SYN.Seen() {
		if isn(capture.FromClient) {
			score += 8
		}
		if isn(capture.FromServer) && a.SYNACK.Seen() && b.SYNACK.Seen() {
			score += 8
		}
	}
	if t.Client.Port() == x.Client.Port() {
		score += 4
	}
	// The same time, as far as clocks agree.
	if d := t.Started.Sub(x.Started).Abs(); d < 5*time.Second {
		score += 2
	} else if t.Capture == x.Capture {
		return 0
	}
	return score
}

// away is how far from the server a session was captured: the time from SYN to
// SYN+ACK.
func (t *talk) away() time.Duration {
	c := t.link.conn
	if !c.SYN.Seen() || !c.SYNACK.Seen() {
		return -1
	}
	return c.SYNACK.Time.Sub(c.SYN.Time)
}

// ahead is by how much the clock of x is ahead of that of t: what the way there
// and the way back have in common falls out.
func (t *talk) ahead(x *talk) time.Duration {
	a, b := t.link.conn, x.link.conn
	there := b.First.Time.Sub(a.First.Time)
	if !a.SYNACK.Seen() || !b.SYNACK.Seen() || !a.SYN.Seen() || !b.SYN.Seen() {
		return there
	}
	back := b.SYNACK.Time.Sub(a.SYNACK.Time)
	return there/2 + back/2
}

// join tells what lies between the places of a group: twins, translations, and
// what one side knows that the other cannot.
func join(s *Story, g []*talk) {
	near, far := g[0], g[len(g)-1]
	for _, t := range g {
		t.Twin = near.ID
	}
	near.Twin = far.ID
	for i := range g[1:] {
		a, b := g[i], g[i+1]
		if a.Client.Addr() != b.Client.Addr() {
			s.Translations = append(s.Translations, a.translation(b, "snat", a.Client, b.Client))
		}
		if a.Server != b.Server {
			s.Translations = append(s.Translations, a.translation(b, "dnat", b.Server, a.Server))
		}
	}
	compare(near, far)
}

// translation tells what happened to announcements between two places, t next
// to the client.
func (t *talk) translation(x *talk, kind string, inside, outside netip.AddrPort) Translation {
	n := Translation{Kind: kind, Inside: inside, Outside: outside, Payload: "not-needed", Sessions: []int{t.ID, x.ID}}
	theirs := x.announcements()
	for i, a := range t.announcements() {
		if i >= len(theirs) {
			break
		}
		b := theirs[i]
		if a.verb != b.verb {
			break
		}
		said, heard := a, b
		if !a.active {
			said, heard = b, a
		}
		w := Rewrite{
			Said: said.line, Heard: heard.line, SaidAt: said.at, HeardAt: heard.at,
			Announced: said.addr, Became: heard.addr, Shift: len(heard.line) - len(said.line), Payload: "not-needed",
		}
		switch {
		case said.line != heard.line:
			w.Payload = "rewritten"
		case a.active && kind == "snat" && said.addr.Addr() == inside.Addr(),
			!a.active && kind == "dnat" && said.addr.Addr() == inside.Addr():
			w.Payload = "untouched"
		}
		if w.Payload == "untouched" || w.Payload == "rewritten" && n.Payload != "untouched" {
			n.Payload = w.Payload
		}
		n.Rewrites = append(n.Rewrites, w)
		said.of.translated(w, said.place, inside, outside)
	}
	return n
}

// utterance is an announcement as it stands in one capture.
type utterance struct {
	of     *talk
	verb   string
	active bool
	line   string
	addr   netip.AddrPort // as it stands there; of a 229 the port alone
	at     Mark
	place  int // the index of its command
}

// announcements are those of a session, as they stand on the wire.
func (t *talk) announcements() []utterance {
	var all []utterance
	for i, c := range t.Commands {
		if !announces[c.Verb] {
			continue
		}
		u := utterance{of: t, verb: c.Verb, place: i, at: Mark{c.Packet, c.Time}}
		if read := readers[c.Verb]; read != nil {
			u.active, u.line = true, c.Verb+" "+c.Arg
			u.addr, _ = read(c.Arg)
		} else {
			u.line, u.at = strings.TrimSpace(fmt.Sprint(c.Code, " ", c.Reply)), c.Replied
			u.addr, _ = readReply(c.Code, c.Reply)
		}
		all = append(all, u)
	}
	return all
}

// translated says what a NAT made of an announcement.
func (t *talk) translated(w Rewrite, place int, inside, outside netip.AddrPort) {
	transfer := slices.IndexFunc(t.Transfers, func(x *Transfer) bool { return x.AnnouncedAt == place })
	packets := []int{w.SaidAt.Packet}
	switch w.Payload {
	case "rewritten":
		t.found(nil, transfer, "alg-rewrote", Note, packets, "said", w.Said, "heard", w.Heard, "shift", fmt.Sprintf("%+d", w.Shift))
	case "untouched":
		t.found(nil, transfer, "alg-untouched", Warning, packets, "said", w.Said, "inside", inside.Addr(), "outside", outside.Addr())
	}
}

// compare lets each side of a NAT know what the other saw.
func compare(near, far *talk) {
	match := map[int]*deal{}
	nth := func(t *talk, place int) int {
		return slices.IndexFunc(t.announcements(), func(u utterance) bool { return u.place == place })
	}
	for _, d := range far.shown {
		if n := nth(far, d.transfer.AnnouncedAt); n >= 0 {
			match[n] = d
		}
	}
	for i, d := range near.shown {
		other := match[nth(near, d.transfer.AnnouncedAt)]
		if d.transfer.AnnouncedAt < 0 || other == nil {
			continue
		}
		j := slices.Index(far.shown, other)
		near.learn(d, i, other, far)
		far.learn(other, j, d, near)
		x, y := d.transfer, other.transfer
		switch {
		case x.Verdict == Failed && y.Verdict != Failed && y.Verdict != Worked:
			far.adopt(other, j, near, i)
		case y.Verdict == Failed && x.Verdict != Failed && x.Verdict != Worked:
			near.adopt(d, i, far, j)
		}
	}
	for _, t := range []*talk{near, far} {
		t.rank()
		t.Verdict = t.overall()
	}
}

// learn corrects the cause of a failure by what another capture shows of it.
func (t *talk) learn(d *deal, i int, other *deal, from *talk) {
	x := d.transfer
	l := d.best()
	if x.Cause == "address-mismatch" && x.Mode == "active" && from.Client.Addr() != t.Client.Addr() && x.Announced.Addr() == t.Client.Addr() {
		t.recast(d, i, "address-mismatch", "verb", x.AnnouncedBy, "address", x.Announced.Addr(), "peer", from.Client.Addr())
		return
	}
	if x.Verdict != Failed || l == nil || l.established() || other.best() != nil {
		return
	}
	// The connection did not come to the other place. If it went to an address
	// that a NAT has for another, the NAT did not know where to send it.
	listens := from.Server.Addr()
	mine := t.Server.Addr()
	if x.Opener == "server" {
		listens, mine = from.Client.Addr(), t.Client.Addr()
	}
	if listens != mine && x.To.Addr() == mine {
		t.recast(d, i, "not-forwarded", "opener", who(x.Opener), "to", x.To)
	}
}

// recast says another cause of a failure.
func (t *talk) recast(d *deal, i int, name string, args ...any) {
	old := slices.IndexFunc(t.Findings, func(f Finding) bool { return f.Transfer == i && f.ID == d.transfer.Cause })
	var packets []int
	if old >= 0 {
		packets = t.Findings[old].Packets
		t.Findings = slices.Delete(t.Findings, old, old+1)
	}
	t.found(d, i, name, Error, packets, args...)
}

// adopt takes over the cause that another capture shows for the same transfer.
func (t *talk) adopt(d *deal, i int, from *talk, j int) {
	for _, f := range from.Findings {
		if f.Transfer != j || f.Severity != Error || f.ID != from.Transfers[j].Cause {
			continue
		}
		t.Findings = slices.DeleteFunc(t.Findings, func(f Finding) bool { return f.Transfer == i && f.ID == "no-connection" })
		f.Transfer, f.Packets = i, t.packets(d)
		t.Findings = append(t.Findings, f)
		d.transfer.Verdict, d.transfer.Cause = Failed, f.ID
	}
}

// clocks finds by how much the clock of each capture is ahead of the first
// one's.
func clocks(s *Story, groups [][]*talk) {
	type pair struct{ a, b int }
	found := map[pair][]time.Duration{}
	for _, g := range groups {
		for _, x := range g {
			for _, y := range g {
				if x.Capture < y.Capture {
					p := pair{x.Capture, y.Capture}
					found[p] = append(found[p], x.ahead(y))
				}
			}
		}
	}
	for i := range s.Captures {
		for j := range i {
			if all := found[pair{j, i}]; len(all) > 0 {
				slices.Sort(all)
				s.Captures[i].Ahead = s.Captures[j].Ahead + all[len(all)/2]
				break
			}
		}
	}
}
