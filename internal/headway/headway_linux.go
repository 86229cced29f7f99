package headway

import (
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// Sent returns how many bytes the other end of c has acknowledged so far. It is 0
// for ever where that is not known.
func Sent(c net.Conn) uint64 {
	if i := info(c); i != nil {
		return i.Bytes_acked
	}
	return 0
}

// Come returns how many bytes have come from the other end of c, be they read or
// not. It is 0 for ever where that is not known.
func Come(c net.Conn) uint64 {
	if i := info(c); i != nil {
		return i.Bytes_received
	}
	return 0
}

// info is what the kernel says of c, or of what lies under it (TLS with a proxy).
// Older ones than 4.1 leave the counts at 0.
func info(c net.Conn) (i *unix.TCPInfo) {
	for {
		over, ok := c.(interface{ NetConn() net.Conn })
		if !ok {
			break
		}
		c = over.NetConn()
	}
	s, ok := c.(syscall.Conn)
	if !ok {
		return nil
	}
	raw, err := s.SyscallConn()
	if err != nil {
		return nil
	}
	_ = raw.Control(func(fd uintptr) { // an error leaves i nil
		i, err = unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
		if err != nil {
			i = nil
		}
	})
	return i
}
