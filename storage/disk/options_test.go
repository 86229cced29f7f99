package disk

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"towpath/storage"
)

func TestReadOnly(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "f"), []byte("text"), 0o644); err != nil {
		t.Fatal(err)
	}
	f := open(t, dir, Options{ReadOnly: true})
	ctx := t.Context()
	_, create := f.Create(ctx, "/g", storage.How{})
	_, sweep := f.Sweep(ctx, 0)
	for what, err := range map[string]error{
		"create":  create,
		"sweep":   sweep,
		"remove":  f.Remove(ctx, "/f"),
		"mkdir":   f.Mkdir(ctx, "/d"),
		"rmdir":   f.Rmdir(ctx, "/d"),
		"rename":  f.Rename(ctx, "/f", "/g"),
		"settime": f.SetTime(ctx, "/f", time.Now()),
		"chmod":   f.Chmod(ctx, "/f", 0),
		"symlink": f.Symlink(ctx, "/f", "/g"),
		"discard": f.Discard(ctx, "/f", "anna"),
	} {
		if !errors.Is(err, fs.ErrPermission) {
			t.Errorf("%s: %v", what, err)
		}
	}
	r, err := f.Open(ctx, "/f", 1)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if text, err := io.ReadAll(r); string(text) != "ext" || err != nil {
		t.Errorf("read %q, %v", text, err)
	}
}

func TestSync(t *testing.T) {
	t.Parallel()
	for _, s := range []Sync{SyncClose, SyncOff, SyncDir} {
		got, err := ParseSync(s.String())
		if err != nil || got != s {
			t.Errorf("%v: parsed as %v, %v", s, got, err)
		}
		f := open(t, t.TempDir(), Options{Sync: s})
		w, err := f.Create(t.Context(), "/f", storage.How{})
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Commit(); err != nil {
			t.Errorf("%v: %v", s, err)
		}
	}
	if _, err := ParseSync("Always"); err == nil || !strings.Contains(err.Error(), `"Always"`) || !strings.Contains(err.Error(), "off, close or dir") {
		t.Errorf("error %v", err)
	}
}

// TestClose lets what is under way end.
func TestClose(t *testing.T) {
	t.Parallel()
	for name, o := range forms {
		dir := t.TempDir()
		f, err := Open(dir, o)
		if err != nil {
			t.Fatal(err)
		}
		w, err := f.Create(t.Context(), "/f", storage.How{})
		if err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); !errors.Is(err, fs.ErrClosed) {
			t.Errorf("%s: second close: %v", name, err)
		}
		if _, err := f.Stat(t.Context(), "/f"); !errors.Is(err, fs.ErrClosed) {
			t.Errorf("%s: stat: %v", name, err)
		}
		if _, err := io.WriteString(w, "text"); err != nil {
			t.Error(err)
		}
		if err := w.Commit(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if text, err := os.ReadFile(filepath.Join(dir, "f")); string(text) != "text" {
			t.Errorf("%s: %q, %v", name, text, err)
		}
	}
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, o := range forms {
		if _, err := Open(filepath.Join(dir, "none"), o); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("missing: %v", err)
		}
		if _, err := Open(file, o); err == nil || !strings.Contains(err.Error(), file) {
			t.Errorf("a file: %v", err)
		}
	}
}

func TestSweep(t *testing.T) {
	t.Parallel()
	for name, o := range forms {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			f := open(t, dir, o)
			ctx := t.Context()
			for _, d := range []string{"/a", "/a/b", "/c"} {
				if err := f.Mkdir(ctx, d); err != nil {
					t.Fatal(err)
				}
			}
			start := func(name string) storage.Writer {
				w, err := f.Create(ctx, name, storage.How{Owner: "anna"})
				if err != nil {
					t.Fatal(err)
				}
				if _, err := io.WriteString(w, "part"); err != nil {
					t.Fatal(err)
				}
				return w
			}
			for _, name := range []string{"/old", "/a/b/old", "/new", "/c/new"} {
				if err := start(name).Abort(true); err != nil {
					t.Fatal(err)
				}
			}
			writing := start("/a/writing")
			plain := filepath.Join(dir, "plain")
			if err := os.WriteFile(plain, nil, 0o644); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, "c", partName("anna", "x")+copySuffix), []byte("x"), 0o644); err != nil {
				t.Fatal(err)
			}
			long := time.Now().Add(-48 * time.Hour)
			for _, name := range []string{
				plain,
				filepath.Join(dir, partName("anna", "old")+partSuffix),
				filepath.Join(dir, "a/b", partName("anna", "old")+partSuffix),
				filepath.Join(dir, "a", partName("anna", "writing")+partSuffix),
				filepath.Join(dir, "c", partName("anna", "x")+copySuffix),
			} {
				if err := os.Chtimes(name, long, long); err != nil {
					t.Fatal(err)
				}
			}
			n, err := f.Sweep(ctx, 24*time.Hour)
			if n != 3 || err != nil {
				t.Errorf("swept %d, %v; want 3", n, err)
			}
			got := map[string]bool{}
			for _, name := range []string{"/old", "/a/b/old", "/new", "/c/new", "/a/writing"} {
				_, err := f.Unfinished(ctx, name, "anna")
				got[name] = err == nil
			}
			want := map[string]bool{"/old": false, "/a/b/old": false, "/new": true, "/c/new": true, "/a/writing": true}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("parts left (-want +got):\n%s", diff)
			}
			if err := writing.Commit(); err != nil {
				t.Error(err)
			}
			ctx, cancel := context.WithCancel(ctx)
			cancel()
			if _, err := f.Sweep(ctx, 0); !errors.Is(err, context.Canceled) {
				t.Errorf("after the end of the context: %v", err)
			}
		})
	}
}

// FuzzLinkText asks for links that mean what they were asked to mean.
func FuzzLinkText(f *testing.F) {
	f.Add("/", "a")
	f.Add("/a/b", "/a/c")
	f.Add("/a/b", "../../..")
	f.Add("/a", "..//./b/../c")
	f.Fuzz(func(t *testing.T, dir, target string) {
		if storage.CheckName(dir) != nil {
			return
		}
		text, err := linkText(dir, target)
		if err != nil {
			return
		}
		want := path.Clean(target)
		if !path.IsAbs(target) {
			want = path.Join(dir, target)
		}
		if got := path.Join(dir, text); got != want || path.IsAbs(text) || text == "" {
			t.Errorf("in %q, to %q: %q, which is %q and not %q", dir, target, text, got, want)
		}
		up := 0
		for elem := range strings.SplitSeq(text, "/") {
			if elem == ".." {
				up++
			}
		}
		if up > strings.Count(strings.TrimSuffix(dir, "/"), "/") {
			t.Errorf("in %q, to %q: %q leads out", dir, target, text)
		}
	})
}
