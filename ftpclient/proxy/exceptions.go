package proxy

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// Exceptions are the hosts that need no proxy. The zero value has none.
type Exceptions struct{ list []exception }

// exception is a host with all below it, a network, or everything.
type exception struct {
	all     bool
	name    string // lower case, without a dot in front or behind
	network netip.Prefix
	port    string // "" for any
}

// ParseExceptions reads a list as $no_proxy holds it, parted by commas or
// blanks: names, which stand for all names below them too, with or without a
// dot or "*." in front; IP addresses; networks such as 10.0.0.0/8; * for every
// host. All but networks may end in ":PORT". Names are not resolved.
func ParseExceptions(text string) (Exceptions, error) {
	var e Exceptions
	for _, word := range strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ' ' || r == '\t' }) {
		x, err := parseException(word)
		if err != nil {
			return Exceptions{}, err
		}
		e.list = append(e.list, x)
	}
	return e, nil
}

func parseException(word string) (x exception, err error) {
	if strings.Contains(word, "/") {
		n, err := netip.ParsePrefix(word)
		if err != nil {
			return x, fmt.Errorf("no proxy for %q: want a network such as 10.0.0.0/8", word)
		}
		return exception{network: n.Masked()}, nil
	}
	host, hasPort := word, false
	switch {
	case strings.HasPrefix(word, "["):
		inside, behind, closed := strings.Cut(word[1:], "]")
		host = inside
		x.port, hasPort = strings.CutPrefix(behind, ":")
		if !closed || behind != "" && !hasPort {
			return x, fmt.Errorf("no proxy for %q: want [ADDRESS] or [ADDRESS]:PORT", word)
		}
	case strings.Count(word, ":") == 1:
		host, x.port, hasPort = strings.Cut(word, ":")
	}
	if n, err := strconv.ParseUint(x.port, 10, 16); hasPort && (err != nil || n == 0) {
		return x, fmt.Errorf("no proxy for %q: want a port from 1 to 65535", word)
	}
	if a, err := netip.ParseAddr(host); err == nil {
		a = a.Unmap().WithZone("")
		x.network = netip.PrefixFrom(a, a.BitLen())
		return x, nil
	}
	if host == "*" {
		x.all = true
		return x, nil
	}
	host = strings.TrimPrefix(host, "*")
	x.name = strings.ToLower(strings.Trim(host, "."))
	if x.name == "" {
		return x, fmt.Errorf("no proxy for %q: want a name, an address or *", word)
	}
	return x, nil
}

// Match tells whether addr, "host:port", needs no proxy.
func (e Exceptions) Match(addr string) bool {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return false
	}
	ip, err := netip.ParseAddr(host)
	ip = ip.Unmap().WithZone("")
	name := strings.ToLower(strings.TrimSuffix(host, "."))
	for _, x := range e.list {
		if x.port != "" && x.port != port {
			continue
		}
		switch {
		case x.all:
			return true
		case x.network.IsValid():
			if err == nil && x.network.Contains(ip) {
				return true
			}
		case err != nil && (name == x.name || strings.HasSuffix(name, "."+x.name)):
			return true
		}
	}
	return false
}
