package mirror_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"towpath/ftp"
	"towpath/ftpclient"
	"towpath/ftpclient/mirror"
	"towpath/ftpclient/segments"
	"towpath/ftpserver"
	"towpath/ftptest"
	"towpath/storage"
	"towpath/storage/disk"
)

// patience bounds what should not take long.
const patience = 60 * time.Second

func testContext(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

// trace counts the commands of all sessions.
type trace struct {
	mu    sync.Mutex
	verbs map[string]int
}

func (c *trace) line(dir byte, line string) {
	if dir != 'C' {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	verb, _, _ := strings.Cut(line, " ")
	if c.verbs == nil {
		c.verbs = map[string]int{}
	}
	c.verbs[verb]++
}

// poolOf logs in to a server of ftptest, or another that takes the same user.
func poolOf(t testing.TB, addr string, n int, change ...func(*ftpclient.Options)) *ftpclient.Pool {
	t.Helper()
	o := ftpclient.Options{User: ftptest.User, Password: ftptest.Password, Timeout: patience, DataTimeout: patience, StallTimeout: patience}
	for _, f := range change {
		f(&o)
	}
	p, err := ftpclient.NewPool(addr, o, n)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	return p
}

// served is a directory that is served.
func served(t testing.TB, options ...ftptest.Option) (dir string, s *ftptest.Server) {
	t.Helper()
	dir = t.TempDir()
	root, err := disk.Open(dir, disk.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = root.Close() })
	return dir, ftptest.Serve(t, nil, append([]ftptest.Option{ftptest.Root(root)}, options...)...)
}

// long ago, so that no clock of a test runs into it.
var noon = time.Date(2025, 3, 4, 12, 0, 0, 0, time.UTC)

// plant makes files of a tree; a name that ends in a slash is a directory. All
// are of the same time.
func plant(t testing.TB, dir string, files map[string]string) {
	t.Helper()
	for name, content := range files {
		p := filepath.Join(dir, filepath.FromSlash(name))
		if strings.HasSuffix(name, "/") {
			if err := os.MkdirAll(p, 0o755); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(p, noon, noon); err != nil {
			t.Fatal(err)
		}
	}
}

// harvest reads a tree as plant takes it. Links are "-> target".
func harvest(t testing.TB, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, p)
		if err != nil || rel == "." {
			return err
		}
		rel = filepath.ToSlash(rel)
		switch {
		case d.IsDir():
			files[rel+"/"] = ""
		case d.Type()&fs.ModeSymlink != 0:
			to, err := os.Readlink(p)
			files[rel] = "-> " + to
			return err
		default:
			b, err := os.ReadFile(p)
			files[rel] = string(b)
			return err
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func sameTree(t testing.TB, got, want string) {
	t.Helper()
	if diff := cmp.Diff(harvest(t, want), harvest(t, got)); diff != "" {
		t.Errorf("trees: -want +got\n%s", diff)
	}
}

var small = map[string]string{
	"a.txt": "alpha", "b.txt": "", "empty/": "", "sub/c.txt": "gamma", "sub/deep/d e.txt": "delta", "sub/deep/ü.txt": "umlaut",
}

// told collects what a run tells.
type told struct {
	mu              sync.Mutex
	steps           []string
	failed, skipped map[string]string
}

func (l *told) listen(o mirror.Options) mirror.Options {
	l.failed, l.skipped = map[string]string{}, map[string]string{}
	o.Planned = func(s mirror.Step) {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.steps = append(l.steps, s.String())
	}
	o.Failed = func(p string, err error) {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.failed[p] = err.Error()
	}
	o.Skipped = func(p, why string) {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.skipped[p] = why
	}
	return o
}

func (l *told) sorted() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Sorted(slices.Values(l.steps))
}

// TestThereAndBack carries a tree down and up again, in clear text and over
// TLS; the second time nothing is left to do.
func TestThereAndBack(t *testing.T) {
	t.Parallel()
	for _, secure := range []bool{false, true} {
		t.Run(fmt.Sprintf("tls=%v", secure), func(t *testing.T) {
			t.Parallel()
			var options []ftptest.Option
			change := func(*ftpclient.Options) {}
			if secure {
				options = append(options, ftptest.TLS)
				change = func(o *ftpclient.Options) { o.TLS, o.TLSConfig = ftpclient.Explicit, ftptest.ClientTLS() }
			}
			dir, s := served(t, options...)
			plant(t, filepath.Join(dir, "from"), small)
			pool := poolOf(t, s.Addr, 3, change)
			here := filepath.Join(t.TempDir(), "new", "here")
			ctx := testContext(t)
			for i, want := range []mirror.Result{{Moved: 5, Bytes: 21, Made: 4}, {Same: 5}} {
				got, err := mirror.Down(ctx, pool, "from", here, mirror.Options{Parallel: 3})
				if err != nil || got != want {
					t.Fatalf("down %d: %+v, %v, want %+v", i, got, err, want)
				}
			}
			sameTree(t, here, filepath.Join(dir, "from"))
			if info, err := os.Stat(filepath.Join(here, "sub", "c.txt")); err != nil || !info.ModTime().Equal(noon) {
				t.Errorf("time: %v, %v", info.ModTime(), err)
			}
			for i, want := range []mirror.Result{{Moved: 5, Bytes: 21, Made: 4}, {Same: 5}} {
				got, err := mirror.Up(ctx, pool, here, "to/there", mirror.Options{Parallel: 3})
				if err != nil || got != want {
					t.Fatalf("up %d: %+v, %v, want %+v", i, got, err, want)
				}
			}
			sameTree(t, filepath.Join(dir, "to", "there"), here)
		})
	}
}

// TestCommandsPerFile holds the cost of a file to what cannot be done without.
func TestCommandsPerFile(t *testing.T) {
	t.Parallel()
	dir, s := served(t)
	files := map[string]string{}
	const n, dirs = 200, 4
	for i := range n {
		files[fmt.Sprintf("d%d/f%d", i%dirs, i)] = strings.Repeat("x", i)
	}
	plant(t, filepath.Join(dir, "from"), files)
	here := t.TempDir()
	var down trace
	ctx := testContext(t)
	if _, err := mirror.Down(ctx, poolOf(t, s.Addr, 1, func(o *ftpclient.Options) { o.Trace = down.line }), "from", here, mirror.Options{}); err != nil {
		t.Fatal(err)
	}
	login := map[string]int{"USER": 1, "PASS": 1, "FEAT": 1, "TYPE": 1}
	want := maps.Clone(login)
	maps.Copy(want, map[string]int{"EPSV": n + dirs + 1, "RETR": n, "MLSD": dirs + 1})
	delete(down.verbs, "OPTS")
	if diff := cmp.Diff(want, down.verbs); diff != "" {
		t.Errorf("down: -want +got\n%s", diff)
	}
	var up trace
	if _, err := mirror.Up(ctx, poolOf(t, s.Addr, 1, func(o *ftpclient.Options) { o.Trace = up.line }), here, "to", mirror.Options{}); err != nil {
		t.Fatal(err)
	}
	want = maps.Clone(login)
	maps.Copy(want, map[string]int{"EPSV": n + 1, "STOR": n, "MFMT": n, "MKD": dirs + 1, "MLSD": 1})
	delete(up.verbs, "OPTS")
	if diff := cmp.Diff(want, up.verbs); diff != "" {
		t.Errorf("up: -want +got\n%s", diff)
	}
	sameTree(t, filepath.Join(dir, "to"), filepath.Join(dir, "from"))
}

// TestDryRun: what a dry run tells is what a run does, and nothing is changed by
// it.
func TestDryRun(t *testing.T) {
	t.Parallel()
	for _, o := range []mirror.Options{{Delete: true}, {DeleteFirst: true}, {}, {Delete: true, Compare: mirror.Hash}} {
		t.Run(fmt.Sprintf("delete=%v,%v", o.Delete, o.DeleteFirst), func(t *testing.T) {
			t.Parallel()
			dir, s := served(t)
			here := t.TempDir()
			plant(t, dir, small)
			plant(t, here, map[string]string{
				"a.txt": "another", "b.txt": "", "old.txt": "1", "gone/x/y.txt": "", "gone/z.txt": "",
				"empty": "a file in the way", "sub/c.txt/in/the/way.txt": "",
			})
			if err := os.Chtimes(filepath.Join(here, "b.txt"), noon, noon.Add(time.Hour)); err != nil {
				t.Fatal(err)
			}
			before := harvest(t, here)
			pool := poolOf(t, s.Addr, 2)
			var dry, wet told
			o.DryRun = true
			planned, err := mirror.Down(testContext(t), pool, ".", here, dry.listen(o))
			if deletes := o.Delete || o.DeleteFirst; deletes != (err == nil) {
				t.Fatal(err)
			}
			if diff := cmp.Diff(before, harvest(t, here)); diff != "" {
				t.Fatalf("the dry run has changed: -before +after\n%s", diff)
			}
			o.DryRun = false
			done, err := mirror.Down(testContext(t), pool, ".", here, wet.listen(o))
			if deletes := o.Delete || o.DeleteFirst; deletes != (err == nil) {
				t.Fatal(err)
			}
			if diff := cmp.Diff(dry.sorted(), wet.sorted()); diff != "" {
				t.Errorf("steps: -dry +done\n%s", diff)
			}
			if planned != done {
				t.Errorf("planned %+v, done %+v", planned, done)
			}
			if o.Delete || o.DeleteFirst {
				sameTree(t, here, dir)
			} else if done.Failed != 2 || !strings.Contains(wet.failed["empty"], "a file is in its place") || !strings.Contains(wet.failed["sub/c.txt"], "a directory is in its place") {
				t.Errorf("%+v, %v", done, wet.failed)
			}
		})
	}
}

// TestAnyTree: whatever two trees are like, a mirror with Delete makes the one
// like the other, down and up.
func TestAnyTree(t *testing.T) {
	t.Parallel()
	dir, s := served(t)
	pool := poolOf(t, s.Addr, 3)
	tree := rapid.MapOfN(rapid.StringMatching(`[ab. -]{1,3}(/[ab]{1,2}){0,3}`), rapid.StringMatching(`x{0,9}`), 0, 12)
	n := 0
	rapid.Check(t, func(rt *rapid.T) {
		n++
		from, to := filepath.Join(dir, fmt.Sprint(n, "from")), filepath.Join(t.TempDir(), "to")
		grow(rt, from, tree.Draw(rt, "from"))
		grow(rt, to, tree.Draw(rt, "to"))
		o := mirror.Options{Parallel: rapid.IntRange(1, 3).Draw(rt, "parallel"), Delete: true, DeleteFirst: rapid.Bool().Draw(rt, "first")}
		ctx := testContext(t)
		if _, err := mirror.Down(ctx, pool, filepath.Base(from), to, o); err != nil {
			rt.Fatalf("down: %v", err)
		}
		if diff := cmp.Diff(harvest(t, from), harvest(t, to)); diff != "" {
			rt.Fatalf("down: -want +got\n%s", diff)
		}
		there := filepath.Join(dir, fmt.Sprint(n, "back"))
		grow(rt, there, tree.Draw(rt, "back"))
		if _, err := mirror.Up(ctx, pool, to, filepath.Base(there), o); err != nil {
			rt.Fatalf("up: %v", err)
		}
		if diff := cmp.Diff(harvest(t, from), harvest(t, there)); diff != "" {
			rt.Fatalf("up: -want +got\n%s", diff)
		}
	})
}

// grow makes a tree out of names, of which those are left out that cannot be.
func grow(t *rapid.T, dir string, files map[string]string) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if !filepath.IsLocal(name) || strings.ContainsAny(name[len(name)-1:], ". /") || strings.HasPrefix(name, ".") && strings.Trim(name, ".") == "" {
			continue
		}
		if first, _, _ := strings.Cut(name, "/"); strings.TrimRight(first, ". ") != first {
			continue
		}
		p := filepath.Join(dir, filepath.FromSlash(name))
		if os.MkdirAll(filepath.Dir(p), 0o755) != nil {
			continue // a file is there
		}
		if err := os.WriteFile(p, []byte(files[name]), 0o644); err != nil {
			continue // a directory is there
		}
		if err := os.Chtimes(p, noon, noon); err != nil {
			t.Fatal(err)
		}
	}
}

// TestCompare: what counts as the same.
func TestCompare(t *testing.T) {
	t.Parallel()
	const (
		kept  = "here!"
		moved = "there"
	)
	for _, c := range []struct {
		name  string
		o     mirror.Options
		shift time.Duration // of the copy, against the source
		short bool          // the copy is shorter
		want  string
	}{
		{"same time", mirror.Options{}, 0, false, kept},
		{"less than the server tells", mirror.Options{}, 900 * time.Millisecond, false, kept},
		{"later", mirror.Options{}, time.Minute, false, moved},
		{"earlier", mirror.Options{}, -time.Minute, false, moved},
		{"size", mirror.Options{}, 0, true, moved},
		{"no times, later", mirror.Options{NoTimes: true}, time.Minute, false, kept},
		{"no times, earlier", mirror.Options{NoTimes: true}, -time.Minute, false, moved},
		{"newer, later", mirror.Options{Compare: mirror.Newer}, time.Minute, true, kept},
		{"newer, earlier", mirror.Options{Compare: mirror.Newer}, -time.Minute, false, moved},
		{"size only", mirror.Options{Compare: mirror.Size}, -time.Hour, false, kept},
		{"size only, short", mirror.Options{Compare: mirror.Size}, 0, true, moved},
		{"missing", mirror.Options{OnlyMissing: true}, -time.Hour, true, kept},
		{"hash", mirror.Options{Compare: mirror.Hash}, 0, false, moved},
		{"old", mirror.Options{OlderThan: noon}, -time.Minute, false, kept},
		{"young", mirror.Options{NewerThan: noon.Add(-time.Second)}, -time.Minute, false, moved},
		{"small", mirror.Options{MinSize: 6}, -time.Minute, false, kept},
		{"large", mirror.Options{MaxSize: 4}, -time.Minute, false, kept},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			dir, s := served(t)
			here := t.TempDir()
			pool := poolOf(t, s.Addr, 1)
			for _, up := range []bool{false, true} {
				from, to := dir, here
				if up {
					from, to = here, dir
				}
				want := c.want
				text := kept
				if c.short {
					text = text[:2]
				}
				if want == kept {
					want = text
				}
				plant(t, from, map[string]string{"f": moved})
				plant(t, to, map[string]string{"f": text})
				if err := os.Chtimes(filepath.Join(to, "f"), noon, noon.Add(c.shift)); err != nil {
					t.Fatal(err)
				}
				var err error
				if up {
					_, err = mirror.Up(testContext(t), pool, here, ".", c.o)
				} else {
					_, err = mirror.Down(testContext(t), pool, ".", here, c.o)
				}
				if err != nil {
					t.Fatal(err)
				}
				if got := harvest(t, to)["f"]; got != want {
					t.Errorf("up %v: %q, want %q", up, got, want)
				}
			}
		})
	}
}

// TestHashSetsTime: files that differ in nothing but their time get that.
func TestHashSetsTime(t *testing.T) {
	t.Parallel()
	dir, s := served(t)
	here := t.TempDir()
	plant(t, dir, small)
	plant(t, here, small)
	p := filepath.Join(here, "a.txt")
	if err := os.Chtimes(p, noon, noon.Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	pool := poolOf(t, s.Addr, 1)
	got, err := mirror.Down(testContext(t), pool, ".", here, mirror.Options{Compare: mirror.Hash})
	if want := (mirror.Result{Retimed: 1, Same: 4}); err != nil || got != want {
		t.Fatalf("%+v, %v, want %+v", got, err, want)
	}
	if info, err := os.Stat(p); err != nil || !info.ModTime().Equal(noon) {
		t.Errorf("%v, %v", info.ModTime(), err)
	}
}

// TestRules: names that are left are neither moved nor deleted.
func TestRules(t *testing.T) {
	t.Parallel()
	glob := func(p string, include bool) mirror.Rule {
		r, err := mirror.Glob(p, include)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	expr := func(p string, include bool) mirror.Rule {
		r, err := mirror.Regexp(p, include)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	all := map[string]string{"a.txt": "", "a.o": "", "sub/b.txt": "", "sub/b.o": "", "sub/cache/c.txt": "", "cache/d.txt": ""}
	for _, c := range []struct {
		rules []mirror.Rule
		want  []string
	}{
		{nil, []string{"a.o", "a.txt", "cache/", "cache/d.txt", "sub/", "sub/b.o", "sub/b.txt", "sub/cache/", "sub/cache/c.txt"}},
		{[]mirror.Rule{glob("*.o", false)}, []string{"a.txt", "cache/", "cache/d.txt", "sub/", "sub/b.txt", "sub/cache/", "sub/cache/c.txt"}},
		{[]mirror.Rule{glob("cache/", false)}, []string{"a.o", "a.txt", "sub/", "sub/b.o", "sub/b.txt"}},
		{[]mirror.Rule{glob("/cache/", false)}, []string{"a.o", "a.txt", "sub/", "sub/b.o", "sub/b.txt", "sub/cache/", "sub/cache/c.txt"}},
		{[]mirror.Rule{glob("*.o", true)}, []string{"a.o", "cache/", "sub/", "sub/b.o", "sub/cache/"}},
		{[]mirror.Rule{glob("**", false), glob("*.txt", true)}, []string{"a.txt"}},
		{[]mirror.Rule{glob("sub/**/*.txt", false)}, []string{"a.o", "a.txt", "cache/", "cache/d.txt", "sub/", "sub/b.o", "sub/cache/"}},
		{[]mirror.Rule{expr(`^sub/`, false), expr(`b\.o$`, false)}, []string{"a.o", "a.txt", "cache/", "cache/d.txt"}},
		{[]mirror.Rule{glob("{a,b}.*", false), glob("a.o", true)}, []string{"a.o", "cache/", "cache/d.txt", "sub/", "sub/cache/", "sub/cache/c.txt"}},
	} {
		dir, s := served(t)
		here := t.TempDir()
		plant(t, dir, all)
		if _, err := mirror.Down(testContext(t), poolOf(t, s.Addr, 1), ".", here, mirror.Options{Rules: c.rules}); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(c.want, slices.Sorted(maps.Keys(harvest(t, here)))); diff != "" {
			t.Errorf("%v: -want +got\n%s", c.rules, diff)
		}
		// What is excluded is not deleted.
		empty := filepath.Join(dir, "none")
		if err := os.Mkdir(empty, 0o755); err != nil {
			t.Fatal(err)
		}
		plant(t, here, all)
		if _, err := mirror.Down(testContext(t), poolOf(t, s.Addr, 1), "none", here, mirror.Options{Rules: c.rules, Delete: true}); err != nil {
			t.Fatal(err)
		}
		left := harvest(t, here)
		for name := range all {
			if _, is := left[name]; is == slices.Contains(c.want, name) {
				t.Errorf("%v: %s is there: %v", c.rules, name, is)
			}
		}
	}
}

func TestRulesRefused(t *testing.T) {
	t.Parallel()
	for _, p := range []string{"", "/", "[", "a{b"} {
		if _, err := mirror.Glob(p, true); err == nil || !strings.Contains(err.Error(), "want one such as *.txt") {
			t.Errorf("Glob(%q): %v", p, err)
		}
	}
	if _, err := mirror.Regexp("(", true); err == nil {
		t.Error("Regexp: no error")
	}
}

// TestDelete: guards around what is deleted.
func TestDelete(t *testing.T) {
	t.Parallel()
	dir, s := served(t)
	pool := poolOf(t, s.Addr, 2)
	plant(t, dir, map[string]string{"a": ""})
	old := map[string]string{"a": "", "b/c/d": "", "b/e": ""}

	here := t.TempDir()
	plant(t, here, old)
	for _, o := range []mirror.Options{{Delete: true, MaxDelete: 3}, {DeleteFirst: true, MaxDelete: 3}} {
		got, err := mirror.Down(testContext(t), pool, ".", here, o)
		if err == nil || !strings.Contains(err.Error(), "4 files and directories would be deleted") || got.Deleted != 0 {
			t.Errorf("%+v, %v", got, err)
		}
		if diff := cmp.Diff(slices.Sorted(maps.Keys(harvest(t, here))), []string{"a", "b/", "b/c/", "b/c/d", "b/e"}); diff != "" {
			t.Errorf("-want +got\n%s", diff)
		}
	}
	got, err := mirror.Down(testContext(t), pool, ".", here, mirror.Options{Delete: true, MaxDelete: 4})
	if err != nil || got.Deleted != 4 {
		t.Errorf("%+v, %v", got, err)
	}
	sameTree(t, here, dir)

	plant(t, here, old)
	got, err = mirror.Down(testContext(t), pool, ".", here, mirror.Options{Delete: true, NoRecursion: true})
	if err != nil || got.Deleted != 0 {
		t.Errorf("no recursion: %+v, %v", got, err)
	}
}

// TestCapitals: a server may not tell a from A, so the one is not deleted for the
// other before both have been seen.
func TestCapitals(t *testing.T) {
	t.Parallel()
	dir, s := served(t)
	here := t.TempDir()
	plant(t, here, map[string]string{"Read": "new"})
	plant(t, dir, map[string]string{"read": "old"})
	if _, err := os.Stat(filepath.Join(dir, "READ")); err == nil {
		t.Skip("this file system does not tell capitals from small letters")
	}
	pool := poolOf(t, s.Addr, 1)
	var l told
	got, err := mirror.Up(testContext(t), pool, here, ".", l.listen(mirror.Options{Delete: true}))
	if err != nil || got.Deleted != 0 || !strings.Contains(l.skipped["read"], "capitals") {
		t.Errorf("%+v, %v, %v", got, err, l.skipped)
	}
	if got, err = mirror.Up(testContext(t), pool, here, ".", mirror.Options{Delete: true}); err != nil || got.Deleted != 1 {
		t.Errorf("again: %+v, %v", got, err)
	}
	sameTree(t, dir, here)

	// One é and two ways to write it.
	dir, s = served(t)
	here = t.TempDir()
	plant(t, dir, map[string]string{"caf\u00e9": "new"})
	plant(t, here, map[string]string{"cafe\u0301": "old"})
	got, err = mirror.Down(testContext(t), poolOf(t, s.Addr, 1), ".", here, l.listen(mirror.Options{Delete: true}))
	if err != nil || got.Deleted != 0 || !strings.Contains(l.skipped["cafe\u0301"], "accents") {
		t.Errorf("accents: %+v, %v, %v", got, err, l.skipped)
	}
}

// TestSegmentsInTheWay: what a fetch in segments has left has the size of the file,
// and holes.
func TestSegmentsInTheWay(t *testing.T) {
	t.Parallel()
	dir, s := served(t)
	here := t.TempDir()
	plant(t, dir, map[string]string{"big": "0123456789"})
	plant(t, here, map[string]string{"big.part": "012\x00\x00\x0056789", "big.part" + segments.Suffix: "towpath segments 1\n"})
	for _, name := range []string{"big.part", "big.part" + segments.Suffix} {
		if err := os.Chtimes(filepath.Join(here, name), time.Now(), time.Now().Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := mirror.Down(testContext(t), poolOf(t, s.Addr, 1), ".", here, mirror.Options{Continue: true}); err != nil {
		t.Fatal(err)
	}
	sameTree(t, here, dir)
}

// TestSessionsRefused: with fewer sessions than are asked for all comes all the
// same.
func TestSessionsRefused(t *testing.T) {
	t.Parallel()
	dir, s := served(t, func(o *ftpserver.Options) { o.MaxSessions = 2 })
	plant(t, dir, small)
	here := t.TempDir()
	pool := poolOf(t, s.Addr, 5)
	if _, err := mirror.Down(testContext(t), pool, ".", here, mirror.Options{Parallel: 5}); err != nil {
		t.Fatal(err)
	}
	sameTree(t, here, dir)
}

// stuck is a tree of which one file comes so far and no further, before it is
// opened.
type stuck struct {
	storage.FS
	name    string
	far     int64
	reached chan struct{} // somebody has come so far
	open    chan struct{}
}

// stick serves dir so.
func stick(t *testing.T, dir, name string, far int64) (*stuck, *ftptest.Server) {
	t.Helper()
	root, err := disk.Open(dir, disk.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = root.Close() })
	s := &stuck{root, name, far, make(chan struct{}, 1), make(chan struct{})}
	return s, ftptest.Serve(t, nil, ftptest.Root(s))
}

func (s *stuck) Open(ctx context.Context, name string, offset int64) (io.ReadCloser, error) {
	f, err := s.FS.Open(ctx, name, offset)
	if err != nil || name != s.name || offset > s.far {
		return f, err
	}
	rest := readerFunc(func(p []byte) (int, error) {
		select {
		case s.reached <- struct{}{}:
		default: // it is known
		}
		select {
		case <-s.open:
			return f.Read(p)
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	})
	return struct {
		io.Reader
		io.Closer
	}{io.MultiReader(io.LimitReader(f, s.far-offset), rest), f}, nil
}

type readerFunc func(p []byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// TestTwoMirrors: two runs into one directory leave each file whole, and the
// second tells which it has left to the first.
func TestTwoMirrors(t *testing.T) {
	t.Parallel()
	dir, fast := served(t)
	plant(t, dir, map[string]string{"a": "first", "b": "second", "sub/c": "third"})
	tree, slow := stick(t, dir, "/a", 2)
	here := t.TempDir()
	var first mirror.Result
	ended := make(chan error, 1)
	go func() {
		var err error
		first, err = mirror.Down(testContext(t), poolOf(t, slow.Addr, 1), ".", here, mirror.Options{})
		ended <- err
	}()
	select {
	case <-tree.reached:
	case err := <-ended:
		t.Fatalf("the first has ended: %v", err)
	}
	for _, more := range []bool{false, true} {
		var l told
		got, err := mirror.Down(testContext(t), poolOf(t, fast.Addr, 1), ".", here, l.listen(mirror.Options{Continue: more, Delete: true}))
		if !errors.Is(err, mirror.ErrBusy) || got.Failed != 1 || got.Deleted != 0 || l.failed["a"] == "" || !strings.Contains(err.Error(), "a.part: another transfer") {
			t.Errorf("continue %v: %+v, %v, %v", more, got, err, l.failed)
		}
		if files := harvest(t, here); files["b"] != "second" || files["sub/c"] != "third" {
			t.Errorf("the others: %v", files)
		}
	}
	close(tree.open)
	if err := <-ended; err != nil || first.Failed != 0 {
		t.Errorf("the first: %+v, %v", first, err)
	}
	sameTree(t, here, dir)
}

// done tells when a step has ended.
type done struct {
	watch
	end func()
}

func (d done) Done(error) { d.end() }

// TestPartsOfParts: files that are called as the unfinished ones of others come at
// the same time as those.
func TestPartsOfParts(t *testing.T) {
	t.Parallel()
	dir, here := t.TempDir(), t.TempDir()
	plant(t, dir, map[string]string{"x": "one", "x.part": "two", "x.part.part.part": "three", "x.part.part.part.part": "four"})
	tree, s := stick(t, dir, "/x", 1)
	ctx := testContext(t)
	var others sync.WaitGroup
	others.Add(3)
	o := mirror.Options{Parallel: 2, Begin: func(s mirror.Step) mirror.Watcher {
		if s.Op != mirror.Fetch || s.Path == "x" {
			return nil
		}
		if s.Path == "x.part" { // x has its part by then
			select {
			case <-tree.reached:
			case <-ctx.Done():
			}
		}
		return done{watch{func(int64) {}}, others.Done}
	}}
	go func() {
		others.Wait()
		close(tree.open)
	}()
	got, err := mirror.Down(ctx, poolOf(t, s.Addr, 2), ".", here, o)
	if err != nil || got.Moved != 4 {
		t.Errorf("%+v, %v", got, err)
	}
	sameTree(t, here, dir)
}

// TestInterrupted: what an end in the middle leaves behind is gone on with.
func TestInterrupted(t *testing.T) {
	t.Parallel()
	dir, here := t.TempDir(), t.TempDir()
	tree, s := stick(t, dir, "/big", 1<<20)
	big := strings.Repeat("0123456789abcdef", 1<<20)
	plant(t, dir, map[string]string{"big": big, "z": "last"})
	ctx, cancel := context.WithCancelCause(testContext(t))
	stop := errors.New("enough")
	o := mirror.Options{Continue: true, Begin: func(s mirror.Step) mirror.Watcher {
		return watch{moved: func(n int64) {
			if n > 0 {
				cancel(stop)
			}
		}}
	}}
	pool := poolOf(t, s.Addr, 1)
	_, err := mirror.Down(ctx, pool, ".", here, o)
	if failure, ok := errors.AsType[*mirror.Error](err); !ok || failure.Stopped == nil {
		t.Fatalf("cancelled: %v", err)
	}
	info, err := os.Stat(filepath.Join(here, "big.part"))
	if err != nil || info.Size() == 0 {
		t.Fatalf("what came: %v, %v", info, err)
	}
	part := info.Size()
	o.Begin = nil
	close(tree.open)
	got, err := mirror.Down(testContext(t), pool, ".", here, o)
	if err != nil || got.Bytes != int64(len(big))-part+4 {
		t.Errorf("went on with %+v, %v behind %d", got, err, part)
	}
	sameTree(t, here, dir)

	// Not with a file that has changed since.
	if err := os.WriteFile(filepath.Join(here, "z.part"), []byte("l"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(filepath.Join(here, "z.part"), noon, noon.Add(-time.Hour)); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(here, "z")); err != nil {
		t.Fatal(err)
	}
	got, err = mirror.Down(testContext(t), pool, ".", here, o)
	if err != nil || got.Bytes != 4 {
		t.Errorf("old part: %+v, %v", got, err)
	}
	sameTree(t, here, dir)
}

// TestInterruptedUp: what a server keeps of a cut upload and shows to SIZE and
// MDTM only, as ours does, is gone on with; not if the file has changed since.
func TestInterruptedUp(t *testing.T) {
	t.Parallel()
	for _, partial := range []bool{false, true} {
		dir, s := served(t)
		here := t.TempDir()
		big := strings.Repeat("0123456789abcdef", 1<<20)
		plant(t, here, map[string]string{"big": big})
		pool := poolOf(t, s.Addr, 1)
		name := "big"
		if partial {
			name += ".part"
		}
		sent := func() (n int64) { // what the server has kept
			err := pool.Do(testContext(t), func(c *ftpclient.Client) (err error) {
				n, err = c.Size(testContext(t), name)
				return err
			})
			if _, refused := errors.AsType[*ftp.Error](err); err != nil && !refused {
				t.Fatal(err)
			}
			return n
		}
		once := func() {
			t.Helper()
			ctx, cancel := context.WithCancel(testContext(t))
			o := mirror.Options{Partial: partial, Begin: func(mirror.Step) mirror.Watcher {
				return watch{moved: func(n int64) {
					if n > 0 {
						cancel()
					}
				}}
			}}
			if _, err := mirror.Up(ctx, pool, here, ".", o); err == nil {
				t.Fatal("all was sent before it could be cut")
			}
		}
		cut := func() {
			t.Helper()
			for once(); sent() == 0; once() { // a busy server has taken nothing yet
			}
		}
		o := mirror.Options{Partial: partial, Continue: true}
		cut()
		there := sent()
		got, err := mirror.Up(testContext(t), pool, here, ".", o)
		if err != nil || got.Bytes != int64(len(big))-there {
			t.Errorf("went on with %+v, %v behind %d", got, err, there)
		}
		sameTree(t, here, dir)

		if err := os.Remove(filepath.Join(dir, "big")); err != nil {
			t.Fatal(err)
		}
		cut()
		later := strings.ToUpper(big)
		plant(t, here, map[string]string{"big": later})
		soon := time.Now().Add(time.Hour) // behind the part
		if err := os.Chtimes(filepath.Join(here, "big"), soon, soon); err != nil {
			t.Fatal(err)
		}
		if got, err = mirror.Up(testContext(t), pool, here, ".", o); err != nil || got.Bytes != int64(len(later)) {
			t.Errorf("changed: %+v, %v", got, err)
		}
		sameTree(t, here, dir)
	}
}

type watch struct{ moved func(int64) }

func (w watch) Here(int64)    {}
func (w watch) Moved(n int64) { w.moved(n) }
func (w watch) Done(error)    {}
