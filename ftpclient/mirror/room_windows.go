package mirror

import (
	"errors"

	"golang.org/x/sys/windows"
)

// noRoom tells whether a disk or quota here is full.
func noRoom(err error) bool {
	return errors.Is(err, windows.ERROR_DISK_FULL) || errors.Is(err, windows.ERROR_HANDLE_DISK_FULL) || errors.Is(err, windows.ERROR_DISK_QUOTA_EXCEEDED)
}
