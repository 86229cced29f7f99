//go:build unix

package mirror

import (
	"errors"
	"syscall"
)

// noRoom tells whether a disk or quota here is full.
func noRoom(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}
