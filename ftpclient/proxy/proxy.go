// Package proxy reaches servers through proxies: SOCKS5 (RFC 1928, 1929), which
// can also take connections for us (BIND), and HTTP CONNECT (RFC 9110 9.3.6).
// What it makes fits ftpclient.Options.Dialer, and every other place for a
// dialer.
//
// It reads addresses of proxies and lists of hosts that need none; it reads no
// environment. Proxies that speak FTP themselves are ftpclient.Options.Gate.
package proxy

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// ContextDialer opens connections; *net.Dialer is one.
type ContextDialer interface {
	DialContext(ctx context.Context, network, address string) (net.Conn, error)
}

// Conn is a connection through a proxy.
type Conn struct {
	net.Conn
	peer netip.Addr
}

// Peer returns the address at the far end. It is not valid when only the proxy
// knows it. RemoteAddr is the address of the proxy.
func (c *Conn) Peer() netip.Addr { return c.peer }

// NetConn returns the connection to the proxy. Nothing but the bytes of the far
// end moves over it any more, so the kernel may move them.
func (c *Conn) NetConn() net.Conn { return c.Conn }

// Error tells that a proxy was not reached, or has not done what it was asked.
type Error struct {
	// Proxy and Target are "host:port"; Target is "" before one was named.
	Proxy, Target string
	Err           error
}

// Error names the proxy and what it was asked for.
func (e *Error) Error() string {
	if op, ok := e.Err.(*net.OpError); ok && op.Op == "dial" && op.Addr != nil && op.Addr.String() == e.Proxy {
		return fmt.Sprintf("proxy %s: %v", e.Proxy, op.Err) // the address once
	}
	if e.Target == "" {
		return fmt.Sprintf("proxy %s: %v", e.Proxy, e.Err)
	}
	return fmt.Sprintf("proxy %s, asked for %s: %v", e.Proxy, e.Target, e.Err)
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

var (
	// ErrLogin: the proxy wants a login, or another one.
	ErrLogin = errors.New("the proxy does not accept the login")
	// ErrProtocol: what the proxy said is not what its protocol says.
	ErrProtocol = errors.New("not the protocol of the proxy")
)

// Server is a proxy as a URL names it.
type Server struct {
	// Scheme is "http", "https", "socks5" (names are resolved here), "socks5h"
	// (by the proxy) or "ftp".
	Scheme string
	// Addr is "host:port".
	Addr           string
	User, Password string
}

// ports are those of URLs that name none, as curl has them.
var ports = map[string]string{"http": "1080", "https": "443", "socks5": "1080", "socks5h": "1080", "ftp": "21"}

// Parse reads the URL of a proxy: "socks5://user:password@host:1080". Without a
// scheme it is that of an HTTP proxy.
func Parse(text string) (Server, error) {
	full := text
	if !strings.Contains(text, "://") {
		full = "http://" + text
	}
	// What net/url says may show the password.
	bad := func(what string) (Server, error) { return Server{}, fmt.Errorf("proxy %q: %s", hidden(text), what) }
	u, err := url.Parse(full)
	if err != nil || !isHost(u.Hostname()) {
		return bad("want SCHEME://HOST:PORT")
	}
	port, known := ports[u.Scheme]
	switch {
	case !known:
		return bad("want http, https, socks5, socks5h or ftp before the ://")
	case strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "":
		return bad("want nothing behind the host and its port")
	}
	port = cmp.Or(u.Port(), port)
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return bad("want a port from 1 to 65535")
	}
	s := Server{Scheme: u.Scheme, Addr: net.JoinHostPort(u.Hostname(), port), User: u.User.Username()}
	s.Password, _ = u.User.Password()
	return s, nil
}

// isHost tells whether s can be a name or an address in a URL.
func isHost(s string) bool {
	if _, err := netip.ParseAddr(s); err != nil && strings.Contains(s, ":") {
		return false // addresses of IPv6 alone have colons
	}
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r == 0x7f || strings.ContainsRune("[]%/?#@\\\"<>^`{|}", r) })
}

// hidden is a URL without its login.
func hidden(text string) string {
	if i := strings.LastIndexByte(text, '@'); i >= 0 {
		scheme := ""
		if j := strings.Index(text, "://"); j >= 0 && j < i {
			scheme = text[:j+len("://")]
		}
		return scheme + "****" + text[i:]
	}
	return text
}

// String returns the URL without its login.
func (s Server) String() string { return s.Scheme + "://" + s.Addr }

// Dialer returns what dials through the proxy, and reaches the proxy itself by
// forward (nil: a net.Dialer). A proxy that speaks FTP is no dialer.
func (s Server) Dialer(forward ContextDialer) (ContextDialer, error) {
	switch s.Scheme {
	case "socks5", "socks5h":
		return &SOCKS5{Addr: s.Addr, User: s.User, Password: s.Password, RemoteNames: s.Scheme == "socks5h", Forward: forward}, nil
	case "http", "https":
		return &HTTP{Addr: s.Addr, Secure: s.Scheme == "https", User: s.User, Password: s.Password, Forward: forward}, nil
	}
	return nil, fmt.Errorf("proxy %v: %q does not carry connections", s, s.Scheme)
}

// reach opens the connection to a proxy, and lets do speak on it until ctx ends.
func reach(ctx context.Context, forward ContextDialer, addr, target string, do func(net.Conn) (net.Conn, error)) (net.Conn, error) {
	if forward == nil {
		forward = &net.Dialer{}
	}
	raw, err := forward.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, &Error{addr, "", err}
	}
	stop := context.AfterFunc(ctx, func() { _ = raw.SetDeadline(time.Unix(1, 0)) })
	c, err := do(raw)
	if !stop() && err == nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		_ = raw.Close() // it is of no use
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		return nil, &Error{addr, target, err}
	}
	return c, nil
}
