package lab

import (
	"math"
	"net/netip"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	"towpath/firewall"
	"towpath/topology"
)

// The order in which a node's hooks are asked: the helper is given to a
// connection that conntrack knows (-200) and that is not translated yet (-100),
// since it reads the port that the client dialled.
var beforeNAT = nftables.ChainPriorityRef(-150)

// install writes the rules of a node as one table.
func install(c *nftables.Conn, node *topology.Node) {
	t := &ruleset{c: c, table: c.AddTable(&nftables.Table{Name: "lab", Family: nftables.TableFamilyINet})}
	if node.ALG != nil && node.ALG.Kind == topology.Kernel {
		t.helper(node.ALG)
	}
	if len(node.Forwards) > 0 {
		ch := t.chain("forwards", nftables.ChainTypeNAT, nftables.ChainHookPrerouting, nftables.ChainPriorityNATDest)
		for _, f := range node.Forwards {
			if !byGateway(node, f) {
				t.forward(ch, f)
			}
		}
	}
	if redirects(node) {
		ch := t.chain("to-gateway", nftables.ChainTypeNAT, nftables.ChainHookPrerouting, nftables.ChainPriorityNATDest)
		for _, p := range node.ALG.Ports {
			t.rule(ch, toPort(p.Low, p.High), redirect(node.ALG.Ports[0].Low))
		}
	}
	if len(node.Firewall) > 0 || node.StrictlyReplies {
		t.firewall("passing", nftables.ChainHookForward, node, func(r topology.Rule) bool { return r.Out != topology.Self })
		t.firewall("arriving", nftables.ChainHookInput, node, func(r topology.Rule) bool { return r.Out == topology.Self || r.Out == "" })
	}
	if len(node.SourceNAT) > 0 {
		ch := t.chain("source-nat", nftables.ChainTypeNAT, nftables.ChainHookPostrouting, nftables.ChainPriorityNATSource)
		for _, s := range node.SourceNAT {
			t.sourceNAT(ch, s)
		}
	}
	// A chain of type NAT is what makes the kernel translate at all: what a
	// helper announces, too.
	if node.ALG != nil && len(node.Forwards)+len(node.SourceNAT) == 0 {
		t.chain("nothing", nftables.ChainTypeNAT, nftables.ChainHookPostrouting, nftables.ChainPriorityNATSource)
	}
}

// byGateway says whether a gateway on the node does what a forward says.
func byGateway(node *topology.Node, f topology.Forward) bool {
	return node.ALG != nil && node.ALG.Kind == topology.Gateway && len(f.Ports) > 0 && node.ALG.Ports.Contains(f.Ports[0].Low)
}

type ruleset struct {
	c     *nftables.Conn
	table *nftables.Table
}

func (t *ruleset) chain(name string, kind nftables.ChainType, hook *nftables.ChainHook, at *nftables.ChainPriority) *nftables.Chain {
	return t.c.AddChain(&nftables.Chain{Name: name, Table: t.table, Type: kind, Hooknum: hook, Priority: at})
}

func (t *ruleset) rule(ch *nftables.Chain, parts ...[]expr.Any) {
	t.c.AddRule(&nftables.Rule{Table: t.table, Chain: ch, Exprs: join(parts...)})
}

// helper gives control connections to the FTP helper of the kernel.
func (t *ruleset) helper(a *topology.ALG) {
	ch := t.chain("helper", nftables.ChainTypeFilter, nftables.ChainHookPrerouting, beforeNAT)
	for family, v := range map[byte]struct {
		name string
		l3   uint16
	}{unix.NFPROTO_IPV4: {"ftp", unix.NFPROTO_IPV4}, unix.NFPROTO_IPV6: {"ftp6", unix.NFPROTO_IPV6}} {
		t.c.AddObj(&nftables.NamedObj{Table: t.table, Name: v.name, Type: nftables.ObjTypeCtHelper, Obj: &expr.CtHelper{
			Name: "ftp", L3Proto: v.l3, L4Proto: unix.IPPROTO_TCP,
		}})
		for _, p := range a.Ports {
			t.rule(ch, []expr.Any{&expr.Meta{Key: expr.MetaKeyNFPROTO, Register: 1}, equals([]byte{family})},
				toPort(p.Low, p.High), helper(v.name))
		}
	}
}

// forward is destination NAT.
func (t *ruleset) forward(ch *nftables.Chain, f topology.Forward) {
	match := destination(netip.PrefixFrom(f.Address, f.Address.BitLen()))
	if f.In != "" {
		match = join(from(f.In), match)
	}
	ports := f.Ports
	if len(ports) == 0 {
		ports = topology.Range(0, math.MaxUint16)
	}
	for _, r := range ports {
		if f.Port == 0 {
			for i, to := range f.To {
				t.rule(ch, match, toPort(r.Low, r.High), t.turn(f, i), translate(expr.NATTypeDestNAT, netip.AddrPortFrom(to, 0)))
			}
			continue
		}
		for p := int(r.Low); p <= int(r.High); p++ { // nft moves no range at once
			moved := f.Port + uint16(p) - f.Ports[0].Low
			for i, to := range f.To {
				t.rule(ch, match, toPort(uint16(p), uint16(p)), t.turn(f, i), translate(expr.NATTypeDestNAT, netip.AddrPortFrom(to, moved)))
			}
		}
	}
}

// turn is true for those connections that go to the i-th of several.
func (t *ruleset) turn(f topology.Forward, i int) []expr.Any {
	left := len(f.To) - i
	if left == 1 || f.Sticky { // all of the one client that there is
		return nil
	}
	return everyNth(left)
}

// everyNth is true for the first connection that asks, and then for each n-th.
func everyNth(n int) []expr.Any {
	return []expr.Any{
		&expr.Numgen{Register: 1, Modulus: uint32(n), Type: unix.NFT_NG_INCREMENTAL},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: native(0)},
	}
}

// firewall writes the rules that count for a hook.
func (t *ruleset) firewall(name string, hook *nftables.ChainHook, node *topology.Node, counts func(topology.Rule) bool) {
	ch := t.chain(name, nftables.ChainTypeFilter, hook, nftables.ChainPriorityFilter)
	if name == "arriving" {
		t.rule(ch, from("lo"), verdict(expr.VerdictAccept))
		t.rule(ch, protocol(unix.IPPROTO_ICMPV6), verdict(expr.VerdictAccept)) // neighbours
	}
	t.rule(ch, state(established), verdict(expr.VerdictAccept))
	if node.StrictlyReplies {
		t.rule(ch, state(related), protocol(unix.IPPROTO_ICMP), verdict(expr.VerdictDrop))
		t.rule(ch, state(related), protocol(unix.IPPROTO_ICMPV6), verdict(expr.VerdictDrop))
	} else {
		t.rule(ch, state(related), verdict(expr.VerdictAccept))
	}
	if node.ALG != nil && node.ALG.Kind == topology.Gateway {
		// What "towpath gateway plan" asks of an administrator.
		t.rule(ch, marked(firewall.DefaultMark), verdict(expr.VerdictAccept))
		if name == "arriving" {
			t.rule(ch, toPort(gatewayPorts.Low, gatewayPorts.High), verdict(expr.VerdictAccept))
		}
	}
	for _, r := range node.Firewall {
		if !counts(r) {
			continue
		}
		var match []expr.Any
		if r.In != "" {
			match = join(match, from(r.In))
		}
		if r.Out != "" && r.Out != topology.Self {
			match = join(match, towards(r.Out))
		}
		if r.From.IsValid() {
			match = join(match, source(r.From))
		}
		if r.To.IsValid() {
			match = join(match, destination(r.To))
		}
		if len(r.Ports) == 0 {
			t.rule(ch, match, action(r.Do))
		}
		for _, p := range r.Ports {
			t.rule(ch, match, toPort(p.Low, p.High), action(r.Do))
		}
	}
}

func action(a topology.Action) []expr.Any {
	switch a {
	case topology.Accept:
		return verdict(expr.VerdictAccept)
	case topology.Reject:
		return unreachable()
	case topology.Reset:
		return reset()
	}
	return verdict(expr.VerdictDrop)
}

// sourceNAT gives what leaves another address.
func (t *ruleset) sourceNAT(ch *nftables.Chain, s topology.SourceNAT) {
	match := towards(s.Out)
	if s.From.IsValid() {
		match = join(match, source(s.From))
	}
	if s.To.IsValid() {
		match = join(match, destination(s.To))
	}
	ports := s.Ports
	if len(ports) == 0 {
		ports = topology.Range(0, math.MaxUint16)
	}
	for _, p := range ports {
		if len(s.Addresses) == 0 {
			t.rule(ch, match, toPort(p.Low, p.High), []expr.Any{&expr.Masq{}})
		}
		for i, a := range s.Addresses {
			var turn []expr.Any
			if i < len(s.Addresses)-1 {
				turn = everyNth(len(s.Addresses) - i)
			}
			t.rule(ch, match, toPort(p.Low, p.High), turn, translate(expr.NATTypeSourceNAT, netip.AddrPortFrom(a, 0)))
		}
	}
}
