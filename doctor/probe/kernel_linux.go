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
			return check.Check{Answer: check.Yes, Minor: true, Evidence: "this machine's kernel has no FTP helper loaded (nf_conntrack_ftp)"}
		}
		return check.Check{Minor: true, Evidence: err.Error()}
	}
	text := "nf_conntrack_ftp is loaded here"
	if !p.failed() {
		return check.Check{Answer: check.Yes, Minor: true, Evidence: text + ", and all that was tried works"}
	}
	automatic := false
	if b, err := os.ReadFile("/proc/sys/net/netfilter/nf_conntrack_helper"); err == nil {
		automatic = strings.TrimSpace(string(b)) == "1"
	}
	if b, err := os.ReadFile(module + "/parameters/ports"); err == nil && automatic {
		ports := strings.Split(strings.TrimSpace(string(b)), ",")
		if !slices.Contains(ports, p.port) {
			return check.Check{Answer: check.No, Minor: true, Evidence: fmt.Sprintf("%s and reads port %s by itself, and this session is on %s", text, strings.Join(ports, ", "), p.port), Hint: "A rule can give it the port: " + assign(p.port)}
		}
		return check.Check{Answer: check.Yes, Minor: true, Evidence: fmt.Sprintf("%s and reads port %s by itself; under TLS it is blind", text, p.port)}
	}
	text += ", and since Linux 6.0 reads only what a rule gives to it"
	port, err := strconv.ParseUint(p.port, 10, 16)
	if err != nil {
		return check.Check{Minor: true, Evidence: text}
	}
	rules, err := firewall.ReadStanding(0)
	if err != nil {
		return check.Check{
			Minor: true, Evidence: text + "; whether one does cannot be seen: " + err.Error(),
			Hint: "It matters only if this machine filters or translates, and not under TLS. A rule: " + assign(p.port),
		}
	}
	switch rules.Helped(uint16(port)) {
	case firewall.Admitted:
		return check.Check{Answer: check.Yes, Minor: true, Evidence: fmt.Sprintf("%s, and one gives it port %d; under TLS it is blind", text, port)}
	case firewall.Stopped:
		return check.Check{
			Answer: check.No, Minor: true, Evidence: fmt.Sprintf("%s, and none gives it port %d", text, port),
			Hint: "It matters only if this machine filters or translates, and not under TLS. A rule: " + assign(p.port),
		}
	}
	return check.Check{Minor: true, Evidence: fmt.Sprintf("%s; whether one gives it port %d depends on more than can be seen", text, port)}
}

// assign is the rule that gives a port to the helper.
func assign(port string) string {
	return fmt.Sprintf("iptables -t raw -A OUTPUT -p tcp --dport %s -j CT --helper ftp", port)
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
