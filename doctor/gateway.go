package doctor

import (
	"net/netip"
	"slices"

	"towpath/topology"
)

// A gateway is no reader by the way: the control connection of the client ends
// there, and the gateway opens one of its own to the server. Both bring about
// data connections of their own, and the gateway joins them:
//
//	client ---- leg ---- gateway ---- leg ---- server
//	       <--- data --->       <--- data --->

// reads says whether a gateway on m takes control connections to a port.
func (m *machine) reads(port uint16) bool {
	return m.ALG != nil && m.ALG.Kind == topology.Gateway && m.ALG.Ports.Contains(port)
}

// takes says whether a gateway on m takes a connection that arrives, whoever it
// was sent to: one for control, or one for data, which it waits for.
func (m *machine) takes(t tuple) (takes, awaited bool) {
	awaited = slices.Contains(m.awaits, pinhole{from: t.src.Addr(), to: t.dst})
	return awaited || m.reads(t.dst.Port()), awaited
}

// onward is where the gateway on m opens the control connection to that it
// continues a leg by: where its forwards say, and else where the client wanted.
func (m *machine) onward(leg tuple, in string) netip.AddrPort {
	f := &flow{arrives: [2]tuple{leg, leg.reversed()}}
	m.forward(f, in)
	return f.arrives[back].src
}

// dial opens the control connection, leg for leg. A gateway that does not come to
// one server tries the others. One that would come to a gateway that it has
// passed, as to itself, does not: nobody has told it the server.
func (o *outcome) dial(client *machine) {
	w := o.world
	m, to := client, w.net.Session.To
	others := 0
	for {
		out, _, _ := m.route(to.Addr())
		from := netip.AddrPortFrom(m.own(out, to.Addr()), controlFrom)
		leg := w.connect(m, from, to, func(m *machine, at netip.AddrPort) bool {
			return m.Server != nil && at.Port() == m.Server.ControlPort() || m.reads(at.Port())
		})
		if leg.ok && slices.ContainsFunc(o.legs, func(l attempt) bool { return l.at == leg.at }) {
			last := &o.legs[len(o.legs)-1]
			last.ok, last.end = false, refused
			last.fate.ending, last.fate.reason = refused, byLoop
			break
		}
		if leg.ok { // the server speaks first
			f := w.send(leg.at, packet{kind: segment, tuple: leg.far.reversed()})
			if f.ending != arrived || f.at != m || f.last.tuple != leg.near.reversed() {
				leg.ok, leg.fate, leg.strays, leg.end = false, f, true, vanished
			}
		}
		if !leg.ok && others > 0 {
			others--
			last := o.legs[len(o.legs)-1]
			to = m.onward(last.far, last.fate.in)
			continue
		}
		o.legs = append(o.legs, leg)
		if !leg.ok || !leg.at.reads(leg.far.dst.Port()) {
			break
		}
		m, others = leg.at, 0
		if r := m.forwardOf(leg.far.dst, leg.fate.in); r != nil {
			others = len(r.To) - 1
		}
		to = m.onward(leg.far, leg.fate.in)
	}
	o.link = joined(o.legs)
}

// joined makes of legs one connection, as if those between translated.
func joined(legs []attempt) attempt {
	all := legs[len(legs)-1]
	all.near, all.from = legs[0].near, legs[0].from
	all.steps = nil
	for _, l := range legs {
		all.steps = continued(all.steps, l.steps)
	}
	return all
}

// continued joins two ways of which the second begins where the first ends.
func continued(a, b []Step) []Step {
	if len(a) == 0 || len(b) == 0 || a[len(a)-1].Node != b[0].Node {
		return append(slices.Clone(a), b...)
	}
	all := slices.Clone(a)
	turn := &all[len(all)-1]
	first := b[0]
	if first.NowFrom.IsValid() {
		first.From = first.NowFrom
	}
	if first.NowTo.IsValid() {
		first.To = first.NowTo
	}
	turn.NowFrom, turn.NowTo = first.From, first.To
	return append(all, b[1:]...)
}

// span is what an announcement passes unread: one leg, or several between which
// gateways are blind.
type span struct {
	attempt
	legs []attempt
}

// spans parts the control connection where a gateway reads; blind tells of those
// that do not.
func (o *outcome) spans(clear bool) (all []span, blind []remark) {
	begin := 0
	for i, l := range o.legs {
		last := i == len(o.legs)-1
		if !last && !clear && !l.at.ALG.TerminateTLS {
			blind = append(blind, remark{node: l.at.Name, why: Blind})
			continue
		}
		legs := o.legs[begin : i+1]
		all = append(all, span{joined(legs), legs})
		begin = i + 1
	}
	return all, blind
}

// towards is the mode in which a gateway asks the next: the client's own, or
// the one that it was told, in words that have room for the addresses there.
func (s span) towards(m Mode) Mode {
	active := m.active()
	switch s.from.ALG.ServerMode {
	case topology.ServerActive:
		active = true
	case topology.ServerPassive:
		active = false
	}
	long := m.family() == 0 || !s.near.dst.Addr().Is4()
	switch {
	case active && long:
		return EPRT
	case active:
		return PORT
	case long:
		return EPSV
	}
	return PASV
}
