package segments

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"

	"towpath/ftpclient"
	"towpath/ftpserver"
	"towpath/ftptest"
)

func TestPut(t *testing.T) {
	t.Parallel()
	for _, size := range []int{0, least, 5<<20 + 7} {
		for _, security := range []ftpclient.Security{ftpclient.Plain, ftpclient.Explicit} {
			r := newRig(t, 3, ftptest.Files{"d/f": "old"}, func(o *ftpclient.Options) { o.TLS = security }, ftptest.TLS)
			want := noise(size)
			if err := os.WriteFile(r.path, []byte(want), 0o600); err != nil {
				t.Fatal(err)
			}
			o := r.options(3)
			o.Verify = true
			var arrived int64
			o.Progress = func(n int64) { arrived = n }
			n, err := Put(r.context(), r.pool, r.path, "d/f", o)
			if err != nil || n != int64(size) || arrived != n || r.s.File("d/f") != want {
				t.Errorf("%d bytes: sent %d, told of %d: %v", size, n, arrived, err)
			}
			if parts := r.count("STOR d/.f."); size > 2*least && (parts != 3 || r.count("COMB") != 1) {
				t.Errorf("%d parts", parts)
			}
			r.alone("/d", "f")
		}
	}
}

// alone checks that nothing else is in a directory.
func (r *rig) alone(dir, name string) {
	r.t.Helper()
	for info, err := range r.s.Root.List(r.context(), dir) {
		if err != nil || info.Name() != name {
			r.t.Errorf("beside %s: %v, %v", name, info, err)
		}
	}
}

// What was cut goes on where the server says, whichever step it was in.
func TestPutResume(t *testing.T) {
	t.Parallel()
	r := newRig(t, 3, ftptest.Files{"d/": ""}, nil)
	want := noise(6 << 20)
	if err := os.WriteFile(r.path, []byte(want), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(r.context())
	o := r.options(3)
	o.Progress = func(n int64) {
		if n > 3<<20 {
			cancel()
		}
	}
	if _, err := Put(ctx, r.pool, r.path, "d/f", o); !errors.Is(err, context.Canceled) {
		t.Fatalf("a call that was cancelled ended by %v", err)
	}
	o = r.options(3)
	o.Resume = true
	if _, err := Put(r.context(), r.pool, r.path, "d/f", o); err != nil || r.s.File("d/f") != want {
		t.Fatalf("resumed: %v", err)
	}
	if r.count("REST") == 0 {
		t.Error("nothing was gone on with")
	}
	r.alone("/d", "f")
	// Joined, and not renamed: no byte is sent again.
	first := ""
	for _, l := range r.lines {
		if name, ok := strings.CutPrefix(l, "RNFR "); ok {
			first = name
		}
	}
	if err := r.s.Root.Rename(r.context(), "/d/f", "/"+first); err != nil {
		t.Fatal(err)
	}
	before := r.count("STOR")
	if _, err := Put(r.context(), r.pool, r.path, "d/f", o); err != nil || r.s.File("d/f") != want {
		t.Fatalf("renamed: %v", err)
	}
	if r.count("STOR") != before {
		t.Error("parts were sent again")
	}
}

// A server that allows two sessions, and one that joins nothing.
func TestPutWithLess(t *testing.T) {
	t.Parallel()
	r := newRig(t, 4, nil, nil, func(o *ftpserver.Options) { o.MaxPerAddress = 2 })
	want := noise(6 << 20)
	if err := os.WriteFile(r.path, []byte(want), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Put(r.context(), r.pool, r.path, "f", r.options(4)); err != nil || r.s.File("f") != want {
		t.Fatal(err)
	}
	if len(r.notes) != 1 || !strings.Contains(r.notes[0], "allowed 2 of 4") {
		t.Errorf("notes: %q", r.notes)
	}
	if _, err := Put(r.context(), r.pool, r.path, "none/f", r.options(4)); err == nil {
		t.Error("into a directory that is not there")
	}
}
