package probe

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"towpath/doctor/check"
	"towpath/firewall"
)

// helper looks at the kernel of this machine: whether its FTP helper is there,
// and would touch this session.
func (p *probe) helper(context.Context) check.Check {
	if !p.direct {
		return check.Check{}
	}
	const module = "/sys/module/nf_conntrack_ftp"
	if _, err := os.Stat(module); err != nil {
		if os.IsNotExist(err) {
			return check.Check{Answer: check.Yes, Minor: true, Evidence: p.say("probe.helper.none")}
		}
		return check.Check{Minor: true, Evidence: err.Error()}
	}
	if !p.failed() {
		return check.Check{Answer: check.Yes, Minor: true, Evidence: p.say("probe.helper.well")}
	}
	automatic := false
	if b, err := os.ReadFile("/proc/sys/net/netfilter/nf_conntrack_helper"); err == nil {
		automatic = strings.TrimSpace(string(b)) == "1"
	}
	if b, err := os.ReadFile(module + "/parameters/ports"); err == nil && automatic {
		ports := strings.Split(strings.TrimSpace(string(b)), ",")
		if !slices.Contains(ports, p.port) {
			return check.Check{Answer: check.No, Minor: true, Evidence: p.say("probe.helper.other", "ports", strings.Join(ports, ", "), "port", p.port), Hint: p.say("probe.helper.rule", "rule", p.assign())}
		}
		return check.Check{Answer: check.Yes, Minor: true, Evidence: p.say("probe.helper.automatic", "port", p.port)}
	}
	text := p.say("probe.helper.linux6")
	port, err := strconv.ParseUint(p.port, 10, 16)
	if err != nil {
		return check.Check{Minor: true, Evidence: text}
	}
	rules, err := firewall.ReadStanding(0)
	if err != nil {
		return check.Check{
			Minor: true, Evidence: p.say("probe.helper.unseen", "first", text, "error", err),
			Hint: p.say("probe.helper.matters", "rule", p.assign()),
		}
	}
	switch rules.Helped(firewall.Out, uint16(port)) {
	case firewall.Admitted:
		return check.Check{Answer: check.Yes, Minor: true, Evidence: p.say("probe.helper.given", "first", text, "port", port)}
	case firewall.Stopped:
		return check.Check{
			Answer: check.No, Minor: true, Evidence: p.say("probe.helper.not-given", "first", text, "port", port),
			Hint: p.say("probe.helper.matters", "rule", p.assign()),
		}
	}
	return check.Check{Minor: true, Evidence: p.say("probe.helper.depends", "first", text, "port", port)}
}

// assign is the rule that gives the port of the server to the helper.
func (p *probe) assign() string {
	program := "iptables"
	if p.peer.Is6() {
		program = "ip6tables"
	}
	return fmt.Sprintf("%s -t raw -A OUTPUT -p tcp --dport %s -j CT --helper ftp", program, p.port)
}

// failed tells whether any mode does.
func (p *probe) failed() bool {
	for _, s := range p.sides {
		for _, t := range s.trials {
			if t.asked && t.err != nil {
				return true
			}
		}
	}
	return false
}
