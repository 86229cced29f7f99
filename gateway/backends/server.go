package backends

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"

	"towpath/gateway"
)

// ParseServer reads a server as one line; what it does not say stays as in common:
//
//	HOST[:PORT] [name=NAME] [weight=N] [max=N] [drain] [hosts=PATTERN,…] [users=PATTERN,…]
//	            [tls=same|clear|explicit|implicit] [proxy=1|2] [as=ADDRESS]
//
// Without a port it is 990 for implicit TLS, else 21.
func ParseServer(text string, common gateway.Server) (Server, error) {
	words := strings.Fields(text)
	if len(words) == 0 {
		return Server{}, fmt.Errorf("%q: no server; write HOST or HOST:PORT", text)
	}
	s := Server{Server: common, Weight: 1}
	said := map[string]bool{}
	for _, w := range words[1:] {
		key, value, is := strings.Cut(w, "=")
		if said[key] {
			return Server{}, fmt.Errorf("%s: said twice", key)
		}
		said[key] = true
		if is != (key != "drain") || is && value == "" {
			return Server{}, fmt.Errorf("%q: not understood; write drain, or KEY=VALUE with one of %s", w, strings.Join(serverKeys, ", "))
		}
		if err := s.set(key, value); err != nil {
			return Server{}, fmt.Errorf("%s: %w", key, err)
		}
	}
	where, err := ParseWhere(words[0])
	if err != nil {
		return Server{}, err
	}
	if _, _, err := net.SplitHostPort(words[0]); err != nil && s.TLS == gateway.ImplicitTLS {
		where.Port = 990
	}
	s.Addr = where.String()
	if !said["name"] {
		s.Name = s.Addr
	}
	return s, nil
}

var serverKeys = []string{"name", "weight", "max", "hosts", "users", "tls", "proxy", "as"}

func (s *Server) set(key, value string) (err error) {
	switch key {
	case "name":
		s.Name = value
	case "weight":
		s.Weight, err = count(value)
	case "max":
		s.Max, err = count(value)
	case "drain":
		s.Drain = true
	case "hosts":
		s.Hosts, err = patterns(value)
	case "users":
		s.Users, err = patterns(value)
	case "tls":
		s.TLS, err = gateway.ParseServerTLS(value)
	case "proxy":
		if value != "1" && value != "2" {
			return fmt.Errorf("%q: not a version of the PROXY protocol; write 1 or 2", value)
		}
		s.Proxy = int(value[0] - '0')
	case "as":
		a, err := netip.ParseAddr(value)
		if err != nil || a.IsUnspecified() || a.Is4In6() {
			return fmt.Errorf("%q: not an address of this host", value)
		}
		s.As = a
	default:
		return fmt.Errorf("not known; write one of %s", strings.Join(serverKeys, ", "))
	}
	return err
}

func count(s string) (int, error) {
	n, err := strconv.ParseUint(s, 10, 20)
	if err != nil || n == 0 {
		return 0, fmt.Errorf("%q: write a number from 1 to %d", s, 1<<20-1)
	}
	return int(n), nil
}

func patterns(s string) ([]string, error) {
	all := strings.Split(s, ",")
	for _, p := range all {
		if p == "" {
			return nil, fmt.Errorf("%q: an empty name among them", s)
		}
	}
	return all, nil
}

// FormatServer is the inverse of [ParseServer], with a common server of zero.
func FormatServer(s Server) string {
	var b strings.Builder
	b.WriteString(s.Addr)
	put := func(key, value string, unless bool) {
		if !unless {
			b.WriteString(" " + key + "=" + value)
		}
	}
	put("name", s.Name, s.Name == s.Addr || s.Name == "")
	put("weight", strconv.Itoa(s.Weight), s.Weight <= 1)
	put("max", strconv.Itoa(s.Max), s.Max == 0)
	if s.Drain {
		b.WriteString(" drain")
	}
	put("hosts", strings.Join(s.Hosts, ","), len(s.Hosts) == 0)
	put("users", strings.Join(s.Users, ","), len(s.Users) == 0)
	put("tls", s.TLS.String(), s.TLS == gateway.SameTLS)
	put("proxy", strconv.Itoa(s.Proxy), s.Proxy == 0)
	put("as", s.As.String(), !s.As.IsValid())
	return b.String()
}
