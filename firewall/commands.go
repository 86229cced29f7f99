package firewall

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// firewalld writes commands for the default zone. Its service "ftp" is left
// alone: it stands for the kernel's own ALG.
func firewalld(p *page, set *RuleSet) {
	p.note("Run as root; what is there already is left as it is.")
	p.note("Remove: the same with --remove-… in place of --add-…")
	add := func(rest string) { p.line("firewall-cmd --permanent %s", rest) }
	for _, n := range set.NAT {
		if n.Source {
			p.note("%s", n.Why)
			if f := family(n.Inside.Is6()); f == v6 {
				p.note("Masquerading in the default zone is for IPv4 only; IPv6 takes a rich rule:")
				add(`--add-rich-rule='rule family="ipv6" masquerade'`)
				continue
			}
			add("--add-masquerade")
			continue
		}
		p.note("%s", n.Why)
		f := family(n.Inside.Is6())
		clients := []netip.Prefix{{}}
		for _, r := range set.Rules {
			if one, ok := r.in(f); ok && r.Name == n.Name && len(one.From.Nets) > 0 {
				clients = one.From.Nets
			}
		}
		for _, c := range clients {
			add(fmt.Sprintf(`--add-rich-rule='rule family="%s"%s destination address="%v" forward-port port="%v" protocol="tcp" to-port="%v" to-addr="%v"'`,
				firewalldFamily(f), firewalldNet("source", c), n.Outside, n.Ports, n.Ports, n.Inside))
		}
	}
	if set.Side == AtServer {
		for _, r := range set.Rules {
			if r.Way == Out {
				p.note("%s", r.Why)
				p.note("firewalld lets that out, unless a policy of yours forbids it.")
				continue
			}
			p.note("%s", r.Why)
			if r.anybody() {
				add(fmt.Sprintf("--add-port=%v/tcp", r.To.Ports))
				continue
			}
			for _, f := range families {
				one, ok := r.in(f)
				if !ok {
					continue
				}
				one.flows(func(from, to netip.Prefix) {
					add(fmt.Sprintf(`--add-rich-rule='rule family="%s"%s%s port port="%v" protocol="tcp" accept'`,
						firewalldFamily(f), firewalldNet("source", from), firewalldNet("destination", to), r.To.Ports))
				})
			}
		}
	}
	if set.Side == AtRouter {
		firewalldPolicy(p, set)
	}
	p.line("firewall-cmd --reload")
}

// firewalldPolicy writes what a router passes on without translating it: zones
// speak of the router itself, policies of what goes from one zone to another.
func firewalldPolicy(p *page, set *RuleSet) {
	begun, why := false, ""
	set.eachFamily(func(f family, r Rule) {
		if slices.ContainsFunc(set.NAT, func(n NAT) bool { return f.has(n.Inside) }) {
			return // a connection that is translated may pass
		}
		add := func(rest string) { p.line("firewall-cmd --permanent --policy=towpath %s", rest) }
		if !begun {
			p.note("What is not translated takes a policy (firewalld 0.9 or newer), here for all zones.")
			p.note("Remove: firewall-cmd --permanent --delete-policy=towpath")
			p.line("firewall-cmd --permanent --new-policy=towpath")
			add("--add-ingress-zone=ANY")
			add("--add-egress-zone=ANY")
			begun = true
		}
		if r.Why != why {
			why = r.Why
			p.note("%s", why)
		}
		ports := fmt.Sprintf(`port port="%v"`, r.To.Ports)
		if !r.From.Ports.Any() {
			p.note("A rule has one port: this one lets the server connect to any, from its own.")
			ports = fmt.Sprintf(`source-port port="%v"`, r.From.Ports)
		}
		r.flows(func(from, to netip.Prefix) {
			add(fmt.Sprintf(`--add-rich-rule='rule family="%s"%s%s %s protocol="tcp" accept'`,
				firewalldFamily(f), firewalldNet("source", from), firewalldNet("destination", to), ports))
		})
	})
}

func firewalldFamily(f family) string {
	if f == v6 {
		return "ipv6"
	}
	return "ipv4"
}

func firewalldNet(what string, p netip.Prefix) string {
	if !p.IsValid() {
		return ""
	}
	return fmt.Sprintf(` %s address="%s"`, what, host(p))
}

// ufw writes commands; address translation it keeps in a file.
func ufw(p *page, set *RuleSet) {
	p.note("Run as root; rules that are there are skipped.")
	p.note("Remove: the same with \"ufw delete\" or \"ufw route delete\" in front.")
	for _, r := range set.Rules {
		p.note("%s", r.Why)
		write := func(r Rule) {
			r.flows(func(from, to netip.Prefix) {
				verb := map[Way]string{In: "ufw allow in", Out: "ufw allow out"}[r.Way]
				if set.Side == AtRouter {
					verb = "ufw route allow"
				}
				p.line("%s proto tcp from %s to %s comment 'Towpath FTP %s'", verb, ufwEnd(from, r.From.Ports), ufwEnd(to, r.To.Ports), r.Name)
			})
		}
		if r.anybody() {
			write(r)
			continue
		}
		for _, f := range families {
			if one, ok := r.in(f); ok {
				write(one)
			}
		}
	}
	for _, f := range families {
		file := map[family]string{v4: "before.rules", v6: "before6.rules"}[f]
		// Chains of our own are emptied when they are named again; those of the
		// kernel hold the rules of others too, as of Docker.
		var chains, jumps, lines []string
		into := func(chain, from string) {
			if declared := ":" + chain + " - [0:0]"; !slices.Contains(chains, declared) {
				chains, jumps = append(chains, declared), append(jumps, fmt.Sprintf("-A %s -j %s", from, chain))
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
				into("towpath-snat", "POSTROUTING")
				lines = append(lines, "# "+n.Why, fmt.Sprintf("-A towpath-snat -p tcp -s %v%s -j SNAT --to-source %v", n.Inside, ports, n.Outside))
			default:
				into("towpath-dnat", "PREROUTING")
				lines = append(lines, "# "+n.Why, fmt.Sprintf("-A towpath-dnat -p tcp -d %v --dport %s -j DNAT --to-destination %v", n.Outside, n.Ports.join(":"), n.Inside))
			}
		}
		if len(lines) == 0 {
			continue
		}
		p.line("")
		p.note("ufw has no command for address translation. Write this at the top of")
		p.note("/etc/ufw/%s, set net/ipv4/ip_forward=1 (IPv6: net/ipv6/conf/all/forwarding=1)", file)
		p.note("in /etc/ufw/sysctl.conf, and run ufw reload. Each reload adds the jumps once")
		p.note("more, which changes nothing:")
		p.note("")
		for _, l := range slices.Concat([]string{"*nat"}, chains, jumps, lines, []string{"COMMIT"}) {
			p.note("  %s", l)
		}
	}
}

func ufwEnd(net netip.Prefix, ports Ports) string {
	text := "any"
	if net.IsValid() {
		text = host(net)
	}
	if !ports.Any() {
		text += " port " + ports.join(":")
	}
	return text
}

// netsh writes commands for cmd.exe, as an administrator.
func netsh(p *page, set *RuleSet) {
	p.note("Run as administrator. A rule of the same name is replaced.")
	p.note("Remove: the \"delete rule\" lines.")
	set.eachName(func(names []string, rules []Rule) {
		p.note("%s", rules[0].Why)
		for i, r := range rules {
			p.line(`netsh advfirewall firewall delete rule name="%s"`, names[i])
			p.line(`netsh advfirewall firewall add rule name="%s" dir=%s action=allow protocol=TCP localip=%s localport=%v remoteip=%s remoteport=%v`,
				names[i], r.Way, orAny(r.local().Nets), r.local().Ports, orAny(r.remote().Nets), r.remote().Ports)
		}
	})
}

func orAny(nets []netip.Prefix) string {
	if len(nets) == 0 {
		return "any"
	}
	return hosts(nets, ",")
}

// eachName calls f for each rule, with one name and rule if it holds for both
// families, else with one for each.
func (set *RuleSet) eachName(f func([]string, []Rule)) {
	for _, r := range set.Rules {
		if r.anybody() {
			f([]string{r.title(v4)}, []Rule{r})
			continue
		}
		var names []string
		var rules []Rule
		for _, fam := range families {
			if one, ok := r.in(fam); ok {
				names, rules = append(names, r.title(fam)), append(rules, one)
			}
		}
		if len(rules) > 0 {
			f(names, rules)
		}
	}
}

// pf writes an anchor in the dialect of FreeBSD and macOS, where translation
// comes before the rules.
func pf(p *page, set *RuleSet) { writePF(p, set, false) }

// pfOpenBSD writes an anchor in the dialect of OpenBSD, where translation is a
// part of rules.
func pfOpenBSD(p *page, set *RuleSet) { writePF(p, set, true) }

func writePF(p *page, set *RuleSet, openBSD bool) {
	p.note("In /etc/pf.conf, once, behind your other rules:")
	if len(set.NAT) > 0 && !openBSD {
		p.note("  nat-anchor \"towpath\"   and   rdr-anchor \"towpath\"   (before the rules)")
	}
	p.note("  anchor \"towpath\"")
	p.note("Load:   pfctl -a towpath -f FILE   (replaces what the anchor had)")
	p.note("Remove: pfctl -a towpath -F all")
	for _, n := range set.NAT {
		ports := ""
		if !n.Ports.Any() {
			ports = " port " + n.Ports.join(":")
		}
		p.note("%s", n.Why)
		switch {
		case openBSD && n.Source:
			p.line("match out proto tcp from %v%s to any nat-to %v static-port", n.Inside, ports, n.Outside)
		case openBSD:
			p.line("match in proto tcp from any to %v%s rdr-to %v", n.Outside, ports, n.Inside)
		case n.Source:
			p.line("nat proto tcp from %v%s to any -> %v static-port", n.Inside, ports, n.Outside)
		default:
			p.line("rdr proto tcp from any to %v%s -> %v", n.Outside, ports, n.Inside)
		}
	}
	for _, r := range set.Rules {
		p.note("%s", r.Why)
		ways := []Way{r.Way}
		if set.Side == AtRouter {
			ways = []Way{In, Out} // it passes a router on two interfaces
		}
		for _, way := range ways {
			write := func(f string, r Rule) {
				if way == Out {
					r.From.Nets = set.sources(r)
				}
				p.line("pass %s quick%s proto tcp from %s to %s flags S/SA keep state", way, f, pfEnd(r.From), pfEnd(r.To))
			}
			if r.anybody() {
				write("", r)
				continue
			}
			for _, f := range families {
				if one, ok := r.in(f); ok {
					write(map[family]string{v4: " inet", v6: " inet6"}[f], one)
				}
			}
		}
	}
}

// sources are whom connections of r come from once they are translated: pf
// translates before it filters.
func (set *RuleSet) sources(r Rule) []netip.Prefix {
	nets := slices.Clone(r.From.Nets)
	for _, n := range set.NAT {
		for i, p := range nets {
			if n.Source && n.Name == r.Name && p.IsSingleIP() && p.Addr() == n.Inside {
				nets[i] = netip.PrefixFrom(n.Outside, n.Outside.BitLen())
			}
		}
	}
	return nets
}

func pfEnd(e End) string {
	text := "any"
	switch len(e.Nets) {
	case 0:
	case 1:
		text = host(e.Nets[0])
	default:
		text = "{ " + hosts(e.Nets, ", ") + " }"
	}
	if !e.Ports.Any() {
		text += " port " + e.Ports.join(":")
	}
	return text
}

// aws writes security group rules, which follow connections: answers pass.
func aws(p *page, set *RuleSet) {
	p.note("Set GROUP to the security group of the %s. A rule that is there gives InvalidPermission.Duplicate.", set.Side)
	p.note("Remove: the same with revoke in place of authorize.")
	p.note("A new group lets everything out: then the egress rules are not needed.")
	for _, r := range set.Rules {
		p.note("%s", r.Why)
		verb := map[Way]string{In: "ingress", Out: "egress"}[r.Way]
		var v4s, v6s []string
		for _, f := range families {
			one, ok := r.in(f)
			if !ok {
				continue
			}
			nets := []string{f.anywhere()}
			if n := one.remote().Nets; len(n) > 0 {
				nets = nil
				for _, net := range n {
					nets = append(nets, net.String())
				}
			}
			for _, net := range nets {
				if f == v4 {
					v4s = append(v4s, fmt.Sprintf(`{"CidrIp":"%s","Description":"%s"}`, net, r.title(v4)))
				} else {
					v6s = append(v6s, fmt.Sprintf(`{"CidrIpv6":"%s","Description":"%s"}`, net, r.title(v4)))
				}
			}
		}
		ranges := ""
		if len(v4s) > 0 {
			ranges += `,"IpRanges":[` + strings.Join(v4s, ",") + "]"
		}
		if len(v6s) > 0 {
			ranges += `,"Ipv6Ranges":[` + strings.Join(v6s, ",") + "]"
		}
		p.line(`aws ec2 authorize-security-group-%s --group-id "$GROUP" --ip-permissions '[{"IpProtocol":"tcp","FromPort":%d,"ToPort":%d%s}]'`,
			verb, r.To.Ports.Low, r.To.Ports.High, ranges)
	}
}

// azure writes rules of a network security group, which follow connections.
func azure(p *page, set *RuleSet) {
	p.note("Set RESOURCES to the resource group, NSG to the security group of the %s.", set.Side)
	p.note("A rule of the same name is replaced; choose priorities that are free.")
	p.note("Remove: az network nsg rule delete --resource-group \"$RESOURCES\" --nsg-name \"$NSG\" --name NAME")
	priority := 1000
	set.eachName(func(names []string, rules []Rule) {
		p.note("%s", rules[0].Why)
		for i, r := range rules {
			priority++
			p.line(`az network nsg rule create --resource-group "$RESOURCES" --nsg-name "$NSG" --name %s --priority %d --direction %s --access Allow --protocol Tcp --source-address-prefixes %s --source-port-ranges %s --destination-address-prefixes %s --destination-port-ranges %s`,
				slug(names[i]), priority, map[Way]string{In: "Inbound", Out: "Outbound"}[r.Way],
				azureNets(r.From.Nets), azurePorts(r.From.Ports), azureNets(r.To.Nets), azurePorts(r.To.Ports))
		}
	})
}

func azureNets(nets []netip.Prefix) string {
	if len(nets) == 0 {
		return "'*'"
	}
	return hosts(nets, " ")
}

func azurePorts(p Ports) string {
	if p.Any() {
		return "'*'"
	}
	return p.String()
}

// gcp writes rules of a VPC network, which follow connections; a rule is for
// one family only.
func gcp(p *page, set *RuleSet) {
	p.note("Set NETWORK to the VPC network; the rules hold for instances with the tag towpath.")
	p.note("A rule that is there is not made again: remove it first.")
	p.note("Remove: gcloud compute firewall-rules delete NAME")
	p.note("Everything is let out unless you forbid it: then the EGRESS rules are not needed.")
	why := ""
	set.eachFamily(func(f family, r Rule) {
		if r.Why != why {
			why = r.Why
			p.note("%s", why)
		}
		remote, local := f.anywhere(), ""
		if n := r.remote().Nets; len(n) > 0 {
			remote = prefixes(n)
		}
		ranges := map[Way][2]string{In: {"source", "destination"}, Out: {"destination", "source"}}[r.Way]
		if n := r.local().Nets; len(n) > 0 {
			local = fmt.Sprintf(" --%s-ranges %s", ranges[1], prefixes(n))
		}
		p.line(`gcloud compute firewall-rules create %s --network "$NETWORK" --direction %s --action ALLOW --rules tcp:%v --%s-ranges %s%s --target-tags towpath`,
			slug(r.title(f)), map[Way]string{In: "INGRESS", Out: "EGRESS"}[r.Way], r.To.Ports, ranges[0], remote, local)
	})
}

// prefixes writes networks with their length, hosts as well.
func prefixes(nets []netip.Prefix) string {
	texts := make([]string, len(nets))
	for i, n := range nets {
		texts[i] = n.String()
	}
	return strings.Join(texts, ",")
}

// slug is a title as a name without blanks.
func slug(title string) string { return strings.ReplaceAll(strings.ToLower(title), " ", "-") }
