package firewall

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// Server is what the rules of a server follow from.
type Server struct {
	// Control are the ports of control connections, Implicit those where TLS
	// starts at once.
	Control, Implicit []uint16
	// Passive is the range of passive mode; the zero value means that the
	// server does not offer it.
	Passive Ports
	// Active says that the server offers active mode, and ActivePort from
	// which port; 0 is any.
	Active     bool
	ActivePort uint16
	// Inside are the server's own addresses. None: rules name no address, which
	// is refused where they would open other hosts, or a client to everybody.
	Inside []netip.Addr
	// External are the addresses that clients reach it by, when a router in
	// between translates them (NAT) to Inside.
	External []netip.Addr
	// Clients are the networks of the clients. None: everybody.
	Clients []netip.Prefix
}

// Side is where a filter stands.
type Side string

// The sides.
const (
	AtServer Side = "server" // on the server itself
	AtRouter Side = "router" // on a router before the server, with or without NAT
	AtClient Side = "client" // on the client itself
)

// Sides are all of them.
var Sides = []Side{AtServer, AtRouter, AtClient}

// Way says which way a connection goes, seen from what the filter guards.
type Way string

// The ways.
const (
	In  Way = "in"
	Out Way = "out"
)

// End is one end of a connection: the networks that it may be in, none for
// all, and its ports.
type End struct {
	Nets  []netip.Prefix `json:"nets,omitempty"`
	Ports Ports          `json:"ports"`
}

// Rule lets TCP connections be opened. Their answers pass as well, which each
// format says in its own way.
type Rule struct {
	// Name is "control", "implicit", "passive" or "active", with the port
	// behind it if there are several.
	Name string `json:"name"`
	// Why is a sentence for people.
	Why  string `json:"why"`
	Way  Way    `json:"way"`
	From End    `json:"from"`
	To   End    `json:"to"`
}

// NAT gives the server its outside address: to connections that come in, or
// with Source to those that it opens itself. Port numbers stay: the server
// announces them.
type NAT struct {
	Name    string     `json:"name"`
	Why     string     `json:"why"`
	Outside netip.Addr `json:"outside"`
	Inside  netip.Addr `json:"inside"`
	Ports   Ports      `json:"ports"`
	Source  bool       `json:"source"`
}

// RuleSet is all that a filter must be told.
type RuleSet struct {
	Side  Side   `json:"side"`
	Rules []Rule `json:"rules"`
	NAT   []NAT  `json:"nat,omitempty"`
}

// high are the ports that clients listen on in active mode.
var high = Ports{1024, 65535}

// Plan says what a filter at side must be told.
func (s Server) Plan(side Side) (*RuleSet, error) {
	if err := s.check(side); err != nil {
		return nil, err
	}
	set := &RuleSet{Side: side}
	clients := s.Clients
	server := single(s.Inside)
	to, from := In, Out
	if side == AtClient {
		to, from = Out, In
		server = single(s.outside())
	}
	open := func(name, why string, ports Ports) {
		set.Rules = append(set.Rules, Rule{name, why, to, End{Nets: clients}, End{server, ports}})
		if side == AtRouter {
			set.forward(s, name, ports)
		}
	}
	for _, p := range s.Control {
		open(numbered("control", p, s.Control), fmt.Sprintf("Control connections: clients open them, to port %d.", p), Port(p))
	}
	for _, p := range s.Implicit {
		open(numbered("implicit", p, s.Implicit), fmt.Sprintf("Control connections with TLS from the start: clients open them, to port %d.", p), Port(p))
	}
	if !s.Passive.Any() {
		open("passive", fmt.Sprintf("Data connections of passive mode: clients open them, to ports %v.", s.Passive), s.Passive)
	}
	if s.Active {
		ports, text := Ports{}, "any port"
		if s.ActivePort != 0 {
			ports, text = Port(s.ActivePort), fmt.Sprintf("port %d", s.ActivePort)
		}
		set.Rules = append(set.Rules, Rule{
			"active", "Data connections of active mode: the server opens them, from " + text + ".",
			from,
			End{server, ports},
			End{clients, high},
		})
		if side == AtRouter {
			why := "Active mode: the server's connections must come from the address that clients know."
			if s.ActivePort == 0 {
				why += " It opens them from any port, so that this is for all of its connections."
			}
			for _, outside := range s.External {
				set.NAT = append(set.NAT, NAT{
					"active", why,
					outside, s.inside(outside), ports, true,
				})
			}
		}
	}
	return set, nil
}

// forward adds the translation of incoming connections.
func (set *RuleSet) forward(s Server, name string, ports Ports) {
	for _, outside := range s.External {
		set.NAT = append(set.NAT, NAT{
			name, fmt.Sprintf("Forwarded, to the same number inside: %s, %v.", strings.ToLower(name), ports),
			outside, s.inside(outside), ports, false,
		})
	}
}

// outside are the addresses that clients know: those of the outside, and where
// a family has none because nothing translates it, those of the inside.
func (s Server) outside() []netip.Addr {
	known := slices.Clone(s.External)
	for _, a := range s.Inside {
		if !slices.ContainsFunc(s.External, func(b netip.Addr) bool { return a.Is4() == b.Is4() }) {
			known = append(known, a)
		}
	}
	return known
}

// inside is the address that outside is translated to: the first of its family.
func (s Server) inside(outside netip.Addr) netip.Addr {
	for _, a := range s.Inside {
		if a.Is4() == outside.Is4() {
			return a
		}
	}
	return netip.Addr{}
}

func (s Server) check(side Side) error {
	if !slices.Contains(Sides, side) {
		return fmt.Errorf("side %q: not known; write server, router or client", side)
	}
	if len(s.Control)+len(s.Implicit) == 0 {
		return fmt.Errorf("no port for control connections; say which the server listens on")
	}
	taken := map[uint16]bool{}
	for _, p := range slices.Concat(s.Control, s.Implicit) {
		switch {
		case p == 0:
			return fmt.Errorf("port 0 for control connections; a rule needs the number")
		case taken[p]:
			return fmt.Errorf("port %d for control connections is there twice", p)
		case !s.Passive.Any() && s.Passive.Low <= p && p <= s.Passive.High:
			return fmt.Errorf("port %d for control connections lies in the passive range %v; choose another range", p, s.Passive)
		}
		taken[p] = true
	}
	if !s.Passive.Any() && (s.Passive.Low == 0 || s.Passive.Low > s.Passive.High) {
		return fmt.Errorf("passive range %d-%d: not two ports, the lower one first", s.Passive.Low, s.Passive.High)
	}
	for _, list := range [][]netip.Addr{s.Inside, s.External} {
		for _, a := range list {
			if !a.IsValid() || a.IsUnspecified() || a.Is4In6() || a.Zone() != "" {
				return fmt.Errorf("address %v: not that of a host", a)
			}
		}
	}
	for _, c := range s.Clients {
		if !c.IsValid() || c != c.Masked() {
			return fmt.Errorf("clients %v: not a network; write %v", c, c.Masked())
		}
	}
	for _, a := range s.External {
		if !s.inside(a).IsValid() {
			return fmt.Errorf("external address %v: say which inside address of its family it leads to", a)
		}
	}
	if len(s.Clients) > 0 && len(s.Inside) > 0 && !slices.ContainsFunc(s.Clients, func(c netip.Prefix) bool {
		return slices.ContainsFunc(s.Inside, func(a netip.Addr) bool { return a.Is4() == c.Addr().Is4() })
	}) {
		return fmt.Errorf("clients %v cannot reach %v: one is IPv4, the other IPv6", s.Clients, s.Inside)
	}
	// A router passes on for others too, and who opens connections to a client
	// can take what source port he likes.
	switch {
	case side == AtRouter && len(s.Inside) == 0:
		return errors.New("on a router, rules without the address of the server open these ports of every host behind it; name it by --inside")
	case side == AtClient && s.Active && len(s.outside()) == 0:
		return errors.New("active mode, on a client: rules without the address of the server let everybody in, to all ports from 1024 on; name it by --server, or take passive mode alone (--mode passive)")
	}
	return nil
}

// numbered tells ports apart where there are several.
func numbered(name string, port uint16, all []uint16) string {
	if len(all) == 1 {
		return name
	}
	return fmt.Sprintf("%s-%d", name, port)
}

func single(list []netip.Addr) []netip.Prefix {
	var nets []netip.Prefix
	for _, a := range list {
		nets = append(nets, netip.PrefixFrom(a, a.BitLen()))
	}
	return nets
}

// family is IPv4 or IPv6.
type family bool

const (
	v4 family = false
	v6 family = true
)

var families = []family{v4, v6}

// anywhere is the network of all hosts of f.
func (f family) anywhere() string {
	if f == v6 {
		return "::/0"
	}
	return "0.0.0.0/0"
}

func (f family) has(a netip.Addr) bool { return a.Is6() == bool(f) }

// in gives what r means for one family, and false if that is nothing.
func (r Rule) in(f family) (Rule, bool) {
	for _, e := range []*End{&r.From, &r.To} {
		if len(e.Nets) == 0 {
			continue
		}
		e.Nets = slices.DeleteFunc(slices.Clone(e.Nets), func(p netip.Prefix) bool { return !f.has(p.Addr()) })
		if len(e.Nets) == 0 {
			return Rule{}, false
		}
	}
	return r, true
}

// anybody reports whether r names no network, and so holds for both families.
func (r Rule) anybody() bool { return len(r.From.Nets) == 0 && len(r.To.Nets) == 0 }

// flows calls f for each pair of networks that r lets connect, for formats
// that know no lists. An invalid prefix is everybody.
func (r Rule) flows(f func(from, to netip.Prefix)) {
	everybody := []netip.Prefix{{}}
	froms, tos := r.From.Nets, r.To.Nets
	if len(froms) == 0 {
		froms = everybody
	}
	if len(tos) == 0 {
		tos = everybody
	}
	for _, a := range froms {
		for _, b := range tos {
			f(a, b)
		}
	}
}

// host writes a network, and one host alone without its length.
func host(p netip.Prefix) string {
	if p.IsSingleIP() {
		return p.Addr().String()
	}
	return p.String()
}

func hosts(nets []netip.Prefix, between string) string {
	texts := make([]string, len(nets))
	for i, p := range nets {
		texts[i] = host(p)
	}
	return strings.Join(texts, between)
}
