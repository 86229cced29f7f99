// Package storage says what files are to a server: a tree of names that can be
// listed, read from an offset, and written so that a file appears whole or not
// at all.
//
// It holds the interfaces and what can be said of every implementation. The
// trees themselves are in storage/disk and storage/mem; storage/storagetest is
// the kit that each of them passes. Who may do what belongs to the server:
// nothing here knows users, rights or quotas.
//
// Names are slash-separated, absolute and clean: "/" is the top, "/a/b" a file
// below it. Errors are *fs.PathError or *os.LinkError, and errors.Is finds
// fs.ErrNotExist, fs.ErrExist, fs.ErrPermission and the errors of this package
// in them. Their Path is the name that was given, never a path of the host.
package storage

import (
	"context"
	"errors"
	"hash"
	"io"
	"io/fs"
	"iter"
	"time"
)

// What can be wrong with a file beside the errors of io/fs.
var (
	// ErrBusy: another writer holds the name.
	ErrBusy = errors.New("another transfer is writing this file")
	// ErrFull: the disk (or the bucket, or memory) has no room left.
	ErrFull = errors.New("no space left")
	// ErrNotRegular: a FIFO, device or socket; only regular files are served.
	ErrNotRegular = errors.New("not a regular file")
	// ErrIsDir: the name is a directory and a file was wanted.
	ErrIsDir = errors.New("is a directory")
	// ErrNotDir: the name is a file and a directory was wanted.
	ErrNotDir = errors.New("not a directory")
	// ErrNotEmpty: the directory still holds something.
	ErrNotEmpty = errors.New("directory not empty")
	// ErrOffset: an upload would start beyond the end of what is there.
	ErrOffset = errors.New("offset beyond the end")
	// ErrName: no file may bear this name (control bytes, ".", "..", a name
	// the tree keeps for itself).
	ErrName = errors.New("name not allowed")
	// ErrUnsupported: this tree has no such power (see [errors.ErrUnsupported]).
	ErrUnsupported = errors.ErrUnsupported
)

// FS is a tree of files. It is safe for concurrent use.
type FS interface {
	// Open returns the bytes of a regular file from offset (in bytes) on. An
	// offset equal to the size reads nothing; one beyond it is ErrOffset.
	// A tree on the local disk returns a bare *os.File, so that the kernel can
	// move the bytes to a socket.
	Open(ctx context.Context, name string, offset int64) (io.ReadCloser, error)
	// Create starts a write. Nothing is seen under name before Commit, and
	// what was there stays until then.
	Create(ctx context.Context, name string, how How) (Writer, error)
	// Stat follows symbolic links, and refuses one that leads out of the tree.
	Stat(ctx context.Context, name string) (fs.FileInfo, error)
	// List yields the entries of a directory in no particular order, one at a
	// time, without "." and "..". The yielded FileInfo may be one reused
	// value: it, and what its Sys returns, is valid until the next step. An
	// error may come at any step, with a nil FileInfo; the loop may go on
	// after it when it concerns one entry only (see [OfEntry]). An entry that
	// vanishes meanwhile is left out.
	List(ctx context.Context, dir string) iter.Seq2[fs.FileInfo, error]
	// Remove removes a file or symbolic link, not a directory (ErrIsDir).
	Remove(ctx context.Context, name string) error
	// Mkdir makes one directory; its parent must be there.
	Mkdir(ctx context.Context, name string) error
	// Rmdir removes one empty directory (ErrNotDir, ErrNotEmpty). Unfinished
	// parts in it are thrown away, unless one is being written (ErrBusy).
	Rmdir(ctx context.Context, name string) error
	// Rename moves a file or directory. A file at the new name is replaced, a
	// directory is not (ErrIsDir). Where a tree spans disks, a move from one
	// to the other may be ErrUnsupported.
	Rename(ctx context.Context, from, to string) error
}

// OfEntry tells whether an error that List gave concerns one entry of dir, whose
// name is then its Path, and not dir.
func OfEntry(err error, dir string) bool {
	e, ok := errors.AsType[*fs.PathError](err)
	return ok && e.Path != dir
}

// How says in which way Create writes.
type How struct {
	// Owner is the one the unfinished part belongs to: only the same owner
	// may see its size and resume it. Empty: nobody can resume it.
	Owner string
	// Offset is where writing starts, in bytes. The bytes before it are taken
	// from Owner's unfinished part of this name if there is one, else from
	// the file itself; what lies beyond Offset is cut off. More than is there
	// is ErrOffset.
	Offset int64
	// Append writes at the end of Owner's unfinished part if there is one,
	// else of the file itself, else starts a new file. Offset is ignored.
	Append bool
	// Exclusive refuses (fs.ErrExist) when name is there already.
	Exclusive bool
	// Size is how many bytes the client says it will send; 0 is unknown. A
	// tree may reserve room by it and must not trust it.
	Size int64
}

// Writer receives a file. Exactly one of Commit and Abort ends it; a call
// after that returns [fs.ErrClosed]. A Writer that also is an io.ReaderFrom
// takes bytes straight from a socket; it returns an error of the socket as
// such, and one of the tree as an *fs.PathError.
type Writer interface {
	io.Writer
	// Offset is where writing started: what Append and resuming found.
	Offset() int64
	// Commit makes the file appear whole under its name, instead of what was
	// there, with the permission bits of that. After an error nothing has
	// changed under the name, and a named Owner's part may be left.
	Commit() error
	// Abort ends the write without touching the name. What was written stays
	// as an unfinished part when keep is true and Owner was named, and is
	// thrown away otherwise. Where nothing was written no new part is left.
	Abort(keep bool) error
}

// Resumer is the power to tell how much of a cut upload is kept. A part that is
// older than the file of its name does not count: somebody else finished first.
type Resumer interface {
	// Unfinished tells of owner's unfinished part of name, or returns an error
	// for which errors.Is(err, fs.ErrNotExist).
	Unfinished(ctx context.Context, name, owner string) (Part, error)
	// Discard throws the unfinished part away; it is no error if there is
	// none. One that is being written is ErrBusy.
	Discard(ctx context.Context, name, owner string) error
	// Kept is how many bytes the unfinished parts in one directory hold
	// together, whoever they belong to and whether they count or not.
	Kept(ctx context.Context, dir string) (int64, error)
}

// Part is what is kept of a cut upload.
type Part struct {
	Size     int64     // in bytes
	Modified time.Time // when the last of them came
}

// Unfinished asks fsys for owner's unfinished part of name; a tree that keeps
// none answers fs.ErrNotExist.
func Unfinished(ctx context.Context, fsys FS, name, owner string) (Part, error) {
	if r, ok := fsys.(Resumer); ok {
		return r.Unfinished(ctx, name, owner)
	}
	return Part{}, &fs.PathError{Op: "unfinished", Path: name, Err: fs.ErrNotExist}
}

// Discard throws owner's unfinished part of name away where fsys keeps such.
func Discard(ctx context.Context, fsys FS, name, owner string) error {
	if r, ok := fsys.(Resumer); ok {
		return r.Discard(ctx, name, owner)
	}
	return nil
}

// Kept tells how many bytes the unfinished parts in dir hold; 0 where fsys keeps
// none.
func Kept(ctx context.Context, fsys FS, dir string) (int64, error) {
	if r, ok := fsys.(Resumer); ok {
		return r.Kept(ctx, dir)
	}
	return 0, nil
}

// TimeSetter is the power to set the time of last modification.
type TimeSetter interface {
	SetTime(ctx context.Context, name string, modified time.Time) error
}

// SetTime sets the time of last modification, or is ErrUnsupported.
func SetTime(ctx context.Context, fsys FS, name string, modified time.Time) error {
	if t, ok := fsys.(TimeSetter); ok {
		return t.SetTime(ctx, name, modified)
	}
	return &fs.PathError{Op: "settime", Path: name, Err: ErrUnsupported}
}

// Chmoder is the power to set permission bits.
type Chmoder interface {
	// Chmod sets the nine permission bits; set-id and sticky bits of mode are
	// masked.
	Chmod(ctx context.Context, name string, mode fs.FileMode) error
}

// Chmod sets the permission bits of name, or is ErrUnsupported.
func Chmod(ctx context.Context, fsys FS, name string, mode fs.FileMode) error {
	if c, ok := fsys.(Chmoder); ok {
		return c.Chmod(ctx, name, mode)
	}
	return &fs.PathError{Op: "chmod", Path: name, Err: ErrUnsupported}
}

// Symlinker is the power to make symbolic links.
type Symlinker interface {
	// Symlink makes name a link to target, which must lie inside the tree
	// (fs.ErrPermission): an absolute name of the tree, or one relative to
	// the directory of name. It need not be there. Errors are *os.LinkError.
	Symlink(ctx context.Context, target, name string) error
}

// Symlink makes name a symbolic link to target, or is ErrUnsupported.
func Symlink(ctx context.Context, fsys FS, target, name string) error {
	if s, ok := fsys.(Symlinker); ok {
		return s.Symlink(ctx, target, name)
	}
	return &fs.PathError{Op: "symlink", Path: name, Err: ErrUnsupported}
}

// Spacer is the power to tell how much room is left.
type Spacer interface {
	// Available is the number of bytes that can still be written below dir.
	Available(ctx context.Context, dir string) (int64, error)
}

// Available tells how many bytes can still be written, or is ErrUnsupported.
func Available(ctx context.Context, fsys FS, dir string) (int64, error) {
	if s, ok := fsys.(Spacer); ok {
		return s.Available(ctx, dir)
	}
	return 0, &fs.PathError{Op: "available", Path: dir, Err: ErrUnsupported}
}

// Hasher is the power to know a digest without reading the file through us.
type Hasher interface {
	Hash(ctx context.Context, name, algo string, from, to int64) ([]byte, error)
}

// Hash returns the digest of bytes [from, to) of a file by h, whose name is
// algo (as in HASH: "SHA-256"); to < 0 means up to the end. It asks fsys
// first, and reads the file where fsys does not know.
func Hash(ctx context.Context, fsys FS, name, algo string, h hash.Hash, from, to int64) ([]byte, error) {
	if k, ok := fsys.(Hasher); ok {
		sum, err := k.Hash(ctx, name, algo, from, to)
		if !errors.Is(err, ErrUnsupported) {
			return sum, err
		}
	}
	r, err := fsys.Open(ctx, name, from)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	left := to - from
	if to < 0 {
		left = 1<<63 - 1
	}
	for left > 0 {
		n, err := io.CopyN(h, r, min(left, 1<<20)) // in steps, so that ctx is heard
		left -= n
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
	}
	return h.Sum(nil), nil
}

// Unix is what FileInfo.Sys returns where a tree knows more than io/fs asks.
// For a symbolic link FileInfo says what it points to (a link to a directory
// is a directory) where that lies inside the tree.
type Unix struct {
	Links    uint64
	UID, GID uint32
	Device   uint64
	Inode    uint64
	// Target is what a symbolic link says, if List found one that leads to a
	// place inside the tree; of another it would tell paths of the host.
	Target string
}
