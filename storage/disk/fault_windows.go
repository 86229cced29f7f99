package disk

import (
	"syscall"

	"golang.org/x/sys/windows"

	"towpath/storage"
)

// kinds says what the numbers of the system mean to a client, where package
// syscall does not know already.
var kinds = map[syscall.Errno]error{
	syscall.EISDIR:                      storage.ErrIsDir,
	syscall.ENOTDIR:                     storage.ErrNotDir,
	windows.ERROR_DIRECTORY:             storage.ErrNotDir,
	windows.ERROR_DIR_NOT_EMPTY:         storage.ErrNotEmpty,
	windows.ERROR_INVALID_NAME:          storage.ErrName,
	windows.ERROR_FILENAME_EXCED_RANGE:  storage.ErrName,
	windows.ERROR_DISK_FULL:             storage.ErrFull,
	windows.ERROR_HANDLE_DISK_FULL:      storage.ErrFull,
	windows.ERROR_DISK_QUOTA_EXCEEDED:   storage.ErrFull,
	windows.ERROR_FILE_TOO_LARGE:        storage.ErrFull,
	windows.ERROR_SHARING_VIOLATION:     storage.ErrBusy,
	windows.ERROR_LOCK_VIOLATION:        storage.ErrBusy,
	windows.ERROR_NOT_SAME_DEVICE:       storage.ErrUnsupported,
	windows.ERROR_CANT_ACCESS_FILE:      storage.ErrNotRegular,
	windows.ERROR_PRIVILEGE_NOT_HELD:    storage.ErrUnsupported, // making symbolic links
	windows.ERROR_STOPPED_ON_SYMLINK:    errEscapes,
	windows.ERROR_CANT_RESOLVE_FILENAME: errEscapes,
}
