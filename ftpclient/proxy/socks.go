package proxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"time"
)

// SOCKS5 reaches hosts through a SOCKS proxy of version 5.
type SOCKS5 struct {
	// Addr is the proxy's, "host:port".
	Addr string
	// User and Password are shown to a proxy that asks (RFC 1929); in clear
	// text, as all of SOCKS is.
	User, Password string
	// RemoteNames leaves names to the proxy. Unless it is set they are
	// resolved here, and we know whom we are connected to.
	RemoteNames bool
	// Forward reaches the proxy. Default: a net.Dialer.
	Forward ContextDialer
	// Resolver resolves names here. Default: net.DefaultResolver.
	Resolver *net.Resolver
}

const (
	socksVersion = 5
	loginVersion = 1 // RFC 1929

	connect = 1
	bind    = 2
)

// ReplyError is the code by which a SOCKS proxy says no (RFC 1928 6).
type ReplyError byte

// Error puts the code into words.
func (e ReplyError) Error() string {
	switch e {
	case 1:
		return "the proxy failed, and does not say why"
	case 2:
		return "the rules of the proxy do not allow it"
	case 3:
		return "network unreachable"
	case 4:
		return "host unreachable"
	case 5:
		return "connection refused"
	case 6:
		return "time to live expired"
	case 7:
		return "the proxy does not know this command"
	case 8:
		return "the proxy does not know this kind of address"
	}
	return fmt.Sprintf("the proxy refused it by code %d", byte(e))
}

// address is where a request leads to or a reply says: an IP address, or a name.
type address struct {
	ip   netip.Addr
	name string // if ip is not valid
	port uint16
}

func (a address) String() string {
	host := a.name
	if a.ip.IsValid() {
		host = a.ip.String()
	}
	return net.JoinHostPort(host, strconv.Itoa(int(a.port)))
}

// DialContext opens a TCP connection to address through the proxy. Of several
// addresses of a name each is tried in turn.
func (p *SOCKS5) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	targets, err := p.targets(ctx, network, address)
	if err != nil {
		return nil, err
	}
	for _, to := range targets {
		var c net.Conn
		c, err = reach(ctx, p.Forward, p.Addr, to.String(), func(c net.Conn) (net.Conn, error) {
			if err := p.ask(c, connect, to); err != nil {
				return nil, err
			}
			if _, err := readReply(c); err != nil {
				return nil, err
			}
			return &Conn{c, to.ip}, nil
		})
		if err == nil {
			return c, nil
		}
		if _, ok := errors.AsType[ReplyError](err); !ok {
			break // what ails the proxy ails it for each address
		}
	}
	return nil, err
}

// targets are what is asked of the proxy for a host, one after the other.
func (p *SOCKS5) targets(ctx context.Context, network, addr string) ([]address, error) {
	family := ""
	switch network {
	case "tcp":
		family = "ip"
	case "tcp4":
		family = "ip4"
	case "tcp6":
		family = "ip6"
	default:
		return nil, fmt.Errorf("proxy %s: %s is not carried; want tcp", p.Addr, network)
	}
	host, text, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, fmt.Errorf("proxy %s, asked for %q: want host:port: %w", p.Addr, addr, err)
	}
	port, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return nil, fmt.Errorf("proxy %s, asked for %q: want a port from 0 to 65535", p.Addr, addr)
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		return []address{{ip: ip.Unmap().WithZone(""), port: uint16(port)}}, nil
	}
	if p.RemoteNames {
		if host == "" || len(host) > 255 {
			return nil, fmt.Errorf("proxy %s, asked for %q: a name has from 1 to 255 bytes", p.Addr, addr)
		}
		return []address{{name: host, port: uint16(port)}}, nil
	}
	r := p.Resolver
	if r == nil {
		r = net.DefaultResolver
	}
	found, err := r.LookupNetIP(ctx, family, host)
	if err != nil {
		return nil, err
	}
	targets := make([]address, len(found))
	for i, ip := range found {
		targets[i] = address{ip: ip.Unmap().WithZone(""), port: uint16(port)}
	}
	return targets, nil
}

// ask greets the proxy, logs in and sends a request.
func (p *SOCKS5) ask(c net.Conn, command byte, to address) error {
	hello := []byte{socksVersion, 1, 0}
	if p.User != "" {
		if len(p.User) > 255 || len(p.Password) < 1 || len(p.Password) > 255 {
			return fmt.Errorf("%w: user and password have from 1 to 255 bytes each (RFC 1929)", ErrLogin)
		}
		hello = []byte{socksVersion, 2, 0, 2}
	}
	if _, err := c.Write(hello); err != nil {
		return err
	}
	var answer [2]byte
	if err := readFull(c, answer[:]); err != nil {
		return err
	}
	switch method := answer[1]; {
	case answer[0] != socksVersion:
		return fmt.Errorf("%w: it answers in version %d, want %d", ErrProtocol, answer[0], socksVersion)
	case method == 0:
	case method == 2 && p.User != "":
		if err := p.login(c); err != nil {
			return err
		}
	case method == 0xff && p.User == "":
		return fmt.Errorf("%w: it wants one, and none is set", ErrLogin)
	case method == 0xff:
		return fmt.Errorf("%w: it wants another kind than user and password", ErrLogin)
	default:
		return fmt.Errorf("%w: it chose the login %d, which was not offered", ErrProtocol, method)
	}
	_, err := c.Write(appendAddress([]byte{socksVersion, command, 0}, to))
	return err
}

// login is RFC 1929.
func (p *SOCKS5) login(c net.Conn) error {
	b := append([]byte{loginVersion, byte(len(p.User))}, p.User...)
	b = append(append(b, byte(len(p.Password))), p.Password...)
	if _, err := c.Write(b); err != nil {
		return err
	}
	var answer [2]byte
	if err := readFull(c, answer[:]); err != nil {
		return err
	}
	if answer[0] != loginVersion {
		return fmt.Errorf("%w: it answers the login in version %d, want %d", ErrProtocol, answer[0], loginVersion)
	}
	if answer[1] != 0 {
		return fmt.Errorf("%w: of user %q", ErrLogin, p.User)
	}
	return nil
}

// appendAddress writes type, address and port.
func appendAddress(b []byte, a address) []byte {
	switch {
	case a.ip.Is4():
		b = append(b, 1)
		b = append(b, a.ip.AsSlice()...)
	case a.ip.IsValid():
		b = append(b, 4)
		b = append(b, a.ip.AsSlice()...)
	default:
		b = append(b, 3, byte(len(a.name)))
		b = append(b, a.name...)
	}
	return append(b, byte(a.port>>8), byte(a.port))
}

// readAddress is the inverse of appendAddress. It reads not one byte more: what
// follows belongs to the far end.
func readAddress(r io.Reader) (a address, err error) {
	var kind [1]byte
	if err := readFull(r, kind[:]); err != nil {
		return a, err
	}
	size := 0
	switch kind[0] {
	case 1:
		size = 4
	case 4:
		size = 16
	case 3:
		var n [1]byte
		if err := readFull(r, n[:]); err != nil {
			return a, err
		}
		if size = int(n[0]); size == 0 {
			return a, fmt.Errorf("%w: an address that is an empty name", ErrProtocol)
		}
	default:
		return a, fmt.Errorf("%w: an address of type %d; want 1, 3 or 4", ErrProtocol, kind[0])
	}
	b := make([]byte, size+2)
	if err := readFull(r, b); err != nil {
		return a, err
	}
	if kind[0] == 3 {
		a.name = string(b[:size])
	} else {
		a.ip, _ = netip.AddrFromSlice(b[:size]) // 4 or 16 bytes
	}
	a.port = uint16(b[size])<<8 | uint16(b[size+1])
	return a, nil
}

// readReply reads what the proxy says to a request (RFC 1928 6).
func readReply(r io.Reader) (address, error) {
	var head [3]byte
	// What refuses may end behind its code, as some proxies' replies do.
	if err := readFull(r, head[:2]); err != nil {
		return address{}, err
	}
	if head[0] != socksVersion {
		return address{}, fmt.Errorf("%w: a reply in version %d, want %d", ErrProtocol, head[0], socksVersion)
	}
	if head[1] != 0 {
		return address{}, ReplyError(head[1])
	}
	if err := readFull(r, head[2:]); err != nil {
		return address{}, err
	}
	return readAddress(r)
}

// readFull is io.ReadFull; that the proxy hangs up is not its protocol.
func readFull(r io.Reader, b []byte) error {
	_, err := io.ReadFull(r, b)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%w: it hung up in the middle of a reply: %w", ErrProtocol, io.ErrUnexpectedEOF)
	}
	return err
}

// Bind asks the proxy for a port at which peer, "host:port", can connect to us
// (RFC 1928 4). The listener takes one connection; its Addr is what peer is to
// be told. Who has connected is [Conn.Peer] of what Accept returns: a proxy may
// let in anybody, so look at it.
func (p *SOCKS5) Bind(ctx context.Context, peer string) (net.Listener, error) {
	targets, err := p.targets(ctx, "tcp", peer)
	if err != nil {
		return nil, err
	}
	to := targets[0]
	var at netip.AddrPort
	c, err := reach(ctx, p.Forward, p.Addr, to.String(), func(c net.Conn) (net.Conn, error) {
		if err := p.ask(c, bind, to); err != nil {
			return nil, err
		}
		a, err := readReply(c)
		if err != nil {
			return nil, err
		}
		ip := a.ip.Unmap()
		if remote, ok := c.RemoteAddr().(*net.TCPAddr); ok && ip.IsUnspecified() { // "here", say many
			ip = remote.AddrPort().Addr().Unmap().WithZone("")
		}
		if !ip.IsValid() || ip.IsUnspecified() || a.port == 0 {
			return nil, fmt.Errorf("%w: it listens at %v; want an IP address and a port", ErrProtocol, a)
		}
		at = netip.AddrPortFrom(ip, a.port)
		return c, nil
	})
	if err != nil {
		return nil, err
	}
	return &bound{conn: c, at: at, proxy: p.Addr}, nil
}

// bound waits for the second reply to BIND.
type bound struct {
	conn  net.Conn
	at    netip.AddrPort
	proxy string

	mu   sync.Mutex
	over bool // taken, or closed
}

func (b *bound) Addr() net.Addr { return net.TCPAddrFromAddrPort(b.at) }

// SetDeadline bounds Accept.
func (b *bound) SetDeadline(t time.Time) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.over {
		return net.ErrClosed
	}
	return b.conn.SetDeadline(t)
}

// Accept waits for the one connection.
func (b *bound) Accept() (net.Conn, error) {
	from, err := b.wait()
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.over {
		return nil, net.ErrClosed
	}
	if err != nil {
		return nil, &Error{b.proxy, "", err}
	}
	b.over = true
	if err := b.conn.SetDeadline(time.Time{}); err != nil {
		return nil, err
	}
	return &Conn{b.conn, from.ip.Unmap()}, nil
}

func (b *bound) wait() (address, error) {
	b.mu.Lock()
	over := b.over
	b.mu.Unlock()
	if over {
		return address{}, net.ErrClosed
	}
	return readReply(b.conn)
}

// Close ends the wait. It does not end a connection that was taken.
func (b *bound) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.over {
		return nil
	}
	b.over = true
	return b.conn.Close()
}
