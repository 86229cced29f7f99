package ftpserver

import (
	"net"
	"syscall"
	"time"
)

// keepAlive switches TCP keep-alive on for all connections that l will take,
// and tells whether it could: on Linux they inherit it (four system calls for
// each session less). It counts for the whole life of the listener.
func keepAlive(l net.Listener, every time.Duration) bool {
	sc, ok := l.(syscall.Conn)
	if !ok || every <= 0 {
		return false
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return false
	}
	seconds := max(1, int(every.Seconds()))
	done := true
	err = raw.Control(func(fd uintptr) {
		for _, o := range []struct{ level, option, value int }{
			{syscall.SOL_SOCKET, syscall.SO_KEEPALIVE, 1},
			{syscall.IPPROTO_TCP, syscall.TCP_KEEPIDLE, seconds},
			{syscall.IPPROTO_TCP, syscall.TCP_KEEPINTVL, seconds},
			{syscall.IPPROTO_TCP, syscall.TCP_KEEPCNT, keepAliveProbes},
		} {
			done = done && syscall.SetsockoptInt(int(fd), o.level, o.option, o.value) == nil
		}
	})
	return err == nil && done
}
