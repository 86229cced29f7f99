package probe

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"strconv"
	"time"

	"towpath/doctor/check"
	"towpath/ftp"
	"towpath/ftpclient"
)

// resumption says whether data connections resume the TLS session of the
// control connection, and what the server does with those that do not.
func (p *probe) resumption(ctx context.Context) check.Check {
	s := &p.sides[overTLS]
	tried, resumed := 0, 0
	for _, m := range modes {
		if s.works(m) {
			tried++
			if s.trials[m].attempt.Resumed {
				resumed++
			}
		}
	}
	if tried == 0 {
		return check.Check{}
	}
	c := check.Check{Answer: check.Yes, Minor: true, Evidence: p.say("probe.resumption", "resumed", resumed, "tried", count(tried, "probe.connections"))}
	if resumed < tried {
		c.Answer, c.Hint = check.No, p.say("probe.resumption.hint")
	}
	if !s.works(ftpclient.EPSV) && !s.works(ftpclient.PASV) {
		return c
	}
	reply, err := p.unbound(ctx)
	switch {
	case err != nil:
		c.Evidence = p.say("probe.resumption.unseen", "first", c.Evidence, "error", err)
	case reply.Complete():
		c.Evidence = p.say("probe.resumption.served", "first", c.Evidence)
	default:
		c.Evidence = p.say("probe.resumption.strict", "first", c.Evidence, "reply", reply)
	}
	return c
}

// unbound lists the directory over a data connection with a TLS session of its
// own, as no client of ours does, and returns the last reply.
func (p *probe) unbound(ctx context.Context) (ftp.Reply, error) {
	l, err := p.enter(ctx, overTLS, 0)
	if err != nil {
		return ftp.Reply{}, err
	}
	defer l.quit()
	at, err := p.announced(ctx, overTLS, l)
	if err != nil {
		return ftp.Reply{}, err
	}
	data, err := p.open(ctx, at)
	if err != nil {
		return ftp.Reply{}, err
	}
	defer data.Close()
	if err := l.send("NLST", p.Dir); err != nil {
		return ftp.Reply{}, err
	}
	// What the handshake says is said again by the reply.
	within, cancel := context.WithTimeout(ctx, l.timeout)
	defer cancel()
	t := tls.Client(data, p.strangersConfig())
	if t.HandshakeContext(within) == nil {
		_ = data.SetDeadline(time.Now().Add(l.timeout)) // the read tells what is wrong
		_, _ = io.Copy(io.Discard, t)                   // and the reply what it was
	}
	_ = data.Close() // the reply waits for it
	return l.hear(ctx)
}

// strangersConfig is TLS that believes whom the client believes, and resumes
// nothing.
func (p *probe) strangersConfig() *tls.Config {
	config := p.sides[overTLS].options.TLSConfig.Clone()
	config.ClientSessionCache = nil
	if config.NextProtos == nil {
		config.NextProtos = []string{"ftp"}
	}
	return config
}

// enter logs in by hand, where the client has been let in before. With a silence
// the connection sends nothing by itself.
func (p *probe) enter(ctx context.Context, c cover, silence time.Duration) (_ *line, err error) {
	within, cancel := context.WithTimeout(ctx, p.Options.Timeout)
	defer cancel()
	conn, err := p.dialer(silence).DialContext(within, "tcp", p.Addr)
	if err != nil {
		return nil, err
	}
	l := p.newLine(conn)
	defer func() {
		if err != nil {
			_ = conn.Close() // what is wrong has been said
		}
	}()
	if c == overTLS && p.Options.TLS == ftpclient.Implicit {
		if _, err := l.cover(ctx, p.strangersConfig()); err != nil {
			return nil, err
		}
	}
	if _, err := l.hear(ctx); err != nil {
		return nil, err
	}
	if c == overTLS && p.Options.TLS != ftpclient.Implicit {
		if _, err := l.want(ctx, "AUTH", "TLS"); err != nil {
			return nil, err
		}
		if _, err := l.cover(ctx, p.strangersConfig()); err != nil {
			return nil, err
		}
	}
	user, password := p.Options.User, p.Options.Password
	if user == "" {
		user, password = "anonymous", "anonymous@"
	}
	r, err := l.want(ctx, "USER", user)
	if err == nil && r.Code == 331 {
		r, err = l.want(ctx, "PASS", password)
	}
	if err == nil && r.Code == 332 {
		_, err = l.want(ctx, "ACCT", p.Options.Account)
	}
	if err == nil && c == overTLS {
		if _, err = l.want(ctx, "PBSZ", "0"); err == nil {
			_, err = l.want(ctx, "PROT", "P")
		}
	}
	return l, err
}

// announced asks for passive mode, and returns where the server listens.
func (p *probe) announced(ctx context.Context, c cover, l *line) (string, error) {
	verb, parse := "EPSV", ftp.ParseExtendedPassive
	if !p.sides[c].works(ftpclient.EPSV) {
		verb, parse = "PASV", ftp.ParsePassive
	}
	r, err := l.want(ctx, verb, "")
	if err != nil {
		return "", err
	}
	a, err := parse(r.Lines[len(r.Lines)-1])
	if err != nil {
		return "", err
	}
	host, _, err := net.SplitHostPort(p.Addr)
	return net.JoinHostPort(host, strconv.Itoa(int(a.Port()))), err
}
