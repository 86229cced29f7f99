package roster

import (
	"sync"
	"sync/atomic"
)

// crew has work done by goroutines that are kept for more: a session needs a
// stack of 8 KiB, and to grow one each time took a twentieth of a short session.
type crew struct {
	work    chan func() // to those who rest
	home    chan struct{}
	leave   func()
	resting atomic.Int32
}

// mostResting is how many are kept.
const mostResting = 64

func newCrew() *crew {
	c := &crew{work: make(chan func()), home: make(chan struct{})}
	c.leave = sync.OnceFunc(func() { close(c.home) })
	return c
}

// do has f done in a goroutine of its own, at once.
func (c *crew) do(f func()) {
	select {
	case c.work <- f:
	default:
		go c.toil(f)
	}
}

func (c *crew) toil(f func()) {
	for f != nil {
		f()
		f = c.rest()
	}
}

// rest waits for more to do; nil is to leave.
func (c *crew) rest() func() {
	defer c.resting.Add(-1)
	if c.resting.Add(1) > mostResting {
		return nil
	}
	select {
	case f := <-c.work:
		return f
	case <-c.home:
		return nil
	}
}
