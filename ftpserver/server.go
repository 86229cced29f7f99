// Package ftpserver is an FTP server (RFC 959 and what came after it): it
// admits sessions, speaks the control dialogue, makes data connections and
// moves files between them and a [storage.FS].
//
// It knows no accounts, no configuration files and no particular storage: who
// may enter, and which tree he sees, is what Options.Login answers.
//
//	srv, err := ftpserver.New(ftpserver.Options{Login: login})
//	…
//	err = srv.Serve(listener)
package ftpserver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	"towpath/ftp"
	"towpath/internal/alive"
	"towpath/internal/ports"
	"towpath/internal/roster"
)

// ErrClosed is what Serve answers after Shutdown or Close.
var ErrClosed = errors.New("ftpserver: server closed")

// Server serves FTP on any number of listeners.
type Server struct {
	settings  atomic.Pointer[settings]
	admission *admission
	warden    *warden
	digests   chan struct{} // slots for work that costs processor time
	deflated  chan struct{} // slots for MODE Z, which costs a MiB each
	counters  counters

	// ctx ends when sessions must end at once.
	ctx    context.Context
	cancel context.CancelFunc

	lastID atomic.Uint64
	roster *roster.Roster[*session]
}

// settings are Options and what is made of them. A session keeps those that it
// began with.
type settings struct {
	Options
	told  *told
	ports *ports.Pool
}

// New returns a server, or says what is wrong with the options.
func New(o Options) (*Server, error) {
	o, err := o.check()
	if err != nil {
		return nil, err
	}
	told, err := newTold(o.Told, nil)
	if err != nil {
		return nil, fmt.Errorf("ftpserver: %w", err)
	}
	srv := &Server{
		admission: newAdmission(&o),
		digests:   make(chan struct{}, 4),
		deflated:  make(chan struct{}, maxDeflated),
		roster:    roster.New[*session](),
	}
	srv.ctx, srv.cancel = context.WithCancel(context.Background())
	srv.warden = newWarden()
	go srv.warden.run(srv.ctx)
	srv.settings.Store(&settings{Options: o, told: told, ports: ports.New(o.PassivePorts)})
	return srv, nil
}

// Reload makes o count for the sessions that begin from now on. When o is not
// good it says why, and nothing changes.
func (srv *Server) Reload(o Options) error {
	o, err := o.check()
	if err != nil {
		return err
	}
	told, err := newTold(o.Told, nil)
	if err != nil {
		return fmt.Errorf("ftpserver: %w", err)
	}
	old := srv.settings.Load()
	pool := old.ports
	if o.PassivePorts != old.PassivePorts {
		pool = ports.New(o.PassivePorts)
	}
	srv.admission.change(&o)
	srv.settings.Store(&settings{Options: o, told: told, ports: pool})
	return nil
}

// change makes the limits of o count from now on; what is known of addresses
// stays.
func (a *admission) change(o *Options) {
	n := newAdmission(o)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.maxSessions, a.maxPerAddress, a.portsOnly = n.maxSessions, n.maxPerAddress, n.portsOnly
	a.delay, a.maxDelay, a.banAfter, a.banFor = n.delay, n.maxDelay, n.banAfter, n.banFor
}

// Serve takes control connections from l until Shutdown or Close, and closes
// l. Sessions begin in clear text; AUTH TLS secures them.
func (srv *Server) Serve(l net.Listener) error { return srv.serve(l, false) }

// ServeTLS takes control connections that begin with a TLS handshake (implicit
// FTPS, classically port 990).
func (srv *Server) ServeTLS(l net.Listener) error {
	if srv.settings.Load().TLS == nil {
		_ = l.Close()
		return errors.New("ftpserver: ServeTLS needs Options.TLS")
	}
	return srv.serve(l, true)
}

func (srv *Server) serve(l net.Listener, implicit bool) error {
	inherited := alive.Listener(l, srv.settings.Load().KeepAlive)
	log := func() *slog.Logger { return srv.settings.Load().Log }
	err := srv.roster.Accept(srv.ctx, l, log, func(conn net.Conn) {
		if !inherited {
			alive.Conn(conn, srv.settings.Load().KeepAlive)
		}
		srv.admit(conn, implicit)
	})
	if err == nil {
		err = ErrClosed
	}
	return err
}

// admit begins a session, or says 421 and why not. It never waits.
func (srv *Server) admit(conn net.Conn, implicit bool) {
	set := srv.settings.Load()
	peer := addrPort(conn.RemoteAddr())
	leave, refusal := srv.admission.enter(peer.Addr())
	if refusal != "" {
		set.Log.Warn("session refused", "addr", peer, "reason", refusal)
		set.Events(SessionEvent{Time: time.Now(), Peer: peer, What: SessionRefused, Reason: refusal})
		srv.counters.refused.Add(1)
		if !implicit {
			_ = conn.SetWriteDeadline(time.Now().Add(time.Second))
			_, _ = conn.Write(ftp.NewReply(421, "Sorry: "+refusal).AppendTo(nil)) // it is being turned away
		}
		_ = conn.Close()
		return
	}
	s := newSession(srv, set, conn, peer)
	s.depart = leave
	if !srv.roster.Run(s, func() { s.serve(implicit) }) {
		leave()
		_ = conn.Close() // we are leaving
	}
}

// Shutdown stops listening at once, ends sessions as soon as their transfer is
// done with a 421, and returns when all have ended. When ctx ends first the
// rest is cut off, and Shutdown returns ctx's error.
func (srv *Server) Shutdown(ctx context.Context) error {
	srv.drain()
	defer context.AfterFunc(ctx, srv.cut)()
	srv.roster.Wait()
	srv.cancel()
	return ctx.Err()
}

// Close stops listening and cuts all sessions off.
func (srv *Server) Close() error {
	srv.drain()
	srv.cut()
	srv.roster.Wait()
	return nil
}

// drain closes the listeners and wakes the sessions that await a command.
func (srv *Server) drain() {
	for _, s := range srv.roster.Drain() {
		s.wake()
	}
}

// cut ends what has not ended by itself.
func (srv *Server) cut() {
	srv.cancel()
	for _, s := range srv.roster.Sessions() {
		s.kill()
	}
}

// SessionInfo describes a session for those who watch.
type SessionInfo struct {
	ID    uint64
	Peer  netip.AddrPort
	Began time.Time
	// User is empty before login.
	User string
	TLS  bool
	// Verb and Path name the running transfer, Bytes what it has moved, Size
	// what it will move (-1: unknown). Verb is empty when none runs.
	Verb, Path  string
	Bytes, Size int64
}

// Sessions lists the sessions, oldest first.
func (srv *Server) Sessions() []SessionInfo {
	all := srv.roster.Sessions()
	infos := make([]SessionInfo, 0, len(all))
	for _, s := range all {
		infos = append(infos, s.info())
	}
	slices.SortFunc(infos, func(a, b SessionInfo) int { return int(a.ID) - int(b.ID) })
	return infos
}

// Kick ends the session of this number; false if there is none.
func (srv *Server) Kick(id uint64) bool {
	for _, s := range srv.roster.Sessions() {
		if s.id == id {
			s.kill()
			return true
		}
	}
	return false
}

// counters count what the server has seen since it began.
type counters struct {
	sessions, refused, unbound, bound, foreign atomic.Uint64
}

// Stats are counters since the start, and gauges.
type Stats struct {
	// Sessions have begun, Refused were not admitted, Active are there now.
	Sessions, Refused uint64
	Active            int
	// Bound and Unbound count TLS data connections that did and did not
	// resume the session of their control connection; Foreign ones wanted to
	// resume another one (refused with BindRequire), or were refused for
	// resuming none.
	Bound, Unbound, Foreign uint64
	Passive                 PassiveStats
}

// Stats returns the counters as they are now.
func (srv *Server) Stats() Stats {
	c := &srv.counters
	return Stats{
		Sessions: c.sessions.Load(), Refused: c.refused.Load(), Active: srv.roster.Len(),
		Bound: c.bound.Load(), Unbound: c.unbound.Load(), Foreign: c.foreign.Load(),
		Passive: srv.settings.Load().ports.Stats(),
	}
}

// addrPort returns an address as netip, IPv4 as such even where the socket
// speaks IPv6.
func addrPort(a net.Addr) netip.AddrPort {
	t, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	ap := t.AddrPort()
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}

var _ slog.LogValuer = SessionInfo{}

// LogValue shows a session in a log.
func (i SessionInfo) LogValue() slog.Value {
	return slog.GroupValue(slog.Uint64("session", i.ID), slog.Any("addr", i.Peer), slog.String("user", i.User))
}
