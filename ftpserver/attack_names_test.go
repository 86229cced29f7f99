package ftpserver_test

import (
	"context"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"towpath/ftpserver"
	"towpath/ftptest"
	"towpath/storage"
	"towpath/storage/disk"
	"towpath/storage/mem"
)

// onDisk makes a tree of the host: a directory to serve, and beside it one that
// no client may reach, with a file "secret".
func onDisk(t *testing.T) (dir, outside string, option ftptest.Option) {
	t.Helper()
	top := t.TempDir()
	dir, outside = filepath.Join(top, "served"), filepath.Join(top, "outside")
	for _, d := range []string{dir, outside} {
		if err := os.Mkdir(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(outside, "secret"), []byte("secret"), 0o644); err != nil {
		t.Fatal(err)
	}
	fsys, err := disk.Open(dir, disk.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = fsys.Close() }) // nothing is written any more
	return dir, outside, ftptest.Root(fsys)
}

// However a name is written, it ends beneath the top.
func TestPathsEndAtTheTop(t *testing.T) {
	t.Parallel()
	dir, outside, root := onDisk(t)
	s := ftptest.Serve(t, nil, root)
	c := s.Login()
	c.Do("MKD a", 257)
	c.Do("CWD a", 250)
	for _, name := range []string{
		"../outside/secret", "../../outside/secret", "/../outside/secret", "/../../../../../../../../etc/passwd",
		"a/../../outside/secret", "./.././../outside/secret", "//../outside/secret", "..//outside///secret",
		"/etc/passwd", "~/secret", "~root/secret", outside + "/secret", "file://" + outside + "/secret",
		`..\outside\secret`, `\\host\share\secret`, `//host/share/secret`, `C:\secret`, "C:secret", `\\.\C:\secret`,
		"..%2foutside/secret", "%2e%2e/outside/secret", "..\u2215outside", "\xc0\xae\xc0\xae/outside/secret", ". ./outside/secret",
		"/proc/self/root/etc/passwd", "a/...//outside", "..;/outside/secret", "../served/../outside/secret",
	} {
		for _, verb := range []string{"SIZE", "MDTM", "MLST", "CWD", "DELE", "RNFR", "HASH", "XCRC", "RMD", "RMDA", "SITE CPFR", "SITE CHMOD 777", "STAT", "SITE UTIME 20260101000000"} {
			if r := alone(t, c, verb+" "+name); r != 550 && r != 553 {
				t.Errorf("C: %s %s\nS: %d, want 550", verb, name, r)
			}
		}
		c.Passive()
		c.Do("RETR "+name, 550)
	}
	// CDUP at the top stays there, and so does CWD.
	for _, line := range []string{"CDUP", "CDUP", "CWD ..", "CWD ../../..", "CWD /.."} {
		c.Do(line, 250)
	}
	if r := c.Do("PWD", 257); !strings.HasPrefix(r.Lines[0], `"/" `) {
		t.Errorf("S: %v", r)
	}
	c.Put("STOR ../../made", "x")
	made := filepath.Join(dir, "made") // at the top
	if _, err := os.Stat(made); err != nil {
		t.Error(err)
	}
	for _, line := range []string{"DELE a\x00b", "RETR made\x00.txt", "MKD \x00"} {
		c.Do(line, 500)
	}
	c.Do("RMDA /", 550)
	c.Do("RMD /", 550)
	c.Do("RNFR /", 550)
	if b, err := os.ReadFile(filepath.Join(outside, "secret")); err != nil || string(b) != "secret" {
		t.Errorf("the file outside holds %q, %v", b, err)
	}
	if _, err := os.Stat(made); err != nil {
		t.Error(err)
	}
}

// Links that lead out are neither read, written, listed through nor told.
func TestLinksLeadOut(t *testing.T) {
	t.Parallel()
	dir, outside, root := onDisk(t)
	links := map[string]string{
		"up": "../outside", "abs": outside, "file": "../outside/secret", "chain": "up", "far": "a/../../outside",
		"loop": "loop", "self": ".", "in": "a",
	}
	if err := os.Mkdir(filepath.Join(dir, "a"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, target := range links {
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Skipf("this system makes no links: %v", err)
		}
	}
	s := ftptest.Serve(t, nil, root, func(o *ftpserver.Options) { o.AllowSymlinks = true })
	c := s.Login()
	for _, name := range []string{"up/secret", "abs/secret", "file", "chain/secret", "far/secret", "loop", "self/self/up/secret"} {
		for _, line := range []string{"RETR ", "STOR ", "APPE "} {
			c.Passive()
			c.Do(line+name, 550)
		}
		for _, verb := range []string{"SIZE", "CWD", "HASH", "MLST", "MDTM", "SITE CPFR", "SITE CHMOD 777", "SITE UTIME 20260101000000", "MFMT 20260101000000"} {
			if code := alone(t, c, verb+" "+name); code != 550 && code != 501 {
				t.Errorf("C: %s %s\nS: %d, want 550", verb, name, code)
			}
		}
	}
	for _, line := range []string{"MKD up/new", "RMD up", "DELE up/secret", "RMDA up", "RNFR up/secret"} {
		c.Do(line, 550)
	}
	c.Put("STOR mine", "x")
	c.Do("RNFR mine", 350)
	c.Do("RNTO up/mine", 550)
	for _, target := range []string{"../outside/secret", outside + "/secret", "/../outside"} {
		if code := alone(t, c, "SITE SYMLINK "+target+" made"); code == 200 {
			// The target was taken for a name of the tree: it leads nowhere.
			c.Passive()
			c.Do("RETR made", 550)
			c.Do("DELE made", 250)
		}
	}
	for _, line := range []string{"LIST", "NLST", "MLSD"} {
		if got := c.Get(line); strings.Contains(got, outside) || strings.Contains(got, "secret") {
			t.Errorf("%s tells of what is outside:\n%s", line, got)
		}
	}
	c.Do("RMDA a", 250)
	if b, err := os.ReadFile(filepath.Join(outside, "secret")); err != nil || string(b) != "secret" {
		t.Errorf("the file outside holds %q, %v", b, err)
	}
	if got, err := os.ReadDir(outside); err != nil || len(got) != 1 {
		t.Errorf("outside are %v, %v", got, err)
	}
}

// While a directory turns into a link that leads out and back again, over and
// over, nobody gets through, neither in nor out.
func TestLinkRace(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("a directory cannot be renamed here while it is in use")
	}
	dir, outside, root := onDisk(t)
	d, l, x := filepath.Join(dir, "d"), filepath.Join(dir, "l"), filepath.Join(dir, "x")
	if err := os.Mkdir(d, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(d, "secret"), []byte("harmless"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(outside, l); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	swapped := make(chan error, 1)
	go func() {
		for ctx.Err() == nil {
			for _, move := range [][2]string{{d, x}, {l, d}, {d, l}, {x, d}} {
				if err := os.Rename(move[0], move[1]); err != nil {
					swapped <- err
					return
				}
			}
		}
		swapped <- nil
	}()
	s := ftptest.Serve(t, nil, root)
	c := s.Login()
	got := 0
	for i := range 300 {
		c.Passive()
		port := passivePort(t, c)
		c.Send("RETR d/secret")
		if r := c.Reply(); r.Code == 150 {
			b := make([]byte, 100)
			n, _ := connect(t, "127.0.0.1", port).Read(b) // the answer tells
			if string(b[:n]) != "harmless" {
				t.Fatalf("got %q", b[:n])
			}
			c.Expect(226)
			got++
		}
		c.Send(fmt.Sprintf("MKD d/made%d", i))
		c.Reply()
	}
	stop()
	if err := <-swapped; err != nil {
		t.Fatal(err)
	}
	if names, err := os.ReadDir(outside); err != nil || len(names) != 1 {
		t.Errorf("outside are %v, %v", names, err)
	}
	if got == 0 {
		t.Error("the file was never seen: the race was not run")
	}
}

// hostileNames are such as no client could make here.
var hostileNames = []string{
	"a\r\n226 done", "b\n213 End", "c\x1b[2J", "d\re", "e\x07\x08\x7f", "f\n\n", "200 ok\r\n", "g\xff", "h\xff\xf4", "\n", "i\tj",
	"k\r\ntype=file;size=1; l", "-rwxr-xr-x", "m\x80\x9b",
}

// oddTree shows hostile names that a real disk may hold, and knows them.
type oddTree struct {
	*mem.FS
	names []string
}

type oddInfo struct{ name string }

func (i oddInfo) Name() string     { return i.name }
func (oddInfo) Size() int64        { return 7 }
func (oddInfo) Mode() fs.FileMode  { return 0o644 }
func (oddInfo) ModTime() time.Time { return time.Unix(1e9, 0) }
func (oddInfo) IsDir() bool        { return false }
func (oddInfo) Sys() any           { return nil }

func (o *oddTree) List(context.Context, string) iter.Seq2[fs.FileInfo, error] {
	return func(yield func(fs.FileInfo, error) bool) {
		for _, n := range o.names {
			if !yield(oddInfo{n}, nil) {
				return
			}
		}
	}
}

func (o *oddTree) Stat(ctx context.Context, name string) (fs.FileInfo, error) {
	for _, n := range o.names {
		if name == "/"+n {
			return oddInfo{n}, nil
		}
	}
	return o.FS.Stat(ctx, name)
}

// holed is a tree in which one entry cannot be looked at.
type holed struct{ *mem.FS }

func (h holed) List(ctx context.Context, dir string) iter.Seq2[fs.FileInfo, error] {
	return func(yield func(fs.FileInfo, error) bool) {
		if !yield(nil, &fs.PathError{Op: "list", Path: path.Join(dir, "away"), Err: fs.ErrPermission}) {
			return
		}
		for fi, err := range h.FS.List(ctx, dir) {
			if !yield(fi, err) {
				return
			}
		}
	}
}

// What cannot be looked at is left out of a listing, and the rest is there.
func TestListingWithAHole(t *testing.T) {
	t.Parallel()
	s := ftptest.Serve(t, nil, ftptest.Root(holed{mem.New(map[string]string{"a": "A", "d/b": "B"})}))
	c := s.Login()
	for line, want := range map[string]string{"NLST": "a\r\n", "NLST d": "d/b\r\n", "NLST a*": "a\r\n"} {
		if got := c.Get(line); !strings.Contains(got, want) {
			t.Errorf("%s: %q, want %q in it", line, got, want)
		}
	}
}

// One name is one line, whatever it holds, on both connections.
func TestHostileNamesInListings(t *testing.T) {
	t.Parallel()
	fsys := &oddTree{mem.New(nil), hostileNames}
	for _, dos := range []bool{false, true} {
		s := ftptest.Serve(t, nil, ftptest.Root(fsys), func(o *ftpserver.Options) { o.DOSListing = dos })
		c := s.Login()
		for _, line := range []string{"LIST", "NLST", "MLSD", "LIST *", "NLST *"} {
			got := c.Get(line)
			if n := strings.Count(got, "\r\n"); n != len(hostileNames) {
				t.Errorf("%s: %d lines for %d names:\n%q", line, n, len(hostileNames), got)
			}
			bare := strings.ReplaceAll(got, "\r\n", "")
			if i := strings.IndexFunc(bare, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }); i >= 0 {
				t.Errorf("%s: a control byte at %q", line, bare[i:min(len(bare), i+20)])
			}
		}
		// On the control connection, by the byte: STAT has a first and a last line.
		if r := c.Do("STAT /", 213); len(r.Lines) != len(hostileNames)+2 {
			t.Errorf("STAT: %d lines for %d names: %q", len(r.Lines), len(hostileNames), r.Lines)
		}
		c.Do("NOOP", 200)
	}
}

// What a client can name, ESC and all, comes back escaped in every answer.
func TestHostileNamesInReplies(t *testing.T) {
	t.Parallel()
	const name = "x\x1b]0;y\x07z"
	fsys := &oddTree{mem.New(map[string]string{"d/a": "a"}), []string{name}}
	s := ftptest.Serve(t, nil, ftptest.Root(fsys))
	c := s.Login()
	for _, line := range []string{"MLST ", "SIZE ", "MDTM ", "STAT ", "CWD ", "DELE ", "RNFR ", "HASH ", "SITE CPFR ", "MFMT 20260101000000 ", "RETR ", "NLST "} {
		if strings.HasPrefix(line, "RETR") || strings.HasPrefix(line, "NLST") {
			c.Passive()
		}
		c.Send(line + name)
		r := c.Reply()
		if all := strings.Join(r.Lines, ""); strings.ContainsAny(all, "\x1b\x07") {
			t.Errorf("C: %s%q\nS: %q", line, name, all)
		}
		if r.Code == 150 {
			c.Do("ABOR", 426)
			c.Expect(226)
		}
	}
}

// No such name can be made.
func TestNamesThatCannotBeMade(t *testing.T) {
	t.Parallel()
	s := ftptest.Serve(t, ftptest.Files{"a": "a"})
	c := s.Login()
	for _, name := range []string{"x\x1b[2J", "x\x01", "x\x7f", "x\ty", strings.Repeat("x", 256), "/", ".", ".."} {
		for _, verb := range []string{"MKD ", "STOR ", "APPE ", "STOU "} {
			if verb != "MKD " {
				c.Passive()
			}
			c.Send(verb + name)
			if r := c.Reply(); r.Code != 553 && r.Code != 550 {
				t.Errorf("C: %s%q\nS: %v, want 553", verb, name, r)
			}
		}
		c.Do("RNFR a", 350)
		c.Send("RNTO " + name)
		if r := c.Reply(); r.Code != 553 && r.Code != 550 {
			t.Errorf("C: RNTO %q\nS: %v, want 553", name, r)
		}
		c.Do("SITE CPFR a", 350)
		c.Send("SITE CPTO " + name)
		if r := c.Reply(); r.Code != 553 && r.Code != 550 {
			t.Errorf("C: SITE CPTO %q\nS: %v, want 553", name, r)
		}
	}
	if got := c.Get("NLST"); got != "a\r\n" {
		t.Errorf("there are %q", got)
	}
}

// wide is a directory of very many names that are made up as they are asked for.
type wide struct {
	*mem.FS
	n      int
	name   string
	listed int
	peak   uint64 // of the heap
}

func (w *wide) List(ctx context.Context, _ string) iter.Seq2[fs.FileInfo, error] {
	return func(yield func(fs.FileInfo, error) bool) {
		for i := range w.n {
			w.listed = i + 1
			if i%10_000 == 0 {
				var m runtime.MemStats
				runtime.GC()
				runtime.ReadMemStats(&m)
				w.peak = max(w.peak, m.HeapAlloc)
			}
			if err := ctx.Err(); err != nil {
				yield(nil, err)
				return
			}
			if !yield(oddInfo{w.name}, nil) {
				return
			}
		}
	}
}

// A listing is streamed: its size is no matter of memory. It does not run
// beside other tests, since it measures the heap of all of them.
func TestWideDirectory(t *testing.T) {
	for _, line := range []string{"LIST", "MLSD", "NLST", "NLST n*e"} {
		fsys := &wide{FS: mem.New(nil), n: 200_000, name: "n" + strings.Repeat("x", 250) + "e"} // 50 MB of names
		s := ftptest.Serve(t, nil, ftptest.Root(fsys), func(o *ftpserver.Options) { o.MaxMatches = fsys.n })
		c := s.Login()
		port := passivePort(t, c)
		c.Do(line, 150)
		var before runtime.MemStats
		runtime.ReadMemStats(&before)
		d := connect(t, "127.0.0.1", port)
		lines, b := 0, make([]byte, 1<<16)
		for {
			n, err := d.Read(b)
			lines += strings.Count(string(b[:n]), "\n")
			if err != nil {
				break
			}
		}
		c.Expect(226)
		if lines != fsys.n {
			t.Errorf("%s: %d lines", line, lines)
		}
		if fsys.peak > before.HeapAlloc+16<<20 {
			t.Errorf("%s: the heap grew from %d to %d bytes", line, before.HeapAlloc, fsys.peak)
		}
	}
}

// STAT, whose answer is one reply, lists no more than it can hold.
func TestLongStat(t *testing.T) {
	t.Parallel()
	fsys := &wide{FS: mem.New(nil), n: 1_000_000, name: strings.Repeat("x", 255)}
	s := ftptest.Serve(t, nil, ftptest.Root(fsys))
	c := s.Login()
	c.Do("STAT /", 213)
	if fsys.listed > 2000 {
		t.Errorf("%d entries were looked at", fsys.listed)
	}
}

// Patterns have no braces, are no longer than a name, and what they cost does
// not grow by each star: this one would take an age if it did.
func TestGlobBomb(t *testing.T) {
	t.Parallel()
	fsys := &wide{FS: mem.New(nil), n: 1000, name: strings.Repeat("a", 255)}
	s := ftptest.Serve(t, nil, ftptest.Root(fsys))
	c := s.Login()
	for _, pattern := range []string{
		strings.Repeat("a*", 100) + "b", strings.Repeat("*", 250) + "b", strings.Repeat("*a", 100) + "?b", strings.Repeat("[a-a]*", 40) + "b",
	} {
		if got := c.Get("NLST " + pattern); got != "" {
			t.Errorf("%q matches", pattern)
		}
	}
	for _, pattern := range []string{strings.Repeat("*a", 2000), "[" + strings.Repeat("a-z", 1000) + "]", "[", "a[b-"} {
		c.Passive()
		c.Do("LIST "+pattern, 501)
		c.Do("STAT "+pattern, 501)
	}
	c.Passive()
	c.Do("LIST {a,b}{a,b}{a,b}", 550) // a name like others
	c.Passive()
	c.Do("LIST */*/*", 550) // one element only is a pattern
}

func TestMatchesAreCapped(t *testing.T) {
	t.Parallel()
	fsys := &wide{FS: mem.New(nil), n: 1_000_000, name: "a"}
	s := ftptest.Serve(t, nil, ftptest.Root(fsys), func(o *ftpserver.Options) { o.MaxMatches = 1000 })
	c := s.Login()
	port := passivePort(t, c)
	c.Do("NLST *", 150)
	connect(t, "127.0.0.1", port)
	c.Expect(451)
	if fsys.listed != 1001 {
		t.Errorf("%d entries were looked at, want 1001", fsys.listed)
	}
}

var _, _ storage.FS = (*wide)(nil), (*oddTree)(nil)
