// Package disk serves a directory of the host as a [storage.FS].
//
// Its one idea is that a directory is held by handle, and that the kernel, not
// a comparison of strings, keeps every name beneath it: openat2 with
// RESOLVE_BENEATH on Linux, [os.Root] elsewhere and on kernels without
// openat2. Nothing is checked by path and then used by path. Whatever changes
// the tree acts on one name in a directory that is held open.
//
// Symbolic links are followed while they stay inside; one that leads out, be
// it for one step, and every absolute one, is refused as fs.ErrPermission.
//
// An upload is written to a hidden file beside the final one, and renamed when
// it is whole. So it takes the right to write the directory, and a replaced
// file keeps its permission bits, but not its owner, its other hard links or
// its extended attributes.
//
// The package knows no users, rights or quotas.
package disk

import (
	"context"
	"io"
	"io/fs"
	"iter"
	"os"
	"sync/atomic"

	"towpath/storage"
)

// Options say how a tree is served. The zero value is ready to use.
type Options struct {
	// ReadOnly refuses every change with fs.ErrPermission.
	ReadOnly bool
	// Sync says when Commit asks the disk to keep a file. Default SyncClose.
	Sync Sync
	// Mode is the permission bits of a new file. Zero takes what the umask of
	// the process leaves of 0o666. A file that is replaced keeps its own.
	Mode fs.FileMode

	// rooted chooses os.Root where openat2 would do, for tests.
	rooted bool
}

// FS is a directory of the host and what lies below it. Many sessions may
// share one: it holds one descriptor and no memory per session.
type FS struct {
	tree    tree
	options Options
	users   atomic.Int64 // operations under way, and one for the opener
	closed  atomic.Bool
}

var _ interface {
	storage.FS
	storage.Resumer
	storage.TimeSetter
	storage.Chmoder
	storage.Symlinker
	storage.Spacer
} = (*FS)(nil)

// Open serves the directory dir of the host. The FS follows the directory when
// it is renamed. Errors name dir.
func Open(dir string, o Options) (*FS, error) {
	t, err := openTree(dir, o.rooted)
	if err != nil {
		return nil, fault("open", dir, err)
	}
	f := &FS{tree: t, options: o}
	f.users.Store(1)
	return f, nil
}

// Close lets the directory go. Operations and writers under way may end first;
// new ones fail with fs.ErrClosed.
func (f *FS) Close() error {
	if f.closed.Swap(true) {
		return fs.ErrClosed
	}
	f.leave()
	return nil
}

// enter begins an operation: it fails when ctx has ended, when the tree is
// closed, and when a read-only tree would change. Success asks for a leave.
func (f *FS) enter(ctx context.Context, changes bool) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if changes && f.options.ReadOnly {
		return errReadOnly
	}
	for {
		n := f.users.Load()
		if n == 0 || f.closed.Load() {
			return fs.ErrClosed
		}
		if f.users.CompareAndSwap(n, n+1) {
			return nil
		}
	}
}

func (f *FS) leave() {
	if f.users.Add(-1) == 0 {
		f.tree.close()
	}
}

// Open returns the file as a bare *os.File that no poller watches.
func (f *FS) Open(ctx context.Context, name string, offset int64) (io.ReadCloser, error) {
	file, err := f.open(ctx, name, offset)
	if err != nil {
		return nil, fault("open", name, err)
	}
	return file, nil
}

func (f *FS) open(ctx context.Context, name string, offset int64) (*os.File, error) {
	if err := f.enter(ctx, false); err != nil {
		return nil, err
	}
	defer f.leave()
	rel, err := known(name)
	if err != nil {
		return nil, err
	}
	var in info
	file, err := f.tree.open(rel, &in)
	if err != nil {
		return nil, err
	}
	switch {
	case offset < 0 || offset > in.size:
		err = storage.ErrOffset
	case offset > 0:
		_, err = file.Seek(offset, io.SeekStart)
	}
	if err != nil {
		_ = file.Close() // nothing was written
		return nil, err
	}
	return file, nil
}

// Stat says what name is, or what it points to. It leaves Unix.Target empty.
func (f *FS) Stat(ctx context.Context, name string) (fs.FileInfo, error) {
	in := new(info)
	if err := f.stat(ctx, name, in); err != nil {
		return nil, fault("stat", name, err)
	}
	return in, nil
}

func (f *FS) stat(ctx context.Context, name string, in *info) error {
	if err := f.enter(ctx, false); err != nil {
		return err
	}
	defer f.leave()
	rel, err := known(name)
	if err != nil {
		return err
	}
	if err := f.tree.stat(rel, in); err != nil {
		return err
	}
	_, in.name = split(name)
	return nil
}

// batch is how many names are read from a directory before their entries are.
const batch = 512

// List yields one reused FileInfo. The entries that vanish while the listing
// goes on are left out. A symbolic link that leads nowhere, or out of the
// tree, is listed as a link; Unix.Target is empty for one that leads out.
func (f *FS) List(ctx context.Context, dir string) iter.Seq2[fs.FileInfo, error] {
	return func(yield func(fs.FileInfo, error) bool) {
		if err := f.list(ctx, dir, yield); err != nil {
			yield(nil, fault("list", dir, err))
		}
	}
}

// within has do look at a directory that exists, which is called rel, and at the
// open file of its entries.
func (f *FS) within(ctx context.Context, dir string, do func(d directory, rel string, entries *os.File) error) error {
	if err := f.enter(ctx, false); err != nil {
		return err
	}
	defer f.leave()
	rel, err := known(dir)
	if err != nil {
		return err
	}
	d, err := f.tree.dir(rel)
	if err != nil {
		return err
	}
	defer d.close()
	entries, err := d.entries()
	if err != nil {
		return err
	}
	defer entries.Close()
	return do(d, rel, entries)
}

func (f *FS) list(ctx context.Context, dir string, yield func(fs.FileInfo, error) bool) error {
	return f.within(ctx, dir, func(d directory, rel string, entries *os.File) error {
		return f.entries(ctx, d, rel, entries, yield)
	})
}

func (f *FS) entries(ctx context.Context, d directory, rel string, entries *os.File, yield func(fs.FileInfo, error) bool) error {
	in := new(info)
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		names, err := entries.Readdirnames(batch)
		for _, name := range names {
			if reserved(name) {
				continue
			}
			err := f.entry(d, rel, name, in)
			switch {
			case err == nil:
				if !yield(in, nil) {
					return nil
				}
			case !missing(err):
				if !yield(nil, fault("list", join("/"+rel, name), err)) {
					return nil
				}
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// entry fills in for one name of the directory d, which is called rel.
func (f *FS) entry(d directory, rel, name string, in *info) error {
	if err := d.lstat(name, in); err != nil {
		return err
	}
	in.name = name
	if in.mode.Type() != fs.ModeSymlink {
		return nil
	}
	target, err := d.readlink(name)
	if err != nil {
		return err
	}
	link := *in
	switch err := f.tree.stat(rel+"/"+name, in); {
	case err == nil:
		in.unix.Target = target
	case missing(err):
		*in = link
		in.unix.Target = target
	default:
		*in = link
	}
	in.name = name
	return nil
}
