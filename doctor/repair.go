package doctor

import (
	"net/netip"
	"slices"
	"strings"

	"towpath/internal/words"
	"towpath/topology"
)

// Repair is changes that go together.
type Repair struct {
	Changes []Change `json:"changes"`
	// Result is what becomes of a remedy that is useless, or of one that costs
	// something; empty if there is nothing to add.
	Result string `json:"result,omitempty"`

	result words.Phrase // what Result says
	lang   words.Lang
}

// Change is one thing to do.
type Change struct {
	// ID says what kind of change it is: mode, alg, gateway, clear-again,
	// forward, allow, external, …
	ID string `json:"id"`
	// Node is where it is done.
	Node string `json:"node,omitempty"`
	Text string `json:"text"`

	says words.Phrase // what Text says
}

// change makes one, told in English.
func change(id, node string, says words.Phrase) Change {
	return Change{ID: id, Node: node, Text: says.In(words.English), says: says}
}

// String tells all changes in a sentence.
func (r Repair) String() string {
	var texts []string
	for _, c := range r.Changes {
		texts = append(texts, c.Text)
	}
	return strings.Join(texts, words.Say("repair.and").In(r.lang))
}

// Full tells them with what comes of them.
func (r Repair) Full() string {
	if r.Result == "" {
		return r.String()
	}
	return words.Say("report.result", "repair", r.String(), "result", r.Result).In(r.lang)
}

// in returns the repair told in a language.
func (r Repair) in(l words.Lang) Repair {
	r.lang, r.Result, r.Changes = l, r.result.In(l), slices.Clone(r.Changes)
	for i := range r.Changes {
		r.Changes[i].Text = r.Changes[i].says.In(l)
	}
	return r
}

// move is a change, and what it does to a network.
type move struct {
	Change
	apply func(*topology.Network)
}

// given is the range that repairs give to those who have none.
var given = topology.Range(50000, 50009)

const (
	maxChanges = 6   // a repair with more is none
	maxTried   = 200 // networks, for one verdict
	maxRepairs = 6
)

// repairs finds the smallest sets of changes that make a mode work. It asks the
// cause of each failure what would remove it, changes the network so, and
// predicts again: breadth first, so that the small ones are found first.
func repairs(n *topology.Network, v Verdict) []Repair {
	var found []Repair
	if r, ok := otherMode(n, v.Mode); ok {
		found = append(found, r)
	}
	type state struct {
		net     *topology.Network
		verdict Verdict
		done    []Change
	}
	queue := []state{{n, v, nil}}
	seen := map[string]bool{}
	for tried := 0; len(queue) > 0 && tried < maxTried && len(found) < maxRepairs; {
		s := queue[0]
		queue = queue[1:]
		if covered(found, s.done) {
			continue
		}
		for _, m := range moves(s.net, s.verdict) {
			done := append(slices.Clone(s.done), m.Change)
			if k := key(done); seen[k] || covered(found, done) {
				continue
			} else {
				seen[k] = true
			}
			changed := s.net.Clone()
			m.apply(changed)
			if changed.Validate() != nil {
				continue // it does not fit together
			}
			tried++
			again := judge(changed, v.Mode)
			switch {
			case again.Works:
				found = append(found, priced(Repair{Changes: done}))
			case len(done) < maxChanges:
				queue = append(queue, state{changed, again, done})
			}
		}
	}
	slices.SortStableFunc(found, func(a, b Repair) int {
		return rank(a) - rank(b)
	})
	return found[:min(len(found), maxRepairs)]
}

// prices are what some changes cost.
var prices = map[string]words.Phrase{
	"clear-again": words.Say("price.clear-again"),
}

// priced adds to a repair what one of its changes costs, if one does.
func priced(r Repair) Repair {
	for _, c := range r.Changes {
		if price, ok := prices[c.ID]; ok {
			r.result, r.Result = price, price.In(words.English)
		}
	}
	return r
}

// rank puts the small first, and among them what costs nothing.
func rank(r Repair) int {
	n := 10 * len(r.Changes)
	for _, c := range r.Changes {
		switch {
		case prices[c.ID].Name() != "":
			n += 5
		case c.ID == "gateway": // one more program
			n++
		}
	}
	if r.Changes[0].ID == "mode" {
		n = 0
	}
	return n
}

func (c Change) key() string { return c.ID + " " + c.Node + " " + c.Text }

func key(done []Change) string {
	var k []string
	for _, c := range done {
		k = append(k, c.key())
	}
	slices.Sort(k)
	return strings.Join(k, "\n")
}

// covered says whether changes contain a repair that was found already.
func covered(found []Repair, done []Change) bool {
	return slices.ContainsFunc(found, func(r Repair) bool {
		return !slices.ContainsFunc(r.Changes, func(c Change) bool {
			return !slices.ContainsFunc(done, func(d Change) bool { return c.key() == d.key() })
		})
	})
}

// otherMode names the modes that work as things stand.
func otherMode(n *topology.Network, not Mode) (Repair, bool) {
	var work []string
	for _, m := range Modes {
		if m != not && (m.family() == 0 || n.Session.To.Addr().Is4()) && judge(n, m).Works {
			work = append(work, string(m))
		}
	}
	if len(work) == 0 {
		return Repair{}, false
	}
	return Repair{Changes: []Change{change("mode", n.Session.From, words.Say("change.mode", "modes", words.Or(work)))}}, true
}

// moves are the changes that could remove the cause of a verdict.
func moves(n *topology.Network, v Verdict) []move {
	o := v.outcome
	var all []move
	add := func(m ...move) { all = append(all, m...) }
	if o.control {
		switch v.Cause {
		case CauseFirewall:
			add(o.allow(n, v))
		case CauseNotForwarded:
			add(o.forward(n, v)...)
		case CauseStrays:
			add(o.sourceNAT(n)...)
		}
		return all
	}
	named := o.told != nil && v.Mode != EPSV
	switch v.Cause {
	case CauseFirewall:
		add(o.allow(n, v))
		if o.peered(v) {
			break
		}
		fallthrough // it goes to an address that is not known there
	case CauseInside, CauseRoute:
		if named {
			add(o.external(v))
		}
	case CauseMismatch:
		if v.Hop == o.link.at.Name {
			add(o.external(v))
		}
	case CauseNotForwarded:
		add(o.forward(n, v)...)
	case CauseStrays:
		add(o.sourceNAT(n)...)
	case CauseStranger:
		add(o.oneAddress(n)...)
		add(o.external(v))
		add(o.sourceNAT(n)...)
	case CauseOtherServer:
		add(sticky(n)...)
	case CauseForgotten:
		add(patience(n, o)...)
		return all
	case CauseStall:
		add(move{
			change("lines", "", words.Say("change.lines")),
			func(n *topology.Network) { n.Session.Lines = topology.Whole },
		})
	case CauseFamily:
		return nil
	}
	add(o.helpers(n, v)...)
	return all
}

// peered says whether the data connection goes to the address that the control
// connection has there too.
func (o *outcome) peered(v Verdict) bool {
	if v.Mode.active() {
		return o.dialled.Addr() == o.link.far.src.Addr()
	}
	return o.dialled.Addr() == o.link.near.dst.Addr()
}

// listening makes sure that the listener of a mode has a range of its own, and
// returns it with the words to be said about it. The control connection has but
// the port that it went to there.
func listening(v Verdict, n *topology.Network, there uint16) (topology.Ports, words.Phrase, func(*topology.Network)) {
	if v.outcome.control {
		return topology.Port(there), words.Phrase{}, func(*topology.Network) {}
	}
	name := n.Session.From
	if !v.Mode.active() {
		name = v.outcome.link.at.Name
	}
	node := n.Node(name)
	ports := given
	switch {
	case v.Mode.active() && len(node.Client.Active) > 0:
		return node.Client.Active, words.Phrase{}, func(*topology.Network) {}
	case !v.Mode.active() && len(node.Server.Passive) > 0:
		return node.Server.Passive, words.Phrase{}, func(*topology.Network) {}
	case v.Mode.active():
		return ports, words.Say("listen.client", "ports", ports),
			func(n *topology.Network) { n.Node(name).Client.Active = ports }
	}
	return ports, words.Say("listen.server", "ports", ports),
		func(n *topology.Network) { n.Node(name).Server.Passive = ports }
}

// host is a prefix of one address.
func host(a netip.Addr) netip.Prefix { return netip.PrefixFrom(a, a.BitLen()) }

// allow opens the firewall that dropped the packet.
func (o *outcome) allow(n *topology.Network, v Verdict) move {
	f := o.fate
	ports, first, give := listening(v, n, f.last.dst.Port())
	rule := topology.Rule{In: f.in, Out: f.out, To: host(f.last.dst.Addr()), Ports: ports, Do: topology.Accept}
	name, to := f.at.Name, f.last.dst.Addr()
	says := words.Say("change.allow", "first", first, "to", to, "ports", ports, "node", name)
	if v.Mode.active() && !o.control {
		from := f.last.src.Addr()
		rule.From = host(from)
		says = words.Say("change.allow.from", "first", first, "from", from, "to", to, "ports", ports, "node", name)
	}
	return move{
		change("allow", name, says),
		func(n *topology.Network) {
			give(n)
			node := n.Node(name)
			node.Firewall = slices.Insert(node.Firewall, 0, rule)
		},
	}
}

// forward forwards the range on the NAT that did not know where to send it.
func (o *outcome) forward(n *topology.Network, v Verdict) []move {
	f := o.fate
	ports, first, give := listening(v, n, f.came.dst.Port())
	var to netip.Addr
	if fl := o.controlFlow(f.at); fl != nil && !o.control {
		to = fl.leaves(forth).dst.Addr()
		if v.Mode.active() {
			to = fl.arrives[forth].src.Addr()
		}
	} else if o.control {
		to = onlyServer(n)
	}
	if !to.IsValid() || f.at.Has(to) || f.in == "" {
		return nil
	}
	rule := topology.Forward{In: f.in, Address: f.came.dst.Addr(), Ports: ports, To: []netip.Addr{to}}
	name := f.at.Name
	return []move{{
		change("forward", name, words.Say("change.forward", "first", first, "ports", ports, "address", rule.Address, "node", name, "to", to)),
		func(n *topology.Network) {
			give(n)
			node := n.Node(name)
			node.Forwards = slices.Insert(node.Forwards, 0, rule)
		},
	}}
}

// onlyServer is the address of the server, if there is one alone.
func onlyServer(n *topology.Network) netip.Addr {
	var found netip.Addr
	for _, h := range n.Hosts {
		if h.Server == nil || len(h.Interfaces) == 0 {
			continue
		}
		if found.IsValid() {
			return netip.Addr{}
		}
		found = h.Interfaces[0].Addresses[0].Addr()
	}
	return found
}

// external lets the listener name the address by which the other end knows it.
func (o *outcome) external(v Verdict) move {
	if v.Mode.active() {
		a, name := o.link.far.src.Addr(), o.link.near.src.Addr()
		client := o.world.net.Session.From
		return move{
			change("external", client, words.Say("change.external.active", "address", a, "own", name)),
			func(n *topology.Network) { n.Node(client).Client.External = a },
		}
	}
	a, server := o.link.near.dst.Addr(), o.link.at.Name
	return move{
		change("external", server, words.Say("change.external.passive", "node", server, "address", a)),
		func(n *topology.Network) { n.Node(server).Server.External = a },
	}
}

// sourceNAT lets answers come back through the routers that the packet passed.
func (o *outcome) sourceNAT(n *topology.Network) []move {
	var all []move
	for _, s := range o.steps {
		m := o.world.machine(s.Node)
		if !m.router || s.Node == o.fate.at.Name || len(m.Forwards)+len(m.SourceNAT) == 0 {
			continue
		}
		name, src := s.Node, s.From
		dst := s.To
		if fl, w := m.lookup(tuple{s.From, s.To}); fl != nil {
			dst = fl.leaves(w).dst
		}
		out, _, _ := m.route(dst.Addr())
		if out == "" {
			continue
		}
		rule := topology.SourceNAT{Out: out, From: host(src.Addr()).Masked()}
		for _, i := range m.Interfaces {
			for _, p := range i.Addresses {
				if p.Contains(src.Addr()) {
					rule.From = p.Masked()
				}
			}
		}
		all = append(all, move{
			change("source-nat", name, words.Say("change.source-nat", "from", rule.From, "node", name, "out", out)),
			func(n *topology.Network) { n.Node(name).SourceNAT = append(n.Node(name).SourceNAT, rule) },
		})
	}
	return all
}

// oneAddress takes the second public address from source NAT.
func (o *outcome) oneAddress(n *topology.Network) []move {
	var all []move
	for _, r := range n.Routers {
		if len(r.SourceNAT) == 0 || len(r.SourceNAT) == 1 && len(r.SourceNAT[0].Addresses) < 2 {
			continue
		}
		name := r.Name
		all = append(all, move{
			change("one-address", name, words.Say("change.one-address", "node", name)),
			func(n *topology.Network) {
				nat := n.Node(name).SourceNAT
				for i := range nat {
					nat[i].Addresses = nat[i].Addresses[:min(1, len(nat[i].Addresses))]
					if nat[i].Out == nat[0].Out && len(nat[0].Addresses) > 0 {
						nat[i].Addresses = nat[0].Addresses[:1]
					}
				}
			},
		})
	}
	return all
}

// sticky lets a balancer send all connections of a client to one server.
func sticky(n *topology.Network) []move {
	var all []move
	for _, r := range n.Routers {
		if !slices.ContainsFunc(r.Forwards, func(f topology.Forward) bool { return len(f.To) > 1 && !f.Sticky }) {
			continue
		}
		name := r.Name
		all = append(all, move{
			change("sticky", name, words.Say("change.sticky", "node", name)),
			func(n *topology.Network) {
				for i := range n.Node(name).Forwards {
					n.Node(name).Forwards[i].Sticky = true
				}
			},
		})
	}
	return all
}

// patience keeps the control connection in the memory of the routers.
func patience(n *topology.Network, o *outcome) []move {
	shortest := topology.Duration(0)
	var names []string
	for _, m := range n.Nodes() {
		if m.Idle == 0 || m.Idle >= n.Session.Transfer {
			continue
		}
		names = append(names, m.Name)
		if shortest == 0 || m.Idle < shortest {
			shortest = m.Idle
		}
	}
	if shortest == 0 {
		return nil
	}
	each, longer := shortest/3, 2*n.Session.Transfer
	return []move{
		{
			change("keep-alive", n.Session.From, words.Say("change.keep-alive", "each", each)),
			func(n *topology.Network) { n.Session.KeepAlive = each },
		},
		{
			change("idle", o.hop, words.Say("change.idle", "nodes", words.And(names), "longer", longer)),
			func(n *topology.Network) {
				for _, name := range names {
					n.Node(name).Idle = longer
				}
			},
		},
	}
}

// helpers puts somebody who reads announcements on a router that translates or
// filters the control connection, and lets him read.
func (o *outcome) helpers(n *topology.Network, v Verdict) []move {
	clear := !n.Session.TLS || n.Session.ClearAgain
	// One kind is enough, unless the one that is there cannot.
	has := func(k topology.ALGKind) bool {
		return slices.ContainsFunc(n.Routers, func(r topology.Node) bool { return r.ALG != nil && r.ALG.Kind == k }) &&
			v.ALG == "" && v.Cause != CauseStall
	}
	var all []move
	add := func(id, node string, says words.Phrase, apply func(*topology.Network)) {
		all = append(all, move{change(id, node, says), apply})
	}
	for _, s := range o.link.steps {
		m := o.world.machine(s.Node)
		if !m.router || !m.Stateful() {
			continue
		}
		name, port := s.Node, s.To.Port()
		put := func(a topology.ALG) func(*topology.Network) {
			return func(n *topology.Network) { n.Node(name).ALG = &a }
		}
		reads := m.ALG != nil && m.ALG.Ports.Contains(port)
		if clear && !reads && !has(topology.Gateway) {
			add("alg", name, words.Say("change.alg", "node", name, "port", port),
				put(topology.ALG{Kind: topology.Kernel, Ports: topology.Port(port)}))
		}
		if (!reads || m.ALG.Kind != topology.Gateway || !clear && !m.ALG.TerminateTLS) && !has(topology.Kernel) {
			says := words.Say("change.gateway", "node", name)
			if !clear {
				says = words.Say("change.gateway.tls", "node", name)
			}
			add("gateway", name, says, put(topology.ALG{Kind: topology.Gateway, Ports: topology.Port(port), TerminateTLS: !clear}))
		}
		if m.StrictlyReplies && slices.Contains(o.helped(), name) {
			add("related", name, words.Say("change.related", "node", name),
				func(n *topology.Network) { n.Node(name).StrictlyReplies = false })
		}
	}
	if v.ALG == Blind {
		add("clear-again", n.Session.From, words.Say("change.clear-again"),
			func(n *topology.Network) { n.Session.ClearAgain = true })
	}
	if server := o.link.at.Name; v.ALG == OtherAddress && !v.Mode.active() {
		add("no-external", server, words.Say("change.no-external", "node", server),
			func(n *topology.Network) { n.Node(server).Server.External = netip.Addr{} })
	}
	return all
}

func (o *outcome) helped() []string {
	if o.told == nil {
		return nil
	}
	return o.told.helped
}

// useless tries what forums tell people to do.
func useless(n *topology.Network, v Verdict) []Repair {
	if v.outcome.control || v.Cause == CauseForgotten || v.Cause == CauseFamily || v.Cause == CauseStall {
		return nil
	}
	var all []Repair
	try := func(c Change, apply func(*topology.Network), why string) {
		changed := n.Clone()
		apply(changed)
		if changed.Validate() != nil {
			return
		}
		if again := judge(changed, v.Mode); !again.Works {
			result := words.Say(why, "why", again.why)
			all = append(all, Repair{Changes: []Change{c}, Result: result.In(words.English), result: result})
		}
	}
	o := v.outcome
	for _, s := range o.link.steps {
		m := o.world.machine(s.Node)
		fl := o.controlFlow(m)
		if !m.router || fl == nil || !fl.translated() {
			continue
		}
		name, public := s.Node, fl.arrives[back].dst.Addr()
		to, end := fl.arrives[forth].src.Addr(), words.Say("client")
		why := "useless.forward-20.active"
		if !v.Mode.active() {
			public, to, end = fl.arrives[forth].dst.Addr(), fl.arrives[back].src.Addr(), words.Say("server")
			why = "useless.forward-20.passive"
		}
		if !m.Has(public) {
			continue
		}
		rule := topology.Forward{Address: public, Ports: topology.Port(20), To: []netip.Addr{to}}
		try(change("forward-20", name, words.Say("change.forward-20", "node", name, "end", end)),
			func(n *topology.Network) {
				node := n.Node(name)
				node.Forwards = slices.Insert(node.Forwards, 0, rule)
				node.Firewall = slices.Insert(node.Firewall, 0, topology.Rule{Ports: topology.Port(20), Do: topology.Accept})
			}, why)
	}
	if v.Cause == CauseMismatch && v.Hop == o.link.at.Name {
		server := v.Hop
		try(change("foreign", server, words.Say("change.foreign")),
			func(n *topology.Network) { n.Node(server).Server.AllowForeign = true },
			"useless.foreign")
	}
	return all
}
