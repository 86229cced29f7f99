package disk

import (
	"os"

	"golang.org/x/sys/windows"

	"towpath/storage"
)

// lock keeps other processes from the file until f is closed. It locks one
// byte far beyond every end, because a lock on Windows refuses reads.
func lock(f *os.File) error {
	at := windows.Overlapped{Offset: 0, OffsetHigh: 1 << 30}
	err := windows.LockFileEx(windows.Handle(f.Fd()), windows.LOCKFILE_EXCLUSIVE_LOCK|windows.LOCKFILE_FAIL_IMMEDIATELY, 0, 1, 0, &at)
	if err == windows.ERROR_LOCK_VIOLATION || err == windows.ERROR_IO_PENDING {
		return storage.ErrBusy
	}
	return err
}
