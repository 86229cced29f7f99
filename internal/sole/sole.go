// Package sole keeps a file that is not whole yet to one writer.
//
// Who writes NAME.part holds it, by an advisory lock that goes with the
// descriptor: nothing is left behind, and who was killed blocks nobody. On a disk
// without locks, such as some NFS, nobody is kept away. What is written, and why,
// it does not know.
package sole

import (
	"errors"
	"io/fs"
	"os"
)

// ErrBusy: another holds the file.
var ErrBusy = errors.New("another transfer is writing it; wait for its end")

// errGone: what the name leads to now is another's, or nothing.
var errGone = errors.New("it was removed or replaced while it was written; begin again")

// Dir is where files are: an [os.Root], or [Anywhere].
type Dir interface {
	OpenFile(name string, flag int, mode fs.FileMode) (*os.File, error)
	Lstat(name string) (fs.FileInfo, error)
	Remove(name string) error
	Rename(from, to string) error
}

// Anywhere takes names as package os does.
var Anywhere Dir = anywhere{}

type anywhere struct{}

func (anywhere) OpenFile(name string, flag int, mode fs.FileMode) (*os.File, error) {
	return openFile(name, flag, mode)
}
func (anywhere) Lstat(name string) (fs.FileInfo, error) { return os.Lstat(name) }
func (anywhere) Remove(name string) error               { return os.Remove(name) }
func (anywhere) Rename(from, to string) error           { return os.Rename(from, to) }

// File is a file that is held until Close. It is written through descriptors of
// its own: those can be closed, and with them what is wrong with the bytes comes
// to light on some disks (NFS), before the file gets its name, held all the while.
//
//	          Take, Make            Rename, Remove
//	(a name) ------------> held ------------------> (nothing to hold)
//	    ^                   |
//	    +-------------------+  Close, or the end of the process
type File struct {
	f    *os.File
	dir  Dir
	name string
	info fs.FileInfo
}

// attempts bounds how often others may take a file from under us before we call
// it busy.
const attempts = 16

// Take holds what has a name, and changes nothing of it. Only a regular file can
// be one that is not whole; for anything else, as for none, it is fs.ErrNotExist.
func Take(dir Dir, name string) (*File, error) {
	for range attempts {
		info, err := dir.Lstat(name)
		if err == nil && !info.Mode().IsRegular() {
			err = &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
		}
		if err != nil {
			return nil, err
		}
		f, err := dir.OpenFile(name, os.O_RDWR, 0)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if h, err := keep(dir, name, f); h != nil || err != nil {
			return h, err
		}
	}
	return nil, &fs.PathError{Op: "write", Path: name, Err: ErrBusy}
}

// Make makes an empty file and holds it. What had its name goes, if nobody holds
// that: so no link is followed, and other names of the old one keep its bytes.
func Make(dir Dir, name string, mode fs.FileMode) (*File, error) {
	for range attempts {
		f, err := dir.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, mode)
		if errors.Is(err, fs.ErrExist) {
			if err := discard(dir, name); err != nil {
				return nil, err
			}
			continue
		}
		if err != nil {
			return nil, err
		}
		if h, err := keep(dir, name, f); h != nil || err != nil {
			return h, err
		}
	}
	return nil, &fs.PathError{Op: "write", Path: name, Err: ErrBusy}
}

// keep locks f. It gives neither file nor error if the name leads elsewhere by
// then: who held it before has given it its name, or removed it.
func keep(dir Dir, name string, f *os.File) (*File, error) {
	h := &File{f: f, dir: dir, name: name}
	err := Lock(f)
	if err != nil {
		err = &fs.PathError{Op: "write", Path: f.Name(), Err: err}
	} else if h.info, err = f.Stat(); err == nil && h.there() {
		return h, nil
	}
	_ = f.Close() // nothing was written
	return nil, err
}

// discard removes what nobody holds.
func discard(dir Dir, name string) error {
	info, err := dir.Lstat(name)
	if err == nil && info.Mode().IsRegular() {
		var h *File
		if h, err = Take(dir, name); err == nil {
			defer h.Close()
		} else if errors.Is(err, fs.ErrPermission) {
			err = nil // another user's: if he writes it, Rename will tell him
		}
	}
	if err == nil {
		err = dir.Remove(name)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// there tells whether the name leads to the file.
func (h *File) there() bool {
	info, err := h.dir.Lstat(h.name)
	return err == nil && os.SameFile(info, h.info)
}

// Rename gives the file another name, at which it replaces what is there. A file
// that others have removed meanwhile, or put another in its place, stays as it is.
func (h *File) Rename(to string) error {
	if !h.there() {
		return &fs.PathError{Op: "rename", Path: h.f.Name(), Err: errGone}
	}
	return h.dir.Rename(h.name, to)
}

// Remove removes the file, if it is there.
func (h *File) Remove() error {
	if !h.there() {
		return nil
	}
	return h.dir.Remove(h.name)
}

// Close lets go of the file.
func (h *File) Close() error {
	unlock(h.f)
	return h.f.Close()
}
