package roster

import (
	"net/netip"
	"testing"
)

func TestClient(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]string{
		"192.0.2.1":          "192.0.2.1",
		"::ffff:192.0.2.1":   "192.0.2.1",
		"2001:db8:1:2:3::4":  "2001:db8:1:2::",
		"2001:db8:1:2::":     "2001:db8:1:2::",
		"fe80::1:2%eth0":     "fe80::1:2",
		"fd00:1:2:3:4:5:6:7": "fd00:1:2:3::",
	} {
		if got := Client(netip.MustParseAddr(address)); got != netip.MustParseAddr(want) {
			t.Errorf("%s counts as %v, want %s", address, got, want)
		}
	}
	if got := Client(netip.Addr{}); got.IsValid() {
		t.Errorf("no address counts as %v", got)
	}
}
