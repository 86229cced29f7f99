package ftpserver

import (
	"math"
	"time"
)

// bucket is a token bucket kept as a point in time (the generic cell rate
// algorithm): due is when all that was asked for so far is paid for at the
// given rate. Nobody waits who is ahead of that by less than burst. It belongs
// to one goroutine.
type bucket struct {
	rate  float64 // units per second
	burst time.Duration
	due   time.Time
}

// spend takes n units and says how long to wait before they may be used.
func (b *bucket) spend(n int) time.Duration {
	now := time.Now()
	if b.due.Before(now) {
		b.due = now
	}
	wait := b.due.Sub(now) - b.burst
	b.due = b.due.Add(b.cost(n))
	return max(0, wait)
}

func (b *bucket) cost(n int) time.Duration {
	d := float64(n) / b.rate * float64(time.Second)
	return time.Duration(min(d, math.MaxInt64/4))
}

// pace limits the commands of a session. Nil limits nothing.
type pace bucket

// newPace allows perSecond commands on average and ten times as many at once.
// It is nil for a negative rate and for 0.
func newPace(perSecond int) *pace {
	if perSecond <= 0 {
		return nil
	}
	return &pace{rate: float64(perSecond), burst: 10 * time.Second}
}

// delay counts a command and says how long to wait before it is run.
func (p *pace) delay() time.Duration {
	if p == nil {
		return 0
	}
	return (*bucket)(p).spend(1)
}

// throttle limits the bytes of the transfers of a session, one transfer at a
// time. Nil limits nothing. It does not wrap readers: a transfer asks for
// leave, waits, moves the bytes by whatever means, and asks again.
//
//	for {
//		n, wait := t.grant(len(buf))
//		// wait, then move at most n bytes
//		t.refund(n - moved)
//	}
type throttle struct {
	bucket
	chunk int
}

// Chunks last about a tenth of a second, so that a slow transfer flows instead
// of jumping, and are never so small that system calls cost more than bytes.
const (
	chunksPerSecond = 10
	minChunk        = 1 << 10
)

// newThrottle allows perSecond bytes. It is nil for a rate of 0 or less.
func newThrottle(perSecond int64) *throttle {
	if perSecond <= 0 {
		return nil
	}
	chunk := min(max(perSecond/chunksPerSecond, minChunk), math.MaxInt32)
	return &throttle{bucket{rate: float64(perSecond)}, int(chunk)}
}

// grant says how many of n bytes may be moved after how long a wait: at least
// one if n is not 0, never more than n.
func (t *throttle) grant(n int) (allowed int, wait time.Duration) {
	if t == nil || n <= 0 {
		return n, 0
	}
	allowed = min(n, t.chunk)
	return allowed, t.spend(allowed)
}

// refund gives back n granted bytes that were not moved.
func (t *throttle) refund(n int) {
	if t == nil || n <= 0 {
		return
	}
	t.due = t.due.Add(-t.cost(n))
}
