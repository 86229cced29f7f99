package mirror

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"time"

	"towpath/ftp/listing"
	"towpath/ftpclient/segments"
	"towpath/internal/sole"
)

// local is the side on this machine. All that is written goes through top.
type local struct {
	*run
	path string
	top  *os.Root // nil if the target is not there yet

	blind func() bool
}

func openTarget(r *run, dir string) (*local, error) {
	l := &local{run: r, path: dir}
	l.blind = sync.OnceValue(l.probeCase)
	var err error
	l.top, err = os.OpenRoot(dir)
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return l, err
}

func openSource(r *run, dir string) (*local, error) {
	l := &local{run: r, path: dir}
	var err error
	l.top, err = os.OpenRoot(dir)
	return l, err
}

func (l *local) close() {
	if l.top != nil {
		_ = l.top.Close() // nothing was written to it
	}
}

// openDir opens the directory for all that happens in it.
func (l *local) openDir(d *dir) error {
	switch {
	case l.top == nil:
		return &fs.PathError{Op: "open", Path: l.path, Err: fs.ErrNotExist}
	case d.root != nil:
		return nil
	case d.path == ".":
		d.root = l.top
		return nil
	}
	var err error
	if l.up && l.o.Links == FollowLinks {
		d.root, err = os.OpenRoot(l.full(d.path))
	} else {
		d.root, err = l.top.OpenRoot(filepath.FromSlash(d.path))
	}
	return err
}

func (l *local) closeDir(d *dir) {
	if d.root != nil && d.root != l.top {
		_ = d.root.Close() // nothing was written to it
	}
	d.root = nil
}

func (l *local) full(p string) string { return filepath.Join(l.path, filepath.FromSlash(p)) }

func (l *local) list(_ context.Context, d *dir) (entries []entry, incomplete bool, err error) {
	if err := l.openDir(d); err != nil {
		return nil, false, err
	}
	f, err := d.root.Open(".")
	if err != nil {
		return nil, false, err
	}
	defer f.Close()
	for {
		some, err := f.ReadDir(1024)
		for _, e := range some {
			got, err := l.entry(d, e)
			if errors.Is(err, fs.ErrNotExist) {
				continue // it has gone meanwhile
			}
			if err != nil {
				return nil, false, err
			}
			entries = append(entries, got)
		}
		switch {
		case len(entries) > l.o.MaxEntries:
			return nil, false, fmt.Errorf("%s has more than %d entries", l.full(d.path), l.o.MaxEntries)
		case err == io.EOF:
			return entries, false, nil
		case err != nil:
			return nil, false, err
		}
	}
}

func (l *local) entry(d *dir, e fs.DirEntry) (entry, error) {
	if e.IsDir() && !l.up {
		return entry{name: e.Name(), kind: listing.Dir, size: -1}, nil
	}
	info, err := d.root.Lstat(e.Name())
	if err != nil {
		return entry{}, err
	}
	got := ofInfo(e.Name(), info)
	if got.kind == listing.Link && !l.up {
		got.target, err = d.root.Readlink(e.Name())
	}
	return got, err
}

func ofInfo(name string, info fs.FileInfo) entry {
	e := entry{name: name, kind: listing.Other, size: -1, time: info.ModTime(), mode: info.Mode().Perm(), knownMode: runtime.GOOS != "windows"}
	switch info.Mode().Type() {
	case 0:
		e.kind, e.size = listing.File, info.Size()
	case fs.ModeDir:
		e.kind = listing.Dir
	case fs.ModeSymlink:
		e.kind = listing.Link
	}
	return e
}

// follow tells what a link of the source leads to, which may lie outside.
func (l *local) follow(_ context.Context, d *dir, e entry) (entry, error) {
	info, err := os.Stat(l.full(d.below(e.name)))
	if err != nil {
		return e, err
	}
	for above := d; above != nil && info.IsDir(); above = above.up {
		if i, err := os.Stat(l.full(above.path)); err == nil && os.SameFile(i, info) {
			return e, about(d.below(e.name), "the link leads to a directory that it is in")
		}
	}
	return ofInfo(e.name, info), nil
}

func (l *local) mkdir(_ context.Context, d *dir) error {
	if l.top == nil {
		if err := os.MkdirAll(l.path, 0o777); err != nil {
			return err
		}
		var err error
		if l.top, err = os.OpenRoot(l.path); err != nil {
			return err
		}
	}
	if d.path != "." {
		mode := fs.FileMode(0o777)
		if d.entry.knownMode && !l.o.NoPerms {
			mode = d.entry.mode.Perm() | 0o700
		}
		name := filepath.FromSlash(d.path)
		if err := l.top.Mkdir(name, mode); err != nil {
			// Another run may have made it meanwhile.
			if info, serr := l.top.Lstat(name); !errors.Is(err, fs.ErrExist) || serr != nil || !info.IsDir() {
				return err
			}
		}
	}
	return l.openDir(d)
}

func (l *local) remove(_ context.Context, p string, _ bool) error {
	return l.top.Remove(filepath.FromSlash(p))
}

// symlink makes a link under another name first, so that one which is there is
// replaced and not followed.
func (l *local) symlink(_ context.Context, t *task) error {
	if err := t.dir.root.Remove(t.part); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := t.dir.root.Symlink(t.from.target, t.part); err != nil {
		return err
	}
	return t.dir.root.Rename(t.part, t.from.name)
}

func (l *local) retime(_ context.Context, t *task) error {
	return t.dir.root.Chtimes(t.from.name, time.Time{}, t.from.time)
}

// open opens a file of either side's to be read.
func (l *local) open(d *dir, name string) (*os.File, error) {
	if l.up && l.o.Links == FollowLinks {
		return os.Open(l.full(d.below(name)))
	}
	return d.root.Open(name)
}

// caseBlind tells whether the target takes a and A for one name.
func (l *local) caseBlind() bool { return l.blind() }

func (l *local) probeCase() bool {
	usual := runtime.GOOS == "windows" || runtime.GOOS == "darwin"
	if l.top == nil || l.o.DryRun {
		return usual
	}
	const name, capitals = "towpath-case.part", "TOWPATH-CASE.PART"
	f, err := l.top.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return usual
	}
	_, err = l.top.Lstat(capitals)
	_ = f.Close()          // nothing was written
	_ = l.top.Remove(name) // what stays is an empty file
	return err == nil
}

// part is what a file is written to until it is whole.
type part struct {
	*os.File
	held *sole.File
}

// part opens it for a task, and tells how much of it is there.
func (l *local) part(t *task, again bool) (p part, at int64, err error) {
	root, e := t.dir.root, t.from
	if again || l.o.Continue {
		if p, at, err = l.resume(root, t); err != nil || at > 0 {
			return p, at, err
		}
	}
	mode := fs.FileMode(0o666)
	if e.knownMode && !l.o.NoPerms {
		mode = e.mode.Perm() | 0o600
	}
	if p.held, err = sole.Make(root, t.part, mode); err != nil {
		return p, 0, err
	}
	// A fetch in segments may have left a status, which shall not go on with ours.
	if err = root.Remove(t.part + segments.Suffix); err == nil || errors.Is(err, fs.ErrNotExist) {
		p.File, err = root.OpenFile(t.part, os.O_RDWR, 0)
	}
	if err != nil {
		err = errors.Join(err, p.held.Close())
	}
	return p, 0, err
}

// resume opens what an earlier run has left, at its end: 0 if that is nothing to
// go on with. What came before the file was changed is the beginning of another.
func (l *local) resume(root *os.Root, t *task) (p part, at int64, err error) {
	if p.held, err = sole.Take(root, t.part); errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
		return p, 0, nil
	}
	if err != nil {
		return p, 0, err
	}
	defer func() {
		if err != nil || at == 0 {
			_ = p.held.Close() // nothing was written
		}
	}()
	e := t.from
	if _, err := root.Lstat(t.part + segments.Suffix); err == nil || e.time.IsZero() {
		return p, 0, nil // it may have holes, or be of any time
	}
	if p.File, err = root.OpenFile(t.part, os.O_RDWR, 0); err != nil {
		return p, 0, err
	}
	info, err := p.Stat()
	if err == nil && (e.size < 0 || info.Size() <= e.size) && !info.ModTime().Before(e.time) {
		at, err = p.Seek(0, io.SeekEnd)
	}
	if err != nil || at == 0 {
		err = errors.Join(err, p.File.Close())
	}
	return p, at, err
}

// Close closes the file and lets go of it.
func (p part) Close() error { return errors.Join(p.File.Close(), p.held.Close()) }

// finish gives a file that is whole its permissions, time and name.
func (l *local) finish(t *task, f part) error {
	defer f.held.Close() // it was not written through this
	e := t.from
	if e.knownMode && !l.o.NoPerms && e.mode&0o600 != 0o600 && runtime.GOOS != "windows" {
		info, err := f.Stat()
		if err == nil { // the umask has had its say
			err = f.Chmod(info.Mode().Perm() & (e.mode.Perm() | 0o177))
		}
		if err != nil {
			return errors.Join(err, f.File.Close())
		}
	}
	if err := f.File.Close(); err != nil {
		return err
	}
	if !l.o.NoTimes && !e.time.IsZero() {
		if err := t.dir.root.Chtimes(t.part, time.Time{}, e.time); err != nil {
			return err
		}
	}
	return f.held.Rename(e.name)
}
