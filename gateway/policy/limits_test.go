package policy

import (
	"errors"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/time/rate"

	"towpath/internal/jump"
)

func TestMeter(t *testing.T) {
	t.Parallel()
	var m Meter
	m.Set(Limits{Sessions: 3, PerClient: 2, PerUser: 1})
	a, b := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("::ffff:192.0.2.2")
	enter := func(from netip.Addr, ok bool) func() {
		t.Helper()
		leave, err := m.Enter(from)
		if (err == nil) != ok {
			t.Fatalf("%v: %v", from, err)
		}
		return leave
	}
	leaveA := enter(a, true)
	enter(a, true)
	enter(a, false)
	enter(b, true)
	enter(netip.MustParseAddr("192.0.2.3"), false) // three in all
	leaveA()
	leaveA() // twice gives back one place
	enter(a, true)
	enter(a, false)
	if n := m.Sessions(); n != 3 {
		t.Errorf("%d sessions, want 3", n)
	}

	leave, pace, err := m.User("anna")
	if err != nil || pace != nil {
		t.Fatal(pace, err)
	}
	_, _, err = m.User("anna")
	if full, ok := errors.AsType[*Full](err); !ok || full.Most != 1 {
		t.Errorf("a second session of anna: %v", err)
	}
	leave()
	if _, _, err := m.User("anna"); err != nil {
		t.Error(err)
	}
}

// One customer has a whole /64.
func TestMeterCountsNetworks(t *testing.T) {
	t.Parallel()
	var m Meter
	m.Set(Limits{PerClient: 1})
	for _, tt := range []struct {
		addr string
		ok   bool
	}{{"2001:db8::1", true}, {"2001:db8::ffff:2", false}, {"2001:db8:0:1::1", true}} {
		if _, err := m.Enter(netip.MustParseAddr(tt.addr)); (err == nil) != tt.ok {
			t.Errorf("%s: %v", tt.addr, err)
		}
	}
}

func TestLoginsPerMinute(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var m Meter
		m.Set(Limits{LoginsPerMinute: 2})
		a := netip.MustParseAddr("192.0.2.1")
		for i, ok := range []bool{true, true, false} {
			if err := m.Login(a); (err == nil) != ok {
				t.Errorf("login %d: %v", i, err)
			}
		}
		if err := m.Login(netip.MustParseAddr("192.0.2.2")); err != nil {
			t.Error(err)
		}
		time.Sleep(30 * time.Second)
		for i, ok := range []bool{true, false} {
			if err := m.Login(a); (err == nil) != ok {
				t.Errorf("login %d half a minute later: %v", i, err)
			}
		}
	})
}

func TestPace(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var m Meter
		m.Set(Limits{Rate: 1 << 20, UserRate: 1 << 20})
		_, first, _ := m.User("anna")
		_, second, _ := m.User("anna")
		began := time.Now()
		done := make(chan error)
		for _, p := range []Pace{first, second} {
			go func() {
				for range 64 {
					if err := p.Wait(t.Context(), 64<<10); err != nil {
						done <- err
						return
					}
				}
				done <- nil
			}()
		}
		for range 2 {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
		// 8 MiB for one user with 1 MiB/s, a tenth of a second of it at once.
		if d := time.Since(began); d < 7800*time.Millisecond || d > 8*time.Second {
			t.Errorf("8 MiB took %v", d)
		}
	})
}

// Somebody sets the clock: no pace stalls by that, and nothing is given for it.
func TestPaceIsMeasured(t *testing.T) {
	t.Parallel()
	const second = 1 << 20
	for _, by := range []time.Duration{24 * time.Hour, -24 * time.Hour} {
		l := rate.NewLimiter(rate.Inf, 0)
		tune(l, second)
		now := time.Now()
		for l.AllowN(now, l.Burst()) {
			now = now.Add(time.Millisecond) // until what may come at once is used up
		}
		later := jump.Of(now, by)
		if wait := l.ReserveN(later, l.Burst()).DelayFrom(later); wait <= 0 || wait > time.Second {
			t.Errorf("clock set by %v: a tenth of a second's bytes wait for %v", by, wait)
		}
	}
}
