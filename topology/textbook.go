package topology

import (
	"fmt"
	"net/netip"
)

// End is one of the ends of a session, or neither.
type End string

// The ends.
const (
	Neither  End = "none"
	AtClient End = "client"
	AtServer End = "server"
)

// Strength is what a firewall of the textbooks lets through.
type Strength string

// The strengths.
const (
	// Open: everything.
	Open Strength = "open"
	// StatefulFirewall: replies and what is related to them; from the inside
	// everything; from the outside new connections to the control port if the
	// server is inside.
	StatefulFirewall Strength = "stateful"
	// Strict: replies and what is related to them; new connections to the
	// control port only, whoever opens them.
	Strict Strength = "strict"
)

// Textbook is a network of the kind that text books draw: a client 44.1.1.44, a
// server 33.1.1.33, and a router between them, or one before each.
type Textbook struct {
	// NAT is the end that stands behind address translation: the client behind
	// source NAT, or the server behind destination NAT, its own connections
	// behind source NAT. Neither if empty.
	NAT End
	// Firewall is Open if empty.
	Firewall Strength
	// At is the end that the firewall guards: if empty the one of NAT, else the
	// server.
	At End
	// ALG puts the kernel's helper on each router, for port 21.
	ALG bool
	// TLS encrypts the control connection.
	TLS bool
	// Client is Plain if empty.
	Client ClientKind
}

func prefix(s string) netip.Prefix { return netip.MustParsePrefix(s) }
func address(s string) netip.Addr  { return netip.MustParseAddr(s) }

var (
	clientAddress = address("44.1.1.44")
	serverAddress = address("33.1.1.33")
	clientNet     = prefix("44.1.1.0/24")
	serverNet     = prefix("33.1.1.0/24")
	anywhere      = prefix("0.0.0.0/0")
)

// Network draws it.
func (t Textbook) Network() (*Network, error) {
	if err := t.fill(); err != nil {
		return nil, err
	}
	n := &Network{
		Name:  fmt.Sprintf("nat-%s-firewall-%s-at-%s", t.NAT, t.Firewall, t.At),
		Title: t.title(),
		Session: Session{
			From: "client", To: netip.AddrPortFrom(serverAddress, 21), TLS: t.TLS,
		},
		Hosts: []Node{host("client", "44.1.1.44/24", ""), host("server", "33.1.1.33/24", "")},
	}
	n.Hosts[0].Client = &Client{Kind: t.Client}
	n.Hosts[1].Server = &Server{DataPort: 20}
	if t.NAT != Neither && t.At != t.NAT && t.Firewall != Open {
		t.two(n)
	} else {
		t.one(n)
	}
	if t.ALG {
		for i := range n.Routers {
			if r := &n.Routers[i]; r.Name != "internet" {
				r.ALG = &ALG{Kind: Kernel, Ports: Port(21)}
			}
		}
	}
	return n, nil
}

func (t *Textbook) fill() error {
	if t.NAT == "" {
		t.NAT = Neither
	}
	if t.Firewall == "" {
		t.Firewall = Open
	}
	if t.At == "" {
		t.At = t.NAT
		if t.NAT == Neither {
			t.At = AtServer
		}
	}
	switch {
	case t.NAT != Neither && t.NAT != AtClient && t.NAT != AtServer:
		return fmt.Errorf("NAT %q: want none, client or server", t.NAT)
	case t.Firewall != Open && t.Firewall != StatefulFirewall && t.Firewall != Strict:
		return fmt.Errorf("firewall %q: want open, stateful or strict", t.Firewall)
	case t.At != AtClient && t.At != AtServer:
		return fmt.Errorf("firewall at %q: want client or server", t.At)
	case t.Client != "" && t.Client != Plain && t.Client != Curl:
		return fmt.Errorf("client %q: want plain or curl", t.Client)
	}
	return nil
}

func (t *Textbook) title() string {
	s := "no NAT"
	switch t.NAT {
	case AtClient:
		s = "the client behind source NAT"
	case AtServer:
		s = "the server behind destination NAT"
	}
	switch t.Firewall {
	case Open:
		s += ", no firewall"
	default:
		s += fmt.Sprintf(", a %s firewall before the %s", t.Firewall, t.At)
	}
	if t.ALG {
		s += ", ALG on"
	}
	if t.TLS {
		s += ", TLS"
	}
	return s
}

// host makes a host with one interface, eth0, on link.
func host(name, addr, link string) Node {
	return Node{Name: name, Interfaces: []Interface{{Name: "eth0", Link: link, Addresses: []netip.Prefix{prefix(addr)}}}}
}

// iface makes an interface that is named as its link.
func iface(link, addr string) Interface {
	return Interface{Name: link, Link: link, Addresses: []netip.Prefix{prefix(addr)}}
}

func via(to netip.Prefix, router string) Route { return Route{To: to, Via: address(router)} }

// internet makes the router of the rest of the world on a link of the outside.
// Inside addresses of others are nothing to it: packets to them vanish.
func internet(link, addr string, known ...Route) Node {
	return Node{
		Name: "internet", Interfaces: []Interface{iface(link, addr)},
		Routes: append(known, Route{To: anywhere, Kind: Blackhole}),
	}
}

// one draws one router, which translates and filters.
func (t *Textbook) one(n *Network) {
	// The router guards the end that is inside.
	guarded := t.At
	if t.NAT != Neither {
		guarded = t.NAT
	}
	inside, outside := "44.1.1.1/24", "33.1.1.1/24"
	n.Links = []Link{{Name: "inside", Subnets: []netip.Prefix{clientNet}}, {Name: "outside", Subnets: []netip.Prefix{serverNet}}}
	client, server := &n.Hosts[0], &n.Hosts[1]
	client.Interfaces[0].Link, server.Interfaces[0].Link = "inside", "outside"
	if guarded == AtServer {
		inside, outside = outside, inside
		n.Links[0].Subnets, n.Links[1].Subnets = n.Links[1].Subnets, n.Links[0].Subnets
		client.Interfaces[0].Link, server.Interfaces[0].Link = "outside", "inside"
	}
	client.Routes, server.Routes = []Route{via(anywhere, "44.1.1.1")}, []Route{via(anywhere, "33.1.1.1")}
	r := Node{Name: "router", Interfaces: []Interface{iface("inside", inside), iface("outside", outside)}}
	r.Firewall = rules(t.Firewall, t.At)
	n.Routers = []Node{r}
	switch t.NAT {
	case AtClient:
		server.Routes = []Route{via(anywhere, "33.1.1.254")}
		n.Routers = append(n.Routers, internet("outside", "33.1.1.254/24"))
		n.translateClient(&n.Routers[0], "33.1.1.1", "33.1.1.254")
	case AtServer:
		client.Routes = []Route{via(anywhere, "44.1.1.254")}
		n.Routers = append(n.Routers, internet("outside", "44.1.1.254/24"))
		n.translateServer(&n.Routers[0], "44.1.1.1", "44.1.1.254")
	}
}

// two draws a router before each end, one of which translates and the other
// filters.
func (t *Textbook) two(n *Network) {
	n.Links = []Link{
		{Name: "client-side", Subnets: []netip.Prefix{clientNet}},
		{Name: "outside", Subnets: []netip.Prefix{prefix("198.51.100.0/24")}},
		{Name: "server-side", Subnets: []netip.Prefix{serverNet}},
	}
	client, server := &n.Hosts[0], &n.Hosts[1]
	client.Interfaces[0].Link, server.Interfaces[0].Link = "client-side", "server-side"
	client.Routes, server.Routes = []Route{via(anywhere, "44.1.1.1")}, []Route{via(anywhere, "33.1.1.1")}
	a := Node{Name: "client-router", Interfaces: []Interface{
		{Name: "inside", Link: "client-side", Addresses: []netip.Prefix{prefix("44.1.1.1/24")}}, iface("outside", "198.51.100.1/24"),
	}}
	b := Node{Name: "server-router", Interfaces: []Interface{
		{Name: "inside", Link: "server-side", Addresses: []netip.Prefix{prefix("33.1.1.1/24")}}, iface("outside", "198.51.100.2/24"),
	}}
	a.Routes, b.Routes = []Route{via(anywhere, "198.51.100.254")}, []Route{via(anywhere, "198.51.100.254")}
	if t.At == AtClient {
		a.Firewall = rules(t.Firewall, t.At)
	} else {
		b.Firewall = rules(t.Firewall, t.At)
	}
	var known Route
	switch t.NAT {
	case AtClient:
		known = via(serverNet, "198.51.100.2")
		n.translateClient(&a, "198.51.100.1", "")
	case AtServer:
		known = via(clientNet, "198.51.100.1")
		n.translateServer(&b, "198.51.100.2", "")
	}
	n.Routers = []Node{a, b, internet("outside", "198.51.100.254/24", known)}
}

// rules are those of a firewall that guards one end.
func rules(s Strength, at End) []Rule {
	control := Port(21)
	switch {
	case s == StatefulFirewall && at == AtClient:
		return []Rule{{In: "outside", Do: Drop}}
	case s == StatefulFirewall:
		return []Rule{{In: "outside", Ports: control, Do: Accept}, {In: "outside", Do: Drop}}
	case s == Strict:
		return []Rule{{Ports: control, Do: Accept}, {Do: Drop}}
	}
	return nil
}

// translateClient gives what leaves r the address public.
func (n *Network) translateClient(r *Node, public, next string) {
	r.SourceNAT = []SourceNAT{{Out: "outside", From: clientNet, Addresses: []netip.Addr{address(public)}}}
	if next != "" {
		r.Routes = append(r.Routes, via(anywhere, next))
	}
}

// translateServer forwards the control port of public to the server, and gives
// what the server sends of itself the address public.
func (n *Network) translateServer(r *Node, public, next string) {
	r.Forwards = []Forward{{In: "outside", Address: address(public), Ports: Port(21), To: []netip.Addr{serverAddress}}}
	r.SourceNAT = []SourceNAT{{Out: "outside", From: serverNet, Addresses: []netip.Addr{address(public)}}}
	n.Session.To = netip.AddrPortFrom(address(public), 21)
	if next != "" {
		r.Routes = append(r.Routes, via(anywhere, next))
	}
}
