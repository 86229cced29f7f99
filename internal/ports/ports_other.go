//go:build !unix

package ports

import (
	"errors"
	"syscall"
)

// Windows answers in the numbers of its sockets: WSAEADDRINUSE, and WSAEACCES
// for a port that another program holds for itself alone.
const (
	wsaAddrInUse = syscall.Errno(10048)
	wsaAccess    = syscall.Errno(10013)
)

// isTaken reports whether a port could not be had because somebody holds it.
func isTaken(err error) bool {
	return errors.Is(err, wsaAddrInUse) || errors.Is(err, wsaAccess)
}
