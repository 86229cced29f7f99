package disk

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"os"
	"strings"
	"syscall"
	"time"

	"towpath/internal/sole"
	"towpath/storage"
)

// The unfinished part of an upload lies beside the final file, under a name
// made from owner and name, so that the one who comes back finds it and nobody
// else does. Whoever writes it holds its lock; the kernel drops the lock when
// the process dies, and what is left is a part that can be resumed.
//
//	           create                  rename
//	(nothing) --------> part, locked ----------> the file
//	                     |        ^
//	    cut, or kill -9  v        |  resume
//	                    part, free ------------> (nothing)
//	                                 discard, sweep, or the file is newer
//
// An upload that goes on from the file itself copies it first. A copy is no
// part until it is whole, and lies under a third name until then: a part that
// lacks the end of the old file would be resumed as if it had it.
const (
	partSuffix = ".part"
	copySuffix = ".copy"
)

// partName is the name of owner's unfinished part of base, without suffix.
func partName(owner, base string) string {
	if owner == "" {
		return prefix + strings.ToLower(rand.Text()) // never found again
	}
	sum := sha256.Sum256([]byte(owner + "\x00" + base))
	return prefix + hex.EncodeToString(sum[:16])
}

// maxAttempts bounds how often another process may take a part from under us
// before we call it busy.
const maxAttempts = 16

// lock keeps other processes, and other openings of this one, from the file
// until f is closed. On a disk without locks it does nothing: there the lock
// within the process has to do.
func lock(f *os.File) error {
	err := sole.Lock(f)
	if errors.Is(err, sole.ErrBusy) {
		return storage.ErrBusy
	}
	return err
}

// create makes the hidden file name and locks it, and says which permission
// bits the umask has left; what an earlier upload left there is thrown away.
func create(d directory, name string, perm fs.FileMode) (*os.File, fs.FileMode, error) {
	for range maxAttempts {
		f, err := d.open(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, perm|0o200)
		if errors.Is(err, fs.ErrExist) {
			if err := discard(d, name); err != nil {
				return nil, 0, err
			}
			continue
		}
		if err != nil {
			return nil, 0, err
		}
		// Until it is locked another process may discard it, and nothing
		// else: resume leaves an empty part alone.
		var in info
		err = lock(f)
		if err == nil {
			err = fstat(f, &in)
		}
		if err != nil {
			_ = f.Close() // empty
			return nil, 0, err
		}
		if in.unix.Links > 0 || bears(d, name, &in) {
			return f, in.mode.Perm(), nil
		}
		_ = f.Close() // empty
	}
	return nil, 0, storage.ErrBusy
}

// bears tells whether name is the file that in describes. Most systems tell by
// the count of links that a file has lost its name; some disks and Windows
// do not count.
func bears(d directory, name string, in *info) bool {
	var named info
	return d.lstat(name, &named) == nil && named.same(in)
}

// claim opens and locks a hidden file that is there, and says what it is. What
// is not a plain file of one name was not made by us: it is errForeign.
func claim(d directory, name string) (*os.File, *info, error) {
	for range maxAttempts {
		var named, opened info
		if err := d.lstat(name, &named); err != nil {
			return nil, nil, err
		}
		if !named.mode.IsRegular() || named.unix.Links > 1 {
			return nil, nil, errForeign
		}
		f, err := d.open(name, os.O_WRONLY|syscall.O_NONBLOCK, 0)
		if missing(err) {
			continue
		}
		if err != nil {
			return nil, nil, err
		}
		if err = lock(f); err == nil {
			err = fstat(f, &opened)
		}
		// The file may have been renamed or replaced before it was locked.
		if err == nil && bears(d, name, &opened) {
			return f, &opened, nil
		}
		_ = f.Close() // nothing was written
		if err != nil {
			return nil, nil, err
		}
	}
	return nil, nil, storage.ErrBusy
}

var errForeign = errors.New("not an unfinished part")

// discard removes a hidden file that nobody writes.
func discard(d directory, name string) error {
	f, _, err := claim(d, name)
	switch {
	case missing(err):
		return nil
	case err == errForeign:
	case err != nil:
		return err
	default:
		defer f.Close()
	}
	if err := d.unlink(name); err != nil && !missing(err) {
		return err
	}
	return nil
}

// resumable tells whether a part may be gone on with: one that is older than
// the file was overtaken by another upload.
func resumable(part, final *info) bool {
	return part.mode.IsRegular() && part.unix.Links <= 1 && part.size > 0 &&
		(final == nil || !part.modified.Before(final.modified))
}

// Unfinished tells of owner's unfinished part of name, also while it is being
// written.
func (f *FS) Unfinished(ctx context.Context, name, owner string) (storage.Part, error) {
	p, err := f.unfinished(ctx, name, owner)
	if err != nil {
		return p, fault("unfinished", name, err)
	}
	return p, nil
}

func (f *FS) unfinished(ctx context.Context, name, owner string) (storage.Part, error) {
	if err := f.enter(ctx, false); err != nil {
		return storage.Part{}, err
	}
	defer f.leave()
	rel, err := known(name)
	if err != nil {
		return storage.Part{}, err
	}
	d, base, final, err := f.place(rel)
	if err != nil {
		return storage.Part{}, err
	}
	defer d.close()
	if owner == "" || base == "." {
		return storage.Part{}, fs.ErrNotExist
	}
	var part info
	if err := d.lstat(partName(owner, base)+partSuffix, &part); err != nil {
		return storage.Part{}, err
	}
	if !resumable(&part, final) {
		return storage.Part{}, fs.ErrNotExist
	}
	return storage.Part{Size: part.size, Modified: part.modified}, nil
}

// Discard removes owner's unfinished part of name; one that is being written
// is ErrBusy.
func (f *FS) Discard(ctx context.Context, name, owner string) error {
	if err := f.discard(ctx, name, owner); err != nil {
		return fault("discard", name, err)
	}
	return nil
}

func (f *FS) discard(ctx context.Context, name, owner string) error {
	if err := f.enter(ctx, true); err != nil {
		return err
	}
	defer f.leave()
	rel, err := known(name)
	if err != nil {
		return err
	}
	d, base, _, err := f.place(rel)
	if missing(err) {
		return nil
	}
	if err != nil {
		return err
	}
	defer d.close()
	if owner == "" || base == "." {
		return nil
	}
	return discard(d, partName(owner, base)+partSuffix)
}

// Kept is what the hidden files in dir hold together.
func (f *FS) Kept(ctx context.Context, dir string) (n int64, err error) {
	err = f.within(ctx, dir, func(d directory, _ string, entries *os.File) error {
		var in info
		for {
			names, err := entries.Readdirnames(batch)
			for _, name := range names {
				if reserved(name) && d.lstat(name, &in) == nil && in.mode.IsRegular() {
					n += in.size
				}
			}
			switch {
			case err == io.EOF:
				return nil
			case err == nil:
				err = ctx.Err()
			}
			if err != nil {
				return err
			}
		}
	})
	if err != nil {
		return 0, fault("kept", dir, err)
	}
	return n, nil
}

// discardAll empties a directory that holds nothing but hidden files, and is
// ErrNotEmpty for every other.
func discardAll(d directory) error {
	entries, err := d.entries()
	if err != nil {
		return err
	}
	defer entries.Close()
	var parts []string
	for err != io.EOF {
		var names []string
		if names, err = entries.Readdirnames(batch); err != nil && err != io.EOF {
			return err
		}
		for _, name := range names {
			if !reserved(name) {
				return storage.ErrNotEmpty
			}
		}
		parts = append(parts, names...)
	}
	for _, name := range parts {
		if err := discard(d, name); err != nil {
			return err
		}
	}
	return nil
}

// Sweep removes the unfinished parts that nobody wrote to for longer than age,
// in the whole tree, and says how many. It passes over those being written,
// and what it may not read; it follows no links. An error is ctx's alone, or
// tells that the top cannot be read.
func (f *FS) Sweep(ctx context.Context, age time.Duration) (int, error) {
	n, err := f.sweep(ctx, time.Now().Add(-age))
	if err != nil {
		return n, fault("sweep", "/", err)
	}
	return n, nil
}

func (f *FS) sweep(ctx context.Context, before time.Time) (removed int, err error) {
	if err := f.enter(ctx, true); err != nil {
		return 0, err
	}
	defer f.leave()
	for todo := []string{"."}; len(todo) > 0; {
		rel := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		n, below, err := f.sweepDir(ctx, rel, before)
		removed += n
		if ctx.Err() != nil {
			return removed, ctx.Err()
		}
		if err != nil && rel == "." {
			return removed, err
		}
		todo = append(todo, below...)
	}
	return removed, nil
}

// sweepDir sweeps one directory and returns those below it.
func (f *FS) sweepDir(ctx context.Context, rel string, before time.Time) (removed int, below []string, err error) {
	d, err := f.tree.dir(rel)
	if err != nil {
		return 0, nil, err
	}
	defer d.close()
	entries, err := d.entries()
	if err != nil {
		return 0, nil, err
	}
	defer entries.Close()
	var in info
	for ctx.Err() == nil {
		names, err := entries.Readdirnames(batch)
		for _, name := range names {
			if err := d.lstat(name, &in); err != nil {
				continue // gone
			}
			switch {
			case in.IsDir() && !reserved(name):
				below = append(below, joinRel(rel, name))
			case reserved(name) && in.mode.IsRegular() && in.modified.Before(before):
				if discard(d, name) == nil {
					removed++
				}
			}
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return removed, below, err
		}
	}
	return removed, below, nil
}
