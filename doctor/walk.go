package doctor

import (
	"net/netip"
	"slices"

	"towpath/topology"
)

// world is a network in which packets move: the machines of a topology, and
// what they remember.
type world struct {
	net      *topology.Network
	machines []*machine
}

// machine is a node with its memory of connections.
type machine struct {
	*topology.Node
	router bool
	flows  []*flow
	awaits []pinhole   // data connections that a gateway here has announced
	turns  map[any]int // of rules that take several addresses in turn
	turn1  int         // which of them comes first
	chosen map[choice]int
}

// choice is whom a rule has chosen for a host that it shall stick to.
type choice struct {
	rule any
	from netip.Addr
}

// way is one of the two directions of a flow: forth is that of its first packet.
type way int

const (
	forth way = iota
	back
)

// tuple is the ends of a packet.
type tuple struct{ src, dst netip.AddrPort }

func (t tuple) reversed() tuple { return tuple{t.dst, t.src} }

// flow is a connection that a machine remembers: its packets of both ways as
// they arrive there. Where they are not the reverse of each other, addresses
// are translated.
type flow struct {
	arrives [2]tuple
	// related is true if a helper has announced it.
	related bool
	// ends are the ways whose packets are for this machine, whatever address they
	// are sent to: a gateway takes the client's in the name of the server.
	ends [2]bool
	// expects is the one connection that the helper on this one has announced.
	expects *pinhole
}

// leaves is how a packet of a flow leaves: as the answers to it arrive, turned
// round.
func (f *flow) leaves(w way) tuple { return f.arrives[1-w].reversed() }

func (f *flow) translated() bool { return f.arrives[forth] != f.arrives[back].reversed() }

// pinhole is a connection that a helper expects: nf_conntrack calls it an
// expectation. Its addresses are those before translation.
type pinhole struct {
	from netip.Addr
	to   netip.AddrPort
	// becomes is what it is translated to, as the connection that announced it
	// is; zero if that is not translated.
	becomes struct {
		from netip.Addr
		to   netip.AddrPort
	}
}

// kind is what a packet is, as far as it matters to those that it passes.
type kind int

const (
	syn     kind = iota // opens a connection
	segment             // data: where the connection is forgotten it opens one, as Linux does (tcp_loose)
	answer              // SYN with ACK
	reset               // RST
	icmp                // an error about a packet of the other way
)

// opens says whether a machine that does not know the packet begins a flow.
func (k kind) opens() bool { return k == syn || k == segment }

type packet struct {
	kind kind
	tuple
	// says is the announcement in it.
	says *announcement
}

// Step is one machine that a packet has passed, or where it ended.
type Step struct {
	Node string         `json:"node"`
	From netip.AddrPort `json:"from"` // as it arrived or was sent there
	To   netip.AddrPort `json:"to"`
	// NowFrom and NowTo are what was put in place of them, if the address was
	// translated there.
	NowFrom netip.AddrPort `json:"now_from,omitzero"`
	NowTo   netip.AddrPort `json:"now_to,omitzero"`
}

// ending is how the way of a packet ended.
type ending int

const (
	arrived ending = iota
	vanished
	refused     // with RST, or ICMP port unreachable
	unreachable // with ICMP, or told by the machine that sent it
)

// reason is why it ended.
type reason string

const (
	byFirewall   reason = "firewall"
	byRoute      reason = "route"     // there is none, or it leads nowhere
	byHost       reason = "host"      // it is not for this host, and hosts pass nothing on
	byNeighbour  reason = "neighbour" // nobody on the link has the address
	byALG        reason = "alg"       // the helper dropped it
	byClosedPort reason = "closed port"
	byLoop       reason = "loop"
)

// fate is what became of a packet.
type fate struct {
	ending  ending
	reason  reason
	at      *machine
	in, out string          // the interfaces there, as far as it came
	rule    topology.Action // what the firewall there last said
	came    packet          // as it arrived there
	last    packet          // as it was when it ended
	steps   []Step
}

func newWorld(n *topology.Network, turn int) *world {
	w := &world{net: n}
	for _, node := range n.Nodes() {
		w.machines = append(w.machines, &machine{
			Node: node, router: n.IsRouter(node.Name),
			turns: map[any]int{}, turn1: turn, chosen: map[choice]int{},
		})
	}
	return w
}

func (w *world) machine(name string) *machine {
	for _, m := range w.machines {
		if m.Name == name {
			return m
		}
	}
	return nil
}

// send lets m send a packet and follows it to its end.
func (w *world) send(m *machine, p packet) fate { return w.follow(m, p, false) }

// reject lets m send what it answers to a packet that it did not take, as it
// arrived. It is not tracked on its way out, since neither was what it answers.
func (w *world) reject(m *machine, p packet) fate { return w.follow(m, p, true) }

func (w *world) follow(m *machine, p packet, untracked bool) fate {
	f := fate{at: m, came: p}
	for range 32 {
		next := w.pass(&f, p, untracked)
		step := Step{Node: f.at.Name, From: p.src, To: p.dst}
		if f.last.src != p.src {
			step.NowFrom = f.last.src
		}
		if f.last.dst != p.dst {
			step.NowTo = f.last.dst
		}
		f.steps = append(f.steps, step)
		if next == nil {
			return f
		}
		p, untracked = f.last, false
		f.at, f.in, f.out, f.came = next.machine, next.iface, "", p
	}
	f.ending, f.reason = unreachable, byLoop
	return f
}

// port is a place on a link: an interface of a machine.
type port struct {
	machine *machine
	iface   string
}

// pass takes p through f.at, as Linux does, and returns where it goes next, or
// nil if it ends here. What it looks like then is f.last.
func (w *world) pass(f *fate, p packet, untracked bool) *port {
	m := f.at
	f.last = p
	end := func(e ending, r reason) *port {
		f.ending, f.reason, f.last = e, r, p
		return nil
	}
	var fl *flow
	var dir way
	fresh, awaited := false, false
	if m.Stateful() && !untracked {
		fl, dir = m.lookup(p.tuple)
		if fl == nil && p.kind.opens() {
			fl, fresh = m.begin(p.tuple), true
			if f.in == "" {
				fl.ends[back] = true
			} else if p.kind == syn {
				fl.ends[forth], awaited = m.takes(p.tuple)
			}
			if f.in != "" && !fl.translated() && !fl.ends[forth] {
				m.forward(fl, f.in)
			}
		}
		if fl != nil {
			p.dst = fl.leaves(dir).dst
		}
	}
	known := fl != nil && !fresh && (p.kind != icmp || !m.StrictlyReplies) || fresh && fl.related && !m.StrictlyReplies || awaited
	if m.Has(p.dst.Addr()) || f.in != "" && fl != nil && fl.ends[dir] {
		f.out = topology.Self
		if f.in != "" && !known {
			if f.rule = m.filter(p, f.in, f.out); f.rule != topology.Accept {
				return end(endings[f.rule], byFirewall)
			}
		}
		if fl != nil {
			p.src = fl.leaves(dir).src
			if bad := m.read(fl, dir, p.says); bad != "" {
				return end(vanished, bad)
			}
		}
		m.remember(fl, fresh)
		return end(arrived, "")
	}
	if f.in != "" && !m.router {
		return end(vanished, byHost)
	}
	out, next, nowhere := m.route(p.dst.Addr())
	f.out = out
	switch {
	case nowhere == topology.Blackhole && f.in != "":
		return end(vanished, byRoute)
	case out == "":
		return end(unreachable, byRoute)
	}
	if f.in != "" && !known {
		if f.rule = m.filter(p, f.in, out); f.rule != topology.Accept {
			return end(endings[f.rule], byFirewall)
		}
	}
	if fl != nil {
		if fresh && (!fl.related || !fl.translated()) {
			m.masquerade(fl, p, out)
		}
		p.src = fl.leaves(dir).src
		if bad := m.read(fl, dir, p.says); bad != "" {
			return end(vanished, bad)
		}
	}
	to := w.neighbour(m.Interface(out).Link, next)
	if to == nil {
		return end(unreachable, byNeighbour)
	}
	m.remember(fl, fresh)
	f.last = p
	return to
}

// lookup finds the flow of a packet.
func (m *machine) lookup(t tuple) (*flow, way) {
	for _, f := range m.flows {
		for _, w := range []way{forth, back} {
			if f.arrives[w] == t {
				return f, w
			}
		}
	}
	return nil, forth
}

// begin makes the flow of a packet that belongs to none, translated already if
// a helper expects it.
func (m *machine) begin(t tuple) *flow {
	f := &flow{arrives: [2]tuple{t, t.reversed()}}
	for _, master := range m.flows {
		e := master.expects
		if e == nil || e.from != t.src.Addr() || e.to != t.dst {
			continue
		}
		f.related = true
		if e.becomes.from.IsValid() {
			f.arrives[back] = tuple{e.becomes.to, netip.AddrPortFrom(e.becomes.from, t.src.Port())}
		}
		master.expects = nil // for one connection
		break
	}
	return f
}

func (m *machine) remember(f *flow, fresh bool) {
	if fresh {
		m.flows = append(m.flows, f)
	}
}

// forward is destination NAT.
func (m *machine) forward(f *flow, in string) {
	to := f.arrives[forth].dst
	r := m.forwardOf(to, in)
	if r == nil {
		return
	}
	port := to.Port()
	if r.Port != 0 {
		port = r.Port + port - r.Ports[0].Low
	}
	f.arrives[back].src = netip.AddrPortFrom(r.To[m.turn(r, len(r.To), r.Sticky, f.arrives[forth].src.Addr())], port)
}

// forwardOf is the forward for what is sent to an address, or nil.
func (m *machine) forwardOf(to netip.AddrPort, in string) *topology.Forward {
	for i := range m.Forwards {
		r := &m.Forwards[i]
		if (r.In == "" || r.In == in) && r.Address == to.Addr() && r.Ports.Fits(to.Port()) {
			return r
		}
	}
	return nil
}

// turn says which of several addresses a connection gets.
func (m *machine) turn(rule any, of int, sticky bool, from netip.Addr) int {
	c := choice{rule, from}
	if i, ok := m.chosen[c]; ok && sticky {
		return i
	}
	i := (m.turn1 + m.turns[rule]) % of
	m.turns[rule]++
	m.chosen[c] = i
	return i
}

// masquerade is source NAT.
func (m *machine) masquerade(f *flow, p packet, out string) {
	for i := range m.SourceNAT {
		r := &m.SourceNAT[i]
		if r.Out != out || !within(r.From, p.src.Addr()) || !within(r.To, p.dst.Addr()) || !r.Ports.Fits(p.dst.Port()) {
			continue
		}
		var to netip.Addr
		if len(r.Addresses) > 0 {
			to = r.Addresses[m.turn(r, len(r.Addresses), false, p.src.Addr())]
		} else {
			to = m.own(out, p.dst.Addr())
		}
		if to.Is4() == p.src.Addr().Is4() && to.IsValid() {
			f.arrives[back].dst = netip.AddrPortFrom(to, p.src.Port())
			return
		}
	}
}

// within says whether a is in p; all is within a prefix that was left out.
func within(p netip.Prefix, a netip.Addr) bool { return !p.IsValid() || p.Contains(a) }

// own returns the address that m has on an interface, of the family of like.
func (m *machine) own(iface string, like netip.Addr) netip.Addr {
	if i := m.Interface(iface); i != nil {
		for _, a := range i.Addresses {
			if a.Addr().Is4() == like.Is4() {
				return a.Addr()
			}
		}
	}
	return netip.Addr{}
}

// endings are what the actions of a firewall come to.
var endings = map[topology.Action]ending{
	topology.Drop: vanished, topology.Reject: refused, topology.Reset: refused,
}

// filter asks the firewall about a packet that it does not know.
func (m *machine) filter(p packet, in, out string) topology.Action {
	for _, r := range m.Firewall {
		switch {
		case r.In != "" && r.In != in, r.Out != "" && r.Out != out, !within(r.From, p.src.Addr()), !within(r.To, p.dst.Addr()):
		case len(r.Ports) > 0 && (p.kind == icmp || !r.Ports.Contains(p.dst.Port())):
		case r.Do != topology.Accept && (p.kind == icmp || p.kind == reset):
			return topology.Drop // errors are not answered by errors
		default:
			return r.Do
		}
	}
	return topology.Accept
}

// route returns the interface and the next address for a packet to a. The
// interface is empty if there is none, and nowhere says what kind of none.
func (m *machine) route(a netip.Addr) (out string, next netip.Addr, nowhere topology.RouteKind) {
	bits := -1
	for _, i := range m.Interfaces {
		for _, p := range i.Addresses {
			if p.Contains(a) && p.Bits() > bits {
				bits, out, next, nowhere = p.Bits(), i.Name, a, ""
			}
		}
	}
	for _, r := range m.Routes {
		if !r.To.Contains(a) || r.To.Bits() <= bits {
			continue
		}
		bits, out, next, nowhere = r.To.Bits(), "", r.Via, r.Kind
		for _, i := range m.Interfaces {
			if r.Kind == "" && slices.ContainsFunc(i.Addresses, func(p netip.Prefix) bool { return p.Contains(r.Via) }) {
				out = i.Name
				break
			}
		}
	}
	return out, next, nowhere
}

// neighbour finds who has an address on a link.
func (w *world) neighbour(link string, a netip.Addr) *port {
	for _, m := range w.machines {
		for _, i := range m.Interfaces {
			if i.Link == link && slices.ContainsFunc(i.Addresses, func(p netip.Prefix) bool { return p.Addr() == a }) {
				return &port{m, i.Name}
			}
		}
	}
	return nil
}

// attempt is a TCP connection that was tried.
type attempt struct {
	ok bool
	// from is the machine that opens it.
	from *machine
	// end is how it looks to the one that opened it: refused, unreachable, or
	// vanished for a time-out.
	end ending
	// near are the ends as the opener sees them, far as the listener does.
	near, far tuple
	// at is the machine that was reached.
	at *machine
	// fate is that of the SYN or, if strays is set, that of the answer to it.
	fate   fate
	strays bool
	// steps are those of the SYN.
	steps []Step
}

// connect opens a TCP connection. listens says whether somebody does at an
// address of a machine.
func (w *world) connect(m *machine, src, dst netip.AddrPort, listens func(*machine, netip.AddrPort) bool) attempt {
	t := attempt{from: m, near: tuple{src, dst}}
	f := w.send(m, packet{kind: syn, tuple: t.near})
	t.fate, t.at, t.steps, t.far = f, f.at, f.steps, f.last.tuple
	if f.ending == arrived && !listens(f.at, f.last.dst) {
		t.fate.ending, t.fate.reason = refused, byClosedPort
		t.end = vanished
		if r := w.send(f.at, packet{kind: reset, tuple: f.last.reversed()}); r.ending == arrived && r.at == m && r.last.tuple == t.near.reversed() {
			t.end = refused
		}
		return t
	}
	if f.ending != arrived {
		t.end = w.told(m, f, t.near)
		return t
	}
	r := w.send(f.at, packet{kind: answer, tuple: f.last.reversed()})
	if r.ending != arrived || r.at != m || r.last.tuple != t.near.reversed() {
		t.fate, t.strays, t.end = r, true, vanished
		return t
	}
	t.ok = true
	return t
}

// told says how the end of a packet that m sent looks to m: as refused or
// unreachable only if the error finds its way back, and is about what m has sent.
func (w *world) told(m *machine, f fate, sent tuple) ending {
	if f.ending == vanished || f.at == m {
		return f.ending
	}
	k := icmp
	if f.rule == topology.Reset {
		k = reset
	}
	// An ICMP error tells the packet that it is about, and is translated as an
	// answer to it would be.
	r := w.reject(f.at, packet{kind: k, tuple: f.came.reversed()})
	if r.ending == arrived && r.at == m && r.last.tuple == sent.reversed() {
		return f.ending
	}
	return vanished
}
