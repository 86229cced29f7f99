package userfile_test

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"towpath/accounts"
	"towpath/accounts/accountstest"
	"towpath/accounts/userfile"
)

func TestStore(t *testing.T) {
	t.Parallel()
	accountstest.TestStore(t, func(t *testing.T, list ...*accounts.Account) accounts.Store {
		f := write(t, "# by hand\n")
		for _, a := range list {
			if err := f.Add(t.Context(), a); err != nil {
				t.Fatal(err)
			}
		}
		// Another process sees the same.
		again, err := userfile.Open(f.Path(), nil)
		if err != nil {
			t.Fatal(err)
		}
		return again
	})
}

// A log that can be read.
type lines struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

// take returns what was logged since the last take.
func (l *lines) take() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	defer l.buf.Reset()
	return l.buf.String()
}

func put(t *testing.T, path, text string, mtime time.Time) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(path, mtime, mtime); err != nil {
		t.Fatal(err)
	}
}

// The life of a file: changed, broken, gone, and back.
func TestReload(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "accounts.toml")
	synctest.Test(t, func(t *testing.T) {
		old := time.Now().Add(-time.Hour)
		put(t, path, "[user.alice]\n", old)
		var log lines
		f, err := userfile.Open(path, slog.New(slog.NewTextHandler(&log, nil)))
		if err != nil {
			t.Fatal(err)
		}
		know := func(when, name string, want bool, says string) {
			t.Helper()
			_, err := f.Find(t.Context(), name)
			if (err == nil) != want || err != nil && !errors.Is(err, accounts.ErrNotFound) {
				t.Errorf("%s: Find(%q): %v: want it to be there: %v", when, name, err, want)
			}
			got := log.take()
			if says == "" && got != "" || !strings.Contains(got, says) {
				t.Errorf("%s: logged %q, want %q", when, got, says)
			}
		}
		know("at first", "alice", true, "")
		put(t, path, "[user.alice]\n[user.bob]\n", old)
		know("within the second", "bob", false, "")
		time.Sleep(time.Second)
		know("changed in size", "bob", true, "accounts=2")

		put(t, path, "[user.alice]\n[user.eve]\n", old.Add(time.Minute))
		time.Sleep(time.Second)
		know("changed in time", "eve", true, "taken up")

		other := path + ".new"
		put(t, other, "[user.alice]\n[user.amy]\n", old.Add(time.Minute))
		if err := os.Rename(other, path); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		know("another file with that time and size", "amy", true, "taken up")

		put(t, path, "[user.carol]\nhomme = '/'\n", old)
		time.Sleep(time.Second)
		know("broken", "amy", true, "accounts.toml:2:1: user.carol.homme: this key is not known")
		time.Sleep(time.Second)
		know("still broken", "carol", false, "")
		if err := f.Reload(); err == nil || !strings.Contains(err.Error(), "accounts.toml:2:1") {
			t.Errorf("Reload of a broken file: %v", err)
		}

		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		know("gone", "amy", true, "not taken up")
		time.Sleep(time.Second)
		know("still gone", "amy", true, "")
		if err := f.Reload(); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("Reload of no file: %v", err)
		}

		put(t, path, "[user.dora]\n", old)
		know("back, within the second", "dora", false, "")
		if err := f.Reload(); err != nil {
			t.Errorf("Reload: %v", err)
		}
		know("reloaded", "dora", true, "")
		know("reloaded", "amy", false, "")
	})
}

// The clock of a disk has ticks: a file changed twice in one of them looks as
// if it had changed once.
func TestReloadWithinATick(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "accounts.toml")
	synctest.Test(t, func(t *testing.T) {
		now := time.Now()
		put(t, path, "[user.one]\n", now)
		f, err := userfile.Open(path, nil)
		if err != nil {
			t.Fatal(err)
		}
		put(t, path, "[user.two]\n", now)
		time.Sleep(time.Second)
		if _, err := f.Find(t.Context(), "two"); err != nil {
			t.Error(err)
		}
	})
}

// Rights to read the file that come later leave no trace in its time or size.
func TestReloadOnceReadable(t *testing.T) {
	t.Parallel()
	if os.Geteuid() == 0 || runtime.GOOS == "windows" {
		t.Skip("root may read every file, and Windows has no such permissions")
	}
	path := filepath.Join(t.TempDir(), "accounts.toml")
	old := time.Date(1999, 1, 1, 0, 0, 0, 0, time.UTC) // before the time of a bubble
	put(t, path, "[user.anna]\n", old)
	synctest.Test(t, func(t *testing.T) {
		var log lines
		f, err := userfile.Open(path, slog.New(slog.NewTextHandler(&log, nil)))
		if err != nil {
			t.Fatal(err)
		}
		put(t, path, "[user.berta]\n", old.Add(time.Minute))
		if err := os.Chmod(path, 0); err != nil {
			t.Fatal(err)
		}
		for i, want := range []int{1, 0, 0} {
			time.Sleep(2 * time.Second)
			if _, err := f.Find(t.Context(), "anna"); err != nil {
				t.Error(err)
			}
			if n := strings.Count(log.take(), "not taken up"); n != want {
				t.Errorf("look %d: %d lines in the log, want %d", i, n, want)
			}
		}
		if err := os.Chmod(path, 0o600); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Second)
		if _, err := f.Find(t.Context(), "berta"); err != nil {
			t.Error(err)
		}
	})
}

func TestOpenErrors(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if _, err := userfile.Open(filepath.Join(dir, "none"), nil); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
	if _, err := userfile.Open(dir, nil); err == nil || !strings.Contains(err.Error(), "not a regular file") {
		t.Errorf("a directory: %v", err)
	}
	bad := filepath.Join(dir, "bad.toml")
	put(t, bad, "[user.a]\nstate = 1\nprivilege = -1\n", time.Now())
	_, err := userfile.Open(bad, nil)
	if err == nil || !strings.Contains(err.Error(), bad+":2:9: ") || !strings.Contains(err.Error(), bad+":3:13: ") {
		t.Errorf("a bad file: %v: want the place of both mistakes", err)
	}
}

func TestCreate(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "new", "dir", "accounts.toml")
	f, err := userfile.Create(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Add(t.Context(), &accounts.Account{Name: "alice"}); err != nil {
		t.Error(err)
	}
	if _, err := userfile.Create(path, nil); !errors.Is(err, fs.ErrExist) {
		t.Errorf("a second time: %v: want ErrExist", err)
	}
	if got := read(t, f); !strings.HasPrefix(got, "# Accounts.") || !strings.HasSuffix(got, "\n\n[user.alice]\n") {
		t.Errorf("the file is %q", got)
	}
	if info, err := os.Stat(path); err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v: want 0600", info.Mode(), err)
	}
}

// An edit never opens the file to all, keeps what its group may do, follows a
// link, and leaves nothing behind.
func TestEditKeepsMode(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("Windows has no modes")
	}
	for mode, want := range map[fs.FileMode]fs.FileMode{0o600: 0o600, 0o640: 0o640, 0o644: 0o640, 0o666: 0o660, 0o400: 0o600} {
		dir := t.TempDir()
		path, link := filepath.Join(dir, "accounts.toml"), filepath.Join(dir, "link.toml")
		put(t, path, "[user.a]\n", time.Now())
		if err := errors.Join(os.Chmod(path, mode), os.Symlink("accounts.toml", link)); err != nil {
			t.Fatal(err)
		}
		var log lines
		f, err := userfile.Open(link, slog.New(slog.NewTextHandler(&log, nil)))
		if err != nil {
			t.Fatal(err)
		}
		if warned := strings.Contains(log.take(), "chmod 600"); warned != (mode&0o007 != 0) {
			t.Errorf("mode %v: warned: %v", mode, warned)
		}
		if err := f.Add(t.Context(), &accounts.Account{Name: "b"}); err != nil {
			t.Fatal(err)
		}
		info, err := os.Lstat(path)
		if err != nil || info.Mode() != want {
			t.Errorf("mode %v became %v, %v: want %v", mode, info.Mode(), err, want)
		}
		if info, err := os.Lstat(link); err != nil || info.Mode().Type() != fs.ModeSymlink {
			t.Errorf("the link became %v, %v", info.Mode(), err)
		}
		names, err := filepath.Glob(filepath.Join(dir, "*"))
		hidden, err2 := filepath.Glob(filepath.Join(dir, ".*"))
		if len(names) != 3 || len(hidden) != 0 || err != nil || err2 != nil { // the file, the link, the lock
			t.Errorf("left behind: %q %q", names, hidden)
		}
	}
}

// A file that went bad is not edited, and nothing in it is lost.
func TestEditOfABadFile(t *testing.T) {
	t.Parallel()
	f := write(t, "[user.a]\n")
	const bad = "[user.a]\nhomme = '/precious'\n"
	put(t, f.Path(), bad, time.Now())
	if err := f.Add(t.Context(), &accounts.Account{Name: "b"}); err == nil || !strings.Contains(err.Error(), ":2:1: ") {
		t.Errorf("%v: want the mistake", err)
	}
	if got := read(t, f); got != bad {
		t.Errorf("the file is now %q", got)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := f.Remove(ctx, "a"); !errors.Is(err, context.Canceled) {
		t.Errorf("after the end of its context: %v", err)
	}
}

// Several who have the same file open, as several processes have, lose no
// change of each other.
func TestEditAtOnce(t *testing.T) {
	t.Parallel()
	path := write(t, "[user.counter]\n").Path()
	var wg sync.WaitGroup
	for range 6 {
		wg.Go(func() {
			f, err := userfile.Open(path, nil)
			if err != nil {
				t.Error(err)
				return
			}
			for range 3 {
				err := f.Update(t.Context(), "counter", func(a *accounts.Account) error { a.Privilege++; return nil })
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	f, err := userfile.Open(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	if a, err := f.Find(t.Context(), "counter"); err != nil || a.Privilege != 18 {
		t.Errorf("%+v, %v: want 18 changes", a, err)
	}
}
