package probe

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
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
	c := check.Check{Answer: check.Yes, Minor: true, Evidence: fmt.Sprintf("%d of %s resumed the TLS session", resumed, count(tried, "data connection", "data connections"))}
	if resumed < tried {
		c.Answer, c.Hint = check.No, "Nothing binds such a connection to its session: a stranger could take it."
	}
	if !s.works(ftpclient.EPSV) && !s.works(ftpclient.PASV) {
		return c
	}
	reply, err := p.unbound(ctx)
	switch {
	case err != nil:
		c.Evidence += fmt.Sprintf("; what becomes of one that does not could not be seen (%v)", err)
	case reply.Complete():
		c.Evidence += "; one that does not is served too"
	default:
		c.Evidence += fmt.Sprintf("; one that does not is refused (%v), which shuts out clients that cannot, such as Python's ftplib", reply)
	}
	return c
}

// unbound lists the directory over a data connection with a TLS session of its
// own, as no client of ours does, and returns the last reply.
func (p *probe) unbound(ctx context.Context) (ftp.Reply, error) {
	conn, err := p.open(ctx, p.Addr)
	if err != nil {
		return ftp.Reply{}, err
	}
	l := p.newLine(conn)
	defer l.quit()
	config := p.sides[overTLS].options.TLSConfig.Clone()
	config.ClientSessionCache = nil
	if config.NextProtos == nil {
		config.NextProtos = []string{"ftp"}
	}
	if p.Options.TLS == ftpclient.Implicit {
		if _, err := l.cover(ctx, config); err != nil {
			return ftp.Reply{}, err
		}
	}
	if _, err := l.hear(ctx); err != nil {
		return ftp.Reply{}, err
	}
	if p.Options.TLS != ftpclient.Implicit {
		if _, err := l.want(ctx, "AUTH", "TLS"); err != nil {
			return ftp.Reply{}, err
		}
		if _, err := l.cover(ctx, config); err != nil {
			return ftp.Reply{}, err
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
	for _, c := range []ftp.Command{{Verb: "PBSZ", Arg: "0"}, {Verb: "PROT", Arg: "P"}} {
		if err == nil {
			_, err = l.want(ctx, c.Verb, c.Arg)
		}
	}
	if err != nil {
		return ftp.Reply{}, err
	}
	data, err := p.passive(ctx, l)
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
	t := tls.Client(data, config)
	if t.HandshakeContext(within) == nil {
		_ = data.SetDeadline(time.Now().Add(l.timeout))
		buf := make([]byte, 32<<10)
		for err == nil {
			_, err = t.Read(buf)
		}
	}
	_ = data.Close() // the reply waits for it
	return l.hear(ctx)
}

// passive announces passive mode, and connects.
func (p *probe) passive(ctx context.Context, l *line) (net.Conn, error) {
	var port uint16
	if p.sides[overTLS].works(ftpclient.EPSV) {
		r, err := l.want(ctx, "EPSV", "")
		if err != nil {
			return nil, err
		}
		a, err := ftp.ParseExtendedPassive(r.Lines[len(r.Lines)-1])
		if err != nil {
			return nil, err
		}
		port = a.Port()
	} else {
		r, err := l.want(ctx, "PASV", "")
		if err != nil {
			return nil, err
		}
		a, err := ftp.ParsePassive(r.Lines[len(r.Lines)-1])
		if err != nil {
			return nil, err
		}
		port = a.Port()
	}
	host, _, err := net.SplitHostPort(p.Addr)
	if err != nil {
		return nil, errors.Join(errors.New("no address"), err)
	}
	return p.open(ctx, net.JoinHostPort(host, strconv.Itoa(int(port))))
}
