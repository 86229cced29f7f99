//go:build unix

package control

import (
	"errors"
	"syscall"
)

// private gives the socket its mode before it has a name.
func private(_, _ string, c syscall.RawConn) error {
	var failed error
	err := c.Control(func(fd uintptr) { failed = syscall.Fchmod(int(fd), 0o600) })
	return errors.Join(err, failed)
}

func isTaken(err error) bool { return errors.Is(err, syscall.EADDRINUSE) }
