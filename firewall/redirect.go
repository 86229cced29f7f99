package firewall

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strings"
)

// Redirection takes control connections that clients open to servers, and gives
// them to a listener on this host: the rules of a transparent gateway. To whom
// the client wanted to go [Original] says.
//
// Data connections that clients open in passive mode, to the server that they
// believe to talk to, need no rule that stands: each is a [Pinhole] with that
// address as Via.
type Redirection struct {
	// Table is the name of the table; "" means "towpath_redirect". Only one
	// process at a time can have it.
	Table string
	// Ports are those that clients dial; none are port 21.
	Ports []uint16
	// To is the port of the listener. It must be there for IPv4 and IPv6.
	To uint16
	// Interfaces are those by which clients come; none are all.
	Interfaces []string
	// Clients are the networks whose connections are taken; none are all.
	Clients []netip.Prefix
	// Except are networks of servers that are left alone.
	Except []netip.Prefix
	// Transparent leaves the packets as they are (TPROXY), so that a gateway
	// may call servers from the address of the client. Sockets must be told:
	// [Transparent] does it. Packets are routed here by a mark.
	Transparent bool
	// Mark is the one bit of the packet mark for that; 0 means
	// [DefaultPacketMark].
	Mark uint32
	// Routes is the number of the routing table for that; 0 means
	// [DefaultRoutes].
	Routes int
	// NetNS is a file descriptor of the network namespace to work in; 0 means
	// that of the process.
	NetNS int
}

// What leads the packets of a transparent redirection here. The bit is not that
// of pinholes, [DefaultMark]: routers with several uplinks copy the mark of a
// connection to its packets, and those of a pinhole are to be passed on.
const (
	DefaultPacketMark = DefaultMark << 1
	DefaultRoutes     = 2121
)

func (r Redirection) withDefaults() (Redirection, error) {
	if r.Table == "" {
		r.Table = DefaultTable + "_redirect"
	}
	if len(r.Ports) == 0 {
		r.Ports = []uint16{21}
	}
	if r.Routes == 0 {
		r.Routes = DefaultRoutes
	}
	if r.To == 0 {
		return r, errors.New("redirection to port 0: name the port of the listener")
	}
	if r.Mark == 0 {
		r.Mark = DefaultPacketMark
	}
	var err error
	if r.Mark, err = oneBit(r.Mark); err != nil {
		return r, err
	}
	for _, p := range r.Ports {
		if p == 0 {
			return r, errors.New("redirection of port 0: want 1 to 65535")
		}
	}
	for _, name := range r.Interfaces {
		if name == "" || len(name) > 15 || strings.ContainsAny(name, "\"\\*\n ") { // IFNAMSIZ, and what nft would read
			return r, fmt.Errorf("interface %q: not a name of 1 to 15 characters", name)
		}
	}
	for _, n := range append(r.Clients[:len(r.Clients):len(r.Clients)], r.Except...) {
		if !n.IsValid() || n.Addr().Is4In6() {
			return r, fmt.Errorf("network %v: want one as 192.0.2.0/24 or 2001:db8::/32", n)
		}
	}
	return r, nil
}

// Plan writes what [Redirection.Install] does, as nft writes it; the routes of
// a transparent one stand in remarks.
func (r Redirection) Plan(w io.Writer) error {
	r, err := r.withDefaults()
	if err != nil {
		return err
	}
	if r.Transparent {
		if _, err := fmt.Fprintln(w, "# Routes for the packets that the table marks. Who is killed leaves them, and the\n# next start takes them over; without the table they lead nothing."); err != nil {
			return err
		}
		for _, ip := range []string{"ip", "ip -6"} {
			if _, err := fmt.Fprintf(w, "# %s rule add fwmark %#x/%#x lookup %d\n# %s route add local default dev lo table %d\n",
				ip, r.Mark, r.Mark, r.Routes, ip, r.Routes); err != nil {
				return err
			}
		}
	}
	return r.table().write(w)
}

func (r Redirection) table() *table {
	t := &table{name: r.Table, owner: true}
	ports := portSet("ports", r.Ports)
	t.sets = []*set{ports}
	own := &set{name: "own", key: []field{ifaceName}, elements: []element{{name: "lo"}}}
	if r.Transparent {
		t.sets = append(t.sets, own)
	}
	nets := func(name string, list []netip.Prefix, f family) *set {
		s := &set{name: name + map[family]string{v4: "4", v6: "6"}[f], key: []field{address(f)}}
		for _, n := range list {
			if family(n.Addr().Is6()) == f {
				s.elements = append(s.elements, element{net: n.Masked()})
			}
		}
		if len(s.elements) == 0 {
			return nil
		}
		t.sets = append(t.sets, s)
		return s
	}
	var from []statement
	if len(r.Interfaces) > 0 {
		s := &set{name: "interfaces", key: []field{ifaceName}}
		for _, name := range r.Interfaces {
			s.elements = append(s.elements, element{name: name})
		}
		t.sets = append(t.sets, s)
		from = []statement{in{[]packet{iface}, s}}
	}
	take := func(f family) []statement {
		dialled := in{[]packet{port}, ports}
		if r.Transparent {
			return []statement{dialled, tproxy{f, r.To}, markPacket(r.Mark), accept{}}
		}
		return []statement{dialled, redirect(r.To)}
	}
	var rules [][]statement
	if r.Transparent {
		// What belongs to our own sockets, though its addresses are others'.
		rules = append(rules, []statement{isTCP{}, transparent{}, markPacket(r.Mark), accept{}})
		// What this host says to itself, as a gateway to a server beside it. NAT
		// here never sees it.
		rules = append(rules, []statement{in{[]packet{iface}, own}, accept{}})
	}
	source := map[family]packet{v4: source4, v6: source6}
	destination := map[family]packet{v4: destination4, v6: destination6}
	for _, f := range families {
		if s := nets("except", r.Except, f); s != nil {
			rules = append(rules, []statement{in{[]packet{destination[f]}, s}, accept{}})
		}
	}
	for _, f := range families {
		match := from[:len(from):len(from)]
		switch s := nets("clients", r.Clients, f); {
		case s != nil:
			match = append(match, in{[]packet{source[f]}, s})
		case len(r.Clients) > 0:
			continue // none of this family
		default:
			match = append(match, isFamily(f))
		}
		rules = append(rules, append(match, take(f)...))
	}
	c := &chain{"prerouting", "nat", "prerouting", -110, rules}
	if r.Transparent {
		c.kind, c.priority = "filter", -150
	}
	t.chains = []*chain{c}
	return t
}
