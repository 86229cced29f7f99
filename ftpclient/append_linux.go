package ftpclient

import (
	"os"

	"golang.org/x/sys/unix"
)

// appends tells whether f is open for appending. Files that we have not opened
// ourselves do not know it of themselves.
func appends(f *os.File) bool {
	conn, err := f.SyscallConn()
	if err != nil {
		return true
	}
	flags := unix.O_APPEND
	err = conn.Control(func(fd uintptr) {
		if got, err := unix.FcntlInt(fd, unix.F_GETFL, 0); err == nil {
			flags = got
		}
	})
	return err != nil || flags&unix.O_APPEND != 0
}
