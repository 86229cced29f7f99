package ftpclient

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// tickets hold the newest TLS session of a control connection, for its data
// connections to resume. Many servers require it, as proof that both belong to
// the same client. Tickets from data connections are left aside: with some
// servers they lead to another session than that of the control connection,
// and FileZilla Server sends a new one on the control connection for each
// transfer.
type tickets struct {
	mu     sync.Mutex
	newest *tls.ClientSessionState
	base   *tls.Config
}

// newTickets makes the configuration of a session out of the user's. A name of
// the server is always set: without it crypto/tls files sessions under address
// and port, and data connections, which go to another port, find none.
func newTickets(base *tls.Config, host string) *tickets {
	if base == nil {
		base = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	c := base.Clone()
	if c.ServerName == "" {
		c.ServerName = host
	}
	c.SessionTicketsDisabled = false
	return &tickets{base: c}
}

// control is the configuration of the control connection. It resumes nothing:
// it is what begins.
func (t *tickets) control() *tls.Config {
	c := t.base.Clone()
	c.ClientSessionCache = fromControl{t}
	return c
}

// data is the configuration of data connections.
func (t *tickets) data() *tls.Config {
	c := t.base.Clone()
	c.ClientSessionCache = forData{t}
	return c
}

type fromControl struct{ *tickets }

func (t fromControl) Get(string) (*tls.ClientSessionState, bool) { return nil, false }

func (t fromControl) Put(_ string, s *tls.ClientSessionState) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.newest = s
}

type forData struct{ *tickets }

func (t forData) Get(string) (*tls.ClientSessionState, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.newest, t.newest != nil
}

func (t forData) Put(string, *tls.ClientSessionState) {}

// secure puts TLS over the control connection. Nothing read before it survives.
func (s *session) secure(ctx context.Context) error {
	s.tls = newTickets(s.set.TLSConfig, s.host)
	c := tls.Client(s.raw, s.tls.control())
	if err := c.HandshakeContext(ctx); err != nil {
		return fmt.Errorf("TLS with %s: %w", s.host, err)
	}
	s.conn = c
	s.in.Reset(c)
	return nil
}

// beneath is a data connection as TLS sees it. The deadlines are ours alone:
// tls.Conn.CloseWrite would give close_notify five seconds, which is too short
// behind megabytes in the buffer of a slow line. And it takes note of how the
// TCP connection ended: crypto/tls passes an end between two records on as a
// good one, close_notify or not.
type beneath struct {
	net.Conn
	eof atomic.Bool
}

func (b *beneath) SetDeadline(time.Time) error      { return nil }
func (b *beneath) SetWriteDeadline(time.Time) error { return nil }
func (b *beneath) SetReadDeadline(time.Time) error  { return nil }

func (b *beneath) Read(p []byte) (int, error) {
	n, err := b.Conn.Read(p)
	if err == io.EOF {
		b.eof.Store(true)
	}
	return n, err
}
