package ftpclient

import (
	"context"
	"sync"
	"time"
)

// calm keeps the sessions of a pool from dialling a server all at once that has
// just turned one of them away, or is not there. While it is in trouble one of
// them tries, after a wait that grows, and the others share what comes of it.
//
//	        a fault                  after Backoff(n)
//	well ------------> trouble ----------------------> one tries
//	 ^                    ^ n+1          a fault          |
//	 |                    +-------------------------------+
//	 +----------------------------------------------------+
type calm struct {
	backoff func(n int) time.Duration

	mu     sync.Mutex
	faults int // in a row
	until  time.Time
	trying *trial // nil when nobody does
}

// trial is one attempt of one for all.
type trial struct {
	done chan struct{}
	err  error // once done is closed
}

// dial calls f, or waits for who does. Only a fault that may pass is one of the
// server's, see [passing].
func (k *calm) dial(ctx context.Context, f func() error) error {
	for {
		k.mu.Lock()
		switch t := k.trying; {
		case k.faults == 0:
			k.mu.Unlock()
			err := f()
			k.mu.Lock()
			k.note(err)
			k.mu.Unlock()
			return err
		case t == nil:
			t = &trial{done: make(chan struct{})}
			k.trying = t
			wait := time.Until(k.until)
			k.mu.Unlock()
			if t.err = sleep(ctx, wait); t.err == nil {
				t.err = f()
			}
			k.mu.Lock()
			k.note(t.err)
			k.trying = nil
			k.mu.Unlock()
			close(t.done)
			return t.err
		default:
			k.mu.Unlock()
			select {
			case <-t.done:
				if t.err != nil && passing(t.err) {
					return t.err
				}
				// It came through, or gave up for reasons of its own.
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	}
}

// note remembers what came of an attempt.
func (k *calm) note(err error) {
	switch {
	case err == nil:
		k.faults = 0
	case passing(err) && !time.Now().Before(k.until): // those that failed together count once
		k.faults++
		k.until = time.Now().Add(k.backoff(k.faults))
	}
}

// sleep waits for d.
func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
