package disk

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// beneath is a tree on a kernel with openat2.
type beneath struct{ top handle }

var errNoOpenat2 = errors.New("no openat2")

func openBeneath(dir string) (*beneath, error) {
	fd, err := retry(func() (int, error) {
		return unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	})
	if err != nil {
		return nil, err
	}
	b := &beneath{top: handle{fd: fd, shared: true}}
	probe, err := b.openat2(".", unix.O_PATH|unix.O_DIRECTORY)
	if err == unix.ENOSYS || err == unix.EPERM {
		err = errNoOpenat2
	}
	if err != nil {
		_ = unix.Close(fd) // opened for its path only
		return nil, err
	}
	_ = unix.Close(probe)
	if b.top.id, err = b.top.identity(); err != nil {
		_ = unix.Close(fd) // opened for its path only
		return nil, err
	}
	return b, nil
}

func (b *beneath) close() { _ = unix.Close(b.top.fd) } // opened for its path only

// maxRetries bounds how often a name is resolved again because something was
// renamed meanwhile. Only a client that renames without end needs as many.
const maxRetries = 100

// openat2 opens a relative name beneath the top. The kernel answers EXDEV when
// the way leads out.
func (b *beneath) openat2(rel string, flags uint64) (int, error) {
	how := unix.OpenHow{
		Flags:   flags | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_MAGICLINKS,
	}
	for i := 0; ; i++ {
		fd, err := unix.Openat2(b.top.fd, rel, &how)
		switch {
		case err == nil:
			return fd, nil
		case err == unix.EXDEV:
			return -1, errEscapes
		case err == unix.EINTR, err == unix.EAGAIN && i < maxRetries:
		default:
			return -1, err
		}
	}
}

func (b *beneath) dir(rel string) (directory, error) {
	if rel == "." {
		return &b.top, nil
	}
	fd, err := b.openat2(rel, unix.O_PATH|unix.O_DIRECTORY)
	if err != nil {
		return nil, err
	}
	return &handle{fd: fd}, nil
}

func (b *beneath) open(rel string, in *info) (*os.File, error) {
	fd, err := b.openat2(rel, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY|unix.O_LARGEFILE)
	if err != nil {
		return nil, err
	}
	var st unix.Stat_t
	err = unix.Fstat(fd, &st)
	if err == nil {
		in.setStat(&st)
		err = in.regular()
	}
	if err == nil {
		// Now that it cannot wait for anybody; os.NewFile would give a
		// descriptor that says O_NONBLOCK to the poller.
		_, err = unix.FcntlInt(uintptr(fd), unix.F_SETFL, unix.O_LARGEFILE)
	}
	if err != nil {
		_ = unix.Close(fd) // nothing was written
		return nil, err
	}
	return os.NewFile(uintptr(fd), "/"+rel), nil
}

func (b *beneath) stat(rel string, in *info) error {
	if !strings.Contains(rel, "/") { // one call instead of three
		err := b.top.lstat(rel, in)
		if err != nil || in.mode.Type() != fs.ModeSymlink {
			return err
		}
	}
	fd, err := b.openat2(rel, unix.O_PATH)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	in.setStat(&st)
	return nil
}

// handle is a descriptor of a directory, opened by O_PATH. It needs no right
// to read the directory, only to pass through it.
type handle struct {
	fd     int
	shared bool     // the top, which the tree closes
	id     identity // of the top, which is asked for often
}

func (h *handle) close() {
	if !h.shared {
		_ = unix.Close(h.fd) // opened for its path only
	}
}

func (h *handle) identity() (identity, error) {
	if h.id != (identity{}) {
		return h.id, nil
	}
	var st unix.Stat_t
	if err := unix.Fstat(h.fd, &st); err != nil {
		return identity{}, err
	}
	return identity{uint64(st.Dev), st.Ino}, nil
}

func (h *handle) entries() (*os.File, error) {
	return h.open(".", unix.O_RDONLY|unix.O_DIRECTORY, 0)
}

func (h *handle) lstat(name string, in *info) error {
	var st unix.Stat_t
	for {
		err := unix.Fstatat(h.fd, name, &st, unix.AT_SYMLINK_NOFOLLOW)
		if err == unix.EINTR {
			continue
		}
		if err == nil {
			in.setStat(&st)
		}
		return err
	}
}

func (h *handle) writable(name string) error {
	return unix.Faccessat(h.fd, name, unix.W_OK, unix.AT_EACCESS|unix.AT_SYMLINK_NOFOLLOW)
}

func (h *handle) readlink(name string) (string, error) {
	buf := make([]byte, unix.PathMax)
	n, err := unix.Readlinkat(h.fd, name, buf)
	if err != nil {
		return "", err
	}
	return string(buf[:n]), nil
}

func (h *handle) open(name string, flag int, perm fs.FileMode) (*os.File, error) {
	fd, err := retry(func() (int, error) {
		return unix.Openat(h.fd, name, flag|unix.O_NOFOLLOW|unix.O_NOCTTY|unix.O_CLOEXEC, uint32(perm.Perm()))
	})
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), name), nil
}

func (h *handle) mkdir(name string) error           { return unix.Mkdirat(h.fd, name, 0o777) }
func (h *handle) unlink(name string) error          { return unix.Unlinkat(h.fd, name, 0) }
func (h *handle) rmdir(name string) error           { return unix.Unlinkat(h.fd, name, unix.AT_REMOVEDIR) }
func (h *handle) symlink(target, name string) error { return unix.Symlinkat(target, h.fd, name) }

func (h *handle) rename(name string, to directory, newName string) error {
	return unix.Renameat(h.fd, name, to.(*handle).fd, newName)
}

func (h *handle) renameNew(name, newName string) error {
	err := unix.Renameat2(h.fd, name, h.fd, newName, unix.RENAME_NOREPLACE)
	if err != unix.EINVAL && err != unix.ENOSYS {
		return err
	}
	// NFS, FUSE and others: a hard link replaces nothing either.
	if err := unix.Linkat(h.fd, name, h.fd, newName, 0); err != nil {
		return err
	}
	return unix.Unlinkat(h.fd, name, 0)
}

// chmod never follows a link: fchmodat2 can say so (Linux 6.6), and before it
// the way through /proc, by a descriptor that was looked at.
func (h *handle) chmod(name string, perm fs.FileMode) error {
	err := unix.Fchmodat(h.fd, name, uint32(perm.Perm()), unix.AT_SYMLINK_NOFOLLOW)
	if err != unix.EOPNOTSUPP && err != unix.EPERM { // EPERM may be seccomp's
		return err
	}
	fd, openErr := retry(func() (int, error) {
		return unix.Openat(h.fd, name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	})
	if openErr != nil {
		return openErr
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	if st.Mode&unix.S_IFMT == unix.S_IFLNK {
		return unix.ELOOP
	}
	return unix.Chmod(path.Join("/proc/self/fd", strconv.Itoa(fd)), uint32(perm.Perm()))
}

func (h *handle) chtimes(name string, modified time.Time) error {
	t, err := unix.TimeToTimespec(modified)
	if err != nil {
		return err
	}
	times := []unix.Timespec{{Nsec: unix.UTIME_OMIT}, t}
	return unix.UtimesNanoAt(h.fd, name, times, unix.AT_SYMLINK_NOFOLLOW)
}

// retry repeats a call that a signal interrupted.
func retry(call func() (int, error)) (int, error) {
	for {
		n, err := call()
		if err != unix.EINTR {
			return n, err
		}
	}
}
