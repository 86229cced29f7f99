package sole

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/windows"
)

// Lock keeps other openings of a file from being locked, here and in other
// processes, until f is closed: those get [ErrBusy]. It locks one byte far beyond
// every end, because what a lock covers nobody else reads or writes. On a disk
// without locks it does nothing.
func Lock(f *os.File) error {
	at := far()
	err := windows.LockFileEx(windows.Handle(f.Fd()), windows.LOCKFILE_EXCLUSIVE_LOCK|windows.LOCKFILE_FAIL_IMMEDIATELY, 0, 1, 0, &at)
	switch {
	case err == nil, slices.Contains(unable, err):
		return nil
	case err == windows.ERROR_LOCK_VIOLATION, err == windows.ERROR_IO_PENDING:
		return ErrBusy
	}
	return err
}

func far() windows.Overlapped { return windows.Overlapped{OffsetHigh: 1 << 30} }

// unlock ends the lock before f is closed, behind which Windows ends it when it
// finds the time.
func unlock(f *os.File) {
	at := far()
	_ = windows.UnlockFileEx(windows.Handle(f.Fd()), 0, 1, 0, &at) // there may be no locks; Close tells what else is wrong
}

// unable is what disks say that have no locks.
var unable = []error{windows.ERROR_NOT_SUPPORTED, windows.ERROR_INVALID_FUNCTION, windows.ERROR_CALL_NOT_IMPLEMENTED}

// openFile opens by a root, which allows others to rename and remove the file
// while it is open; os.OpenFile does not.
func openFile(name string, flag int, mode fs.FileMode) (*os.File, error) {
	dir, err := os.OpenRoot(filepath.Dir(name))
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	return dir.OpenFile(filepath.Base(name), flag, mode)
}
