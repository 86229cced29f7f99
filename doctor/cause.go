package doctor

import (
	"towpath/internal/words"
	"towpath/topology"
)

// Seen is what the user sees.
type Seen string

// What there is to see.
const (
	SeenTimeout     Seen = "time-out"         // the client connects, and nobody answers
	SeenRefused     Seen = "refused"          // the client connects, and hears no at once
	SeenUnreachable Seen = "unreachable"      // the client connects, and hears at once that there is no way
	SeenIllegal     Seen = "500 at once"      // PORT or EPRT is refused; some servers say 501
	SeenLate425     Seen = "425 after a time" // the server connects, and nobody answers it
	SeenEarly425    Seen = "425 at once"      // the server connects, and hears no
	SeenStranger    Seen = "425 stranger"     // the data connection is there, and the server refuses who made it
	SeenWary        Seen = "client refuses"   // the data connection is there, and the client refuses who made it
	SeenNo226       Seen = "no 226"           // all bytes are there, and the last reply is not
	SeenStall       Seen = "stall"            // the control connection is silent from the announcement on
	SeenFamily      Seen = "not sayable"      // the client has no words for it
	SeenNoServer    Seen = "421"              // a gateway greets, and reaches no server
)

// Text says it in a sentence.
func (s Seen) Text() string { return s.phrase().In(words.English) }

func (s Seen) phrase() words.Phrase { return words.Say("seen." + string(s)) }

// Cause is why a mode fails. The values are stable.
type Cause string

// The causes.
const (
	CauseFirewall     Cause = "firewall"           // a firewall lets no new connection through
	CauseInside       Cause = "inside-address"     // the address announced leads nowhere from outside
	CauseMismatch     Cause = "address-mismatch"   // the address announced is not the one that the server sees
	CauseNotForwarded Cause = "not-forwarded"      // a NAT forwards the port to nobody
	CauseStrays       Cause = "answer-strays"      // the answer takes another way, or another name
	CauseStranger     Cause = "stranger"           // the data connection comes from another address than the session
	CauseOtherServer  Cause = "other-server"       // a balancer sends it to another server
	CauseForgotten    Cause = "forgotten"          // a NAT or firewall has forgotten the control connection
	CauseStall        Cause = "announcement-eaten" // the helper drops the announcement
	CauseFamily       Cause = "ipv6"               // PORT and PASV have no room for its addresses
	CauseRoute        Cause = "no-route"           // there is no way
	CauseClosed       Cause = "closed-port"        // nobody listens there
)

// why says what happens, with the addresses of this case.
func (o *outcome) why(n *topology.Network, m Mode) words.Phrase {
	end, opener := o.fate.last, any(words.Say("client"))
	switch {
	case o.control && len(o.legs) > 1:
		opener = o.legs[len(o.legs)-1].from.Name
	case m.active() && !o.control:
		opener = words.Say("server")
	}
	var reply string
	if reply = string(m); m == PASV {
		reply = "227"
	} else if m == EPSV {
		reply = "229"
	}
	switch o.cause {
	case CauseFirewall:
		return words.Say("cause.firewall", "opener", opener, "to", o.dialled, "hop", o.hop, "port", end.dst.Port(),
			"in", o.side(o.fate.in), "out", o.side(o.fate.out))
	case CauseInside:
		return words.Say("cause.inside-address", "reply", reply, "address", o.dialled.Addr(), "opener", opener, "hop", o.hop)
	case CauseMismatch:
		if o.link.at.Name != o.hop {
			return words.Say("cause.address-mismatch.gateway", "mode", m, "address", o.told.addr.Addr(), "hop", o.hop)
		}
		return words.Say("cause.address-mismatch", "mode", m, "address", o.told.addr.Addr(), "peer", o.link.far.src.Addr())
	case CauseNotForwarded:
		return words.Say("cause.not-forwarded", "opener", opener, "to", o.dialled, "hop", o.hop, "port", end.dst.Port())
	case CauseStrays:
		return words.Say("cause.answer-strays", "to", o.dialled, "from", end.src.Addr(), "back", end.dst.Addr(),
			"hop", o.hop, "asked", o.dialled.Addr())
	case CauseStranger:
		want := o.link.far.src.Addr()
		if m.active() {
			want = o.link.near.dst.Addr()
		}
		return words.Say("cause.stranger", "peer", o.peer, "want", want)
	case CauseOtherServer:
		return words.Say("cause.other-server", "server", o.link.at.Name, "to", o.dialled, "hop", o.hop)
	case CauseForgotten:
		idle := topology.Duration(0)
		if node := o.world.machine(o.hop); node != nil {
			idle = node.Idle
		}
		return words.Say("cause.forgotten", "transfer", n.Session.Transfer, "hop", o.hop, "idle", idle)
	case CauseStall:
		return words.Say("cause.announcement-eaten", "hop", o.hop)
	case CauseFamily:
		return words.Say("cause.ipv6", "mode", m)
	case CauseClosed:
		return words.Say("cause.closed-port", "to", o.dialled, "hop", o.hop, "port", end.dst.Port())
	}
	return words.Say("cause.no-route", "opener", opener, "to", o.dialled, "hop", o.hop)
}

// side names an interface of the machine where it ended.
func (o *outcome) side(iface string) any {
	if iface == topology.Self {
		return words.Say("itself")
	}
	if i := o.fate.at.Interface(iface); i != nil {
		return i.Link
	}
	return words.Say("anywhere")
}

// phrase says why a helper did nothing.
func (r remark) phrase(n *topology.Network) words.Phrase {
	switch r.why {
	case Blind:
		return words.Say("alg-blind", "node", r.node)
	case OtherPort:
		return words.Say("alg-other-port", "node", r.node, "ports", n.Node(r.node).ALG.Ports, "port", r.port)
	case OtherAddress:
		return words.Say("alg-other-address", "node", r.node)
	case Missed:
		return words.Say("alg-missed", "node", r.node)
	}
	return words.Phrase{}
}
