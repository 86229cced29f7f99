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
)

// most is how many addresses of a server are tried.
const most = 8

// name resolves the name of the server.
func (p *probe) name(ctx context.Context) check.Check {
	if a, err := netip.ParseAddr(p.host); err == nil {
		p.addrs = []netip.Addr{a}
		return check.Check{Answer: check.Yes, Evidence: p.host + " is an address"}
	}
	if !p.direct {
		return check.Check{Minor: true, Evidence: "a proxy is between, and may resolve " + p.host + " itself"}
	}
	found, err := net.DefaultResolver.LookupNetIP(ctx, "ip", p.host)
	if err != nil {
		p.over = fmt.Sprintf("the name %s does not resolve", p.host)
		if e, ok := errors.AsType[*net.DNSError](err); ok && e.IsNotFound {
			return check.Check{Answer: check.No, Evidence: err.Error(), Hint: "Is the name spelt right?"}
		}
		return check.Check{Answer: check.No, Evidence: err.Error(), Hint: "The name servers of this machine do not answer: is the network up?"}
	}
	var text []string
	for _, a := range found {
		a = a.Unmap()
		p.addrs = append(p.addrs, a)
		text = append(text, a.String())
	}
	return check.Check{Answer: check.Yes, Evidence: p.host + " is " + and(text)}
}

// route asks the kernel which address of ours leads to the server; no packet is
// sent for it.
func (p *probe) route(ctx context.Context) check.Check {
	if !p.direct {
		return check.Check{Minor: true, Evidence: "a proxy is between"}
	}
	var first error
	for _, a := range p.addrs {
		c, err := p.dialer(0).DialContext(ctx, "udp", netip.AddrPortFrom(a, 9).String())
		if err != nil {
			first = cmp.Or(first, err)
			continue
		}
		local := c.LocalAddr().(*net.UDPAddr).AddrPort().Addr().Unmap()
		_ = c.Close() // nothing was sent
		text := fmt.Sprintf("from %v to %v", local, a)
		if id, why := doctor.Unroutable(local); id != "" {
			text += fmt.Sprintf("; %v %s", local, why)
		}
		return check.Check{Answer: check.Yes, Evidence: text}
	}
	if first == nil {
		return check.Check{}
	}
	p.over = "this machine knows no way to " + p.host
	return check.Check{Answer: check.No, Evidence: first.Error(), Hint: "Is the network up, and does it speak the family of that address?"}
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
			p.dead = append(p.dead, fmt.Sprintf("%s: %v", addr, short(err)))
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
		return check.Check{Answer: check.Yes, Evidence: fmt.Sprintf("connected to %s in %v", p.Addr, p.line.took.Round(100*time.Microsecond))}
	}
	p.over = "nobody answers on port " + p.port
	hint := "Is a firewall between that drops what goes to port " + p.port + "?"
	switch {
	case errors.Is(failed, syscall.ECONNREFUSED):
		p.over = fmt.Sprintf("port %s is closed", p.port)
		hint = "No server listens there, or a NAT does not forward the port. Is the server up, and the port right? (ftps:// means 990.)"
	case !p.direct:
		p.over = "the proxy does not connect to the server"
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
func short(err error) string {
	if errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.DeadlineExceeded) {
		return "no answer in time"
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
			Hint: "Clients that try such an address first wait for it. Take it out of the name, or let the server listen there.",
		}
	}
	return check.Check{Answer: check.Yes, Minor: true, Evidence: fmt.Sprintf("all of %s answer", count(min(len(p.addrs), most), "address", "addresses"))}
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
	stop := context.AfterFunc(ctx, func() { _ = l.under.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	_ = l.under.SetDeadline(time.Now().Add(l.timeout)) // the read tells what is wrong
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

// quit says QUIT and closes.
func (l *line) quit() {
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
			p.over = "no TLS from the start on port " + p.port
			return check.Check{Answer: check.No, Evidence: "TLS from the start: " + err.Error(), Hint: "Is this a port for TLS from the start? If not, write ftpes://"}
		}
		p.offered = true
		p.believe(state)
	}
	r, err := p.line.hear(ctx)
	if err != nil {
		p.over = "port " + p.port + " does not greet as an FTP server does"
		c := check.Check{Answer: check.No, Evidence: short(err), Hint: "Is it the port of an FTP server?"}
		if errors.Is(err, os.ErrDeadlineExceeded) && p.Options.TLS != ftpclient.Implicit {
			c.Evidence = fmt.Sprintf("connected, and nothing was said within %v", p.Options.Timeout)
			c.Hint = "A server that waits for TLS from the start is silent: then write ftps://. Some wait for a reverse look-up of our address."
		}
		return c
	}
	p.line.greeted = r
	c := check.Check{Answer: check.Yes, Evidence: strings.ReplaceAll(r.String(), "\n", " / ")}
	if !r.Complete() {
		p.over = "the server sends us away"
		c.Answer, c.Hint = check.No, "The reply says why: too many sessions, or our address is not wanted."
	}
	return c
}

// authTLS asks for TLS on the first session, which says no password.
func (p *probe) authTLS(ctx context.Context) check.Check {
	if p.Options.TLS == ftpclient.Implicit {
		return check.Check{Answer: check.Yes, Evidence: "TLS from the start"}
	}
	asked := p.Options.TLS == ftpclient.Explicit
	r, err := p.line.want(ctx, "AUTH", "TLS")
	if err == nil && r.Code != 234 {
		err = &ftp.Error{Command: ftp.Command{Verb: "AUTH", Arg: "TLS"}, Reply: r}
	}
	if err != nil {
		c := check.Check{Answer: check.No, Minor: !asked, Evidence: err.Error()}
		if _, refused := errors.AsType[*ftp.Error](err); !refused {
			c.Hint = "AUTH broke the session; is something on the way that does not let TLS through?"
		} else {
			c.Hint = "Passwords and files go in clear text. Give the server a certificate: towpath serve --tls-cert, ssl_enable of vsftpd, TLSEngine of ProFTPD."
		}
		if asked {
			p.over = "the server refuses TLS"
		}
		return c
	}
	state, err := p.line.cover(ctx, p.config(false))
	if err != nil {
		if asked {
			p.over = "TLS does not come about"
		}
		return check.Check{Answer: check.No, Evidence: "234, and then: " + err.Error(), Hint: "Is the server's TLS older than 1.2, or does something on the way change what goes through?"}
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
	text := fmt.Sprintf("of %s, until %s", cmp.Or(strings.Join(leaf.DNSNames, " "), leaf.Subject.String()), leaf.NotAfter.UTC().Format("2006-01-02 15:04 MST"))
	if p.badCert != nil {
		if !minor {
			p.over = "its certificate is not believed"
		}
		return check.Check{
			Answer: check.No, Minor: minor, Evidence: text + ": " + p.badCert.Error(),
			Hint: "--cacert FILE believes another authority, -k any certificate. On the server: is the chain complete, and the name in it?",
		}
	}
	if left := time.Until(leaf.NotAfter); left < soon {
		return check.Check{Answer: check.No, Minor: true, Evidence: fmt.Sprintf("%s: %d hours left", text, int(left/time.Hour)), Hint: "Renew it."}
	}
	if p.config(true).InsecureSkipVerify && p.config(true).VerifyConnection == nil {
		return check.Check{Minor: true, Evidence: text + "; not checked, as -k says"}
	}
	return check.Check{Answer: check.Yes, Evidence: text, Minor: minor}
}
