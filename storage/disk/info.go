package disk

import (
	"io/fs"
	"os"
	"time"

	"towpath/storage"
)

// info is a FileInfo that can be filled again and again.
type info struct {
	name     string
	size     int64
	mode     fs.FileMode
	modified time.Time
	unix     storage.Unix
	raw      os.FileInfo // what package os said, where it was asked
}

func (in *info) Name() string       { return in.name }
func (in *info) Size() int64        { return in.size }
func (in *info) Mode() fs.FileMode  { return in.mode }
func (in *info) ModTime() time.Time { return in.modified }
func (in *info) IsDir() bool        { return in.mode.IsDir() }

// Sys returns a *storage.Unix, which is reused as the FileInfo is, or nil on
// systems without such things.
func (in *info) Sys() any {
	if in.unix.Links == 0 {
		return nil
	}
	return &in.unix
}

// same tells whether both are one file.
func (in *info) same(other *info) bool {
	if in.raw != nil && other.raw != nil {
		return os.SameFile(in.raw, other.raw)
	}
	return in.unix.Inode == other.unix.Inode && in.unix.Device == other.unix.Device
}

// set takes what package os says.
func (in *info) set(fi os.FileInfo) {
	*in = info{name: fi.Name(), size: fi.Size(), mode: fi.Mode(), modified: fi.ModTime(), raw: fi}
	in.unix = unixOf(fi)
}

// regular refuses what is not a regular file.
func (in *info) regular() error {
	switch {
	case in.mode.IsDir():
		return storage.ErrIsDir
	case !in.mode.IsRegular():
		return storage.ErrNotRegular
	}
	return nil
}
