package ftpclient

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"

	"towpath/ftp"
)

// dial opens a session and logs in. ctx ends it at any point.
func dial(ctx context.Context, addr string, set *Options) (s *session, err error) {
	server := addr
	if set.Gate != nil {
		addr = set.Gate.Addr
	}
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, fmt.Errorf("dial %q: want host:port: %w", addr, err)
	}
	early := ctx
	if set.Timeout > 0 {
		var cancel context.CancelFunc
		early, cancel = context.WithTimeout(ctx, set.Timeout)
		defer cancel()
	}
	c, err := set.dialer(set.LocalAddr.AsSlice()).DialContext(early, "tcp", addr)
	if err != nil {
		return nil, &dialError{addr, err}
	}
	s = newSession(set, host, port, c)
	// What is read and written from here to listen is ended by the context.
	stop := context.AfterFunc(early, func() { _ = c.Close() })
	defer stop()
	if set.ProxyLine {
		err = s.write([]byte(proxyLine(s.local, s.peer, c)))
	}
	if err == nil {
		err = s.greet(early)
	}
	if err == nil {
		err = s.enter(server)
	}
	if err == nil && !stop() {
		err = context.Cause(early)
	}
	if err != nil {
		s.fail(err)
		if cause := context.Cause(early); cause != nil && !errors.Is(err, cause) {
			err = fmt.Errorf("%w: %w", cause, err)
		}
		return nil, fmt.Errorf("dial %s: %w", server, err)
	}
	_ = c.SetDeadline(time.Time{}) // listen tells what is wrong
	go s.listen()
	err = s.learn(ctx)
	if err == nil && set.Ready != nil {
		err = set.Ready(func(cmd ftp.Command) (ftp.Reply, error) { return s.quote(ctx, cmd) })
	}
	if err != nil {
		s.fail(err)
		return nil, fmt.Errorf("dial %s: %w", server, err)
	}
	return s, nil
}

// proxyLine is the header of the PROXY protocol, version 1, for c, whose ends are
// known where nothing is between.
func proxyLine(local, peer netip.Addr, c net.Conn) string {
	from, _ := c.LocalAddr().(*net.TCPAddr)
	to, _ := c.RemoteAddr().(*net.TCPAddr)
	if !local.IsValid() || !peer.IsValid() || from == nil || to == nil {
		return "PROXY UNKNOWN\r\n"
	}
	family := "TCP6"
	if peer.Is4() {
		family = "TCP4"
	}
	return fmt.Sprintf("PROXY %s %v %v %d %d\r\n", family, local.WithZone(""), peer.WithZone(""), from.Port, to.Port)
}

// direct tells that connections go to the server itself.
func (o *Options) direct() bool {
	_, plain := o.Dialer.(*net.Dialer)
	return o.Dialer == nil || plain
}

// dialer opens connections from a local address (nil: any).
func (o *Options) dialer(local net.IP) ContextDialer {
	if o.Dialer != nil {
		return o.Dialer
	}
	d := &net.Dialer{KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 45 * time.Second, Interval: 45 * time.Second}}
	if local != nil {
		d.LocalAddr = &net.TCPAddr{IP: local}
		d.ControlContext = bindLate
	}
	return d
}

// hear reads the next final reply before listen runs.
func (s *session) hear(cmd ftp.Command) (ftp.Reply, error) {
	for {
		r, err := s.in.ReadReply()
		if err != nil {
			return r, fmt.Errorf("answer to %v: %w", cmd, err)
		}
		s.traceReply(r)
		if r.Preliminary() { // 120: ready in some minutes
			continue
		}
		if !r.Complete() && !r.Intermediate() {
			return r, &ftp.Error{Command: cmd, Reply: r}
		}
		return r, nil
	}
}

// say sends a command before listen runs, and reads its reply.
func (s *session) say(verb, arg string) (ftp.Reply, error) {
	cmd := ftp.Command{Verb: verb, Arg: arg}
	line, err := cmd.Encode()
	if err != nil {
		return ftp.Reply{}, err
	}
	if s.in.Buffered() > 0 {
		return ftp.Reply{}, fmt.Errorf("%w: before %v was sent", ErrUnsolicited, cmd)
	}
	if s.set.Trace != nil {
		s.set.Trace('C', cmd.String())
	}
	if err := s.write(line); err != nil {
		return ftp.Reply{}, fmt.Errorf("%v: %w", cmd, err)
	}
	return s.hear(cmd)
}

// greet goes as far as TLS.
func (s *session) greet(ctx context.Context) error {
	if s.set.TLS == Implicit {
		if err := s.secure(ctx); err != nil {
			return err
		}
	}
	if _, err := s.hear(ftp.Command{}); err != nil {
		return fmt.Errorf("greeting: %w", err)
	}
	if s.set.TLS != Explicit {
		return nil
	}
	if r, err := s.say("AUTH", "TLS"); err != nil {
		if _, ok := errors.AsType[*ftp.Error](err); ok {
			return fmt.Errorf("%w: %w", ErrNoTLS, err)
		}
		return err
	} else if r.Code != 234 { // 334 wants security data that TLS has none of
		return fmt.Errorf("%w: %w", ErrNoTLS, &ftp.Error{Command: ftp.Command{Verb: "AUTH", Arg: "TLS"}, Reply: r})
	}
	if s.in.Buffered() > 0 {
		return ErrInjected
	}
	return s.secure(ctx)
}

// pass tells a gate where to go, and returns who to log in as behind it.
func (s *session) pass(g *Gate, server string) (user string, err error) {
	host, port, err := net.SplitHostPort(server)
	if err != nil {
		return "", fmt.Errorf("server %q: want host:port: %w", server, err)
	}
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	if port != "21" {
		host += ":" + port
	}
	if g.User != "" {
		r, err := s.say("USER", g.User)
		if err == nil && r.Code == 331 {
			r, err = s.say("PASS", g.Password)
		}
		if err == nil && !r.Complete() {
			err = &ftp.Error{Command: ftp.Command{Verb: "USER", Arg: g.User}, Reply: r}
		}
		if err != nil {
			return "", err
		}
	}
	switch g.Style {
	case OpenHost:
		_, err = s.say("OPEN", host)
	case SiteHost:
		_, err = s.say("SITE", host)
	default:
		return s.set.User + "@" + host, nil
	}
	return s.set.User, err
}

// enter logs in. server is where, as a gate is told.
func (s *session) enter(server string) error {
	user := s.set.User
	if s.set.Gate != nil {
		var err error
		if user, err = s.pass(s.set.Gate, server); err != nil {
			return fmt.Errorf("proxy %s: %w", s.set.Gate.Addr, err)
		}
	}
	r, err := s.say("USER", user)
	if err == nil && r.Code == 331 {
		r, err = s.say("PASS", s.set.Password)
	}
	if err == nil && r.Code == 332 {
		if s.set.Account == "" {
			return fmt.Errorf("the server wants an account, and Options.Account is empty: %w", &ftp.Error{Command: ftp.Command{Verb: "USER", Arg: s.set.User}, Reply: r})
		}
		r, err = s.say("ACCT", s.set.Account)
	}
	if err == nil && !r.Complete() {
		err = &ftp.Error{Command: ftp.Command{Verb: "USER", Arg: s.set.User}, Reply: r}
	}
	if err != nil {
		return fmt.Errorf("login: %w", err)
	}
	if s.tls == nil {
		return nil
	}
	for _, c := range [][2]string{{"PBSZ", "0"}, {"PROT", "P"}} {
		if _, err := s.say(c[0], c[1]); err != nil {
			return fmt.Errorf("%w for data: %w", ErrNoTLS, err)
		}
	}
	if s.set.ClearControl {
		return s.unveil()
	}
	return nil
}

// learn asks what the server can do. That it cannot say so is no error.
func (s *session) learn(ctx context.Context) error {
	r, err := s.do(ctx, "FEAT", "")
	if err == nil {
		s.features = ftp.ParseFeatures(r)
	} else if _, ok := errors.AsType[*ftp.Error](err); !ok {
		return err
	}
	if s.set.Charset == nil && s.features.Has("UTF8") {
		// Most servers speak it anyway; IIS and old FileZilla want to be asked.
		if _, err = s.do(ctx, "OPTS", "UTF8 ON"); err != nil {
			if _, ok := errors.AsType[*ftp.Error](err); !ok {
				return err
			}
		}
	}
	return s.alive()
}
