package doors

import (
	"net/netip"
	"testing"
	"testing/synctest"
	"time"
)

// Wrong logins cost more and more, then all logins of the address are refused, the
// right one too, and in the end they are forgotten.
func TestFailures(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var f failures
		one, near, far := netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("2001:db8::2"), netip.MustParseAddr("2001:db8:0:1::1")
		yes, no := func() bool { return true }, func() bool { return false }
		var waits []time.Duration
		for range banAfter {
			ok, wait, banned := f.judge(one, no)
			if ok || banned {
				t.Fatalf("ok %t, banned %t behind %d", ok, banned, len(waits))
			}
			waits = append(waits, wait)
		}
		if waits[0] != time.Second || waits[1] != 2*time.Second || waits[banAfter-1] != mostDelay {
			t.Errorf("they cost %v", waits)
		}
		if ok, _, banned := f.judge(near, yes); ok || !banned {
			t.Error("the right login of one who is banned was judged")
		}
		if ok, wait, _ := f.judge(far, yes); !ok || wait != 0 {
			t.Error("another customer pays for it")
		}
		time.Sleep(banFor + time.Second)
		if ok, _, banned := f.judge(near, yes); !ok || banned {
			t.Error("it is never forgotten")
		}
		for i := range uint32(mostFailing + 10) { // as many as there are addresses
			f.judge(netip.AddrFrom4([4]byte{byte(i >> 24), byte(i >> 16), byte(i >> 8), byte(i)}), no)
		}
		if len(f.by) > mostFailing {
			t.Errorf("%d addresses are remembered", len(f.by))
		}
	})
}
