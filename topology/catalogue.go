package topology

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// Catalogue returns the named networks, the classic ones first. They are made
// anew each time: whoever asks may change them.
func Catalogue() []*Network {
	var all []*Network
	for _, e := range catalogue {
		n := e.draw()
		n.Name, n.Title = e.name, e.title
		all = append(all, n)
	}
	return all
}

// Lookup returns the network of the catalogue that has that name.
func Lookup(name string) (*Network, error) {
	var near []string
	for _, e := range catalogue {
		if e.name == name {
			n := e.draw()
			n.Name, n.Title = e.name, e.title
			return n, nil
		}
		if word, _, _ := strings.Cut(name, "-"); strings.HasPrefix(e.name, word) {
			near = append(near, e.name)
		}
	}
	if len(near) == 0 {
		near = []string{"client-inside", "server-inside", "docker-bridge"}
	}
	return nil, fmt.Errorf("no network %q in the catalogue; want one such as %s", name, strings.Join(near, ", "))
}

type entry struct {
	name, title string
	draw        func() *Network
}

// book draws a textbook, and changes it.
func book(t Textbook, changes ...func(*Network)) func() *Network {
	return func() *Network {
		n, err := t.Network()
		if err != nil {
			panic("topology: catalogue: " + err.Error()) // ours, and tested
		}
		for _, change := range changes {
			change(n)
		}
		return n
	}
}

var catalogue = []entry{
	// The classic ones.
	{"client-inside", "the client behind source NAT", book(Textbook{NAT: AtClient})},
	{"client-inside-stateful", "the client behind source NAT and a stateful firewall", book(Textbook{NAT: AtClient, Firewall: StatefulFirewall})},
	{"client-inside-strict", "the client behind source NAT and a firewall that lets out port 21 only", book(Textbook{NAT: AtClient, Firewall: Strict})},
	{"client-inside-alg", "the client behind source NAT with an ALG", book(Textbook{NAT: AtClient, ALG: true})},
	{"client-inside-strict-alg", "the client behind source NAT with an ALG and a strict firewall", book(Textbook{NAT: AtClient, Firewall: Strict, ALG: true})},
	{"client-inside-strict-alg-tls", "source NAT, ALG and a strict firewall, with TLS, which makes the ALG blind", book(Textbook{NAT: AtClient, Firewall: Strict, ALG: true, TLS: true})},
	{"server-inside", "the server behind destination NAT, only port 21 forwarded", book(Textbook{NAT: AtServer})},
	{"server-inside-stateful", "the server behind destination NAT and a stateful firewall", book(Textbook{NAT: AtServer, Firewall: StatefulFirewall})},
	{"server-inside-strict", "the server behind destination NAT and a firewall that lets through port 21 only", book(Textbook{NAT: AtServer, Firewall: Strict})},
	{"server-inside-alg", "the server behind destination NAT with an ALG", book(Textbook{NAT: AtServer, ALG: true})},
	{"server-inside-strict-alg", "the server behind destination NAT with an ALG and a strict firewall", book(Textbook{NAT: AtServer, Firewall: Strict, ALG: true})},
	{"server-inside-alg-tls", "destination NAT, ALG and a stateful firewall, with TLS, which makes the ALG blind", book(Textbook{NAT: AtServer, Firewall: StatefulFirewall, ALG: true, TLS: true})},

	// Firewalls without NAT.
	{"no-nat", "a router that neither translates nor filters", book(Textbook{})},
	{"client-guarded", "no NAT, a stateful firewall before the client", book(Textbook{Firewall: StatefulFirewall, At: AtClient})},
	{"client-guarded-strict", "no NAT, a firewall before the client that lets out port 21 only", book(Textbook{Firewall: Strict, At: AtClient})},
	{"client-guarded-alg", "no NAT, a stateful firewall with an ALG before the client", book(Textbook{Firewall: StatefulFirewall, At: AtClient, ALG: true})},
	{"server-guarded", "no NAT, a stateful firewall before the server", book(Textbook{Firewall: StatefulFirewall, At: AtServer})},
	{"server-guarded-strict", "no NAT, a firewall before the server that lets port 21 through only", book(Textbook{Firewall: Strict, At: AtServer})},
	{"server-guarded-alg", "no NAT, a stateful firewall with an ALG before the server", book(Textbook{Firewall: StatefulFirewall, At: AtServer, ALG: true})},
	{"server-guarded-reject", "no NAT, a firewall before the server that says no by ICMP", book(Textbook{Firewall: StatefulFirewall, At: AtServer}, rejecting(Reject))},
	{"server-guarded-reset", "no NAT, a firewall before the server that says no by RST", book(Textbook{Firewall: StatefulFirewall, At: AtServer}, rejecting(Reset))},
	{"server-guarded-replies-only", "an ALG whose firewall does not accept what is related", book(Textbook{Firewall: StatefulFirewall, At: AtServer, ALG: true}, repliesOnly)},
	{"server-filters-itself", "no NAT, packet filter on the server's own machine", book(Textbook{}, ownFilter)},
	{"client-inside-server-guarded", "the client behind source NAT, the server behind a stateful firewall", book(Textbook{NAT: AtClient, Firewall: StatefulFirewall, At: AtServer})},
	{"server-inside-client-guarded", "the server behind destination NAT, the client behind a stateful firewall", book(Textbook{NAT: AtServer, Firewall: StatefulFirewall, At: AtClient})},

	// The ways out, and the traps beside them.
	{"server-inside-published", "destination NAT, range forwarded, external address told", book(Textbook{NAT: AtServer, Firewall: StatefulFirewall}, published)},
	{"server-inside-published-tls", "destination NAT, range forwarded, external address told, with TLS", book(Textbook{NAT: AtServer, Firewall: StatefulFirewall, TLS: true}, published)},
	{"server-inside-published-alg", "range forwarded and address told, beside an ALG, which changes nothing", book(Textbook{NAT: AtServer, Firewall: StatefulFirewall, ALG: true}, published)},
	{"server-inside-external-alg", "external address told, no range forwarded: the kernel's ALG looks away", book(Textbook{NAT: AtServer, Firewall: StatefulFirewall, ALG: true}, external)},
	{"server-inside-range-small", "range 50000-50099 told, 50000-50009 forwarded", book(Textbook{NAT: AtServer}, published, passive(Range(50000, 50099)))},
	{"server-inside-range-moved", "range forwarded to other numbers than are told", book(Textbook{NAT: AtServer}, published, moved)},
	{"server-inside-no-source-nat", "destination NAT, the server's own connections not translated", book(Textbook{NAT: AtServer}, noSourceNAT)},
	{"server-inside-no-source-nat-alg", "destination NAT alone, with an ALG, which translates the server's own connections", book(Textbook{NAT: AtServer, ALG: true}, noSourceNAT)},
	{"server-inside-icmp", "destination NAT, and the outside answers with ICMP in place of silence", book(Textbook{NAT: AtServer}, outsideSpeaks)},
	{"server-inside-other-port", "control on port 2121, the ALG reads port 21", book(Textbook{NAT: AtServer, Firewall: StatefulFirewall, ALG: true}, otherPort)},
	{"client-inside-other-port", "control on port 2121, the ALG reads port 21", book(Textbook{NAT: AtClient, ALG: true}, otherPort)},
	{"client-inside-forward-20", "port 20 forwarded to the client: the well-known remedy that is none", book(Textbook{NAT: AtClient, Firewall: StatefulFirewall}, forward20)},
	{"client-inside-foreign", "the server takes a PORT with any address", book(Textbook{NAT: AtClient}, allowForeign)},
	{"client-inside-two-addresses", "NAT with two public addresses, data not from the one of the control connection", book(Textbook{NAT: AtClient}, twoAddresses)},
	{"client-inside-in-turn", "NAT with two public addresses in turn", book(Textbook{NAT: AtClient}, inTurn)},
	{"client-inside-clear-again", "TLS, then CCC: the ALG reads again", book(Textbook{NAT: AtClient, Firewall: Strict, ALG: true, TLS: true}, clearAgain)},
	{"server-inside-clear-again", "TLS, then CCC: the ALG reads again", book(Textbook{NAT: AtServer, Firewall: StatefulFirewall, ALG: true, TLS: true}, clearAgain)},
	{"server-inside-clear-again-no-alg", "TLS, then CCC, and nobody who reads", book(Textbook{NAT: AtServer, Firewall: StatefulFirewall, TLS: true}, clearAgain)},
	{"client-inside-split", "announcements over two segments: the kernel's ALG drops the first for ever", book(Textbook{NAT: AtClient, ALG: true}, lines(Split))},
	{"server-inside-joined", "announcements behind another line in one segment: the kernel's ALG does not see them", book(Textbook{NAT: AtServer, Firewall: StatefulFirewall, ALG: true}, lines(Joined))},
	{"client-inside-forgetful", "NAT that forgets after 3 s, and a transfer of 6 s", book(Textbook{NAT: AtClient, Firewall: StatefulFirewall}, forgetful)},
	{"client-inside-forgetful-alg", "NAT that forgets after 3 s, with an ALG, which does not help", book(Textbook{NAT: AtClient, Firewall: StatefulFirewall, ALG: true}, forgetful)},
	{"client-inside-kept-alive", "NAT that forgets after 3 s, and a packet each second on the control connection", book(Textbook{NAT: AtClient, Firewall: StatefulFirewall}, forgetful, keptAlive)},
	{"server-inside-forgetful", "the server's NAT forgets after 3 s; Linux takes the 226 for a new connection and lets it out", book(Textbook{NAT: AtServer, Firewall: StatefulFirewall}, published, forgetful)},

	// Gateways that read lines.
	{"client-inside-gateway", "a gateway in place of the kernel's ALG, announcements over two segments", book(Textbook{NAT: AtClient, Firewall: Strict, ALG: true}, gateway(false), lines(Split))},
	{"client-inside-gateway-tls", "the client behind source NAT with a gateway that terminates TLS, and a strict firewall", book(Textbook{NAT: AtClient, Firewall: Strict, ALG: true, TLS: true}, gateway(true))},
	{"client-inside-gateway-blind", "the client behind source NAT with a gateway that lets TLS pass, and a strict firewall", book(Textbook{NAT: AtClient, Firewall: Strict, ALG: true, TLS: true}, gateway(false))},
	{"server-inside-gateway", "a gateway in place of destination NAT and ALG, announcements behind another line", book(Textbook{NAT: AtServer, Firewall: Strict, ALG: true}, gateway(false), lines(Joined))},
	{"server-inside-gateway-tls", "a gateway that terminates TLS", book(Textbook{NAT: AtServer, Firewall: Strict, ALG: true, TLS: true}, gateway(true))},
	{"server-guarded-gateway-passive", "active clients, a server whose firewall lets it connect to nobody: the gateway asks it for passive mode", book(Textbook{NAT: AtClient, Firewall: Strict, At: AtServer}, servedBy("client-router", ServerPassive), openRange)},
	{"server-guarded-gateway-active", "passive clients, a server whose firewall lets in port 21 only: the gateway asks it for active mode", book(Textbook{NAT: AtClient, Firewall: StatefulFirewall, At: AtServer}, servedBy("client-router", ServerActive))},
	{"balancer-gateway", "two servers behind one gateway: data goes where its session went", balancerGateway},
	{"ipv4-client-ipv6-server", "a client that has IPv4 only, a server that has IPv6 only, and a gateway between", func() *Network { return families("192.0.2", "2001:db8:33:") }},
	{"ipv6-client-ipv4-server", "a client that has IPv6 only, a server that has IPv4 only, and a gateway between", func() *Network { return families("2001:db8:44:", "192.0.2") }},

	// Other houses.
	{"double-nat", "a home router behind the NAT of the carrier", doubleNAT},
	{"double-nat-one-alg", "two NATs behind each other, an ALG on the home router only", func() *Network { return withALG(doubleNAT(), "home") }},
	{"double-nat-alg", "two NATs behind each other, an ALG on both", func() *Network { return withALG(doubleNAT(), "home", "carrier") }},
	{"hairpin", "client and server on one LAN, dialled by the public address", hairpin},
	{"hairpin-source-nat", "one LAN, dialled by the public address, and the router puts itself in between", func() *Network { return hairpinNAT(hairpin()) }},
	{"hairpin-published", "one LAN, dialled by the public address, range forwarded and external address told", func() *Network { return hairpinPublished(hairpinNAT(hairpin())) }},
	{"docker-bridge", "the server in a container, only port 21 published", docker},
	{"docker-published", "the server in a container, range published and external address told", dockerPublished},
	{"node-source-nat", "a Kubernetes node that puts its own address before every client's", nodeSourceNAT},
	{"balancer", "two servers behind one address, connections in turn", func() *Network { return balancer(false) }},
	{"balancer-sticky", "two servers behind one address, each client always to the same server", func() *Network { return balancer(true) }},
	{"balancer-ranges", "two servers behind one address, each with a range of its own", balancerRanges},
	{"ipv6", "IPv6 through a router that does not filter", func() *Network { return ipv6(nil) }},
	{"ipv6-client-guarded", "IPv6, a stateful firewall before the client", func() *Network { return ipv6(rules(StatefulFirewall, AtClient)) }},
	{"ipv6-server-guarded", "IPv6, a stateful firewall before the server", ipv6Server},
	{"ipv6-strict-alg", "IPv6, a strict firewall with an ALG", func() *Network { return withALG(ipv6(rules(Strict, AtServer)), "router") }},
}

var published50000 = Range(50000, 50009)

// router is the one of a textbook that translates or filters.
func (n *Network) router() *Node { return &n.Routers[0] }

func (n *Network) server() *Server { return n.Node("server").Server }

func rejecting(a Action) func(*Network) {
	return func(n *Network) {
		for i := range n.router().Firewall {
			if r := &n.router().Firewall[i]; r.Do == Drop {
				r.Do = a
			}
		}
	}
}

func repliesOnly(n *Network) { n.router().StrictlyReplies = true }

func ownFilter(n *Network) {
	n.Node("server").Firewall = []Rule{{Ports: Port(21), Do: Accept}, {Do: Drop}}
}

func external(n *Network) { n.server().External = n.Session.To.Addr() }

func passive(p Ports) func(*Network) {
	return func(n *Network) { n.server().Passive = p }
}

// published forwards a range, opens it, and tells the outside address.
func published(n *Network) {
	external(n)
	passive(published50000)(n)
	r := n.router()
	f := r.Forwards[0]
	f.Ports = published50000
	r.Forwards = append(r.Forwards, f)
	if len(r.Firewall) > 0 {
		r.Firewall = slices.Insert(r.Firewall, 0, Rule{In: "outside", To: netip.PrefixFrom(serverAddress, 32), Ports: published50000, Do: Accept})
	}
}

func moved(n *Network) { n.router().Forwards[1].Port = 51000 }

func noSourceNAT(n *Network) { n.router().SourceNAT = nil }

func outsideSpeaks(n *Network) { n.Node("internet").Routes[0].Kind = Unreachable }

func otherPort(n *Network) {
	n.Session.To = netip.AddrPortFrom(n.Session.To.Addr(), 2121)
	n.server().Port = 2121
	for i := range n.router().Forwards {
		n.router().Forwards[i].Ports = Port(2121)
	}
	for i := range n.router().Firewall {
		if len(n.router().Firewall[i].Ports) > 0 {
			n.router().Firewall[i].Ports = Port(2121)
		}
	}
}

func forward20(n *Network) {
	r := n.router()
	r.Forwards = []Forward{{In: "outside", Address: address("33.1.1.1"), Ports: Port(20), To: []netip.Addr{clientAddress}}}
	r.Firewall = slices.Insert(r.Firewall, 0, Rule{In: "outside", Ports: Port(20), Do: Accept})
}

func allowForeign(n *Network) {
	n.server().AllowForeign = true
	n.server().DataPort = 0
}

// addSecond gives the router the public address 33.1.1.2 as well.
func addSecond(n *Network) {
	out := n.router().Interface("outside")
	out.Addresses = append(out.Addresses, prefix("33.1.1.2/24"))
}

func twoAddresses(n *Network) {
	addSecond(n)
	nat := n.router().SourceNAT[0]
	control, data := nat, nat
	control.Ports, data.Addresses = Port(21), []netip.Addr{address("33.1.1.2")}
	n.router().SourceNAT = []SourceNAT{control, data}
}

func inTurn(n *Network) {
	addSecond(n)
	nat := &n.router().SourceNAT[0]
	nat.Addresses = append(nat.Addresses, address("33.1.1.2"))
}

func clearAgain(n *Network) { n.Session.ClearAgain = true }

func lines(l Lines) func(*Network) {
	return func(n *Network) { n.Session.Lines = l }
}

func forgetful(n *Network) {
	n.router().Idle = Duration(3 * time.Second)
	n.Session.Transfer = Duration(6 * time.Second)
}

func keptAlive(n *Network) { n.Session.KeepAlive = Duration(time.Second) }

func gateway(terminate bool) func(*Network) {
	return func(n *Network) {
		n.router().ALG = &ALG{Kind: Gateway, Ports: Port(21), TerminateTLS: terminate}
	}
}

// servedBy puts a gateway on a router, which asks servers for a mode.
func servedBy(router string, m ServerMode) func(*Network) {
	return func(n *Network) {
		n.Node(router).ALG = &ALG{Kind: Gateway, Ports: Port(21), ServerMode: m}
	}
}

// openRange lets a strict firewall before the server pass a range of its ports.
func openRange(n *Network) {
	passive(published50000)(n)
	r := n.Node("server-router")
	r.Firewall = slices.Insert(r.Firewall, 0, Rule{In: "outside", To: netip.PrefixFrom(serverAddress, 32), Ports: published50000, Do: Accept})
}

// WithGateway returns the network with a gateway on each router that has the
// helper of the kernel. It terminates TLS where the session has it. If there is
// no such router, it returns nil.
func (n *Network) WithGateway() *Network {
	c := n.Clone()
	found := false
	for _, node := range c.Nodes() {
		if node.ALG == nil || node.ALG.Kind != Kernel {
			continue
		}
		found = true
		*node.ALG = ALG{Kind: Gateway, Ports: node.ALG.Ports, TerminateTLS: c.Session.TLS}
	}
	if !found {
		return nil
	}
	c.Title += ", a gateway in place of the kernel's ALG"
	return c
}

func withALG(n *Network, names ...string) *Network {
	for _, name := range names {
		n.Node(name).ALG = &ALG{Kind: Kernel, Ports: Port(21)}
	}
	return n
}

// station makes a host with a default route.
func station(name, addr, link, gateway string) Node {
	h := host(name, addr, link)
	h.Routes = []Route{via(anywhere, gateway)}
	return h
}

func link(name, subnet string) Link {
	return Link{Name: name, Subnets: []netip.Prefix{prefix(subnet)}}
}

func doubleNAT() *Network {
	n := &Network{
		Session: Session{From: "client", To: netip.MustParseAddrPort("203.0.113.33:21")},
		Links:   []Link{link("lan", "192.168.1.0/24"), link("access", "100.64.0.0/24"), link("outside", "203.0.113.0/24")},
		Hosts: []Node{
			station("client", "192.168.1.44/24", "lan", "192.168.1.1"),
			station("server", "203.0.113.33/24", "outside", "203.0.113.254"),
		},
		Routers: []Node{
			{
				Name:       "home",
				Interfaces: []Interface{iface("lan", "192.168.1.1/24"), iface("access", "100.64.0.2/24")},
				Routes:     []Route{via(anywhere, "100.64.0.1")},
				Firewall:   []Rule{{In: "access", Do: Drop}},
				SourceNAT:  []SourceNAT{{Out: "access"}},
			},
			{
				Name:       "carrier",
				Interfaces: []Interface{iface("access", "100.64.0.1/24"), iface("outside", "203.0.113.1/24")},
				Routes:     []Route{via(anywhere, "203.0.113.254")},
				Firewall:   []Rule{{In: "outside", Do: Drop}},
				SourceNAT:  []SourceNAT{{Out: "outside"}},
			},
			internet("outside", "203.0.113.254/24"),
		},
	}
	n.Hosts[0].Client, n.Hosts[1].Server = &Client{}, &Server{DataPort: 20}
	return n
}

func hairpin() *Network {
	server := address("192.168.1.33")
	n := &Network{
		Session: Session{From: "client", To: netip.MustParseAddrPort("203.0.113.1:21")},
		Links:   []Link{link("lan", "192.168.1.0/24"), link("outside", "203.0.113.0/24")},
		Hosts: []Node{
			station("client", "192.168.1.44/24", "lan", "192.168.1.1"),
			station("server", "192.168.1.33/24", "lan", "192.168.1.1"),
		},
		Routers: []Node{
			{
				Name:       "router",
				Interfaces: []Interface{iface("lan", "192.168.1.1/24"), iface("outside", "203.0.113.1/24")},
				Routes:     []Route{via(anywhere, "203.0.113.254")},
				Forwards:   []Forward{{Address: address("203.0.113.1"), Ports: Port(21), To: []netip.Addr{server}}},
				SourceNAT:  []SourceNAT{{Out: "outside"}},
			},
			internet("outside", "203.0.113.254/24"),
		},
	}
	n.Hosts[0].Client, n.Hosts[1].Server = &Client{}, &Server{DataPort: 20}
	return n
}

func hairpinNAT(n *Network) *Network {
	lan := prefix("192.168.1.0/24")
	n.router().SourceNAT = append(n.router().SourceNAT, SourceNAT{Out: "lan", From: lan, To: lan})
	return n
}

func hairpinPublished(n *Network) *Network {
	external(n)
	passive(published50000)(n)
	f := n.router().Forwards[0]
	f.Ports = published50000
	n.router().Forwards = append(n.router().Forwards, f)
	return n
}

func docker() *Network {
	n := &Network{
		Session: Session{From: "client", To: netip.MustParseAddrPort("203.0.113.5:21")},
		Links:   []Link{link("docker0", "172.17.0.0/16"), link("outside", "203.0.113.0/24")},
		Hosts: []Node{
			station("client", "203.0.113.44/24", "outside", "203.0.113.254"),
			station("server", "172.17.0.2/16", "docker0", "172.17.0.1"),
		},
		Routers: []Node{
			{
				Name:       "engine",
				Interfaces: []Interface{iface("docker0", "172.17.0.1/16"), iface("outside", "203.0.113.5/24")},
				Routes:     []Route{via(anywhere, "203.0.113.254")},
				Forwards:   []Forward{{Address: address("203.0.113.5"), Ports: Port(21), To: []netip.Addr{address("172.17.0.2")}}},
				Firewall: []Rule{
					{Out: "docker0", To: prefix("172.17.0.2/32"), Ports: Port(21), Do: Accept},
					{In: "outside", Out: "docker0", Do: Drop},
				},
				SourceNAT: []SourceNAT{{Out: "outside", From: prefix("172.17.0.0/16")}},
			},
			internet("outside", "203.0.113.254/24"),
		},
	}
	n.Hosts[0].Client, n.Hosts[1].Server = &Client{}, &Server{}
	return n
}

func dockerPublished() *Network {
	n := hairpinPublished(docker())
	r := n.router()
	r.Firewall[0].Ports = append(r.Firewall[0].Ports, published50000...)
	return n
}

func nodeSourceNAT() *Network {
	ports := append(Port(21), Range(30000, 30009)...)
	n := &Network{
		Session: Session{From: "client", To: netip.MustParseAddrPort("203.0.113.5:21")},
		Links:   []Link{link("pods", "10.244.0.0/24"), link("outside", "203.0.113.0/24")},
		Hosts: []Node{
			station("client", "203.0.113.44/24", "outside", "203.0.113.254"),
			station("server", "10.244.0.7/24", "pods", "10.244.0.1"),
		},
		Routers: []Node{
			{
				Name:       "node",
				Interfaces: []Interface{iface("pods", "10.244.0.1/24"), iface("outside", "203.0.113.5/24")},
				Routes:     []Route{via(anywhere, "203.0.113.254")},
				Forwards:   []Forward{{Address: address("203.0.113.5"), Ports: ports, To: []netip.Addr{address("10.244.0.7")}}},
				SourceNAT:  []SourceNAT{{Out: "pods"}, {Out: "outside", From: prefix("10.244.0.0/24")}},
			},
			internet("outside", "203.0.113.254/24"),
		},
	}
	n.Hosts[0].Client = &Client{}
	n.Hosts[1].Server = &Server{Passive: Range(30000, 30009), External: address("203.0.113.5")}
	return n
}

func balancer(sticky bool) *Network {
	public := address("203.0.113.10")
	n := &Network{
		Session: Session{From: "client", To: netip.AddrPortFrom(public, 21)},
		Links:   []Link{link("servers", "10.0.0.0/24"), link("outside", "203.0.113.0/24")},
		Hosts: []Node{
			station("client", "203.0.113.44/24", "outside", "203.0.113.254"),
			station("server", "10.0.0.11/24", "servers", "10.0.0.1"),
			station("server-b", "10.0.0.12/24", "servers", "10.0.0.1"),
		},
		Routers: []Node{
			{
				Name:       "balancer",
				Interfaces: []Interface{iface("servers", "10.0.0.1/24"), iface("outside", "203.0.113.10/24")},
				Routes:     []Route{via(anywhere, "203.0.113.254")},
				Forwards:   []Forward{{Address: public, To: []netip.Addr{address("10.0.0.11"), address("10.0.0.12")}, Sticky: sticky}},
				SourceNAT:  []SourceNAT{{Out: "outside", From: prefix("10.0.0.0/24")}},
			},
			internet("outside", "203.0.113.254/24"),
		},
	}
	n.Hosts[0].Client = &Client{}
	for i := range n.Hosts[1:] {
		n.Hosts[i+1].Server = &Server{External: public}
	}
	return n
}

func balancerGateway() *Network {
	n := balancer(false)
	r := n.router()
	r.Forwards[0].Ports = Port(21)
	r.ALG = &ALG{Kind: Gateway, Ports: Port(21)}
	for i := range n.Hosts[1:] {
		n.Hosts[i+1].Server.External = netip.Addr{}
	}
	return n
}

// families puts a gateway between two links of which one may be of IPv4 and the
// other of IPv6. The client dials the gateway; inside is its side.
func families(inside, outside string) *Network {
	at := func(link, host string) string {
		if strings.Contains(link, ":") {
			return link + ":" + host
		}
		return link + "." + host
	}
	length := func(link string) string {
		if strings.Contains(link, ":") {
			return "/64"
		}
		return "/24"
	}
	on := func(link, host string) string { return at(link, host) + length(link) }
	subnet := func(l string) string { return prefix(on(l, "1")).Masked().String() }
	door, server := address(at(inside, "1")), address(at(outside, "33"))
	n := &Network{
		Session: Session{From: "client", To: netip.AddrPortFrom(door, 21)},
		Links:   []Link{link("inside", subnet(inside)), link("outside", subnet(outside))},
		Hosts:   []Node{host("client", on(inside, "44"), "inside"), host("server", on(outside, "33"), "outside")},
		Routers: []Node{{
			Name:       "router",
			Interfaces: []Interface{iface("inside", on(inside, "1")), iface("outside", on(outside, "1"))},
			Forwards:   []Forward{{In: "inside", Address: door, Ports: Port(21), To: []netip.Addr{server}}},
			ALG:        &ALG{Kind: Gateway, Ports: Port(21)},
		}},
	}
	n.Hosts[0].Client, n.Hosts[1].Server = &Client{}, &Server{DataPort: 20}
	return n
}

func balancerRanges() *Network {
	n := balancer(false)
	n.router().Forwards[0].Ports = Port(21)
	for i := range n.Hosts[1:] {
		h := &n.Hosts[i+1]
		h.Server.Passive = Range(uint16(50000+10*i), uint16(50009+10*i))
		n.router().Forwards = append(n.router().Forwards, Forward{
			Address: n.Session.To.Addr(), Ports: h.Server.Passive, To: []netip.Addr{h.Interfaces[0].Addresses[0].Addr()},
		})
	}
	return n
}

func ipv6(firewall []Rule) *Network {
	inside, outside := "2001:db8:44::/64", "2001:db8:33::/64"
	n := &Network{
		Session: Session{From: "client", To: netip.MustParseAddrPort("[2001:db8:33::33]:21")},
		Links:   []Link{link("inside", inside), link("outside", outside)},
		Hosts: []Node{
			host("client", "2001:db8:44::44/64", "inside"),
			host("server", "2001:db8:33::33/64", "outside"),
		},
		Routers: []Node{{
			Name:       "router",
			Interfaces: []Interface{iface("inside", "2001:db8:44::1/64"), iface("outside", "2001:db8:33::1/64")},
			Firewall:   firewall,
		}},
	}
	everywhere := prefix("::/0")
	n.Hosts[0].Routes, n.Hosts[1].Routes = []Route{via(everywhere, "2001:db8:44::1")}, []Route{via(everywhere, "2001:db8:33::1")}
	n.Hosts[0].Client, n.Hosts[1].Server = &Client{}, &Server{DataPort: 20}
	return n
}

// ipv6Server turns the router round: the server is inside.
func ipv6Server() *Network {
	n := ipv6(rules(StatefulFirewall, AtServer))
	r := n.router()
	for i := range r.Interfaces {
		r.Interfaces[i].Name = map[string]string{"inside": "outside", "outside": "inside"}[r.Interfaces[i].Link]
	}
	for i := range n.Links {
		n.Links[i].Name = r.Interfaces[i].Name
	}
	for i := range r.Interfaces {
		r.Interfaces[i].Link = r.Interfaces[i].Name
		n.Hosts[i].Interfaces[0].Link = r.Interfaces[i].Name
	}
	return n
}
