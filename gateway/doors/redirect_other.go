//go:build !linux

package doors

import (
	"errors"
	"net"
	"net/netip"
)

// originalDestination is known to Linux only.
func originalDestination(*net.TCPConn, bool) (netip.AddrPort, error) {
	return netip.AddrPort{}, errors.New("where a redirected connection wanted to go is known on Linux only; let clients name the server (USER@HOST, SOCKS5)")
}
