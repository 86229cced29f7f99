package backends

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"towpath/ftp"
	"towpath/gateway"
	"towpath/gateway/policy"
)

// Forward leads each client to the server that he names himself: as
// user@host[:port] in USER, by HOST, or to a door such as SOCKS. It is a
// [gateway.Router].
type Forward struct {
	// Allow are where clients may be led; nowhere, if there are none.
	Allow policy.Targets
	// Ourselves tells whether an address is the gateway's own: see [Ourselves].
	// Nobody is led there.
	Ourselves func(netip.AddrPort) bool
	// Server is what the servers have in common: TLS, PROXY protocol, where we
	// come from. Name, Addr and User are set for each.
	Server gateway.Server
	// Else serves those who name nobody. nil: they are told how to.
	Else gateway.Router
	// Lookup finds the addresses of a name. Default: the resolver of the system.
	Lookup func(ctx context.Context, host string) ([]netip.Addr, error)
}

// ErrNoHost is told to a client who did not say where to go.
var ErrNoHost error = gateway.NoWay("say which server: log in as USER@HOST or USER@HOST:PORT")

// Route implements [gateway.Router].
func (f *Forward) Route(ctx context.Context, v gateway.Visitor, tried []string) (*gateway.Seat, error) {
	user, where, err := f.wanted(v)
	switch {
	case err != nil:
		return nil, err
	case where.Host == "" && v.User == "" && v.Host == "":
		return nil, gateway.ErrNeedUser
	case where.Host == "":
		if f.Else == nil {
			return nil, ErrNoHost
		}
		return f.Else.Route(ctx, v, tried)
	}
	addrs, err := f.resolve(ctx, where)
	if err != nil {
		return nil, err
	}
	name := where.String()
	for _, a := range addrs {
		s := f.Server
		s.Name, s.Addr = name, a.String()
		if s.Addr != name { // each address of a name is tried by itself
			s.Name += " (" + a.Addr().String() + ")"
			s.Config = named(s.Config, where.Host)
		}
		if slices.Contains(tried, s.Name) {
			continue
		}
		if f.Ourselves != nil && f.Ourselves(a) {
			return nil, fmt.Errorf("%s: %w: it is the gateway itself", name, policy.ErrTarget)
		}
		host := where.Host
		if s.Addr == name {
			host = ""
		}
		if err := f.Allow.Check(host, a); err != nil {
			return nil, err
		}
		if user != v.User {
			s.User = func(string) string { return user }
		}
		return &gateway.Seat{Server: s}, nil
	}
	return nil, fmt.Errorf("%s: %w", name, ErrDown)
}

// wanted is the server that a client names, and the user to log in there.
func (f *Forward) wanted(v gateway.Visitor) (user string, where Where, err error) {
	if v.User != "" {
		user, where, err = ParseUserAt(v.User)
		if err != nil || where.Host != "" {
			return user, where, err
		}
	}
	for _, host := range []string{v.Wanted, v.Host} {
		if host != "" {
			where, err = ParseWhere(host)
			return v.User, where, err
		}
	}
	return v.User, Where{}, nil
}

// resolve finds the addresses of a host. Those that clients must not be led to
// stay in: to leave them out in silence would hide what a name is used for.
func (f *Forward) resolve(ctx context.Context, w Where) ([]netip.AddrPort, error) {
	if a, err := netip.ParseAddr(w.Host); err == nil {
		return []netip.AddrPort{netip.AddrPortFrom(a.Unmap(), w.Port)}, nil
	}
	// Whom nobody may reach need not be looked up: a gateway that asks for any
	// name tells a stranger what its resolver knows.
	if !slices.ContainsFunc(f.Allow, func(t policy.Target) bool {
		return t.Net.IsValid() || t.Match("", w.Host, netip.AddrPortFrom(netip.Addr{}, w.Port))
	}) {
		return nil, fmt.Errorf("%v: %w: it is not among those that are allowed", w, policy.ErrTarget)
	}
	lookup := f.Lookup
	if lookup == nil {
		lookup = func(ctx context.Context, host string) ([]netip.Addr, error) {
			return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
		}
	}
	found, err := lookup(ctx, w.Host)
	if err != nil {
		return nil, fmt.Errorf("looking up %s: %w", ftp.Escape(w.Host), err)
	}
	addrs := make([]netip.AddrPort, len(found))
	for i, a := range found {
		addrs[i] = netip.AddrPortFrom(a.Unmap(), w.Port)
	}
	return addrs, nil
}

// named makes TLS ask for the name by which the client wanted the server, not
// for the address that it has.
func named(c *tls.Config, host string) *tls.Config {
	if c != nil && c.ServerName != "" {
		return c
	}
	if c = c.Clone(); c == nil {
		c = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	c.ServerName = host
	return c
}

// Where is a server as a client names it. Port is 21 where he names none.
type Where struct {
	Host string
	Port uint16
}

// ParseWhere reads "host", "host:port" or "[2001:db8::1]:port".
func ParseWhere(s string) (Where, error) {
	w := Where{Host: s, Port: 21}
	bad := func() (Where, error) {
		return Where{}, fmt.Errorf("%q: not a server; write HOST or HOST:PORT, as ftp.example.org:2121 or [2001:db8::1]:2121", s)
	}
	if inner, rest, ok := strings.Cut(s, "]"); ok {
		a, err := netip.ParseAddr(strings.TrimPrefix(inner, "["))
		if err != nil || !strings.HasPrefix(inner, "[") || !a.Is6() || a.Zone() != "" || rest != "" && rest[0] != ':' {
			return bad()
		}
		w.Host = a.String()
		if rest == "" {
			return w, nil
		}
		s = rest
	} else if a, err := netip.ParseAddr(s); err == nil && a.Zone() == "" {
		w.Host = a.String()
		return w, nil
	}
	if host, port, two := strings.Cut(s, ":"); two {
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil || n == 0 || port[0] == '+' {
			return bad()
		}
		if host != "" {
			w.Host = host
		}
		w.Port = uint16(n)
	}
	if _, err := netip.ParseAddr(w.Host); err != nil && !hostName(w.Host) {
		return bad()
	}
	return w, nil
}

// String writes the server as [ParseWhere] reads it, always with its port.
func (w Where) String() string { return net.JoinHostPort(w.Host, strconv.Itoa(int(w.Port))) }

// hostName tells whether s can be a name: labels of letters, digits, - and _, and
// a last one that is no number, so that 192.0.2.300 is none.
func hostName(s string) bool {
	s = strings.TrimSuffix(s, ".")
	if s == "" || len(s) > 253 {
		return false
	}
	last := ""
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || strings.ContainsFunc(label, func(r rune) bool {
			return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '_'
		}) {
			return false
		}
		last = label
	}
	return strings.Trim(last, "0123456789") != ""
}

// ParseUserAt reads what a client puts behind USER to name a server as well:
//
//	anna@ftp.example.org
//	anna@ftp.example.org:2121
//	anna@example.com@ftp.example.org     the user is anna@example.com
//
// Without an @ Where is zero, and the user is s.
func ParseUserAt(s string) (user string, w Where, err error) {
	i := strings.LastIndexByte(s, '@')
	if i < 0 {
		return s, Where{}, nil
	}
	if i == 0 {
		return "", Where{}, fmt.Errorf("%q: no user before the @; write USER@HOST", s)
	}
	w, err = ParseWhere(s[i+1:])
	return s[:i], w, err
}

// FormatUserAt is the inverse of [ParseUserAt].
func FormatUserAt(user string, w Where) string {
	if w == (Where{}) {
		return user
	}
	return user + "@" + w.String()
}

// Original leads each client to the server that he wanted to reach before a rule
// of the packet filter led him here. It is a [gateway.Router].
type Original struct {
	// Ourselves tells whether an address is the gateway's own: see [Ourselves].
	// Nobody is led there.
	Ourselves func(netip.AddrPort) bool
	// Server is what the servers have in common. Name and Addr are set for each.
	Server gateway.Server
	// Else serves those who were not redirected. nil: they are refused.
	Else gateway.Router
}

// ErrNotRedirected is told to a client who came to the gateway itself.
var ErrNotRedirected = errors.New("this is a gateway for connections to other hosts; connect to the server itself")

// Route implements [gateway.Router].
func (o *Original) Route(ctx context.Context, v gateway.Visitor, tried []string) (*gateway.Seat, error) {
	to := netip.AddrPortFrom(v.Original.Addr().Unmap(), v.Original.Port())
	switch {
	case !to.IsValid() || to == v.Local:
		if o.Else == nil {
			return nil, ErrNotRedirected
		}
		return o.Else.Route(ctx, v, tried)
	case o.Ourselves != nil && o.Ourselves(to):
		return nil, ErrNotRedirected
	case slices.Contains(tried, to.String()):
		return nil, fmt.Errorf("%v: %w", to, ErrDown)
	}
	s := o.Server
	s.Name, s.Addr = to.String(), to.String()
	return &gateway.Seat{Server: s}, nil
}

// Ourselves tells which addresses are the gateway's own, given where it listens:
// those, and where it listens on all addresses, all that this host has. A gateway
// that were led to itself would go round until nothing is left.
func Ourselves(listen ...netip.AddrPort) func(netip.AddrPort) bool {
	return func(a netip.AddrPort) bool {
		ip := a.Addr().Unmap().WithZone("")
		for _, l := range listen {
			if l.Port() != a.Port() {
				continue
			}
			if own := l.Addr().Unmap().WithZone(""); own == ip {
				return true
			} else if own.IsUnspecified() && ours(ip) {
				return true
			}
		}
		return false
	}
}

// ours tells whether this host has an address. They change while it runs, so it
// is asked each time.
func ours(ip netip.Addr) bool {
	if ip.IsLoopback() || ip.IsUnspecified() {
		return true
	}
	all, err := net.InterfaceAddrs()
	if err != nil {
		return true // to be led to ourselves is worse than to refuse somebody
	}
	for _, a := range all {
		if n, ok := a.(*net.IPNet); ok {
			if own, ok := netip.AddrFromSlice(n.IP); ok && own.Unmap() == ip {
				return true
			}
		}
	}
	return false
}
