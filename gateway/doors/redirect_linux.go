package doors

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"

	"golang.org/x/sys/unix"
)

// originalDst is SO_ORIGINAL_DST, and in IPv6 IP6T_SO_ORIGINAL_DST: of
// linux/netfilter_ipv4.h and linux/netfilter_ipv6/ip6_tables.h.
const originalDst = 80

// originalDestination asks the connection tracking for the destination that a
// connection had before it was changed. It is not valid if there is none: nothing
// is tracked, or the tracking is not loaded.
func originalDestination(c *net.TCPConn, v4 bool) (netip.AddrPort, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return netip.AddrPort{}, err
	}
	var to netip.AddrPort
	var asked error
	err = raw.Control(func(fd uintptr) {
		// Structures of x/sys that are large enough for a socket address, and
		// begin with one or are nothing but bytes.
		if v4 {
			var b *unix.IPv6Mreq
			if b, asked = unix.GetsockoptIPv6Mreq(int(fd), unix.SOL_IP, originalDst); asked == nil {
				a, port := b.Multiaddr[4:8], b.Multiaddr[2:4] // of a sockaddr_in
				to = netip.AddrPortFrom(netip.AddrFrom4([4]byte(a)), binary.BigEndian.Uint16(port))
			}
			return
		}
		var a *unix.IPv6MTUInfo
		if a, asked = unix.GetsockoptIPv6MTUInfo(int(fd), unix.SOL_IPV6, originalDst); asked == nil {
			to = netip.AddrPortFrom(netip.AddrFrom16(a.Addr.Addr), bigEndian(a.Addr.Port))
		}
	})
	switch {
	case err != nil:
		return netip.AddrPort{}, err
	case errors.Is(asked, unix.ENOENT) || errors.Is(asked, unix.ENOPROTOOPT) || errors.Is(asked, unix.EOPNOTSUPP):
		return netip.AddrPort{}, nil
	case asked != nil:
		return netip.AddrPort{}, fmt.Errorf("SO_ORIGINAL_DST: %w", asked)
	}
	return to, nil
}

// bigEndian reads a port as it stands in the memory of a socket address.
func bigEndian(port uint16) uint16 {
	var b [2]byte
	binary.NativeEndian.PutUint16(b[:], port)
	return binary.BigEndian.Uint16(b[:])
}
