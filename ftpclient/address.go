package ftpclient

import (
	"context"
	"fmt"
	"net/netip"
	"strings"

	"towpath/ftp"
)

// seen asks the server from where it sees us, once in a session.
func (s *session) seen(ctx context.Context) (netip.Addr, error) {
	if s.outside.IsValid() {
		return s.outside, nil
	}
	r, err := s.do(ctx, "STAT", "")
	if err != nil {
		if s.alive() != nil || ctx.Err() != nil {
			return netip.Addr{}, err
		}
		return netip.Addr{}, fmt.Errorf("%w: %w", ErrAddress, err)
	}
	a, ok := findClient(r)
	switch {
	case !ok:
		return a, fmt.Errorf("%w: its STAT names none", ErrAddress)
	case a == s.peer && a != s.local:
		return a, fmt.Errorf("%w: its STAT names %v, which is its own", ErrAddress, a)
	case outOfReach(a) && !outOfReach(s.peer):
		return a, fmt.Errorf("%w: its STAT names %v, which is not of the Internet, and the server is", ErrAddress, a)
	}
	s.set.Log.Info("external address learned", "address", a, "local", s.local)
	s.outside = a
	return a, nil
}

// outOfReach tells of addresses that mean something in their own network only
// (RFC 1918, 4193, 6598, 3927).
func outOfReach(a netip.Addr) bool {
	return a.IsPrivate() || a.IsLoopback() || a.IsLinkLocalUnicast() || carriers.Contains(a)
}

// carriers is what providers use between their NAT and that of their customers.
var carriers = netip.MustParsePrefix("100.64.0.0/10")

// findClient finds in the answer to STAT the address from where the client is
// connected. RFC 959 leaves its text to the server; these have it:
//
//	vsftpd        Connected to ::ffff:203.0.113.7
//	ProFTPD       Connected from host.example.org (203.0.113.7)
//	BSD, wu-ftpd  Connected to host.example.org (203.0.113.7)
//	Towpath       Connected from 203.0.113.7:40001, session 12
//
// That of pyftpdlib, "Connected to: 192.0.2.1:21", is its own.
func findClient(r ftp.Reply) (netip.Addr, bool) {
	for _, line := range r.Lines {
		line = strings.TrimLeft(line, " \t")
		rest, ok := cutPrefixFold(line, "connected from ")
		if !ok {
			rest, ok = cutPrefixFold(line, "connected to ")
		}
		if !ok {
			continue
		}
		for _, word := range strings.FieldsFunc(rest, func(r rune) bool { return r == ' ' || r == '(' || r == ')' || r == ',' }) {
			a, err := netip.ParseAddr(strings.TrimRight(word, "."))
			if p, perr := netip.ParseAddrPort(word); err != nil && perr == nil {
				a, err = p.Addr(), nil
			}
			a = a.Unmap().WithZone("")
			if err == nil && !a.IsUnspecified() && !a.IsMulticast() {
				return a, true
			}
		}
	}
	return netip.Addr{}, false
}

func cutPrefixFold(s, prefix string) (string, bool) {
	if len(s) < len(prefix) || !strings.EqualFold(s[:len(prefix)], prefix) {
		return "", false
	}
	return s[len(prefix):], true
}

// SeenFrom asks the server from where it sees us (STAT). Behind a NAT that is
// not our own address. A server that does not say gives [ErrAddress].
func (c *Client) SeenFrom(ctx context.Context) (netip.Addr, error) {
	s, err := c.take(ctx, nil)
	if err != nil {
		return netip.Addr{}, err
	}
	defer c.give()
	return s.seen(ctx)
}
