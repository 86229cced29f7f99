package ftpserver

import (
	"context"
	"sync"
	"time"
)

// warden looks at all running transfers every now and then: it sends somebody
// to listen on the control connection when one takes long, and interrupts one
// that has stalled.
//
// A timer for each transfer would say the same, but arming one wakes a sleeping
// processor, and costs a small file a tenth of its time. For the same reason the
// warden ticks on, slowly, when there is nothing to watch: the runtime wakes
// nobody for the time-out of a session if it will look sooner anyway.
type warden struct {
	mu      sync.Mutex
	watched map[*transfer]struct{}
	tick    *time.Ticker
	quick   bool // it ticks every attendAfter
}

const (
	// wardenRest is how long the warden stays quick with nothing to watch, so
	// that a session of many small files wakes it once.
	wardenRest = time.Second
	slowTick   = time.Second
)

func newWarden() *warden {
	return &warden{watched: map[*transfer]struct{}{}, tick: time.NewTicker(slowTick)}
}

func (w *warden) watch(t *transfer) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.watched[t] = struct{}{}
	if !w.quick {
		w.quick = true
		w.tick.Reset(attendAfter)
	}
}

func (w *warden) leave(t *transfer) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.watched, t)
}

// run works until ctx, the server's, ends; all transfers end by it too.
func (w *warden) run(ctx context.Context) {
	defer w.tick.Stop()
	var last time.Time // when there was something to watch
	for {
		select {
		case <-w.tick.C:
		case <-ctx.Done():
			return
		}
		now := time.Now()
		w.mu.Lock()
		for t := range w.watched {
			t.look(now)
			last = now
		}
		if w.quick && now.Sub(last) > wardenRest {
			w.quick = false
			w.tick.Reset(slowTick)
		}
		w.mu.Unlock()
	}
}

// look is what the warden does with one transfer.
func (t *transfer) look(now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.over {
		return
	}
	if t.attended == nil && now.Sub(t.began) >= attendAfter {
		t.attended = make(chan struct{})
		go t.session.attend(t)
	}
	if n := t.moved.Load(); n != t.seen || t.conn == nil {
		t.seen, t.since = n, now
		return
	}
	if t.patience > 0 && now.Sub(t.since) >= t.patience {
		// The kernel may have moved bytes that are not counted yet: whoever
		// moves them looks, and either goes on or gives up.
		t.since, t.struck = now, t.seen
		_ = t.conn.SetDeadline(past)
	}
}

// goOn takes an interruption back and answers true, if bytes have moved that the
// warden did not see, and nobody has stopped the transfer.
func (t *transfer) goOn() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.cause != nil || t.conn == nil || t.moved.Load() == t.struck {
		return false
	}
	_ = t.conn.SetDeadline(time.Time{})
	return true
}
