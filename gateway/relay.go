package gateway

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"towpath/firewall"
	"towpath/ftp"
	"towpath/ftp/dialogue"
	"towpath/internal/ports"
)

// passage is one data connection on its way through the gateway.
//
//	          announced,                    transfer
//	asked ----------------> open (passive) ----------> begun --> done
//	          accepted      reserved (active)   |
//	                              |             +-- no connection: failed
//	                              +-- DataTimeout: failed
//
// In passive mode a client may connect as soon as it was told where, and bytes
// move only when a transfer has begun. In active mode nothing is opened before.
// A plane in the kernel carries the connection without us; then a passage only
// keeps the pinhole.
type passage struct {
	s      *session
	wish   wish
	mode   dialogue.Mode  // towards the server
	client netip.AddrPort // where the client listens, if it does
	server netip.AddrPort // where the server listens, if it does
	told   netip.AddrPort // what the listening side was told in place of it

	ctx  context.Context
	stop context.CancelCauseFunc

	// ears are the listeners for client and server, where they come to us.
	forClient, forServer *ports.Listener
	lease                *ports.Lease // of a port that the kernel answers
	holes                []io.Closer
	plane                string // in the kernel; "" is user space

	started  chan struct{} // closed when a transfer begins
	ready    bool          // begin was called
	starting bool          // and start is to follow
	running  bool
	done     chan struct{} // closed when nothing more will move
	once     sync.Once
	up       bool  // bytes go to the server
	opaque   bool  // they may go both ways
	most     int64 // bytes of this transfer; 0 is no bound of its own
	secure   struct{ client, server *tls.Config }
	owed     *owed
	begun    bool        // 1xx was said
	answered bool        // the server has given its last reply
	joined   atomic.Bool // both connections were there
	bytes    atomic.Int64
	rec      int // index in Record.Data, -1 beyond

	errMu sync.Mutex
	err   error
}

var (
	errAborted  = errors.New("aborted")
	errReplaced = errors.New("another announcement took its place")
	errRefused  = errors.New("the server refused the transfer")
	errUnused   = errors.New("not used")
	errTooLarge = errors.New("the file is larger than the gateway lets through")
)

// open asks the server for the data connection that a client wishes.
func (s *session) open(l line, w wish) {
	p := &passage{s: s, wish: w, mode: w.mode, client: w.addr, started: make(chan struct{}), done: make(chan struct{}), rec: -1}
	switch s.set.ServerMode {
	case PassiveMode:
		p.mode = dialogue.Passive
	case ActiveMode:
		p.mode = dialogue.Active
	}
	p.ctx, p.stop = context.WithCancelCause(s.ctx)
	if p.mode == dialogue.Active {
		if err := p.listenServer(); err != nil {
			p.stop(err)
			s.log(slog.LevelWarn, "no port to announce", "err", err)
			s.say(ftp.NewReply(425, "The gateway has no port to announce; try again later."), false)
			return
		}
	}
	said := w.verb
	if said == "EPSV" && s.noEPSV {
		said = "PASV"
	}
	c := offer(said, p.mode, s.server.peer.Addr(), p.told)
	p.record(w, l.command)
	s.asking = true
	s.propose(p, c)
}

// propose says c to the server and waits for the answer.
func (s *session) propose(p *passage, c ftp.Command) {
	s.note(p, func(d *Data) {
		if p.mode == dialogue.Active {
			d.ServerTold = c.String()
		}
	})
	s.ask(c, func(x dialogue.Exchange, raw []byte) {
		if x.Reply.Permanent() && x.Reply.Code != 530 && x.Reply.Code != 550 {
			if other, ok := instead(c, s.server.peer.Addr(), p.told); ok {
				s.noEPSV = s.noEPSV || c.Verb == "EPSV"
				s.propose(p, other)
				// It keeps the place in the queue that the first one had.
				last := s.owed[len(s.owed)-1]
				s.owed = append([]*owed{last}, s.owed[:len(s.owed)-1]...)
				return
			}
		}
		s.asking = false
		if x.Expectation == (dialogue.Expectation{}) {
			why := fmt.Errorf("the server answered %s by %d", c.Verb, x.Reply.Code)
			if x.Problem != nil {
				why = x.Problem
				s.alarm(6, why.Error())
			}
			p.close(why)
			if x.Reply.Complete() {
				s.send(ftp.NewReply(425, "The gateway cannot use the answer of the server to "+c.Verb+".").AppendTo(nil))
			} else {
				s.send(raw)
			}
			return
		}
		if err := p.agree(x); err != nil {
			p.close(err)
			s.log(slog.LevelWarn, "no data connection can be offered", "err", err)
			s.send(ftp.NewReply(425, sentence(err)).AppendTo(nil))
			return
		}
		s.way = p
		reply := answer(p.wish, p.told)
		if p.wish.mode == dialogue.Active && c.Verb == p.wish.verb {
			s.send(raw)
		} else {
			s.send(reply.AppendTo(nil))
		}
		s.note(p, func(d *Data) {
			if p.wish.mode == dialogue.Passive {
				d.ClientTold = reply.String()
			}
		})
	})
}

// agree takes what the server has agreed to, and opens what passive mode needs
// on the client's side.
func (p *passage) agree(x dialogue.Exchange) error {
	s := p.s
	if p.mode == dialogue.Passive {
		e := x.Expectation
		host := s.server.peer.Addr()
		if a := e.Announced.Addr().Unmap(); a.IsValid() && !a.IsUnspecified() && a != host {
			if slices.ContainsFunc(s.set.AllowForeign, func(n netip.Prefix) bool { return n.Contains(a) }) {
				host = a
			} else {
				// A NAT of its own, or a server that would have us call
				// somebody else: we call the one that we are talking to.
				s.alarm(11, fmt.Sprintf("the server announced %v; %v is called, where it is", e.Announced, host))
			}
		}
		p.server = netip.AddrPortFrom(host, e.To.Port())
		if p.server.Port() < 1024 {
			s.alarm(4, fmt.Sprintf("the server announced port %d", p.server.Port()))
			return fmt.Errorf("the server announced port %d; ports are from 1024 on", p.server.Port())
		}
		if s.gw.isOurs(p.server, s) {
			s.alarm(12, fmt.Sprintf("the server announced %v, which is this gateway", p.server))
			return errors.New("the server announced a port of this gateway")
		}
		s.note(p, func(d *Data) { d.ServerSaid = x.Reply.String() })
	}
	if p.wish.mode == dialogue.Passive {
		return p.listenClient()
	}
	return nil
}

// mayKernel says whether the kernel can carry the connection: clear, of one
// mode and family, and nobody has to count it.
func (p *passage) mayKernel() bool {
	s := p.s
	return s.set.Opener != nil && p.mode == p.wish.mode && s.limits.none() &&
		!s.client.secure.on() && !s.server.secure.on() && s.seat.Server.Proxy == 0 && s.set.Accepted == nil &&
		s.client.peer == s.visitor.Client && s.client.peer.Addr().Is4() == s.server.peer.Addr().Is4()
}

// listenServer reserves the port that the server is told.
func (p *passage) listenServer() error {
	s := p.s
	l, err := s.set.ports.Listen(p.ctx, s.server.local.Addr())
	if err != nil {
		return err
	}
	p.forServer, p.told = l, netip.AddrPortFrom(s.server.local.Addr(), l.Port())
	return nil
}

// listenClient opens the port that the client is told.
func (p *passage) listenClient() error {
	s := p.s
	host := s.client.local.Addr()
	if p.mayKernel() {
		lease, err := s.set.ports.Lease()
		if err != nil {
			return errors.New("the gateway has no port to announce; try again later")
		}
		via := netip.AddrPortFrom(s.known(), lease.Port())
		err = p.pinhole(s.set.Opener, firewall.Pinhole{
			From: s.client.peer.Addr(), To: p.server, Via: via, As: netip.AddrPortFrom(s.server.local.Addr(), 0),
		})
		if err == nil {
			p.plane, p.lease = firewall.Plane(p.holes[0]), lease
			p.told = netip.AddrPortFrom(s.named(), lease.Port())
			s.gw.counters.kernel.Add(1)
			return nil
		}
		lease.Close()
		s.log(slog.LevelDebug, "the kernel does not take the data connection", "err", err)
	}
	l, err := s.set.ports.Listen(p.ctx, host)
	if err != nil && !errors.Is(err, ports.ErrNone) { // the address is not ours: a load balancer told it
		any := netip.IPv4Unspecified()
		if host.Is6() {
			any = netip.IPv6Unspecified()
		}
		l, err = s.set.ports.Listen(p.ctx, any)
	}
	if err != nil {
		return errors.New("the gateway has no port to announce; try again later")
	}
	p.forClient = l
	p.told = netip.AddrPortFrom(s.named(), l.Port())
	if p.wish.verb == "PASV" && p.told.Addr().Is6() { // as a load balancer says
		return errors.New("PASV can tell IPv4 addresses only, and you reach this gateway by IPv6; use EPSV")
	}
	if s.redirected() {
		err := p.pinhole(s.set.Redirect, firewall.Pinhole{
			From: s.client.peer.Addr(), To: netip.AddrPortFrom(host, l.Port()), Via: netip.AddrPortFrom(s.visitor.Original.Addr(), l.Port()),
		})
		if err != nil {
			s.log(slog.LevelWarn, "data connection cannot be redirected", "err", err)
			if p.wish.verb == "EPSV" {
				return fmt.Errorf("the way from %v cannot be opened", s.visitor.Original.Addr())
			}
			p.told = netip.AddrPortFrom(host, l.Port())
		}
	} else {
		s.note(p, func(d *Data) {
			d.Opened = s.now()
			d.Pinhole = fmt.Sprintf("%v to %v", s.client.peer.Addr(), l.Addr())
		})
	}
	p.run()
	return nil
}

func (s *session) redirected() bool {
	return s.set.Redirect != nil && s.visitor.Original.IsValid() && s.visitor.Original.Addr() != s.client.local.Addr()
}

// known is the address by which the client knows us, on the wire.
func (s *session) known() netip.Addr {
	if s.redirected() {
		return s.visitor.Original.Addr()
	}
	return s.client.local.Addr()
}

// named is the address that the client is told.
func (s *session) named() netip.Addr {
	if s.set.External != nil {
		if a := s.set.External(s.visitor); a.IsValid() && a.Is4() == s.visitor.Client.Addr().Is4() {
			return a
		}
	}
	if s.redirected() {
		return s.visitor.Original.Addr()
	}
	if r := s.visitor.Reached.Addr(); r.IsValid() {
		return r
	}
	return s.client.local.Addr()
}

// pinhole opens h, and keeps what closes it.
func (p *passage) pinhole(by firewall.Opener, h firewall.Pinhole) error {
	s := p.s
	h.Life = s.set.DataTimeout
	h.Control = [2]firewall.Flow{{From: s.client.peer, To: s.client.local}, {From: s.server.local, To: s.server.peer}}
	if s.visitor.Original.IsValid() {
		h.Control[0].To = s.visitor.Original
	}
	hole, err := by.Open(p.ctx, h)
	if err != nil {
		return err
	}
	p.holes = append(p.holes, hole)
	s.note(p, func(d *Data) { d.Opened, d.Pinhole = s.now(), h.String() })
	return nil
}

// begin lets bytes move for a transfer. The caller holds the lock of the
// session, and has not handed the command on yet.
func (p *passage) begin(c ftp.Command) {
	s := p.s
	switch c.Verb {
	case "STOR", "STOU", "APPE":
		p.up = true
	}
	p.opaque = s.resynced
	p.secure.client, p.secure.server = s.client.secure.dataConfig(s.client.private), s.server.secure.dataConfig(s.server.private)
	s.note(p, func(d *Data) {
		d.Command = c.String()
		d.ClientTLS, d.ServerTLS = p.secure.client != nil, p.secure.server != nil
	})
	if p.ready { // a transfer before it was refused
		return
	}
	p.ready = true
	// pyftpdlib comes as soon as it hears PORT: then it is with us already, and
	// has waited.
	if p.wish.mode == dialogue.Active && p.mode == dialogue.Active && !p.forServer.Pending() && p.mayKernel() {
		err := p.pinhole(s.set.Opener, firewall.Pinhole{
			From: s.server.peer.Addr(), To: p.client, Via: p.told, As: netip.AddrPortFrom(s.known(), 0),
		})
		if err == nil {
			p.plane = firewall.Plane(p.holes[0])
			s.gw.counters.kernel.Add(1)
		} else {
			s.log(slog.LevelDebug, "the kernel does not take the data connection", "err", err)
		}
	}
	if p.plane != "" {
		s.log(slog.LevelDebug, "the kernel carries the data", "plane", p.plane, "command", c, "told", p.told)
		s.note(p, func(d *Data) { d.Plane, d.Up, d.Down = p.plane, -1, -1 })
		return
	}
	if p.forServer != nil {
		s.note(p, func(d *Data) {
			if d.Pinhole == "" {
				d.Opened, d.Pinhole = s.now(), fmt.Sprintf("%v to %v", s.server.peer.Addr(), p.told)
			}
		})
	}
	s.gw.counters.user.Add(1)
	if p.mode != p.wish.mode || s.client.peer.Addr().Is4() != s.server.peer.Addr().Is4() {
		s.gw.counters.translated.Add(1)
	}
	p.starting = true
}

// start lets go what begin has readied, now that the server has the command: with
// a ClientHello before it, pyftpdlib may reset the data connection.
func (p *passage) start() {
	if p.starting {
		p.starting = false
		close(p.started)
		p.run()
	}
}

// run carries the connection in a goroutine of its own.
func (p *passage) run() {
	if p.running {
		return
	}
	p.running = true
	p.s.passages.Add(1)
	p.s.gw.roster.Go(func() {
		defer p.s.passages.Done()
		err := p.carry()
		p.close(err)
		p.s.carried(p, err)
	})
}

// carry makes both connections and moves the bytes.
func (p *passage) carry() (err error) {
	var client, server *net.TCPConn
	defer func() {
		if err != nil {
			p.close(err) // before the server can say that it was cut off: the client hears why
		}
		for _, c := range []*net.TCPConn{client, server} {
			if c == nil {
				continue
			}
			if err != nil {
				_ = c.SetLinger(0) // the other side shall not take it for the end
			}
			_ = c.Close()
		}
	}()
	within := p.s.set.DataTimeout
	if p.forClient != nil {
		if client, err = p.take(p.forClient, p.s.fromClient); err != nil {
			return p.explain(err, fmt.Sprintf("the client did not come to %v within %v", p.told, within))
		}
	}
	if p.forClient == nil || p.mode == dialogue.Active {
		select {
		case <-p.started:
		case <-p.ctx.Done():
			return context.Cause(p.ctx)
		}
	}
	if p.mode == dialogue.Active {
		if server, err = p.take(p.forServer, p.s.fromServer); err != nil {
			return p.explain(err, fmt.Sprintf("the server did not come to %v within %v", p.forServer.Addr(), within))
		}
	} else {
		if server, err = p.dial(p.s.server.local.Addr(), p.server); err != nil {
			return p.explain(err, fmt.Sprintf("the server at %v does not answer: %s", p.server, p.reason(err)))
		}
		if v := p.s.seat.Server.Proxy; v != 0 && p.s.set.Announce != nil {
			if err = p.s.set.Announce(server, v, p.s.visitor.Client, p.s.visitor.called()); err != nil {
				return p.explain(err, "the server takes no PROXY header")
			}
		}
	}
	if p.forClient == nil {
		if p.s.redirected() {
			p.s.mu.Lock()
			err := p.pinhole(p.s.set.Redirect, firewall.Pinhole{
				From: p.s.client.local.Addr(), To: p.client, As: netip.AddrPortFrom(p.s.visitor.Original.Addr(), 0),
			})
			p.s.mu.Unlock()
			if err != nil {
				p.s.log(slog.LevelWarn, "data connection cannot come from where the client called", "err", err)
			}
		}
		if client, err = p.dial(p.s.client.local.Addr(), p.client); err != nil {
			return p.explain(err, fmt.Sprintf("the client at %v does not answer: %s", p.client, p.reason(err)))
		}
	}
	p.s.used(p, client, server)
	select {
	case <-p.started:
	case <-p.ctx.Done():
		return context.Cause(p.ctx)
	}
	p.joined.Store(true)
	defer context.AfterFunc(p.ctx, func() {
		for _, c := range []*net.TCPConn{client, server} {
			_ = c.SetLinger(0)
			_ = c.SetDeadline(past)
		}
	})()
	if err = p.move(client, server); err != nil && p.ctx.Err() != nil {
		err = context.Cause(p.ctx)
	}
	return err
}

// explain says what did not come about, unless the passage was stopped.
func (p *passage) explain(err error, what string) error {
	if p.ctx.Err() != nil {
		return context.Cause(p.ctx)
	}
	return &noConnection{what, err}
}

// noConnection: a data connection did not come about.
type noConnection struct {
	what string
	err  error
}

func (n *noConnection) Error() string { return n.what }
func (n *noConnection) Unwrap() error { return n.err }

func (p *passage) reason(err error) string {
	if e, ok := errors.AsType[net.Error](err); ok && e.Timeout() {
		return fmt.Sprintf("nothing came within %v", p.s.set.DataTimeout)
	}
	return plainError(err)
}

// take waits for the one that may come to l.
func (p *passage) take(l *ports.Listener, who func(context.Context, *net.TCPConn) bool) (*net.TCPConn, error) {
	deadline := time.Now().Add(p.s.set.DataTimeout)
	for {
		c, err := l.Accept(p.ctx, deadline, nil)
		if err != nil {
			return nil, err
		}
		if who(p.ctx, c) {
			_ = l.Close() // one use
			return c, nil
		}
		l.Stranger(c)
	}
}

// fromClient says whether a data connection comes from the client.
func (s *session) fromClient(ctx context.Context, c *net.TCPConn) bool {
	peer := endpoint(c.RemoteAddr()).Addr()
	if s.set.Accepted != nil {
		a, err := s.set.Accepted(ctx, c)
		if err != nil {
			s.log(slog.LevelWarn, "data connection refused", "from", peer, "err", err)
			return false
		}
		peer = a.Addr().Unmap()
	}
	if peer != s.visitor.Client.Addr() {
		s.log(slog.LevelWarn, "a stranger came to a port that is the client's", "from", peer)
		return false
	}
	return true
}

func (s *session) fromServer(_ context.Context, c *net.TCPConn) bool {
	peer := endpoint(c.RemoteAddr()).Addr()
	if peer != s.server.peer.Addr() {
		s.log(slog.LevelWarn, "a stranger came to a port that is the server's", "from", peer)
		return false
	}
	return true
}

// dial connects from the address that the control connection has. If that came by
// way of a load balancer, it may be one of another family.
func (p *passage) dial(from netip.Addr, to netip.AddrPort) (*net.TCPConn, error) {
	ctx, cancel := context.WithTimeout(p.ctx, p.s.set.DataTimeout)
	defer cancel()
	if from.Is4() != to.Addr().Is4() {
		from = netip.Addr{}
	}
	return dialFrom(ctx, from, to.String())
}

// dialFrom connects from an address, or from any if it is none of ours.
func dialFrom(ctx context.Context, from netip.Addr, to string) (*net.TCPConn, error) {
	d := net.Dialer{KeepAlive: -1}
	d.SetMultipathTCP(false)
	if from.IsValid() && !from.IsUnspecified() {
		d.LocalAddr, d.Control = net.TCPAddrFromAddrPort(netip.AddrPortFrom(from, 0)), lateBind
	}
	c, err := d.DialContext(ctx, "tcp", to)
	if d.LocalAddr != nil && isNotOurs(err) {
		d.LocalAddr, d.Control = nil, nil
		c, err = d.DialContext(ctx, "tcp", to)
	}
	if err != nil {
		return nil, err
	}
	return c.(*net.TCPConn), nil
}

// used takes note of who came.
func (s *session) used(p *passage, client, server *net.TCPConn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.note(p, func(d *Data) {
		d.Used = s.now()
		if p.forClient != nil {
			d.UsedBy = endpoint(client.RemoteAddr())
		} else if p.forServer != nil {
			d.UsedBy = endpoint(server.RemoteAddr())
		}
	})
}

// close gives back what the passage holds. Err is why, nil if all went well.
func (p *passage) close(err error) {
	p.once.Do(func() {
		p.errMu.Lock()
		p.err = err
		p.errMu.Unlock()
		p.stop(errUnused)
		for _, l := range []*ports.Listener{p.forClient, p.forServer} {
			if l != nil {
				_ = l.Close()
			}
		}
		if p.lease != nil {
			p.lease.Close()
		}
		close(p.done)
	})
}

// shut closes the pinholes, and tells the record. The caller holds the lock of
// the session.
func (p *passage) shut(err error) {
	why := "done"
	if err != nil {
		why = err.Error()
	}
	for _, h := range p.holes {
		_ = h.Close() // it goes with its life
		if by, used := firewall.Used(h); used {
			p.s.note(p, func(d *Data) { d.UsedBy = by })
		}
	}
	p.holes = nil
	p.s.note(p, func(d *Data) {
		if d.Why == "" {
			d.Closed, d.Why = p.s.now(), why
		}
	})
}

// failed is why nothing can come of p any more, or nil.
func (p *passage) failed() error {
	select {
	case <-p.done:
		p.errMu.Lock()
		defer p.errMu.Unlock()
		if p.err == nil {
			return errUnused
		}
		return p.err
	default:
		return nil
	}
}

// wait waits until the bytes have arrived, where they pass through us.
func (p *passage) wait() {
	if p.plane != "" || !p.running {
		return
	}
	<-p.done
}

// drop closes the way that was announced and not used.
func (s *session) drop() {
	if s.way != nil {
		s.way.close(errReplaced)
		s.way.shut(errReplaced)
		s.way = nil
	}
}

// leaveWay ends what a transfer used.
func (s *session) leaveWay(p *passage) {
	if s.using == p {
		s.using = nil
	}
	p.owed = nil
	p.stop(errUnused)
	if p.plane != "" || !p.running {
		p.close(nil)
	}
	err := p.failed()
	if err == errUnused {
		err = nil
	}
	p.shut(err)
}

// carried is told that a passage has ended, and why.
func (s *session) carried(p *passage, err error) {
	n := p.bytes.Load()
	if p.up {
		s.gw.counters.up.Add(uint64(n))
	} else {
		s.gw.counters.down.Add(uint64(n))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if p.up {
		s.rec.Up += n
	} else {
		s.rec.Down += n
	}
	s.note(p, func(d *Data) {
		if p.up {
			d.Up = n
		} else {
			d.Down = n
		}
	})
	p.shut(err)
	nobody, failed := errors.AsType[*noConnection](err)
	if !failed {
		return
	}
	s.gw.counters.failed.Add(1)
	s.log(slog.LevelWarn, "no data connection", "why", nobody.what)
	// The server has the first word: it may have refused the transfer, and
	// closed the connection by that.
	time.AfterFunc(firstWord, func() { s.with(func() { s.giveUp(p, err) }) })
}

// firstWord is how long a server may take to say why there is no data
// connection.
const firstWord = time.Second

// giveUp answers a transfer in the place of a server that does not: it may wait
// for the data connection much longer than the client should.
func (s *session) giveUp(p *passage, err error) {
	o := p.owed
	if o == nil || p.answered || s.over {
		return
	}
	o.silent = true
	s.gw.counters.denied.Add(1)
	s.owed = slices.Insert(s.owed, max(0, slices.Index(s.owed, o)), &owed{reply: ftp.NewReply(425, sentence(err)).AppendTo(nil)})
	if s.transcript != nil {
		_ = s.transcript.Comment("by the gateway: 425 " + sentence(err))
	}
	s.ask(ftp.Command{Verb: "ABOR"}, nothing)
	s.settle()
}

// ended deals with the last reply to a transfer, and returns what the client
// shall hear.
func (s *session) ended(p *passage, x dialogue.Exchange, raw []byte) []byte {
	code := x.Reply.Code
	s.note(p, func(d *Data) { d.Code = code })
	err := p.failed()
	if err == errUnused {
		err = nil
	}
	switch {
	case x.Reply.Complete() && err != nil && p.running:
		// The server believes that all has arrived.
		raw = ftp.NewReply(426, sentence(err)).AppendTo(nil)
	case (code == 425 || code == 426 || code == 451) && err != nil:
		raw = ftp.NewReply(code, sentence(err)).AppendTo(nil)
	}
	if !x.Reply.Complete() && !p.begun && !p.joined.Load() && err == nil && x.Transfer.Expectation == (dialogue.Expectation{}) {
		// Refused before anything was tried: the next transfer may use it.
		s.way, s.using, p.owed = p, nil, nil
		return raw
	}
	if !x.Reply.Complete() && p.running {
		p.stop(errRefused)
	}
	s.leaveWay(p)
	return raw
}

// record begins the account of p.
func (p *passage) record(w wish, said ftp.Command) {
	r := &p.s.rec
	if len(r.Data) >= MaxData {
		r.DataMore++
		return
	}
	p.rec = len(r.Data)
	d := Data{Number: p.rec + 1, ClientMode: w.mode.String(), ServerMode: p.mode.String(), Plane: "user"}
	if w.mode == dialogue.Active {
		d.ClientSaid = said.String()
	}
	r.Data = append(r.Data, d)
}

// note writes into the account of p. The caller holds the lock.
func (s *session) note(p *passage, write func(*Data)) {
	if p.rec >= 0 {
		write(&s.rec.Data[p.rec])
	}
}

// isOurs reports whether to is a port of this gateway.
func (g *Gateway) isOurs(to netip.AddrPort, s *session) bool {
	a := to.Addr()
	if a != s.client.local.Addr() && a != s.server.local.Addr() && a != s.visitor.Local.Addr() && !a.IsLoopback() {
		return false
	}
	return s.set.ports.Lends(to.Port()) ||
		g.roster.ListensAt(func(a net.Addr) bool { return endpoint(a).Port() == to.Port() })
}
