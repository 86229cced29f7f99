package firewall

import (
	"fmt"
	"net/netip"
	"sync"
	"time"
)

// holes are the pinholes that are open in one plane. How the kernel is told of
// one differs from plane to plane; how long it is open, and how it ends, do not.
type holes struct {
	mu     sync.Mutex // one request to the kernel at a time
	open   map[holeKey]*life
	bell   bell // for the first of them whose time is over
	closed bool
}

// holeKey is what one pinhole at a time can have.
type holeKey struct {
	from netip.Addr
	to   netip.AddrPort
}

// life is what all open pinholes have. The lock of the holes it is among guards it.
type life struct {
	among    *holes
	key      holeKey
	until    time.Time
	used     bool
	withdraw func() error // takes it out of the kernel
}

// grace is how much longer than the life of a pinhole the kernel keeps it, if
// nobody takes it away: so what is gone before has been used.
const grace = time.Second

func newHoles() holes { return holes{open: map[holeKey]*life{}} }

// vacate takes back the pinhole that has the key, if there is one. The caller
// holds the lock, as that of keep and take does.
func (s *holes) vacate(key holeKey) error {
	if old := s.open[key]; old != nil {
		return old.take()
	}
	return nil
}

// keep has l, which is open, last for d.
func (s *holes) keep(l *life, d time.Duration) {
	l.until = time.Now().Add(d)
	s.open[l.key] = l
	s.bell.by(l.until, s.expire)
}

// expire takes back what nobody has come for.
func (s *holes) expire() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	now := s.bell.struck()
	for _, l := range s.open {
		if now.Before(l.until) {
			s.bell.by(l.until, s.expire)
		} else {
			_ = l.take() // else the kernel does it
		}
	}
}

// take takes it back.
func (l *life) take() error {
	delete(l.among.open, l.key)
	return l.withdraw()
}

// gone takes note that the kernel has it no more, before anybody took it back.
func (l *life) gone() { l.used = l.used || time.Now().Before(l.until.Add(grace)) }

// waits says that it is open and may not have been used yet.
func (l *life) waits() bool { return !l.among.closed && l.among.open[l.key] == l && !l.used }

// Close takes the pinhole back if it has not been used.
func (l *life) Close() error {
	l.among.mu.Lock()
	defer l.among.mu.Unlock()
	if l.among.closed || l.among.open[l.key] != l { // closed before, or opened anew
		return nil
	}
	if err := l.take(); err != nil {
		return fmt.Errorf("closing a pinhole: %w", err)
	}
	return nil
}

// bell is one timer for all pinholes of a plane. Each having its own would wake
// a sleeping processor each time one is opened, and nearly all are closed before
// they strike. The lock of the plane is held whenever a bell is touched.
type bell struct {
	timer *time.Timer
	next  time.Time // when it strikes, zero if it does not
}

// by has strike called when it is t, or earlier.
func (b *bell) by(t time.Time, strike func()) {
	switch {
	case !b.next.IsZero() && !t.Before(b.next):
		return
	case b.timer == nil:
		b.timer = time.AfterFunc(time.Until(t), strike)
	default:
		b.timer.Reset(time.Until(t))
	}
	b.next = t
}

// struck takes note that it has, and says what time it is.
func (b *bell) struck() time.Time {
	b.next = time.Time{}
	return time.Now()
}

func (b *bell) stop() {
	if b.timer != nil {
		b.timer.Stop()
	}
}
