package gateway

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"towpath/ftp"
	"towpath/internal/ports"
	"towpath/internal/roster"
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

	lastID atomic.Uint64
	roster *roster.Roster[*session]

	mu      sync.Mutex
	dialled map[netip.AddrPort]netip.AddrPort // our ends of connections to servers, and theirs
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
	g := &Gateway{roster: roster.New[*session](), dialled: map[netip.AddrPort]netip.AddrPort{}}
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
	log := func() *slog.Logger { return g.settings.Load().Log }
	err := g.roster.Accept(g.ctx, l, log, func(conn net.Conn) { g.admit(conn, implicit) })
	if err == nil {
		err = ErrClosed
	}
	return err
}

// admit begins a session. It never waits.
func (g *Gateway) admit(conn net.Conn, implicit bool) {
	s := newSession(g, g.settings.Load(), conn)
	if !g.roster.Run(s, func() { s.serve(implicit) }) {
		_ = conn.Close() // we are leaving
	}
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
	g.roster.Wait()
	g.cancel()
	return ctx.Err()
}

// Close stops listening and cuts all sessions off.
func (g *Gateway) Close() error {
	g.drain()
	g.cut()
	g.roster.Wait()
	return nil
}

func (g *Gateway) drain() {
	for _, s := range g.roster.Drain() {
		s.drain()
	}
}

func (g *Gateway) cut() {
	g.cancel()
	for _, s := range g.roster.Sessions() {
		s.cut(errShutDown)
	}
}

// Records are the accounts of the sessions that run, as far as they have got,
// the oldest first.
func (g *Gateway) Records() []*Record {
	var all []*Record
	for _, s := range g.roster.Sessions() {
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
	c, p := &g.counters, g.settings.Load().ports.Stats()
	return Stats{
		Sessions: c.sessions.Load(), Refused: c.refused.Load(), Active: g.roster.Len(),
		Commands: c.commands.Load(), Replies: c.replies.Load(), Denied: c.denied.Load(),
		Kernel: c.kernel.Load(), User: c.user.Load(), Translated: c.translated.Load(), Failed: c.failed.Load(),
		Strangers: p.Strangers, Up: c.up.Load(), Down: c.down.Load(),
		Blind: c.blind.Load(), Alarms: c.alarms.Load(), Open: p.Used,
	}
}
