// Package mem is a [storage.FS] in memory, for tests and examples.
//
// It does what storage/disk does with files and directories, unfinished parts
// and all; it has no symbolic links, devices or owners, and forgets everything
// with the process.
package mem

import (
	"bytes"
	"context"
	"io"
	"io/fs"
	"iter"
	"maps"
	"os"
	"path"
	"strings"
	"sync"
	"time"

	"towpath/storage"
)

// FS is a tree in memory. Use [New]; the exported fields may be set before the
// first use.
type FS struct {
	// Limit is how many bytes the files and unfinished parts may hold
	// together; beyond it is ErrFull. Zero means no limit.
	Limit int64
	// Now is the clock. If nil it is time.Now.
	Now func() time.Time

	mu   sync.Mutex
	top  *node
	used int64  // bytes in files and parts
	last uint64 // inode given last
}

var _ interface {
	storage.FS
	storage.Resumer
	storage.TimeSetter
	storage.Chmoder
	storage.Spacer
} = (*FS)(nil)

// node is a file or directory. The bytes of a file never change in place, so a
// reader keeps what it opened.
type node struct {
	mode     fs.FileMode
	modified time.Time
	inode    uint64
	data     []byte           // of a file
	entries  map[string]*node // of a directory; nil for a file
	parts    map[claim]*part  // unfinished, in a directory
	writing  map[string]*part // by name, what its one writer writes, in a directory
}

// claim says whose part of which file.
type claim struct{ owner, base string }

type part struct {
	data     []byte
	modified time.Time
}

// New makes a tree of these files, by name ("a/b.txt" and "/a/b.txt" are one);
// the directories on the way are made, and a name that ends in "/" is an empty
// directory. It panics if a name is also a directory, or no name.
func New(files map[string]string) *FS {
	f := &FS{}
	f.top = f.dir()
	for name, text := range files {
		clean := path.Clean("/" + name)
		if err := storage.CheckNewName(clean); err != nil {
			panic("mem: " + name + ": " + err.Error())
		}
		d, elems := f.top, strings.Split(clean[1:], "/")
		for i, elem := range elems {
			if elem == "" {
				break // the top itself
			}
			n := d.entries[elem]
			isFile := i == len(elems)-1 && !strings.HasSuffix(name, "/")
			switch {
			case n == nil && isFile:
				n = f.file([]byte(text), 0o644)
				f.used += int64(len(text))
				d.entries[elem] = n
			case n == nil:
				n = f.dir()
				d.entries[elem] = n
			case isFile || n.entries == nil:
				panic("mem: " + name + ": both a file and a directory, or twice")
			}
			d = n
		}
	}
	return f
}

func (f *FS) now() time.Time {
	if f.Now != nil {
		return f.Now()
	}
	return time.Now()
}

func (f *FS) dir() *node {
	f.last++
	return &node{
		mode:     fs.ModeDir | 0o755,
		modified: f.now(),
		inode:    f.last,
		entries:  make(map[string]*node),
		parts:    make(map[claim]*part),
		writing:  make(map[string]*part),
	}
}

func (f *FS) file(data []byte, mode fs.FileMode) *node {
	f.last++
	return &node{mode: mode, modified: f.now(), inode: f.last, data: data}
}

// find walks to what has name. The lock must be held.
func (f *FS) find(name string) (*node, error) {
	if err := storage.CheckName(name); err != nil {
		return nil, err
	}
	n := f.top
	for elem := range strings.SplitSeq(name[1:], "/") {
		if elem == "" {
			break
		}
		if n.entries == nil {
			return nil, storage.ErrNotDir
		}
		if n = n.entries[elem]; n == nil {
			return nil, fs.ErrNotExist
		}
	}
	return n, nil
}

// parent walks to the directory that holds name, or would. The lock must be
// held.
func (f *FS) parent(name string) (*node, string, error) {
	dir, base := path.Split(name)
	d, err := f.find(path.Clean(dir))
	if err == nil && d.entries == nil {
		err = storage.ErrNotDir
	}
	return d, base, err
}

// Open returns a reader of the file as it is now.
func (f *FS) Open(ctx context.Context, name string, offset int64) (io.ReadCloser, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	n, err := f.find(name)
	switch {
	case ctx.Err() != nil:
		err = ctx.Err()
	case err != nil:
	case n.entries != nil:
		err = storage.ErrIsDir
	case offset < 0 || offset > int64(len(n.data)):
		err = storage.ErrOffset
	}
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	return io.NopCloser(bytes.NewReader(n.data[offset:])), nil
}

// Stat says what name is now.
func (f *FS) Stat(ctx context.Context, name string) (fs.FileInfo, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	n, err := f.find(name)
	if ctx.Err() != nil {
		err = ctx.Err()
	}
	if err != nil {
		return nil, &fs.PathError{Op: "stat", Path: name, Err: err}
	}
	return n.info(path.Base(name)), nil
}

// List yields the entries that are there when it begins.
func (f *FS) List(ctx context.Context, dir string) iter.Seq2[fs.FileInfo, error] {
	return func(yield func(fs.FileInfo, error) bool) {
		infos, err := f.list(dir)
		for _, in := range infos {
			if ctx.Err() != nil || !yield(in, nil) {
				break
			}
		}
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		if err != nil {
			yield(nil, &fs.PathError{Op: "list", Path: dir, Err: err})
		}
	}
}

func (f *FS) list(dir string) ([]info, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	d, err := f.find(dir)
	if err != nil {
		return nil, err
	}
	if d.entries == nil {
		return nil, storage.ErrNotDir
	}
	infos := make([]info, 0, len(d.entries))
	for name, n := range d.entries {
		infos = append(infos, n.info(name))
	}
	return infos, nil
}

// change runs one change of name in the directory that holds it; n is what is
// there, or nil.
func (f *FS) change(ctx context.Context, op, name string, run func(d *node, base string, n *node) error) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	err := ctx.Err()
	if err == nil {
		err = storage.CheckName(name)
	}
	if err == nil && name == "/" {
		err = topFaults[op]
	} else if err == nil {
		var d *node
		var base string
		if d, base, err = f.parent(name); err == nil {
			err = run(d, base, d.entries[base])
		}
	}
	if err != nil {
		return &fs.PathError{Op: op, Path: name, Err: err}
	}
	return nil
}

// topFaults is why the top can be neither made nor removed.
var topFaults = map[string]error{
	"remove": storage.ErrIsDir,
	"mkdir":  fs.ErrExist,
	"rmdir":  fs.ErrPermission,
}

// Remove removes a file. Unfinished parts of it stay.
func (f *FS) Remove(ctx context.Context, name string) error {
	return f.change(ctx, "remove", name, func(d *node, base string, n *node) error {
		switch {
		case n == nil:
			return fs.ErrNotExist
		case n.entries != nil:
			return storage.ErrIsDir
		}
		f.used -= int64(len(n.data))
		delete(d.entries, base)
		d.modified = f.now()
		return nil
	})
}

// Mkdir makes a directory.
func (f *FS) Mkdir(ctx context.Context, name string) error {
	return f.change(ctx, "mkdir", name, func(d *node, base string, n *node) error {
		if n != nil {
			return fs.ErrExist
		}
		if err := storage.CheckNewName(name); err != nil {
			return err
		}
		d.entries[base] = f.dir()
		d.modified = f.now()
		return nil
	})
}

// Rmdir removes an empty directory. Unfinished parts in it go with it, unless
// one is being written (ErrBusy).
func (f *FS) Rmdir(ctx context.Context, name string) error {
	return f.change(ctx, "rmdir", name, func(d *node, base string, n *node) error {
		switch {
		case n == nil:
			return fs.ErrNotExist
		case n.entries == nil:
			return storage.ErrNotDir
		case len(n.entries) > 0:
			return storage.ErrNotEmpty
		case len(n.writing) > 0:
			return storage.ErrBusy
		}
		for p := range maps.Values(n.parts) {
			f.used -= int64(len(p.data))
		}
		delete(d.entries, base)
		d.modified = f.now()
		return nil
	})
}

// Rename moves a file or directory. A directory at the new name is ErrIsDir.
func (f *FS) Rename(ctx context.Context, from, to string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	err := ctx.Err()
	if err == nil {
		err = f.rename(from, to)
	}
	if err != nil {
		return &os.LinkError{Op: "rename", Old: from, New: to, Err: err}
	}
	return nil
}

func (f *FS) rename(from, to string) error {
	n, err := f.find(from)
	if err != nil {
		return err
	}
	if err := storage.CheckNewName(to); err != nil {
		return err
	}
	if from == "/" || to == "/" || n.entries != nil && strings.HasPrefix(to, from+"/") {
		return fs.ErrPermission // a tree cannot be moved into itself
	}
	d, base, err := f.parent(from)
	if err != nil {
		return err
	}
	toDir, toBase, err := f.parent(to)
	if err != nil {
		return err
	}
	if old := toDir.entries[toBase]; old == n {
		return nil
	} else if old != nil {
		switch {
		case old.entries != nil:
			return storage.ErrIsDir
		case n.entries != nil:
			return storage.ErrNotDir
		}
		f.used -= int64(len(old.data))
	}
	delete(d.entries, base)
	toDir.entries[toBase] = n
	d.modified = f.now()
	toDir.modified = d.modified
	return nil
}

// SetTime sets the time of last modification.
func (f *FS) SetTime(ctx context.Context, name string, modified time.Time) error {
	return f.adjust(ctx, "settime", name, func(n *node) { n.modified = modified })
}

// Chmod sets the nine permission bits; nothing here heeds them.
func (f *FS) Chmod(ctx context.Context, name string, mode fs.FileMode) error {
	return f.adjust(ctx, "chmod", name, func(n *node) { n.mode = n.mode.Type() | mode.Perm() })
}

func (f *FS) adjust(ctx context.Context, op, name string, run func(n *node)) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	n, err := f.find(name)
	if ctx.Err() != nil {
		err = ctx.Err()
	}
	if err != nil {
		return &fs.PathError{Op: op, Path: name, Err: err}
	}
	run(n)
	return nil
}

// Available is what is left of Limit; without one it is ErrUnsupported.
func (f *FS) Available(ctx context.Context, dir string) (int64, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	n, err := f.find(dir)
	switch {
	case ctx.Err() != nil:
		err = ctx.Err()
	case err == nil && n.entries == nil:
		err = storage.ErrNotDir
	case err == nil && f.Limit == 0:
		err = storage.ErrUnsupported
	}
	if err != nil {
		return 0, &fs.PathError{Op: "available", Path: dir, Err: err}
	}
	return max(0, f.Limit-f.used), nil
}

// info is what a node was when somebody asked.
type info struct {
	name     string
	size     int64
	mode     fs.FileMode
	modified time.Time
	unix     storage.Unix
}

func (n *node) info(name string) info {
	return info{
		name:     name,
		size:     int64(len(n.data)),
		mode:     n.mode,
		modified: n.modified,
		unix:     storage.Unix{Links: 1, Inode: n.inode},
	}
}

func (in info) Name() string       { return in.name }
func (in info) Size() int64        { return in.size }
func (in info) Mode() fs.FileMode  { return in.mode }
func (in info) ModTime() time.Time { return in.modified }
func (in info) IsDir() bool        { return in.mode.IsDir() }
func (in info) Sys() any           { return &in.unix }
