package doors

import (
	"net/netip"
	"sync"
	"time"

	"towpath/internal/roster"
)

// What wrong logins cost an address, as with package ftpserver: each further one
// within banFor twice the time, and the last one the door.
const (
	firstDelay = time.Second
	mostDelay  = 8 * time.Second // less than patience
	banAfter   = 20
	banFor     = 10 * time.Minute
	// mostFailing bounds how many addresses are remembered.
	mostFailing = 1 << 16
)

// failures counts the wrong logins of addresses. The zero value has seen none.
type failures struct {
	mu sync.Mutex
	by map[netip.Addr]*failure
}

type failure struct {
	wrong int
	until time.Time // when they are forgotten
}

// judge has login judge somebody from an address who has wrong logins left, and
// returns how long to wait with the answer, and whether he had any. One login is
// judged at a time, so that as many as come at once are not worth more.
func (f *failures) judge(from netip.Addr, login func() bool) (ok bool, wait time.Duration, banned bool) {
	from = roster.Client(from)
	f.mu.Lock()
	defer f.mu.Unlock()
	now := time.Now()
	x := f.by[from]
	if x != nil && now.After(x.until) {
		delete(f.by, from)
		x = nil
	}
	if x != nil && x.wrong >= banAfter {
		return false, 0, true
	}
	if login() {
		return true, 0, false
	}
	if x == nil {
		x = &failure{until: now.Add(banFor)}
		f.remember(from, x, now)
	}
	x.wrong++
	return false, min(firstDelay<<min(x.wrong-1, 8), mostDelay), false
}

func (f *failures) remember(from netip.Addr, x *failure, now time.Time) {
	if f.by == nil {
		f.by = map[netip.Addr]*failure{}
	}
	if len(f.by) >= mostFailing {
		for a, old := range f.by {
			if now.After(old.until) {
				delete(f.by, a)
			}
		}
	}
	if len(f.by) >= mostFailing { // whoever comes by so many is not held by what one costs
		clear(f.by)
	}
	f.by[from] = x
}
