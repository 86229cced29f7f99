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
	// Came is where the last connection that came about has ended, and whom the
	// listener there saw.
	Came func() (to, by netip.AddrPort)
	// Unable says that the opener translates no addresses.
	Unable bool
}

// Hosts and ports that the kit connects by. All of them listen in a world of
// real sockets, but Gate and Gate6: those are only led on from.
var (
	Client  = netip.MustParseAddr("127.0.0.2")
	Other   = netip.MustParseAddr("127.0.0.3")
	Server  = netip.MustParseAddrPort("127.0.0.1:50000")
	Second  = netip.MustParseAddrPort("127.0.0.1:50001")
	Gate    = netip.MustParseAddrPort("127.0.0.1:50009")
	Proxy   = netip.MustParseAddr("127.0.0.4")
	Gate6   = netip.MustParseAddrPort("[::1]:50009")
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
		{"used", func(t *testing.T, w World) {
			hole, err := w.Open(t.Context(), firewall.Pinhole{From: Client, To: Server, Life: time.Minute})
			if err != nil {
				t.Fatal(err)
			}
			if by, ok := firewall.Used(hole); ok {
				t.Errorf("used by %v before anybody came", by)
			}
			w.try(t, Client, Server, true)
			for _, closed := range []bool{false, true} {
				if _, knows := hole.(interface{ Used() (netip.AddrPort, bool) }); !knows {
					break // nobody must
				}
				if by, ok := firewall.Used(hole); !ok || by.Addr() != Client {
					t.Errorf("used by %v, %v, want %v; closed is %v", by, ok, Client, closed)
				}
				if err := hole.Close(); err != nil {
					t.Error(err)
				}
			}
		}},
		{"not used", func(t *testing.T, w World) {
			hole, err := w.Open(t.Context(), firewall.Pinhole{From: Client, To: Server, Life: time.Minute})
			if err != nil {
				t.Fatal(err)
			}
			if err := hole.Close(); err != nil {
				t.Error(err)
			}
			if by, ok := firewall.Used(hole); ok {
				t.Errorf("used by %v when it was closed before", by)
			}
		}},
		{"led on", func(t *testing.T, w World) {
			w.translate(t, firewall.Pinhole{From: Client, Via: Gate, To: Server, Life: time.Minute})
			w.translate(t, firewall.Pinhole{From: Client6, Via: Gate6, To: Server6, Life: time.Minute})
		}},
		{"led on as another", func(t *testing.T, w World) {
			w.translate(t, firewall.Pinhole{From: Client, Via: Gate, To: Server, As: netip.AddrPortFrom(Proxy, 0), Life: time.Minute})
		}},
		{"led on, closed", func(t *testing.T, w World) {
			if w.Unable {
				return // as the cases before say
			}
			p := firewall.Pinhole{From: Client, Via: Gate, To: Server, As: netip.AddrPortFrom(Proxy, 0), Life: time.Minute}
			hole, err := w.Open(t.Context(), p)
			if err != nil {
				t.Fatal(err)
			}
			w.refused(t, Other)
			if err := hole.Close(); err != nil {
				t.Error(err)
			}
			w.refused(t, Client)
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
				{From: Client, Via: Gate6, To: Server, Life: time.Minute},
				{From: Client, Via: Gate, To: Server, As: netip.AddrPortFrom(Client6, 0), Life: time.Minute},
				{From: Client, Via: netip.AddrPortFrom(Gate.Addr(), 0), To: Server, Life: time.Minute},
				{From: Client, To: Server, Life: time.Minute, Control: [2]firewall.Flow{{From: Gate}}},
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

// translate opens a pinhole that leads from one address to another, and tries
// it.
func (w World) translate(t *testing.T, p firewall.Pinhole) {
	t.Helper()
	hole, err := w.Open(t.Context(), p)
	if w.Unable {
		if !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("Open(%v): %v, want %v", p, err, errors.ErrUnsupported)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	w.try(t, p.From, p.Via, true)
	sees := p.From
	if p.As.IsValid() {
		sees = p.As.Addr()
	}
	if to, by := w.Came(); to != p.To || by.Addr() != sees {
		t.Errorf("%v: %v came to %v, want %v to %v", p, by, to, sees, p.To)
	}
	w.refused(t, p.From)
	if err := hole.Close(); err != nil {
		t.Error(err)
	}
}

// refused tries the gate when it is closed. That nobody listens there may show
// by a refusal or by silence.
func (w World) refused(t *testing.T, from netip.Addr) {
	t.Helper()
	gate := Gate
	if from.Is6() {
		gate = Gate6
	}
	if w.Connect(from, gate, false) {
		t.Errorf("%v to %v: connected, and nothing is open there", from, gate)
	}
}
