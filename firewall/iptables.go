package firewall

import (
	"fmt"
	"strings"
)

// iptables writes a script that can run again and again: chains of our own are
// emptied and filled, and jumped to unless they are already.
func iptables(p *page, set *RuleSet) {
	p.note("Run:    sh FILE   (as root; again after each change)")
	p.note("Remove: sh FILE remove")
	p.line("set -e\n")
	type chain struct{ table, from, name string }
	chains := map[Way]chain{In: {"filter", "INPUT", "TOWPATH-IN"}, Out: {"filter", "OUTPUT", "TOWPATH-OUT"}}
	if set.Side == AtRouter {
		both := chain{"filter", "FORWARD", "TOWPATH-FORWARD"}
		chains = map[Way]chain{In: both, Out: both}
	}
	dnat, snat := chain{"nat", "PREROUTING", "TOWPATH-DNAT"}, chain{"nat", "POSTROUTING", "TOWPATH-SNAT"}

	p.note("chain PROGRAM TABLE PARENT NAME makes a chain, or empties it, and has it asked first;")
	p.note("with remove it takes the chain away.")
	p.line(`chain() {
	if [ "$mode" = remove ]; then
		"$1" -w -t "$2" -D "$3" -j "$4" 2>/dev/null || true
		"$1" -w -t "$2" -F "$4" 2>/dev/null && "$1" -w -t "$2" -X "$4" || true
		return
	fi
	"$1" -w -t "$2" -N "$4" 2>/dev/null || "$1" -w -t "$2" -F "$4"
	"$1" -w -t "$2" -C "$3" -j "$4" 2>/dev/null || "$1" -w -t "$2" -I "$3" -j "$4"
}
mode=$1
`)
	programs := map[family]string{v4: "iptables", v6: "ip6tables"}
	for _, f := range families {
		made := map[chain]bool{}
		var lines []string
		add := func(c chain, why, match string) {
			if !made[c] {
				made[c] = true
				p.line("chain %s %s %s %s", programs[f], c.table, c.from, c.name)
				if c.table == "filter" {
					lines = append(lines, fmt.Sprintf("%s -w -A %s -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT", programs[f], c.name))
				}
			}
			lines = append(lines, "# "+why, fmt.Sprintf("%s -w -t %s -A %s %s", programs[f], c.table, c.name, match))
		}
		for _, r := range set.Rules {
			if one, ok := r.in(f); ok {
				add(chains[r.Way], r.Why, iptablesMatch(one)+" -j ACCEPT")
			}
		}
		for _, n := range set.NAT {
			switch {
			case !f.has(n.Inside):
			case n.Source:
				ports := ""
				if !n.Ports.Any() {
					ports = " --sport " + n.Ports.join(":")
				}
				add(snat, n.Why, fmt.Sprintf("-p tcp -s %v%s -j SNAT --to-source %v", n.Inside, ports, n.Outside))
			default:
				add(dnat, n.Why, fmt.Sprintf("-p tcp -d %v --dport %s -j DNAT --to-destination %v", n.Outside, n.Ports.join(":"), n.Inside))
			}
		}
		if len(lines) > 0 {
			p.line("if [ \"$mode\" != remove ]; then\n\t%s\nfi\n", strings.Join(lines, "\n\t"))
		}
	}
}

func iptablesMatch(r Rule) string {
	match := "-p tcp"
	if len(r.From.Nets) > 0 {
		match += " -s " + hosts(r.From.Nets, ",")
	}
	if len(r.To.Nets) > 0 {
		match += " -d " + hosts(r.To.Nets, ",")
	}
	if !r.From.Ports.Any() {
		match += " --sport " + r.From.Ports.join(":")
	}
	return match + " --dport " + r.To.Ports.join(":") + " -m conntrack --ctstate NEW"
}
