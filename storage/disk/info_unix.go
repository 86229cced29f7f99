//go:build unix

package disk

import (
	"os"
	"syscall"

	"towpath/storage"
)

func unixOf(fi os.FileInfo) storage.Unix {
	st, ok := fi.Sys().(*syscall.Stat_t)
	if !ok {
		return storage.Unix{}
	}
	return storage.Unix{
		Links:  uint64(st.Nlink),
		UID:    st.Uid,
		GID:    st.Gid,
		Device: uint64(st.Dev),
		Inode:  uint64(st.Ino),
	}
}

func identify(dir *os.File) (identity, error) {
	fi, err := dir.Stat()
	if err != nil {
		return identity{}, err
	}
	u := unixOf(fi)
	return identity{u.Device, u.Inode}, nil
}
