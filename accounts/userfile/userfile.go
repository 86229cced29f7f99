// Package userfile keeps accounts in one TOML file, which people edit by hand
// and programs edit without disturbing what people wrote.
//
//	[defaults]
//	home = "/srv/ftp/{user}"
//	rights = ["list", "read", "write", "mkdir"]
//	idle_timeout = "15m"
//
//	[user.alice]
//	password = "$argon2id$v=19$m=19456,t=2,p=1$…"
//	rights = { "/" = "readonly", "/incoming" = "all" }
//	allow = ["192.0.2.0/24"]
//
//	[user.anonymous]
//	any_password = true
//	home = "/srv/ftp/public"
//
// The keys are password (a hash, see [accounts.Check]; without one nobody
// enters), any_password, comment, state ("active" or "block"), home, rights,
// privilege, access_limit, idle_timeout, allow, require_tls, quota_bytes,
// quota_files, rate_up, rate_down (bytes per second), charset and greeting.
// [defaults] holds for all accounts that say nothing else; its rights do not
// extend to accounts with any_password.
//
// It knows nothing of sessions. Accounts that change are new to whoever asks
// next; those who are logged in keep what they have.
package userfile

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rogpeppe/go-internal/lockedfile"

	"towpath/accounts"
)

// recheck is how often, at most, a login looks whether the file has changed.
const recheck = time.Second

// File is an [accounts.Editor] over one file. It takes up changes of the file
// within a second, when it is asked for an account. A file that cannot be read
// or is wrong changes nothing: the last good one counts, and the log says why.
type File struct {
	path string
	log  *slog.Logger
	now  atomic.Pointer[state]

	mu      sync.Mutex // one reader or editor at a time
	checked time.Time
	seen    sight
}

var _ accounts.Editor = (*File)(nil)

// state is a good file, read.
type state struct {
	book   *Book
	byName map[string]*accounts.Account
}

// sight is what was last seen of the file, good or bad.
type sight struct {
	info  fs.FileInfo // nil: nothing there
	at    time.Time
	text  []byte
	fault string // why it could not be read: that may change without a trace in info
}

// preamble is what a new file begins with.
const preamble = `# Accounts. Change them here or by "towpath account"; a running server takes
# up changes by itself. "towpath account add --help" explains the keys.

# [defaults]
# home = "/srv/ftp/{user}"
# rights = "readonly"
`

// Create makes an empty accounts file, and the directory it is in, and opens
// it. The error is [fs.ErrExist] if there is one already.
func Create(path string, log *slog.Logger) (*File, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	_, err = f.WriteString(preamble)
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, errors.Join(err, os.Remove(path))
	}
	return Open(path, log)
}

// Open reads the accounts file at path. Errors in it are [*Error]. The log is
// told of changes and of what is wrong with them; nil means that nobody is.
func Open(path string, log *slog.Logger) (*File, error) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	f := &File{path: path, log: log}
	f.now.Store(&state{})
	if err := f.Reload(); err != nil {
		return nil, err
	}
	return f, nil
}

// Path returns where the file is.
func (f *File) Path() string { return f.path }

// Reload reads the file now. On an error the accounts stay as they were.
func (f *File) Reload() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.load(f.look())
}

// Find implements [accounts.Store].
func (f *File) Find(_ context.Context, name string) (*accounts.Account, error) {
	f.refresh()
	if a, ok := f.now.Load().byName[name]; ok {
		return a, nil
	}
	return nil, fmt.Errorf("%w: %q", accounts.ErrNotFound, name)
}

// List implements [accounts.Editor], in the order of the file.
func (f *File) List(context.Context) iter.Seq2[*accounts.Account, error] {
	return func(yield func(*accounts.Account, error) bool) {
		f.refresh()
		for _, a := range f.now.Load().book.Accounts() {
			if !yield(a, nil) {
				return
			}
		}
	}
}

// Template returns what an account called name is by default.
func (f *File) Template(name string) *accounts.Account {
	f.refresh()
	return f.now.Load().book.Template(name)
}

// Add implements [accounts.Editor]. It writes what is not so by default.
func (f *File) Add(ctx context.Context, a *accounts.Account) error {
	if err := a.Check(); err != nil {
		return err
	}
	return f.edit(ctx, func(text []byte, _ *Book) ([]byte, error) { return add(text, a) })
}

// Update implements [accounts.Editor]. It writes what change has changed.
func (f *File) Update(ctx context.Context, name string, change func(*accounts.Account) error) error {
	return f.edit(ctx, func(text []byte, book *Book) ([]byte, error) {
		old := book.find(name)
		if old == nil {
			return nil, fmt.Errorf("%w: %q", accounts.ErrNotFound, name)
		}
		a := old.Clone()
		if err := change(a); err != nil {
			return nil, err
		}
		a.Name = name
		if err := a.Check(); err != nil {
			return nil, err
		}
		return update(text, a)
	})
}

// Remove implements [accounts.Editor]. The comment right above the account
// goes with it.
func (f *File) Remove(ctx context.Context, name string) error {
	return f.edit(ctx, func(text []byte, _ *Book) ([]byte, error) { return remove(text, name) })
}

// edit changes the text of the file, alone among all processes that edit it in
// this way: the lock is PATH.lock.
func (f *File) edit(ctx context.Context, change func(text []byte, book *Book) ([]byte, error)) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	path, err := filepath.EvalSymlinks(f.path) // the link stays, its target changes
	if err != nil {
		return err
	}
	unlock, err := lock(path)
	if err != nil {
		return fmt.Errorf("locking %s: %w", f.path, err)
	}
	defer unlock()
	before, err := f.look()
	if err = f.load(before, err); err != nil {
		return err
	}
	next, err := change(before.text, f.now.Load().book)
	if err != nil {
		return err
	}
	if bytes.Equal(next, before.text) {
		return nil
	}
	if err := replace(path, next, before.info); err != nil {
		return fmt.Errorf("writing %s: %w", f.path, err)
	}
	return f.load(f.look())
}

// lock makes the lock file no more open than the file itself, since whoever may
// read it may hold it.
func lock(path string) (unlock func(), err error) {
	name := path + ".lock"
	l, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if info, err := os.Stat(path); err == nil {
		_ = inherit(l, info) // without it only another owner's later edit fails, and says so
	}
	if err := l.Close(); err != nil {
		return nil, err
	}
	return lockedfile.MutexAt(name).Lock()
}

// replace puts data in the place of the file at path in one step, with the
// owner and the mode of the old one but never open to all.
func replace(path string, data []byte, old fs.FileInfo) (err error) {
	tmp, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = tmp.Close()           // closed already, or lost anyway
			_ = os.Remove(tmp.Name()) // the error to tell is the first
		}
	}()
	if _, err = tmp.Write(data); err != nil {
		return err
	}
	if err = inherit(tmp, old); err != nil {
		return err
	}
	if err = tmp.Sync(); err != nil {
		return err
	}
	if err = tmp.Close(); err != nil {
		return err
	}
	if err = os.Rename(tmp.Name(), path); err != nil {
		return err
	}
	if dir, err := os.Open(filepath.Dir(path)); err == nil {
		_ = dir.Sync() // not every system can; the file is whole either way
		_ = dir.Close()
	}
	return nil
}

// refresh takes up a changed file, at most once in [recheck].
func (f *File) refresh() {
	if !f.mu.TryLock() {
		return // somebody is at it
	}
	defer f.mu.Unlock()
	if !f.checked.IsZero() && time.Since(f.checked) < recheck {
		return
	}
	f.checked = time.Now()
	info, err := os.Stat(f.path)
	if f.seen.is(info, err) {
		return
	}
	before := f.seen
	now, err := f.look()
	switch {
	case err != nil && err.Error() == before.fault:
		return // and the log says so already
	case err == nil && before.info != nil && before.fault == "" && bytes.Equal(before.text, now.text):
		f.seen = now
		return
	}
	if err := f.load(now, err); err != nil {
		f.log.Error("accounts file not taken up, the last good one counts", "file", f.path, "err", err)
		return
	}
	f.log.Info("accounts file taken up", "file", f.path, "accounts", len(f.now.Load().byName))
}

// is tells whether the file is the one that was seen. One that was young then
// may have changed within the same tick of the disk's clock.
func (s sight) is(info fs.FileInfo, err error) bool {
	if err != nil || s.info == nil {
		return err != nil && s.info == nil
	}
	if s.fault != "" {
		return false
	}
	return os.SameFile(s.info, info) && s.info.Size() == info.Size() && s.info.ModTime().Equal(info.ModTime()) &&
		s.at.Sub(info.ModTime()) > 2*time.Second
}

// maxFile bounds what is read: a million accounts take less.
const maxFile = 256 << 20

// look reads the file as it is.
func (f *File) look() (s sight, err error) {
	s.at = time.Now()
	if s.info, err = os.Stat(f.path); err != nil {
		return s, err
	}
	if !s.info.Mode().IsRegular() { // a pipe would not even open
		return s, &fs.PathError{Op: "read", Path: f.path, Err: errors.New("not a regular file")}
	}
	file, err := os.Open(f.path)
	if err != nil {
		return s, err
	}
	defer file.Close() // nothing was written
	if s.info, err = file.Stat(); err != nil {
		return s, err
	}
	if s.info.Size() > maxFile {
		return s, &fs.PathError{Op: "read", Path: f.path, Err: fmt.Errorf("the file has %d bytes: want at most %d", s.info.Size(), maxFile)}
	}
	s.text, err = io.ReadAll(file)
	return s, err
}

// load makes what was seen the accounts that count, if it is good.
func (f *File) load(s sight, err error) error {
	f.seen, f.checked = s, time.Now()
	if err != nil {
		if s.info != nil {
			f.seen.fault = err.Error()
		}
		return err
	}
	book, err := Parse(s.text)
	if err != nil {
		return inFile(f.path, err)
	}
	if runtime.GOOS != "windows" && s.info.Mode().Perm()&0o007 != 0 {
		f.log.Warn("accounts file is open to everyone on this machine; chmod 600 it", "file", f.path, "mode", s.info.Mode().Perm().String())
	}
	byName := make(map[string]*accounts.Account, len(book.users))
	for _, a := range book.Accounts() {
		byName[a.Name] = a
	}
	f.now.Store(&state{book: book, byName: byName})
	return nil
}

// inFile says in which file the errors of [Parse] are.
func inFile(path string, err error) error {
	if many, ok := err.(interface{ Unwrap() []error }); ok {
		for _, e := range many.Unwrap() {
			_ = inFile(path, e)
		}
		return err
	}
	if e, ok := errors.AsType[*Error](err); ok {
		e.File = path
	}
	return err
}
