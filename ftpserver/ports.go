package ftpserver

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

// DynamicPorts are the ports of passive mode where none are named: those which
// RFC 6335 6 leaves to everybody. We choose among them ourselves, since a
// kernel asked for "any port" searches ever longer as ports in TIME_WAIT pile
// up: thirty thousand transfers on, a listener costs it milliseconds.
var DynamicPorts = PortRange{Low: 49152, High: 65535}

const (
	// tries bounds the ports that one call of listen asks the kernel for. A
	// port that somebody else holds is put aside, so that the next call starts
	// further on; even a range that is full to the last port costs little.
	tries = 64
	// shunFor is how long a port held by somebody else is left in peace.
	shunFor = 2 * time.Second
)

// errNoPorts: every port of the passive range is in use (425).
var errNoPorts = errors.New("no passive port is free")

// ports lends the ports of passive mode: each to one session at a time, chosen
// at random for every loan, so that nobody who knows the last port knows the
// next. It never leaves its range.
//
//	free ------- listen -------> lent ------ Close ------> free
//	     -- held by others ----> shunned -- shunFor over -> free
type ports struct {
	rng  PortRange
	size int

	mu      sync.Mutex
	free    []uint16
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

// PassiveStats tells how the ports of passive mode are used. Used and Waiting
// are of now, the others count since the start.
type PassiveStats struct {
	// Range is the ports to choose from, Size how many they are.
	Range PortRange
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

// newPorts lends the ports of r, or those of [DynamicPorts] if r is no range.
func newPorts(r PortRange) *ports {
	if r == (PortRange{}) {
		r = DynamicPorts
	}
	p := &ports{rng: r, size: int(r.High) - int(r.Low) + 1}
	p.free = make([]uint16, p.size)
	for i := range p.free {
		p.free[i] = r.Low + uint16(i)
	}
	return p
}

// stats tells how the ports are used.
func (p *ports) stats() PassiveStats {
	return PassiveStats{
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

// listen lends a port on local, which is the address that the control
// connection reached. It waits for nothing: [errNoPorts] comes at once when we
// or others use all of the range.
func (p *ports) listen(ctx context.Context, local netip.Addr) (*passiveListener, error) {
	local = local.Unmap()
	for range tries {
		port, ok := p.take()
		if !ok {
			break
		}
		l, err := listenPassive(ctx, netip.AddrPortFrom(local, port))
		switch {
		case err == nil:
			p.used.Add(1)
			p.opened.Add(1)
			return &passiveListener{TCPListener: l, ports: p, port: port}, nil
		case isTaken(err):
			p.shun(port)
		default:
			p.giveBack(port)
			p.failed.Add(1)
			return nil, fmt.Errorf("passive port on %v: %w", local, err)
		}
	}
	p.exhausted.Add(1)
	return nil, errNoPorts
}

// take removes a random port from the free ones.
func (p *ports) take() (uint16, bool) {
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
	return port, true
}

// pardon makes the shunned ports free whose time is over.
func (p *ports) pardon(now time.Time) {
	n := 0
	for n < len(p.shunned) && !now.Before(p.shunned[n].until) {
		p.free = append(p.free, p.shunned[n].port)
		n++
	}
	p.shunned = p.shunned[n:]
}

func (p *ports) giveBack(port uint16) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.free = append(p.free, port)
}

func (p *ports) shun(port uint16) {
	p.mu.Lock()
	defer p.mu.Unlock()
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

// listenPassive opens a listener. SO_REUSEADDR, which Go sets where it means
// just that, lets us have ports on which old connections rest in TIME_WAIT.
// Keep-alive is left off: data connections have a stall clock. Multipath TCP
// is off since sendfile and splice are slow there.
func listenPassive(ctx context.Context, a netip.AddrPort) (*net.TCPListener, error) {
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

// passiveListener is a port lent to a session.
type passiveListener struct {
	*net.TCPListener
	ports  *ports
	port   uint16
	closed atomic.Bool
}

// Port is the port to announce.
func (l *passiveListener) Port() uint16 { return l.port }

// accept waits until deadline, the end of ctx or Close for a connection whose
// peer allow likes. Others are closed and counted, and waiting goes on: else a
// stranger who comes first could keep the client out. When the deadline is
// over the error is [os.ErrDeadlineExceeded]. The zero deadline is none. The
// connection does not end with the listener.
func (l *passiveListener) accept(ctx context.Context, deadline time.Time, allow func(netip.Addr) bool) (*net.TCPConn, error) {
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

// poll is accept without waiting: it returns nil, nil when no connection that
// allow likes is there. Most clients connect before they send the command; then
// a timer, which wakes a sleeping processor, would cost a small transfer a tenth
// of its time.
func (l *passiveListener) poll(allow func(netip.Addr) bool) (*net.TCPConn, error) {
	for isPending(l.TCPListener) {
		if c, err := l.take(allow); c != nil || err != nil {
			return c, err
		}
	}
	return nil, nil
}

// take accepts one connection. It returns nil, nil for a stranger's, which is
// closed.
func (l *passiveListener) take(allow func(netip.Addr) bool) (*net.TCPConn, error) {
	c, err := l.AcceptTCP()
	if err != nil {
		return nil, err
	}
	peer := c.RemoteAddr().(*net.TCPAddr).AddrPort().Addr().Unmap()
	if allow == nil || allow(peer) {
		l.ports.accepted.Add(1)
		return c, nil
	}
	l.ports.strangers.Add(1)
	_ = c.SetLinger(0) // reset: a stranger shall not leave TIME_WAIT with us
	_ = c.Close()      // nothing was written
	return nil, nil
}

// Close gives the port back. It ends a waiting accept, and may be called again.
func (l *passiveListener) Close() error {
	if l.closed.Swap(true) {
		return nil
	}
	err := l.TCPListener.Close()
	l.ports.used.Add(-1)
	l.ports.giveBack(l.port)
	return err
}
