package ftpserver

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"time"

	"towpath/ftp"
	"towpath/internal/records"
	"towpath/internal/resume"
)

// auth is AUTH (RFC 4217 4). TLS-C is an old name of TLS; SSL and TLS-P also
// protect the data connections at once, as the drafts before the RFC had it.
func (s *session) auth(_ context.Context, arg string) (ftp.Reply, error) {
	if s.set.TLS == nil {
		return ftp.Reply{}, refuse(502, "This server speaks no TLS.", nil)
	}
	if s.binding != nil {
		return ftp.Reply{}, refuse(503, "TLS is on already.", nil)
	}
	private := false
	switch strings.ToUpper(strings.TrimSpace(arg)) {
	case "TLS", "TLS-C":
	case "SSL", "TLS-P":
		private = true
	default:
		return ftp.Reply{}, refuse(504, "AUTH TLS is the mechanism here.", nil)
	}
	if s.in.Buffered() > 0 || len(s.pending) > 0 {
		// Somebody on the way may have put commands there, to be taken for
		// the client's once it is secure.
		return ftp.Reply{}, refuse(503, "Bytes came behind AUTH before its answer; TLS refused.", nil)
	}
	s.reset()
	s.send(ftp.NewReply(234, "Begin TLS now."))
	if err := s.secure(); err != nil {
		s.log(slog.LevelWarn, "TLS handshake failed", "err", err)
		s.gone.Store(true)
		return ftp.Reply{}, nil
	}
	s.private = private
	return ftp.Reply{}, nil
}

// secure does the handshake on the control connection. Nothing that was read
// before it survives.
func (s *session) secure() error {
	base := s.set.TLS
	if s.host != "" && s.set.HostTLS != nil {
		c, err := s.set.HostTLS(s.host)
		if err != nil {
			return err
		}
		if c != nil {
			base = c
		}
	}
	b := resume.NewBinding(base, s.set.Binding)
	c := tls.Server(records.OneByOne(s.tcp), b.Control())
	by := time.Now().Add(handshakeTimeout)
	if login := s.loginBy(); !login.IsZero() && login.Before(by) {
		by = login
	}
	_ = s.tcp.SetDeadline(by)
	s.armed, s.writeUntil = false, by
	if err := c.HandshakeContext(s.srv.ctx); err != nil {
		return fmt.Errorf("control connection: %w", err)
	}
	if s.host == "" {
		s.host = c.ConnectionState().ServerName
	}
	s.setConn(c)
	s.binding = b
	return nil
}

// setConn makes c the connection that the dialogue is spoken on.
func (s *session) setConn(c net.Conn) {
	s.writing.Lock()
	defer s.writing.Unlock()
	s.conn = c
	_, secured := c.(*tls.Conn)
	s.secured.Store(secured)
	if s.in != nil {
		s.in.Reset(c)
	}
}

// bufferSize is PBSZ: TLS needs none, so that it is always 0 (RFC 4217 8).
func (s *session) bufferSize(_ context.Context, arg string) (ftp.Reply, error) {
	if s.binding == nil {
		return ftp.Reply{}, refuse(503, "PBSZ comes after AUTH TLS.", nil)
	}
	if _, err := ftp.ParseSize(strings.TrimSpace(arg)); err != nil {
		return ftp.Reply{}, errSyntax
	}
	return ftp.NewReply(200, "PBSZ=0"), nil
}

// protection is PROT.
func (s *session) protection(_ context.Context, arg string) (ftp.Reply, error) {
	if s.binding == nil {
		return ftp.Reply{}, refuse(503, "PROT comes after AUTH TLS.", nil)
	}
	switch strings.ToUpper(strings.TrimSpace(arg)) {
	case "P":
		s.private = true
		return ftp.NewReply(200, "Data connections are private."), nil
	case "C":
		if u := s.user(); s.set.RequireTLS || u != nil && u.RequireTLS {
			return ftp.Reply{}, refuse(534, "Data goes over TLS only here.", nil)
		}
		s.private = false
		return ftp.NewReply(200, "Data connections are clear text."), nil
	case "S", "E":
		return ftp.Reply{}, refuse(536, "PROT levels are C and P.", nil)
	default:
		return ftp.Reply{}, refuse(504, "PROT levels are C and P.", nil)
	}
}

// clearCommandChannel is CCC (RFC 4217 6): the control connection goes on in
// clear text, so that a firewall can read it; what was agreed for the data
// stays. The client is told over TLS, then both sides close TLS.
func (s *session) clearCommandChannel(context.Context, string) (ftp.Reply, error) {
	c, ok := s.conn.(*tls.Conn)
	if !ok {
		return ftp.Reply{}, refuse(533, "The control connection is in clear text already.", nil)
	}
	if u := s.user(); s.set.RequireTLS || u != nil && u.RequireTLS {
		return ftp.Reply{}, refuse(534, "The control connection stays under TLS here.", nil)
	}
	if s.in.Buffered() > 0 || len(s.pending) > 0 {
		return ftp.Reply{}, refuse(503, "Commands came behind CCC before its answer.", nil)
	}
	s.send(ftp.NewReply(200, "Clear text from now on."))
	_ = s.tcp.SetReadDeadline(time.Now().Add(handshakeTimeout))
	s.armed = false
	err := c.CloseWrite()
	s.writeUntil = time.Time{} // crypto/tls has set a write deadline of its own
	if err == nil {
		// The client has said CCC under TLS: that curl goes on without a
		// close_notify lets nobody in who could not come in behind one.
		var b [1]byte
		if _, rerr := c.Read(b[:]); !errors.Is(rerr, io.EOF) && !errors.Is(rerr, records.ErrClear) {
			err = fmt.Errorf("want a close_notify from the client: %w", rerr)
		}
	}
	if err != nil {
		s.log(slog.LevelWarn, "CCC failed", "err", err)
		s.gone.Store(true)
		return ftp.Reply{}, nil
	}
	s.setConn(c.NetConn().(*records.Reader).Clear())
	return ftp.Reply{}, nil
}
