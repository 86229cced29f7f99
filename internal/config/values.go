package config

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"towpath/ftpserver"
	"towpath/internal/units"
)

// Duration, Size and Rate are values with units.
type (
	Duration = units.Duration
	Size     = units.Size
	Rate     = units.Rate
)

// clockOf gives d as [ftpserver.Options] want it: there, zero means the default
// and a negative time switches a clock off.
func clockOf(d Duration) time.Duration {
	if d == 0 {
		return -1
	}
	return time.Duration(d)
}

// ParsePorts reads a range of ports, "50000-50100", one port alone, or "any",
// the zero value.
func ParsePorts(s string) (ftpserver.PortRange, error) {
	if s == "any" {
		return ftpserver.PortRange{}, nil
	}
	low, high, two := strings.Cut(s, "-")
	if !two {
		high = low
	}
	a, errA := port(low)
	b, errB := port(high)
	switch {
	case errA != nil || errB != nil:
		return ftpserver.PortRange{}, fmt.Errorf("%q: not a range of ports; write two numbers from 1 to 65535 as 50000-50100, or any", s)
	case a > b:
		return ftpserver.PortRange{}, fmt.Errorf("%s: the first port is greater than the last; write %d-%d", s, b, a)
	}
	return ftpserver.PortRange{Low: a, High: b}, nil
}

func port(s string) (uint16, error) {
	n, err := strconv.ParseUint(s, 10, 16)
	if err == nil && n == 0 {
		err = errors.New("port 0")
	}
	return uint16(n), err
}

// FormatPorts is the inverse of [ParsePorts].
func FormatPorts(r ftpserver.PortRange) string {
	if r == (ftpserver.PortRange{}) {
		return "any"
	}
	return fmt.Sprintf("%d-%d", r.Low, r.High)
}

// Mode is permission bits, as of a umask.
type Mode uint32

// ParseMode reads up to four octal digits, as "022".
func ParseMode(s string) (Mode, error) {
	n, err := strconv.ParseUint(s, 8, 32)
	if err != nil || n > 0o777 {
		return 0, fmt.Errorf("%q: not a umask; write octal digits from 000 to 777, as 022", s)
	}
	return Mode(n), nil
}

// FormatMode is the inverse of [ParseMode].
func FormatMode(m Mode) string { return fmt.Sprintf("%03o", uint32(m)) }

// User is a name and its password in clear, for servers set up by hand.
type User struct{ Name, Password string }

// ParseUser reads "NAME:PASSWORD". The password may hold further colons.
func ParseUser(s string) (User, error) {
	name, password, ok := strings.Cut(s, ":")
	switch {
	case !ok:
		// The text may be a password alone: it is not repeated.
		return User{}, errors.New("no colon; write NAME:PASSWORD")
	case name == "":
		return User{}, errors.New("no name before the colon; write NAME:PASSWORD")
	case password == "":
		return User{}, fmt.Errorf("%s: no password behind the colon; write %s:PASSWORD", name, name)
	case strings.ContainsFunc(s, unicode.IsControl) || !utf8.ValidString(s):
		return User{}, fmt.Errorf("%q: no client can send control characters in a name or a password", name)
	}
	return User{name, password}, nil
}

// FormatUser is the inverse of [ParseUser]. It shows the password.
func FormatUser(u User) string { return u.Name + ":" + u.Password }

// String hides the password.
func (u User) String() string { return u.Name + ":****" }

// LogValue hides the password.
func (u User) LogValue() slog.Value { return slog.StringValue(u.String()) }

// HostCert is the certificate of one virtual host.
type HostCert struct {
	Name string
	// Cert and Key are PEM files; an empty Key means that Cert holds both.
	Cert, Key string
}

// ParseHostCert reads "NAME=CERT" or "NAME=CERT|KEY".
func ParseHostCert(s string) (HostCert, error) {
	name, files, ok := strings.Cut(s, "=")
	cert, key, two := strings.Cut(files, "|")
	if !ok || cert == "" || two && key == "" || strings.Contains(key, "|") || plain(s) != nil {
		return HostCert{}, fmt.Errorf("%q: not a host and its certificate; write NAME=CERT.pem|KEY.pem", s)
	}
	if !hostName(name) {
		return HostCert{}, fmt.Errorf("%q: not a host name", name)
	}
	return HostCert{name, cert, key}, nil
}

// FormatHostCert is the inverse of [ParseHostCert].
func FormatHostCert(h HostCert) string {
	if h.Key == "" {
		return h.Name + "=" + h.Cert
	}
	return h.Name + "=" + h.Cert + "|" + h.Key
}

// ParseExternal reads which address clients are told, for passive mode:
//
//	203.0.113.7                  all clients are told this address
//	ftp.example.org              a name, looked up again as it ages
//	if:eth0                      the address of an interface
//	auto                         the address that the client reached
//	10.0.0.0/8=10.0.0.5          the clients of one network
//	10.0.0.0/8+fd00::/8=auto     of several
//	tls=203.0.113.8              encrypted sessions; clear=… the others
//	10.0.0.0/8+tls=10.0.0.6      both conditions
func ParseExternal(s string) (ftpserver.Told, error) {
	var t ftpserver.Told
	from, address, ok := strings.Cut(s, "=")
	if !ok {
		from, address = "", s
	} else if from == "" {
		return t, fmt.Errorf("%q: nothing before the =; write CIDR=ADDRESS, as 10.0.0.0/8=10.0.0.5", s)
	}
	t.Address = address
	for from != "" {
		var c string
		if c, from, ok = strings.Cut(from, "+"); ok && from == "" {
			return t, fmt.Errorf("%q: nothing behind the +", s)
		}
		if c == "tls" || c == "clear" {
			if t.TLS != nil {
				return t, fmt.Errorf("%q: tls and clear can be said once", s)
			}
			t.TLS = new(bool)
			*t.TLS = c == "tls"
			continue
		}
		p, err := parseNetwork(c)
		if err != nil {
			return t, err
		}
		t.Clients = append(t.Clients, p)
	}
	return t, tellable(t.Address)
}

// FormatExternal is the inverse of [ParseExternal].
func FormatExternal(t ftpserver.Told) string {
	var from []string
	for _, p := range t.Clients {
		from = append(from, p.String())
	}
	if t.TLS != nil {
		from = append(from, map[bool]string{true: "tls", false: "clear"}[*t.TLS])
	}
	if len(from) == 0 {
		return t.Address
	}
	return strings.Join(from, "+") + "=" + t.Address
}

// parseNetwork reads a network as CIDR, or one address.
func parseNetwork(s string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(s); err == nil && a.Zone() == "" && !a.Is4In6() {
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	switch {
	case err != nil || p.Addr().Is4In6():
		return p, fmt.Errorf("%q: not a network; write an address and its bits, as 10.0.0.0/8", s)
	case p != p.Masked():
		return p, fmt.Errorf("%s: has bits set behind its first %d; write %v", s, p.Bits(), p.Masked())
	}
	return p, nil
}

// tellable checks an address that clients can be told.
func tellable(s string) error {
	a, err := netip.ParseAddr(s)
	switch {
	case err == nil && (a.IsUnspecified() || a.IsMulticast() || a.Zone() != "" || a.Is4In6()):
		return fmt.Errorf("%s: no client can connect there; write the address from which the server is seen", s)
	case err == nil || s == "auto":
		return nil
	case strings.HasPrefix(s, "if:"):
		if name := s[len("if:"):]; name != "" && !strings.ContainsFunc(name, func(r rune) bool {
			return r <= ' ' || r >= unicode.MaxASCII || strings.ContainsRune(",=+/", r)
		}) {
			return nil
		}
		return fmt.Errorf("%q: not an interface; write its name, as if:eth0", s)
	case !hostName(s):
		return fmt.Errorf("%q: not an address; write an IP address, a host name, if:INTERFACE, or auto", s)
	}
	return nil
}

// hostName reports whether s can be a host name: labels of letters, digits,
// hyphens and underscores, and a last label that is not a number (so that
// 203.0.113.300 is a slip of the pen, not a host).
func hostName(s string) bool {
	if s == "" || len(s) > 253 {
		return false
	}
	labels := strings.Split(strings.TrimSuffix(s, "."), ".")
	for _, l := range labels {
		if l == "" || len(l) > 63 || l[0] == '-' || strings.ContainsFunc(l, func(r rune) bool {
			return r != '-' && r != '_' && (r > unicode.MaxASCII || !unicode.IsLetter(r) && !unicode.IsDigit(r))
		}) {
			return false
		}
	}
	return strings.ContainsFunc(labels[len(labels)-1], func(r rune) bool { return r < '0' || r > '9' })
}

// The checks of plain texts.

// plain refuses what no file name and no line of text should hold.
func plain(s string) error {
	if i := strings.IndexFunc(s, func(r rune) bool { return unicode.IsControl(r) || r == utf8.RuneError }); i >= 0 {
		return fmt.Errorf("%q: holds a control character or a broken one; take it out", s)
	}
	return nil
}

// lines allows the line ends that a greeting needs.
func lines(s string) error {
	return plain(strings.NewReplacer("\n", "", "\t", "").Replace(s))
}

// listenAddr checks "host:port".
func listenAddr(s string) error {
	host, number, err := net.SplitHostPort(s)
	if err != nil {
		if _, err := strconv.ParseUint(s, 10, 16); err == nil {
			return fmt.Errorf("%s: an address has a colon before its port; write :%s", s, s)
		}
		return fmt.Errorf("%q: not an address to listen on; write HOST:PORT, as 192.0.2.1:21 or [2001:db8::1]:21, or :PORT for all", s)
	}
	if _, err := strconv.ParseUint(number, 10, 16); err != nil {
		return fmt.Errorf("%s: %q is not a port; ports go from 0 (any) to 65535", s, number)
	}
	if _, err := netip.ParseAddr(host); host != "" && err != nil && !hostName(host) {
		return fmt.Errorf("%s: %q is neither an IP address nor a host name", s, host)
	}
	return nil
}

// ListenNetwork is the network by which package net listens on an address: for
// 0.0.0.0 IPv4 alone, since by "tcp" it takes all addresses of both families.
func ListenNetwork(addr string) string {
	host, _, _ := net.SplitHostPort(addr)
	if a, err := netip.ParseAddr(host); err == nil && a.Is4() {
		return "tcp4"
	}
	return "tcp"
}

// optional makes a check pass the empty text, which means "none".
func optional(check func(string) error) func(string) error {
	return func(s string) error {
		if s == "" {
			return nil
		}
		return check(s)
	}
}

// oneOf makes a check for a few words.
func oneOf(words ...string) func(string) error {
	return func(s string) error {
		if slices.Contains(words, s) {
			return nil
		}
		return fmt.Errorf("%q: not known; write %s or %s", s,
			strings.Join(words[:len(words)-1], ", "), words[len(words)-1])
	}
}
