package ftpclient_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"towpath/ftpclient"
)

// again has transfers taken up at once.
func again(o *ftpclient.Options) {
	o.Retries = 3
	o.Backoff = func(int) time.Duration { return 0 }
}

// TestPutFromSlowPipe: what comes out of a pipe more slowly than the server may
// be is all sent. The kernel moves nothing out of pipes, so that a deadline which
// strikes there would take what was read with it.
func TestPutFromSlowPipe(t *testing.T) {
	t.Parallel()
	v := play(t, &villain{})
	const patience = 2 * time.Second
	c := visit(t, v, func(o *ftpclient.Options) { o.StallTimeout = patience })
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	go func() {
		defer w.Close()
		for s := range strings.SplitSeq("one two three four five six seven eight", " ") { // more than can be said in time
			_, _ = io.WriteString(w, s)
			time.Sleep(patience / 5)
		}
	}()
	n, err := c.Put(testContext(t), "f", r)
	if n != 32 || err != nil || v.stored() != "onetwothreefourfivesixseveneight" {
		t.Errorf("%d bytes, %v; the server has %q", n, err, v.stored())
	}
}

// lateReader gives nothing before the server has ended the upload.
type lateReader struct {
	io.Reader
	asked func()
	ended chan struct{}
}

func (l *lateReader) Read(p []byte) (int, error) {
	l.asked()
	<-l.ended
	return l.Reader.Read(p)
}

type lateSeeker struct {
	lateReader
	io.Seeker
}

// TestNothingSentYet: a transfer may fail before its first byte has gone, and what
// was read for it is not lost to the next.
func TestNothingSentYet(t *testing.T) {
	t.Parallel()
	for _, seeks := range []bool{true, false} {
		var times atomic.Int32
		asked, ended := make(chan struct{}), make(chan struct{})
		v := play(t, &villain{on: map[string]func(*peer, string){"STOR": func(p *peer, arg string) {
			if times.Add(1) > 1 {
				p.right("STOR", arg)
				return
			}
			d := p.data("150 Go on.")
			<-asked
			_ = d.(*net.TCPConn).SetLinger(0)
			_ = d.Close()
			p.say("426 You took too long.")
		}}})
		c := visit(t, v, again, func(o *ftpclient.Options) {
			o.Trace = func(_ byte, line string) {
				if strings.HasPrefix(line, "426") {
					time.AfterFunc(50*time.Millisecond, func() { close(ended) })
				}
			}
		})
		content := string(noise(300_000))
		b := strings.NewReader(content)
		late := lateReader{b, sync.OnceFunc(func() { close(asked) }), ended}
		var r io.Reader = &late
		if seeks {
			r = &lateSeeker{late, b}
		}
		n, err := c.Put(testContext(t), "f", r)
		switch {
		case seeks && (err != nil || n != int64(len(content)) || v.stored() != content):
			t.Errorf("%d bytes, %v; the server has %d", n, err, len(v.stored()))
		case !seeks && (err == nil || v.stored() != ""):
			t.Errorf("of what cannot be read twice: %d bytes, %v; the server has %d", n, err, len(v.stored()))
		}
	}
}

// TestCancelledRestart: a REST whose answer nobody waited for is in force all the
// same, and not for the next transfer.
func TestCancelledRestart(t *testing.T) {
	t.Parallel()
	for name, rest := range map[string]func(*peer, string){
		"heeded":      func(p *peer, arg string) { p.right("REST", arg) },
		"not offered": func(p *peer, _ string) { p.say("502 No.") }, // and REST 0 is not either
	} {
		ctx, cancel := context.WithCancel(testContext(t))
		v := play(t, &villain{content: "0123456789"})
		v.on = map[string]func(*peer, string){"REST": func(p *peer, arg string) {
			cancel()
			rest(p, arg)
		}}
		c := visit(t, v)
		for ctx.Err() == nil {
			if _, err := c.Get(ctx, "f", io.Discard, ftpclient.From(4)); err == nil {
				t.Fatalf("%s: a cancelled Get succeeded", name)
			}
		}
		if got, err := fetch(t, c); got != "0123456789" || err != nil {
			t.Errorf("%s: got %q, %v", name, got, err)
		}
	}
}

// TestAllRefused: a server that refuses every login does so to all who take a
// session at the same time, and keeps none of them waiting.
func TestAllRefused(t *testing.T) {
	t.Parallel()
	const takers = 8
	for range 10 {
		var here atomic.Int32
		all := make(chan struct{})
		v := play(t, &villain{on: map[string]func(*peer, string){"PASS": func(p *peer, _ string) {
			if here.Add(1) == takers {
				close(all)
			}
			<-all
			p.say("530 Wrong.")
		}}})
		pool, err := ftpclient.NewPool(v.addr, ftpclient.Options{User: "u", Password: "p"}, takers)
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan error)
		for range takers {
			go func() {
				_, err := pool.Take(testContext(t))
				done <- err
			}()
		}
		for range takers {
			if err := <-done; err == nil || errors.Is(err, context.DeadlineExceeded) {
				t.Fatalf("taken, or waited for ever: %v", err)
			}
		}
	}
}

// TestResetIntoFile: a connection that is reset is a fault of the network, also
// when it is the kernel that moves the bytes into a file.
func TestResetIntoFile(t *testing.T) {
	t.Parallel()
	content := string(noise(1 << 20))
	var times atomic.Int32
	v := play(t, &villain{content: content, features: []string{"REST STREAM"}})
	moved := make(chan struct{}, 1)
	v.on = map[string]func(*peer, string){"RETR": func(p *peer, arg string) {
		if times.Add(1) > 1 {
			p.right("RETR", arg)
			return
		}
		d := p.data("150 Coming.")
		_, _ = io.WriteString(d, content[:300_000])
		<-moved // what is unread is dropped by the reset
		_ = d.(*net.TCPConn).SetLinger(0)
		_ = d.Close()
		p.say("426 Cut.")
	}}
	name := filepath.Join(t.TempDir(), "f")
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	n, err := visit(t, v, again).Get(testContext(t), "f", f, ftpclient.Progress(func(int64) {
		select {
		case moved <- struct{}{}:
		default:
		}
	}))
	got, _ := os.ReadFile(name)
	if n != int64(len(content)) || err != nil || string(got) != content {
		t.Errorf("%d bytes, %v; %d in the file; right: %v", n, err, len(got), bytes.Equal(got, []byte(content)))
	}
}

// TestDoneTooEarly: a server that says 226 behind a part of the file is not
// believed, if it was known how much was to come. One whose file has become
// shorter is.
func TestDoneTooEarly(t *testing.T) {
	t.Parallel()
	for _, shrunk := range []bool{false, true} {
		var times atomic.Int32
		v := &villain{content: "0123456789", features: []string{"MLST type*;size*;"}}
		v.on = map[string]func(*peer, string){
			"MLST": func(p *peer, _ string) { p.say("250-Here:", " type=file;size=10; f", "250 End") },
			"RETR": func(p *peer, arg string) {
				if times.Add(1) > 1 {
					p.right("RETR", arg)
					return
				}
				d := p.data("150 Coming.")
				_, _ = io.WriteString(d, "0123")
				_ = d.Close()
				if shrunk {
					p.store("0123")
				}
				p.say("226 Done.")
			},
		}
		play(t, v)
		var b bytes.Buffer
		_, err := visit(t, v).Get(testContext(t), "f", &b, ftpclient.Expect(10))
		if shrunk != (err == nil) || !shrunk && !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("4 of 10 bytes, shrunk %v: %v", shrunk, err)
		}
		if shrunk {
			continue
		}
		times.Store(0)
		c := visit(t, v)
		if got, err := fs.ReadFile(c.FS(testContext(t)), "f"); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("as a file: %q, %v", got, err)
		}
		times.Store(0)
		b.Reset()
		if _, err := visit(t, v, again).Get(testContext(t), "f", &b, ftpclient.Expect(10)); err != nil || b.String() != "0123456789" {
			t.Errorf("with retries: %q, %v", b.String(), err)
		}
	}
}

// TestRestartNotHeeded: a server says 350 to REST and begins at the beginning.
func TestRestartNotHeeded(t *testing.T) {
	t.Parallel()
	v := play(t, &villain{content: "0123456789", on: map[string]func(*peer, string){
		"REST": func(p *peer, _ string) { p.say("350 Yes, yes.") },
	}})
	f, err := os.Create(filepath.Join(t.TempDir(), "f"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString("0123"); err != nil {
		t.Fatal(err)
	}
	if _, err := visit(t, v).Get(testContext(t), "f", f, ftpclient.Resume()); !errors.Is(err, ftpclient.ErrRestart) {
		t.Errorf("14 bytes of 10: %v", err)
	}
}

// TestKeptAndNotTaken: the control connection is lost behind the last byte, and
// SIZE tells what the server has kept of the upload, which is not the file yet.
func TestKeptAndNotTaken(t *testing.T) {
	t.Parallel()
	for name, on := range map[string]map[string]func(*peer, string){
		"no file yet":  {"MLST": func(p *peer, _ string) { p.say("550 No such file.") }},
		"the old file": {"MLST": func(p *peer, _ string) { p.say("250-Here:", " type=file;size=2; f", "250 End") }},
		"as long as that": {
			"MLST":    func(p *peer, _ string) { p.say("250-Here:", " type=file;size=3; f", "250 End") },
			"XSHA256": func(p *peer, _ string) { p.say("250 " + strings.Repeat("ab", 32)) },
		},
	} {
		v := &villain{features: []string{"MLST type*;size*;", "SIZE"}, on: on}
		if on["XSHA256"] != nil {
			v.features = append(v.features, "XSHA256")
		}
		on["STOR"] = func(p *peer, _ string) {
			b, _ := io.ReadAll(p.data("150 Go on."))
			p.store(string(b))
			_ = p.conn.Close()
		}
		if _, err := visit(t, play(t, v)).Put(testContext(t), "f", strings.NewReader("abc")); !errors.Is(err, ftpclient.ErrPoisoned) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestOldFileIsNoBeginning: a server that replaces a file only when all has come
// shows the old one behind a cut upload.
func TestOldFileIsNoBeginning(t *testing.T) {
	t.Parallel()
	var times atomic.Int32
	v := play(t, &villain{content: "old", features: []string{"REST STREAM", "SIZE"}})
	v.on = map[string]func(*peer, string){"STOR": func(p *peer, arg string) {
		if times.Add(1) > 1 {
			p.right("STOR", arg)
			return
		}
		d := p.data("150 Go on.")
		_, _ = io.ReadFull(d, make([]byte, 100_000))
		_ = d.(*net.TCPConn).SetLinger(0)
		_ = d.Close()
		p.say("426 Cut.")
	}}
	content := noise(8 << 20)
	if _, err := visit(t, v, again).Put(testContext(t), "f", bytes.NewReader(content)); err != nil || v.stored() != string(content) {
		t.Errorf("%v; the server has %d bytes that begin with %q", err, len(v.stored()), v.stored()[:3])
	}
}

// TestEndNotTold: what was sent last did not go out, and the server took the
// reset for the end of the file.
func TestEndNotTold(t *testing.T) {
	t.Parallel()
	v := play(t, &villain{on: map[string]func(*peer, string){"STOR": func(p *peer, _ string) {
		d := p.data("150 Go on.")
		b := make([]byte, 3)
		_, _ = io.ReadFull(d, b)
		p.store(string(b))
		_ = d.(*net.TCPConn).SetLinger(0)
		_ = d.Close()
		p.say("226 All there.")
	}}})
	var told sync.Once
	said := make(chan struct{})
	c := visit(t, v, func(o *ftpclient.Options) {
		o.Trace = func(_ byte, line string) {
			if strings.HasPrefix(line, "226") {
				told.Do(func() { close(said) })
			}
		}
	})
	b := strings.NewReader("abcdef")
	_, err := c.Put(testContext(t), "f", io.MultiReader(b, &lateReader{strings.NewReader(""), func() {}, said}))
	if err == nil {
		t.Errorf("3 of 6 bytes are there (%q), and no error", v.stored())
	}
}

// TestCancelledVisit: a CWD whose answer nobody waits for any more leads there all
// the same, and the next name is not meant there.
func TestCancelledVisit(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(testContext(t))
	defer cancel()
	var at atomic.Value // where the session is
	at.Store("/home")
	v := play(t, &villain{content: "abc"})
	v.on = map[string]func(*peer, string){
		"PWD": func(p *peer, _ string) { p.say("257 \"/home\"") },
		"CWD": func(p *peer, dir string) {
			at.Store(dir)
			cancel()
			time.Sleep(50 * time.Millisecond) // so that nobody waits any more, which nobody tells
			p.say("250 Here.")
		},
		"SIZE": func(p *peer, _ string) { p.say("213 " + fmt.Sprint(len(at.Load().(string)))) },
	}
	c := visit(t, v)
	for _, err := range c.List(ctx, "a directory") {
		if !errors.Is(err, context.Canceled) {
			t.Fatalf("the listing: %v", err)
		}
	}
	if n, err := c.Size(testContext(t), "f"); n != int64(len("/home")) || err != nil {
		t.Errorf("SIZE was said in %v: %d, %v", at.Load(), n, err)
	}
}
