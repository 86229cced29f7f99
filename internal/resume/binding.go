// Package resume lets the data connections of FTP resume the TLS session of their
// control connection, on both halves: a [Binding] is the server's, who wants to
// know that both belong to the same client, and [Tickets] are the client's.
//
// It opens no connections: it makes configurations for crypto/tls.
package resume

import (
	"bytes"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
)

// The names of FTP in ALPN (RFC 7301). A client that offers protocols and ours
// not among them is refused by crypto/tls, so that nobody can point a web
// browser's connection at us (the ALPACA attack). FileZilla speaks "ftp-data"
// on data connections.
const (
	protocolFTP     = "ftp"
	protocolFTPData = "ftp-data"
)

// Errors of data connections over TLS.
var (
	// ErrForeign: the TLS session that the client wants to resume was
	// begun on somebody else's control connection, or on an earlier one.
	ErrForeign = errors.New("data connection resumes the TLS session of another control connection")
	// ErrUnbound: [Require] and nothing was resumed (522).
	ErrUnbound = errors.New("data connection does not resume the TLS session of its control connection")
)

// Mode says what a data connection must show.
type Mode int

// Prefer counts what resumes nothing, Require refuses it, and Off does not look.
const (
	Prefer Mode = iota
	Require
	Off
)

// Binding ties the data connections of one control session to it.
//
// That a TLS connection resumes some session proves only that the client has
// been here before; any other user has as well. So each ticket carries, under
// the encryption of the ticket itself, the name of the control session on
// which it was issued, and a data connection resumes none but tickets with
// that name. Tickets issued on data connections carry it too, for clients that
// always use the latest; for those that keep the first, a ticket is good for
// the seven days that TLS allows, longer than any session.
//
//	ticket presented on a data connection   Off     Prefer   Require
//	of this control session                 bound   bound    bound
//	of another control session              free    free     refused
//	none, or none that we can read          free    free     refused
//
// A ticket of another session under Prefer is no proof of anything evil: clients
// that keep several sessions and one cache show whichever came last (rclone
// 1.60 does), and a thief would show none. It is not resumed, and counted.
//
// The control connection itself resumes nothing: a client that comes back must
// get a ticket of its new session, or its data connections would show the old
// one.
type Binding struct {
	base *tls.Config
	mode Mode
	name []byte // an entry of SessionState.Extra: ticketMark, then 16 random bytes

	// foreign: a data connection has shown the ticket of another session.
	foreign atomic.Bool

	mu                    sync.Mutex
	controlConn, dataConn *tls.Config
}

// ticketMark begins our entry in SessionState.Extra, which other layers may
// share.
const ticketMark = "towpath control session 1:"

// NewBinding binds a control session that uses base, whose ticket keys are
// shared by all sessions. If base has tickets disabled, nothing can be
// resumed, and [Require] refuses every data connection.
func NewBinding(base *tls.Config, mode Mode) *Binding {
	name := make([]byte, len(ticketMark)+16)
	_, _ = rand.Read(name[copy(name, ticketMark):]) // never fails
	return &Binding{base: base, mode: mode, name: name}
}

// Control is the configuration for the control connection.
func (b *Binding) Control() *tls.Config {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.controlConn == nil {
		b.controlConn = b.bind(b.base, false)
	}
	return b.controlConn
}

// Data is the configuration for the data connections. It is made when first
// asked for, since most idle sessions hold none.
func (b *Binding) Data() *tls.Config {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.dataConn == nil {
		b.dataConn = b.bind(b.base, true)
	}
	return b.dataConn
}

// bind returns c as this session needs it, and does the same with what c gives
// to single clients.
func (b *Binding) bind(c *tls.Config, data bool) *tls.Config {
	bound := c.Clone()
	bound.MinVersion = max(bound.MinVersion, tls.VersionTLS12)
	bound.NextProtos = withProtocol(bound.NextProtos, protocolFTP)
	bound.WrapSession = b.wrap
	bound.UnwrapSession = resumeNothing
	if data {
		bound.NextProtos = withProtocol(bound.NextProtos, protocolFTPData)
		bound.UnwrapSession = b.unwrap
		// Small first records spare a web page a round trip. A file has
		// nothing to show until it is whole.
		bound.DynamicRecordSizingDisabled = true
	}
	if choose := c.GetConfigForClient; choose != nil {
		bound.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
			chosen, err := choose(hello)
			if chosen == nil || err != nil {
				return nil, err
			}
			return b.bind(chosen, data), nil
		}
	}
	return bound
}

func withProtocol(protocols []string, p string) []string {
	if slices.Contains(protocols, p) {
		return protocols
	}
	return append(slices.Clip(protocols), p)
}

// wrap writes the name of the session into a ticket.
func (b *Binding) wrap(cs tls.ConnectionState, s *tls.SessionState) ([]byte, error) {
	s.Extra = append(s.Extra, b.name)
	if b.base.WrapSession != nil {
		return b.base.WrapSession(cs, s)
	}
	return b.base.EncryptTicket(cs, s)
}

// unwrap reads a ticket presented on a data connection. An error ends the
// handshake; nil leads to a full one.
func (b *Binding) unwrap(ticket []byte, cs tls.ConnectionState) (*tls.SessionState, error) {
	read := b.base.DecryptTicket
	if b.base.UnwrapSession != nil {
		read = b.base.UnwrapSession
	}
	s, err := read(ticket, cs)
	if s == nil || err != nil {
		return nil, err
	}
	for _, extra := range s.Extra {
		switch {
		case bytes.Equal(extra, b.name):
			return s, nil
		case !bytes.HasPrefix(extra, []byte(ticketMark)):
		case b.mode == Require:
			return nil, ErrForeign
		case b.mode == Prefer:
			b.foreign.Store(true)
		}
	}
	return nil, nil
}

// Foreign says, once, that a data connection has shown the ticket of another
// session.
func (b *Binding) Foreign() bool { return b.foreign.Swap(false) }

func resumeNothing([]byte, tls.ConnectionState) (*tls.SessionState, error) { return nil, nil }

// Verify judges a data connection, which used [Binding.Data], after its
// handshake. Bound says that whoever opened it holds the control connection
// too. The error says that it must not be used. With [Require] a handshake
// that showed the ticket of another session has failed with ErrForeign
// before.
func (b *Binding) Verify(cs tls.ConnectionState) (bound bool, err error) {
	if !cs.DidResume && b.mode == Require {
		return false, ErrUnbound
	}
	return cs.DidResume, nil
}
