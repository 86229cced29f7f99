package firewall

import (
	"errors"
	"fmt"
	"math/bits"
	"net/netip"
	"strings"
)

// ParseWildcard reads an IPv4 network as access lists write it, an address and
// the bits that do not count: "10.0.0.0 0.255.255.255". The mask "0" is that of
// one host.
func ParseWildcard(s string) (netip.Prefix, error) {
	address, mask, _ := strings.Cut(s, " ")
	if mask == "0" {
		mask = "0.0.0.0"
	}
	a, errA := netip.ParseAddr(address)
	m, errM := netip.ParseAddr(mask)
	if errA != nil || errM != nil || !a.Is4() || !m.Is4() {
		return netip.Prefix{}, fmt.Errorf("%q: not a network; write an address and a wildcard, as 10.0.0.0 0.255.255.255", s)
	}
	b := m.As4()
	wild := uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3])
	if wild&(wild+1) != 0 {
		return netip.Prefix{}, fmt.Errorf("%q: the wildcard has gaps; that is no network", s)
	}
	p := netip.PrefixFrom(a, bits.LeadingZeros32(wild))
	if p != p.Masked() {
		return netip.Prefix{}, fmt.Errorf("%q: the address has bits that do not count; write %v", s, p.Masked().Addr())
	}
	return p, nil
}

// FormatWildcard is the inverse of [ParseWildcard]. It panics unless p is an
// IPv4 network.
func FormatWildcard(p netip.Prefix) string {
	if !p.Addr().Is4() {
		panic(errors.New("firewall: a wildcard is for IPv4"))
	}
	wild := uint32(1<<(32-p.Bits()) - 1)
	return fmt.Sprintf("%v %v", p.Masked().Addr(), netip.AddrFrom4([4]byte{byte(wild >> 24), byte(wild >> 16), byte(wild >> 8), byte(wild)}))
}

// entry is a line of an access list. Such lists remember no connections, so
// that answers need lines of their own: those of connections that are there
// carry ACK or RST, which is what "established" looks for.
type entry struct {
	name, why   string
	from, to    netip.Prefix // invalid: any
	src, dst    Ports
	established bool
}

// entries are the lists for one family, by the way that packets go.
func (set *RuleSet) entries(f family) map[Way][]entry {
	lists := map[Way][]entry{}
	back := map[Way]Way{In: Out, Out: In}
	for _, r := range set.Rules {
		one, ok := r.in(f)
		if !ok {
			continue
		}
		one.flows(func(from, to netip.Prefix) {
			lists[r.Way] = append(lists[r.Way], entry{r.Name, r.Why, from, to, r.From.Ports, r.To.Ports, false})
			lists[back[r.Way]] = append(lists[back[r.Way]], entry{r.Name, "Answers to: " + r.Name + ".", to, from, r.To.Ports, r.From.Ports, true})
		})
	}
	return lists
}

// placed tells where access lists belong. On the inner interface addresses are
// those of the inside, whether the router translates or not; and vendors do not
// agree which comes first on the outer one.
func placed(p *page, set *RuleSet) {
	p.note("The lists belong on the interface towards the %s: there, addresses are the inside ones.", map[Side]string{AtRouter: "server", AtClient: "clients"}[set.Side])
}

// changes reports whether why is another sentence than the last one.
func changes(last *string, why string) bool {
	defer func() { *last = why }()
	return *last != why
}

// ios writes extended access lists of Cisco IOS.
func ios(p *page, set *RuleSet) {
	p.note("Paste in configuration mode. Lines that are there already are not doubled.")
	placed(p, set)
	p.note("A list ends in deny: whatever else shall pass needs lines of yours.")
	var remove, apply []string
	for _, f := range families {
		lists := set.entries(f)
		for _, way := range []Way{In, Out} {
			if len(lists[way]) == 0 {
				continue
			}
			// What goes in to the guarded side leaves the router by that interface.
			direction := map[Way]string{In: "out", Out: "in"}[way]
			name, kind, use := "TOWPATH-"+strings.ToUpper(string(way)), "ip access-list extended ", "ip access-group %s %s"
			if f == v6 {
				name, kind, use = name+"6", "ipv6 access-list ", "ipv6 traffic-filter %s %s"
			}
			p.line("!\n%s%s", kind, name)
			remove = append(remove, "no "+kind+name)
			apply = append(apply, fmt.Sprintf(use, name, direction))
			last := ""
			for _, e := range lists[way] {
				if changes(&last, e.why) {
					p.line(" remark %s", e.why)
				}
				line := fmt.Sprintf(" permit tcp %s%s %s%s", iosNet(e.from), iosPorts(e.src), iosNet(e.to), iosPorts(e.dst))
				if e.established {
					line += " established"
				}
				p.line("%s", line)
			}
			p.line(" exit")
		}
	}
	for _, n := range set.NAT {
		if n.Source {
			continue // static translation works both ways
		}
		p.note("%s", n.Why)
		if family(n.Inside.Is6()) == v6 {
			p.refuse("%v to %v: IOS does not translate IPv6 so; give the server its own public address", n.Outside, n.Inside)
			return
		}
		p.singly(n.Ports)
		n.Ports.each(func(port uint16) {
			line := fmt.Sprintf("ip nat inside source static tcp %v %d %v %d extendable", n.Inside, port, n.Outside, port)
			p.line("%s", line)
			remove = append(remove, "no "+line)
		})
	}
	nats(p, set)
	p.note("Apply, below \"interface NAME\":")
	for _, a := range apply {
		p.note("  %s", a)
	}
	removal(p, remove)
}

// nats says what a static translation does for active mode.
func nats(p *page, set *RuleSet) {
	for _, n := range set.NAT {
		if n.Source {
			p.note("%s", n.Why)
			p.note("Your source translation must give %v the address %v.", n.Inside, n.Outside)
		}
	}
}

// removal lists how to undo, but for single ports beyond what people read.
func removal(p *page, lines []string) {
	p.note("Remove:")
	for i, l := range lines {
		if i == 8 {
			p.note("  … and so on for the %d lines that follow", len(lines)-i)
			return
		}
		p.note("  %s", l)
	}
}

func iosNet(p netip.Prefix) string {
	switch {
	case !p.IsValid():
		return "any"
	case p.IsSingleIP():
		return "host " + p.Addr().String()
	case p.Addr().Is6():
		return p.String()
	default:
		return FormatWildcard(p)
	}
}

func iosPorts(p Ports) string {
	switch {
	case p.Any():
		return ""
	case p.Low == p.High:
		return fmt.Sprintf(" eq %d", p.Low)
	default:
		return fmt.Sprintf(" range %d %d", p.Low, p.High)
	}
}

// vrp writes advanced ACLs of Huawei VRP.
func vrp(p *page, set *RuleSet) {
	writeACL(p, set, dialect{
		list:        map[family]string{v4: "acl number %d", v6: "acl ipv6 number %d"},
		remark:      "description",
		established: " tcp-flag established",
		filter:      map[family]string{v4: "traffic-filter %s acl %d", v6: "traffic-filter %s ipv6 acl %d"},
		unmatched:   "Packets that match no rule pass. To close the rest, end both lists with: rule 4000 deny ip (IPv6: deny ipv6).",
		forward: func(n NAT, line func(string)) {
			n.Ports.each(func(port uint16) {
				line(fmt.Sprintf("nat server protocol tcp global %v %d inside %v %d", n.Outside, port, n.Inside, port))
			})
		},
		singly: true,
	})
}

// comware writes advanced ACLs of H3C Comware 7.
func comware(p *page, set *RuleSet) {
	writeACL(p, set, dialect{
		list:        map[family]string{v4: "acl advanced %d", v6: "acl ipv6 advanced %d"},
		remark:      "comment",
		established: " established",
		filter:      map[family]string{v4: "packet-filter %[2]d %[1]s", v6: "packet-filter ipv6 %[2]d %[1]s"},
		unmatched:   "Packets that match no rule pass, unless the system view has: packet-filter default deny.",
		forward: func(n NAT, line func(string)) {
			if n.Ports.Low == n.Ports.High {
				line(fmt.Sprintf("nat server protocol tcp global %v %d inside %v %d", n.Outside, n.Ports.Low, n.Inside, n.Ports.Low))
				return
			}
			line(fmt.Sprintf("nat server protocol tcp global %v %d %d inside %v %d %d",
				n.Outside, n.Ports.Low, n.Ports.High, n.Inside, n.Ports.Low, n.Ports.High))
		},
	})
}

// dialect is where VRP and Comware, of one origin, have gone apart.
type dialect struct {
	list, filter                   map[family]string
	remark, established, unmatched string
	forward                        func(NAT, func(string))
	singly                         bool // forward knows no ranges
}

// aclNumbers are those of the lists; advanced ones are 3000 to 3999.
var aclNumbers = map[Way]int{In: 3021, Out: 3022}

func writeACL(p *page, set *RuleSet, d dialect) {
	p.note("Paste in the system view, without the lines that begin with #.")
	p.note("Numbers %d and %d must be free. Before you paste anew, remove what was there.", aclNumbers[In], aclNumbers[Out])
	placed(p, set)
	p.note("%s", d.unmatched)
	var remove, apply []string
	for _, f := range families {
		lists := set.entries(f)
		for _, way := range []Way{In, Out} {
			if len(lists[way]) == 0 {
				continue
			}
			list := fmt.Sprintf(d.list[f], aclNumbers[way])
			p.line("#\n%s", list)
			remove = append(remove, "undo "+list)
			apply = append(apply, fmt.Sprintf(d.filter[f], map[Way]string{In: "outbound", Out: "inbound"}[way], aclNumbers[way]))
			last := ""
			for i, e := range lists[way] {
				line := fmt.Sprintf(" rule %d permit tcp", 5*(i+1)) +
					aclNet("source", e.from) + aclPorts("source-port", e.src) +
					aclNet("destination", e.to) + aclPorts("destination-port", e.dst)
				if e.established {
					line += d.established
				}
				p.line("%s", line)
				if changes(&last, e.why) {
					p.line(" rule %d %s %s", 5*(i+1), d.remark, e.why)
				}
			}
			p.line(" quit")
		}
	}
	p.line("#")
	p.note("Apply, below \"interface NAME\" towards the inside:")
	for _, a := range apply {
		p.note("  %s", a)
	}
	for i, n := range set.NAT {
		if n.Source {
			continue
		}
		if family(n.Inside.Is6()) == v6 {
			p.refuse("%v to %v: the ACL is for IPv4 translation only; give the server its own public address", n.Outside, n.Inside)
			return
		}
		if i == 0 {
			p.note("Paste below \"interface NAME\" towards the outside:")
		}
		p.note("%s", n.Why)
		if d.singly {
			p.singly(n.Ports)
		}
		d.forward(n, func(line string) {
			p.line(" %s", line)
			remove = append(remove, "undo "+line)
		})
	}
	nats(p, set)
	removal(p, remove)
}

func aclNet(what string, p netip.Prefix) string {
	switch {
	case !p.IsValid():
		return ""
	case p.Addr().Is6():
		return fmt.Sprintf(" %s %v %d", what, p.Addr(), p.Bits())
	case p.IsSingleIP():
		return fmt.Sprintf(" %s %v 0", what, p.Addr())
	default:
		return fmt.Sprintf(" %s %s", what, FormatWildcard(p))
	}
}

func aclPorts(what string, p Ports) string {
	if p.Any() {
		return ""
	}
	return " " + what + iosPorts(p)
}
