package resume

import (
	"crypto/tls"
	"sync"
)

// Tickets hold the newest TLS session of a control connection, for its data
// connections to resume. Many servers require it, as proof that both belong to
// the same client. Tickets from data connections are left aside: with some
// servers they lead to another session than that of the control connection,
// and FileZilla Server sends a new one on the control connection for each
// transfer.
type Tickets struct {
	mu     sync.Mutex
	newest *tls.ClientSessionState
	base   *tls.Config
}

// NewTickets makes the configuration of a session out of the user's. A name of
// the server is always set: without it crypto/tls files sessions under address
// and port, and data connections, which go to another port, find none.
func NewTickets(base *tls.Config, host string) *Tickets {
	if base == nil {
		base = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	c := base.Clone()
	if c.ServerName == "" {
		c.ServerName = host
	}
	c.SessionTicketsDisabled = false
	return &Tickets{base: c}
}

// The names are offered in ALPN (RFC 7301), so that no server of another
// protocol takes our connection for its own (ALPACA), and servers that demand one
// get one. FileZilla Server takes ftp on the control connection and ftp-data on
// the other; vsftpd 3.0.4 and later want ftp on both.

// Control is the configuration of the control connection. It resumes nothing:
// it is what begins.
func (t *Tickets) Control() *tls.Config {
	return t.config(fromControl{t}, protocolFTP)
}

// Data is the configuration of data connections.
func (t *Tickets) Data() *tls.Config {
	return t.config(forData{t}, protocolFTPData, protocolFTP)
}

func (t *Tickets) config(cache tls.ClientSessionCache, protocols ...string) *tls.Config {
	c := t.base.Clone()
	c.ClientSessionCache = cache
	if c.NextProtos == nil {
		c.NextProtos = protocols
	}
	return c
}

type fromControl struct{ *Tickets }

func (t fromControl) Get(string) (*tls.ClientSessionState, bool) { return nil, false }

func (t fromControl) Put(_ string, s *tls.ClientSessionState) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.newest = s
}

type forData struct{ *Tickets }

func (t forData) Get(string) (*tls.ClientSessionState, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.newest, t.newest != nil
}

func (t forData) Put(string, *tls.ClientSessionState) {}
