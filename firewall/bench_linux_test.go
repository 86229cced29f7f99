package firewall_test

import (
	"errors"
	"net/netip"
	"testing"
	"time"

	"towpath/firewall"
	"towpath/firewall/firewalltest"
	"towpath/internal/alone"
)

// BenchmarkPinhole opens and closes a pinhole that translates both addresses,
// in a namespace of its own.
func BenchmarkPinhole(b *testing.B) {
	if !alone.Inside(b) {
		return
	}
	netfilter, err := firewall.OpenNetfilter(firewall.NetfilterOptions{})
	if err != nil {
		b.Fatal(err)
	}
	at := netip.AddrPortFrom(firewalltest.Server.Addr(), 2121)
	hold(b, at)
	conntrack, err := firewall.OpenConntrack(firewall.ConntrackOptions{Ports: []uint16{at.Port()}})
	if err != nil {
		b.Fatal(err)
	}
	p := firewall.Pinhole{
		From: firewalltest.Client, Via: firewalltest.Gate, To: firewalltest.Server, As: netip.AddrPortFrom(firewalltest.Proxy, 0),
		Control: [2]firewall.Flow{control(b, firewalltest.Proxy, at)}, Life: time.Minute,
	}
	for name, plane := range map[string]firewall.Opener{"netfilter": netfilter, "conntrack": conntrack} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				hole, err := plane.Open(b.Context(), p)
				if err == nil {
					err = hole.Close()
				}
				if err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	if err := errors.Join(netfilter.Close(), conntrack.Close()); err != nil {
		b.Error(err)
	}
}
