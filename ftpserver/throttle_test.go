package ftpserver

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPace(10)
		for i := range 101 { // ten seconds' worth, and the one that tips it
			if d := p.delay(); d != 0 {
				t.Fatalf("command %d waits %v", i, d)
			}
		}
		if d := p.delay(); d != 100*time.Millisecond {
			t.Errorf("first command over the burst waits %v, want 100ms", d)
		}
		time.Sleep(time.Hour)
		if d := p.delay(); d != 0 {
			t.Errorf("after an hour of silence: %v", d)
		}
		for range 1000 { // an hour of silence buys no more than the burst
			p.delay()
		}
		if d := p.delay(); d < 89*time.Second || d > 91*time.Second {
			t.Errorf("1,001 commands over a burst of 100 at 10/s wait %v, want 90s", d)
		}
	})
	for _, rate := range []int{0, -1} {
		if d := newPace(rate).delay(); d != 0 {
			t.Errorf("rate %d: %v", rate, d)
		}
	}
}

// A transfer that does as it is told takes the time that its rate says.
func TestThrottle(t *testing.T) {
	for _, rate := range []int64{100, 10_000, 1 << 20, 10 << 30} {
		synctest.Test(t, func(t *testing.T) {
			th, start := newThrottle(rate), time.Now()
			total := rate * 10
			for left := total; left > 0; {
				n, wait := th.grant(int(min(left, 256<<10)))
				if n < 1 || int64(n) > left {
					t.Fatalf("granted %d of %d", n, left)
				}
				time.Sleep(wait)
				moved := max(1, n/2)
				th.refund(n - moved)
				left -= int64(moved)
			}
			if took := time.Since(start); took < 8*time.Second || took > 10*time.Second+time.Second/10 {
				t.Errorf("rate %d: %d bytes took %v, want 10s less the last chunk", rate, total, took)
			}
		})
	}
	if n, wait := newThrottle(0).grant(123); n != 123 || wait != 0 {
		t.Errorf("no limit: %d after %v", n, wait)
	}
	newThrottle(-1).refund(1)
}

func BenchmarkThrottle(b *testing.B) {
	th := newThrottle(1 << 40)
	for b.Loop() {
		th.grant(1 << 10)
	}
}
