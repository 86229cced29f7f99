// Package doors are the ways in which clients come to a gateway other than
// straight: behind a load balancer that speaks the PROXY protocol, through SOCKS5,
// or redirected by a packet filter. Each is a [net.Listener] around another and
// yields connections that know what was learned on the way ([Conn]).
//
// It knows no FTP and chooses no server.
package doors

import (
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"
)

// Conn is a connection that came through a door. RemoteAddr is the true client.
type Conn struct {
	*net.TCPConn
	client, reached, original netip.AddrPort
	local                     netip.AddrPort // ours, where the end of the connection is not
	wanted                    string
	end                       func()
}

// RemoteAddr is the address of the client, whoever has passed him on.
func (c *Conn) RemoteAddr() net.Addr {
	if c.client.IsValid() {
		return net.TCPAddrFromAddrPort(c.client)
	}
	return c.TCPConn.RemoteAddr()
}

// LocalAddr is our own end. Where that has the address of somebody else (TPROXY)
// it is the address of ours by which we reach the client, and the port where we
// listen.
func (c *Conn) LocalAddr() net.Addr {
	if c.local.IsValid() {
		return net.TCPAddrFromAddrPort(c.local)
	}
	return c.TCPConn.LocalAddr()
}

// Reached is the address at which the client called, where a balancer says so;
// else it is not valid. LocalAddr is our own end.
func (c *Conn) Reached() netip.AddrPort { return c.reached }

// Original is where the client wanted to go before a rule led him here; not valid
// if none did.
func (c *Conn) Original() netip.AddrPort { return c.original }

// Wanted is the server that the client has asked the door for, as "host:port"; ""
// if the door is not asked.
func (c *Conn) Wanted() string { return c.wanted }

// NetConn is the connection itself, over which nothing but the client's bytes
// moves any more.
func (c *Conn) NetConn() net.Conn { return c.TCPConn }

// Close closes the connection.
func (c *Conn) Close() error {
	if c.end != nil {
		c.end()
	}
	return c.TCPConn.Close()
}

// through makes a Conn of what a listener has accepted.
func through(c net.Conn) (*Conn, error) {
	switch c := c.(type) {
	case *Conn:
		return c, nil
	case *net.TCPConn:
		return &Conn{TCPConn: c}, nil
	}
	return nil, errors.New("doors: not a TCP connection")
}

const (
	// patience is how long a client may take for what a door wants to hear.
	patience = 10 * time.Second
	// maxWaiting bounds the clients that stand in a door. They hold a connection
	// and have said nothing yet.
	maxWaiting = 4096
)

// lobby accepts connections and talks to each apart, so that one who says nothing
// does not keep the others out.
type lobby struct {
	net.Listener
	talk   func(*Conn) (*Conn, error) // nil, nil: it is taken care of
	log    *slog.Logger
	ready  chan *Conn
	failed chan error // of Accept
	done   chan struct{}
	close  sync.Once

	mu      sync.Mutex
	waiting map[*Conn]bool // nil once closed
}

func newLobby(l net.Listener, log *slog.Logger, talk func(*Conn) (*Conn, error)) *lobby {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	b := &lobby{
		Listener: l, talk: talk, log: log,
		ready: make(chan *Conn), failed: make(chan error), done: make(chan struct{}),
		waiting: map[*Conn]bool{},
	}
	go b.run()
	return b
}

func (b *lobby) run() {
	for {
		raw, err := b.Listener.Accept()
		if err != nil {
			// Whoever listens decides whether to wait and go on (too many files are
			// open, a client has gone already) or to end.
			select {
			case b.failed <- err:
			case <-b.done:
				return
			}
			if errors.Is(err, net.ErrClosed) {
				return
			}
			continue
		}
		c, err := through(raw)
		if err != nil {
			b.log.Error("a connection cannot come through this door", "err", err)
			_ = raw.Close() // nobody wants it
			continue
		}
		if !b.enter(c) {
			_ = c.Close() // it was never talked to
			continue
		}
		go b.receive(c)
	}
}

// enter counts c among those that stand in the door.
func (b *lobby) enter(c *Conn) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.waiting == nil || len(b.waiting) >= maxWaiting {
		return false
	}
	b.waiting[c] = true
	return true
}

// leave counts c no more: whoever takes it may close the door behind it.
func (b *lobby) leave(c *Conn) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.waiting, c)
}

func (b *lobby) receive(c *Conn) {
	from := c.RemoteAddr().String()
	err := c.SetDeadline(time.Now().Add(patience))
	var got *Conn
	if err == nil {
		got, err = b.talk(c)
	}
	b.leave(c)
	if err == nil && got != nil {
		err = got.SetDeadline(time.Time{})
	}
	if err != nil {
		b.log.Warn("a client was turned away at the door", "client", from, "err", err)
		_ = c.Close() // what went wrong has been said
		return
	}
	if got == nil {
		return
	}
	select {
	case b.ready <- got:
	case <-b.done:
		_ = got.Close() // nobody waits for it any more
	}
}

// Accept implements [net.Listener].
func (b *lobby) Accept() (net.Conn, error) {
	select {
	case <-b.done:
		return nil, net.ErrClosed
	default:
	}
	select {
	case c := <-b.ready:
		return c, nil
	case err := <-b.failed:
		return nil, err
	case <-b.done:
		return nil, net.ErrClosed
	}
}

// Close ends the listener, and those who stand in the door.
func (b *lobby) Close() error {
	b.close.Do(func() { close(b.done) })
	err := b.Listener.Close()
	b.mu.Lock()
	defer b.mu.Unlock()
	for c := range b.waiting {
		_ = c.Close() // they have not come in
	}
	b.waiting = nil
	return err
}
