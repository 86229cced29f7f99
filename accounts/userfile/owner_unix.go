//go:build unix

package userfile

import (
	"io/fs"
	"os"
	"syscall"
)

// inherit gives file the owner and the mode of old, less what old gave to
// everyone: root who edits the file of a server must not lock the server out.
func inherit(file *os.File, old fs.FileInfo) error {
	if was, ok := old.Sys().(*syscall.Stat_t); ok {
		info, err := file.Stat()
		if err != nil {
			return err
		}
		is, ok := info.Sys().(*syscall.Stat_t)
		if ok && (is.Uid != was.Uid || is.Gid != was.Gid) {
			if err := file.Chown(int(was.Uid), int(was.Gid)); err != nil {
				return err
			}
		}
	}
	return file.Chmod(old.Mode().Perm()&^0o007 | 0o600)
}
