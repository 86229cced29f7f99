package ftpserver

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"strings"
	"time"

	"towpath/ftp"
)

// username is USER. It also ends a login that was there (RFC 959 4.1.1).
func (s *session) username(_ context.Context, arg string) (ftp.Reply, error) {
	s.logout()
	if s.set.RequireTLS && s.binding == nil {
		return ftp.Reply{}, refuse(530, "This server wants TLS: send AUTH TLS first.", nil)
	}
	s.name = arg
	return ftp.NewReply(331, "Password, please."), nil
}

// password is PASS. What a failure costs, and what it says, is the same
// whether the name exists or not.
func (s *session) password(ctx context.Context, arg string) (ftp.Reply, error) {
	if s.user() != nil {
		return ftp.NewReply(202, "Already logged in."), nil
	}
	if s.name == "" {
		return ftp.Reply{}, refuse(503, "Send USER first.", nil)
	}
	if s.srv.admission.banned(s.peer.Addr()) { // by what other sessions did since this one began
		s.ending = true
		return ftp.NewReply(421, "Too many failed logins from your address. Goodbye."), nil
	}
	l := Login{Name: s.name, Password: arg, Peer: s.peer, Host: s.host, TLS: s.tlsState()}
	s.name = ""
	u, err := s.set.Login(ctx, l)
	s.set.Events(LoginEvent{Session: s.id, Time: time.Now(), Peer: s.peer, User: l.Name, TLS: l.TLS != nil, Err: err})
	if err != nil {
		return s.turnAway(l, err), nil
	}
	return s.letIn(u), nil
}

// tlsState is the state of the control connection, nil in clear text.
func (s *session) tlsState() *tls.ConnectionState {
	c, ok := s.conn.(*tls.Conn)
	if !ok {
		return nil
	}
	state := c.ConnectionState()
	return &state
}

// letIn makes u the user of the session.
func (s *session) letIn(u *User) ftp.Reply {
	s.srv.admission.succeeded(s.peer.Addr())
	s.failures, s.before = 0, 0
	s.cwd = "/"
	if u.Home != "" {
		s.cwd = u.Home
	}
	s.idle = s.set.IdleTimeout
	if u.IdleTimeout != 0 {
		s.idle = u.IdleTimeout
	}
	// A new clock for each transfer would give each file its beginning for nothing.
	s.up, s.down = newThrottle(u.UploadRate), newThrottle(u.DownloadRate)
	s.who.Store(u)
	s.log(slog.LevelInfo, "logged in", "tls", s.binding != nil)
	text := "Logged in."
	if u.Greeting != "" {
		text = u.Greeting + "\n" + text
	}
	return ftp.NewReply(230, text)
}

// turnAway answers a failed login, after the delay that it costs.
func (s *session) turnAway(l Login, err error) ftp.Reply {
	s.log(slog.LevelWarn, "login failed", "user", ftp.Escape(l.Name), "err", err)
	if errors.Is(err, ErrTooMany) {
		s.ending = true
		return ftp.NewReply(421, "Too many sessions for this user. Goodbye.")
	}
	if e, ok := errors.AsType[*replyError](err); ok {
		return e.reply
	}
	s.failures++
	wait := s.srv.admission.failed(s.peer.Addr())
	if by := s.loginBy(); !by.IsZero() && wait > time.Until(by) {
		// The failures of many sessions add up to hours; none of them shall
		// keep its place for as long.
		s.ending = true
		s.pause(time.Until(by))
		return ftp.NewReply(421, "Login incorrect, and there is no time for another try. Goodbye.")
	}
	s.pause(wait)
	if s.failures >= s.set.MaxFailures && s.set.MaxFailures > 0 {
		s.ending = true
		return ftp.NewReply(421, "Login incorrect, and too often. Goodbye.")
	}
	return ftp.NewReply(530, "Login incorrect.")
}

// account is ACCT: nothing here asks for it.
func (s *session) account(context.Context, string) (ftp.Reply, error) {
	return ftp.NewReply(202, "No account is needed here."), nil
}

// reinitialize is REIN: all is as after the greeting, but for TLS, which stays
// (RFC 4217 12.3 lets the server choose, and going back to clear text would
// surprise).
func (s *session) reinitialize(context.Context, string) (ftp.Reply, error) {
	s.reset()
	return ftp.NewReply(220, "Ready for a new user."), nil
}

func (s *session) quit(context.Context, string) (ftp.Reply, error) {
	s.ending, s.reason = true, "QUIT"
	// Who hears the 221 may come again at once, and find his place free.
	s.leave()
	s.depart()
	return ftp.NewReply(221, "Goodbye."), nil
}

// hostname is HOST (RFC 7151), which must come before login.
func (s *session) hostname(_ context.Context, arg string) (ftp.Reply, error) {
	if s.user() != nil {
		return ftp.Reply{}, refuse(503, "HOST comes before USER.", nil)
	}
	host := strings.ToLower(strings.Trim(strings.TrimSuffix(arg, "."), "[]"))
	if strings.ContainsAny(host, " /\\@") {
		return ftp.Reply{}, errSyntax
	}
	if c, ok := s.conn.(*tls.Conn); ok {
		if sni := c.ConnectionState().ServerName; sni != "" && !strings.EqualFold(sni, host) {
			return ftp.Reply{}, refuse(504, "HOST is not the name that TLS was set up for.", nil)
		}
	}
	if s.set.HostTLS != nil {
		if _, err := s.set.HostTLS(host); err != nil {
			return ftp.Reply{}, refuse(504, "No such host here.", err)
		}
	}
	s.host = host
	return ftp.NewReply(220, s.set.Banner), nil
}

// logout ends a login, and forgets what was said about the next command. How
// files are transferred and what the client said of itself stays: USER leaves
// it as it is (RFC 959 4.1.1), and clients say OPTS and CLNT before it.
func (s *session) logout() {
	s.leave()
	s.dropWay()
	s.name, s.cwd = "", "/"
	s.restart, s.allo, s.renaming = 0, 0, ""
	if s.extra != nil {
		s.extra.rang, s.extra.cpfr = nil, ""
	}
	s.idle = s.set.IdleTimeout
}

// reset makes all as it was after the greeting, but for TLS.
func (s *session) reset() {
	s.logout()
	s.kind, s.block, s.records = typeASCII, modeStream, false
	s.epsvAll, s.utf8 = false, false
	s.extra = nil
}

// leave tells whoever let the user in that he is gone.
func (s *session) leave() {
	u := s.who.Swap(nil)
	if u == nil {
		return
	}
	s.loginFrom = time.Now() // only one who was in gets new time to come in
	if u.Closed != nil {
		u.Closed()
	}
}
