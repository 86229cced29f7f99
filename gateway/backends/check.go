package backends

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"towpath/ftp"
	"towpath/ftpclient"
	"towpath/gateway"
	"towpath/gateway/doors"
)

// Check looks whether a server works: greeting, login if a user is given, NOOP
// and QUIT, under TLS if the server is spoken to by TLS.
func Check(ctx context.Context, s gateway.Server, user, password string) error {
	d := dialer{s}
	if user == "" {
		return greeting(ctx, d)
	}
	o := ftpclient.Options{User: user, Password: password, Dialer: d, TLSConfig: s.Config}
	switch s.TLS {
	case gateway.ExplicitTLS:
		o.TLS = ftpclient.Explicit
	case gateway.ImplicitTLS:
		o.TLS = ftpclient.Implicit
	}
	if by, ok := ctx.Deadline(); ok {
		o.Timeout = max(time.Until(by), time.Millisecond)
	}
	c, err := ftpclient.Dial(ctx, s.Addr, o)
	if err != nil {
		return err
	}
	// What counts is the answer to NOOP; Close says QUIT.
	return errors.Join(c.Noop(ctx), c.Close())
}

// greeting hears whether the server says 220, and leaves.
func greeting(ctx context.Context, d dialer) (err error) {
	c, err := d.DialContext(ctx, "tcp", d.server.Addr)
	if err != nil {
		return err
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() {
		_ = c.SetDeadline(time.Unix(1, 0)) // wakes up who reads
	})()
	if d.server.TLS == gateway.ImplicitTLS {
		config := d.server.Config
		if config == nil || config.ServerName == "" {
			host, _, _ := net.SplitHostPort(d.server.Addr) // it was dialled
			config = config.Clone()
			if config == nil {
				config = &tls.Config{MinVersion: tls.VersionTLS12}
			}
			config.ServerName = host
		}
		c = tls.Client(c, config)
	}
	r := ftp.NewReader(c)
	for {
		reply, err := r.ReadReply()
		if err != nil {
			return fmt.Errorf("greeting of %s: %w", d.server.Addr, err)
		}
		if reply.Preliminary() { // 120: it will be ready soon
			continue
		}
		if reply.Code != 220 {
			return fmt.Errorf("greeting of %s: %v; want 220", d.server.Addr, reply)
		}
		break
	}
	_, err = c.Write([]byte("QUIT\r\n"))
	return err
}

// dialer reaches a server as the gateway does: from the address it comes from,
// and with the line that a balancer sends. A check is for nobody, and says so.
type dialer struct{ server gateway.Server }

// DialContext implements [ftpclient.ContextDialer].
func (d dialer) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	var n net.Dialer
	if d.server.As.IsValid() {
		n.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(d.server.As, 0))
	}
	c, err := n.DialContext(ctx, network, addr)
	if err != nil || d.server.Proxy == 0 {
		return c, err
	}
	if err := doors.Announce(c, d.server.Proxy, netip.AddrPort{}, netip.AddrPort{}); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}
