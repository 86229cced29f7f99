package alivetest

import (
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Vanish has the kernel drop all that comes for the connections from now on: they
// acknowledge nothing and answer no question. Who says nothing more on them, and
// does not close them, is gone for the other end.
func Vanish(t testing.TB, conns ...syscall.Conn) {
	t.Helper()
	nothing := unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K} // 0 bytes pass
	for _, c := range conns {
		raw, err := c.SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		var wrong error
		err = raw.Control(func(fd uintptr) {
			// What is not acknowledged yet would be sent again, and be a sign of life.
			for n := 1; n > 0 && wrong == nil; time.Sleep(time.Millisecond) {
				n, wrong = unix.IoctlGetInt(int(fd), unix.SIOCOUTQ)
			}
			if wrong != nil {
				return
			}
			wrong = unix.SetsockoptSockFprog(int(fd), unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: 1, Filter: &nothing})
		})
		if err != nil || wrong != nil {
			t.Fatalf("a connection cannot vanish: %v, %v", err, wrong)
		}
	}
}
