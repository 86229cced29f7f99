//go:build unix

package ports

import (
	"errors"
	"syscall"
)

// isTaken reports whether a port could not be had because somebody holds it.
func isTaken(err error) bool { return errors.Is(err, syscall.EADDRINUSE) }
