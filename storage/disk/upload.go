package disk

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"net"
	"os"
	"sync/atomic"
	"syscall"

	"towpath/storage"
)

// Create starts an upload. Where name is a symbolic link, the file that it
// points to is written. A file whose permission bits forbid to write it is not
// replaced.
//
// To go on from the file itself takes a copy of it: shared blocks where the
// disk can (Btrfs, XFS), else as long and as much room as the bytes need.
//
// One name has one writer in this process, whichever FS it comes through; of
// two processes, the one that comes second to the same owner's part is
// ErrBusy.
func (f *FS) Create(ctx context.Context, name string, how storage.How) (storage.Writer, error) {
	w, err := f.create(ctx, name, how)
	if err != nil {
		return nil, fault("create", name, err)
	}
	return w, nil
}

func (f *FS) create(ctx context.Context, name string, how storage.How) (_ *writer, err error) {
	if err := f.enter(ctx, true); err != nil {
		return nil, err
	}
	w := &writer{fs: f, name: name, owned: how.Owner != "", exclusive: how.Exclusive}
	defer func() {
		if err != nil {
			w.let()
		}
	}()
	if how.Offset < 0 && !how.Append {
		return nil, storage.ErrOffset
	}
	rel, err := fresh(name)
	if err != nil {
		return nil, err
	}
	var final *info
	w.dir, w.base, final, err = f.place(rel)
	if err != nil {
		return nil, err
	}
	perm := f.options.Mode.Perm()
	w.perm = perm
	if perm == 0 {
		perm = 0o666
	}
	if final != nil {
		if err := final.regular(); err != nil {
			return nil, err
		}
		if how.Exclusive {
			return nil, fs.ErrExist
		}
		// The rename would not ask.
		if err := w.dir.writable(w.base); err != nil {
			return nil, err
		}
		perm = final.mode.Perm()
		w.perm = perm
	}
	id, err := w.dir.identity()
	if err != nil {
		return nil, err
	}
	if w.target = (target{id, w.base}); !hold(w.target) {
		w.target = target{}
		return nil, storage.ErrBusy
	}
	w.part = partName(how.Owner, w.base) + partSuffix
	if how.Append || how.Offset > 0 {
		err = w.resume(ctx, how, perm)
	} else {
		err = w.begin(perm)
	}
	return w, err
}

// writer is an upload under way.
type writer struct {
	fs        *FS
	name      string // as the client says
	dir       directory
	base      string // the final name in dir
	part      string // the hidden name in dir
	target    target // held until the end
	file      *os.File
	offset    int64
	perm      fs.FileMode // bits to set before it appears, unless zero
	owned     bool
	resumed   bool // the part was there before
	exclusive bool
	ended     atomic.Bool
}

// begin makes the part anew. Bits that it has already need not be set later.
func (w *writer) begin(perm fs.FileMode) error {
	f, bits, err := create(w.dir, w.part, perm)
	if err != nil {
		return err
	}
	w.file = f
	if bits == w.perm {
		w.perm = 0
	}
	return nil
}

// resume goes on with the part, or with a copy of the file.
func (w *writer) resume(ctx context.Context, how storage.How, perm fs.FileMode) error {
	// Asked again, because another writer may have committed before we held
	// the name.
	final := new(info)
	if err := w.dir.lstat(w.base, final); missing(err) {
		final = nil
	} else if err != nil {
		return err
	}
	if w.owned {
		f, part, err := claim(w.dir, w.part)
		switch {
		case err == nil && resumable(part, final):
			w.file, w.resumed = f, true
			return w.seek(how, part.size)
		case err == nil:
			_ = f.Close() // overtaken, nothing was written
		case !missing(err) && err != errForeign:
			return err
		}
	}
	var from *os.File
	var size int64
	if final != nil {
		var err error
		if from, err = w.dir.open(w.base, os.O_RDONLY|syscall.O_NONBLOCK, 0); err != nil {
			return err
		}
		defer from.Close()
		if err = fstat(from, final); err == nil {
			err = final.regular()
		}
		if err != nil {
			return err
		}
		size = final.size
	}
	if !how.Append {
		if how.Offset > size {
			return storage.ErrOffset
		}
		size = how.Offset
	}
	if err := w.begin(perm); err != nil {
		return err
	}
	if size > 0 {
		if err := w.copy(ctx, from, size, perm); err != nil {
			_ = w.dir.unlink(w.part) // the first error is the one to tell
			return err
		}
	}
	return w.seek(storage.How{Append: true}, size)
}

// seek sets where writing starts, given the size of the part.
func (w *writer) seek(how storage.How, size int64) error {
	w.offset = how.Offset
	if how.Append {
		w.offset = size
	}
	if w.offset > size {
		return storage.ErrOffset
	}
	if w.offset < size {
		if err := w.file.Truncate(w.offset); err != nil {
			return err
		}
	}
	_, err := w.file.Seek(w.offset, io.SeekStart)
	return err
}

// copyStep is how many bytes are copied before ctx is heard again.
const copyStep = 64 << 20

// copy makes the part a copy of the first size bytes of from. The kernel
// copies, or shares the blocks where the disk can. Until the copy is whole it
// has a name that nobody resumes, while the empty part keeps the place.
func (w *writer) copy(ctx context.Context, from *os.File, size int64, perm fs.FileMode) (err error) {
	name := w.part[:len(w.part)-len(partSuffix)] + copySuffix
	to, _, err := create(w.dir, name, perm)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = w.dir.unlink(name) // the first error is the one to tell
			_ = to.Close()
		}
	}()
	for left := size; left > 0; {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, err := to.ReadFrom(io.LimitReader(from, min(left, copyStep)))
		if err != nil {
			return err
		}
		if n == 0 {
			return storage.ErrOffset // shorter than it was
		}
		left -= n
	}
	if err := w.dir.rename(name, w.dir, w.part); err != nil {
		return err
	}
	_ = w.file.Close() // the empty one
	w.file = to
	return nil
}

func (w *writer) Offset() int64 { return w.offset }

func (w *writer) Write(p []byte) (int, error) {
	n, err := w.file.Write(p)
	return n, w.fault(err)
}

// ReadFrom lets the kernel move the bytes where r is a connection, or an
// *io.LimitedReader of one. An error of r is returned as it is; one of the
// disk is an *fs.PathError.
func (w *writer) ReadFrom(r io.Reader) (int64, error) {
	n, err := w.file.ReadFrom(r)
	return n, w.fault(err)
}

// fault sorts an error of writing. Package os wraps what splice says of the
// connection like what it says of the disk.
func (w *writer) fault(err error) error {
	var own *fs.PathError
	if !errors.As(err, &own) {
		return err
	}
	if ofNetwork(own.Err) {
		return &net.OpError{Op: "read", Net: "tcp", Err: own.Err}
	}
	return fault("write", w.name, own)
}

// ofNetwork tells whether an error is one that only a connection has.
func ofNetwork(err error) bool {
	if errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, net.ErrClosed) {
		return true
	}
	call, ok := err.(*os.SyscallError)
	if !ok || call.Syscall != "splice" {
		return false
	}
	switch call.Err {
	case syscall.ECONNRESET, syscall.ECONNABORTED, syscall.ENOTCONN, syscall.EPIPE,
		syscall.ETIMEDOUT, syscall.EHOSTUNREACH, syscall.ENETUNREACH, syscall.ENETDOWN:
		return true
	}
	return false
}

func (w *writer) Commit() error {
	if w.ended.Swap(true) {
		return fault("commit", w.name, fs.ErrClosed)
	}
	defer w.let()
	if err := w.commit(); err != nil {
		return fault("commit", w.name, err)
	}
	return nil
}

func (w *writer) commit() error {
	if w.fs.options.Sync != SyncOff {
		if err := w.file.Sync(); err != nil {
			// What the disk holds now is not known, so nobody may go on from it.
			_ = w.dir.unlink(w.part)
			return err
		}
	}
	if w.perm != 0 {
		// A disk that knows no permissions, or gives all files to one user (FAT,
		// CIFS), refuses. The bytes are no worse for that.
		err := w.file.Chmod(w.perm)
		if err != nil && !errors.Is(err, fs.ErrPermission) && !errors.Is(err, errors.ErrUnsupported) {
			return err
		}
	}
	var err error
	if w.exclusive {
		err = w.dir.renameNew(w.part, w.base)
	} else {
		err = w.dir.rename(w.part, w.dir, w.base)
	}
	if err != nil {
		if !w.owned {
			_ = w.dir.unlink(w.part) // the first error is the one to tell
		}
		return err
	}
	if err := w.file.Close(); err != nil { // some network disks tell only now
		return err
	}
	if w.fs.options.Sync == SyncDir {
		return syncDir(w.dir)
	}
	return nil
}

func (w *writer) Abort(keep bool) error {
	if w.ended.Swap(true) {
		return fault("abort", w.name, fs.ErrClosed)
	}
	defer w.let()
	if keep && w.owned {
		var in info
		if err := fstat(w.file, &in); err == nil && (w.resumed && in.size > 0 || in.size > w.offset) {
			return nil
		}
	}
	if err := w.dir.unlink(w.part); err != nil && !missing(err) {
		return fault("abort", w.name, err)
	}
	return nil
}

// let lets go of everything the writer holds; it may be half made.
func (w *writer) let() {
	if w.file != nil {
		_ = w.file.Close() // closed already when it matters
	}
	if w.target.name != "" {
		release(w.target)
	}
	if w.dir != nil {
		w.dir.close()
	}
	w.fs.leave()
}

// syncDir has the names of a directory on disk.
func syncDir(d directory) error {
	entries, err := d.entries()
	if err != nil {
		return err
	}
	defer entries.Close()
	return entries.Sync()
}
