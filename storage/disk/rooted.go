package disk

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"syscall"
	"time"

	"towpath/storage"
)

// rooted is a tree that os.Root keeps beneath its top, element by element. It
// costs up to five times as much as openat2, passes through no directory that
// it may not read, and works on every system.
type rooted struct {
	root    *os.Root
	escapes error // what root says of a way that leads out
}

func openRooted(dir string) (*rooted, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	_, err = root.Lstat("..") // the only way to learn the error, which has no name
	return &rooted{root: root, escapes: cause(err)}, nil
}

func (r *rooted) close() { _ = r.root.Close() } // holds a directory only

// known puts errEscapes for what os.Root says in its own words.
func (r *rooted) known(err error) error {
	if err != nil && errors.Is(err, r.escapes) {
		return errEscapes
	}
	return err
}

func (r *rooted) dir(rel string) (directory, error) {
	if rel == "." {
		return &subroot{tree: r, root: r.root, rel: "."}, nil
	}
	root, err := r.root.OpenRoot(rel)
	if err != nil {
		// OpenRoot has an error of its own for a file.
		if fi, statErr := r.root.Stat(rel); statErr == nil && !fi.IsDir() {
			err = storage.ErrNotDir
		}
		return nil, r.known(err)
	}
	return &subroot{tree: r, root: root, rel: rel}, nil
}

func (r *rooted) open(rel string, in *info) (*os.File, error) {
	f, err := r.root.OpenFile(rel, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, r.known(err)
	}
	err = fstat(f, in)
	if err == nil {
		err = in.regular()
	}
	if err != nil {
		_ = f.Close() // nothing was written
		return nil, err
	}
	return f, nil
}

func (r *rooted) stat(rel string, in *info) error {
	fi, err := r.root.Stat(rel)
	if err != nil {
		return r.known(err)
	}
	in.set(fi)
	return nil
}

// subroot is a directory of a rooted tree.
type subroot struct {
	tree *rooted
	root *os.Root // of the directory
	rel  string   // its name in the tree, for a rename into another directory
}

func (d *subroot) close() {
	if d.root != d.tree.root {
		_ = d.root.Close() // holds a directory only
	}
}

func (d *subroot) identity() (identity, error) {
	dir, err := d.entries()
	if err != nil {
		return identity{}, err
	}
	defer dir.Close()
	return identify(dir)
}

func (d *subroot) entries() (*os.File, error) { return d.root.Open(".") }

func (d *subroot) lstat(name string, in *info) error {
	fi, err := d.root.Lstat(name)
	if err != nil {
		return d.tree.known(err)
	}
	in.set(fi)
	return nil
}

func (d *subroot) writable(name string) error {
	f, err := d.root.OpenFile(name, os.O_WRONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return d.tree.known(err)
	}
	return f.Close()
}

func (d *subroot) readlink(name string) (string, error) { return d.root.Readlink(name) }

// open may follow a link within the directory, which os.Root cannot be told
// not to do, unless flag holds O_CREATE and O_EXCL. The one caller that opens
// what is there compares it with lstat before use.
func (d *subroot) open(name string, flag int, perm fs.FileMode) (*os.File, error) {
	f, err := d.root.OpenFile(name, flag, perm)
	return f, d.tree.known(err)
}

func (d *subroot) mkdir(name string) error { return d.root.Mkdir(name, 0o777) }

func (d *subroot) unlink(name string) error {
	fi, err := d.root.Lstat(name)
	if err != nil {
		return err
	}
	if fi.IsDir() {
		return storage.ErrIsDir
	}
	return d.root.Remove(name)
}

func (d *subroot) rmdir(name string) error {
	fi, err := d.root.Lstat(name)
	if err != nil {
		return err
	}
	if !fi.IsDir() {
		return storage.ErrNotDir
	}
	return d.root.Remove(name)
}

func (d *subroot) symlink(target, name string) error { return d.root.Symlink(target, name) }

func (d *subroot) rename(name string, to directory, newName string) error {
	other := to.(*subroot)
	var err error
	if d == other {
		err = d.root.Rename(name, newName)
	} else {
		err = d.tree.root.Rename(path.Join(d.rel, name), path.Join(other.rel, newName))
	}
	if errors.Is(err, fs.ErrExist) { // os.Root says so of a directory in the way
		return storage.ErrIsDir
	}
	return d.tree.known(err)
}

func (d *subroot) renameNew(name, newName string) error {
	if err := d.root.Link(name, newName); err != nil {
		return err
	}
	return d.root.Remove(name)
}

func (d *subroot) chmod(name string, perm fs.FileMode) error {
	return d.tree.known(d.root.Chmod(name, perm.Perm()))
}

func (d *subroot) chtimes(name string, modified time.Time) error {
	return d.tree.known(d.root.Chtimes(name, time.Time{}, modified))
}
