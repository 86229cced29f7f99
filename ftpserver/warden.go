package ftpserver

import (
	"context"
	"errors"
	"os"
	"sync"
	"time"

	"towpath/internal/headway"
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
		t.seen, t.since, t.counted, t.last = n, now, now, word{}
		return
	}
	if t.patience <= 0 {
		return
	}
	t.ask(now)
	switch {
	case now.Sub(t.since) >= t.patience:
		t.strike(now, errStalled)
	case t.trickles():
		t.strike(now, errTooSlow)
	case t.direct && now.Sub(t.counted) >= t.patience:
		t.strike(now, nil)
	}
}

// word is what the kernel has said of a data connection, and when: how many bytes
// have been acknowledged by the client, or have come from him.
type word struct {
	at    time.Time
	bytes uint64
}

// ask asks the kernel whether something moves although the count stands still: on
// a line of 200 bytes per second a record of TLS takes longer than StallTimeout, and
// so does the part of a socket's buffer that must be free before it takes more. It
// is asked as soon as the count stands still, and then four times in t.patience.
func (t *transfer) ask(now time.Time) {
	fresh := t.last.at.IsZero()
	if t.wire == nil || !fresh && now.Sub(t.last.at) < t.patience/4 {
		return
	}
	said := word{at: now}
	if t.up {
		said.bytes = headway.Come(t.wire)
	} else {
		said.bytes = headway.Sent(t.wire)
	}
	if fresh {
		t.first, t.last = said, said
		return
	}
	if said.bytes != t.last.bytes {
		t.since = now
	}
	t.last = said
}

// trickles tells whether what moves beside the count is slower than MinRate, over a
// whole t.patience: who takes a byte now and then must not evade it.
func (t *transfer) trickles() bool {
	gone := t.last.at.Sub(t.first.at)
	if gone < t.patience {
		return false
	}
	n := t.last.bytes - t.first.bytes
	t.first = t.last
	return float64(n) < float64(t.session.set.MinRate)*gone.Seconds()
}

// strike interrupts the transfer. The kernel may have moved bytes that are not
// counted yet: whoever moves them looks, and either goes on or gives up.
func (t *transfer) strike(now time.Time, why error) {
	t.counted, t.struck, t.why = now, t.seen, why
	_ = t.conn.SetDeadline(past)
}

// named returns the cause of an error of the data connection: why the transfer was
// stopped, or why the warden interrupted it, if either did.
func (t *transfer) named(err error) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.cause != nil:
		return t.cause
	case t.why != nil && errors.Is(err, os.ErrDeadlineExceeded):
		return t.why
	default:
		return err
	}
}

// byKernel says that the kernel moves the bytes from now on.
func (t *transfer) byKernel() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.direct = true
}

// goOn takes an interruption back and answers true, if bytes have moved that the
// warden did not count, and nobody has stopped the transfer.
func (t *transfer) goOn() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.cause != nil || t.conn == nil || t.why != nil && t.moved.Load() == t.struck {
		return false
	}
	_ = t.conn.SetDeadline(time.Time{})
	return true
}
