package mem

import (
	"context"
	"io/fs"
	"slices"

	"towpath/storage"
)

// Create starts an upload.
func (f *FS) Create(ctx context.Context, name string, how storage.How) (storage.Writer, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	err := ctx.Err()
	if err == nil {
		var w *writer
		if w, err = f.create(name, how); err == nil {
			return w, nil
		}
	}
	return nil, &fs.PathError{Op: "create", Path: name, Err: err}
}

func (f *FS) create(name string, how storage.How) (*writer, error) {
	if err := storage.CheckNewName(name); err != nil {
		return nil, err
	}
	if name == "/" {
		return nil, storage.ErrIsDir
	}
	d, base, err := f.parent(name)
	if err != nil {
		return nil, err
	}
	var have []byte // what resuming goes on from
	n := d.entries[base]
	switch {
	case n == nil:
	case n.entries != nil:
		return nil, storage.ErrIsDir
	case how.Exclusive:
		return nil, fs.ErrExist
	default:
		have = n.data
	}
	if d.writing[base] != nil {
		return nil, storage.ErrBusy
	}
	w := &writer{fs: f, name: name, dir: d, base: base, owner: how.Owner, exclusive: how.Exclusive}
	p := d.unfinished(how.Owner, base)
	if p != nil {
		have = p.data
	}
	w.offset = how.Offset
	if how.Append {
		w.offset = int64(len(have))
	}
	if w.offset < 0 || w.offset > int64(len(have)) {
		return nil, storage.ErrOffset
	}
	// The part, whose bytes are counted, turns into the writer's; a copy of
	// the file is counted anew.
	c := claim{how.Owner, base}
	if old := d.parts[c]; old != nil {
		f.used -= int64(len(old.data))
	}
	if f.Limit > 0 && f.used+w.offset > f.Limit {
		if old := d.parts[c]; old != nil {
			f.used += int64(len(old.data))
		}
		return nil, storage.ErrFull
	}
	f.used += w.offset
	w.resumed = p != nil && w.offset > 0
	delete(d.parts, c)
	w.part = &part{data: slices.Clone(have[:w.offset]), modified: f.now()}
	if how.Owner != "" {
		d.parts[c] = w.part
	}
	d.writing[base] = w.part
	return w, nil
}

// unfinished is owner's part of base, unless the file has overtaken it.
func (n *node) unfinished(owner, base string) *part {
	p := n.parts[claim{owner, base}]
	if owner == "" || p == nil || len(p.data) == 0 {
		return nil
	}
	if final := n.entries[base]; final != nil && p.modified.Before(final.modified) {
		return nil
	}
	return p
}

// Unfinished tells of owner's unfinished part of name.
func (f *FS) Unfinished(ctx context.Context, name, owner string) (storage.Part, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	p, err := f.unfinished(ctx, name, owner)
	if err != nil {
		return p, &fs.PathError{Op: "unfinished", Path: name, Err: err}
	}
	return p, nil
}

func (f *FS) unfinished(ctx context.Context, name, owner string) (storage.Part, error) {
	if err := ctx.Err(); err != nil {
		return storage.Part{}, err
	}
	d, base, err := f.parent(name)
	if err != nil {
		return storage.Part{}, err
	}
	p := d.unfinished(owner, base)
	if p == nil {
		return storage.Part{}, fs.ErrNotExist
	}
	return storage.Part{Size: int64(len(p.data)), Modified: p.modified}, nil
}

// Kept is what the unfinished parts in dir hold together.
func (f *FS) Kept(ctx context.Context, dir string) (int64, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	d, err := f.find(dir)
	switch {
	case ctx.Err() != nil:
		err = ctx.Err()
	case err == nil && d.entries == nil:
		err = storage.ErrNotDir
	}
	if err != nil {
		return 0, &fs.PathError{Op: "kept", Path: dir, Err: err}
	}
	var n int64
	for _, p := range d.parts {
		n += int64(len(p.data))
	}
	return n, nil
}

// Discard removes owner's unfinished part of name; one that is being written
// is ErrBusy.
func (f *FS) Discard(ctx context.Context, name, owner string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	err := ctx.Err()
	if err == nil {
		err = f.discard(name, claim{owner: owner})
	}
	if err != nil {
		return &fs.PathError{Op: "discard", Path: name, Err: err}
	}
	return nil
}

func (f *FS) discard(name string, c claim) error {
	d, base, err := f.parent(name)
	if err != nil {
		return err
	}
	c.base = base
	p := d.parts[c]
	switch {
	case p == nil:
	case d.writing[base] == p:
		return storage.ErrBusy
	default:
		f.used -= int64(len(p.data))
		delete(d.parts, c)
	}
	return nil
}

// writer is an upload under way. The lock of fs guards it.
type writer struct {
	fs        *FS
	name      string
	dir       *node
	base      string
	owner     string
	part      *part
	offset    int64
	resumed   bool
	exclusive bool
	ended     bool
}

func (w *writer) Offset() int64 { return w.offset }

func (w *writer) Write(b []byte) (int, error) {
	w.fs.mu.Lock()
	defer w.fs.mu.Unlock()
	var err error
	if w.ended {
		b, err = nil, fs.ErrClosed
	} else if limit := w.fs.Limit; limit > 0 && w.fs.used+int64(len(b)) > limit {
		b, err = b[:max(0, limit-w.fs.used)], storage.ErrFull
	}
	w.part.data = append(w.part.data, b...)
	w.part.modified = w.fs.now()
	w.fs.used += int64(len(b))
	if err != nil {
		err = &fs.PathError{Op: "write", Path: w.name, Err: err}
	}
	return len(b), err
}

func (w *writer) Commit() error {
	w.fs.mu.Lock()
	defer w.fs.mu.Unlock()
	if err := w.commit(); err != nil {
		return &fs.PathError{Op: "commit", Path: w.name, Err: err}
	}
	return nil
}

func (w *writer) commit() error {
	if err := w.end(); err != nil {
		return err
	}
	old := w.dir.entries[w.base]
	mode := fs.FileMode(0o644)
	if old != nil {
		var err error
		switch {
		case old.entries != nil:
			err = storage.ErrIsDir
		case w.exclusive:
			err = fs.ErrExist
		}
		if err != nil {
			if w.owner == "" {
				w.fs.used -= int64(len(w.part.data))
			}
			return err
		}
		w.fs.used -= int64(len(old.data))
		mode = old.mode
	}
	delete(w.dir.parts, claim{w.owner, w.base})
	n := w.fs.file(w.part.data, mode)
	n.modified = w.part.modified
	w.dir.entries[w.base] = n
	w.dir.modified = w.fs.now()
	return nil
}

func (w *writer) Abort(keep bool) error {
	w.fs.mu.Lock()
	defer w.fs.mu.Unlock()
	if err := w.end(); err != nil {
		return &fs.PathError{Op: "abort", Path: w.name, Err: err}
	}
	if keep && w.owner != "" && (w.resumed || int64(len(w.part.data)) > w.offset) {
		return nil
	}
	w.fs.used -= int64(len(w.part.data))
	delete(w.dir.parts, claim{w.owner, w.base})
	return nil
}

// end lets go of the name.
func (w *writer) end() error {
	if w.ended {
		return fs.ErrClosed
	}
	w.ended = true
	delete(w.dir.writing, w.base)
	return nil
}
