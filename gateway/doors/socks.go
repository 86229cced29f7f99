package doors

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"
)

// SOCKS is a door that clients ask for a server by SOCKS5 (RFC 1928, CONNECT). A
// client also asks for its passive data connections here, by the address that
// the gateway has told it: the door makes those itself, see [SOCKS.Accepted].
type SOCKS struct {
	// Login judges user and password (RFC 1929), which are in clear text as all of
	// SOCKS is. A wrong one is answered late, and after 20 of an address within
	// 10 minutes none of it is judged until they are over. nil asks for none.
	Login func(user, password string) bool
	// Allow judges where a client wants to go, as "host:port". The server is
	// chosen later; what is refused here is refused in the words of SOCKS. nil
	// leaves it to later.
	Allow func(ctx context.Context, client netip.AddrPort, wanted string) error
	// Data tells whether a port is one that the gateway announces.
	Data func(port uint16) bool
	// Log is told who is turned away. nil is silence.
	Log *slog.Logger

	wrong failures

	mu    sync.RWMutex
	inner map[netip.AddrPort]netip.AddrPort // our own ends of data connections: the client of each
	hosts map[netip.Addr]map[string]int     // the hosts that a client has sessions with
}

// Listen speaks SOCKS5 first with all who come to l.
func (s *SOCKS) Listen(l net.Listener) net.Listener {
	return newLobby(l, s.log(), s.talk)
}

// The numbers of RFC 1928 and 1929.
const (
	socksVersion = 5
	loginVersion = 1

	noLogin   = 0
	withLogin = 2
	noMethod  = 0xff

	connect = 1
	bind    = 2

	succeeded       = 0
	notAllowed      = 2
	refused         = 5
	noCommand       = 7
	noAddress       = 8
	byIPv4          = 1
	byName          = 3
	byIPv6          = 4
	maxSOCKSMethods = 255
)

// refusal is why a door does not do what it was asked for, with SOCKS's code.
type refusal struct {
	code byte
	err  error
}

func (r *refusal) Error() string { return r.err.Error() }
func (r *refusal) Unwrap() error { return r.err }

// talk is the whole of SOCKS with one client.
func (s *SOCKS) talk(c *Conn) (*Conn, error) {
	if err := s.greet(c, addrPort(c.RemoteAddr()).Addr()); err != nil {
		return nil, err
	}
	command, host, port, err := readRequest(c)
	if err == nil {
		switch command {
		case connect:
			return s.connect(c, host, port)
		case bind:
			err = &refusal{noCommand, errors.New("BIND, for active mode: the gateway takes data connections itself; let the client use passive mode")}
		default:
			err = &refusal{noCommand, fmt.Errorf("command %d: only CONNECT is known", command)}
		}
	}
	if r, ok := errors.AsType[*refusal](err); ok {
		err = errors.Join(err, answer(c, r.code, netip.AddrPort{}))
	}
	return nil, err
}

// greet agrees on a login, and hears it.
func (s *SOCKS) greet(c io.ReadWriter, from netip.Addr) error {
	var head [2]byte
	if _, err := io.ReadFull(c, head[:]); err != nil {
		return fmt.Errorf("SOCKS: %w", err)
	}
	if head[0] != socksVersion {
		return fmt.Errorf("SOCKS: version %d; want 5 (SOCKS4 clients can log in as USER@HOST instead)", head[0])
	}
	var methods [maxSOCKSMethods]byte
	offered := methods[:head[1]]
	if _, err := io.ReadFull(c, offered); err != nil {
		return fmt.Errorf("SOCKS: %w", err)
	}
	want := byte(noLogin)
	if s.Login != nil {
		want = withLogin
	}
	if !strings.Contains(string(offered), string([]byte{want})) {
		_, err := c.Write([]byte{socksVersion, noMethod})
		return errors.Join(fmt.Errorf("SOCKS: logins %v are offered; want %d", offered, want), err)
	}
	if _, err := c.Write([]byte{socksVersion, want}); err != nil || s.Login == nil {
		return err
	}
	user, password, err := readLogin(c)
	if err != nil {
		return err
	}
	ok, wait, banned := s.wrong.judge(from, func() bool { return s.Login(user, password) })
	if !ok {
		why := "wrong user or password"
		if banned {
			why = "too many wrong logins of this address"
		}
		time.Sleep(wait) // the goroutine is his alone
		_, err := c.Write([]byte{loginVersion, 1})
		return errors.Join(fmt.Errorf("SOCKS: %s, of user %q", why, user), err)
	}
	_, err = c.Write([]byte{loginVersion, succeeded})
	return err
}

// readLogin is RFC 1929 2.
func readLogin(r io.Reader) (user, password string, err error) {
	var version [1]byte
	if _, err := io.ReadFull(r, version[:]); err != nil {
		return "", "", fmt.Errorf("SOCKS: login: %w", err)
	}
	if version[0] != loginVersion {
		return "", "", fmt.Errorf("SOCKS: login of version %d; want 1", version[0])
	}
	if user, err = readText(r); err == nil {
		password, err = readText(r)
	}
	return user, password, err
}

// readText reads a length and as many bytes.
func readText(r io.Reader) (string, error) {
	var b [256]byte
	if _, err := io.ReadFull(r, b[:1]); err != nil {
		return "", fmt.Errorf("SOCKS: %w", err)
	}
	n := b[0]
	if _, err := io.ReadFull(r, b[:n]); err != nil {
		return "", fmt.Errorf("SOCKS: %w", err)
	}
	return string(b[:n]), nil
}

// readRequest is RFC 1928 4. It reads not a byte beyond the request.
func readRequest(r io.Reader) (command byte, host string, port uint16, err error) {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, "", 0, fmt.Errorf("SOCKS: request: %w", err)
	}
	if head[0] != socksVersion {
		return 0, "", 0, fmt.Errorf("SOCKS: request of version %d; want 5", head[0])
	}
	switch head[3] {
	case byIPv4:
		var b [4]byte
		_, err = io.ReadFull(r, b[:])
		host = netip.AddrFrom4(b).String()
	case byIPv6:
		var b [16]byte
		_, err = io.ReadFull(r, b[:])
		host = netip.AddrFrom16(b).Unmap().String()
	case byName:
		host, err = readText(r)
	default:
		return 0, "", 0, &refusal{noAddress, fmt.Errorf("SOCKS: address of type %d; want 1, 3 or 4", head[3])}
	}
	if err != nil {
		return 0, "", 0, fmt.Errorf("SOCKS: request: %w", err)
	}
	var b [2]byte
	if _, err := io.ReadFull(r, b[:]); err != nil {
		return 0, "", 0, fmt.Errorf("SOCKS: request: %w", err)
	}
	port = uint16(b[0])<<8 | uint16(b[1])
	if host == "" || port == 0 || strings.ContainsFunc(host, func(c rune) bool { return c <= ' ' || c >= 0x7f }) {
		return 0, "", 0, &refusal{notAllowed, fmt.Errorf("SOCKS: %q port %d: not where one can connect", host, port)}
	}
	return head[1], host, port, nil
}

// answer is RFC 1928 6.
func answer(w io.Writer, code byte, at netip.AddrPort) error {
	b := []byte{socksVersion, code, 0}
	switch ip := at.Addr(); {
	case ip.Is4():
		b = append(append(b, byIPv4), ip.AsSlice()...)
	case ip.Is6():
		b = append(append(b, byIPv6), ip.AsSlice()...)
	default:
		b = append(b, byIPv4, 0, 0, 0, 0)
	}
	_, err := w.Write(append(b, byte(at.Port()>>8), byte(at.Port())))
	return err
}

// connect does what CONNECT asks for: a session, or a data connection of one.
func (s *SOCKS) connect(c *Conn, host string, port uint16) (*Conn, error) {
	client := addrPort(c.RemoteAddr())
	if s.Data != nil && s.Data(port) && s.knows(client.Addr(), host) {
		return nil, s.data(c, port)
	}
	wanted := net.JoinHostPort(host, strconv.Itoa(int(port)))
	if s.Allow != nil {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := s.Allow(ctx, client, wanted); err != nil {
			return nil, errors.Join(err, answer(c, notAllowed, netip.AddrPort{}))
		}
	}
	if err := answer(c, succeeded, addrPort(c.LocalAddr())); err != nil {
		return nil, err
	}
	c.wanted = wanted
	c.end = s.session(client.Addr(), host)
	return c, nil
}

// session remembers that a client has a session with a host, until end is called.
func (s *SOCKS) session(client netip.Addr, host string) (end func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.hosts == nil {
		s.hosts = map[netip.Addr]map[string]int{}
	}
	of := s.hosts[client]
	if of == nil {
		of = map[string]int{}
		s.hosts[client] = of
	}
	of[host]++
	return sync.OnceFunc(func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if of[host]--; of[host] == 0 {
			delete(of, host)
		}
		if len(of) == 0 {
			delete(s.hosts, client)
		}
	})
}

// knows tells whether host is one that a client's data connections go to: the one
// of a session, to which 229 leads, or an address of ours, as 227 tells it.
func (s *SOCKS) knows(client netip.Addr, host string) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	of := s.hosts[client]
	if of[host] > 0 {
		return true
	}
	a, err := netip.ParseAddr(host)
	return err == nil && len(of) > 0 && ours(a)
}

// data makes a data connection to the gateway's own port, for the client, and
// leaves it to move bytes until both ends are done.
func (s *SOCKS) data(c *Conn, port uint16) error {
	client, local := addrPort(c.RemoteAddr()), addrPort(c.LocalAddr())
	d := net.Dialer{Timeout: patience, LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(local.Addr(), 0))}
	// Whoever accepts it asks who it is, and waits until that is written down.
	s.mu.Lock()
	raw, err := d.Dial("tcp", netip.AddrPortFrom(local.Addr(), port).String())
	if err != nil {
		s.mu.Unlock()
		return errors.Join(err, answer(c, refused, netip.AddrPort{}))
	}
	up := raw.(*net.TCPConn) // that is what "tcp" gives
	own := addrPort(up.LocalAddr())
	if s.inner == nil {
		s.inner = map[netip.AddrPort]netip.AddrPort{}
	}
	s.inner[own] = client
	s.mu.Unlock()
	err = answer(c, succeeded, own)
	if err == nil {
		err = c.SetDeadline(time.Time{})
	}
	// It goes on when the door is closed, as its session does.
	go func() {
		if err == nil {
			err := join(c.TCPConn, up)
			s.log().Debug("a data connection through SOCKS has ended", "client", client, "port", port, "err", err)
		}
		_ = errors.Join(up.Close(), c.Close()) // join has said what went wrong
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.inner, own)
	}()
	return err
}

func (s *SOCKS) log() *slog.Logger {
	if s.Log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return s.Log
}

// join moves bytes both ways until both are done, or one is broken: then so is the
// other, since half a file must not look like a whole one.
func join(a, b *net.TCPConn) error {
	move := func(to, from *net.TCPConn) error {
		_, err := io.Copy(to, from) // by splice, on Linux
		if err == nil {
			err = to.CloseWrite()
		}
		if err != nil {
			// Neither can be used; a reset tells both ends.
			_ = errors.Join(a.SetLinger(0), b.SetLinger(0), a.Close(), b.Close())
		}
		return err
	}
	back := make(chan error, 1)
	go func() { back <- move(a, b) }()
	err := move(b, a)
	if other := <-back; err == nil {
		err = other
	}
	return err
}

// Accepted returns who has really made a data connection that came from this door;
// next is asked of others, and may be nil. It fits gateway.Options.Accepted.
func (s *SOCKS) Accepted(next func(context.Context, *net.TCPConn) (netip.AddrPort, error)) func(context.Context, *net.TCPConn) (netip.AddrPort, error) {
	return func(ctx context.Context, c *net.TCPConn) (netip.AddrPort, error) {
		peer := addrPort(c.RemoteAddr())
		s.mu.RLock()
		client, ok := s.inner[peer]
		s.mu.RUnlock()
		switch {
		case ok:
			return client, nil
		case next != nil:
			return next(ctx, c)
		}
		return peer, nil
	}
}
