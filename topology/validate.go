package topology

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"
)

// Error is something in a network that cannot be.
type Error struct {
	// Path leads to it, "router[0].interface[1].addresses".
	Path string
	// Line and Column are where it stands in the file, 0 if it came from none.
	Line, Column int
	// Problem names the value and what would be right.
	Problem string
}

func (e *Error) Error() string {
	if e.Line > 0 {
		return fmt.Sprintf("line %d, column %d: %s: %s", e.Line, e.Column, e.Path, e.Problem)
	}
	return e.Path + ": " + e.Problem
}

// checker finds the first thing that is wrong.
type checker struct {
	n   *Network
	err *Error
}

func (c *checker) bad(path, format string, args ...any) {
	if c.err == nil {
		c.err = &Error{Path: path, Problem: fmt.Sprintf(format, args...)}
	}
}

var nameForm = regexp.MustCompile(`^[a-z][a-z0-9-]*$`)

// Validate says what makes the network one that cannot be built, as an [*Error],
// or returns nil.
func (n *Network) Validate() error {
	c := &checker{n: n}
	c.name("name", n.Name)
	c.links()
	seen := map[string]bool{}
	at := map[netip.Addr]string{}
	for i := range n.Hosts {
		c.node(fmt.Sprintf("host[%d]", i), &n.Hosts[i], false, seen, at)
	}
	for i := range n.Routers {
		c.node(fmt.Sprintf("router[%d]", i), &n.Routers[i], true, seen, at)
	}
	for i := range n.Hosts {
		c.routes(fmt.Sprintf("host[%d]", i), &n.Hosts[i], at)
	}
	for i := range n.Routers {
		c.routes(fmt.Sprintf("router[%d]", i), &n.Routers[i], at)
	}
	c.session()
	if c.err == nil {
		c.loops(at)
	}
	if c.err != nil {
		return c.err
	}
	return nil
}

func (c *checker) name(path, name string) {
	if !nameForm.MatchString(name) || len(name) > 40 {
		c.bad(path, "%q: want a name of at most 40 small letters, digits and hyphens that begins with a letter", name)
	}
}

func (c *checker) links() {
	seen := map[string]bool{}
	for i, l := range c.n.Links {
		path := fmt.Sprintf("link[%d]", i)
		c.name(path+".name", l.Name)
		if seen[l.Name] {
			c.bad(path+".name", "%q is the name of another link; want one of its own", l.Name)
		}
		seen[l.Name] = true
		if len(l.Subnets) == 0 {
			c.bad(path, "link %q has no subnet; want subnets = [\"192.0.2.0/24\"]", l.Name)
		}
		for _, s := range l.Subnets {
			if !s.IsValid() || s != s.Masked() {
				c.bad(path+".subnets", "subnet %v has bits set behind its length; want %v", s, s.Masked())
			}
			c.bare(path+".subnets", s.Addr())
		}
	}
}

func (c *checker) node(path string, n *Node, router bool, seen map[string]bool, at map[netip.Addr]string) {
	c.name(path+".name", n.Name)
	if seen[n.Name] {
		c.bad(path+".name", "%q is the name of another host or router; want one of its own", n.Name)
	}
	seen[n.Name] = true
	if len(n.Interfaces) == 0 {
		c.bad(path, "%s has no interface; want at least one [[%s.interface]]", n.Name, strings.TrimRight(path, "[]0123456789"))
	}
	ifaces := map[string]bool{}
	for i, f := range n.Interfaces {
		p := fmt.Sprintf("%s.interface[%d]", path, i)
		c.name(p+".name", f.Name)
		if len(f.Name) > 15 {
			c.bad(p+".name", "%q: Linux names interfaces with at most 15 letters", f.Name)
		}
		if ifaces[f.Name] || f.Name == Self || f.Name == "lo" {
			c.bad(p+".name", "%q is taken; want another name for this interface of %s", f.Name, n.Name)
		}
		ifaces[f.Name] = true
		l := c.n.Link(f.Link)
		if l == nil {
			c.bad(p+".link", "%q is no link of this network; want one of %s", f.Link, strings.Join(c.linkNames(), ", "))
			continue
		}
		if len(f.Addresses) == 0 {
			c.bad(p, "%s has no address on %s; want one in %v", n.Name, f.Link, l.Subnets)
		}
		for _, a := range f.Addresses {
			if !slices.Contains(l.Subnets, a.Masked()) {
				c.bad(p+".addresses", "%v is outside its link %q; want an address in %v", a, l.Name, l.Subnets)
			}
			if other := at[a.Addr()]; other != "" {
				c.bad(p+".addresses", "%v is also the address of %s; want one of its own", a.Addr(), other)
			}
			at[a.Addr()] = n.Name
		}
	}
	if !router && (len(n.Forwards) > 0 || len(n.SourceNAT) > 0) {
		c.bad(path, "host %s translates addresses; want it among the routers ([[router]])", n.Name)
	}
	if router && (n.Server != nil || n.Client != nil) {
		c.bad(path, "router %s runs an FTP program; want it among the hosts ([[host]])", n.Name)
	}
	c.rules(path, n)
	c.programs(path, n)
}

func (c *checker) iface(path string, n *Node, name string, optional bool) {
	if name == "" && optional || n.Interface(name) != nil {
		return
	}
	var names []string
	for _, i := range n.Interfaces {
		names = append(names, i.Name)
	}
	c.bad(path, "%q is no interface of %s; want one of %s", name, n.Name, strings.Join(names, ", "))
}

func (c *checker) rules(path string, n *Node) {
	for i, f := range n.Forwards {
		p := fmt.Sprintf("%s.forward[%d]", path, i)
		c.iface(p+".in", n, f.In, true)
		c.bare(p+".address", f.Address)
		if !f.Address.IsValid() {
			c.bad(p, "a forward needs the address that it is for, address = \"…\"")
		}
		if len(f.To) == 0 {
			c.bad(p, "a forward needs the address of a host, to = [\"…\"]")
		}
		for _, to := range f.To {
			c.bare(p+".to", to)
			// A gateway opens a connection of its own, of whatever family.
			translates := n.ALG != nil && n.ALG.Kind == Gateway && len(f.Ports) > 0 && n.ALG.Ports.holds(f.Ports)
			if to.Is4() != f.Address.Is4() && !translates || !to.IsValid() {
				c.bad(p+".to", "%v is not of the family of %v; want the same", to, f.Address)
			}
		}
		if f.Port != 0 && len(f.Ports) != 1 {
			c.bad(p+".port", "port %d can be the target of one range only, not of %q", f.Port, f.Ports)
		}
		if f.Port != 0 && len(f.Ports) == 1 && int(f.Port)+int(f.Ports[0].High-f.Ports[0].Low) > 65535 {
			c.bad(p+".port", "%v moved to %d ends above 65535", f.Ports, f.Port)
		}
		c.ports(p+".ports", f.Ports)
	}
	for i, s := range n.SourceNAT {
		p := fmt.Sprintf("%s.source-nat[%d]", path, i)
		c.iface(p+".out", n, s.Out, false)
		for _, a := range s.Addresses {
			c.bare(p+".addresses", a)
			if !a.IsValid() || s.From.IsValid() && a.Is4() != s.From.Addr().Is4() {
				c.bad(p+".addresses", "%v is not of the family of %v; want the same", a, s.From)
			}
			if first := s.Addresses[0]; a.Is4() != first.Is4() {
				c.bad(p+".addresses", "%v is not of the family of %v; want a rule for each", a, first)
			}
		}
		c.ports(p+".ports", s.Ports)
	}
	for i, r := range n.Firewall {
		p := fmt.Sprintf("%s.firewall[%d]", path, i)
		c.iface(p+".in", n, r.In, true)
		if r.Out != Self {
			c.iface(p+".out", n, r.Out, true)
		}
		if !slices.Contains([]Action{Accept, Drop, Reject, Reset}, r.Do) {
			c.bad(p+".do", "%q: want accept, drop, reject or reset", r.Do)
		}
		c.ports(p+".ports", r.Ports)
	}
	if a := n.ALG; a != nil {
		if a.Kind != Kernel && a.Kind != Gateway {
			c.bad(path+".alg.kind", "%q: want kernel or gateway", a.Kind)
		}
		if len(a.Ports) == 0 {
			c.bad(path+".alg", "an ALG needs the ports that it reads, ports = \"21\"")
		}
		if a.TerminateTLS && a.Kind == Kernel {
			c.bad(path+".alg.terminate-tls", "the kernel cannot terminate TLS; want kind = \"gateway\", or false")
		}
		switch {
		case !slices.Contains([]ServerMode{"", ServerPassive, ServerActive}, a.ServerMode):
			c.bad(path+".alg.server-mode", "%q: want passive or active, or none for the client's", a.ServerMode)
		case a.ServerMode != "" && a.Kind == Kernel:
			c.bad(path+".alg.server-mode", "the kernel cannot translate modes; want kind = \"gateway\", or no mode")
		}
		c.ports(path+".alg.ports", a.Ports)
	}
	c.duration(path+".idle", n.Idle)
}

// bare refuses the forms of an address that no packet has.
func (c *checker) bare(path string, a netip.Addr) {
	if a.Zone() != "" || a.Is4In6() {
		c.bad(path, "%v: want an address of IPv4, or one of IPv6 without a zone", a)
	}
}

// ports checks what Go code may have put together by hand.
func (c *checker) ports(path string, p Ports) {
	for _, r := range p {
		if r.Low == 0 || r.Low > r.High {
			c.bad(path, "range %d-%d: want the lower port first, from 1 on", r.Low, r.High)
		}
	}
}

func (c *checker) duration(path string, d Duration) {
	if d < 0 {
		c.bad(path, "%v: want no time below 0", d)
	}
}

func (c *checker) programs(path string, n *Node) {
	family := func(path string, a netip.Addr) {
		c.bare(path, a)
		if a.IsValid() && a.Is4() != c.n.Session.To.Addr().Is4() {
			c.bad(path, "%v is not of the family of the session, to %v; want the same", a, c.n.Session.To)
		}
	}
	if s := n.Server; s != nil {
		family(path+".server.external", s.External)
		c.ports(path+".server.passive", s.Passive)
		if len(s.Passive) > 1 {
			c.bad(path+".server.passive", "%q: want one range", s.Passive)
		}
	}
	if cl := n.Client; cl != nil {
		family(path+".client.external", cl.External)
		c.ports(path+".client.active", cl.Active)
		if len(cl.Active) > 1 {
			c.bad(path+".client.active", "%q: want one range", cl.Active)
		}
		if !slices.Contains([]ClientKind{"", Plain, Curl}, cl.Kind) {
			c.bad(path+".client.kind", "%q: want plain or curl", cl.Kind)
		}
	}
}

func (c *checker) routes(path string, n *Node, at map[netip.Addr]string) {
	known := map[netip.Prefix]bool{} // Linux has one route to each
	for _, i := range n.Interfaces {
		for _, a := range i.Addresses {
			known[a.Masked()] = true
		}
	}
	for i, r := range n.Routes {
		p := fmt.Sprintf("%s.route[%d]", path, i)
		if known[r.To] {
			c.bad(p+".to", "%s has a route to %v already; want one for each network, and none to those of its own interfaces", n.Name, r.To)
		}
		known[r.To] = true
		switch {
		case !r.To.IsValid() || r.To != r.To.Masked():
			c.bad(p+".to", "%v has bits set behind its length; want %v", r.To, r.To.Masked())
		case r.Kind != "" && r.Kind != Blackhole && r.Kind != Unreachable:
			c.bad(p+".kind", "%q: want blackhole or unreachable, or no kind", r.Kind)
		case r.Kind != "" && r.Via.IsValid():
			c.bad(p+".via", "a route of kind %s goes nowhere; want via = %v or the kind left out", r.Kind, r.Via)
		case r.Kind != "":
		case !r.Via.IsValid():
			c.bad(p, "the route to %v says not how; want via = \"…\" or kind = \"blackhole\"", r.To)
		case r.Via.Is4() != r.To.Addr().Is4():
			c.bad(p+".via", "%v is not of the family of %v; want the same", r.Via, r.To)
		case !n.beside(r.Via):
			c.bad(p+".via", "%v is on no link of %s; want the address of a neighbour", r.Via, n.Name)
		case at[r.Via] == "":
			c.bad(p+".via", "%v is the address of nobody; want the one of a router on a link of %s", r.Via, n.Name)
		case at[r.Via] == n.Name:
			c.bad(p+".via", "%v is %s itself: the route is a loop; want the address of a neighbour", r.Via, n.Name)
		case !c.n.IsRouter(at[r.Via]):
			c.bad(p+".via", "%v is the host %s, which passes nothing on; want the address of a router", r.Via, at[r.Via])
		}
	}
}

func (n *Node) beside(a netip.Addr) bool {
	for _, i := range n.Interfaces {
		for _, p := range i.Addresses {
			if p.Contains(a) {
				return true
			}
		}
	}
	return false
}

func (c *checker) linkNames() []string {
	var names []string
	for _, l := range c.n.Links {
		names = append(names, l.Name)
	}
	return names
}

func (c *checker) session() {
	s := c.n.Session
	var clients []string
	servers := 0
	for _, h := range c.n.Hosts {
		if h.Client != nil {
			clients = append(clients, h.Name)
		}
		if h.Server != nil {
			servers++
		}
	}
	if !slices.Contains(clients, s.From) {
		c.bad("session.from", "%q is no host with a client; want one of [%s]", s.From, strings.Join(clients, ", "))
	}
	if servers == 0 {
		c.bad("host", "no host has a server; want one with [host.server]")
	}
	switch {
	case !s.To.IsValid() || s.To.Port() == 0 || s.To.Addr().Is4In6() || s.To.Addr().Zone() != "":
		c.bad("session.to", "%v: want what the client dials, as in \"192.0.2.1:21\"", s.To)
	case !slices.Contains([]Lines{"", Whole, Split, Joined, BareLF}, s.Lines):
		c.bad("session.lines", "%q: want whole, split, joined or bare-lf", s.Lines)
	case s.ClearAgain && !s.TLS:
		c.bad("session.clear-again", "a session without TLS is clear from the start; want tls = true, or false here")
	}
	c.duration("session.transfer", s.Transfer)
	c.duration("session.keep-alive", s.KeepAlive)
}

// loops finds routers that send what they do not know round in a circle.
func (c *checker) loops(owner map[netip.Addr]string) {
	next := map[string]map[string]string{} // router -> prefix -> router
	where := map[string]string{}
	for i, r := range c.n.Routers {
		next[r.Name] = map[string]string{}
		for k, route := range r.Routes {
			if route.Via.IsValid() {
				next[r.Name][route.To.String()] = owner[route.Via]
				where[r.Name+" "+route.To.String()] = fmt.Sprintf("router[%d].route[%d].via", i, k)
			}
		}
	}
	for _, r := range c.n.Routers {
		for _, route := range r.Routes {
			to := route.To.String()
			way := []string{r.Name}
			for at := next[r.Name][to]; at != ""; at = next[at][to] {
				way = append(way, at)
				if at == r.Name {
					c.bad(where[r.Name+" "+to], "packets to %s go round in a loop, %s; want one of them to send elsewhere", to, strings.Join(way, " -> "))
					return
				}
				if len(way) > len(c.n.Routers)+1 {
					break // a loop that others are in; it is found from there
				}
			}
		}
	}
}
