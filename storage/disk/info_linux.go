package disk

import (
	"io/fs"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"towpath/storage"
)

// fstat says what an open file is.
func fstat(f *os.File, in *info) error {
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return err
	}
	in.setStat(&st)
	return nil
}

// setStat takes what the kernel says, all but the name.
func (in *info) setStat(st *unix.Stat_t) {
	in.size = st.Size
	in.mode = modeOf(st.Mode)
	in.modified = time.Unix(st.Mtim.Unix())
	in.raw = nil
	in.unix = storage.Unix{
		Links:  uint64(st.Nlink),
		UID:    st.Uid,
		GID:    st.Gid,
		Device: uint64(st.Dev),
		Inode:  st.Ino,
	}
}

// modeOf turns st_mode into the bits of package fs.
func modeOf(m uint32) fs.FileMode {
	mode := fs.FileMode(m & 0o777)
	switch m & unix.S_IFMT {
	case unix.S_IFREG:
	case unix.S_IFDIR:
		mode |= fs.ModeDir
	case unix.S_IFLNK:
		mode |= fs.ModeSymlink
	case unix.S_IFIFO:
		mode |= fs.ModeNamedPipe
	case unix.S_IFSOCK:
		mode |= fs.ModeSocket
	case unix.S_IFCHR:
		mode |= fs.ModeDevice | fs.ModeCharDevice
	case unix.S_IFBLK:
		mode |= fs.ModeDevice
	default:
		mode |= fs.ModeIrregular
	}
	if m&unix.S_ISUID != 0 {
		mode |= fs.ModeSetuid
	}
	if m&unix.S_ISGID != 0 {
		mode |= fs.ModeSetgid
	}
	if m&unix.S_ISVTX != 0 {
		mode |= fs.ModeSticky
	}
	return mode
}
