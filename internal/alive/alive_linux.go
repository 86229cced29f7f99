package alive

import (
	"net"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Conn has TCP ask so often whether the other end of c lives. c may be what a
// listener made of a connection. 0 and less is never, and changes nothing.
func Conn(c net.Conn, every time.Duration) {
	if s, ok := c.(syscall.Conn); ok {
		set(s, every) // a wish
	}
}

// Listener does so for all connections that l will take, and tells whether it
// could: they inherit it, which spares each the system calls. It counts for the
// whole life of the listener, which must set no keep-alive itself
// ([net.ListenConfig.KeepAlive] -1).
func Listener(l net.Listener, every time.Duration) bool {
	s, ok := l.(syscall.Conn)
	return ok && set(s, every)
}

func set(s syscall.Conn, every time.Duration) bool {
	raw, err := s.SyscallConn()
	if err != nil || every <= 0 {
		return false
	}
	every = max(time.Second, (every + time.Second - 1).Truncate(time.Second)) // the kernel's unit
	seconds := int(every / time.Second)
	done := true
	err = raw.Control(func(fd uintptr) {
		for _, o := range []struct{ level, option, value int }{
			{unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1},
			{unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, seconds},
			{unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, seconds},
			{unix.IPPROTO_TCP, unix.TCP_KEEPCNT, probes},
			{unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(Patience(every) / time.Millisecond)},
		} {
			if unix.SetsockoptInt(int(fd), o.level, o.option, o.value) != nil {
				done = false // a listener for Multipath TCP knows some of them
			}
		}
	})
	return err == nil && done
}
