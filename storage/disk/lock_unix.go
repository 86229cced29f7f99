//go:build unix

package disk

import (
	"os"

	"golang.org/x/sys/unix"

	"towpath/storage"
)

// lock keeps other processes, and other openings of this one, from the file
// until f is closed. On a disk without locks it does nothing: there the lock
// within the process has to do.
func lock(f *os.File) error {
	for {
		switch err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err {
		case nil, unix.ENOSYS, unix.ENOTSUP, unix.ENOLCK:
			return nil
		case unix.EINTR:
		case unix.EWOULDBLOCK:
			return storage.ErrBusy
		default:
			return err
		}
	}
}
