package progress

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"towpath/internal/columns"

	"github.com/google/go-cmp/cmp"
)

var writeGolden = flag.Bool("write-golden", false, "write testdata anew")

// golden compares what one sees with the file testdata/TEST-WHEN.golden.
func golden(t *testing.T, when, got string) {
	t.Helper()
	path := filepath.Join("testdata", strings.TrimPrefix(t.Name(), "Test")+"-"+when+".golden")
	if *writeGolden {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s: -want +got\n%s", path, diff)
	}
}

// wait lets time pass, and the painter paint.
func wait(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

const mib = 1 << 20

func TestOneFile(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &screen{t: t, width: 80}
		p := New(s, Options{Terminal: true})
		f := p.File("sea.iso", 10*mib)
		f.Add(mib)
		wait(time.Second)
		golden(t, "after-a-second", s.String())
		f.Add(8 * mib)
		wait(time.Second)
		golden(t, "nearly-done", s.String())
		f.Add(mib)
		f.Done(nil)
		if err := p.Close(); err != nil {
			t.Error(err)
		}
		golden(t, "at-the-end", s.String())
	})
}

// Names of any script keep the columns in line; what a name says to the
// terminal is not done.
func TestNames(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &screen{t: t, width: 80}
		p := New(s, Options{Terminal: true, Rows: 8})
		for _, name := range []string{
			"plain.txt",
			"東京の地図.pdf",
			"서울 지도.pdf",
			"ﾊﾝｶｸ.txt",
			"e\u0301te\u0301.txt",
			"\x1b[2J\x1b]0;x\a.txt",
			"\u202egnp.exe",
			"a-name-that-is-much-too-long-for-its-column.tar.gz",
		} {
			p.File(name, 1000).Add(500)
		}
		wait(time.Second)
		golden(t, "names", s.String())
		_ = p.Close() // a screen has no errors
	})
}

// The busiest files have rows, in the order in which they began; when fewer are
// busy, those that were done last fill up.
func TestBusiest(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &screen{t: t, width: 50}
		p := New(s, Options{Terminal: true, Rows: 2, Width: func() int { return 50 }})
		p.Expect(5, -1)
		var files []*File
		for i, n := range []int64{100, 300, 200, 400} {
			f := p.File(fmt.Sprint("file ", i), 1000)
			f.Add(n)
			files = append(files, f)
		}
		wait(time.Second)
		golden(t, "two-of-four", s.String())
		for i, f := range files[1:] {
			f.Add([]int64{700, 800, 600}[i])
			f.Done(nil)
		}
		wait(200 * time.Millisecond)
		golden(t, "one-is-left", s.String())
		files[0].Done(errors.New("426 cut"))
		p.File("file 4", 0).Done(nil)
		_ = p.Close() // a screen has no errors
		golden(t, "at-the-end", s.String())
	})
}

// A narrow terminal goes without columns; the widest shows all.
func TestWidths(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	r := row{name: "photographs.zip", share: "45%", at: "4.5 MiB", rate: "1.2 MiB/s", time: "1:02:03", fraction: 0.45}
	for _, width := range []int{100, 78, 71, 70, 60, 45, 36, 25, 10, 4, 1, 0} {
		text := r.text(width, false)
		if n := columns.Width(text); n > max(width, shareWidth) {
			t.Errorf("%d columns in %d: %q", n, width, text)
		}
		fmt.Fprintf(&b, "%3d %s\n", width, text)
	}
	golden(t, "widths", b.String())
}

// Where there is no terminal a line comes at intervals, and nothing when all is
// over before.
func TestLines(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var b lockedBuilder
		p := New(&b, Options{})
		f := p.File("sea.iso", 100*mib)
		f.Skip(50 * mib)
		f.Add(10 * mib)
		wait(10 * time.Second)
		g := p.File("new", -1)
		wait(10 * time.Second)
		fmt.Fprintln(p, "towpath: a warning")
		g.Done(errors.New("550 no \x1b[2Jsuch file"))
		f.Add(40 * mib)
		f.Done(nil)
		_ = p.Close() // a Builder has no errors
		golden(t, "lines", b.String())

		b.Reset()
		p = New(&b, Options{})
		f = p.File("short", 3)
		f.Add(3)
		f.Done(nil)
		_ = p.Close()
		golden(t, "a-short-one", b.String())
	})
}

func TestEvents(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var b lockedBuilder
		p := New(&b, Options{JSON: true, Terminal: true})
		f := p.File("sea<1>.iso", 1000)
		f.Skip(100)
		f.Add(400)
		wait(time.Second)
		fmt.Fprintln(p, "a warning")
		f.Add(500)
		f.Done(nil)
		p.File("x", -1).Done(errors.New("550 no"))
		_ = p.Close() // a Builder has no errors
		for l := range strings.Lines(b.String()) {
			if !json.Valid([]byte(l)) {
				t.Errorf("not JSON: %s", l)
			}
		}
		golden(t, "events", b.String())
	})
}

// Whatever else is said stands above the rows, once.
func TestNote(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &screen{t: t, width: 80}
		p := New(s, Options{Terminal: true, Color: true})
		f := p.File("a", 10)
		wait(time.Second)
		fmt.Fprintln(p, "a long warning that says what happened on the wire and what to try")
		f.Add(10)
		f.Done(nil)
		p.File("b", 10).Done(errors.New("550 no such file"))
		wait(time.Second)
		_ = p.Close() // a screen has no errors
		golden(t, "at-the-end", s.String())
	})
}

// Colours come only where they are asked for.
func TestColor(t *testing.T) {
	t.Parallel()
	for _, color := range []bool{false, true} {
		var b strings.Builder
		p := New(&b, Options{Terminal: true, Color: color})
		p.File("a", 0).Done(nil)
		p.File("b", 0).Done(errors.New("no"))
		_ = p.Close() // a Builder has no errors
		if got := strings.Contains(b.String(), green) && strings.Contains(b.String(), red); got != color {
			t.Errorf("color %t: %q", color, b.String())
		}
	}
}

// An error of the writer is told once, by Close, and disturbs nothing.
func TestWriterFails(t *testing.T) {
	t.Parallel()
	r, w := io.Pipe()
	full := errors.New("disk full")
	_ = r.CloseWithError(full) // never fails
	p := New(w, Options{Terminal: true})
	p.File("a", 1).Done(errors.New("x"))
	p.File("b", 1).Done(nil)
	if err := p.Close(); !errors.Is(err, full) {
		t.Errorf("%v, want %v", err, full)
	}
	if err := p.Close(); !errors.Is(err, full) {
		t.Errorf("again: %v, want %v", err, full)
	}
}

// Ten thousand files have one goroutine, and those that are done are forgotten.
func TestMany(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		before := runtime.NumGoroutine()
		p := New(io.Discard, Options{Terminal: true})
		files := make([]*File, 10000)
		for i := range files {
			files[i] = p.File(fmt.Sprint(i), 10)
			files[i].Add(10)
		}
		if n := runtime.NumGoroutine() - before; n > 50 { // those of other tests come and go
			t.Errorf("%d goroutines more", n)
		}
		var all sync.WaitGroup
		for part := range slices.Chunk(files, 2500) {
			all.Go(func() {
				for _, f := range part {
					f.Done(nil)
					f.Done(errors.New("the second call does not count"))
				}
			})
		}
		all.Wait()
		p.mu.Lock()
		kept, total := len(p.files), p.total()
		p.mu.Unlock()
		if kept > 5 {
			t.Errorf("%d files are kept", kept)
		}
		if total.done != 10000 || total.failed != 0 || total.at != 100000 || total.size != 100000 {
			t.Errorf("%+v", total)
		}
		_ = p.Close() // Discard has no errors
	})
}

// Sizes that no sum can be made of are none that is known.
func TestAbsurdSizes(t *testing.T) {
	t.Parallel()
	for _, done := range []int{0, 2, 3} {
		p := New(io.Discard, Options{Terminal: true})
		for i := range 3 {
			if f := p.File(fmt.Sprint(i), math.MaxInt64); i < done {
				f.Done(nil)
			}
		}
		p.mu.Lock()
		total := p.total()
		p.mu.Unlock()
		if total.size != -1 {
			t.Errorf("%d of 3 done: %+v", done, total)
		}
		_ = p.Close() // Discard has no errors
	}
}

// lockedBuilder is a strings.Builder for a painter beside its reader.
type lockedBuilder struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *lockedBuilder) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *lockedBuilder) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func (l *lockedBuilder) Reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.b.Reset()
}

func TestDetect(t *testing.T) {
	t.Parallel()
	f, err := os.Create(filepath.Join(t.TempDir(), "no terminal"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, tt := range []struct {
		env   map[string]string
		color bool
	}{
		{nil, false},
		{map[string]string{"CLICOLOR_FORCE": "1"}, true},
		{map[string]string{"CLICOLOR_FORCE": "0"}, false},
		{map[string]string{"CLICOLOR_FORCE": "1", "NO_COLOR": "1"}, false},
	} {
		o := Detect(f, func(name string) string { return tt.env[name] })
		if o.Terminal || o.Color != tt.color || o.Width() != 80 {
			t.Errorf("%v: terminal %t, color %t, width %d; want false, %t, 80", tt.env, o.Terminal, o.Color, o.Width(), tt.color)
		}
	}
}

func TestUnits(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		n    float64
		want string
	}{
		{0, "0 B"},
		{999, "999 B"},
		{1000, "1.0 KiB"},
		{1024, "1.0 KiB"},
		{10189, "10 KiB"},
		{1023 * 1024, "1.0 MiB"},
		{999 * 1024, "999 KiB"},
		{5 << 30, "5.0 GiB"},
		{1 << 62, "4.0 EiB"},
	} {
		if got := bytes(tt.n); got != tt.want || len(got) > len("999 KiB") {
			t.Errorf("%v: %q, want %q", tt.n, got, tt.want)
		}
	}
	for d, want := range map[time.Duration]string{
		-1: "", 0: "0:00", 59600 * time.Millisecond: "1:00", 61 * time.Second: "1:01", time.Hour: "1:00:00", 75 * time.Hour: "3d 03h",
	} {
		if got := clock(d); got != want {
			t.Errorf("%v: %q, want %q", d, got, want)
		}
	}
	for _, tt := range []struct {
		at, size int64
		want     string
	}{{0, -1, ""}, {0, 0, "100%"}, {1, 3, "33%"}, {999999, 1000000, "99%"}, {1000000, 1000000, "100%"}, {1 << 61, 1 << 62, "50%"}} {
		if got := share(tt.at, tt.size); got != tt.want {
			t.Errorf("%d of %d: %q, want %q", tt.at, tt.size, got, tt.want)
		}
	}
}
