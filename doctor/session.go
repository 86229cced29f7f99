package doctor

import (
	"fmt"
	"net/netip"
	"slices"

	"towpath/ftp"
	"towpath/ftp/dialogue"
	"towpath/topology"
)

// Mode is how a data connection is announced: the verb that does it.
type Mode string

// The modes.
const (
	PORT Mode = "PORT"
	EPRT Mode = "EPRT"
	PASV Mode = "PASV"
	EPSV Mode = "EPSV"
)

// Modes are all of them.
var Modes = []Mode{PORT, EPRT, PASV, EPSV}

func (m Mode) active() bool { return m == PORT || m == EPRT }

// The ports that systems choose here, so that a prediction is the same each
// time. Where one of them is in a rule, see regions.
const (
	controlFrom = 40000
	passiveFrom = 40001
	activeFrom  = 40002
	gatewayPort = 40003 // that a gateway listens on
)

// outcome is what became of one session with one data connection.
type outcome struct {
	works bool
	seen  Seen
	cause Cause
	// control is true if it ended before there was anything to announce.
	control bool
	hop     string
	// listen is the port that was announced.
	listen uint16
	// fate is where the packet ended that should have gone on.
	fate fate
	// dialled is where the opener of the data connection sent its SYN, steps
	// how far that came.
	dialled netip.AddrPort
	steps   []Step
	// said is what one end announced, told what the other heard. Between them
	// gateways may have announced something of their own.
	said, told *announcement
	// link is the control connection, legs the parts of it between gateways,
	// world what is remembered at the end.
	link  attempt
	legs  []attempt
	world *world
	// peer is the address that the data connection came from, for a stranger.
	peer netip.Addr
}

// run plays one session, with a data connection that listens on port. Where
// forwards have several addresses the first connection gets that of turn.
func run(n *topology.Network, mode Mode, port uint16, turn int) *outcome {
	o := &outcome{world: newWorld(n, turn), listen: port}
	client := o.world.machine(n.Session.From)
	to := n.Session.To
	o.dial(client)
	if !o.link.ok {
		o.control = true
		o.steps = o.link.steps
		o.dialled = to
		o.lost(o.link, o.link, false)
		if last := o.legs[len(o.legs)-1]; len(o.legs) > 1 { // a gateway has greeted the client
			o.dialled, o.seen = last.near.dst, SeenNoServer
		}
		return o
	}
	if mode.family() == 4 && !to.Addr().Is4() {
		return o.fail(SeenFamily, CauseFamily, client.Name)
	}
	o.transfer(mode, port)
	if o.works {
		o.finish()
	}
	return o
}

// family is 4 for the modes that have no room for an address of IPv6.
func (m Mode) family() int {
	if m == PORT || m == PASV {
		return 4
	}
	return 0
}

func (o *outcome) fail(s Seen, c Cause, hop string) *outcome {
	o.works, o.seen, o.cause, o.hop = false, s, c, hop
	return o
}

// say carries an announcement over a span to its other end, and reports whether
// it came there.
func (o *outcome) say(s span, mode Mode, named netip.AddrPort, blind []remark) (told announcement, ok bool) {
	session := o.world.net.Session
	said := announcement{mode: mode, addr: named, clear: !session.TLS || session.ClearAgain, lines: session.Lines}
	by := s.from
	if !mode.active() {
		by = s.at
	}
	if by.Client == nil && by.Server == nil {
		said.lines = topology.Whole // as gateways do
	}
	told = said
	told.remarks = slices.Clone(blind)
	o.said, o.told = &said, &told
	legs := slices.Clone(s.legs)
	if !mode.active() {
		slices.Reverse(legs)
	}
	for _, l := range legs {
		from, ends := l.from, l.near
		if !mode.active() {
			from, ends = l.at, l.far.reversed()
		}
		f := o.world.send(from, packet{kind: segment, tuple: ends, says: &told})
		if f.ending == arrived {
			continue
		}
		o.fate, o.steps = f, f.steps
		if f.reason == byALG {
			o.fail(SeenStall, CauseStall, f.at.Name)
		} else {
			o.fail(SeenStall, CauseForgotten, f.at.Name)
		}
		return told, false
	}
	return told, true
}

// transfer brings about the data connections of a transfer: one for each span,
// each in the direction that its own announcement says.
func (o *outcome) transfer(mode Mode, port uint16) {
	s := o.world.net.Session
	spans, blind := o.spans(!s.TLS || s.ClearAgain)
	modes := []Mode{mode}
	for _, sp := range spans[1:] {
		modes = append(modes, sp.towards(modes[len(modes)-1]))
	}
	// From the one that the client opens on, or up to the one that it takes.
	var order []int
	for i := range spans {
		order = append(order, i)
	}
	if mode.active() {
		slices.Reverse(order)
	}
	type part struct {
		said, told *announcement
		dialled    netip.AddrPort
	}
	parts := make([]part, len(spans))
	var way []Step
	for _, i := range order {
		at := port
		if modes[i].active() != mode.active() {
			at = 0 // the other end chooses: any of its own
		}
		if modes[i].active() {
			o.active(spans[i], modes[i], at, blind)
		} else {
			o.passive(spans[i], modes[i], at, blind)
		}
		if !o.works {
			return
		}
		way = continued(way, o.steps)
		parts[i] = part{o.said, o.told, o.dialled}
	}
	opened, announced := parts[order[0]], parts[order[len(order)-1]]
	if slices.ContainsFunc(modes, func(m Mode) bool { return m.active() != mode.active() }) {
		opened, announced = parts[0], parts[0] // the server knows nothing of this mode
	}
	o.said, o.told, o.dialled, o.steps = announced.said, opened.told, opened.dialled, way
}

// lowest is the first port that a listener can choose.
func lowest(p topology.Ports) uint16 {
	if len(p) == 0 {
		return topology.Ephemeral.Low
	}
	return p[0].Low
}

// active is PORT and EPRT: the end of the client listens.
func (o *outcome) active(s span, mode Mode, port uint16, blind []remark) {
	o.works = false
	client, server := s.from, s.at
	if client.Client == nil {
		port = gatewayPort
	} else if port == 0 {
		port = lowest(client.Client.Active)
	}
	named := netip.AddrPortFrom(s.near.src.Addr(), port)
	if client.Client != nil && client.Client.External.IsValid() {
		named = netip.AddrPortFrom(client.Client.External, port)
	}
	told, ok := o.say(s, mode, named, blind)
	if !ok {
		return
	}
	peer, local := s.far.src, s.far.dst
	e := expectation(mode, told.addr, peer, local)
	if e.Foreign && (server.Server == nil || !server.Server.AllowForeign) {
		o.fail(SeenIllegal, CauseMismatch, server.Name)
		return
	}
	src := netip.AddrPortFrom(local.Addr(), activeFrom)
	if server.Server != nil && server.Server.DataPort != 0 {
		p := server.Server.DataPort
		src = netip.AddrPortFrom(local.Addr(), p)
	}
	if client.Client == nil {
		client.awaits = append(client.awaits, pinhole{from: s.near.dst.Addr(), to: named})
	}
	o.dialled = e.To
	t := o.world.connect(server, src, e.To, func(m *machine, at netip.AddrPort) bool {
		return m == client && at.Port() == port
	})
	o.fate, o.steps = t.fate, t.steps
	if !t.ok {
		o.lost(t, s.attempt, true)
		return
	}
	o.works = true
	if o.peer = t.far.src.Addr(); client.Client != nil && client.Client.Wary && o.peer != s.near.dst.Addr() {
		o.fail(SeenWary, CauseStranger, client.Name)
	}
}

// passive is PASV and EPSV: the end of the server listens.
func (o *outcome) passive(s span, mode Mode, port uint16, blind []remark) {
	o.works = false
	client, server := s.from, s.at
	peer, local := s.far.src, s.far.dst
	if server.Server == nil {
		port = gatewayPort
	} else if port == 0 {
		port = lowest(server.Server.Passive)
	}
	if mode.family() == 4 && !local.Addr().Is4() { // behind a gateway that reads nothing
		o.fail(SeenEarly425, CauseFamily, server.Name)
		return
	}
	listen := netip.AddrPortFrom(local.Addr(), port)
	named := listen
	switch {
	case mode == EPSV:
		named = netip.AddrPortFrom(netip.Addr{}, port)
	case server.Server != nil && server.Server.External.IsValid():
		named = netip.AddrPortFrom(server.Server.External, port)
	}
	told, ok := o.say(s, mode, named, blind)
	if !ok {
		return
	}
	e := expectation(mode, told.addr, s.near.src, s.near.dst)
	o.dialled = e.To
	if client.Client == nil || client.Client.Kind == topology.Curl {
		o.dialled = netip.AddrPortFrom(s.near.dst.Addr(), e.To.Port())
	}
	if server.Server == nil {
		server.awaits = append(server.awaits, pinhole{from: peer.Addr(), to: listen})
	}
	out, _, _ := client.route(o.dialled.Addr())
	from := client.own(out, o.dialled.Addr())
	if !from.IsValid() {
		from = s.near.src.Addr()
	}
	t := o.world.connect(client, netip.AddrPortFrom(from, passiveFrom), o.dialled, func(m *machine, at netip.AddrPort) bool {
		return m == server && at == listen
	})
	o.fate, o.steps = t.fate, t.steps
	if !t.ok {
		o.lost(t, s.attempt, client.Client == nil)
		return
	}
	o.works = true
	if o.peer = t.far.src.Addr(); o.peer != peer.Addr() && (server.Server == nil || !server.Server.AllowForeign) {
		o.fail(SeenStranger, CauseStranger, server.Name)
	}
}

// expectation is what an announcement that was accepted brings about, as the
// end sees it that heard it.
func expectation(mode Mode, named, client, server netip.AddrPort) dialogue.Expectation {
	t := dialogue.Tracker{Client: client, Server: server}
	c, r := ftp.Command{Verb: string(mode)}, ftp.NewReply(200, "Fine.")
	switch mode {
	case PORT:
		c.Arg = ftp.FormatHostPort(named)
	case EPRT:
		c.Arg = ftp.FormatEPRT(named)
	case PASV:
		r = ftp.NewReply(227, ftp.FormatPassive(named))
	case EPSV:
		r = ftp.NewReply(229, ftp.FormatExtendedPassive(named.Port()))
	}
	t.Command(c)
	e, ok := t.Reply(r)
	if !ok {
		panic(fmt.Sprintf("doctor: %v %v brings about nothing", mode, named)) // we have formatted it
	}
	return e
}

// lost says what a connection that did not come about looks like. For the data
// connection of active mode it is the server that sees it, and tells it by 425;
// so does a gateway. over is the part of the control connection that announced it.
func (o *outcome) lost(t, over attempt, server bool) {
	o.fate = t.fate
	seen := map[ending]Seen{vanished: SeenTimeout, refused: SeenRefused, unreachable: SeenUnreachable}[t.end]
	if server {
		seen = map[ending]Seen{vanished: SeenLate425, refused: SeenEarly425, unreachable: SeenEarly425}[t.end]
	}
	o.fail(seen, o.blame(t, over), t.fate.at.Name)
}

// blame finds the cause of a connection that did not come about.
func (o *outcome) blame(t, over attempt) Cause {
	f := t.fate
	switch {
	case t.strays:
		return CauseStrays
	case f.reason == byClosedPort && f.at != over.at && f.at.Server != nil:
		return CauseOtherServer
	case (f.reason == byClosedPort || f.out == topology.Self) && f.at.router:
		return CauseNotForwarded
	case f.reason == byClosedPort:
		return CauseClosed
	case f.reason == byFirewall:
		return CauseFirewall
	case !o.control && o.told != nil && o.dialled.Addr() != over.near.dst.Addr() && o.dialled.Addr() != over.far.src.Addr():
		return CauseInside
	}
	return CauseRoute
}

// finish lets the transfer take its time, and sends the 226.
func (o *outcome) finish() {
	s := o.world.net.Session
	for _, m := range o.world.machines {
		idle := m.Idle
		if idle == 0 || idle >= s.Transfer || s.KeepAlive > 0 && s.KeepAlive < idle {
			continue
		}
		m.flows = slices.DeleteFunc(m.flows, isControl)
	}
	for _, l := range slices.Backward(o.legs) {
		f := o.world.send(l.at, packet{kind: segment, tuple: l.far.reversed()})
		if f.ending != arrived || f.at != l.from || f.last.tuple != l.near.reversed() {
			o.fate, o.steps = f, f.steps
			o.fail(SeenNo226, CauseForgotten, f.at.Name)
			return
		}
	}
}

// isControl says whether a flow is a control connection: a gateway has two.
func isControl(f *flow) bool { return !f.related && f.arrives[forth].src.Port() == controlFrom }

// controlFlow finds what m remembers of the control connection: it was the
// first that came there.
func (o *outcome) controlFlow(m *machine) *flow {
	for _, f := range m.flows {
		if isControl(f) {
			return f
		}
	}
	return nil
}

// regions returns one port of each part of r that the rules of the network
// treat alike.
func regions(n *topology.Network, r topology.PortRange) []topology.PortRange {
	cuts := []int{int(r.Low)}
	cut := func(low, high int) {
		for _, c := range []int{low, high + 1} {
			if int(r.Low) < c && c <= int(r.High) {
				cuts = append(cuts, c)
			}
		}
	}
	for _, m := range n.Nodes() {
		for _, f := range m.Forwards {
			for _, p := range f.Ports {
				cut(int(p.Low), int(p.High))
				if f.Port != 0 {
					cut(int(f.Port), int(f.Port)+int(p.High-p.Low))
				}
			}
		}
		for _, f := range m.Firewall {
			for _, p := range f.Ports {
				cut(int(p.Low), int(p.High))
			}
		}
		for _, s := range m.SourceNAT {
			for _, p := range s.Ports {
				cut(int(p.Low), int(p.High))
			}
		}
		if m.ALG != nil && m.ALG.Kind == topology.Gateway {
			for _, p := range m.ALG.Ports {
				cut(int(p.Low), int(p.High))
			}
		}
	}
	slices.Sort(cuts)
	cuts = slices.Compact(cuts)
	var parts []topology.PortRange
	for i, c := range cuts {
		high := int(r.High)
		if i+1 < len(cuts) {
			high = cuts[i+1] - 1
		}
		parts = append(parts, topology.PortRange{Low: uint16(c), High: uint16(high)})
	}
	return parts
}
