//go:build unix

package sole

import (
	"io/fs"
	"os"
	"slices"

	"golang.org/x/sys/unix"
)

// Lock keeps other openings of a file from being locked, here and in other
// processes, until f is closed: those get [ErrBusy]. f must be open for writing. On a
// disk without locks it does nothing.
func Lock(f *os.File) error {
	for {
		switch err := lock(int(f.Fd()), unix.LOCK_EX); {
		case err == nil, slices.Contains(unable, err):
			return nil
		case err == unix.EWOULDBLOCK, err == unix.EACCES:
			return ErrBusy
		case err != unix.EINTR:
			return err
		}
	}
}

// unable is what disks say that have no locks.
var unable = []error{unix.ENOSYS, unix.ENOTSUP, unix.EOPNOTSUPP, unix.ENOLCK}

// unlock ends the lock before f is closed: a process that is being started has all
// descriptors, between fork and exec, and would keep it so long.
func unlock(f *os.File) { _ = lock(int(f.Fd()), unix.LOCK_UN) } // what is wrong with it, Close tells

func flock(fd, how int) error { return unix.Flock(fd, how|unix.LOCK_NB) }

func openFile(name string, flag int, mode fs.FileMode) (*os.File, error) {
	return os.OpenFile(name, flag, mode)
}
