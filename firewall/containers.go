package firewall

import (
	"fmt"
	"net/netip"
	"strings"
)

// published are the rules that a container publishes ports for; of active mode
// the page says what becomes.
func published(p *page, set *RuleSet) []Rule {
	var rules []Rule
	for _, r := range set.Rules {
		if r.Way == In {
			rules = append(rules, r)
			continue
		}
		p.note("Active mode leaves by the address of the host and from any port: clients that insist on port 20 refuse it.")
	}
	return rules
}

// publications are the ports as Docker writes them, on each address of the host.
func publications(r Rule) []string {
	ports := fmt.Sprintf("%v:%v", r.To.Ports, r.To.Ports)
	if len(r.To.Nets) == 0 {
		return []string{ports}
	}
	var list []string
	for _, n := range r.To.Nets {
		a := n.Addr().String()
		if n.Addr().Is6() {
			a = "[" + a + "]"
		}
		list = append(list, a+":"+ports)
	}
	return list
}

func dockerNotes(p *page, set *RuleSet) {
	p.note("The numbers must be the same on both sides, for the server announces them.")
	p.note("Tell the server the address of the host: --external ADDRESS.")
	for _, r := range set.Rules {
		if r.Way == In && r.To.Ports.Len() > manyPorts {
			p.note("CAUTION: %d ports; Docker may run a process for each (userland-proxy). A smaller passive range will do.", r.To.Ports.Len())
		}
		if r.Way == In && len(r.From.Nets) > 0 && r.Name == set.Rules[0].Name {
			p.note("Docker asks no firewall of yours but the chain DOCKER-USER: only there clients can be chosen (%s).", hosts(r.From.Nets, ", "))
		}
	}
}

// docker writes the flags of docker run.
func docker(p *page, set *RuleSet) {
	dockerNotes(p, set)
	p.note("Remove: docker rm --force towpath")
	rules := published(p, set)
	var flags []string
	for _, r := range rules {
		for _, pub := range publications(r) {
			if strings.HasPrefix(pub, "[") {
				pub = "'" + pub + "'" // to a shell, brackets are a pattern
			}
			flags = append(flags, "-p "+pub)
		}
	}
	p.line("docker run -d --name towpath %s towpath", strings.Join(flags, " "))
}

// compose writes the ports of a service of Docker Compose.
func compose(p *page, set *RuleSet) {
	dockerNotes(p, set)
	p.note("Remove: docker compose down")
	rules := published(p, set)
	p.line("services:\n  towpath:\n    image: towpath\n    ports:")
	for _, r := range rules {
		p.line("      # %s", r.Why)
		for _, pub := range publications(r) {
			p.line("      - %q", pub)
		}
	}
}

// kubernetes writes a Service. There are no ranges in it, and one Pod must
// take both connections of a session.
func kubernetes(p *page, set *RuleSet) {
	p.note("Apply:  kubectl apply -f FILE")
	p.note("Remove: kubectl delete service towpath")
	p.note("Run one Pod behind it, or give each its own Service and range: the data connection must reach the Pod that announced it.")
	p.note("Tell the server the address of the Service: --external ADDRESS.")
	rules := published(p, set)
	var clients []netip.Prefix
	for _, r := range rules {
		clients = r.From.Nets
		p.singly(r.To.Ports)
	}
	p.line(`apiVersion: v1
kind: Service
metadata:
  name: towpath
spec:
  type: LoadBalancer
  selector:
    app: towpath`)
	p.line("  # The server sees the addresses of its clients, and both connections have one.")
	p.line("  externalTrafficPolicy: Local\n  sessionAffinity: ClientIP")
	if len(clients) > 0 {
		p.line("  loadBalancerSourceRanges:")
		for _, c := range clients {
			p.line("    - %q", c)
		}
	}
	p.line("  ports:")
	for _, r := range rules {
		p.line("    # %s", r.Why)
		r.To.Ports.each(func(port uint16) {
			name := r.Name
			if r.To.Ports.Len() > 1 {
				name = fmt.Sprintf("%s-%d", r.Name, port)
			}
			p.line("    - {name: %s, protocol: TCP, port: %d, targetPort: %d}", name, port, port)
		})
	}
}
