package ftpurl

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"golang.org/x/net/idna"

	"towpath/ftp"
)

// Error says what is wrong with a URL. It shows no password.
type Error struct {
	// URL is what was given, its password hidden.
	URL string
	// Problem names what is wrong in it, and what would be right.
	Problem string
}

func (e *Error) Error() string { return fmt.Sprintf("URL %q: %s", e.URL, e.Problem) }

// problem is the part of an [Error] that those find who see a part of the URL.
type problem string

func (p problem) Error() string { return string(p) }

func problemf(format string, a ...any) error { return problem(fmt.Sprintf(format, a...)) }

// Parse reads a URL. Its errors are of type [*Error].
//
//	scheme://user:password@host:port/path;type=a
//
// Only scheme and host must be there. Percent signs are decoded once. Beyond
// the RFCs it takes what people write: letters of any alphabet and blanks in a
// path, "//etc/motd" for the absolute path that is properly "/%2Fetc/motd", an @
// in user or password, and a question mark, which is a letter like others here
// (RFC 1738 3.2.2). A # must be written %23, since it parts a fragment for some
// and not for others. No part can hold CR, LF or NUL, encoded or not.
func Parse(s string) (URL, error) {
	u, err := parse(s)
	if err != nil {
		return URL{}, &Error{URL: ftp.Escape(Redact(s)), Problem: err.Error()}
	}
	return u, nil
}

func parse(s string) (u URL, err error) {
	if i := strings.IndexFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f }); i >= 0 {
		return u, problemf("byte 0x%02X; write %%%02X", s[i], s[i])
	}
	scheme, rest, ok := strings.Cut(s, "://")
	if !ok || strings.ContainsAny(scheme, "/@") {
		return u, problem("no scheme; write ftp://HOST/PATH, ftps:// (TLS from the start) or ftpes:// (TLS by AUTH)")
	}
	if u.Scheme, err = parseScheme(scheme); err != nil {
		return u, err
	}
	if strings.Contains(rest, "#") {
		return u, problem("#; write %23, as FTP has no fragments")
	}
	authority, name, _ := strings.Cut(rest, "/")
	host := authority
	if i := strings.LastIndexByte(authority, '@'); i >= 0 {
		host = authority[i+1:]
		if err := u.parseUser(authority[:i]); err != nil {
			return u, err
		}
	}
	if err := u.parseHost(host); err != nil {
		if len(host) == len(authority) && strings.Contains(name, "@") {
			// What looks like a port may be the beginning of a password.
			return u, problem("a slash in front of the @; in user and password it is written %2F, and in a path the @ may be written %40")
		}
		return u, err
	}
	if name, u.Type, err = cutType(name); err != nil {
		return u, err
	}
	u.Path, err = decode(name)
	if err != nil {
		return u, fmt.Errorf("path: %w", err)
	}
	return u, nil
}

func parseScheme(s string) (Scheme, error) {
	for i, known := range schemes {
		if strings.EqualFold(s, known.name) {
			return Scheme(i), nil
		}
	}
	if strings.EqualFold(s, "sftp") {
		return 0, problem("sftp:// is the file transfer of SSH, another protocol; want ftp://, ftps:// or ftpes://")
	}
	return 0, problemf("scheme %q; want ftp, ftps or ftpes", s)
}

func (u *URL) parseUser(s string) (err error) {
	user, password, has := strings.Cut(s, ":")
	if user == "" {
		return problem("no user before the @; leave the @ out to log in as anonymous")
	}
	if u.User, err = decode(user); err != nil {
		return fmt.Errorf("user: %w", err)
	}
	u.HasPassword = has
	if u.Password, err = decode(password); err != nil {
		// What is wrong may show what is right in it.
		return problem("password: a percent sign there is written %25, and CR, LF and NUL cannot be in it")
	}
	return nil
}

func (u *URL) parseHost(s string) error {
	host, port := s, ""
	if inside, ok := strings.CutPrefix(s, "["); ok {
		literal, after, closed := strings.Cut(inside, "]")
		if !closed {
			return problemf("host %q: no ] behind the address", s)
		}
		after, colon := strings.CutPrefix(after, ":")
		if !colon && after != "" {
			return problemf("host %q: want :PORT or nothing behind the ]", s)
		}
		// The percent sign in front of a zone is properly %25 (RFC 6874).
		ip, err := netip.ParseAddr(strings.Replace(literal, "%25", "%", 1))
		if err != nil || !ip.Is6() {
			return problemf("host [%s]: not an IPv6 address", literal)
		}
		if i := strings.IndexFunc(ip.Zone(), func(r rune) bool { return !unreserved(r) }); i >= 0 {
			return problemf("host [%s]: %q cannot be in a zone, the name of an interface such as eth0", literal, ip.Zone()[i:])
		}
		u.Host, port = ip.String(), after
	} else {
		if strings.Count(host, ":") > 1 {
			if _, err := netip.ParseAddr(host); err == nil {
				return problemf("host %q: write [%s], with brackets around an IPv6 address", host, host)
			}
		}
		host, port, _ = strings.Cut(s, ":")
		if host == "" {
			return problem("no host; write ftp://HOST/PATH")
		}
		decoded, err := decode(host)
		if err != nil {
			return fmt.Errorf("host: %w", err)
		}
		if u.Host, err = hostName(decoded); err != nil {
			return err
		}
	}
	if port == "" { // "host:" is allowed (RFC 3986 3.2.3)
		return nil
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 {
		return problemf("port %q; want a number from 1 to 65535 (a slash comes before the path)", port)
	}
	u.Port = uint16(n)
	return nil
}

// unreserved are the letters that never need a percent sign (RFC 3986 2.3).
func unreserved(r rune) bool {
	return '0' <= r && r <= '9' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || strings.ContainsRune("-._~", r)
}

// hostName returns a name as it stands in the DNS: in lower case, and what is not
// ASCII as xn--… (RFC 5891).
func hostName(s string) (string, error) {
	name := s
	if strings.ContainsFunc(s, func(r rune) bool { return r >= 0x80 }) {
		var err error
		if name, err = idna.Lookup.ToASCII(s); err != nil {
			return "", problemf("host %q: no name of a host, in whatever script: %v", s, err)
		}
	}
	for _, r := range name {
		switch {
		case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9', r == '-', r == '.', r == '_':
		default:
			return "", problemf("host %q: %q cannot be in a host name", s, r)
		}
	}
	if name == "" {
		return "", problemf("host %q: nothing is left of it; write ftp://HOST/PATH", s)
	}
	return strings.ToLower(name), nil
}

// cutType takes ";type=" off the end of a path that is still encoded. "%3B" is
// how a file is asked for whose name ends like that.
func cutType(s string) (rest string, t Type, err error) {
	i := strings.LastIndexByte(s, ';')
	if i < 0 {
		return s, Unset, nil
	}
	key, value, _ := strings.Cut(s[i+1:], "=")
	if !strings.EqualFold(key, "type") {
		return s, Unset, nil // the version of a VMS file, say
	}
	switch value {
	case "a", "A":
		return s[:i], ASCII, nil
	case "i", "I":
		return s[:i], Image, nil
	case "d", "D":
		return s[:i], Directory, nil
	}
	return s, Unset, problemf(";type=%s; want a (text), i (bytes as they are) or d (a listing)", value)
}

// decode replaces %NN by the byte that it stands for.
func decode(s string) (string, error) {
	if !strings.Contains(s, "%") {
		return s, nil
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] != '%' {
			b = append(b, s[i])
			continue
		}
		var c uint64
		err := strconv.ErrSyntax
		if i+2 < len(s) && isHex(s[i+1]) && isHex(s[i+2]) {
			c, err = strconv.ParseUint(s[i+1:i+3], 16, 8)
		}
		if err != nil {
			return "", problemf("%q is not a percent sign and two hexadecimal digits; the sign itself is %%25", s[i:min(i+3, len(s))])
		}
		if c == 0 || c == '\r' || c == '\n' {
			return "", problemf("%s: NUL, CR and LF cannot be in a command line", s[i:i+3])
		}
		b = append(b, byte(c))
		i += 2
	}
	return string(b), nil
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'f'
}

// Redact hides the password in text that may be a URL: **** stands for what is
// between the first colon and the last @ behind "://", or behind nothing if that
// is missing. It hides too much rather than too little: an unencoded slash in a
// password does not end it.
func Redact(s string) string {
	start := 0
	if i := strings.Index(s, "://"); i >= 0 {
		start = i + len("://")
	}
	at := strings.LastIndexByte(s, '@')
	if at < start {
		return s
	}
	colon := strings.IndexByte(s[start:at], ':')
	if colon < 0 {
		return s
	}
	return s[:start+colon+1] + "****" + s[at:]
}
