// Package roster keeps the listeners and the sessions of a server, from the first
// that comes to the last that goes: it accepts connections, and when the server
// shall end, it takes no more and waits until all have gone.
//
// It knows no protocol, and ends no session itself. [Client] says whom an address
// is counted as by servers that bound their clients.
package roster

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Roster holds sessions of one kind. [New] makes one.
type Roster[S comparable] struct {
	draining atomic.Bool // set under mu
	crew     *crew

	mu        sync.Mutex
	listeners map[net.Listener]struct{}
	sessions  map[S]struct{}
	idle      sync.Cond // signalled when a session or a listener ends
}

// New returns a roster of nobody.
func New[S comparable]() *Roster[S] {
	r := &Roster[S]{crew: newCrew(), listeners: map[net.Listener]struct{}{}, sessions: map[S]struct{}{}}
	r.idle.L = &r.mu
	return r
}

// Accept gives each connection that comes to l to take, which must not wait. It
// closes l. The error is nil if the roster drains or ctx has ended, and
// [net.ErrClosed] if somebody else has closed l. Log is told of what went wrong
// and may pass.
func (r *Roster[S]) Accept(ctx context.Context, l net.Listener, log func() *slog.Logger, take func(net.Conn)) error {
	if !r.open(l) {
		return l.Close()
	}
	defer r.shut(l)
	var pause time.Duration
	for {
		conn, err := l.Accept()
		if err == nil {
			pause = 0
			take(conn)
			continue
		}
		if r.draining.Load() {
			return nil
		}
		if errors.Is(err, net.ErrClosed) {
			return err
		}
		// Out of descriptors, or a client gone before it was taken: others
		// will end, so wait a little and go on.
		pause = min(max(2*pause, 5*time.Millisecond), time.Second)
		log().Error("cannot take a connection", "err", err, "pause", pause)
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return nil
		}
	}
}

func (r *Roster[S]) open(l net.Listener) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.draining.Load() {
		return false
	}
	r.listeners[l] = struct{}{}
	return true
}

func (r *Roster[S]) shut(l net.Listener) {
	_ = l.Close() // nobody listens any more
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.listeners, l)
	r.idle.Broadcast()
}

// Run has run go on in a goroutine of its own, and keeps s until it ends. It
// answers false, and runs nothing, if the roster drains.
func (r *Roster[S]) Run(s S, run func()) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.draining.Load() {
		return false
	}
	r.sessions[s] = struct{}{}
	r.crew.do(func() {
		defer func() {
			r.mu.Lock()
			defer r.mu.Unlock()
			delete(r.sessions, s)
			r.idle.Broadcast()
		}()
		run()
	})
	return true
}

// Go has f run in one more goroutine for a session.
func (r *Roster[S]) Go(f func()) { r.crew.do(f) }

// Drain closes the listeners, and returns the sessions that there are. None are
// taken any more.
func (r *Roster[S]) Drain() []S {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.draining.Store(true)
	r.crew.leave()
	for l := range r.listeners {
		_ = l.Close() // nobody will come
	}
	return slices.Collect(maps.Keys(r.sessions))
}

// Draining says whether Drain was called.
func (r *Roster[S]) Draining() bool { return r.draining.Load() }

// Wait returns when the last listener and the last session have gone.
func (r *Roster[S]) Wait() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for len(r.sessions)+len(r.listeners) > 0 {
		r.idle.Wait()
	}
}

// Sessions are those that are there, in no order.
func (r *Roster[S]) Sessions() []S {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Collect(maps.Keys(r.sessions))
}

// Len is how many sessions there are.
func (r *Roster[S]) Len() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.sessions)
}

// ListensAt says whether one of the addresses of the listeners is such.
func (r *Roster[S]) ListensAt(such func(net.Addr) bool) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for l := range r.listeners {
		if such(l.Addr()) {
			return true
		}
	}
	return false
}
