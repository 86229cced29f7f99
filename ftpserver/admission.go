package ftpserver

import (
	"container/list"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"towpath/internal/roster"
)

// maxRemembered bounds the addresses whose failed logins are remembered. When
// more fail, those whose last failure is longest ago are forgotten: a flood
// of addresses costs a few MiB, not the memory of the machine.
const maxRemembered = 16384

// streakFor is how long failures are remembered for the growth of delays where
// nothing else says it.
const streakFor = 10 * time.Minute

// admission decides who may open a session, and what a failed login costs. It
// counts by client address; of IPv6 by /64, since that is what one client has.
// It never waits and is safe for concurrent use.
type admission struct {
	maxSessions, maxPerAddress int
	portsOnly                  bool // maxSessions comes of the passive ports
	delay, maxDelay            time.Duration
	banAfter                   int
	banFor                     time.Duration

	mu       sync.Mutex
	sessions int
	per      map[netip.Addr]int
	failures map[netip.Addr]*list.Element // of *failures
	recent   list.List                    // last failure first
}

// failures are the failed logins of one address.
type failures struct {
	addr   netip.Addr
	times  []time.Time // within banFor (or streakFor), oldest first, bounded
	streak int         // since the last success
	ready  time.Time   // when the delays imposed so far are over
	banned time.Time   // until when
}

// newAdmission takes its limits from o, whose defaults are filled in.
//
// A passive range that is named bounds the sessions too: with more sessions
// than ports a client might be let in and then be unable to move a byte. The
// ports of the default range are many enough for anybody.
func newAdmission(o *Options) *admission {
	a := &admission{
		maxSessions:   o.MaxSessions,
		maxPerAddress: o.MaxPerAddress,
		delay:         max(0, o.FailureDelay),
		maxDelay:      max(0, o.FailureDelay, o.MaxFailureDelay),
		banAfter:      o.BanAfter,
		banFor:        o.BanFor,
		per:           map[netip.Addr]int{},
		failures:      map[netip.Addr]*list.Element{},
	}
	if r := o.PassivePorts; r != (PortRange{}) && !o.NoPassive {
		if n := int(r.High) - int(r.Low) + 1; n < a.maxSessions {
			a.maxSessions, a.portsOnly = n, true
		}
	}
	return a
}

// enter admits a session of peer, or says in refusal why not, in words for a
// 421. Who is admitted must call leave once; more calls do nothing.
func (a *admission) enter(peer netip.Addr) (leave func(), refusal string) {
	addr := roster.Client(peer)
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case a.isBanned(addr):
		return nil, "Too many failed logins from your address, try again later."
	case a.sessions >= a.maxSessions && a.portsOnly:
		return nil, fmt.Sprintf("Too many sessions: all %d passive ports may be needed, try again later.", a.maxSessions)
	case a.sessions >= a.maxSessions:
		return nil, fmt.Sprintf("Too many sessions (%d), try again later.", a.maxSessions)
	case a.maxPerAddress > 0 && a.per[addr] >= a.maxPerAddress:
		return nil, fmt.Sprintf("Too many sessions from your address (%d).", a.maxPerAddress)
	}
	a.sessions++
	a.per[addr]++
	return sync.OnceFunc(func() { a.leave(addr) }), ""
}

func (a *admission) leave(addr netip.Addr) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.sessions--
	if a.per[addr]--; a.per[addr] == 0 {
		delete(a.per, addr)
	}
}

// banned tells whether peer has failed too often to try any more.
func (a *admission) banned(peer netip.Addr) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.isBanned(roster.Client(peer))
}

func (a *admission) isBanned(addr netip.Addr) bool {
	e := a.failures[addr]
	return e != nil && time.Now().Before(e.Value.(*failures).banned)
}

// failed counts a failed login of peer and says how long to wait before it is
// answered. The delay belongs to the address: it doubles with each failure in
// a row, and sessions that fail at the same time wait one behind the other, so
// that a hundred sessions guess no faster than one.
func (a *admission) failed(peer netip.Addr) (delay time.Duration) {
	addr, now := roster.Client(peer), time.Now()
	a.mu.Lock()
	defer a.mu.Unlock()
	f := a.remember(addr)
	span := a.banFor
	if span <= 0 {
		span = streakFor // nobody is banned, and the delays grow all the same
	}
	f.forget(now.Add(-span))
	if len(f.times) == 0 {
		f.streak = 0
	}
	if n := max(a.banAfter, 1); len(f.times) >= n {
		f.times = append(f.times[:0], f.times[len(f.times)-n+1:]...)
	}
	f.times = append(f.times, now)
	if a.banAfter > 0 && a.banFor > 0 && len(f.times) >= a.banAfter {
		f.banned = now.Add(a.banFor)
	}
	f.streak++
	if f.ready.Before(now) {
		f.ready = now
	}
	f.ready = f.ready.Add(a.step(f.streak))
	return f.ready.Sub(now)
}

// step is the delay for the n-th failure in a row.
func (a *admission) step(n int) time.Duration {
	d := a.delay
	for ; n > 1 && d < a.maxDelay; n-- {
		d *= 2
	}
	return min(d, a.maxDelay)
}

// succeeded ends the growth of the delay for peer. It does not take back what
// counts towards a ban, or whoever has one account could guess at the others.
func (a *admission) succeeded(peer netip.Addr) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if e := a.failures[roster.Client(peer)]; e != nil {
		e.Value.(*failures).streak = 0
	}
}

// remember returns the failures of addr, as those of the latest to fail.
func (a *admission) remember(addr netip.Addr) *failures {
	if e := a.failures[addr]; e != nil {
		a.recent.MoveToFront(e)
		return e.Value.(*failures)
	}
	if a.recent.Len() >= maxRemembered {
		oldest := a.recent.Remove(a.recent.Back()).(*failures)
		delete(a.failures, oldest.addr)
	}
	f := &failures{addr: addr}
	a.failures[addr] = a.recent.PushFront(f)
	return f
}

// forget drops the failures that are not after t.
func (f *failures) forget(t time.Time) {
	n := 0
	for n < len(f.times) && !f.times[n].After(t) {
		n++
	}
	f.times = append(f.times[:0], f.times[n:]...)
}
