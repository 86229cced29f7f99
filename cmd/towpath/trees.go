package main

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"sync"
	"time"

	"towpath/accounts"
	"towpath/storage/disk"
)

// trees keeps one open tree for each home, shared by all sessions in it, for
// as long as there are any and a moment longer: clients that open a session for
// each file come back at once.
type trees struct {
	meters accounts.Meters

	mu      sync.Mutex
	live    map[treeKey]*tree
	closing bool // closeIdle will come
}

// treeRest is how long a tree stays open without sessions. A home that was
// replaced or is to be unmounted meanwhile is not held for longer.
const treeRest = time.Second

// treeKey tells trees apart: after a reload a home may be served otherwise.
type treeKey struct {
	home    string
	options disk.Options
}

type tree struct {
	*disk.FS
	users int
	since time.Time // without users
}

func newTrees() *trees { return &trees{live: map[treeKey]*tree{}} }

// open returns the tree of a home, and what gives it back.
func (t *trees) open(home string, o disk.Options) (*disk.FS, func(), error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	key := treeKey{home, o}
	one := t.live[key]
	if one == nil {
		fsys, err := openHome(home, o)
		if err != nil {
			return nil, nil, err
		}
		one = &tree{FS: fsys}
		t.live[key] = one
	}
	one.users++
	return one.FS, sync.OnceFunc(func() { t.release(key) }), nil
}

// openHome opens a home; a missing one is made, if the directory that is to
// hold it is there.
func openHome(home string, o disk.Options) (*disk.FS, error) {
	fsys, err := disk.Open(home, o)
	if errors.Is(err, fs.ErrNotExist) && !o.ReadOnly && os.Mkdir(home, 0o755) == nil {
		return disk.Open(home, o)
	}
	return fsys, err
}

func (t *trees) release(key treeKey) {
	t.mu.Lock()
	defer t.mu.Unlock()
	one := t.live[key]
	if one == nil { // the service has ended
		return
	}
	if one.users--; one.users > 0 {
		return
	}
	one.since = time.Now()
	if !t.closing {
		t.closing = true
		time.AfterFunc(treeRest, t.closeIdle)
	}
}

// closeIdle closes the trees that have had no users for a while, and comes back
// as long as there are any without.
func (t *trees) closeIdle() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closing = false
	for key, one := range t.live {
		switch {
		case one.users > 0:
		case time.Since(one.since) >= treeRest:
			delete(t.live, key)
			_ = one.Close() // nothing is written through it
		default:
			t.closing = true
		}
	}
	if t.closing {
		time.AfterFunc(treeRest, t.closeIdle)
	}
}

// sweep removes unfinished uploads older than age from homes, and says how
// many. A home that is not there yet has none.
func sweep(ctx context.Context, homes []string, age time.Duration) (removed int, err error) {
	var errs []error
	for _, home := range homes {
		fsys, err := disk.Open(home, disk.Options{})
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil {
			var n int
			n, err = fsys.Sweep(ctx, age)
			removed += n
			err = errors.Join(err, fsys.Close())
		}
		errs = append(errs, err)
	}
	return removed, errors.Join(errs...)
}

// close closes what is left, when no session is.
func (t *trees) close() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	var errs []error
	for key, one := range t.live {
		errs = append(errs, one.Close())
		delete(t.live, key)
	}
	return errors.Join(errs...)
}
