package policy

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"

	"towpath/gateway"
)

// Target names servers: by a network, or by a pattern of names; and by ports.
type Target struct {
	// Net is the network, if it is valid; else Name is a pattern of names with
	// * and ?, in small letters: the name of a server in the settings, or the
	// host that a client asks for.
	Net  netip.Prefix
	Name string
	// Low and High are the ports, both included. 0 is any.
	Low, High uint16
}

// ParseTarget reads a target: "web1", "*.example.org", "10.0.0.0/8",
// "2001:db8::/32", each with ":PORT" or ":LOW-HIGH" behind it or without, and IPv6
// in brackets then: "[2001:db8::/32]:21".
func ParseTarget(s string) (Target, error) {
	var t Target
	if n, err := ParseNetwork(s); err == nil {
		t.Net = n
		return t, nil
	}
	host, ports, two := s, "", false
	if inner, rest, ok := strings.Cut(s, "]"); ok && strings.HasPrefix(inner, "[") {
		host = inner[1:]
		if ports, two = strings.CutPrefix(rest, ":"); !two && rest != "" {
			return t, fmt.Errorf("%q: behind ] stands a colon and a port, as in [2001:db8::1]:21", s)
		}
	} else if strings.Count(s, ":") == 1 {
		host, ports, two = strings.Cut(s, ":")
	}
	if two {
		var err error
		if t.Low, t.High, err = parsePorts(ports); err != nil {
			return Target{}, fmt.Errorf("%q: %w", s, err)
		}
	}
	switch n, err := ParseNetwork(host); {
	case err == nil:
		t.Net = n
	case strings.ContainsAny(host, "/:") || numeric(host):
		return Target{}, err
	case host == "" || strings.ContainsFunc(host, func(c rune) bool {
		return c <= ' ' || c == 0x7f || strings.ContainsRune(`"[],@%\`, c)
	}):
		return Target{}, fmt.Errorf("%q: not a server; write a name, as ftp.example.org or *.example.org, a network, as 10.0.0.0/8, and a port if one is meant, as in 10.0.0.5:2121", s)
	default:
		t.Name = strings.TrimRight(strings.ToLower(host), ".")
		if t.Name == "" {
			return Target{}, fmt.Errorf("%q: not a name", s)
		}
	}
	return t, nil
}

// numeric tells whether a name is a slip of an address: 10.0.0.300.
func numeric(s string) bool {
	return s != "" && strings.Trim(s, "0123456789.") == ""
}

func parsePorts(s string) (low, high uint16, err error) {
	a, b, two := strings.Cut(s, "-")
	if !two {
		b = a
	}
	l, errL := strconv.ParseUint(a, 10, 16)
	h, errH := strconv.ParseUint(b, 10, 16)
	if errL != nil || errH != nil || l == 0 || l > h {
		return 0, 0, fmt.Errorf("%q is neither a port from 1 to 65535 nor a range, as 2121-2130", s)
	}
	return uint16(l), uint16(h), nil
}

// String writes the target as [ParseTarget] reads it.
func (t Target) String() string {
	host := t.Name
	if t.Net.IsValid() {
		host = FormatNetwork(t.Net)
	}
	ports := ""
	switch {
	case t.Low == 0:
		return host
	case t.Low == t.High:
		ports = strconv.Itoa(int(t.Low))
	default:
		ports = fmt.Sprintf("%d-%d", t.Low, t.High)
	}
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	return host + ":" + ports
}

// Match tells whether a server is meant, which has a name in the settings, was
// asked for as host (both may be ""), and is at addr (which may not be known).
// A port that is not known matches only where no port was said.
func (t Target) Match(name, host string, addr netip.AddrPort) bool {
	if t.Low != 0 && (addr.Port() < t.Low || addr.Port() > t.High) {
		return false
	}
	if t.Net.IsValid() {
		return t.Net.Contains(addr.Addr().Unmap().WithZone(""))
	}
	for _, s := range []string{name, host} {
		if s = strings.TrimRight(strings.ToLower(s), "."); s != "" && Glob(t.Name, s) {
			return true
		}
	}
	return false
}

// ParseNetwork reads a network as CIDR, or one address. IPv4 inside IPv6 is
// refused: it is IPv4 that clients have.
func ParseNetwork(s string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(s); err == nil && a.Zone() == "" && !a.Is4In6() {
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	switch {
	case err != nil || p.Addr().Is4In6():
		return netip.Prefix{}, fmt.Errorf("%q: not a network; write an address and its bits, as 10.0.0.0/8", s)
	case p != p.Masked():
		return netip.Prefix{}, fmt.Errorf("%s: has bits set behind its first %d; write %v", s, p.Bits(), p.Masked())
	}
	return p, nil
}

// FormatNetwork is the inverse of [ParseNetwork]: one address stands without its bits.
func FormatNetwork(n netip.Prefix) string {
	if n.IsSingleIP() {
		return n.Addr().String()
	}
	return n.String()
}

// ErrTarget is what every refusal of [Targets] is.
var ErrTarget error = gateway.NoWay("the gateway does not lead there")

// Targets are where clients may be led who name a server themselves. None means
// nowhere: a gateway that leads anybody anywhere is an open proxy, and a way
// into the network behind it.
type Targets []Target

// Check says why a client must not be led to a server that was asked for as host
// ("" if by its address) and is at addr; nil if he may.
//
// Where no port was said, 21 and 990 are meant. This machine, links of the local
// network and the addresses at which clouds tell secrets are reached only if one
// of the targets is about such addresses alone, or is the very name that was
// asked for: neither 0.0.0.0/0 nor *.example.org is.
func (ts Targets) Check(host string, addr netip.AddrPort) error {
	ip := addr.Addr().Unmap().WithZone("")
	where := addr.String()
	if host != "" {
		where = net.JoinHostPort(host, strconv.Itoa(int(addr.Port())))
	}
	why := special(ip)
	kept := false // back, for what it is
	for _, t := range ts {
		if !t.Match("", host, addr) || t.Low == 0 && addr.Port() != 21 && addr.Port() != 990 {
			continue
		}
		if why != "" && !t.means(ip) {
			kept = true
			continue
		}
		return nil
	}
	if kept {
		return fmt.Errorf("%s: %w: %v is %s, which must be allowed by itself", where, ErrTarget, ip, why)
	}
	return fmt.Errorf("%s: %w: it is not among those that are allowed", where, ErrTarget)
}

// means tells whether a target is about such special addresses and nothing else.
func (t Target) means(ip netip.Addr) bool {
	if !t.Net.IsValid() {
		return !strings.ContainsAny(t.Name, "*?")
	}
	for _, s := range specials {
		if s.net.Contains(ip) {
			return s.net.Contains(t.Net.Addr()) && t.Net.Bits() >= s.net.Bits()
		}
	}
	return false
}

// special says what is special about an address, or "".
func special(ip netip.Addr) string {
	for _, s := range specials {
		if s.net.Contains(ip) {
			return s.what
		}
	}
	return ""
}

var specials = []struct {
	net  netip.Prefix
	what string
}{
	{netip.MustParsePrefix("127.0.0.0/8"), "this machine itself"},
	{netip.MustParsePrefix("::1/128"), "this machine itself"},
	{netip.MustParsePrefix("0.0.0.0/8"), "this machine itself"},
	{netip.MustParsePrefix("::/128"), "this machine itself"},
	{netip.MustParsePrefix("169.254.0.0/16"), "link-local (clouds tell secrets at 169.254.169.254)"},
	{netip.MustParsePrefix("fe80::/10"), "link-local"},
	{netip.MustParsePrefix("fd00:ec2::254/128"), "where a cloud tells secrets"},
	{netip.MustParsePrefix("100.100.100.200/32"), "where a cloud tells secrets"},
	{netip.MustParsePrefix("224.0.0.0/4"), "multicast"},
	{netip.MustParsePrefix("ff00::/8"), "multicast"},
	{netip.MustParsePrefix("255.255.255.255/32"), "broadcast"},
}
