package records

import (
	"net"

	"golang.org/x/sys/unix"
)

// quickACK asks for what has come, and what comes next, to be acknowledged at
// once. The kernel forgets it soon, so it is asked again for each read.
func quickACK(c *net.TCPConn) {
	raw, err := c.SyscallConn()
	if err != nil {
		return // the connection is closed, and the read will say so
	}
	_ = raw.Control(func(fd uintptr) {
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_QUICKACK, 1) // without it all is slower, not wrong
	})
}
