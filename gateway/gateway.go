package gateway

import (
	"context"
	"errors"
	"maps"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"towpath/ftp"
	"towpath/internal/ports"
)

// ErrClosed is what Serve answers after Shutdown or Close.
var ErrClosed = errors.New("gateway: closed")

// Gateway relays the sessions of any number of listeners.
type Gateway struct {
	settings atomic.Pointer[settings]
	counters counters

	// ctx ends when sessions must end at once.
	ctx    context.Context
	cancel context.CancelFunc

	lastID   atomic.Uint64
	draining atomic.Bool // set under mu

	mu        sync.Mutex
	listeners map[net.Listener]struct{}
	sessions  map[*session]struct{}
	dialled   map[netip.AddrPort]netip.AddrPort // our ends of connections to servers, and theirs
	idle      sync.Cond                         // signalled when a session or a listener ends
}

// settings are Options and what is made of them. A session keeps those that it
// began with.
type settings struct {
	Options
	ports *ports.Pool
}

// New returns a gateway, or says what is wrong with the options.
func New(o Options) (*Gateway, error) {
	o, err := o.check()
	if err != nil {
		return nil, err
	}
	g := &Gateway{listeners: map[net.Listener]struct{}{}, sessions: map[*session]struct{}{}, dialled: map[netip.AddrPort]netip.AddrPort{}}
	g.idle.L = &g.mu
	g.ctx, g.cancel = context.WithCancel(context.Background())
	g.settings.Store(&settings{Options: o, ports: ports.New(ports.Range(o.Ports))})
	return g, nil
}

// Reload makes o count for the sessions that begin from now on. When o is not
// good it says why, and nothing changes.
func (g *Gateway) Reload(o Options) error {
	o, err := o.check()
	if err != nil {
		return err
	}
	old := g.settings.Load()
	pool := old.ports
	if o.Ports != old.Ports {
		pool = ports.New(ports.Range(o.Ports))
	}
	g.settings.Store(&settings{Options: o, ports: pool})
	return nil
}

// Serve takes control connections from l until Shutdown or Close, and closes l.
// A listener of package gateway/doors hands out connections that know more of
// their client than their two ends.
func (g *Gateway) Serve(l net.Listener) error { return g.serve(l, false) }

// ServeTLS takes control connections that begin with a TLS handshake (implicit
// FTPS, classically port 990).
func (g *Gateway) ServeTLS(l net.Listener) error {
	if g.settings.Load().TLS == nil {
		_ = l.Close()
		return errors.New("gateway: ServeTLS needs Options.TLS")
	}
	return g.serve(l, true)
}

func (g *Gateway) serve(l net.Listener, implicit bool) error {
	g.mu.Lock()
	if g.draining.Load() {
		g.mu.Unlock()
		_ = l.Close()
		return ErrClosed
	}
	g.listeners[l] = struct{}{}
	g.mu.Unlock()
	defer func() {
		_ = l.Close()
		g.mu.Lock()
		delete(g.listeners, l)
		g.idle.Broadcast()
		g.mu.Unlock()
	}()
	var pause time.Duration
	for {
		conn, err := l.Accept()
		if err == nil {
			pause = 0
			g.admit(conn, implicit)
			continue
		}
		if g.draining.Load() {
			return ErrClosed
		}
		if errors.Is(err, net.ErrClosed) {
			return err
		}
		// Out of descriptors, or a client gone before it was taken: others
		// will end, so wait a little and go on.
		pause = min(max(2*pause, 5*time.Millisecond), time.Second)
		g.settings.Load().Log.Error("cannot take a connection", "err", err, "pause", pause)
		select {
		case <-time.After(pause):
		case <-g.ctx.Done():
			return ErrClosed
		}
	}
}

// admit begins a session. It never waits.
func (g *Gateway) admit(conn net.Conn, implicit bool) {
	s := newSession(g, g.settings.Load(), conn)
	g.mu.Lock()
	if g.draining.Load() {
		g.mu.Unlock()
		_ = conn.Close()
		return
	}
	g.sessions[s] = struct{}{}
	g.mu.Unlock()
	go func() {
		defer func() {
			g.mu.Lock()
			delete(g.sessions, s)
			g.idle.Broadcast()
			g.mu.Unlock()
		}()
		s.serve(implicit)
	}()
}

// turnAway says 421 to a client that gets no session.
func turnAway(conn net.Conn, implicit bool, why string) {
	if !implicit {
		_ = conn.SetWriteDeadline(time.Now().Add(time.Second))
		_, _ = conn.Write(ftp.NewReply(421, why).AppendTo(nil)) // it is being turned away
	}
	_ = conn.Close()
}

// Shutdown stops listening at once, ends sessions as soon as nothing is under
// way in them, and returns when all have ended. When ctx ends first the rest is
// cut off, and Shutdown returns ctx's error.
func (g *Gateway) Shutdown(ctx context.Context) error {
	g.drain()
	defer context.AfterFunc(ctx, g.cut)()
	g.wait()
	g.cancel()
	return ctx.Err()
}

// Close stops listening and cuts all sessions off.
func (g *Gateway) Close() error {
	g.drain()
	g.cut()
	g.wait()
	return nil
}

func (g *Gateway) wait() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for len(g.sessions)+len(g.listeners) > 0 {
		g.idle.Wait()
	}
}

func (g *Gateway) drain() {
	g.mu.Lock()
	g.draining.Store(true)
	for l := range g.listeners {
		_ = l.Close()
	}
	g.mu.Unlock()
	for _, s := range g.snapshot() {
		s.drain()
	}
}

func (g *Gateway) cut() {
	g.cancel()
	for _, s := range g.snapshot() {
		s.cut(errShutDown)
	}
}

func (g *Gateway) snapshot() []*session {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Collect(maps.Keys(g.sessions))
}

// Records are the accounts of the sessions that run, as far as they have got,
// the oldest first.
func (g *Gateway) Records() []*Record {
	var all []*Record
	for _, s := range g.snapshot() {
		all = append(all, s.account())
	}
	slices.SortFunc(all, func(a, b *Record) int { return int(a.Session) - int(b.Session) })
	return all
}

type counters struct {
	sessions, refused, commands, replies, denied atomic.Uint64
	kernel, user, translated, failed, up, down   atomic.Uint64
	blind, alarms                                atomic.Uint64
}

// Stats returns the counters as they are now.
func (g *Gateway) Stats() Stats {
	g.mu.Lock()
	active := len(g.sessions)
	g.mu.Unlock()
	c, p := &g.counters, g.settings.Load().ports.Stats()
	return Stats{
		Sessions: c.sessions.Load(), Refused: c.refused.Load(), Active: active,
		Commands: c.commands.Load(), Replies: c.replies.Load(), Denied: c.denied.Load(),
		Kernel: c.kernel.Load(), User: c.user.Load(), Translated: c.translated.Load(), Failed: c.failed.Load(),
		Strangers: p.Strangers, Up: c.up.Load(), Down: c.down.Load(),
		Blind: c.blind.Load(), Alarms: c.alarms.Load(), Open: p.Used,
	}
}
