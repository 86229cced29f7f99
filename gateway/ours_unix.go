//go:build unix

package gateway

import (
	"errors"
	"syscall"
)

// isNotOurs reports whether a connection failed since the address that it was
// to come from is none of this machine.
func isNotOurs(err error) bool { return errors.Is(err, syscall.EADDRNOTAVAIL) }
