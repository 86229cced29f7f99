package ftpclient_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"

	"towpath/ftp"
	"towpath/ftpclient"
	"towpath/ftpserver"
	"towpath/ftptest"
	"towpath/storage/mem"
)

// patience is far more than any of these tests takes; it ends those that hang.
const patience = time.Minute

func testContext(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

// login opens a session with a server of ftptest.
func login(t testing.TB, addr string, change ...func(*ftpclient.Options)) *ftpclient.Client {
	t.Helper()
	o := ftpclient.Options{User: ftptest.User, Password: ftptest.Password, TLSConfig: ftptest.ClientTLS()}
	for _, f := range change {
		f(&o)
	}
	c, err := ftpclient.Dial(testContext(t), addr, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func explicit(o *ftpclient.Options) { o.TLS = ftpclient.Explicit }

func mode(m ftpclient.Mode) func(*ftpclient.Options) {
	return func(o *ftpclient.Options) { o.Mode = m }
}

// noise is data that no compression or pattern explains.
func noise(n int) []byte {
	b := make([]byte, n)
	r := rand.NewChaCha8([32]byte{1})
	_, _ = r.Read(b) // never fails
	return b
}

// TestSecurities moves files both ways in clear text and under each TLS, with a
// server that requires its session to be resumed.
func TestSecurities(t *testing.T) {
	t.Parallel()
	big := noise(3 << 20)
	for _, test := range []struct {
		name     string
		security ftpclient.Security
		version  uint16
	}{
		{"clear", ftpclient.Plain, 0},
		{"explicit TLS 1.2", ftpclient.Explicit, tls.VersionTLS12},
		{"explicit TLS 1.3", ftpclient.Explicit, tls.VersionTLS13},
		{"implicit TLS 1.2", ftpclient.Implicit, tls.VersionTLS12},
		{"implicit TLS 1.3", ftpclient.Implicit, tls.VersionTLS13},
	} {
		for _, m := range []ftpclient.Mode{ftpclient.EPSV, ftpclient.PASV, ftpclient.EPRT, ftpclient.PORT} {
			t.Run(fmt.Sprintf("%s/%v", test.name, m), func(t *testing.T) {
				t.Parallel()
				s := ftptest.Serve(t, ftptest.Files{"big": string(big), "empty": ""}, ftptest.TLS,
					func(o *ftpserver.Options) { o.Binding = ftpserver.BindRequire })
				addr := s.Addr
				if test.security == ftpclient.Implicit {
					addr = s.Implicit
				}
				c := login(t, addr, mode(m), func(o *ftpclient.Options) {
					o.TLS = test.security
					o.TLSConfig.MaxVersion = test.version
				})
				ctx := testContext(t)
				for range 2 {
					var got bytes.Buffer
					if n, err := c.Get(ctx, "big", &got); err != nil || n != int64(len(big)) || !bytes.Equal(got.Bytes(), big) {
						t.Fatalf("got %d bytes, %v", n, err)
					}
					if n, err := c.Get(ctx, "empty", &got); n != 0 || err != nil {
						t.Fatalf("empty: %d bytes, %v", n, err)
					}
					if n, err := c.Put(ctx, "up", bytes.NewReader(big)); err != nil || n != int64(len(big)) {
						t.Fatalf("put %d bytes, %v", n, err)
					}
					if n, err := c.Put(ctx, "none", strings.NewReader("")); err != nil || n != 0 {
						t.Fatalf("put nothing: %d bytes, %v", n, err)
					}
				}
				if s.File("up") != string(big) || s.File("none") != "" {
					t.Error("what was put is not what is there")
				}
				for _, a := range c.Attempts() {
					if a.Err != nil || a.Mode != m || a.Resumed != (test.security != ftpclient.Plain) {
						t.Errorf("attempt %+v: %v", a, a)
					}
				}
			})
		}
	}
}

// overheard is a dialer that keeps what is sent over its first connection.
type overheard struct {
	net.Dialer
	mu   sync.Mutex
	any  bool
	sent bytes.Buffer
}

func (o *overheard) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	c, err := o.Dialer.DialContext(ctx, network, addr)
	o.mu.Lock()
	defer o.mu.Unlock()
	if err == nil && !o.any {
		o.any = true
		return &taped{c, o}, nil
	}
	return c, err
}

type taped struct {
	net.Conn
	o *overheard
}

func (t *taped) Write(p []byte) (int, error) {
	t.o.mu.Lock()
	defer t.o.mu.Unlock()
	t.o.sent.Write(p)
	return t.Conn.Write(p)
}

// TestClearControlHere: with our own server, commands can be read on the way
// behind the login, and neither the password nor the data.
func TestClearControlHere(t *testing.T) {
	t.Parallel()
	big := noise(1 << 20)
	s := ftptest.Serve(t, ftptest.Files{"big": string(big)}, ftptest.TLS,
		func(o *ftpserver.Options) { o.Binding = ftpserver.BindRequire })
	for name, addr := range map[string]string{"explicit": s.Addr, "implicit": s.Implicit} {
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			t.Run(name+" "+tls.VersionName(version), func(t *testing.T) {
				t.Parallel()
				var tape overheard
				c := login(t, addr, explicit, func(o *ftpclient.Options) {
					if name == "implicit" {
						o.TLS = ftpclient.Implicit
					}
					o.TLSConfig.MaxVersion = version
					o.ClearControl = true
					o.Dialer = &tape
				})
				var got bytes.Buffer
				if _, err := c.Get(testContext(t), "big", &got); err != nil || !bytes.Equal(got.Bytes(), big) {
					t.Fatalf("got %d bytes, %v", got.Len(), err)
				}
				if _, err := c.Put(testContext(t), "up "+t.Name()[len("TestClearControlHere/"):], bytes.NewReader(big)); err != nil {
					t.Fatal(err)
				}
				for _, a := range c.Attempts() {
					if !a.Resumed {
						t.Errorf("%v: not resumed", a)
					}
				}
				tape.mu.Lock()
				defer tape.mu.Unlock()
				sent := tape.sent.String()
				if !strings.Contains(sent, "\r\nRETR big\r\n") {
					t.Error("RETR was not sent in clear")
				}
				for _, secret := range []string{"USER", "PASS", ftptest.Password, "PBSZ"} {
					if strings.Contains(sent, secret) {
						t.Errorf("%s was sent in clear", secret)
					}
				}
			})
		}
	}
}

// TestFiles moves between files and a clear socket, where the kernel does it.
func TestFiles(t *testing.T) {
	t.Parallel()
	big := noise(9<<20 + 1)
	s := ftptest.Serve(t, ftptest.Files{"big": string(big)})
	c, ctx := login(t, s.Addr), testContext(t)
	f, err := os.Create(filepath.Join(t.TempDir(), "f"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var seen []int64
	n, err := c.Get(ctx, "big", f, ftpclient.Progress(func(n int64) { seen = append(seen, n) }))
	if err != nil || n != int64(len(big)) {
		t.Fatalf("got %d bytes, %v", n, err)
	}
	if !slices.IsSorted(seen) || seen[len(seen)-1] != n {
		t.Errorf("progress was %v", seen)
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	if n, err = c.Put(ctx, "back", f); err != nil || n != int64(len(big)) {
		t.Fatalf("put %d bytes, %v", n, err)
	}
	if s.File("back") != string(big) {
		t.Error("what came back is not what went")
	}
}

func TestGetParts(t *testing.T) {
	t.Parallel()
	s := ftptest.Serve(t, ftptest.Files{"sea.txt": "0123456789", "lines": "a\nb\n"}, ftptest.TLS)
	for _, test := range []struct {
		name, file, want string
		options          []ftpclient.GetOption
	}{
		{"all", "sea.txt", "0123456789", nil},
		{"from", "sea.txt", "456789", []ftpclient.GetOption{ftpclient.From(4)}},
		{"first", "sea.txt", "012", []ftpclient.GetOption{ftpclient.First(3)}},
		{"none", "sea.txt", "", []ftpclient.GetOption{ftpclient.First(0)}},
		{"middle", "sea.txt", "456", []ftpclient.GetOption{ftpclient.From(4), ftpclient.First(3)}},
		{"more than there is", "sea.txt", "0123456789", []ftpclient.GetOption{ftpclient.First(99)}},
		{"text", "lines", "a\nb\n", []ftpclient.GetOption{ftpclient.Text()}},
		{"verified", "sea.txt", "0123456789", []ftpclient.GetOption{ftpclient.Verify()}},
	} {
		for name, o := range map[string]func(*ftpclient.Options){"clear": func(*ftpclient.Options) {}, "TLS": explicit} {
			t.Run(name+"/"+test.name, func(t *testing.T) {
				t.Parallel()
				c, ctx := login(t, s.Addr, o), testContext(t)
				var got bytes.Buffer
				if _, err := c.Get(ctx, test.file, &got, test.options...); err != nil || got.String() != test.want {
					t.Errorf("got %q, %v, want %q", got.String(), err, test.want)
				}
				if err := c.Noop(ctx); err != nil {
					t.Errorf("the session is of no use afterwards: %v", err)
				}
			})
		}
	}
}

func TestPutWays(t *testing.T) {
	t.Parallel()
	s := ftptest.Serve(t, ftptest.Files{"part": "01234", "log": "a\n"})
	c, ctx := login(t, s.Addr), testContext(t)
	whole := strings.NewReader("0123456789")
	if n, err := c.Put(ctx, "part", whole, ftpclient.Resume(), ftpclient.Verify()); n != 5 || err != nil {
		t.Errorf("resumed: %d bytes, %v", n, err)
	}
	if _, err := c.Put(ctx, "part", strings.NewReader("XY"), ftpclient.From(8)); err != nil {
		t.Error(err)
	}
	if n, err := c.Append(ctx, "log", strings.NewReader("b\n")); n != 2 || err != nil {
		t.Errorf("appended: %d bytes, %v", n, err)
	}
	if _, err := c.Put(ctx, "text", strings.NewReader("a\nb"), ftpclient.Text()); err != nil {
		t.Error(err)
	}
	w, err := c.Create(ctx, "made")
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if _, err := io.WriteString(w, "abc"); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"part": "01234567XY", "log": "a\nb\n", "text": "a\nb", "made": "abcabcabc"} {
		if got := s.File(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if _, err := c.Put(ctx, "made", strings.NewReader("abc"), ftpclient.Resume()); err == nil || !strings.Contains(err.Error(), "9 bytes") {
		t.Errorf("a copy that is shorter was resumed: %v", err)
	}
	if _, err := c.Create(ctx, "no/such/place"); err == nil {
		t.Error("a file was begun in a place that is not there")
	}
	if err := c.Noop(ctx); err != nil {
		t.Error(err)
	}
}

func TestGetResume(t *testing.T) {
	t.Parallel()
	s := ftptest.Serve(t, ftptest.Files{"sea.txt": "0123456789"})
	c, ctx := login(t, s.Addr), testContext(t)
	f, err := os.Create(filepath.Join(t.TempDir(), "sea.txt"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString("0123"); err != nil {
		t.Fatal(err)
	}
	for _, want := range []int64{6, 0} {
		if n, err := c.Get(ctx, "sea.txt", f, ftpclient.Resume(), ftpclient.Verify()); n != want || err != nil {
			t.Errorf("resumed: %d bytes, %v, want %d", n, err, want)
		}
	}
	if got, err := os.ReadFile(f.Name()); string(got) != "0123456789" || err != nil {
		t.Errorf("the file is %q, %v", got, err)
	}
	if _, err := f.WriteAt([]byte("X"), 0); err != nil {
		t.Fatal(err)
	}
	_, err = c.Get(ctx, "sea.txt", f, ftpclient.Resume(), ftpclient.Verify())
	if _, ok := errors.AsType[*ftpclient.HashError](err); !ok {
		t.Errorf("another beginning: %v, want a *HashError", err)
	}
}

// TestRefusals are errors that a caller can ask.
func TestRefusals(t *testing.T) {
	t.Parallel()
	s := ftptest.Serve(t, ftptest.Files{"d/f": "x"})
	c, ctx := login(t, s.Addr), testContext(t)
	_, getErr := c.Get(ctx, "nowhere", io.Discard)
	_, statErr := c.Stat(ctx, "nowhere")
	_, openErr := c.Open(ctx, "nowhere")
	for name, err := range map[string]error{"get": getErr, "stat": statErr, "open": openErr, "remove": c.Remove(ctx, "nowhere")} {
		e, ok := errors.AsType[*ftp.Error](err)
		if !ok || e.Reply.Code != 550 || !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := ftpclient.Dial(ctx, s.Addr, ftpclient.Options{User: "test", Password: "wrong"}); err == nil {
		t.Error("a wrong password let us in")
	} else if e, ok := errors.AsType[*ftp.Error](err); !ok || e.Reply.Code != 530 || strings.Contains(err.Error(), "wrong") {
		t.Errorf("a wrong password: %v", err)
	}
	if _, err := ftpclient.Dial(ctx, s.Addr, ftpclient.Options{TLS: ftpclient.Explicit}); !errors.Is(err, ftpclient.ErrNoTLS) {
		t.Errorf("a server without TLS: %v, want ErrNoTLS", err)
	}
}

// TestOneCommandALine: no name becomes a second command, by whatever method.
func TestOneCommandALine(t *testing.T) {
	t.Parallel()
	s := ftptest.Serve(t, ftptest.Files{"precious": "x", "x": "y"})
	c, ctx := login(t, s.Addr), testContext(t)
	for _, evil := range []string{"x\r\nDELE precious", "x\nDELE precious", "x\rDELE precious", "x\x00y"} {
		for name, f := range map[string]func() error{
			"get":     func() error { _, err := c.Get(ctx, evil, io.Discard); return err },
			"put":     func() error { _, err := c.Put(ctx, evil, strings.NewReader("")); return err },
			"append":  func() error { _, err := c.Append(ctx, evil, strings.NewReader("")); return err },
			"create":  func() error { _, err := c.Create(ctx, evil); return err },
			"open":    func() error { _, err := c.Open(ctx, evil); return err },
			"remove":  func() error { return c.Remove(ctx, evil) },
			"rmdir":   func() error { return c.Rmdir(ctx, evil) },
			"all":     func() error { return c.RemoveAll(ctx, evil) },
			"mkdir":   func() error { return c.Mkdir(ctx, evil) },
			"mkdirs":  func() error { return c.MkdirAll(ctx, evil) },
			"rename":  func() error { return c.Rename(ctx, "x", evil) },
			"renamed": func() error { return c.Rename(ctx, evil, "x") },
			"chmod":   func() error { return c.Chmod(ctx, evil, 0o644) },
			"time":    func() error { return c.SetTime(ctx, evil, time.Now()) },
			"size":    func() error { _, err := c.Size(ctx, evil); return err },
			"modtime": func() error { _, err := c.ModTime(ctx, evil); return err },
			"hash":    func() error { _, err := c.Hash(ctx, evil, "MD5"); return err },
			"stat":    func() error { _, err := c.Stat(ctx, evil); return err },
			"names":   func() error { _, err := c.Names(ctx, evil); return err },
			"quote":   func() error { _, err := c.Quote(ctx, ftp.Command{Verb: "DELE", Arg: evil}); return err },
			"list": func() error {
				for _, err := range c.List(ctx, evil) {
					return err
				}
				return nil
			},
			"user": func() error { _, err := ftpclient.Dial(ctx, s.Addr, ftpclient.Options{User: evil}); return err },
		} {
			if err := f(); !errors.Is(err, ftp.ErrLine) {
				t.Errorf("%s of %q: %v, want ftp.ErrLine", name, evil, err)
			}
		}
	}
	if s.File("precious") != "x" {
		t.Error("the file is gone")
	}
	if err := c.Noop(ctx); err != nil {
		t.Error(err)
	}
}

func TestTree(t *testing.T) {
	t.Parallel()
	s := ftptest.Serve(t, ftptest.Files{"a/b/c.txt": "c", "a/d.txt": "dd", "a/e/": ""})
	c, ctx := login(t, s.Addr), testContext(t)
	var got []string
	for f, err := range c.Walk(ctx, "a") {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, fmt.Sprint(f.Path, " ", f.Type))
	}
	slices.Sort(got)
	if diff := cmp.Diff([]string{"a/b dir", "a/b/c.txt file", "a/d.txt file", "a/e dir"}, got); diff != "" {
		t.Error(diff)
	}
	for range c.Walk(ctx, "a") { // a loop may end before the walk
		break
	}
	names, err := c.Names(ctx, "a")
	if slices.Sort(names); err != nil || len(names) != 3 {
		t.Errorf("names are %q, %v", names, err)
	}
	when := time.Date(2020, 2, 3, 4, 5, 6, 0, time.UTC)
	for _, err := range []error{
		c.MkdirAll(ctx, "x/y/z"), c.MkdirAll(ctx, "x/y/z"), c.Mkdir(ctx, "x/w"), c.Rmdir(ctx, "x/w"),
		c.Rename(ctx, "a/d.txt", "x/y/d.txt"), c.SetTime(ctx, "x/y/d.txt", when),
	} {
		if err != nil {
			t.Error(err)
		}
	}
	e, err := c.Stat(ctx, "x/y/d.txt")
	if err != nil || e.Name != "d.txt" || e.Size != 2 || !e.Time.Equal(when) {
		t.Errorf("stat: %+v, %v", e, err)
	}
	if at, err := c.ModTime(ctx, "x/y/d.txt"); err != nil || !at.Equal(when) {
		t.Errorf("time is %v, %v", at, err)
	}
	if n, err := c.Size(ctx, "x/y/d.txt"); err != nil || n != 2 {
		t.Errorf("size is %d, %v", n, err)
	}
	sum := sha256.Sum256([]byte("dd"))
	for range 2 {
		if got, err := c.Hash(ctx, "x/y/d.txt", "MD5"); err != nil || len(got) != 16 {
			t.Errorf("MD5 is %x, %v", got, err)
		}
		if got, err := c.Hash(ctx, "x/y/d.txt", "SHA-256"); err != nil || !bytes.Equal(got, sum[:]) {
			t.Errorf("SHA-256 is %x, %v", got, err)
		}
	}
	if err := c.MkdirAll(ctx, "x/y/d.txt"); !errors.Is(err, fs.ErrExist) {
		t.Errorf("a directory in place of a file: %v", err)
	}
	// A loop may use the client that it lists with.
	for e, err := range c.List(ctx, "a") {
		if err != nil {
			t.Fatal(err)
		}
		if err := c.RemoveAll(ctx, "a/"+e.Name); err != nil {
			t.Error(err)
		}
	}
	if err := errors.Join(c.RemoveAll(ctx, "a"), c.RemoveAll(ctx, "x"), c.RemoveAll(ctx, "x")); err != nil {
		t.Error(err)
	}
	for e, err := range c.List(ctx, "/") {
		t.Errorf("left over: %+v, %v", e, err)
	}
}

func TestFS(t *testing.T) {
	t.Parallel()
	files := ftptest.Files{"a/b/c.txt": "c", "a/d.txt": strings.Repeat("dd", 40_000), "e/": "", "f.txt": ""}
	s := ftptest.Serve(t, files)
	c := login(t, s.Addr)
	if err := fstest.TestFS(c.FS(testContext(t)), "a/b/c.txt", "a/d.txt", "e", "f.txt"); err != nil {
		t.Error(err)
	}
}

// TestOpen reads two files at the same time over one session.
func TestOpen(t *testing.T) {
	t.Parallel()
	one, two := noise(300<<10), noise(500 << 10)[100<<10:]
	s := ftptest.Serve(t, ftptest.Files{"one": string(one), "two": string(two)}, ftptest.TLS)
	c, ctx := login(t, s.Addr, explicit), testContext(t)
	f, err := c.Open(ctx, "one")
	if err != nil {
		t.Fatal(err)
	}
	g, err := c.Open(ctx, "two")
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range []struct {
		f    *ftpclient.File
		want []byte
	}{{f, one}, {g, two}} {
		b := make([]byte, 1000)
		for at := range 3 {
			if _, err := f.Seek(7, io.SeekStart); err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadFull(f, make([]byte, 1)); err != nil {
				t.Fatal(err)
			}
			if _, err := x.f.Seek(int64(at*1000), io.SeekStart); err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadFull(x.f, b); err != nil || !bytes.Equal(b, x.want[at*1000:at*1000+1000]) {
				t.Fatalf("at %d: %v", at, err)
			}
		}
		if _, err := x.f.Seek(0, io.SeekStart); err != nil {
			t.Fatal(err)
		}
		if err := iotest.TestReader(x.f, x.want); err != nil {
			t.Error(err)
		}
	}
	if err := errors.Join(f.Close(), g.Close()); err != nil {
		t.Error(err)
	}
	if _, err := f.Read(make([]byte, 1)); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("read after Close: %v", err)
	}
	if err := c.Noop(ctx); err != nil {
		t.Error(err)
	}
}

// TestCancel ends transfers in the middle; the session goes on.
func TestCancel(t *testing.T) {
	t.Parallel()
	s := ftptest.Serve(t, ftptest.Files{"big": string(noise(32 << 20)), "small": "s"}, ftptest.TLS)
	for name, o := range map[string]func(*ftpclient.Options){"clear": func(*ftpclient.Options) {}, "TLS": explicit} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := login(t, s.Addr, o)
			after := func(n int64, cancel func()) ftpclient.TransferOption {
				return ftpclient.Progress(func(moved int64) {
					if moved >= n {
						cancel()
					}
				})
			}
			for range 3 {
				ctx, cancel := context.WithCancel(testContext(t))
				if n, err := c.Get(ctx, "big", io.Discard, after(1<<20, cancel)); !errors.Is(err, context.Canceled) {
					t.Fatalf("get: %d bytes, %v", n, err)
				}
				ctx, cancel = context.WithCancel(testContext(t))
				if n, err := c.Put(ctx, "up "+name, iotest.DataErrReader(bytes.NewReader(noise(32<<20))), after(1<<20, cancel)); !errors.Is(err, context.Canceled) {
					t.Fatalf("put: %d bytes, %v", n, err)
				}
				ctx, cancel = context.WithCancel(testContext(t))
				cancel()
				if _, err := c.Stat(ctx, "small"); !errors.Is(err, context.Canceled) {
					t.Fatalf("stat: %v", err)
				}
				var b bytes.Buffer
				if _, err := c.Get(testContext(t), "small", &b); err != nil || b.String() != "s" {
					t.Fatalf("afterwards: %q, %v", b.String(), err)
				}
			}
		})
	}
}

// TestManyGoroutines share one client.
func TestManyGoroutines(t *testing.T) {
	t.Parallel()
	files := ftptest.Files{}
	for i := range 8 {
		files[fmt.Sprintf("d/f%d", i)] = strings.Repeat(fmt.Sprint(i), 1000*i)
	}
	s := ftptest.Serve(t, files, ftptest.TLS)
	c, ctx := login(t, s.Addr, explicit), testContext(t)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for range 5 {
				var b bytes.Buffer
				name := fmt.Sprintf("d/f%d", i)
				if _, err := c.Get(ctx, name, &b); err != nil || b.String() != files[name] {
					t.Errorf("%s: %d bytes, %v", name, b.Len(), err)
				}
				n := 0
				for _, err := range c.List(ctx, "d") {
					if err != nil {
						t.Error(err)
					}
					n++
				}
				if n != 8 {
					t.Errorf("%d entries", n)
				}
			}
		})
	}
	wg.Wait()
}

// TestPoolLearns the limit of a server, by 421 and by 530.
func TestPoolLearns(t *testing.T) {
	t.Parallel()
	var in atomic.Int32
	for name, limit := range map[string]ftptest.Option{
		"421": func(o *ftpserver.Options) { o.MaxSessions = 3 },
		"530": func(o *ftpserver.Options) {
			root := mem.New(ftptest.Files{"f": "x"})
			o.Login = func(ctx context.Context, l ftpserver.Login) (*ftpserver.User, error) {
				if in.Add(1) > 3 {
					in.Add(-1)
					return nil, ftpserver.ErrRefused
				}
				u, err := ftptest.Login(root)(ctx, l)
				u.Closed = func() { in.Add(-1) }
				return u, err
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := ftptest.Serve(t, ftptest.Files{"f": "x"}, limit)
			p, err := ftpclient.NewPool(s.Addr, ftpclient.Options{User: ftptest.User, Password: ftptest.Password}, 8)
			if err != nil {
				t.Fatal(err)
			}
			defer p.Close()
			ctx := testContext(t)
			var wg sync.WaitGroup
			var once sync.Once
			var busy atomic.Int32
			three := make(chan struct{})
			for range 8 {
				wg.Go(func() {
					err := p.Do(ctx, func(c *ftpclient.Client) error {
						defer busy.Add(-1)
						switch n := busy.Add(1); {
						case n > 3:
							t.Errorf("%d at the same time", n)
						case n == 3:
							once.Do(func() { close(three) })
						}
						select {
						case <-three:
						case <-ctx.Done():
						}
						_, err := c.Get(ctx, "f", io.Discard)
						return err
					})
					if err != nil {
						t.Error(err)
					}
				})
			}
			wg.Wait()
			if n := p.Limit(); n != 3 {
				t.Errorf("the limit learned is %d, want 3", n)
			}
		})
	}
}

func TestCompare(t *testing.T) {
	t.Parallel()
	s := ftptest.Serve(t, ftptest.Files{"f": "hemp", "empty": ""})
	c, ctx := login(t, s.Addr), testContext(t)
	if err := c.Compare(ctx, "f", strings.NewReader("hemp")); err != nil {
		t.Error(err)
	}
	if err := c.Compare(ctx, "empty", strings.NewReader("")); err != nil {
		t.Error(err)
	}
	err := c.Compare(ctx, "f", strings.NewReader("hemp rope"))
	if e, ok := errors.AsType[*ftpclient.HashError](err); !ok || e.Name != "f" || e.Algorithm != "SHA-256" || bytes.Equal(e.Local, e.Remote) {
		t.Errorf("another file: %v", err)
	}
	if err := c.Compare(ctx, "none", strings.NewReader("hemp")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
	broken := errors.New("broken")
	if err := c.Compare(ctx, "f", iotest.ErrReader(broken)); !errors.Is(err, broken) {
		t.Errorf("a reader that fails: %v", err)
	}
}

// An upload of the First n bytes leaves the rest unread, and one of fewer bytes
// than that ends where they do.
func TestPutFirst(t *testing.T) {
	t.Parallel()
	s := ftptest.Serve(t, nil)
	c, ctx := login(t, s.Addr), testContext(t)
	r := strings.NewReader("hemp rope")
	if n, err := c.Put(ctx, "f", r, ftpclient.First(4)); n != 4 || err != nil || s.File("f") != "hemp" || r.Len() != 5 {
		t.Errorf("sent %d, %v; the server has %q, %d are left", n, err, s.File("f"), r.Len())
	}
	if n, err := c.Put(ctx, "f", r, ftpclient.From(4), ftpclient.First(100)); n != 5 || err != nil || s.File("f") != "hemp rope" {
		t.Errorf("the rest: sent %d, %v; the server has %q", n, err, s.File("f"))
	}
	if n, err := c.Put(ctx, "f", strings.NewReader("hemp"), ftpclient.First(0)); n != 0 || err != nil || s.File("f") != "" {
		t.Errorf("none: sent %d, %v; the server has %q", n, err, s.File("f"))
	}
	at := filepath.Join(t.TempDir(), "f") // which the kernel sends
	if err := os.WriteFile(at, noise(1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(at)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	const n = 700_001
	if got, err := c.Put(ctx, "g", f, ftpclient.First(n)); got != n || err != nil || s.File("g") != string(noise(1 << 20)[:n]) {
		t.Errorf("of a file: sent %d, %v", got, err)
	}
}
