//go:build unix

package ftpserver

import "syscall"

// reuse lets many active data connections leave from one local port, 20, while
// earlier ones are in TIME_WAIT.
func reuse(_, _ string, c syscall.RawConn) error {
	var err error
	if cerr := c.Control(func(fd uintptr) {
		err = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1)
	}); cerr != nil {
		return cerr
	}
	return err
}
