package ftpclient_test

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"towpath/ftp"
	"towpath/ftpclient"
	"towpath/ftpserver"
	"towpath/ftptest"
	"towpath/storage"
	"towpath/storage/mem"
)

// serveAt is a server at an address of its own, so that others are strangers to
// it.
func serveAt(t *testing.T, host string, files ftptest.Files, options ...ftptest.Option) *ftptest.Server {
	t.Helper()
	s := ftptest.Serve(t, files, options...)
	l, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		t.Skipf("this server needs an address of its own: %v", err)
	}
	go func() { _ = s.Serve(l) }() // ends with the server
	s.Addr = l.Addr().String()
	return s
}

// friendly lets servers exchange files.
func friendly(o *ftpserver.Options) { o.AllowForeign, o.AllowForeignData = true, true }

func TestFXP(t *testing.T) {
	t.Parallel()
	big := string(noise(3 << 20))
	for _, test := range []struct {
		name     string
		from, to ftptest.Option
	}{
		{"both may", friendly, friendly},
		{"the source connects", func(o *ftpserver.Options) { o.AllowForeign = true }, func(o *ftpserver.Options) { o.AllowForeignData = true }},
		{"the target connects", func(o *ftpserver.Options) { o.AllowForeignData = true }, func(o *ftpserver.Options) { o.AllowForeign = true }},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			from, to := serveAt(t, "127.0.0.2", ftptest.Files{"big": big}, test.from), serveAt(t, "127.0.0.3", nil, test.to)
			a, b := login(t, from.Addr), login(t, to.Addr)
			for _, name := range []string{"copy", "again"} {
				if err := ftpclient.FXP(testContext(t), a, "big", b, name); err != nil {
					t.Fatal(err)
				}
				if to.File(name) != big {
					t.Error("the copy is another")
				}
			}
			atRest(t, a, b)
		})
	}
}

// atRest checks that sessions have come to rest: each still moves a file.
func atRest(t *testing.T, clients ...*ftpclient.Client) {
	t.Helper()
	for _, c := range clients {
		if _, err := c.Put(testContext(t), "after", strings.NewReader("after")); err != nil {
			t.Errorf("a transfer after it: %v", err)
		}
	}
}

// Servers that refuse strangers are not talked into it, and nothing is changed.
func TestFXPRefused(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name     string
		from, to ftptest.Option
	}{
		{"as they are", nothing, nothing},
		{"the source only", friendly, nothing},
		{"the target only", nothing, friendly},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			from, to := serveAt(t, "127.0.0.2", ftptest.Files{"f": string(noise(3 << 20))}, test.from), serveAt(t, "127.0.0.3", ftptest.Files{"f": "old"}, test.to,
				func(o *ftpserver.Options) { o.AcceptTimeout = time.Second })
			a, b := login(t, from.Addr), login(t, to.Addr)
			for _, name := range []string{"f", "new"} {
				if err := ftpclient.FXP(testContext(t), a, "f", b, name); !errors.Is(err, ftpclient.ErrFXP) {
					t.Errorf("got %v", err)
				}
			}
			if to.File("f") != "old" {
				t.Errorf("the target holds %q", to.File("f"))
			}
			atRest(t, a, b)
		})
	}
}

func nothing(*ftpserver.Options) {}

// What either server refuses ends both, and the words are its own.
func TestFXPFails(t *testing.T) {
	t.Parallel()
	from, to := serveAt(t, "127.0.0.2", ftptest.Files{"f": "new"}, friendly, ftptest.TLS), serveAt(t, "127.0.0.3", ftptest.Files{"dir/": ""}, friendly, ftptest.TLS)
	a, b := login(t, from.Addr), login(t, to.Addr)
	if err := ftpclient.FXP(testContext(t), a, "none", b, "copy"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no source: %v", err)
	}
	if err := ftpclient.FXP(testContext(t), a, "f", b, "dir"); err == nil || errors.Is(err, ftpclient.ErrFXP) {
		t.Errorf("the target is a directory: %v", err)
	}
	if err := ftpclient.FXP(testContext(t), a, "f", b, "x\r\nDELE f"); err == nil {
		t.Error("a name with a line in it was sent")
	}
	if err := ftpclient.FXP(testContext(t), a, "f", a, "copy"); !errors.Is(err, ftpclient.ErrFXP) {
		t.Errorf("one session: %v", err)
	}
	secret := login(t, to.Addr, explicit)
	if err := ftpclient.FXP(testContext(t), a, "f", secret, "copy"); !errors.Is(err, ftpclient.ErrFXP) || !strings.Contains(err.Error(), "clear text") {
		t.Errorf("TLS on one side: %v", err)
	}
	if err := ftpclient.FXP(testContext(t), login(t, from.Addr, explicit), "f", secret, "copy"); !errors.Is(err, ftpclient.ErrFXP) || !strings.Contains(err.Error(), "SSCN") {
		t.Errorf("TLS on both: %v", err)
	}
	if _, err := to.Root.Stat(t.Context(), "/copy"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a target was made: %v", err)
	}
	atRest(t, a, b, secret)
}

// Both directions at once wait for each other, not for ever.
func TestFXPCrossed(t *testing.T) {
	t.Parallel()
	one, other := serveAt(t, "127.0.0.2", ftptest.Files{"a": "A"}, friendly), serveAt(t, "127.0.0.3", ftptest.Files{"b": "B"}, friendly)
	x, y := login(t, one.Addr), login(t, other.Addr)
	failed := make(chan error)
	for range 5 {
		go func() { failed <- ftpclient.FXP(testContext(t), x, "a", y, "a") }()
		go func() { failed <- ftpclient.FXP(testContext(t), y, "b", x, "b") }()
	}
	for range 10 {
		if err := <-failed; err != nil {
			t.Error(err)
		}
	}
	if one.File("b") != "B" || other.File("a") != "A" {
		t.Error("the copies are others")
	}
}

// limited sends a MiB per second.
func limited(o *ftpserver.Options) {
	in := o.Login
	o.Login = func(ctx context.Context, l ftpserver.Login) (*ftpserver.User, error) {
		u, err := in(ctx, l)
		if err == nil {
			u.DownloadRate = 1 << 20
		}
		return u, err
	}
}

// A context that ends stops both, and the sessions live.
func TestFXPCancelled(t *testing.T) {
	t.Parallel()
	from, to := serveAt(t, "127.0.0.2", ftptest.Files{"big": string(noise(32 << 20))}, friendly, limited), serveAt(t, "127.0.0.3", nil, friendly)
	ctx, cancel := context.WithCancel(testContext(t))
	defer cancel()
	b := login(t, to.Addr)
	a := login(t, from.Addr, func(o *ftpclient.Options) {
		o.Trace = func(dir byte, line string) {
			if dir == 'S' && strings.HasPrefix(line, "150") {
				cancel()
			}
		}
	})
	if err := ftpclient.FXP(ctx, a, "big", b, "copy"); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	atRest(t, a, b)
}

// brittle is a tree whose files break half-way.
type brittle struct {
	storage.FS
	whole int64 // how many bytes of a file come out, and go in
}

var errBroken = errors.New("the disk is broken")

func (b brittle) Open(ctx context.Context, name string, offset int64) (io.ReadCloser, error) {
	r, err := b.FS.Open(ctx, name, offset)
	return struct {
		io.Reader
		io.Closer
	}{io.MultiReader(io.LimitReader(r, b.whole), iotest.ErrReader(errBroken)), r}, err
}

func (b brittle) Create(ctx context.Context, name string, how storage.How) (storage.Writer, error) {
	w, err := b.FS.Create(ctx, name, how)
	return &brittleWriter{w, b.whole}, err
}

type brittleWriter struct {
	storage.Writer
	left int64
}

func (w *brittleWriter) Write(p []byte) (int, error) {
	if w.left -= int64(len(p)); w.left < 0 {
		return 0, errBroken
	}
	return w.Writer.Write(p)
}

// What breaks half-way on either side is an error, no copy, and both sessions go
// on; of a server that is gone the other one's session does.
func TestFXPBreaks(t *testing.T) {
	t.Parallel()
	big := string(noise(8 << 20))
	broken := func() ftptest.Option {
		return ftptest.Root(brittle{mem.New(ftptest.Files{"big": big}), 3 << 20})
	}
	for _, test := range []struct {
		name     string
		from, to ftptest.Option
	}{
		{"the source", broken(), nothing},
		{"the target", nothing, broken()},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			from, to := serveAt(t, "127.0.0.2", ftptest.Files{"big": big}, friendly, test.from), serveAt(t, "127.0.0.3", nil, friendly, test.to)
			a, b := login(t, from.Addr), login(t, to.Addr)
			if err := ftpclient.FXP(testContext(t), a, "big", b, "copy"); err == nil || errors.Is(err, ftpclient.ErrFXP) {
				t.Errorf("got %v", err)
			}
			if _, err := b.Stat(testContext(t), "copy"); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("half a file is there: %v", err)
			}
			atRest(t, a, b)
		})
	}
	for _, dies := range []string{"the source", "the target"} {
		t.Run(dies+" is gone", func(t *testing.T) {
			t.Parallel()
			servers := map[string]*ftptest.Server{
				"the source": serveAt(t, "127.0.0.2", ftptest.Files{"big": big}, friendly, limited),
				"the target": serveAt(t, "127.0.0.3", nil, friendly),
			}
			die := sync.OnceFunc(func() { _ = servers[dies].Close() })
			a := login(t, servers["the source"].Addr, func(o *ftpclient.Options) {
				o.Trace = func(dir byte, line string) {
					if dir == 'S' && strings.HasPrefix(line, "150") {
						go die()
					}
				}
			})
			b := login(t, servers["the target"].Addr)
			if err := ftpclient.FXP(testContext(t), a, "big", b, "copy"); err == nil {
				t.Error("half a file is a copy")
			}
			if dies == "the target" {
				atRest(t, a)
				return
			}
			if _, err := b.Stat(testContext(t), "copy"); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("half a file is there: %v", err)
			}
			atRest(t, b)
		})
	}
}

// A target may say late what broke, when the source has long been cut off and the
// target been told to end it.
func TestFXPSaysLate(t *testing.T) {
	t.Parallel()
	source := play(t, &villain{on: map[string]func(*peer, string){
		"SIZE": func(p *peer, _ string) { p.say("213 8") },
		"PORT": func(p *peer, _ string) { p.say("200 It is noted.") },
		"RETR": func(p *peer, _ string) { p.say("150 Here it comes.", "426 The data connection is broken.") },
	}})
	target := play(t, &villain{on: map[string]func(*peer, string){
		"SIZE": func(p *peer, _ string) { p.say("550 There is no such file.") },
		"STOR": func(p *peer, _ string) { p.say("150 I take it.") },
		"ABOR": func(p *peer, _ string) { p.say("451 The disk is broken.", "226 There is nothing to abort.") },
	}})
	a, b := visit(t, source), visit(t, target)
	err := ftpclient.FXP(testContext(t), a, "big", b, "copy")
	if e, ok := errors.AsType[*ftp.Error](err); !ok || e.Reply.Code != 451 || errors.Is(err, ftpclient.ErrFXP) {
		t.Errorf("got %v, want the 451 of the target", err)
	}
}

func TestCopy(t *testing.T) {
	t.Parallel()
	s := ftptest.Serve(t, ftptest.Files{"a": "hemp", "b": "rope"})
	c := login(t, s.Addr)
	ctx := testContext(t)
	if err := c.Copy(ctx, "a", "c"); err != nil || s.File("c") != "hemp" {
		t.Errorf("copy: %v", err)
	}
	if err := c.Copy(ctx, "none", "d"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("copy of nothing: %v", err)
	}
	if err := c.Copy(ctx, "a", "d\nDELE a"); err == nil {
		t.Error("a name with a line in it was sent")
	}
	if err := c.Join(ctx, "a", "b", "c"); err != nil || s.File("a") != "hempropehemp" {
		t.Errorf("join: %v, %q", err, s.File("a"))
	}
	if err := c.Join(ctx, "a", `"`); err == nil {
		t.Error("a name with a quote was sent")
	}
}
