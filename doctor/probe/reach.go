package probe

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"time"

	"towpath/doctor"
	"towpath/doctor/check"
	"towpath/ftp"
	"towpath/ftpclient"
	"towpath/internal/words"
)

// most is how many addresses of a server are tried.
const most = 8

// name resolves the name of the server.
func (p *probe) name(ctx context.Context) check.Check {
	if a, err := netip.ParseAddr(p.host); err == nil {
		p.addrs = []netip.Addr{a}
		return check.Check{Answer: check.Yes, Evidence: p.say("probe.name.address", "host", p.host)}
	}
	if !p.direct {
		return check.Check{Minor: true, Evidence: p.say("probe.name.proxy", "host", p.host)}
	}
	found, err := net.DefaultResolver.LookupNetIP(ctx, "ip", p.host)
	if err != nil {
		p.over = p.say("probe.name.over", "host", p.host)
		if e, ok := errors.AsType[*net.DNSError](err); ok && e.IsNotFound {
			return check.Check{Answer: check.No, Evidence: err.Error(), Hint: p.say("probe.name.spelt")}
		}
		return check.Check{Answer: check.No, Evidence: err.Error(), Hint: p.say("probe.name.servers")}
	}
	var text []string
	for _, a := range found {
		a = a.Unmap()
		p.addrs = append(p.addrs, a)
		text = append(text, a.String())
	}
	return check.Check{Answer: check.Yes, Evidence: p.say("probe.name", "host", p.host, "addresses", words.And(text))}
}

// route asks the kernel which address of ours leads to the server; no packet is
// sent for it.
func (p *probe) route(ctx context.Context) check.Check {
	if !p.direct {
		return check.Check{Minor: true, Evidence: p.say("probe.proxy")}
	}
	var first error
	for _, a := range p.addrs {
		c, err := forUDP(p.dialer(0)).DialContext(ctx, "udp", netip.AddrPortFrom(a, 9).String())
		if err != nil {
			first = cmp.Or(first, err)
			continue
		}
		local := c.LocalAddr().(*net.UDPAddr).AddrPort().Addr().Unmap()
		_ = c.Close() // nothing was sent
		text := p.say("probe.route", "own", local, "address", a)
		if id, why := doctor.Unroutable(local); id != "" {
			text = p.say("probe.route.inside", "own", local, "address", a, "why", why)
		}
		return check.Check{Answer: check.Yes, Evidence: text}
	}
	if first == nil {
		return check.Check{}
	}
	p.over = p.say("probe.route.over", "host", p.host)
	return check.Check{Answer: check.No, Evidence: first.Error(), Hint: p.say("probe.route.hint")}
}

// forUDP is a dialer with the same address of ours, which package net has in
// another form for UDP.
func forUDP(d ftpclient.ContextDialer) ftpclient.ContextDialer {
	straight, ok := d.(*net.Dialer)
	if !ok {
		return d
	}
	own, ok := straight.LocalAddr.(*net.TCPAddr)
	if !ok {
		return d
	}
	u := *straight
	u.LocalAddr = &net.UDPAddr{IP: own.IP, Zone: own.Zone}
	return &u
}

// dialer opens connections as the client does. One that is given a silence sends
// nothing by itself.
func (p *probe) dialer(silence time.Duration) ftpclient.ContextDialer {
	d, straight := p.Options.Dialer.(*net.Dialer)
	switch {
	case p.Options.Dialer != nil && !straight:
		return p.Options.Dialer
	case straight:
		mine := *d
		d = &mine
	default:
		d = &net.Dialer{}
	}
	if a := p.Options.LocalAddr; a.IsValid() {
		d = &net.Dialer{Control: d.Control, ControlContext: d.ControlContext, LocalAddr: &net.TCPAddr{IP: a.AsSlice(), Zone: a.Zone()}}
	}
	if silence > 0 {
		d.KeepAlive, d.KeepAliveConfig = -1, net.KeepAliveConfig{}
	}
	return d
}

// reach connects to the control port. From here on one address is looked at.
func (p *probe) reach(ctx context.Context) check.Check {
	at := []string{p.Addr}
	if p.direct {
		at = nil
		for _, a := range p.addrs[:min(len(p.addrs), most)] {
			at = append(at, net.JoinHostPort(a.String(), p.port))
		}
	}
	var failed error
	for _, addr := range at {
		start := time.Now()
		c, err := p.open(ctx, addr)
		if err != nil {
			failed = cmp.Or(failed, err)
			p.dead = append(p.dead, fmt.Sprintf("%s: %v", addr, p.short(err)))
			continue
		}
		if p.line != nil { // another address that answers too
			_ = c.Close()
			continue
		}
		p.Addr = addr
		p.line = p.newLine(c)
		if t, ok := c.(ftpclient.Tunnel); ok {
			p.peer = t.Peer()
		} else if p.direct {
			p.peer = c.RemoteAddr().(*net.TCPAddr).AddrPort().Addr().Unmap()
			p.local = c.LocalAddr().(*net.TCPAddr).AddrPort().Addr().Unmap()
		}
		p.line.took = time.Since(start)
	}
	if p.line != nil {
		return check.Check{Answer: check.Yes, Evidence: p.say("probe.reach", "address", p.Addr, "took", p.line.took.Round(100*time.Microsecond))}
	}
	p.over = p.say("probe.reach.over", "port", p.port)
	hint := p.say("probe.reach.hint", "port", p.port)
	switch {
	case errors.Is(failed, syscall.ECONNREFUSED):
		p.over = p.say("probe.reach.closed", "port", p.port)
		hint = p.say("probe.reach.closed-why")
	case !p.direct:
		p.over = p.say("probe.reach.proxy")
		hint = ""
	}
	return check.Check{Answer: check.No, Evidence: strings.Join(p.dead, "; "), Hint: hint}
}

func (p *probe) open(ctx context.Context, addr string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, p.Options.Timeout)
	defer cancel()
	return p.dialer(0).DialContext(ctx, "tcp", addr)
}

// short leaves out of an error of dialling what is said already.
func (p *probe) short(err error) string {
	if errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.DeadlineExceeded) {
		return p.say("probe.no-answer")
	}
	if e, ok := errors.AsType[*net.OpError](err); ok && e.Err != nil {
		return e.Err.Error()
	}
	return err.Error()
}

// others tells of addresses of the server where nobody answers.
func (p *probe) others(context.Context) check.Check {
	if len(p.addrs) < 2 {
		return check.Check{}
	}
	if len(p.dead) > 0 {
		return check.Check{
			Answer: check.No, Minor: true, Evidence: strings.Join(p.dead, "; "),
			Hint: p.say("probe.others.hint"),
		}
	}
	return check.Check{Answer: check.Yes, Minor: true, Evidence: p.say("probe.others", "addresses", count(min(len(p.addrs), most), "probe.addresses"))}
}

// line is a control connection by hand: for what a client does not show.
type line struct {
	conn    net.Conn
	under   net.Conn // without TLS
	in      *ftp.Reader
	timeout time.Duration
	trace   func(dir byte, line string)
	took    time.Duration
	greeted ftp.Reply
	state   tls.ConnectionState
	over    bool
}

func (p *probe) newLine(c net.Conn) *line {
	l := &line{conn: c, under: c, in: ftp.NewReader(c), timeout: p.Options.Timeout, trace: p.Options.Trace}
	if l.trace == nil {
		l.trace = func(byte, string) {}
	}
	return l
}

// hear reads a final reply.
func (l *line) hear(ctx context.Context) (ftp.Reply, error) {
	_ = l.under.SetDeadline(time.Now().Add(l.timeout)) // the read tells what is wrong
	stop := context.AfterFunc(ctx, func() { _ = l.under.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	for {
		r, err := l.in.ReadReply()
		if err != nil {
			return r, err
		}
		for line := range strings.SplitSeq(r.String(), "\n") {
			l.trace('S', line)
		}
		if !r.Preliminary() {
			return r, nil
		}
	}
}

// send sends a command, say waits for its answer as well.
func (l *line) send(verb, arg string) error {
	cmd := ftp.Command{Verb: verb, Arg: arg}
	b, err := cmd.Encode()
	if err != nil {
		return err
	}
	l.trace('C', cmd.String())
	_ = l.under.SetDeadline(time.Now().Add(l.timeout)) // the write tells what is wrong
	_, err = l.conn.Write(b)
	return err
}

func (l *line) say(ctx context.Context, verb, arg string) (ftp.Reply, error) {
	if err := l.send(verb, arg); err != nil {
		return ftp.Reply{}, err
	}
	return l.hear(ctx)
}

// want is say for commands that must not be refused.
func (l *line) want(ctx context.Context, verb, arg string) (ftp.Reply, error) {
	r, err := l.say(ctx, verb, arg)
	if err == nil && !r.Positive() {
		err = &ftp.Error{Command: ftp.Command{Verb: verb, Arg: arg}, Reply: r}
	}
	return r, err
}

// cover puts TLS over it.
func (l *line) cover(ctx context.Context, config *tls.Config) (tls.ConnectionState, error) {
	if l.in.Buffered() > 0 {
		return tls.ConnectionState{}, ftpclient.ErrInjected
	}
	ctx, cancel := context.WithTimeout(ctx, l.timeout)
	defer cancel()
	_ = l.under.SetDeadline(time.Time{}) // the context is the clock
	c := tls.Client(l.under, config)
	if err := c.HandshakeContext(ctx); err != nil {
		return tls.ConnectionState{}, err
	}
	l.conn = c
	l.in.Reset(c)
	return c.ConnectionState(), nil
}

// quit says QUIT and closes, once.
func (l *line) quit() {
	if l.over {
		return
	}
	l.over = true
	l.timeout = min(l.timeout, time.Second)
	_, _ = l.say(context.Background(), "QUIT", "") // politeness
	_ = l.under.Close()                            // it is over, whatever Close says
}

// config is how TLS is spoken by hand: as the client does, and a certificate is
// believed unless it is checked.
func (p *probe) config(checked bool) *tls.Config {
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	if p.Options.TLSConfig != nil {
		c = p.Options.TLSConfig.Clone()
	}
	c.ServerName = cmp.Or(c.ServerName, p.host)
	c.ClientSessionCache = nil
	if c.NextProtos == nil {
		c.NextProtos = []string{"ftp"}
	}
	if !checked {
		c.InsecureSkipVerify, c.VerifyConnection, c.VerifyPeerCertificate = true, nil, nil
	}
	return c
}

// greeting waits for the server to speak first.
func (p *probe) greeting(ctx context.Context) check.Check {
	if p.Options.TLS == ftpclient.Implicit {
		state, err := p.line.cover(ctx, p.config(false))
		if err != nil {
			p.over = p.say("probe.greeting.no-tls", "port", p.port)
			return check.Check{Answer: check.No, Evidence: p.say("probe.greeting.tls", "error", err), Hint: p.say("probe.greeting.tls-hint")}
		}
		p.offered = true
		p.believe(state)
	}
	r, err := p.line.hear(ctx)
	if err != nil {
		p.over = p.say("probe.greeting.over", "port", p.port)
		c := check.Check{Answer: check.No, Evidence: p.short(err), Hint: p.say("probe.greeting.hint")}
		if errors.Is(err, os.ErrDeadlineExceeded) && p.Options.TLS != ftpclient.Implicit {
			c.Evidence = p.say("probe.greeting.silent", "time", p.Options.Timeout)
			c.Hint = p.say("probe.greeting.silent-why")
		}
		return c
	}
	p.line.greeted = r
	c := check.Check{Answer: check.Yes, Evidence: strings.ReplaceAll(r.String(), "\n", " / ")}
	if !r.Complete() {
		p.over = p.say("probe.greeting.away")
		c.Answer, c.Hint = check.No, p.say("probe.greeting.away-why")
	}
	return c
}

// authTLS asks for TLS on the first session, which says no password.
func (p *probe) authTLS(ctx context.Context) check.Check {
	if p.Options.TLS == ftpclient.Implicit {
		return check.Check{Answer: check.Yes, Evidence: p.say("probe.auth.start")}
	}
	asked := p.Options.TLS == ftpclient.Explicit
	r, err := p.line.want(ctx, "AUTH", "TLS")
	if err == nil && r.Code != 234 {
		err = &ftp.Error{Command: ftp.Command{Verb: "AUTH", Arg: "TLS"}, Reply: r}
	}
	if err != nil {
		c := check.Check{Answer: check.No, Minor: !asked, Evidence: err.Error()}
		if _, refused := errors.AsType[*ftp.Error](err); !refused {
			c.Hint = p.say("probe.auth.broke")
		} else {
			c.Hint = p.say("probe.auth.clear")
		}
		if asked {
			p.over = p.say("probe.auth.over")
		}
		return c
	}
	state, err := p.line.cover(ctx, p.config(false))
	if err != nil {
		if asked {
			p.over = p.say("probe.auth.no-tls")
		}
		return check.Check{Answer: check.No, Evidence: p.say("probe.auth.then", "error", err), Hint: p.say("probe.auth.old")}
	}
	p.offered = true
	p.believe(state)
	return check.Check{Answer: check.Yes, Evidence: fmt.Sprintf("%s, %s", tls.VersionName(state.Version), tls.CipherSuiteName(state.CipherSuite)), Minor: !asked}
}

// believe looks at a certificate as the client would.
func (p *probe) believe(s tls.ConnectionState) {
	config := p.config(true)
	if !config.InsecureSkipVerify {
		o := x509.VerifyOptions{DNSName: config.ServerName, Roots: config.RootCAs, Intermediates: x509.NewCertPool()}
		for _, c := range s.PeerCertificates[1:] {
			o.Intermediates.AddCert(c)
		}
		_, p.badCert = s.PeerCertificates[0].Verify(o)
	}
	if p.badCert == nil && config.VerifyConnection != nil {
		p.badCert = config.VerifyConnection(s)
	}
	p.line.state = s
}

// soon is when a certificate should be renewed.
const soon = 14 * 24 * time.Hour

// certificate says what the server has shown.
func (p *probe) certificate(context.Context) check.Check {
	if !p.offered {
		return check.Check{}
	}
	minor := p.Options.TLS == ftpclient.Plain
	leaf := p.line.state.PeerCertificates[0]
	name, day := cmp.Or(strings.Join(leaf.DNSNames, " "), leaf.Subject.String()), leaf.NotAfter.UTC().Format("2006-01-02 15:04 MST")
	if p.badCert != nil {
		if !minor {
			p.over = p.say("probe.certificate.over")
		}
		return check.Check{
			Answer: check.No, Minor: minor, Evidence: p.say("probe.certificate.bad", "name", name, "day", day, "error", p.badCert),
			Hint: p.say("probe.certificate.hint"),
		}
	}
	if left := time.Until(leaf.NotAfter); left < soon {
		return check.Check{Answer: check.No, Minor: true, Evidence: p.say("probe.certificate.soon", "name", name, "day", day, "hours", int(left/time.Hour)), Hint: p.say("probe.certificate.renew")}
	}
	if p.config(true).InsecureSkipVerify && p.config(true).VerifyConnection == nil {
		return check.Check{Minor: true, Evidence: p.say("probe.certificate.any", "name", name, "day", day)}
	}
	return check.Check{Answer: check.Yes, Evidence: p.say("probe.certificate", "name", name, "day", day), Minor: minor}
}
