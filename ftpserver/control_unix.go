//go:build unix

package ftpserver

import (
	"net"
	"syscall"
)

// waiting tells, without waiting, whether a control connection has something
// to read: bytes, its end, or an error.
func waiting(c net.Conn) bool {
	sc, ok := c.(syscall.Conn)
	if !ok {
		return true
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return true
	}
	some := true
	_ = raw.Control(func(fd uintptr) { // an error leaves some true: the reader will meet it
		var b [1]byte
		_, _, err := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		some = err != syscall.EAGAIN
	})
	return some
}
