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
	// told is what the other end heard, said what the first one announced.
	said, told *announcement
	// link is the control connection, world what is remembered at the end.
	link  attempt
	world *world
	// peer is the address that the data connection came from, for a stranger.
	peer netip.Addr
}

// run plays one session, with a data connection that listens on port.
func run(n *topology.Network, mode Mode, port uint16) *outcome {
	w := newWorld(n)
	o := &outcome{world: w, listen: port}
	client := w.machine(n.Session.From)
	to := n.Session.To
	out, _, _ := client.route(to.Addr())
	from := netip.AddrPortFrom(client.own(out, to.Addr()), controlFrom)
	o.link = w.connect(client, from, to, func(m *machine, at netip.AddrPort) bool {
		return m.Server != nil && at.Port() == m.Server.ControlPort()
	})
	if !o.link.ok {
		o.control = true
		o.steps = o.link.steps
		o.dialled = to
		o.lost(o.link, false)
		return o
	}
	if mode.family() == 4 && !to.Addr().Is4() {
		return o.fail(SeenFamily, CauseFamily, client.Name)
	}
	if mode.active() {
		o.active(mode, client, port)
	} else {
		o.passive(mode, client, port)
	}
	if o.works {
		o.finish(client)
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

// say carries an announcement to the other end of the control connection, and
// reports whether it came there.
func (o *outcome) say(mode Mode, named netip.AddrPort) bool {
	s := o.world.net.Session
	said := &announcement{mode: mode, addr: named, clear: !s.TLS || s.ClearAgain, lines: s.Lines}
	told := *said
	o.said, o.told = said, &told
	from, ends := o.world.machine(s.From), o.link.near
	if !mode.active() {
		from, ends = o.link.at, o.link.far.reversed()
	}
	f := o.world.send(from, packet{kind: segment, tuple: ends, says: o.told})
	if f.ending == arrived {
		return true
	}
	o.fate, o.steps = f, f.steps
	switch f.reason {
	case byGateway:
		o.fail(SeenIllegal, CauseMismatch, f.at.Name)
	case byALG:
		o.fail(SeenStall, CauseStall, f.at.Name)
	default:
		o.fail(SeenStall, CauseForgotten, f.at.Name)
	}
	return false
}

// active is PORT and EPRT: the client listens.
func (o *outcome) active(mode Mode, client *machine, port uint16) {
	named := netip.AddrPortFrom(o.link.near.src.Addr(), port)
	if a := client.Client.External; a.IsValid() {
		named = netip.AddrPortFrom(a, port)
	}
	if !o.say(mode, named) {
		return
	}
	server := o.link.at
	peer, local := o.link.far.src, o.link.far.dst
	e := expectation(mode, o.told.addr, peer, local)
	if e.Foreign && !server.Server.AllowForeign {
		o.fail(SeenIllegal, CauseMismatch, server.Name)
		return
	}
	src := netip.AddrPortFrom(local.Addr(), server.Server.DataPort)
	if src.Port() == 0 {
		src = netip.AddrPortFrom(local.Addr(), activeFrom)
	}
	o.dialled = e.To
	t := o.world.connect(server, src, e.To, func(m *machine, at netip.AddrPort) bool {
		return m == client && at.Port() == port
	})
	o.fate, o.steps = t.fate, t.steps
	if !t.ok {
		o.lost(t, true)
		return
	}
	o.works = true
	if o.peer = t.far.src.Addr(); client.Client.Wary && o.peer != o.link.near.dst.Addr() {
		o.fail(SeenWary, CauseStranger, client.Name)
	}
}

// passive is PASV and EPSV: the server listens.
func (o *outcome) passive(mode Mode, client *machine, port uint16) {
	server := o.link.at
	peer, local := o.link.far.src, o.link.far.dst
	named := netip.AddrPortFrom(local.Addr(), port)
	switch a := server.Server.External; {
	case mode == EPSV:
		named = netip.AddrPortFrom(netip.Addr{}, port)
	case a.IsValid():
		named = netip.AddrPortFrom(a, port)
	}
	if !o.say(mode, named) {
		return
	}
	e := expectation(mode, o.told.addr, o.link.near.src, o.link.near.dst)
	o.dialled = e.To
	if client.Client.Kind == topology.Curl {
		o.dialled = netip.AddrPortFrom(o.link.near.dst.Addr(), e.To.Port())
	}
	out, _, _ := client.route(o.dialled.Addr())
	from := client.own(out, o.dialled.Addr())
	if !from.IsValid() {
		from = o.link.near.src.Addr()
	}
	t := o.world.connect(client, netip.AddrPortFrom(from, passiveFrom), o.dialled, func(m *machine, at netip.AddrPort) bool {
		return m == server && at == netip.AddrPortFrom(local.Addr(), port)
	})
	o.fate, o.steps = t.fate, t.steps
	if !t.ok {
		o.lost(t, false)
		return
	}
	o.works = true
	if o.peer = t.far.src.Addr(); o.peer != peer.Addr() && !server.Server.AllowForeign {
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
// connection of active mode it is the server that sees it, and tells it by 425.
func (o *outcome) lost(t attempt, server bool) {
	o.fate = t.fate
	seen := map[ending]Seen{vanished: SeenTimeout, refused: SeenRefused, unreachable: SeenUnreachable}[t.end]
	if server {
		seen = map[ending]Seen{vanished: SeenLate425, refused: SeenEarly425, unreachable: SeenEarly425}[t.end]
	}
	o.fail(seen, o.blame(t), t.fate.at.Name)
}

// blame finds the cause of a connection that did not come about.
func (o *outcome) blame(t attempt) Cause {
	f := t.fate
	switch {
	case t.strays:
		return CauseStrays
	case f.reason == byClosedPort && f.at != o.link.at && f.at.Server != nil:
		return CauseOtherServer
	case (f.reason == byClosedPort || f.out == topology.Self) && f.at.router:
		return CauseNotForwarded
	case f.reason == byClosedPort:
		return CauseClosed
	case f.reason == byFirewall:
		return CauseFirewall
	case !o.control && o.told != nil && o.dialled.Addr() != o.link.near.dst.Addr() && o.dialled.Addr() != o.link.far.src.Addr():
		return CauseInside
	}
	return CauseRoute
}

// finish lets the transfer take its time, and sends the 226.
func (o *outcome) finish(client *machine) {
	s := o.world.net.Session
	for _, m := range o.world.machines {
		idle := m.Idle
		if idle == 0 || idle >= s.Transfer || s.KeepAlive > 0 && s.KeepAlive < idle {
			continue
		}
		m.flows = slices.DeleteFunc(m.flows, func(f *flow) bool { return o.isControl(m, f) })
	}
	f := o.world.send(o.link.at, packet{kind: segment, tuple: o.link.far.reversed()})
	if f.ending == arrived && f.at == client && f.last.tuple == o.link.near.reversed() {
		return
	}
	o.fate, o.steps = f, f.steps
	o.fail(SeenNo226, CauseForgotten, f.at.Name)
}

// isControl says whether a flow is the control connection: it is the one whose
// ports are those of it on either side.
func (o *outcome) isControl(m *machine, f *flow) bool {
	return f == o.controlFlow(m)
}

// controlFlow finds what m remembers of the control connection: it was the
// first that came there.
func (o *outcome) controlFlow(m *machine) *flow {
	for _, f := range m.flows {
		if !f.related && f.arrives[forth].src.Port() == controlFrom {
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
