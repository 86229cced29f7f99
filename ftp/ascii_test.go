package ftp

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

func TestASCII(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, local, wire, back string }{
		{"empty", "", "", ""},
		{"lines", "a\nb\n", "a\r\nb\r\n", "a\nb\n"},
		{"no end of line", "a\nb", "a\r\nb", "a\nb"},
		{"empty lines", "\n\n", "\r\n\r\n", "\n\n"},
		{"CRLF stays", "a\r\nb\n", "a\r\nb\r\n", "a\nb\n"},
		{"CR alone", "a\rb\r", "a\rb\r", "a\rb\r"},
		{"CR CRLF", "a\r\r\n", "a\r\r\n", "a\r\n"},
		{"LF behind CRLF", "\r\n\n", "\r\n\r\n", "\n\n"},
		{"bytes", "\x00\xff\n", "\x00\xff\r\n", "\x00\xff\n"},
		{"longer than a chunk", strings.Repeat("x\n", chunk), strings.Repeat("x\r\n", chunk), strings.Repeat("x\n", chunk)},
		{"CRLF over the end of a chunk", strings.Repeat("x", chunk-1) + "\r\n", strings.Repeat("x", chunk-1) + "\r\n", strings.Repeat("x", chunk-1) + "\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			for how, chunks := range dataChunkings {
				wire, err := io.ReadAll(chunks(NewASCIIReader(chunks(strings.NewReader(test.local)))))
				if string(wire) != test.wire || err != nil {
					t.Errorf("%s: to the wire: %.40q, %v, want %.40q", how, wire, err, test.wire)
				}
				var back bytes.Buffer
				w := NewASCIIWriter(&back)
				copyAll(t, w, chunks(strings.NewReader(test.wire)))
				if back.String() != test.back {
					t.Errorf("%s: from the wire: %.40q, want %.40q", how, &back, test.back)
				}
			}
			if n, err := ASCIISize(strings.NewReader(test.local)); n != int64(len(test.wire)) || err != nil {
				t.Errorf("ASCIISize = %d, %v, want %d", n, err, len(test.wire))
			}
		})
	}
}

var dataChunkings = map[string]func(io.Reader) io.Reader{
	"whole":           func(r io.Reader) io.Reader { return r },
	"halves":          iotest.HalfReader,
	"bytes":           iotest.OneByteReader,
	"error with data": iotest.DataErrReader,
}

// copyAll copies r to w in the pieces that r comes in, and closes w.
func copyAll(t *testing.T, w io.WriteCloser, r io.Reader) {
	t.Helper()
	if _, err := io.Copy(w, onlyReader{r}); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatalf("closed again: %v", err)
	}
}

type onlyReader struct{ io.Reader }

var errDisk = errors.New("disk failed")

func TestASCIIErrors(t *testing.T) {
	t.Parallel()
	src := func() io.Reader { return io.MultiReader(strings.NewReader("a\n"), iotest.ErrReader(errDisk)) }
	if b, err := io.ReadAll(NewASCIIReader(src())); string(b) != "a\r\n" || err != errDisk {
		t.Errorf("NewASCIIReader: %q, %v", b, err)
	}
	if n, err := ASCIISize(src()); err != errDisk {
		t.Errorf("ASCIISize: %d, %v", n, err)
	}
	w := NewASCIIWriter(fullDisk{})
	if n, err := w.Write([]byte("a\r")); n != 0 || err != errDisk {
		t.Errorf("Write: %d, %v", n, err)
	}
	if err := w.Close(); err != errDisk {
		t.Errorf("Close: %v", err)
	}
}

type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, errDisk }

func FuzzASCII(f *testing.F) {
	f.Add("a\nb\r\n\r\rc", uint8(2))
	f.Fuzz(func(t *testing.T, text string, n uint8) {
		wire, err := io.ReadAll(NewASCIIReader(&chunked{strings.NewReader(text), int(n) + 1}))
		if err != nil {
			t.Fatal(err)
		}
		if strings.Count(string(wire), "\n") != strings.Count(string(wire), "\r\n") {
			t.Fatalf("%q has a bare LF", wire)
		}
		var back bytes.Buffer
		copyAll(t, NewASCIIWriter(&back), &chunked{bytes.NewReader(wire), int(n) + 1})
		if want := strings.ReplaceAll(text, "\r\n", "\n"); back.String() != want {
			t.Fatalf("%q became %q on the wire and %q again, want %q", text, wire, &back, want)
		}
	})
}

func BenchmarkASCIIReader(b *testing.B) {
	text := strings.Repeat("a line of ordinary text, as it stands in a file\n", 20_000)
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ASCIISize(strings.NewReader(text)); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkASCIIWriter(b *testing.B) {
	wire := strings.Repeat("a line of ordinary text, as it stands in a file\r\n", 20_000)
	b.SetBytes(int64(len(wire)))
	b.ReportAllocs()
	for b.Loop() {
		w := NewASCIIWriter(io.Discard)
		if _, err := io.Copy(w, onlyReader{strings.NewReader(wire)}); err != nil {
			b.Fatal(err)
		}
	}
}
