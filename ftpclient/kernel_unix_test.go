//go:build unix

package ftpclient_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"

	"towpath/ftpclient"
	"towpath/ftptest"
)

// TestGetToDevices writes to files that the kernel cannot splice into.
func TestGetToDevices(t *testing.T) {
	t.Parallel()
	s := ftptest.Serve(t, ftptest.Files{"big": string(noise(1 << 20))})
	c := login(t, s.Addr)
	open := func(name string, flags int) *os.File {
		f, err := os.OpenFile(name, flags, 0o600)
		if err != nil {
			t.Skip(err)
		}
		t.Cleanup(func() { _ = f.Close() })
		return f
	}
	if n, err := c.Get(testContext(t), "big", open("/dev/null", os.O_WRONLY)); n != 1<<20 || err != nil {
		t.Errorf("/dev/null took %d bytes, %v", n, err)
	}
	if _, err := os.Stat("/dev/full"); err == nil {
		if _, err := c.Get(testContext(t), "big", open("/dev/full", os.O_WRONLY)); !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("/dev/full: %v, want %v", err, syscall.ENOSPC)
		}
	}
	// As the shell's >> hands a file over: open for appending, and os.File does
	// not know.
	name := filepath.Join(t.TempDir(), "log")
	f := open(name, os.O_WRONLY|os.O_CREATE|os.O_APPEND)
	fd, err := syscall.Dup(int(f.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	inherited := os.NewFile(uintptr(fd), "stdout")
	defer inherited.Close()
	for range 2 {
		if n, err := c.Get(testContext(t), "big", inherited); n != 1<<20 || err != nil {
			t.Fatalf("an appended file took %d bytes, %v", n, err)
		}
	}
	if info, err := os.Stat(name); err != nil || info.Size() != 2<<20 {
		t.Errorf("the file has %v, %v", info, err)
	}
}

// TestLimited counts what a limiter is asked for, on the way through the kernel
// and through buffers.
func TestLimited(t *testing.T) {
	t.Parallel()
	big := noise(1 << 20)
	s := ftptest.Serve(t, ftptest.Files{"big": string(big)}, ftptest.TLS)
	for _, security := range []ftpclient.Security{ftpclient.Plain, ftpclient.Explicit} {
		c := login(t, s.Addr, func(o *ftpclient.Options) { o.TLS = security })
		f, err := os.Create(filepath.Join(t.TempDir(), "f"))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		l := &leaves{t: t}
		if n, err := c.Get(testContext(t), "big", f, ftpclient.Limited(l)); n != 1<<20 || err != nil {
			t.Errorf("get: %d, %v", n, err)
		}
		if n := l.asked.Swap(0); n < 1<<20 {
			t.Errorf("get of %d bytes had leave for %d", 1<<20, n)
		}
		if _, err := f.Seek(0, 0); err != nil {
			t.Fatal(err)
		}
		if n, err := c.Put(testContext(t), "up", f, ftpclient.Limited(l)); n != 1<<20 || err != nil {
			t.Errorf("put: %d, %v", n, err)
		}
		if n := l.asked.Swap(0); n < 1<<20 || s.File("up") != string(big) {
			t.Errorf("put of %d bytes had leave for %d", 1<<20, n)
		}
	}
}

// leaves gives leave for pieces of 10 kB at most.
type leaves struct {
	t     *testing.T
	asked atomic.Int64
}

func (l *leaves) Burst() int { return 10_000 }

func (l *leaves) WaitN(ctx context.Context, n int) error {
	if n < 1 || n > l.Burst() {
		l.t.Errorf("leave asked for %d bytes at once", n)
	}
	l.asked.Add(int64(n))
	return ctx.Err()
}

// TestPoolOfClient shares a session with a pool, which leaves it open.
func TestPoolOfClient(t *testing.T) {
	t.Parallel()
	s := ftptest.Serve(t, ftptest.Files{"a": "b"})
	c := login(t, s.Addr)
	if _, err := c.Pool(0); err == nil {
		t.Error("a pool of no sessions")
	}
	p, err := c.Pool(2)
	if err != nil {
		t.Fatal(err)
	}
	first, err := p.Take(testContext(t))
	if err != nil || first != c {
		t.Fatalf("first is not the client itself: %v", err)
	}
	second, err := p.Take(testContext(t))
	if err != nil || second == c {
		t.Fatalf("second: %v", err)
	}
	p.Give(first)
	p.Give(second)
	_ = p.Close()
	if c.Noop(testContext(t)) != nil || second.Err() == nil {
		t.Errorf("behind the end of the pool the client is %v, the other %v", c.Err(), second.Err())
	}
}
