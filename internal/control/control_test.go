package control

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// door is a socket whose process repeats names, and refuses to do anything else.
func door(t *testing.T) (path string, l net.Listener) {
	t.Helper()
	dir, err := os.MkdirTemp("", "control") // t.TempDir is too long a name for some systems
	if err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(dir, "s")
	l, err = Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- Serve(l, repeat) }()
	t.Cleanup(func() {
		_ = l.Close() // it may have been
		if err := errors.Join(<-done, os.RemoveAll(dir)); err != nil {
			t.Error(err)
		}
	})
	return path, l
}

func repeat(o Order) (any, error) {
	if o.Do != "repeat" {
		return nil, fmt.Errorf("%q: want repeat", o.Do)
	}
	return o.Names, nil
}

func TestAsk(t *testing.T) {
	t.Parallel()
	path, _ := door(t)
	var got []string
	if err := Ask(t.Context(), path, Order{Do: "repeat", Names: []string{"a", "b\n"}}, &got); err != nil || len(got) != 2 || got[1] != "b\n" {
		t.Errorf("%q, %v", got, err)
	}
	if err := Ask(t.Context(), path, Order{Do: "repeat"}, nil); err != nil {
		t.Error(err)
	}
	for want, o := range map[string]Order{
		`"dance": want repeat`:      {Do: "dance"},
		"an order says what to do":  {},
		"an order is one line of a": {Do: strings.Repeat("a", maxOrder)},
	} {
		if err := Ask(t.Context(), path, o, nil); err == nil || !strings.Contains(err.Error(), want) {
			// A line that is too long may find the door closed before it is said.
			if len(o.Do) < maxOrder || err == nil {
				t.Errorf("%v, want %q", err, want)
			}
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := Ask(ctx, path, Order{Do: "repeat"}, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

// A socket is its owner's, there is one for each name, and one that was left
// behind stands in nobody's way.
func TestListen(t *testing.T) {
	t.Parallel()
	path, l := door(t)
	if runtime.GOOS == "linux" { // others do not tell, or have no modes
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if mode := info.Mode().Perm(); mode != 0o600 {
			t.Errorf("mode %v", mode)
		}
	}
	if _, err := Listen(path); !errors.Is(err, ErrTaken) {
		t.Errorf("a second one: %v", err)
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false) // as after kill -9
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if err := Ask(t.Context(), path, Order{Do: "repeat"}, nil); err == nil {
		t.Error("somebody answers at a socket that was left behind")
	}
	again, err := Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := again.Close(); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(filepath.Dir(path), "file")
	if err := os.WriteFile(file, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Listen(file); err == nil || !strings.Contains(err.Error(), "something else is there") {
		t.Errorf("on a file: %v", err)
	}
	if _, err := Listen("/" + strings.Repeat("a", 200)); err == nil || !strings.Contains(err.Error(), "at most 107") {
		t.Errorf("a long name: %v", err)
	}
}

// Whatever is said, one line comes back, and what does something was an order.
func FuzzServe(f *testing.F) {
	f.Add([]byte(`{"do":"repeat","names":["a"]}` + "\n"))
	f.Add([]byte(`{"do":1}` + "\n"))
	f.Add([]byte("{}"))
	f.Fuzz(func(t *testing.T, said []byte) {
		var out bytes.Buffer
		done := false
		if err := serve(struct {
			io.Reader
			io.Writer
		}{bytes.NewReader(said), &out}, func(o Order) (any, error) {
			if o.Do == "" {
				t.Error("an order without words")
			}
			done = true
			return o, nil
		}); err != nil {
			t.Fatal(err)
		}
		var a answer
		if err := json.Unmarshal(out.Bytes(), &a); err != nil || (a.Error == "") != done {
			t.Errorf("%q is answered %q, %v", said, out.String(), err)
		}
	})
}
