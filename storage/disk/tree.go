package disk

import (
	"errors"
	"io/fs"
	"os"
	"strings"
	"time"

	"towpath/storage"
)

// tree finds names beneath the top. Its names are relative ("." is the top,
// "a/b") and may hold "..": symbolic links say such things. Links are followed
// while they stay inside; errEscapes answers one that leads out.
type tree interface {
	// dir opens a directory to act on its entries.
	dir(rel string) (directory, error)
	// open opens a regular file for reading and says what it is. It never
	// waits, whatever lies under the name.
	open(rel string, in *info) (*os.File, error)
	// stat sets all of in but its name.
	stat(rel string, in *info) error
	close()
}

// directory is one directory, held open. Its names are single elements, and
// no method follows a symbolic link. "." is the directory itself where
// nothing is made or removed.
type directory interface {
	identity() (identity, error)
	// entries opens the directory for reading its names.
	entries() (*os.File, error)
	// lstat sets all of in but its name.
	lstat(name string, in *info) error
	// writable fails when the bits of a file forbid to write it.
	writable(name string) error
	readlink(name string) (string, error)
	// open takes the flags of os.OpenFile. It never waits.
	open(name string, flag int, perm fs.FileMode) (*os.File, error)
	mkdir(name string) error
	unlink(name string) error
	rmdir(name string) error
	symlink(target, name string) error
	// rename replaces a file at the new name.
	rename(name string, to directory, newName string) error
	// renameNew renames within the directory and replaces nothing
	// (fs.ErrExist).
	renameNew(name, newName string) error
	chmod(name string, perm fs.FileMode) error
	chtimes(name string, modified time.Time) error
	close()
}

// identity tells a directory from every other of the host.
type identity struct{ device, inode uint64 }

var (
	errEscapes  = errors.Join(errors.New("leads out of the tree"), fs.ErrPermission)
	errReadOnly = errors.Join(errors.New("read-only"), fs.ErrPermission)
)

// maxLinks is how many symbolic links the last element of a name may pass
// through, as many as Linux allows.
const maxLinks = 40

// place finds where name is, or would be made: the directory that holds it,
// held open, and its one name there. When name is a symbolic link it is
// followed, link by link, so that what is done at the place is done to what
// the link points to; the place of a directory may be called ".". The info
// tells what is there and is nil if nothing is.
func (f *FS) place(rel string) (d directory, base string, in *info, err error) {
	for range maxLinks {
		var parent string
		parent, base = splitRel(rel)
		if reserved(base) {
			return nil, "", nil, storage.ErrName
		}
		if d, err = f.tree.dir(parent); err != nil {
			return nil, "", nil, err
		}
		in = new(info)
		err = d.lstat(base, in)
		if err == nil && in.mode.Type() != fs.ModeSymlink {
			return d, base, in, nil
		}
		if missing(err) {
			return d, base, nil, nil
		}
		var target string
		if err == nil {
			target, err = d.readlink(base)
		}
		d.close()
		if err == nil && (target == "" || os.IsPathSeparator(target[0])) {
			err = errEscapes
		}
		if err != nil {
			return nil, "", nil, err
		}
		rel = parent + "/" + target
	}
	return nil, "", nil, errEscapes
}

// splitRel cuts a relative name that may hold ".." into the directory and the
// last element. A name that ends in ".." or "." is the element "." of itself.
func splitRel(rel string) (parent, base string) {
	rel = strings.TrimRight(rel, "/")
	i := strings.LastIndexByte(rel, '/')
	base = rel[i+1:]
	switch {
	case base == "." || base == "..":
		return rel, "."
	case i < 0:
		return ".", base
	}
	return rel[:i], base
}
