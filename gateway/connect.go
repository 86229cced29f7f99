package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"strings"
	"time"

	"towpath/ftp"
	"towpath/internal/alive"
)

// begin finds a server and shows its greeting to the client.
func (s *session) begin() error {
	greeting, err := s.seek()
	if errors.Is(err, ErrNeedUser) {
		return s.askWho()
	}
	if err != nil {
		s.log(slog.LevelWarn, "no server", "err", err)
		s.send(ftp.NewReply(421, "No server can be reached: "+plainError(err)+".").AppendTo(nil))
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.send(greeting)
	return nil
}

// seek tries one server after the other until one greets, and returns what it
// said.
func (s *session) seek() (greeting []byte, err error) {
	var tried []string
	var last error
	for {
		seat, err := s.set.Route.Route(s.ctx, s.visitor, tried)
		if err != nil {
			if last != nil && !errors.Is(err, ErrNeedUser) {
				return nil, fmt.Errorf("%w (the last one: %s)", err, plainError(last))
			}
			return nil, err
		}
		greeting, err := s.connect(seat)
		if err == nil {
			return greeting, nil
		}
		s.log(slog.LevelWarn, "server cannot be used", "server", seat.Server.String(), "err", err)
		if seat.Leave != nil {
			seat.Leave(err)
		}
		tried, last = append(tried, seat.Server.String()), err
		if len(tried) > mostTried || s.ctx.Err() != nil {
			return nil, last
		}
	}
}

// mostTried bounds how many servers are tried for one session.
const mostTried = 16

// connect opens the connection to a server and hears its greeting.
func (s *session) connect(seat *Seat) ([]byte, error) {
	ctx, cancel := context.WithTimeout(s.ctx, s.set.ConnectTimeout)
	defer cancel()
	if s.isOurCall() {
		return nil, errLoop
	}
	conn, err := dialFrom(ctx, seat.Server.As, seat.Server.Addr)
	if err != nil {
		return nil, err
	}
	s.gw.dials(conn, true)
	if s.isOurCall() { // our own call may have come in before it was written down
		s.gw.dials(conn, false)
		_ = conn.Close()
		return nil, errLoop
	}
	s.mu.Lock()
	s.server.set(conn)
	s.seat = seat
	s.mu.Unlock()
	deadline, _ := ctx.Deadline()
	_ = conn.SetDeadline(deadline)
	greeting, err := s.meet(ctx, seat)
	if err != nil {
		_ = conn.Close()
		s.gw.dials(conn, false)
		s.mu.Lock()
		s.server, s.seat = leg{}, nil
		s.mu.Unlock()
		return nil, err
	}
	_ = conn.SetDeadline(time.Time{})
	alive.Conn(conn, s.set.KeepAlive)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.server.writeUntil = time.Time{}
	s.tracker.Client, s.tracker.Server = s.server.local, s.server.peer
	s.rec.Server, s.rec.ServerAddr, s.rec.From = seat.Server.String(), s.server.peer, s.server.local
	if s.ctx.Err() != nil { // it was cut meanwhile
		return nil, context.Cause(s.ctx)
	}
	return greeting, nil
}

// meet speaks with a server until the client can.
func (s *session) meet(ctx context.Context, seat *Seat) ([]byte, error) {
	if s.gw.listensAt(s.server.peer) {
		return nil, fmt.Errorf("%v is this gateway itself", s.server.peer)
	}
	if v := seat.Server.Proxy; v != 0 {
		if s.set.Announce == nil {
			return nil, errors.New("PROXY is wanted and Options.Announce is not set")
		}
		if err := s.set.Announce(s.server.tcp, v, s.visitor.Client, s.visitor.called()); err != nil {
			return nil, err
		}
	}
	if seat.Server.TLS == ImplicitTLS {
		if err := s.secureServer(ctx); err != nil {
			return nil, err
		}
	}
	in := replies{in: &s.server.in}
	var greeting []byte
	for {
		raw, r, err := in.next()
		if err != nil {
			return nil, fmt.Errorf("no greeting: %w", err)
		}
		if r.Code == 0 {
			continue
		}
		s.tracker.Reply(r)
		greeting = append([]byte(nil), raw...)
		if s.transcript != nil {
			_ = s.transcript.Reply(r)
		}
		if r.Code == 120 {
			continue
		}
		if r.Code != 220 {
			return nil, fmt.Errorf("it greets with %s", r)
		}
		break
	}
	private := true
	kind := seat.Server.TLS
	if kind == SameTLS && s.client.secure.on() {
		kind, private = ExplicitTLS, s.client.private
	}
	switch kind {
	case ExplicitTLS:
		if err := s.exchange(&in, "AUTH TLS", 234); err != nil {
			return nil, err
		}
		if err := s.secureServer(ctx); err != nil {
			return nil, err
		}
		fallthrough
	case ImplicitTLS:
		if !private {
			break
		}
		for _, c := range []string{"PBSZ 0", "PROT P"} {
			if err := s.exchange(&in, c, 200); err != nil {
				return nil, err
			}
		}
		s.server.private = true
	}
	return greeting, nil
}

// exchange says something to the server before the client can, and wants an
// answer of this code.
func (s *session) exchange(in *replies, said string, code int) error {
	c, err := ftp.ParseCommand(said)
	if err != nil {
		return err
	}
	b, err := c.Encode()
	if err != nil {
		return err
	}
	s.tracker.Command(c)
	s.sent++
	if _, err := s.server.conn.Write(b); err != nil {
		return err
	}
	if s.transcript != nil {
		_ = s.transcript.Command(c)
	}
	for {
		_, r, err := in.next()
		if err != nil {
			return fmt.Errorf("%s: %w", said, err)
		}
		if r.Code == 0 {
			continue
		}
		s.tracker.Reply(r)
		if s.transcript != nil {
			_ = s.transcript.Reply(r)
		}
		switch {
		case r.Preliminary():
			continue
		case r.Code != code && (code != 200 || !r.Complete()):
			return &ftp.Error{Command: c, Reply: r}
		}
		return nil
	}
}

// askWho greets in the server's place, and asks who is there.
func (s *session) askWho() error {
	s.with(func() { s.say(ftp.NewReply(220, s.set.Banner), false) })
	var tries int
	for {
		raw, err := s.client.in.next(ftp.MaxLine)
		if err != nil {
			if errors.Is(err, ftp.ErrTooLong) {
				s.with(func() { s.deny(refuse(3, 500, "Line too long: at most %d bytes.", ftp.MaxLine)) })
				continue
			}
			if errors.Is(err, os.ErrDeadlineExceeded) {
				s.because(errNoLogin.Error())
				s.with(func() { s.say(ftp.NewReply(421, "Nobody logged in in time. Goodbye."), true) })
				err = errNoLogin
			}
			if errors.Is(err, io.EOF) {
				err = errClientGone
			}
			return err
		}
		if tries++; tries > mostBefore {
			s.because("too many commands before USER")
			s.with(func() { s.say(ftp.NewReply(421, "Too many commands before USER. Goodbye."), true) })
			return errNoLogin
		}
		l, err := readLine(raw)
		if err == ftp.ErrEmpty {
			continue
		}
		if err != nil || !first[l.command.Verb] {
			if !s.spoken {
				s.with(func() { notFTP(s, l) })
				return errNotFTP
			}
			s.with(func() { s.deny(refuse(0, 500, "Not understood before USER.")) })
			continue
		}
		s.spoken = true
		done, err := s.before(l)
		if done || err != nil {
			return err
		}
	}
}

// with calls do under the lock.
func (s *session) with(do func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	do()
}

// mostBefore bounds what a client may say before USER.
const mostBefore = 64

// before answers a command that came before the server is known. It says
// whether the server is known now.
func (s *session) before(l line) (done bool, err error) {
	c := l.command
	reply := func(code int, text string) (bool, error) {
		s.with(func() { s.say(ftp.NewReply(code, text), false) })
		return false, nil
	}
	switch c.Verb {
	case "QUIT":
		s.because(errClientGone.Error())
		s.with(func() { s.say(ftp.NewReply(221, "Goodbye."), true) })
		return true, errClientGone
	case "NOOP":
		return reply(200, "Done.")
	case "SYST":
		return reply(215, "UNIX Type: L8")
	case "FEAT":
		text := "Features:\n EPRT\n EPSV\n HOST\n UTF8\n"
		if s.terminates() {
			text += " AUTH TLS\n PBSZ\n PROT\n"
		}
		return reply(211, text+"End")
	case "OPTS", "CLNT":
		return reply(200, "Noted.")
	case "AUTH", "PBSZ", "PROT", "CCC":
		var after func() error
		s.with(func() { after = handlers[c.Verb](s, l) })
		if after != nil {
			return false, after()
		}
		return false, nil
	case "HOST":
		s.with(func() { s.visitor.Host = strings.TrimSpace(c.Arg) })
		err := s.settleOn(l)
		if no, is := errors.AsType[NoWay](err); is {
			s.with(func() { s.visitor.Host = "" })
			return reply(504, s.noWay(no, err))
		}
		if !errors.Is(err, ErrNeedUser) {
			return err == nil, err
		}
		return reply(220, "Noted.")
	case "USER":
		if !s.secured(c.Verb) {
			return reply(530, "This gateway wants TLS before login; say AUTH TLS.")
		}
		s.with(func() { s.visitor.User = c.Arg })
		err := s.settleOn(l)
		if no, is := errors.AsType[NoWay](err); is {
			s.with(func() { s.visitor.User = "" })
			return reply(530, s.noWay(no, err))
		}
		if errors.Is(err, ErrNeedUser) {
			return reply(530, "Say which server: USER name@host, or HOST before USER.")
		}
		return err == nil, err
	}
	return reply(530, "Log in first.")
}

// noWay is what a client hears who named a server that there is not for him.
func (s *session) noWay(no NoWay, err error) string {
	s.log(slog.LevelWarn, "no server", "err", err)
	if text := err.Error(); text != no.Error() {
		return text + "."
	}
	return strings.ToUpper(string(no[:1])) + string(no[1:]) + "."
}

// settleOn connects to the server that is known now and hands it l, whose reply
// the client hears in its turn.
func (s *session) settleOn(l line) error {
	_, err := s.seek()
	if _, never := errors.AsType[NoWay](err); never || errors.Is(err, ErrNeedUser) {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		s.log(slog.LevelWarn, "no server", "err", err)
		s.cause = "no server: " + plainError(err)
		s.say(ftp.NewReply(421, "No server can be reached: "+plainError(err)+"."), true)
		return err
	}
	if l.command.Verb == "USER" && s.visitor.Host != "" {
		s.ask(ftp.Command{Verb: "HOST", Arg: s.visitor.Host}, nothing)
	}
	s.dispatch(l.raw, false)
	return nil
}

// errLoop: a rule that redirects connections catches the gateway's own as well.
var errLoop = errors.New("the connection comes from this gateway itself: a rule redirects its own connections to it")

// dials takes note of our end of a connection to a server, or forgets it.
func (g *Gateway) dials(conn net.Conn, there bool) {
	own := endpoint(conn.LocalAddr())
	g.mu.Lock()
	defer g.mu.Unlock()
	if there {
		g.dialled[own] = endpoint(conn.RemoteAddr())
	} else {
		delete(g.dialled, own)
	}
}

// isOurCall reports whether the client is this gateway itself: both ends must be
// those of a call of ours, since a client on the same machine may come from a port
// from which we call somebody else.
func (s *session) isOurCall() bool {
	s.gw.mu.Lock()
	defer s.gw.mu.Unlock()
	to, is := s.gw.dialled[s.visitor.Client]
	return is && (to == s.client.local || to == s.visitor.Original)
}

// listensAt reports whether to is a control port of this gateway.
func (g *Gateway) listensAt(to netip.AddrPort) bool {
	return g.roster.ListensAt(func(a net.Addr) bool {
		at := endpoint(a)
		return at == to || at.Addr().IsUnspecified() && at.Port() == to.Port() && isLocal(to.Addr())
	})
}

func isLocal(a netip.Addr) bool {
	if a.IsLoopback() {
		return true
	}
	all, err := net.InterfaceAddrs()
	if err != nil {
		return false
	}
	for _, n := range all {
		if p, err := netip.ParsePrefix(n.String()); err == nil && p.Addr().Unmap() == a {
			return true
		}
	}
	return false
}
