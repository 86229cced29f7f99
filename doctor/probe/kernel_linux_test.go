package probe

import (
	"net/netip"
	"strings"
	"testing"
)

// A rule for the helper is for the family of the server.
func TestAssign(t *testing.T) {
	t.Parallel()
	for peer, want := range map[string]string{
		"192.0.2.1":   "iptables -t raw -A OUTPUT -p tcp --dport 2121 ",
		"2001:db8::1": "ip6tables -t raw -A OUTPUT -p tcp --dport 2121 ",
	} {
		p := &probe{peer: netip.MustParseAddr(peer), port: "2121"}
		if got := p.assign(); !strings.HasPrefix(got, want) {
			t.Errorf("%s: %q, want %q", peer, got, want)
		}
	}
}
