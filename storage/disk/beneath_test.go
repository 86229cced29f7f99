//go:build unix

package disk

import (
	"errors"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"towpath/storage"
)

// eachForm runs a test on a tree of each form. It is given the directory of
// the host that the tree serves; a file "secret" lies beside it.
func eachForm(t *testing.T, test func(t *testing.T, f *FS, dir string)) {
	t.Parallel()
	for name, o := range forms {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			outside := t.TempDir()
			hostWrite(t, filepath.Join(outside, "secret"), "secret")
			dir := filepath.Join(outside, "tree")
			must(t, os.Mkdir(dir, 0o755))
			test(t, open(t, dir, o), dir)
		})
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantErr(t testing.TB, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: got error %v, want %v", what, err, want)
	}
}

func hostWrite(t testing.TB, name, text string) {
	t.Helper()
	must(t, os.WriteFile(name, []byte(text), 0o644))
}

func hostRead(t testing.TB, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	must(t, err)
	return string(text)
}

func read(t testing.TB, f *FS, name string) (string, error) {
	t.Helper()
	r, err := f.Open(t.Context(), name, 0)
	if err != nil {
		return "", err
	}
	defer r.Close()
	text, err := io.ReadAll(r)
	must(t, err)
	return string(text), nil
}

func begin(t testing.TB, f *FS, name string, how storage.How, text string) storage.Writer {
	t.Helper()
	w, err := f.Create(t.Context(), name, how)
	must(t, err)
	_, err = io.WriteString(w, text)
	must(t, err)
	return w
}

// TestLinksInside follows links of every shape that stay in the tree.
func TestLinksInside(t *testing.T) {
	eachForm(t, func(t *testing.T, f *FS, dir string) {
		must(t, os.MkdirAll(filepath.Join(dir, "a/b"), 0o755))
		hostWrite(t, filepath.Join(dir, "a/b/file"), "text")
		for link, target := range map[string]string{
			"file":     "a/b/file",
			"b":        "a/b",
			"chain":    "b/up/b/file",
			"a/b/up":   "..",
			"dots":     "a/../a/./b//file",
			"dangling": "a/new",
		} {
			must(t, os.Symlink(target, filepath.Join(dir, link)))
		}
		for _, name := range []string{"/file", "/b/file", "/chain", "/a/b/up/b/file", "/dots"} {
			text, err := read(t, f, name)
			must(t, err)
			if text != "text" {
				t.Errorf("%s holds %q", name, text)
			}
			in, err := f.Stat(t.Context(), name)
			must(t, err)
			if want := filepath.Base(name); in.Size() != 4 || !in.Mode().IsRegular() || in.Name() != want {
				t.Errorf("%s: %d bytes, mode %v, name %q", name, in.Size(), in.Mode(), in.Name())
			}
		}

		// An upload goes where the link points, and the link stays.
		for link, file := range map[string]string{"/chain": "a/b/file", "/dangling": "a/new"} {
			must(t, begin(t, f, link, storage.How{Owner: "anna"}, "part").Abort(true))
			p, err := f.Unfinished(t.Context(), link, "anna")
			must(t, err)
			if p.Size != 4 {
				t.Errorf("%s: %d unfinished bytes, want 4", link, p.Size)
			}
			must(t, begin(t, f, link, storage.How{Owner: "anna", Append: true}, " whole").Commit())
			if text := hostRead(t, filepath.Join(dir, file)); text != "part whole" {
				t.Errorf("%s holds %q", file, text)
			}
			fi, err := os.Lstat(filepath.Join(dir, link))
			must(t, err)
			if fi.Mode().Type() != fs.ModeSymlink {
				t.Errorf("%s is no link any more", link)
			}
		}

		then := time.Unix(500_000_000, 0)
		must(t, f.SetTime(t.Context(), "/file", then))
		must(t, f.Chmod(t.Context(), "/file", 0o600))
		fi, err := os.Stat(filepath.Join(dir, "a/b/file"))
		must(t, err)
		if !fi.ModTime().Equal(then) || fi.Mode() != 0o600 {
			t.Errorf("modified %v, mode %v", fi.ModTime(), fi.Mode())
		}

		// What is done to a name is done to the link.
		must(t, f.Rename(t.Context(), "/file", "/renamed"))
		must(t, f.Remove(t.Context(), "/renamed"))
		wantErr(t, "rmdir of a link", f.Rmdir(t.Context(), "/b"), storage.ErrNotDir)
		if _, err := os.Stat(filepath.Join(dir, "a/b/file")); err != nil {
			t.Error(err)
		}
	})
}

// TestLinksOutside tries every operation on links that lead out.
func TestLinksOutside(t *testing.T) {
	eachForm(t, func(t *testing.T, f *FS, dir string) {
		ctx := t.Context()
		outside := filepath.Dir(dir)
		must(t, os.Mkdir(filepath.Join(dir, "a"), 0o755))
		hostWrite(t, filepath.Join(dir, "plain"), "plain")
		links := map[string]string{
			"relative":    "../secret",
			"absolute":    filepath.Join(outside, "secret"),
			"inabsolute":  filepath.Join(dir, "plain"),
			"a/deep":      "../../secret",
			"chain":       "a/deep",
			"back":        "../tree/plain",
			"new":         "../new",
			"newabsolute": filepath.Join(outside, "new"),
			"proc":        "/proc/self/root",
		}
		for link, target := range links {
			must(t, os.Symlink(target, filepath.Join(dir, link)))
		}
		must(t, os.Symlink("..", filepath.Join(dir, "up")))
		must(t, os.Symlink(outside, filepath.Join(dir, "upabsolute")))

		names := []string{"/up/secret", "/upabsolute/secret", "/up/tree/plain", "/up/new"}
		for link := range links {
			names = append(names, "/"+link)
		}
		for _, name := range names {
			_, err := f.Open(ctx, name, 0)
			wantErr(t, "open "+name, err, fs.ErrPermission)
			_, err = f.Stat(ctx, name)
			wantErr(t, "stat "+name, err, fs.ErrPermission)
			for _, how := range []storage.How{{}, {Append: true}, {Offset: 1}, {Exclusive: true}} {
				_, err = f.Create(ctx, name, how)
				wantErr(t, "create "+name, err, fs.ErrPermission)
			}
			wantErr(t, "settime "+name, f.SetTime(ctx, name, time.Unix(0, 0)), fs.ErrPermission)
			wantErr(t, "chmod "+name, f.Chmod(ctx, name, 0o777), fs.ErrPermission)
			_, err = f.Unfinished(ctx, name, "anna")
			wantErr(t, "unfinished "+name, err, fs.ErrPermission)
		}
		for _, name := range []string{"/up", "/upabsolute", "/up/tree"} {
			for _, err := range f.List(ctx, name) {
				wantErr(t, "list "+name, err, fs.ErrPermission)
			}
			below := name + "/x"
			wantErr(t, "mkdir "+below, f.Mkdir(ctx, below), fs.ErrPermission)
			wantErr(t, "remove "+below, f.Remove(ctx, below), fs.ErrPermission)
			wantErr(t, "rmdir "+below, f.Rmdir(ctx, below), fs.ErrPermission)
			wantErr(t, "rename "+below, f.Rename(ctx, "/plain", below), fs.ErrPermission)
			wantErr(t, "rename "+below, f.Rename(ctx, below, "/x"), fs.ErrPermission)
			wantErr(t, "symlink "+below, f.Symlink(ctx, "/plain", below), fs.ErrPermission)
			_, err := f.Available(ctx, name)
			wantErr(t, "available "+name, err, fs.ErrPermission)
		}

		// They are listed as links that say nothing of the host.
		for in, err := range f.List(ctx, "/") {
			must(t, err)
			if _, out := links[in.Name()]; !out {
				continue
			}
			u := in.Sys().(*storage.Unix)
			if in.Mode().Type() != fs.ModeSymlink || u.Target != "" {
				t.Errorf("%s: mode %v, target %q", in.Name(), in.Mode(), u.Target)
			}
		}

		entries, err := os.ReadDir(outside)
		must(t, err)
		if len(entries) != 2 || hostRead(t, filepath.Join(outside, "secret")) != "secret" {
			t.Errorf("outside the tree: %v", entries)
		}
	})
}

// TestLinkRace turns a directory into a link that leads out and back while
// files in it are opened, written and removed.
func TestLinkRace(t *testing.T) {
	eachForm(t, func(t *testing.T, f *FS, dir string) {
		outside := filepath.Dir(dir)
		inner, aside, link := filepath.Join(dir, "d"), filepath.Join(dir, "aside"), filepath.Join(dir, "link")
		must(t, os.Mkdir(inner, 0o755))
		hostWrite(t, filepath.Join(inner, "secret"), "public")
		must(t, os.Symlink("..", link))

		const flips = 2000
		done := make(chan struct{})
		go func() {
			defer close(done)
			for range flips {
				for _, move := range [][2]string{{inner, aside}, {link, inner}, {inner, link}, {aside, inner}} {
					if err := os.Rename(move[0], move[1]); err != nil {
						t.Error(err)
						return
					}
				}
			}
		}()
		var trying sync.WaitGroup
		try := func(what func()) {
			trying.Go(func() {
				for {
					select {
					case <-done:
						return
					default:
						what()
					}
				}
			})
		}
		try(func() {
			if text, err := read(t, f, "/d/secret"); err == nil && text != "public" {
				t.Errorf("read %q from outside", text)
			}
		})
		try(func() {
			if in, err := f.Stat(t.Context(), "/d/secret"); err == nil && in.Size() != int64(len("public")) {
				t.Errorf("saw %d bytes", in.Size())
			}
			for in := range f.List(t.Context(), "/d") {
				if in != nil && in.Name() == "tree" {
					t.Error("listed the directory above")
				}
			}
		})
		try(func() {
			w, err := f.Create(t.Context(), "/d/new", storage.How{})
			if err != nil {
				return
			}
			if err := w.Commit(); err != nil {
				return // moved away meanwhile
			}
			_ = f.Rename(t.Context(), "/d/new", "/d/newer") // may be gone by now
			_ = f.Remove(t.Context(), "/d/newer")
			_ = f.Mkdir(t.Context(), "/d/sub")
			_ = f.Rmdir(t.Context(), "/d/sub")
		})
		trying.Wait()
		<-done
		entries, err := os.ReadDir(outside)
		must(t, err)
		if len(entries) != 2 {
			t.Errorf("outside the tree: %v", entries)
		}
	})
}

// TestSpecial meets what is not a file, and waits for none of it.
func TestSpecial(t *testing.T) {
	eachForm(t, func(t *testing.T, f *FS, dir string) {
		must(t, syscall.Mkfifo(filepath.Join(dir, "fifo"), 0o666))
		must(t, os.Symlink("fifo", filepath.Join(dir, "link")))
		// A short way to the socket, whose path has 104 bytes at most.
		short, err := os.MkdirTemp("", "s")
		must(t, err)
		t.Cleanup(func() { _ = os.RemoveAll(short) }) // best effort
		listener, err := net.Listen("unix", filepath.Join(short, "s"))
		must(t, err)
		t.Cleanup(func() { _ = listener.Close() }) // renamed, so its path is gone
		must(t, os.Rename(filepath.Join(short, "s"), filepath.Join(dir, "socket")))
		names := []string{"/fifo", "/link", "/socket"}
		if err := syscall.Mknod(filepath.Join(dir, "null"), syscall.S_IFCHR|0o666, 1<<8|3); err == nil {
			names = append(names, "/null")
		} else {
			t.Logf("no device is tried: mknod: %v", err)
		}
		for _, name := range names {
			_, err := f.Open(t.Context(), name, 0)
			wantErr(t, "open "+name, err, storage.ErrNotRegular)
			_, err = f.Create(t.Context(), name, storage.How{Append: true})
			wantErr(t, "create "+name, err, storage.ErrNotRegular)
			in, err := f.Stat(t.Context(), name)
			must(t, err)
			if in.Mode().IsRegular() {
				t.Errorf("%s: mode %v", name, in.Mode())
			}
		}
		for in, err := range f.List(t.Context(), "/") {
			must(t, err)
			if in.Mode().IsRegular() {
				t.Errorf("%s: mode %v", in.Name(), in.Mode())
			}
		}
		must(t, f.Remove(t.Context(), "/fifo"))
	})
}

func TestSymlink(t *testing.T) {
	eachForm(t, func(t *testing.T, f *FS, dir string) {
		ctx := t.Context()
		must(t, os.MkdirAll(filepath.Join(dir, "a/b/c"), 0o755))
		hostWrite(t, filepath.Join(dir, "a/file"), "text")
		must(t, os.Symlink("a/b/c", filepath.Join(dir, "short")))
		must(t, os.MkdirAll(filepath.Join(dir, "x/y"), 0o755))
		must(t, os.Symlink("../..", filepath.Join(dir, "x/y/top")))
		for _, test := range []struct{ target, name, text string }{
			{"/a/file", "/l1", "a/file"},
			{"/a/file", "/a/b/c/l2", "../../file"},
			{"../../file", "/a/b/c/l3", "../../file"},
			{"file", "/a/l4", "file"},
			{"/", "/a/l5", ".."},
			{"/a", "/a/l6", "."},
			{"/a/later", "/l7", "a/later"},
		} {
			must(t, f.Symlink(ctx, test.target, test.name))
			text, err := os.Readlink(filepath.Join(dir, test.name))
			must(t, err)
			if text != test.text {
				t.Errorf("%s to %s says %q, want %q", test.name, test.target, text, test.text)
			}
		}
		for in, err := range f.List(ctx, "/") {
			must(t, err)
			u := in.Sys().(*storage.Unix)
			switch in.Name() {
			case "l1":
				if in.Size() != 4 || !in.Mode().IsRegular() || u.Target != "a/file" {
					t.Errorf("l1: %d bytes, mode %v, target %q", in.Size(), in.Mode(), u.Target)
				}
			case "l7":
				if in.Mode().Type() != fs.ModeSymlink || u.Target != "a/later" {
					t.Errorf("l7: mode %v, target %q", in.Mode(), u.Target)
				}
			case "a":
				if u.Target != "" {
					t.Errorf("a: target %q", u.Target)
				}
			}
		}
		for _, test := range []struct {
			target, name string
			want         error
		}{
			{"../secret", "/m", fs.ErrPermission},
			{"a/../../secret", "/m", fs.ErrPermission},
			{"../../../secret", "/a/m", fs.ErrPermission},
			// As text it stays inside, from where the link would lie it does not.
			{"/secret", "/x/y/top/m", fs.ErrPermission},
			{"", "/m", storage.ErrName},
			{"a/" + prefix + "x", "/m", storage.ErrName},
			{"/a/file", "/l1", fs.ErrExist},
			{"/a/file", "/", fs.ErrExist},
			{"/a/file", "/m\n", storage.ErrName},
			{"/a/file", "/none/m", fs.ErrNotExist},
		} {
			err := f.Symlink(ctx, test.target, test.name)
			wantErr(t, test.name+" to "+test.target, err, test.want)
			if link, ok := errors.AsType[*os.LinkError](err); !ok || link.Old != test.target || link.New != test.name {
				t.Errorf("%s to %s: error %v", test.name, test.target, err)
			}
		}
	})
}

// TestReserved asks for the tree's own names in every way.
func TestReserved(t *testing.T) {
	eachForm(t, func(t *testing.T, f *FS, dir string) {
		ctx := t.Context()
		must(t, begin(t, f, "/f", storage.How{Owner: "anna"}, "part").Abort(true))
		entries, err := os.ReadDir(dir)
		must(t, err)
		if len(entries) != 1 || !strings.HasPrefix(entries[0].Name(), prefix) {
			t.Fatalf("the part is kept as %v", entries)
		}
		part := entries[0].Name()
		for _, name := range []string{"/" + part, "/" + prefix + "x", "/" + strings.ToUpper(part)} {
			_, err := f.Open(ctx, name, 0)
			wantErr(t, "open", err, fs.ErrNotExist)
			_, err = f.Stat(ctx, name)
			wantErr(t, "stat", err, fs.ErrNotExist)
			_, err = f.Create(ctx, name, storage.How{})
			wantErr(t, "create", err, storage.ErrName)
			wantErr(t, "mkdir", f.Mkdir(ctx, name), storage.ErrName)
			wantErr(t, "symlink", f.Symlink(ctx, "/f", name), storage.ErrName)
			wantErr(t, "rename to", f.Rename(ctx, "/f", name), storage.ErrName)
			wantErr(t, "rename from", f.Rename(ctx, name, "/g"), fs.ErrNotExist)
			wantErr(t, "remove", f.Remove(ctx, name), fs.ErrNotExist)
			wantErr(t, "rmdir", f.Rmdir(ctx, name), fs.ErrNotExist)
			wantErr(t, "settime", f.SetTime(ctx, name, time.Now()), fs.ErrNotExist)
			wantErr(t, "chmod", f.Chmod(ctx, name, 0o777), fs.ErrNotExist)
			_, err = f.Stat(ctx, name+"/x")
			wantErr(t, "stat below", err, fs.ErrNotExist)
		}
		for in := range f.List(ctx, "/") {
			t.Errorf("listed %s", in.Name())
		}
		if p, err := f.Unfinished(ctx, "/f", "anna"); p.Size != 4 || err != nil {
			t.Errorf("unfinished: %v, %v", p, err)
		}
	})
}

// TestForeignPart puts things of other makers where a part would lie.
func TestForeignPart(t *testing.T) {
	eachForm(t, func(t *testing.T, f *FS, dir string) {
		outside := filepath.Dir(dir)
		hostWrite(t, filepath.Join(dir, "victim"), "victim")
		for what, plant := range map[string]func(part string) error{
			"hard link out":    func(part string) error { return os.Link(filepath.Join(outside, "secret"), part) },
			"hard link":        func(part string) error { return os.Link(filepath.Join(dir, "victim"), part) },
			"symbolic link":    func(part string) error { return os.Symlink("victim", part) },
			"link out":         func(part string) error { return os.Symlink("../secret", part) },
			"dangling":         func(part string) error { return os.Symlink("../made", part) },
			"FIFO":             func(part string) error { return syscall.Mkfifo(part, 0o666) },
			"empty":            func(part string) error { return os.WriteFile(part, nil, 0o644) },
			"a part of no one": func(part string) error { return os.WriteFile(part, []byte("longer than it"), 0o644) },
		} {
			for _, how := range []storage.How{{Owner: "anna"}, {Owner: "anna", Append: true}} {
				part := filepath.Join(dir, partName("anna", "f")+partSuffix)
				if how.Append && what == "a part of no one" {
					continue // that is one
				}
				must(t, plant(part))
				w, err := f.Create(t.Context(), "/f", how)
				if err != nil {
					t.Fatalf("%s: %v", what, err)
				}
				if w.Offset() != 0 {
					t.Errorf("%s: offset %d", what, w.Offset())
				}
				_, err = io.WriteString(w, "new")
				must(t, err)
				must(t, w.Commit())
				if text, err := read(t, f, "/f"); err != nil || text != "new" {
					t.Errorf("%s: the file holds %q, %v", what, text, err)
				}
				must(t, f.Remove(t.Context(), "/f"))
			}
		}
		if hostRead(t, filepath.Join(dir, "victim")) != "victim" || hostRead(t, filepath.Join(outside, "secret")) != "secret" {
			t.Error("a planted name led to somebody's file")
		}
		entries, err := os.ReadDir(dir)
		must(t, err)
		if len(entries) != 1 {
			t.Errorf("left behind: %v", entries)
		}
	})
}

// TestSetID has the bits that lend rights masked, new and old.
func TestSetID(t *testing.T) {
	eachForm(t, func(t *testing.T, f *FS, dir string) {
		name := filepath.Join(dir, "f")
		hostWrite(t, name, "old")
		must(t, os.Chmod(name, 0o755|fs.ModeSetuid|fs.ModeSetgid))
		must(t, begin(t, f, "/f", storage.How{}, "new").Commit())
		for _, mode := range []fs.FileMode{0o755, 0o711} {
			fi, err := os.Stat(name)
			must(t, err)
			if fi.Mode() != mode {
				t.Errorf("mode %v, want %v", fi.Mode(), mode)
			}
			must(t, f.Chmod(t.Context(), "/f", 0o711|fs.ModeSetuid|fs.ModeSetgid|fs.ModeSticky))
		}
	})
}

func TestMode(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	f := open(t, dir, Options{Mode: 0o606 | fs.ModeSetuid})
	must(t, begin(t, f, "/f", storage.How{}, "x").Commit())
	fi, err := os.Stat(filepath.Join(dir, "f"))
	must(t, err)
	if fi.Mode() != 0o606 {
		t.Errorf("mode %v, want 0606 whatever the umask", fi.Mode())
	}
}

// TestWriteProtected keeps a file that its bits protect, though the directory
// would let it be replaced.
func TestWriteProtected(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("root may write everything")
	}
	eachForm(t, func(t *testing.T, f *FS, dir string) {
		hostWrite(t, filepath.Join(dir, "f"), "kept")
		must(t, os.Chmod(filepath.Join(dir, "f"), 0o444))
		for _, how := range []storage.How{{}, {Append: true}} {
			_, err := f.Create(t.Context(), "/f", how)
			wantErr(t, "create", err, fs.ErrPermission)
		}
	})
}

// TestUnreadable refuses what the host refuses.
func TestUnreadable(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("root may read everything")
	}
	eachForm(t, func(t *testing.T, f *FS, dir string) {
		hostWrite(t, filepath.Join(dir, "f"), "text")
		must(t, os.Chmod(filepath.Join(dir, "f"), 0))
		_, err := f.Open(t.Context(), "/f", 0)
		wantErr(t, "open", err, fs.ErrPermission)
		must(t, f.Chmod(t.Context(), "/f", 0o600)) // the way back
		_, err = f.Open(t.Context(), "/f", 0)
		must(t, err)

		must(t, os.Mkdir(filepath.Join(dir, "d"), 0o755))
		hostWrite(t, filepath.Join(dir, "d/f"), "text")
		must(t, os.Chmod(filepath.Join(dir, "d"), 0o111))
		for _, err := range f.List(t.Context(), "/d") {
			wantErr(t, "list", err, fs.ErrPermission)
		}
		if _, ok := f.tree.(*rooted); ok {
			t.Log("os.Root passes through no directory that it may not read")
		} else if text, err := read(t, f, "/d/f"); text != "text" || err != nil {
			t.Errorf("read %q, %v", text, err)
		}
		_, err = f.Create(t.Context(), "/d/new", storage.How{})
		wantErr(t, "create", err, fs.ErrPermission)
		must(t, os.Chmod(filepath.Join(dir, "d"), 0o755))
	})
}
