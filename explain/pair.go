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
	several := len(talks) > 0 && talks[0].Capture != talks[len(talks)-1].Capture
	begun := map[uint32]int{}
	if !several {
		for _, t := range talks {
			begun[t.link.conn.Side(capture.FromClient).ISN]++
		}
	}
	for _, t := range talks {
		// In one capture both sides of a NAT are rare, and thousands of sessions
		// that say the same are not.
		if !several && begun[t.link.conn.Side(capture.FromClient).ISN] < 2 {
			continue
		}
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
	for i, c := range t.Commands {
		if i > 0 && c.Verb == "" {
			continue // a farewell that nobody asked for may get lost: the helper of Linux eats the "227 Logout." of Pure-FTPd
		}
		if n++; n > 8 {
			break
		}
		arg, reply, code := c.Arg, c.Reply, c.Code
		if moves(c.Verb) {
			reply, code = "", 0 // that of a long transfer may get lost
		}
		if announces(c.Verb) {
			arg, reply = "", ""
			if c.Code/100 != 2 {
				break // one side may have heard another answer
			}
		}
		for _, s := range [...]string{c.Verb, arg, reply} {
			h.WriteString(s)
			h.WriteByte(0)
		}
		h.WriteByte(byte(code))
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
func (n *Teller) join(s *Story, g []*talk) {
	near, far := g[0], g[len(g)-1]
	for i, t := range g {
		t.Twin, t.far = near.ID, i
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
	n.compare(near, far)
	near.guess(far)
	for _, t := range g {
		if t != near && t != far {
			for _, m := range t.match(near) {
				t.adopt(t.shown[m[0]], m[0], near, m[1])
			}
		}
		t.rank()
		t.Verdict = t.overall()
	}
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
		if !announces(c.Verb) {
			continue
		}
		u := utterance{of: t, verb: c.Verb, place: i, at: c.said()}
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

// weight is how much a cause says. Of two captures of the same failure the one
// that shows more is believed.
func weight(cause string) int {
	switch cause {
	case "":
		return 0
	case "no-connection":
		return 1
	case "refused", "reset", "cut", "no-answer":
		return 2
	case "firewall", "closed-port":
		return 3
	}
	return 4
}

// compare lets each side of a NAT know what the other saw.
func (n *Teller) compare(near, far *talk) {
	alone := map[int]bool{} // transfers of which the server's side shows the announcement only
	if len(near.announcements()) == len(far.announcements()) {
		for i := range near.shown {
			alone[i] = true
		}
	}
	for _, m := range near.match(far) {
		delete(alone, m[0])
		d, other := near.shown[m[0]], far.shown[m[1]]
		if d.transfer.Opener == "server" {
			n.learn(far, m[1], near)
		} else {
			n.learn(near, m[0], far)
		}
		if near.unheard(d, far, other) {
			near.found(d, m[0], "forgotten", Error, near.packets(d), "bytes", d.transfer.Bytes)
			d.transfer.Verdict = Failed
		}
		if d.best() != nil && other.best() == nil && other.transfer.Cause == "inside-address" && d.transfer.Opener == "client" {
			far.disown(m[1]) // the client did not shy at it: his side shows that he tried
			other.transfer.Verdict, other.transfer.Cause = Unknown, ""
		}
		switch a, b := near.cause(m[0]), far.cause(m[1]); {
		case weight(a) > weight(b):
			far.adopt(other, m[1], near, m[0])
		case weight(b) > weight(a):
			near.adopt(d, m[0], far, m[1])
		}
	}
	for i, d := range near.shown {
		if (d.transfer.AnnouncedAt < 0 || alone[i]) && d.transfer.Opener == "client" {
			n.learn(near, i, far)
		}
	}
	for i, d := range far.shown {
		if d.transfer.AnnouncedAt < 0 && d.transfer.Opener == "server" {
			n.learn(far, i, near)
		}
	}
}

// unheard says that the reply at the end of a transfer got lost: next to the
// server it was sent and sent again, and nobody has acknowledged it; next to the
// client it was never seen. So nobody needs to wait until the client gives up.
func (t *talk) unheard(d *deal, far *talk, other *deal) bool {
	x, y := d.transfer, other.transfer
	if x.Verdict != Unknown || !x.Complete || x.Verb == "" || d.final || !other.final || y.Code >= 400 {
		return false
	}
	said := far.link.conn.Side(far.link.direction(fromServer, far.turned))
	return said.Retransmitted > 0 && said.Acknowledged < said.Bytes
}

// cause is why a transfer failed, or might have.
func (t *talk) cause(i int) string {
	switch x := t.Transfers[i]; {
	case x.Cause != "":
		return x.Cause
	case x.Verdict == Worked || x.Verdict == NotCaptured:
		return "none" // and nobody knows better
	}
	return ""
}

// match ties the transfers of two captures of a session by their announcements.
func (t *talk) match(x *talk) (pairs [][2]int) {
	nth := func(t *talk) map[int]int {
		place := map[int]int{}
		for i, u := range t.announcements() {
			place[u.place] = i
		}
		order := map[int]int{}
		for i, d := range t.shown {
			if n, ok := place[d.transfer.AnnouncedAt]; ok {
				order[n] = i
			}
		}
		return order
	}
	a, b := nth(t), nth(x)
	for n, i := range a {
		if j, ok := b[n]; ok {
			pairs = append(pairs, [2]int{i, j})
		}
	}
	slices.SortFunc(pairs, func(a, b [2]int) int { return a[0] - b[0] })
	return pairs
}

// learn corrects the cause of a failure on the opener's side by what the capture
// of the other side shows.
func (n *Teller) learn(t *talk, i int, from *talk) {
	d := t.shown[i]
	x, l := d.transfer, d.best()
	listens, mine := from.Server.Addr(), t.Server.Addr()
	if x.Opener == "server" {
		listens, mine = from.Client.Addr(), t.Client.Addr()
	}
	if x.Verdict != Failed || l == nil || l.established() || l.halfOpen() || x.Cause == "inside-address" {
		return
	}
	there := from.link.trace.kin(l)
	switch {
	case there != nil && there.conn.Refused():
		t.recast(d, i, "closed-port", "opener", who(x.Opener), "to", there.conn.Server)
	case there != nil && there.conn.SYNACK.Seen():
		t.recast(d, i, "answer-strays", "opener", who(x.Opener), "to", x.To)
	case there != nil:
		t.recast(d, i, dropped(x.Opener), "opener", who(x.Opener), "to", there.conn.Server)
	case n.elsewhere(l, listens) != nil:
		there = n.elsewhere(l, listens)
		t.recast(d, i, "other-server", "to", x.To, "other", there.conn.Server.Addr(), "server", listens)
	case listens != mine && x.To.Addr() == mine:
		t.recast(d, i, "not-forwarded", "opener", who(x.Opener), "to", x.To)
	case l.refused():
		t.recast(d, i, "firewall.refuses", "opener", who(x.Opener), "to", x.To)
	}
}

// kin finds a connection as another capture saw it: by its first sequence
// number, which NATs keep.
func (r *trace) kin(l *link) *link {
	isn := l.conn.Side(capture.FromClient).ISN
	for _, x := range r.failed {
		if x != l && x.conn.SYN.Seen() && x.conn.Side(capture.FromClient).ISN == isn {
			return x
		}
	}
	for _, t := range r.talks {
		if t == nil {
			continue
		}
		for _, d := range t.deals {
			for _, x := range d.links {
				if x != l && x.conn.SYN.Seen() && x.conn.Side(capture.FromClient).ISN == isn {
					return x
				}
			}
		}
	}
	return nil
}

// elsewhere finds a connection that came to another host than the one that
// listens: one that answered it by a RST, or by nothing.
func (n *Teller) elsewhere(l *link, listens netip.Addr) *link {
	for _, r := range n.traces {
		if x := r.kin(l); r != l.trace && x != nil && x.conn.Server.Addr() != listens && x.conn.Server.Addr() != l.conn.Server.Addr() {
			return x
		}
	}
	return nil
}

// recast says another cause of a failure.
func (t *talk) recast(d *deal, i int, name string, args ...any) {
	packets := t.packets(d)
	t.disown(i)
	t.found(d, i, name, Error, packets, args...)
}

// disown drops what was said of a failure.
func (t *talk) disown(i int) {
	t.Findings = slices.DeleteFunc(t.Findings, func(f Finding) bool { return f.Transfer == i && (f.Severity == Error || f.ID == "no-connection") })
}

// adopt takes over the cause that another capture shows for the same transfer.
func (t *talk) adopt(d *deal, i int, from *talk, j int) {
	cause := from.Transfers[j].Cause
	for _, f := range from.Findings {
		if f.Transfer != j || f.Severity != Error || f.ID != cause || d.transfer.Cause == cause {
			continue
		}
		t.disown(i)
		f.Transfer, f.Packets = i, t.packets(d)
		t.Findings = append(t.Findings, f)
		d.transfer.Verdict, d.transfer.Cause = Failed, f.ID
	}
}

// guess says what a session under TLS does not, if a NAT changes the client's
// address and not even a try of a data connection is to be seen on either side.
func (t *talk) guess(far *talk) {
	if t.Secured.Packet == 0 || t.Cleared.Packet != 0 || len(t.Transfers)+len(far.Transfers) > 0 || t.Client.Addr() == far.Client.Addr() {
		return
	}
	d := &deal{inferred: true, transfer: &Transfer{Mode: "active", Opener: "server", Inferred: true, AnnouncedAt: -1, CommandAt: -1, Verdict: Unknown}}
	t.shown, t.Transfers = append(t.shown, d), append(t.Transfers, d.transfer)
	t.found(nil, len(t.Transfers)-1, "address-mismatch.secret", Note, []int{t.Secured.Packet}, "address", t.Client.Addr(), "peer", far.Client.Addr())
	d.transfer.Cause = "address-mismatch"
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
