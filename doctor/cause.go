package doctor

import (
	"fmt"

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
)

// Text says it in a sentence.
func (s Seen) Text() string {
	return map[Seen]string{
		SeenTimeout:     "The client hangs, then reports a time-out.",
		SeenRefused:     "The client reports a refused connection at once.",
		SeenUnreachable: "The client reports at once that there is no route to the host.",
		SeenIllegal:     "The server answers 500 (or 501) Illegal PORT at once.",
		SeenLate425:     "The server answers 425 after its own time-out, often a minute.",
		SeenEarly425:    "The server answers 425 at once.",
		SeenStranger:    "The data connection comes about, and the server closes it: 425.",
		SeenWary:        "The data connection comes about, and the client closes it.",
		SeenNo226:       "All bytes arrive, and the client waits for a 226 that never comes.",
		SeenStall:       "The control connection is silent from here on, until the client gives up.",
		SeenFamily:      "The client says that the address cannot be announced.",
	}[s]
}

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
func (o *outcome) why(n *topology.Network, m Mode) string {
	end, opener := o.fate.last, "client"
	if m.active() && !o.control {
		opener = "server"
	}
	var reply string
	if reply = string(m); m == PASV {
		reply = "227"
	} else if m == EPSV {
		reply = "229"
	}
	switch o.cause {
	case CauseFirewall:
		return fmt.Sprintf("The %s connects to %v, and the firewall on %s lets no new connection to port %d through from %s to %s.",
			opener, o.dialled, o.hop, end.dst.Port(), o.side(o.fate.in), o.side(o.fate.out))
	case CauseInside:
		return fmt.Sprintf("%s names %v: from where the %s stands that address leads nowhere; its packets end at %s.",
			reply, o.dialled.Addr(), opener, o.hop)
	case CauseMismatch:
		if o.link.at.Name != o.hop {
			return fmt.Sprintf("%s names %v, which is not the address that %s sees the client at; it refuses such an announcement.", m, o.told.addr.Addr(), o.hop)
		}
		return fmt.Sprintf("%s names %v, but the server sees the client at %v. It makes no connections to third hosts: that would be a bounce attack.",
			m, o.told.addr.Addr(), o.link.far.src.Addr())
	case CauseNotForwarded:
		return fmt.Sprintf("The %s connects to %v; that address is of %s, which forwards port %d to nobody.",
			opener, o.dialled, o.hop, end.dst.Port())
	case CauseStrays:
		return fmt.Sprintf("The connection to %v arrives, but the answer is sent from %v to %v and ends at %s; who asked waits for an answer from %v.",
			o.dialled, end.src.Addr(), end.dst.Addr(), o.hop, o.dialled.Addr())
	case CauseStranger:
		want := o.link.far.src.Addr()
		if m.active() {
			want = o.link.near.dst.Addr()
		}
		return fmt.Sprintf("The data connection comes from %v, the control connection is with %v: whoever takes it would take a stranger's.", o.peer, want)
	case CauseOtherServer:
		return fmt.Sprintf("The session is with %s, but the data connection to %v comes to %s, where nobody waits for it.",
			o.link.at.Name, o.dialled, o.hop)
	case CauseForgotten:
		idle := topology.Duration(0)
		if node := o.world.machine(o.hop); node != nil {
			idle = node.Idle
		}
		return fmt.Sprintf("The control connection is silent during a transfer of %v, and %s forgets it after %v: the 226 finds no way to the client.",
			n.Session.Transfer, o.hop, idle)
	case CauseStall:
		return fmt.Sprintf("The kernel's ALG on %s takes the segment for a piece of an announcement and drops it, each time that it is sent again.", o.hop)
	case CauseFamily:
		return fmt.Sprintf("%s has room for four bytes of address; over IPv6 there are EPRT and EPSV (RFC 2428).", m)
	case CauseClosed:
		return fmt.Sprintf("The connection to %v comes to %s, where nobody listens on port %d.", o.dialled, o.hop, end.dst.Port())
	}
	return fmt.Sprintf("The %s connects to %v, and %s knows no way there.", opener, o.dialled, o.hop)
}

// side names an interface of the machine where it ended.
func (o *outcome) side(iface string) string {
	if iface == topology.Self {
		return "itself"
	}
	if i := o.fate.at.Interface(iface); i != nil {
		return i.Link
	}
	return "anywhere"
}

// text says why a helper did nothing.
func (r remark) text(n *topology.Network) string {
	switch r.why {
	case Blind:
		return fmt.Sprintf("The ALG on %s cannot read the announcement: the control connection is encrypted.", r.node)
	case OtherPort:
		return fmt.Sprintf("The ALG on %s reads port %v, and this session is on %d.", r.node, n.Node(r.node).ALG.Ports, n.Session.To.Port())
	case OtherAddress:
		return fmt.Sprintf("The ALG on %s looks away: the address announced is not that of its sender.", r.node)
	case Missed:
		return fmt.Sprintf("The ALG on %s did not see the announcement: it does not begin its segment.", r.node)
	}
	return ""
}
