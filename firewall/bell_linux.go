package firewall

import "time"

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
