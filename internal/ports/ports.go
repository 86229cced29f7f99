// Package ports lends the ports that data connections are announced on: each to
// one session at a time, chosen at random, and without asking the kernel for
// "any". It knows nothing of FTP.
package ports

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// Dynamic are the ports of passive mode where none are named: those which
// RFC 6335 6 leaves to everybody. We choose among them ourselves, since a
// kernel asked for "any port" searches ever longer as ports in TIME_WAIT pile
// up: thirty thousand transfers on, a listener costs it milliseconds.
var Dynamic = Range{Low: 49152, High: 65535}

const (
	// tries bounds the ports that one call of Listen asks the kernel for. A
	// port that somebody else holds is put aside, so that the next call starts
	// further on; even a range that is full to the last port costs little.
	tries = 64
	// shunFor is how long a port held by somebody else is left in peace.
	shunFor = 2 * time.Second
)

// ErrNone: every port of the passive range is in use (425).
var ErrNone = errors.New("no passive port is free")

// Range is a range of ports, both ends included. The zero value is no range.
type Range struct{ Low, High uint16 }

// Pool lends the ports of a range: each to one session at a time, chosen at
// random for every loan, so that nobody who knows the last port knows the
// next. It never leaves its range.
//
//	free ------- Listen -------> lent ------ Close ------> free
//	     -- held by others ----> shunned -- shunFor over -> free
type Pool struct {
	rng  Range
	size int

	mu      sync.Mutex
	free    []uint16
	lent    []bool        // by the distance to the low end
	shunned []shunnedPort // oldest first

	used, waiting                  atomic.Int64
	opened, accepted               atomic.Uint64
	timedOut, exhausted, strangers atomic.Uint64
	failed                         atomic.Uint64
}

// shunnedPort is a port that somebody else holds, and when to ask again.
type shunnedPort struct {
	port  uint16
	until time.Time
}

// Stats tells how the ports of a pool are used. Used and Waiting
// are of now, the others count since the start.
type Stats struct {
	// Range is the ports to choose from, Size how many they are.
	Range Range
	Size  int
	// Used ports are lent to a session; Waiting are those among them for whose
	// client a transfer waits right now.
	Used, Waiting int
	// Opened counts the ports lent, Accepted those that a client came to,
	// TimedOut those for which a transfer waited in vain.
	Opened, Accepted, TimedOut uint64
	// Exhausted counts announcements refused because no port was free, Failed
	// those for which the system gave no socket, Strangers the connections
	// turned away because they came from a host other than the client's.
	Exhausted, Failed, Strangers uint64
}

// New lends the ports of r, or those of [Dynamic] if r is no range.
func New(r Range) *Pool {
	if r == (Range{}) {
		r = Dynamic
	}
	p := &Pool{rng: r, size: int(r.High) - int(r.Low) + 1}
	p.free, p.lent = make([]uint16, p.size), make([]bool, p.size)
	for i := range p.free {
		p.free[i] = r.Low + uint16(i)
	}
	return p
}

// Stats tells how the ports are used.
func (p *Pool) Stats() Stats {
	return Stats{
		Range:     p.rng,
		Size:      p.size,
		Used:      int(p.used.Load()),
		Waiting:   int(p.waiting.Load()),
		Opened:    p.opened.Load(),
		Accepted:  p.accepted.Load(),
		TimedOut:  p.timedOut.Load(),
		Exhausted: p.exhausted.Load(),
		Failed:    p.failed.Load(),
		Strangers: p.strangers.Load(),
	}
}

// Listen lends a port on local, which is the address that the control
// connection reached. It waits for nothing: [ErrNone] comes at once when we
// or others use all of the range.
func (p *Pool) Listen(ctx context.Context, local netip.Addr) (*Listener, error) {
	local = local.Unmap()
	for range tries {
		port, ok := p.take()
		if !ok {
			break
		}
		l, err := listenTCP(ctx, netip.AddrPortFrom(local, port))
		switch {
		case err == nil:
			p.used.Add(1)
			p.opened.Add(1)
			return &Listener{TCPListener: l, ports: p, port: port}, nil
		case isTaken(err):
			p.shun(port)
		default:
			p.giveBack(port)
			p.failed.Add(1)
			return nil, fmt.Errorf("passive port on %v: %w", local, err)
		}
	}
	p.exhausted.Add(1)
	return nil, ErrNone
}

// take removes a random port from the free ones.
func (p *Pool) take() (uint16, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.shunned) > 0 {
		p.pardon(time.Now())
	}
	n := len(p.free)
	if n == 0 {
		return 0, false
	}
	i := random(n)
	port := p.free[i]
	p.free[i] = p.free[n-1]
	p.free = p.free[:n-1]
	p.lent[port-p.rng.Low] = true
	return port, true
}

// pardon makes the shunned ports free whose time is over.
func (p *Pool) pardon(now time.Time) {
	n := 0
	for n < len(p.shunned) && !now.Before(p.shunned[n].until) {
		p.free = append(p.free, p.shunned[n].port)
		n++
	}
	p.shunned = p.shunned[n:]
}

func (p *Pool) giveBack(port uint16) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.free = append(p.free, port)
	p.lent[port-p.rng.Low] = false
}

func (p *Pool) shun(port uint16) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lent[port-p.rng.Low] = false
	p.shunned = append(p.shunned, shunnedPort{port, time.Now().Add(shunFor)})
}

// random returns a number below n that nobody can foresee, not even one who
// has seen many before it.
func random(n int) int {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	hi, _ := bits.Mul64(binary.NativeEndian.Uint64(b[:]), uint64(n))
	return int(hi)
}

// listenTCP opens a listener. SO_REUSEADDR, which Go sets where it means
// just that, lets us have ports on which old connections rest in TIME_WAIT.
// Keep-alive is left off: data connections have a stall clock. Multipath TCP
// is off since sendfile and splice are slow there.
func listenTCP(ctx context.Context, a netip.AddrPort) (*net.TCPListener, error) {
	network := "tcp4"
	if a.Addr().Is6() {
		network = "tcp6"
	}
	lc := net.ListenConfig{KeepAlive: -1}
	lc.SetMultipathTCP(false)
	l, err := lc.Listen(ctx, network, a.String())
	if err != nil {
		return nil, err
	}
	return l.(*net.TCPListener), nil
}

// Listener is a port lent to a session.
type Listener struct {
	*net.TCPListener
	ports  *Pool
	port   uint16
	closed atomic.Bool
}

// Lease lends a port on which nobody listens: the kernel is to answer there, in
// a way that the caller has arranged.
func (p *Pool) Lease() (*Lease, error) {
	port, ok := p.take()
	if !ok {
		p.exhausted.Add(1)
		return nil, ErrNone
	}
	p.used.Add(1)
	p.opened.Add(1)
	return &Lease{ports: p, port: port}, nil
}

// Lease is a port lent without a listener.
type Lease struct {
	ports  *Pool
	port   uint16
	closed atomic.Bool
}

// Port is the port to announce.
func (l *Lease) Port() uint16 { return l.port }

// Close gives the port back, and may be called again.
func (l *Lease) Close() {
	if !l.closed.Swap(true) {
		l.ports.used.Add(-1)
		l.ports.giveBack(l.port)
	}
}

// Lends says whether a port is lent now.
func (p *Pool) Lends(port uint16) bool {
	if port < p.rng.Low || port > p.rng.High {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.lent[port-p.rng.Low]
}

// Port is the port to announce.
func (l *Listener) Port() uint16 { return l.port }

// Accept waits until deadline, the end of ctx or Close for a connection whose
// peer allow likes. Others are closed and counted, and waiting goes on: else a
// stranger who comes first could keep the client out. When the deadline is
// over the error is [os.ErrDeadlineExceeded]. The zero deadline is none. The
// connection does not end with the listener.
func (l *Listener) Accept(ctx context.Context, deadline time.Time, allow func(netip.Addr) bool) (*net.TCPConn, error) {
	l.ports.waiting.Add(1)
	defer l.ports.waiting.Add(-1)
	if c, err := l.poll(allow); c != nil || err != nil {
		return c, err
	}
	if err := l.SetDeadline(deadline); err != nil {
		return nil, err
	}
	if ctx.Done() != nil {
		defer context.AfterFunc(ctx, func() { _ = l.SetDeadline(time.Unix(1, 0)) })() // fails only when closed
	}
	for {
		c, err := l.take(allow)
		switch {
		case c != nil:
			return c, nil
		case err == nil:
		case ctx.Err() != nil:
			return nil, context.Cause(ctx)
		case errors.Is(err, os.ErrDeadlineExceeded):
			l.ports.timedOut.Add(1)
			return nil, err
		default:
			return nil, err
		}
	}
}

// poll is Accept without waiting: it returns nil, nil when no connection that
// allow likes is there. Most clients connect before they send the command; then
// a timer, which wakes a sleeping processor, would cost a small transfer a tenth
// of its time.
func (l *Listener) poll(allow func(netip.Addr) bool) (*net.TCPConn, error) {
	for isPending(l.TCPListener) {
		if c, err := l.take(allow); c != nil || err != nil {
			return c, err
		}
	}
	return nil, nil
}

// take accepts one connection. It returns nil, nil for a stranger's, which is
// closed.
func (l *Listener) take(allow func(netip.Addr) bool) (*net.TCPConn, error) {
	c, err := l.AcceptTCP()
	if err != nil {
		return nil, err
	}
	peer := c.RemoteAddr().(*net.TCPAddr).AddrPort().Addr().Unmap()
	if allow == nil || allow(peer) {
		l.ports.accepted.Add(1)
		return c, nil
	}
	l.Stranger(c)
	return nil, nil
}

// Stranger turns a connection away, and counts it.
func (l *Listener) Stranger(c *net.TCPConn) {
	l.ports.strangers.Add(1)
	_ = c.SetLinger(0) // reset: a stranger shall not leave TIME_WAIT with us
	_ = c.Close()      // nothing was written
}

// Pending says whether somebody waits to be accepted, as far as the system tells.
func (l *Listener) Pending() bool { return isPending(l.TCPListener) }

// Close gives the port back. It ends a waiting accept, and may be called again.
func (l *Listener) Close() error {
	if l.closed.Swap(true) {
		return nil
	}
	err := l.TCPListener.Close()
	l.ports.used.Add(-1)
	l.ports.giveBack(l.port)
	return err
}
