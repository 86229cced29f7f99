package mem

import (
	"errors"
	"io"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"towpath/storage"
	"towpath/storage/storagetest"
)

func TestKit(t *testing.T) {
	t.Parallel()
	storagetest.Run(t, func(*testing.T) storage.FS { return New(nil) })
}

func TestKitLimited(t *testing.T) {
	t.Parallel()
	storagetest.Run(t, func(*testing.T) storage.FS {
		f := New(nil)
		f.Limit = 8 << 20
		return f
	})
}

func TestNew(t *testing.T) {
	t.Parallel()
	f := New(map[string]string{"a.txt": "a", "/d/e/f": "deep", "empty/": "", "/": ""})
	for dir, want := range map[string]map[string]int64{
		"/":      {"a.txt": 1, "d": 0, "empty": 0},
		"/d/e":   {"f": 4},
		"/empty": {},
	} {
		got := map[string]int64{}
		for in, err := range f.List(t.Context(), dir) {
			if err != nil {
				t.Fatal(err)
			}
			got[in.Name()] = in.Size()
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", dir, diff)
		}
	}
	for _, bad := range []map[string]string{{"a": "", "a/b": ""}, {"a\n": ""}, {"a": "", "/a": ""}} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%q made a tree", bad)
				}
			}()
			New(bad)
		}()
	}
}

// TestLimit counts every byte once, and gives it back.
func TestLimit(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	f := New(map[string]string{"old": "12345"})
	f.Limit = 20
	room := func(want int64) {
		t.Helper()
		if got, err := f.Available(ctx, "/"); got != want || err != nil {
			t.Errorf("%d bytes available, %v; want %d", got, err, want)
		}
	}
	write := func(name string, how storage.How, text string, want int) storage.Writer {
		t.Helper()
		w, err := f.Create(ctx, name, how)
		if err != nil {
			t.Fatal(err)
		}
		n, err := io.WriteString(w, text)
		if n != want || (n < len(text)) != errors.Is(err, storage.ErrFull) {
			t.Errorf("wrote %d bytes, %v; want %d", n, err, want)
		}
		return w
	}
	end := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	anna := storage.How{Owner: "anna"}
	room(15)
	end(write("/a", anna, "0123456789abcdefghij", 15).Abort(true))
	room(0)
	end(write("/a", anna, "0123456789", 10).Abort(true)) // instead of the first
	room(5)
	w := write("/a", storage.How{Owner: "anna", Append: true}, "abcdefgh", 5)
	end(w.Commit())
	room(0)
	if _, err := f.Create(ctx, "/old", storage.How{Append: true}); !errors.Is(err, storage.ErrFull) {
		t.Errorf("a copy without room: %v", err)
	}
	room(0)
	end(f.Remove(ctx, "/a"))
	room(15)
	end(write("/old", anna, "new", 3).Commit())
	room(17)
	end(write("/old", anna, "gone", 4).Abort(false))
	room(17)
	end(f.Mkdir(ctx, "/d"))
	end(write("/d/part", anna, "part", 4).Abort(true))
	room(13)
	end(f.Rmdir(ctx, "/d"))
	room(17)
	end(write("/x", anna, "xx", 2).Commit())
	end(f.Rename(ctx, "/x", "/old"))
	room(18)
}

func TestNow(t *testing.T) {
	t.Parallel()
	f := New(nil)
	then := time.Date(1971, time.April, 16, 0, 0, 0, 0, time.UTC)
	f.Now = func() time.Time { return then }
	w, err := f.Create(t.Context(), "/f", storage.How{})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Commit(); err != nil {
		t.Fatal(err)
	}
	in, err := f.Stat(t.Context(), "/f")
	if err != nil {
		t.Fatal(err)
	}
	if !in.ModTime().Equal(then) {
		t.Errorf("modified %v, want %v", in.ModTime(), then)
	}
}
