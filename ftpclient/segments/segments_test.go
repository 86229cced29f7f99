package segments

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"towpath/ftpclient"
	"towpath/ftpserver"
	"towpath/ftptest"
	"towpath/storage"
)

func noise(n int) string {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{byte(n)}).Read(b) // never fails
	return string(b)
}

// rig is a server, a pool of sessions with it, and what the user was told.
type rig struct {
	t     *testing.T
	s     *ftptest.Server
	pool  *ftpclient.Pool
	path  string
	mu    sync.Mutex
	notes []string
	lines []string // verbs of the dialogues
}

func newRig(t *testing.T, sessions int, files ftptest.Files, change func(*ftpclient.Options), options ...ftptest.Option) *rig {
	t.Helper()
	r := &rig{t: t, s: ftptest.Serve(t, files, options...), path: filepath.Join(t.TempDir(), "f.part")}
	o := ftpclient.Options{User: ftptest.User, Password: ftptest.Password, TLSConfig: ftptest.ClientTLS(), Trace: func(dir byte, line string) {
		if dir == 'C' {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.lines = append(r.lines, line)
		}
	}}
	if change != nil {
		change(&o)
	}
	var err error
	if r.pool, err = ftpclient.NewPool(r.s.Addr, o, sessions); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.pool.Close() })
	return r
}

func (r *rig) options(sessions int) Options {
	return Options{Sessions: sessions, Note: func(text string) { r.notes = append(r.notes, text) }}
}

func (r *rig) context() context.Context {
	ctx, cancel := context.WithTimeout(r.t.Context(), time.Minute)
	r.t.Cleanup(cancel)
	return ctx
}

// holds checks that path has the bytes of want, and nothing beside it.
func (r *rig) holds(want string) {
	r.t.Helper()
	got, err := os.ReadFile(r.path)
	if err != nil || string(got) != want {
		r.t.Errorf("the file has %d bytes, want the %d of the server: %v", len(got), len(want), err)
	}
	if Begun(r.path) {
		r.t.Error("the status is still there")
	}
}

func (r *rig) count(prefix string) (n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, l := range r.lines {
		if strings.HasPrefix(l, prefix) {
			n++
		}
	}
	return n
}

func TestGet(t *testing.T) {
	t.Parallel()
	for _, size := range []int{0, 1, least, 2*least - 1, 9<<20 + 3} {
		for _, security := range []ftpclient.Security{ftpclient.Plain, ftpclient.Explicit} {
			t.Run(fmt.Sprint(size, security), func(t *testing.T) {
				t.Parallel()
				want := noise(size)
				r := newRig(t, 4, ftptest.Files{"f": want}, func(o *ftpclient.Options) { o.TLS = security }, ftptest.TLS)
				o := r.options(4)
				o.Verify = true
				var arrived int64
				o.Progress = func(n int64) { arrived = n }
				n, err := Get(r.context(), r.pool, "f", r.path, o)
				if n != int64(size) || err != nil || arrived != n {
					t.Fatalf("got %d, %v; told of %d", n, err, arrived)
				}
				r.holds(want)
				if size > 4*least && r.count("REST") < 3 {
					t.Errorf("%d segments, want 4", r.count("REST")+1)
				}
				if r.notes != nil {
					t.Errorf("notes: %q", r.notes)
				}
			})
		}
	}
}

// Who fetches into one path holds it for all his sessions, and until it has its name.
func TestBusy(t *testing.T) {
	t.Parallel()
	want := noise(3 << 20)
	r := newRig(t, 2, ftptest.Files{"f": want}, nil)
	o := r.options(2)
	o.As, o.Mode = strings.TrimSuffix(r.path, ".part"), 0o604
	second := errors.New("not asked")
	o.Progress = func(n int64) {
		if n == 0 {
			for _, resume := range []bool{false, true} {
				_, second = Get(r.context(), r.pool, "f", r.path, Options{Resume: resume, As: r.path + "2"})
				if !errors.Is(second, ErrBusy) || !strings.Contains(second.Error(), "f.part: another") {
					t.Errorf("the second, resume %v: %v", resume, second)
				}
			}
		}
	}
	if _, err := Get(r.context(), r.pool, "f", r.path, o); err != nil || !errors.Is(second, ErrBusy) {
		t.Fatal(err, second)
	}
	left, err := filepath.Glob(r.path + "*")
	if err != nil || len(left) > 0 {
		t.Errorf("%q are left, %v", left, err)
	}
	r.path = o.As
	r.holds(want)
	if info, err := os.Stat(o.As); err != nil || runtime.GOOS != "windows" && info.Mode() != o.Mode {
		t.Errorf("its mode is %v, %v", info.Mode(), err)
	}
}

// A server that allows two sessions gets two.
func TestFewerSessions(t *testing.T) {
	t.Parallel()
	want := noise(8 << 20)
	r := newRig(t, 5, ftptest.Files{"f": want}, nil, func(o *ftpserver.Options) { o.MaxPerAddress = 2 })
	if _, err := Get(r.context(), r.pool, "f", r.path, r.options(5)); err != nil {
		t.Fatal(err)
	}
	r.holds(want)
	if len(r.notes) != 1 || !strings.Contains(r.notes[0], "allowed 2 of 5 sessions") {
		t.Errorf("notes: %q", r.notes)
	}
}

// slowly is a dialer whose first data connection moves bytes by drops.
type slowly struct {
	net.Dialer
	control string
	once    atomic.Bool
}

type slowConn struct{ net.Conn }

func (c slowConn) Read(p []byte) (int, error) {
	time.Sleep(20 * time.Millisecond)
	return c.Conn.Read(p[:min(len(p), 16<<10)])
}

func (d *slowly) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	c, err := d.Dialer.DialContext(ctx, network, addr)
	if err == nil && addr != d.control && !d.once.Swap(true) {
		return slowConn{c}, nil
	}
	return c, err
}

// What a slow session has is taken over by the others.
func TestTakeOver(t *testing.T) {
	t.Parallel()
	want := noise(16 << 20)
	d := &slowly{}
	r := newRig(t, 2, ftptest.Files{"f": want}, func(o *ftpclient.Options) { o.Dialer = d })
	d.control = r.s.Addr
	if _, err := Get(r.context(), r.pool, "f", r.path, r.options(2)); err != nil {
		t.Fatal(err)
	}
	r.holds(want)
	if n := r.count("RETR"); n < 3 {
		t.Errorf("%d transfers: nobody took over", n)
	}
}

// Resuming fetches what is missing, and nothing else.
func TestResume(t *testing.T) {
	t.Parallel()
	want := noise(12 << 20)
	r := newRig(t, 3, ftptest.Files{"f": want}, nil)
	ctx, cancel := context.WithCancel(r.context())
	o := r.options(3)
	o.Progress = func(n int64) {
		if n > 4<<20 {
			cancel()
		}
	}
	if _, err := Get(ctx, r.pool, "f", r.path, o); !errors.Is(err, context.Canceled) {
		t.Fatalf("a call that was cancelled ended by %v", err)
	}
	was, err := load(r.path)
	if err != nil || len(was.done) == 0 {
		t.Fatalf("status %v, %v", was, err)
	}
	before := int64(0)
	for _, d := range was.done {
		before += d.size()
	}
	o = r.options(3)
	o.Resume = true
	first := int64(-1)
	o.Progress = func(n int64) {
		if first < 0 {
			first = n
		}
	}
	if _, err := Get(r.context(), r.pool, "f", r.path, o); err != nil || first != before {
		t.Fatalf("resumed with %d of %d bytes: %v", first, before, err)
	}
	r.holds(want)
}

// A file without a status is the beginning that a plain download has left.
func TestResumePlain(t *testing.T) {
	t.Parallel()
	want := noise(6 << 20)
	r := newRig(t, 2, ftptest.Files{"f": want}, nil)
	if err := os.WriteFile(r.path, []byte(want[:5<<20]), 0o600); err != nil {
		t.Fatal(err)
	}
	o := r.options(2)
	o.Resume = true
	if _, err := Get(r.context(), r.pool, "f", r.path, o); err != nil {
		t.Fatal(err)
	}
	r.holds(want)
	if r.count("REST 5242880") != 1 || r.count("RETR") != 1 {
		t.Errorf("dialogue: %q", r.lines)
	}
}

// A status that cannot be relied upon is not: it begins anew and says why.
func TestStatusNotBelieved(t *testing.T) {
	t.Parallel()
	want := noise(3 << 20)
	for _, test := range []struct {
		name, note string
		spoil      func(s *status) []byte
		length     int
	}{
		{"damaged", "checksum", func(s *status) []byte { return bytes.Replace(s.format(), []byte("done 0"), []byte("done 1"), 1) }, len(want)},
		{"cut short", "checksum", func(s *status) []byte { b := s.format(); return b[:len(b)/2] }, len(want)},
		{"empty", "checksum", func(*status) []byte { return nil }, len(want)},
		{"of another file", "of another file", func(s *status) []byte { s.source = "elsewhere:21 f"; return s.format() }, len(want)},
		{"of another size", "has changed: it had 3145729 bytes", func(s *status) []byte { s.size++; return s.format() }, len(want)},
		{"of another time", "has changed: it was of", func(s *status) []byte { s.time = s.time.Add(time.Second); return s.format() }, len(want)},
		{"of a file that was cut", "status speaks of", func(s *status) []byte { return s.format() }, 1000},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, 2, ftptest.Files{"f": want}, nil)
			var s status
			err := r.pool.Do(r.context(), func(c *ftpclient.Client) (err error) {
				s, err = inspect(r.context(), c, "f")
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			// It says that all but a bit is there, and what is there is wrong.
			s.done = []span{{0, s.size - 1}}
			if err := os.WriteFile(r.path, make([]byte, test.length), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(r.path+Suffix, test.spoil(&s), 0o600); err != nil {
				t.Fatal(err)
			}
			o := r.options(2)
			o.Resume = true
			if _, err := Get(r.context(), r.pool, "f", r.path, o); err != nil {
				t.Fatal(err)
			}
			r.holds(want)
			if len(r.notes) != 1 || !strings.Contains(r.notes[0], "begins anew") || !strings.Contains(r.notes[0], test.note) {
				t.Errorf("notes: %q", r.notes)
			}
		})
	}
}

// A file that is replaced while it is fetched is not taken for whole.
func TestChangedMeanwhile(t *testing.T) {
	t.Parallel()
	for _, size := range []int{5 << 20, 3 << 20} {
		r := newRig(t, 2, ftptest.Files{"f": noise(4 << 20)}, nil)
		o := r.options(2)
		var once sync.Once
		o.Progress = func(n int64) {
			if n > 0 {
				once.Do(func() {
					w, err := r.s.Root.Create(t.Context(), "/f", storage.How{})
					if err == nil {
						_, err = w.Write([]byte(noise(size)))
					}
					if err == nil {
						err = w.Commit()
					}
					if err != nil {
						t.Error(err)
					}
				})
			}
		}
		if _, err := Get(r.context(), r.pool, "f", r.path, o); !errors.Is(err, ErrChanged) {
			t.Errorf("replaced by %d bytes: %v", size, err)
		}
	}
}

// withoutREST stands before a server that has no REST, and says so by FEAT or
// only when it is asked for it.
func withoutREST(t *testing.T, server string, silent bool) (addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	// lines goes over a connection by lines; those for which keep is false are
	// left out.
	lines := func(from, to net.Conn, keep func(string) bool) {
		defer from.Close()
		defer to.Close()
		for in := bufio.NewReader(from); ; {
			line, err := in.ReadString('\n')
			if err != nil {
				return
			}
			if keep(line) {
				_, _ = io.WriteString(to, line) // the end shows at the next read
			}
		}
	}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s, err := net.Dial("tcp", server)
			if err != nil {
				_ = c.Close()
				continue
			}
			go lines(s, c, func(line string) bool { return !silent || strings.TrimSpace(line) != "REST STREAM" })
			go lines(c, s, func(line string) bool {
				if !strings.HasPrefix(line, "REST ") {
					return true
				}
				_, _ = io.WriteString(c, "502 REST is not implemented here.\r\n") // as above
				return false
			})
		}
	}()
	return l.Addr().String()
}

// A server that cannot begin in the middle of a file gives it in one piece, also
// when a beginning of it is here.
func TestWithoutREST(t *testing.T) {
	t.Parallel()
	for name, silent := range map[string]bool{"not offered": true, "refused": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			want := noise(6 << 20)
			r := newRig(t, 3, ftptest.Files{"f": want}, nil)
			direct := r.pool
			var err error
			o := ftpclient.Options{User: ftptest.User, Password: ftptest.Password}
			if r.pool, err = ftpclient.NewPool(withoutREST(t, r.s.Addr, silent), o, 3); err != nil {
				t.Fatal(err)
			}
			defer func() { _ = r.pool.Close() }()
			one := r.options(3)
			one.Verify = true
			if _, err := Get(r.context(), r.pool, "f", r.path, one); err != nil {
				t.Fatal(err)
			}
			r.holds(want)
			if len(r.notes) == 0 || !strings.Contains(r.notes[0], "cannot begin in the middle of a file") {
				t.Errorf("notes: %q", r.notes)
			}
			// Begun elsewhere, or before the server had lost its REST.
			ctx, cancel := context.WithCancel(r.context())
			part := r.options(3)
			part.Progress = func(n int64) {
				if n > 2<<20 {
					cancel()
				}
			}
			if _, err := Get(ctx, direct, "f", r.path, part); !errors.Is(err, context.Canceled) {
				t.Fatalf("a call that was cancelled ended by %v", err)
			}
			one.Resume = true
			if _, err := Get(r.context(), r.pool, "f", r.path, one); err != nil {
				t.Fatal(err)
			}
			r.holds(want)
		})
	}
}

// What fails for good says so, and what is there is kept.
func TestRefused(t *testing.T) {
	t.Parallel()
	r := newRig(t, 2, ftptest.Files{"f": noise(4 << 20)}, nil)
	if _, err := Get(r.context(), r.pool, "none", r.path, r.options(2)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file that is not there: %v", err)
	}
	if _, err := Get(r.context(), r.pool, "f", filepath.Join(r.path, "none"), r.options(2)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a directory that is not there: %v", err)
	}
}

// TestPlan plays a plan with made-up speeds: each byte is moved by somebody, and
// the end is reached.
func TestPlan(t *testing.T) {
	t.Parallel()
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 1))
		size := r.Int64N(64 << 20)
		var done []span
		for range r.IntN(4) {
			from := r.Int64N(size + 1)
			done = append(done, span{from, from + r.Int64N(size-from+1)})
		}
		n := 1 + r.IntN(6)
		p := newPlan(size, done, n)
		moved := make([]*segment, n)
		now := time.Unix(0, 0)
		for steps := 0; len(p.todo)+len(p.running) > 0; steps++ {
			if steps > 1_000_000 {
				t.Fatalf("seed %d: no end: %+v", seed, p)
			}
			i := r.IntN(n)
			now = now.Add(time.Duration(r.Int64N(int64(time.Second))))
			switch {
			case moved[i] == nil:
				moved[i] = p.next(now)
			case r.IntN(20) == 0, p.moved(moved[i], moved[i].at+r.Int64N(4<<20)>>(4*i)):
				p.ended(moved[i])
				moved[i] = nil
			}
		}
		if want := merge([]span{{0, size}}); !cmp.Equal(p.arrived(), want, cmp.AllowUnexported(span{})) || p.count() != size {
			t.Fatalf("seed %d: arrived %v of %d", seed, p.arrived(), size)
		}
	}
}

func FuzzStatus(f *testing.F) {
	f.Add([]byte(nil))
	f.Add(status{source: "h:21 a\n\"b\"", size: 10, time: time.Unix(1, 5), done: []span{{0, 3}, {4, 10}}}.format())
	f.Add(status{}.format())
	f.Fuzz(func(t *testing.T, text []byte) {
		_, _ = parseStatus(fmt.Appendf(nil, "%s\nsum %x\n", text, sha256.Sum256(append(bytes.Clone(text), '\n')))) // must not panic
		s, err := parseStatus(text)
		if err != nil {
			// No checksum comes about by chance: look behind it.
			s = status{source: string(text), size: int64(len(text)), time: time.Unix(int64(len(text)), 0)}
			for i := 0; i+1 < len(text); i += 2 {
				s.done = append(s.done, span{int64(i), int64(i + 1)})
			}
			text = s.format()
			if s, err = parseStatus(text); err != nil {
				t.Fatalf("%q: %v", text, err)
			}
		}
		if got := s.format(); !bytes.Equal(got, text) {
			t.Fatalf("%q is written again as %q", text, got)
		}
	})
}
