package firewalltest_test

import (
	"context"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"towpath/firewall"
	"towpath/firewall/firewalltest"
)

func TestFake(t *testing.T) {
	t.Parallel()
	for name, unable := range map[string]bool{"translating": false, "unable to": true} {
		t.Run(name, func(t *testing.T) {
			firewalltest.TestOpener(t, func(*testing.T) firewalltest.World {
				now := time.Unix(0, 0)
				fake := &firewalltest.Fake{Now: func() time.Time { return now }, Unable: unable}
				return firewalltest.World{
					Opener:  fake,
					Connect: func(from netip.Addr, to netip.AddrPort, _ bool) bool { return fake.Connect(from, to) },
					Pass:    func(d time.Duration) { now = now.Add(d) },
					Came:    fake.Came,
					Unable:  unable,
				}
			})
		})
	}
}

// TestEither has an opener that can stand in for one that cannot.
func TestEither(t *testing.T) {
	t.Parallel()
	firewalltest.TestOpener(t, func(*testing.T) firewalltest.World {
		now := time.Unix(0, 0)
		clock := func() time.Time { return now }
		plain, whole := &firewalltest.Fake{Now: clock, Unable: true}, &firewalltest.Fake{Now: clock}
		return firewalltest.World{
			Opener: firewall.Either(plain, whole),
			Connect: func(from netip.Addr, to netip.AddrPort, _ bool) bool {
				return plain.Connect(from, to) || whole.Connect(from, to)
			},
			Pass: func(d time.Duration) { now = now.Add(d) },
			Came: whole.Came,
		}
	})
}

// A test looks at what is open.
func ExampleFake() {
	var fw firewalltest.Fake
	hole, err := fw.Open(context.Background(), firewall.Pinhole{
		From: netip.MustParseAddr("192.0.2.9"),
		To:   netip.MustParseAddrPort("198.51.100.1:50000"),
		Life: 30 * time.Second,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(fw.Pinholes())
	if err := hole.Close(); err != nil {
		fmt.Println(err)
	}
	fmt.Println(len(fw.Pinholes()))
	// Output:
	// [192.0.2.9 to 198.51.100.1:50000 within 30s]
	// 0
}
