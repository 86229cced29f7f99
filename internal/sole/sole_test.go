package sole

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestMain is, as a child, a process that holds a file until it is killed.
func TestMain(m *testing.M) {
	name := os.Getenv("TOWPATH_HOLDS")
	if name == "" {
		os.Exit(m.Run())
	}
	if _, err := Take(Anywhere, name); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println("held")
	_, _ = io.Copy(io.Discard, os.Stdin) // without an end
	os.Exit(0)
}

// dirs are both kinds of Dir, and the name of a file in each.
func dirs(t *testing.T, do func(t *testing.T, dir Dir, name, at string)) {
	t.Run("root", func(t *testing.T) {
		t.Parallel()
		at := t.TempDir()
		root, err := os.OpenRoot(at)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = root.Close() })
		do(t, root, "x.part", filepath.Join(at, "x.part"))
	})
	t.Run("anywhere", func(t *testing.T) {
		t.Parallel()
		at := filepath.Join(t.TempDir(), "x.part")
		do(t, Anywhere, at, at)
	})
}

// must makes a file that closes itself.
func must(t *testing.T) func(*File, error) *File {
	return func(h *File, err error) *File {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = h.Close() })
		return h
	}
}

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func holds(t *testing.T, name, want string) {
	t.Helper()
	if got, err := os.ReadFile(name); err != nil || string(got) != want {
		t.Errorf("%s is %q, %v; want %q", name, got, err, want)
	}
}

// isBusy checks that a file is held by another, and that the error names it.
func isBusy(t *testing.T, h *File, err error) {
	t.Helper()
	if !errors.Is(err, ErrBusy) || !strings.Contains(err.Error(), "x.part: another transfer") {
		t.Errorf("held twice: %v, %v", h, err)
	}
}

func TestOne(t *testing.T) {
	t.Parallel()
	dirs(t, func(t *testing.T, dir Dir, name, at string) {
		if _, err := Take(dir, name); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("what is not there: %v", err)
		}
		first := must(t)(Make(dir, name, 0o600))
		write(t, at, "first") // through another descriptor
		for range 2 {
			h, err := Take(dir, name)
			isBusy(t, h, err)
			h, err = Make(dir, name, 0o600)
			isBusy(t, h, err)
		}
		holds(t, at, "first")
		if err := first.Close(); err != nil {
			t.Fatal(err)
		}
		second := must(t)(Take(dir, name))
		holds(t, at, "first")
		if err := second.Close(); err != nil {
			t.Fatal(err)
		}
		third := must(t)(Make(dir, name, 0o600))
		holds(t, at, "")
		if err := third.Remove(); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Lstat(at); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("removed: %v", err)
		}
	})
}

// between is a directory in which something happens behind each of the first
// openings.
type between struct {
	Dir
	then []func()
}

func (b *between) OpenFile(name string, flag int, mode fs.FileMode) (*os.File, error) {
	f, err := b.Dir.OpenFile(name, flag, mode)
	if err == nil && len(b.then) > 0 {
		b.then[0]()
		b.then = b.then[1:]
	}
	return f, err
}

// Between opening a file and locking it, who held it may have given it its name.
func TestOvertaken(t *testing.T) {
	t.Parallel()
	dirs(t, func(t *testing.T, dir Dir, name, at string) {
		whole := strings.TrimSuffix(at, ".part")
		finish := func() {
			if err := os.Rename(at, whole); err != nil {
				t.Fatal(err)
			}
		}
		write(t, at, "whole")
		if h, err := Take(&between{dir, []func(){finish}}, name); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("holds %v, %v, which has got its name", h, err)
		}

		write(t, at, "whole again")
		h := must(t)(Take(&between{dir, []func(){func() { finish(); write(t, at, "a third") }}}, name))
		if err := os.WriteFile(at, []byte("ours"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := h.Rename(strings.TrimSuffix(name, ".part") + "2"); err != nil {
			t.Fatal(err)
		}
		holds(t, whole, "whole again")
		holds(t, whole+"2", "ours")

		// What was made and not locked yet, another may take for a leftover.
		var other *File
		h, err := Make(&between{dir, []func(){func() { other = must(t)(Make(dir, name, 0o600)) }}}, name, 0o600)
		isBusy(t, h, err)
		if err := other.Rename(strings.TrimSuffix(name, ".part")); err != nil {
			t.Error(err)
		}
		holds(t, whole, "")

		// One that loses the file each time gives up.
		write(t, at, "")
		var all []func()
		for range attempts {
			all = append(all, func() { finish(); write(t, at, "") })
		}
		h, err = Take(&between{dir, all}, name)
		isBusy(t, h, err)
	})
}

// What was removed by hand, or on a disk without locks replaced, gets no name: it
// is another's.
func TestReplaced(t *testing.T) {
	t.Parallel()
	dirs(t, func(t *testing.T, dir Dir, name, at string) {
		whole := strings.TrimSuffix(at, ".part")
		write(t, whole, "old")
		first := must(t)(Make(dir, name, 0o600))
		if err := os.Remove(at); err != nil {
			t.Fatal(err)
		}
		second := must(t)(Make(dir, name, 0o600))
		write(t, at, "the second's")
		if err := first.Rename(strings.TrimSuffix(name, ".part")); !errors.Is(err, errGone) || !strings.Contains(err.Error(), "x.part") {
			t.Errorf("renamed: %v", err)
		}
		if err := first.Remove(); err != nil {
			t.Errorf("removed: %v", err)
		}
		holds(t, whole, "old")
		if err := second.Rename(strings.TrimSuffix(name, ".part")); err != nil {
			t.Error(err)
		}
		holds(t, whole, "the second's")
	})
}

// No link is followed, and other names keep their bytes.
func TestLinks(t *testing.T) {
	t.Parallel()
	dirs(t, func(t *testing.T, dir Dir, name, at string) {
		victim := filepath.Join(filepath.Dir(at), "victim")
		write(t, victim, "precious")
		for what, link := range map[string]func(from, to string) error{"soft": os.Symlink, "hard": os.Link} {
			if err := link(victim, at); err != nil {
				t.Skip(err) // Windows, without the right; or a disk that has none
			}
			if what == "soft" {
				if _, err := Take(dir, name); !errors.Is(err, fs.ErrNotExist) {
					t.Errorf("%s: %v", what, err)
				}
			}
			h := must(t)(Make(dir, name, 0o600))
			write(t, at, "ours")
			holds(t, victim, "precious")
			if err := errors.Join(h.Remove(), h.Close()); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// Who was killed holds nothing.
func TestKilled(t *testing.T) {
	t.Parallel()
	at := filepath.Join(t.TempDir(), "x.part")
	write(t, at, "what came")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	child := exec.CommandContext(t.Context(), self)
	child.Env = append(os.Environ(), "TOWPATH_HOLDS="+at)
	in, err := child.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	said := make([]byte, len("held\n"))
	if _, err := io.ReadFull(out, said); err != nil || string(said) != "held\n" {
		t.Errorf("the child says %q, %v", said, err)
	}
	h, err := Take(Anywhere, at)
	isBusy(t, h, err)
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = child.Wait() // it was killed
	must(t)(Take(Anywhere, at))
	holds(t, at, "what came")
}
