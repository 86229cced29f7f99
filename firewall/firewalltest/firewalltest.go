// Package firewalltest is the kit that every [firewall.Opener] passes, and a
// [Fake] for the tests of those who open pinholes.
package firewalltest

import (
	"context"
	"errors"
	"net/netip"
	"sync"
	"testing"
	"time"

	"towpath/firewall"
)

// World is an opener and what stands round it: hosts that connect, and time.
type World struct {
	firewall.Opener
	// Connect tries to open a connection and reports whether it came about.
	// expected is what the kit believes, so that a world in which a drop shows
	// by silence knows how long to wait.
	Connect func(from netip.Addr, to netip.AddrPort, expected bool) bool
	// Pass lets time go by, at least so much.
	Pass func(time.Duration)
}

// Hosts and ports that the kit connects by. All of them listen in a world of
// real sockets.
var (
	Client  = netip.MustParseAddr("127.0.0.2")
	Other   = netip.MustParseAddr("127.0.0.3")
	Server  = netip.MustParseAddrPort("127.0.0.1:50000")
	Second  = netip.MustParseAddrPort("127.0.0.1:50001")
	Client6 = netip.MustParseAddr("::1")
	Server6 = netip.MustParseAddrPort("[::1]:50000")
)

// TestOpener checks an opener in a world where nothing passes but what has a
// pinhole.
func TestOpener(t *testing.T, make func(t *testing.T) World) {
	for _, c := range []struct {
		name string
		test func(t *testing.T, w World)
	}{
		{"closed before", func(t *testing.T, w World) {
			w.try(t, Client, Server, false)
			w.try(t, Client6, Server6, false)
		}},
		{"once", func(t *testing.T, w World) {
			w.open(t, Client, Server, time.Minute)
			w.try(t, Client, Server, true)
			w.try(t, Client, Server, false)
		}},
		{"IPv6", func(t *testing.T, w World) {
			w.open(t, Client6, Server6, time.Minute)
			w.try(t, Client, Server, false)
			w.try(t, Client6, Server6, true)
			w.try(t, Client6, Server6, false)
		}},
		{"IPv4 in IPv6", func(t *testing.T, w World) {
			w.open(t, netip.AddrFrom16(Client.As16()), netip.AddrPortFrom(netip.AddrFrom16(Server.Addr().As16()), Server.Port()), time.Minute)
			w.try(t, Client, Server, true)
		}},
		{"only for the one it was made for", func(t *testing.T, w World) {
			w.open(t, Client, Server, time.Minute)
			w.try(t, Other, Server, false)
			w.try(t, Client, Second, false)
			w.try(t, Client, Server, true)
		}},
		{"several", func(t *testing.T, w World) {
			first := w.open(t, Client, Server, time.Minute)
			w.open(t, Client, Second, time.Minute)
			w.open(t, Other, Server, time.Minute)
			first()
			w.try(t, Client, Server, false)
			w.try(t, Client, Second, true)
			w.try(t, Other, Server, true)
		}},
		{"closed", func(t *testing.T, w World) {
			w.open(t, Client, Server, time.Minute)()
			w.try(t, Client, Server, false)
		}},
		{"closed after use and again", func(t *testing.T, w World) {
			end := w.open(t, Client, Server, time.Minute)
			w.try(t, Client, Server, true)
			end()
			end()
		}},
		{"life is over", func(t *testing.T, w World) {
			end := w.open(t, Client, Server, 200*time.Millisecond)
			w.Pass(400 * time.Millisecond)
			w.try(t, Client, Server, false)
			end()
		}},
		{"opened anew", func(t *testing.T, w World) {
			old := w.open(t, Client, Server, 200*time.Millisecond)
			w.open(t, Client, Server, time.Minute)
			w.Pass(400 * time.Millisecond)
			old()
			w.try(t, Client, Server, true)
			w.open(t, Client, Server, time.Minute)
			w.try(t, Client, Server, true)
			w.try(t, Client, Server, false)
		}},
		{"nonsense", func(t *testing.T, w World) {
			for _, p := range []firewall.Pinhole{
				{},
				{From: Client, To: Server},
				{From: Client, To: Server6, Life: time.Minute},
				{From: Client, To: netip.AddrPortFrom(Server.Addr(), 0), Life: time.Minute},
				{To: Server, Life: time.Minute},
				{From: Client, To: Server, Life: 2 * firewall.MaxLife},
			} {
				if hole, err := w.Open(t.Context(), p); err == nil {
					t.Errorf("Open(%v) succeeds, want an error", p)
					_ = hole.Close() // it should not be
				}
			}
		}},
		{"given up", func(t *testing.T, w World) {
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			if _, err := w.Open(ctx, firewall.Pinhole{From: Client, To: Server, Life: time.Minute}); !errors.Is(err, context.Canceled) {
				t.Errorf("error %v, want %v", err, context.Canceled)
			}
			w.try(t, Client, Server, false)
		}},
		{"many at once", func(t *testing.T, w World) {
			var all sync.WaitGroup
			for i := range 50 {
				all.Go(func() {
					to := netip.AddrPortFrom(Server.Addr(), uint16(40000+i))
					hole, err := w.Open(t.Context(), firewall.Pinhole{From: Client, To: to, Life: time.Minute})
					if err != nil {
						t.Error(err)
						return
					}
					if err := hole.Close(); err != nil {
						t.Error(err)
					}
				})
			}
			all.Wait()
		}},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(t, make(t)) })
	}
}

// open opens a pinhole and returns what closes it.
func (w World) open(t *testing.T, from netip.Addr, to netip.AddrPort, life time.Duration) func() {
	t.Helper()
	hole, err := w.Open(t.Context(), firewall.Pinhole{From: from, To: to, Life: life})
	if err != nil {
		t.Fatal(err)
	}
	return func() {
		t.Helper()
		if err := hole.Close(); err != nil {
			t.Error(err)
		}
	}
}

func (w World) try(t *testing.T, from netip.Addr, to netip.AddrPort, want bool) {
	t.Helper()
	if got := w.Connect(from, to, want); got != want {
		t.Errorf("%v to %v: connected is %v, want %v", from, to, got, want)
	}
}
