package sole

import "golang.org/x/sys/unix"

// lock locks one byte far beyond every end, for the opening and not for the
// process. On SMB a lock keeps other descriptors, also of the same process, from
// what it covers, and that of flock covers all (flock(2), since Linux 5.5).
func lock(fd, how int) error {
	far := unix.Flock_t{Type: unix.F_WRLCK, Start: 1 << 62, Len: 1}
	if how == unix.LOCK_UN {
		far.Type = unix.F_UNLCK
	}
	err := unix.FcntlFlock(uintptr(fd), unix.F_OFD_SETLK, &far)
	if err == unix.EINVAL { // before Linux 3.15, and on what only looks like it
		return flock(fd, how)
	}
	return err
}
