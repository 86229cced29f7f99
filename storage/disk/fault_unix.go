//go:build unix

package disk

import (
	"io/fs"
	"syscall"

	"towpath/storage"
)

// kinds says what the numbers of the system mean to a client, where package
// syscall does not know already.
var kinds = map[syscall.Errno]error{
	syscall.EISDIR:       storage.ErrIsDir,
	syscall.ENOTDIR:      storage.ErrNotDir,
	syscall.ENOTEMPTY:    storage.ErrNotEmpty,
	syscall.ENAMETOOLONG: storage.ErrName,
	syscall.EILSEQ:       storage.ErrName, // not UTF-8, says the disk (APFS, ZFS)
	syscall.ENOSPC:       storage.ErrFull,
	syscall.EDQUOT:       storage.ErrFull,
	syscall.EFBIG:        storage.ErrFull,
	syscall.EBUSY:        storage.ErrBusy,
	syscall.ETXTBSY:      storage.ErrBusy,
	syscall.EAGAIN:       storage.ErrBusy,       // another program's lease or lock
	syscall.ENXIO:        storage.ErrNotRegular, // a socket, or a FIFO that nobody reads
	syscall.ENODEV:       storage.ErrNotRegular, // a device without a driver
	syscall.EROFS:        fs.ErrPermission,
	syscall.ELOOP:        fs.ErrPermission, // links in a circle, or /proc's magic ones
	syscall.EXDEV:        storage.ErrUnsupported,
}
