package firewall

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
)

// Format is the language of one packet filter.
type Format struct {
	// Name is what people call it by, Title what it is.
	Name, Title string
	// Sides are where such a filter can stand.
	Sides []Side

	comment string // what a comment begins with; "" has none
	write   func(*page, *RuleSet)
}

var (
	everywhere = Sides
	machines   = []Side{AtServer, AtClient}
	routers    = []Side{AtRouter, AtClient}
	servers    = []Side{AtServer}
)

// Formats are all that rules can be written in.
var Formats = []Format{
	{"nftables", "nftables, a file for nft -f", everywhere, "#", nft},
	{"iptables", "iptables and ip6tables, a shell script", everywhere, "#", iptables},
	{"firewalld", "firewalld, commands", []Side{AtServer, AtRouter}, "#", firewalld},
	{"ufw", "ufw, commands", everywhere, "#", ufw},
	{"pf", "pf of FreeBSD and macOS, an anchor", everywhere, "#", pf},
	{"openbsd", "pf of OpenBSD, an anchor", everywhere, "#", pfOpenBSD},
	{"netsh", "Windows Defender Firewall, commands", machines, "REM", netsh},
	{"ios", "Cisco IOS, access lists", routers, "!", ios},
	{"vrp", "Huawei VRP, advanced ACLs", routers, "#", vrp},
	{"comware", "H3C Comware 7, advanced ACLs", routers, "#", comware},
	{"aws", "AWS security group, commands", machines, "#", aws},
	{"azure", "Azure network security group, commands", machines, "#", azure},
	{"gcp", "Google Cloud firewall rules, commands", machines, "#", gcp},
	{"docker", "Docker, a command", servers, "#", docker},
	{"compose", "Docker Compose, a list of ports", servers, "#", compose},
	{"kubernetes", "Kubernetes, a Service", servers, "#", kubernetes},
	{"json", "the rules as data", everywhere, "", asJSON},
}

// FormatNamed finds a format.
func FormatNamed(name string) (Format, error) {
	names := make([]string, len(Formats))
	for i, f := range Formats {
		if f.Name == name {
			return f, nil
		}
		names[i] = f.Name
	}
	return Format{}, fmt.Errorf("format %q: not known; write one of %s", name, strings.Join(names, ", "))
}

// Write writes the rules of set, ready to be pasted, with what they are for and
// how they are removed.
func (f Format) Write(w io.Writer, set *RuleSet) error {
	if !slices.Contains(f.Sides, set.Side) {
		var can []string
		for _, s := range f.Sides {
			can = append(can, string(s))
		}
		return fmt.Errorf("%s: there are no such rules for side %s; it can do %s", f.Name, set.Side, strings.Join(can, " and "))
	}
	p := &page{comment: f.comment}
	if f.comment != "" {
		p.note("FTP, on side %s: %s.", set.Side, f.Title)
	}
	f.write(p, set)
	if p.err != nil {
		return fmt.Errorf("%s: %w", f.Name, p.err)
	}
	_, err := io.WriteString(w, p.String())
	return err
}

// page is what a format writes on.
type page struct {
	strings.Builder
	comment string
	err     error
}

// note writes a comment.
func (p *page) note(format string, args ...any) {
	p.line("%s %s", p.comment, fmt.Sprintf(format, args...))
}

func (p *page) line(format string, args ...any) {
	fmt.Fprintf(p, format+"\n", args...)
}

// refuse says that this cannot be written.
func (p *page) refuse(format string, args ...any) {
	if p.err == nil {
		p.err = fmt.Errorf(format, args...)
	}
}

// manyPorts is from where on a list of single ports is a burden.
const manyPorts = 100

// singly warns of ranges in languages that know none.
func (p *page) singly(ports Ports) {
	if ports.Len() > manyPorts {
		p.note("CAUTION: %d ports, each by itself, for there are no ranges. A smaller passive range will do.", ports.Len())
	}
}

// local is the end of r that the filter guards, remote the other one.
func (r Rule) local() End {
	if r.Way == In {
		return r.To
	}
	return r.From
}

func (r Rule) remote() End {
	if r.Way == In {
		return r.From
	}
	return r.To
}

// title names a rule where lists of rules are shown.
func (r Rule) title(f family) string {
	if f == v6 {
		return "Towpath FTP " + r.Name + " IPv6"
	}
	return "Towpath FTP " + r.Name
}

// eachFamily calls f for each rule in each family that it means something for.
func (set *RuleSet) eachFamily(f func(family, Rule)) {
	for _, r := range set.Rules {
		for _, fam := range families {
			if one, ok := r.in(fam); ok {
				f(fam, one)
			}
		}
	}
}

// asJSON is for other programs.
func asJSON(p *page, set *RuleSet) {
	e := json.NewEncoder(p)
	e.SetIndent("", "  ")
	p.err = e.Encode(set)
}
