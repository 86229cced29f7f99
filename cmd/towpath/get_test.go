package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"towpath/ftptest"
	"towpath/storage"
	"towpath/storage/disk"
)

// gate is a tree whose files come as far as half of them, until it is opened.
type gate struct {
	storage.FS
	reached chan struct{} // closed when that has come to pass
	once    sync.Once
	open    chan struct{}
}

func (g *gate) Open(ctx context.Context, name string, offset int64) (io.ReadCloser, error) {
	f, err := g.FS.Open(ctx, name, offset)
	if err != nil {
		return nil, err
	}
	return &gated{f, g, ctx, 64 << 10}, nil
}

type gated struct {
	io.ReadCloser
	gate *gate
	ctx  context.Context
	left int
}

func (g *gated) Read(p []byte) (int, error) {
	if g.left == 0 {
		g.gate.once.Do(func() { close(g.gate.reached) })
		select {
		case <-g.gate.open:
			return g.ReadCloser.Read(p)
		case <-g.ctx.Done():
			return 0, g.ctx.Err()
		}
	}
	n, err := g.ReadCloser.Read(p[:min(len(p), g.left)])
	g.left -= n
	return n, err
}

// TestTwoGets: while a file comes, all others that fetch it end at once and tell
// why. The first goes on; and if it is killed, the next goes on where it was.
func TestTwoGets(t *testing.T) {
	t.Parallel()
	srv := t.TempDir()
	whole := []byte(content(3 << 20))
	if err := os.WriteFile(filepath.Join(srv, "sea.iso"), whole, 0o644); err != nil {
		t.Fatal(err)
	}
	tree, err := disk.Open(srv, disk.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tree.Close() })
	fast := ftptest.Serve(t, nil, ftptest.Root(tree)).URL("sea.iso")
	others := [][]string{{}, {"-c"}, {"--segments", "2"}, {"-c", "--segments", "2"}}
	for _, first := range others {
		for _, end := range []string{"ends", "is killed"} {
			t.Run(fmt.Sprint(first, end), func(t *testing.T) {
				t.Parallel()
				g := &gate{FS: tree, reached: make(chan struct{}), open: make(chan struct{})}
				slow := ftptest.Serve(t, nil, ftptest.Root(g)).URL("sea.iso")
				at := filepath.Join(t.TempDir(), "sea.iso")
				get := func(url string, flags ...string) *process {
					return start(t, command(t, "towpath", append(append([]string{"get", "--silent", "-o", at}, flags...), url)...))
				}
				p := get(slow, first...)
				select {
				case <-g.reached:
				case <-p.done:
					t.Fatal("it ended by itself")
				}
				for _, flags := range others {
					second := get(fast, flags...)
					if code := second.wait(); code != 23 || !strings.Contains(second.log.text(), at+".part: another transfer is writing it") {
						t.Errorf("get %v beside it ends with %d", flags, code)
					}
				}
				if end == "is killed" {
					p.kill()
					p = get(fast, "-c")
				}
				close(g.open)
				code := p.wait()
				if got, err := os.ReadFile(at); code != 0 || !bytes.Equal(got, whole) {
					t.Errorf("it ends with %d, and the file has %d bytes, %v: not those of the server", code, len(got), err)
				}
				if left, err := filepath.Glob(at + ".*"); err != nil || len(left) > 0 {
					t.Errorf("%q are left, %v", left, err)
				}
			})
		}
	}
}

// A file that is gone on with under its own name is held, too.
func TestTwoGetsInPlace(t *testing.T) {
	t.Parallel()
	whole := content(1 << 20)
	srv := t.TempDir()
	write(t, filepath.Join(srv, "log"), whole)
	tree, err := disk.Open(srv, disk.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tree.Close() })
	g := &gate{FS: tree, reached: make(chan struct{}), open: make(chan struct{})}
	slow, fast := ftptest.Serve(t, nil, ftptest.Root(g)), ftptest.Serve(t, nil, ftptest.Root(tree))
	at := filepath.Join(t.TempDir(), "log")
	write(t, at, whole[:1000])
	get := func(s *ftptest.Server) *process {
		return start(t, command(t, "towpath", "get", "-c", "--silent", "-o", at, s.URL("log")))
	}
	first := get(slow)
	select {
	case <-g.reached:
	case <-first.done:
		t.Fatal("it ended by itself")
	}
	second := get(fast)
	if code := second.wait(); code != 23 || !strings.Contains(second.log.text(), at+": another transfer is writing it") {
		t.Errorf("the second ends with %d", code)
	}
	close(g.open)
	if code := first.wait(); code != 0 || read(t, at) != whole {
		t.Errorf("the first ends with %d, and the file is not that of the server", code)
	}
}
