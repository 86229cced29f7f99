package gateway

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"
	"time"

	"towpath/ftp"
	"towpath/ftp/dialogue"
	"towpath/internal/records"
	"towpath/internal/resume"
)

// security is TLS on one leg; the zero value is none. On the client's side the
// tickets that data connections resume are bound to the session; towards the
// server we resume the newest that the control connection was given.
type security struct {
	binding *resume.Binding
	tickets *resume.Tickets
}

// on says whether TLS was begun, be it that CCC has ended it for the dialogue.
func (s security) on() bool { return s.binding != nil || s.tickets != nil }

// dataConfig is what a data connection speaks, nil for clear text.
func (s security) dataConfig(private bool) *tls.Config {
	switch {
	case !private:
		return nil
	case s.binding != nil:
		return s.binding.Data()
	case s.tickets != nil:
		return s.tickets.Data()
	}
	return nil
}

// handshakeTimeout bounds a TLS handshake.
const handshakeTimeout = 20 * time.Second

// terminates says whether the gateway speaks TLS with clients.
func (s *session) terminates() bool {
	return s.set.ClientTLS == TerminateTLS || s.set.ClientTLS == RequireTLS
}

// secured says whether a command may come in the clear.
func (s *session) secured(verb string) bool {
	if s.set.ClientTLS != RequireTLS || s.client.secure.on() {
		return true
	}
	switch verb {
	case "USER", "PASS", "ACCT":
		return false
	}
	return true
}

// secureClient does the handshake with the client. Nothing that was read
// before it survives. It is called without the lock, as secureServer is: a slow
// peer shall keep nobody from looking at the session.
func (s *session) secureClient() error {
	b := resume.NewBinding(s.set.TLS, resume.Prefer)
	c := tls.Server(records.OneByOne(s.client.tcp), b.Control())
	_ = s.client.tcp.SetDeadline(time.Now().Add(handshakeTimeout))
	if err := c.HandshakeContext(s.ctx); err != nil {
		return err
	}
	_ = s.client.tcp.SetWriteDeadline(time.Time{})
	_ = s.client.tcp.SetReadDeadline(s.rec.Began.Add(s.set.LoginTimeout))
	s.with(func() {
		s.client.writeUntil = time.Time{}
		s.client.conn, s.client.secure.binding = c, b
		s.client.in.reset(c)
		s.visitor.TLS, s.visitor.ServerName = true, c.ConnectionState().ServerName
	})
	return nil
}

// secureServer does the handshake with the server.
func (s *session) secureServer(ctx context.Context) error {
	host, _, err := net.SplitHostPort(s.seat.Server.Addr)
	if err != nil {
		host = s.seat.Server.Addr
	}
	t := resume.NewTickets(s.seat.Server.Config, host)
	c := tls.Client(s.server.tcp, t.Control())
	if s.server.in.buffered() > 0 {
		return errors.New("bytes came behind the answer to AUTH, before TLS")
	}
	if err := c.HandshakeContext(ctx); err != nil {
		return fmt.Errorf("TLS with the server: %w", err)
	}
	s.with(func() {
		s.server.conn, s.server.secure.tickets = c, t
		s.server.in.reset(c)
		s.rec.ServerTLS = true
	})
	return nil
}

// auth is AUTH.
func auth(s *session, l line) func() error {
	switch {
	case s.set.ClientTLS == RefuseTLS:
		s.deny(refuse(0, 534, "TLS is not let through here, since its addresses could not be repaired."))
		return nil
	case !s.terminates():
		return s.passTLS(l)
	case l.command.Verb != "AUTH":
		return notServed(s, l)
	case s.client.secure.on():
		s.deny(refuse(0, 503, "TLS is on already."))
		return nil
	}
	private := false
	switch strings.ToUpper(strings.TrimSpace(l.command.Arg)) {
	case "TLS", "TLS-C":
	case "SSL", "TLS-P":
		private = true
	default:
		s.deny(refuse(0, 504, "AUTH TLS is the mechanism here."))
		return nil
	}
	if l.ahead || len(s.owed) > 0 || s.client.in.buffered() > 0 {
		// Somebody on the way may have put commands there, to be taken for
		// the client's once it is secure.
		s.deny(refuse(13, 503, "AUTH comes alone: nothing may be sent ahead of it or behind it."))
		return nil
	}
	s.drop()
	s.client.private = private
	if s.seat != nil && s.seat.Server.TLS == SameTLS {
		return s.authBoth()
	}
	return s.startTLS
}

// startTLS says 234 and does the handshake, in the goroutine that reads the
// client.
func (s *session) startTLS() error {
	s.with(func() {
		s.send(ftp.NewReply(234, "Begin TLS now.").AppendTo(nil))
		s.mute = true
	})
	if err := s.secureClient(); err != nil {
		return fmt.Errorf("TLS handshake with the client failed: %w", err)
	}
	s.with(func() { s.mute = false })
	return nil
}

// authBoth asks the server for TLS first, and the client gets it if the server
// speaks it.
func (s *session) authBoth() func() error {
	type outcome struct {
		raw []byte
		err error
	}
	answered := make(chan outcome, 1)
	s.ask(ftp.Command{Verb: "AUTH", Arg: "TLS"}, func(x dialogue.Exchange, raw []byte) {
		if x.Reply.Code != 234 {
			answered <- outcome{raw: append([]byte(nil), raw...)}
			return
		}
		// This is the goroutine that reads the server.
		ctx, cancel := context.WithTimeout(s.ctx, handshakeTimeout)
		defer cancel()
		s.mu.Unlock()
		err := s.secureServer(ctx)
		s.mu.Lock()
		s.tracker.Resync()
		answered <- outcome{err: err}
	})
	return func() error {
		select {
		case o := <-answered:
			if o.raw != nil {
				s.mu.Lock()
				s.client.private = false
				s.send(o.raw)
				s.mu.Unlock()
				return nil
			}
			if o.err != nil {
				return o.err
			}
			return s.startTLS()
		case <-s.relayed:
			return errServerGone
		case <-s.ctx.Done():
			return context.Cause(s.ctx)
		}
	}
}

// passTLS hands AUTH to the server. If that agrees, the gateway sees no more.
func (s *session) passTLS(l line) func() error {
	if s.seat == nil || s.server.secure.on() {
		s.deny(refuse(0, 502, "The client's TLS is not let through here."))
		return nil
	}
	if l.ahead || len(s.owed) > 0 || s.client.in.buffered() > 0 {
		s.deny(refuse(13, 503, "AUTH comes alone: nothing may be sent ahead of it or behind it."))
		return nil
	}
	refused := make(chan struct{})
	o := s.forward(l)
	o.then = func(x dialogue.Exchange, raw []byte) {
		s.send(raw)
		if x.Reply.Code != 234 && x.Reply.Code != 235 {
			close(refused)
			return
		}
		s.drop()
		s.blind = true
		s.gw.counters.blind.Add(1)
		s.rec.Blind = "the client speaks TLS with the server itself; addresses are not repaired"
		s.rec.Advice = "terminate TLS at the gateway, or give the server a public address and a range of ports that is forwarded"
		s.log(slog.LevelWarn, "session goes blind", "why", s.rec.Blind, "advice", s.rec.Advice)
	}
	return func() error {
		select {
		case <-refused:
			return nil
		case <-s.relayed: // what the server says is read no more
			if s.blind {
				return s.blindly()
			}
			return nil
		case <-s.ctx.Done():
			return context.Cause(s.ctx)
		}
	}
}

// blindly relays bytes that cannot be read, record by record, until one of the
// two ends, or until the client goes on in clear text where a record was due:
// that is CCC, and the dialogue can be followed again.
func (s *session) blindly() error {
	relayed := make(chan struct{})
	s.with(func() {
		s.relayed = relayed
		for _, l := range []*leg{&s.client, &s.server} {
			_ = l.tcp.SetDeadline(time.Time{})
			l.writeUntil = time.Time{}
		}
	})
	s.goesOn() // sets when to look whether anything is said
	go func() {
		err := s.carryRecords(&s.client, &s.server)
		if errors.Is(err, records.ErrClear) {
			s.relayReplies(relayed)
			return
		}
		defer close(relayed)
		s.with(func() { s.farewell(0, "", errServerGone) })
	}()
	err := s.carryRecords(&s.server, &s.client)
	if !errors.Is(err, records.ErrClear) {
		if err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
			err = errClientGone
		}
		return err
	}
	s.with(func() {
		s.tracker.Resync()
		s.blind, s.resynced, s.last = false, true, s.now()
		s.log(slog.LevelInfo, "session can be followed again", "since", "CCC")
		s.rec.Blind, s.rec.Advice = "", ""
	})
	_ = s.client.tcp.SetReadDeadline(time.Now().Add(s.set.IdleTimeout))
	return nil
}

// carryRecords hands on what comes from one side. The error is nil at its end,
// and [records.ErrClear] when clear text comes, with which from can go on.
func (s *session) carryRecords(to, from *leg) error {
	in := records.OneByOne(&begun{from.conn, from.in.rest()})
	buf := make([]byte, 4<<10) // an idle session keeps it
	for {
		n, err := in.Read(buf)
		if n > 0 {
			var failed error
			s.with(func() {
				s.last = s.now()
				failed = to.write(buf[:n])
			})
			if failed != nil {
				return failed
			}
		}
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded) && from == &s.client && s.goesOn():
		case errors.Is(err, records.ErrClear):
			s.with(func() { from.in.reset(in.Clear()) })
			return err
		case err == io.EOF:
			return nil
		case err != nil:
			return err
		}
	}
}

// begun is a connection of which something has been read.
type begun struct {
	net.Conn
	first []byte
}

func (b *begun) Read(p []byte) (int, error) {
	if len(b.first) > 0 {
		n := copy(p, b.first)
		b.first = b.first[n:]
		return n, nil
	}
	return b.Conn.Read(p)
}

// bufferSize is PBSZ: TLS needs none, so that it is always 0 (RFC 4217 8).
func bufferSize(s *session, l line) func() error {
	if !s.terminates() {
		s.forward(l)
		return nil
	}
	if !s.client.secure.on() {
		s.deny(refuse(0, 503, "PBSZ comes after AUTH TLS."))
		return nil
	}
	s.say(ftp.NewReply(200, "PBSZ=0"), false)
	return nil
}

// protection is PROT. What the server is told follows it where the server's TLS
// follows the client's.
func protection(s *session, l line) func() error {
	if !s.terminates() {
		s.forward(l)
		return nil
	}
	if !s.client.secure.on() {
		s.deny(refuse(0, 503, "PROT comes after AUTH TLS."))
		return nil
	}
	level := strings.ToUpper(strings.TrimSpace(l.command.Arg))
	switch {
	case level == "C" && s.set.ClientTLS == RequireTLS:
		s.deny(refuse(0, 534, "Data goes over TLS only here."))
		return nil
	case level == "S" || level == "E":
		s.deny(refuse(0, 536, "PROT levels are C and P."))
		return nil
	case level != "C" && level != "P":
		s.deny(refuse(0, 504, "PROT levels are C and P."))
		return nil
	}
	private := level == "P"
	if s.seat == nil || s.seat.Server.TLS != SameTLS || !s.server.secure.on() {
		s.client.private = private
		s.say(ftp.NewReply(200, "PROT "+level+" it is."), false)
		return nil
	}
	s.ask(ftp.Command{Verb: "PBSZ", Arg: "0"}, nothing)
	s.ask(ftp.Command{Verb: "PROT", Arg: level}, func(x dialogue.Exchange, raw []byte) {
		if x.Reply.Complete() {
			s.client.private, s.server.private = private, private
		}
		s.send(raw)
	})
	return nil
}

// nothing takes the answer to a command that the client has not said.
func nothing(dialogue.Exchange, []byte) {}

// clearControl is CCC (RFC 4217 6): the client's control connection goes on in
// clear text; what was agreed for the data stays.
func clearControl(s *session, l line) func() error {
	if !s.terminates() {
		s.forward(l)
		return nil
	}
	c, ok := s.client.conn.(*tls.Conn)
	switch {
	case !ok:
		s.deny(refuse(0, 533, "The control connection is in clear text already."))
		return nil
	case s.set.ClientTLS == RequireTLS:
		s.deny(refuse(0, 534, "The control connection stays under TLS here."))
		return nil
	case l.ahead || len(s.owed) > 0 || s.client.in.buffered() > 0:
		s.deny(refuse(13, 503, "CCC comes alone: nothing may be sent ahead of it or behind it."))
		return nil
	}
	return func() error {
		s.with(func() {
			s.send(ftp.NewReply(200, "Clear text from now on.").AppendTo(nil))
			s.mute = true
		})
		_ = s.client.tcp.SetReadDeadline(time.Now().Add(handshakeTimeout))
		if err := c.CloseWrite(); err != nil {
			return fmt.Errorf("CCC: %w", err)
		}
		// curl goes on without a close_notify.
		var b [1]byte
		if _, err := c.Read(b[:]); !errors.Is(err, io.EOF) && !errors.Is(err, records.ErrClear) {
			return fmt.Errorf("CCC: want a close_notify from the client: %w", err)
		}
		s.with(func() {
			s.client.conn = c.NetConn().(*records.Reader).Clear()
			s.client.in.reset(s.client.conn)
			s.client.writeUntil = time.Time{} // crypto/tls has set a deadline of its own
			s.mute = false
			_ = s.client.tcp.SetReadDeadline(s.last.Add(s.set.IdleTimeout))
		})
		return nil
	}
}
