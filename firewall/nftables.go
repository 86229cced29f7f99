package firewall

import (
	"fmt"
	"net/netip"
	"strings"
)

// nft writes chains for the table that distributions ship (inet filter).
// They must be jumped to from there: an accept in a table of our own would not
// keep a later chain from dropping the packet. Addresses are translated in a
// table of our own, which needs no help.
func nft(p *page, set *RuleSet) {
	p.note("Load:   nft -f FILE   (again after each change; nothing is there twice)")
	p.note("Remove: nft flush chain inet filter CHAIN, for each chain below")
	if len(set.NAT) > 0 {
		p.note("        nft delete table inet towpath_nat")
	}
	hooks := map[Way]string{In: "input", Out: "output"}
	if set.Side == AtRouter {
		hooks = map[Way]string{In: "forward", Out: "forward"}
	}
	var chains []string
	p.line("\nadd table inet filter")
	for _, hook := range []string{"input", "output", "forward"} {
		var rules []Rule
		for _, r := range set.Rules {
			if hooks[r.Way] == hook {
				rules = append(rules, r)
			}
		}
		if len(rules) == 0 {
			continue
		}
		chain := "towpath_" + hook
		chains = append(chains, hook)
		p.line("\nadd chain inet filter %s\nflush chain inet filter %s", chain, chain)
		p.note("Answers, and what belongs to a connection that is there.")
		p.line("add rule inet filter %s ct state established,related accept", chain)
		for _, r := range rules {
			p.note("%s", r.Why)
			if r.anybody() {
				p.line("add rule inet filter %s %saccept", chain, nftMatch("", r))
				continue
			}
			for _, f := range families {
				if one, ok := r.in(f); ok {
					p.line("add rule inet filter %s %saccept", chain, nftMatch(nftFamily(f), one))
				}
			}
		}
	}
	p.line("")
	p.note("Once, and in your own file, so that the chains are asked. A chain that drops is in")
	p.note("your own table: if \"nft list chains\" shows another than inet filter, write it for")
	p.note("inet filter in all lines here.")
	for _, hook := range chains {
		p.note("  nft insert rule inet filter %s jump towpath_%s", hook, hook)
	}
	if len(set.NAT) == 0 {
		return
	}
	p.line("\nadd table inet towpath_nat\ndelete table inet towpath_nat\ntable inet towpath_nat {")
	for _, source := range []bool{false, true} {
		if !hasNAT(set, source) {
			continue
		}
		if source {
			p.line("\tchain postrouting {\n\t\ttype nat hook postrouting priority srcnat; policy accept;")
		} else {
			p.line("\tchain prerouting {\n\t\ttype nat hook prerouting priority dstnat; policy accept;")
		}
		for _, n := range set.NAT {
			if n.Source != source {
				continue
			}
			ip := nftFamily(family(n.Inside.Is6()))
			p.line("\t\t# %s", n.Why)
			if source {
				match := "meta l4proto tcp "
				if !n.Ports.Any() {
					match = "tcp sport " + n.Ports.String() + " "
				}
				p.line("\t\t%s saddr %v %ssnat %s to %v", ip, n.Inside, match, ip, n.Outside)
			} else {
				p.line("\t\t%s daddr %v tcp dport %v dnat %s to %v", ip, n.Outside, n.Ports, ip, n.Inside)
			}
		}
		p.line("\t}")
	}
	p.line("}")
}

func hasNAT(set *RuleSet, source bool) bool {
	for _, n := range set.NAT {
		if n.Source == source {
			return true
		}
	}
	return false
}

func nftFamily(f family) string {
	if f == v6 {
		return "ip6"
	}
	return "ip"
}

// nftMatch is what a new connection of r looks like.
func nftMatch(ip string, r Rule) string {
	var b strings.Builder
	nets := func(what string, list []netip.Prefix) {
		switch len(list) {
		case 0:
		case 1:
			fmt.Fprintf(&b, "%s %s %s ", ip, what, host(list[0]))
		default:
			fmt.Fprintf(&b, "%s %s { %s } ", ip, what, hosts(list, ", "))
		}
	}
	nets("saddr", r.From.Nets)
	nets("daddr", r.To.Nets)
	if !r.From.Ports.Any() {
		fmt.Fprintf(&b, "tcp sport %v ", r.From.Ports)
	}
	fmt.Fprintf(&b, "tcp dport %v ct state new ", r.To.Ports)
	return b.String()
}
