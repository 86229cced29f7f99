package ports

import (
	"net"

	"golang.org/x/sys/unix"
)

// isPending reports whether a connection waits to be accepted. Linux keeps it
// waiting even if the peer resets it, so that an accept which follows does not
// block; elsewhere that is not so.
func isPending(l *net.TCPListener) bool {
	raw, err := l.SyscallConn()
	if err != nil {
		return false
	}
	n := 0
	_ = raw.Control(func(fd uintptr) { // fails only when closed
		n, _ = unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 0) // an error means not known
	})
	return n == 1
}
