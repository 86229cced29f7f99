package ftp

import (
	"bytes"
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
)

func TestReadLine(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", MaxLine)
	for _, test := range []struct {
		name, wire string
		want       []string // an error is its text in < >
	}{
		{"CRLF", "USER a\r\nPASS b\r\n", []string{"USER a", "PASS b"}},
		{"LF alone: netcat", "USER a\nPASS b\n", []string{"USER a", "PASS b"}},
		{"empty lines: NAT devices", "\r\n\nNOOP\r\n", []string{"", "", "NOOP"}},
		{"CR inside stays", "DELE a\rb\r\r\n", []string{"DELE a\rb\r"}},
		{"NUL stays", "DELE a\x00\r\n", []string{"DELE a\x00"}},
		{"cut", "NOOP\r\nNO", []string{"NOOP", "<unexpected EOF>"}},
		{"the longest line", long + "\r\nNOOP\r\n", []string{long, "NOOP"}},
		{"one byte more", long + "x\r\nNOOP\r\n", []string{"<line or reply too long>", "NOOP"}},
		{"much more", strings.Repeat(long, 9) + "\nNOOP\r\n", []string{"<line or reply too long>", "NOOP"}},
		{"too long and cut", long + long, []string{"<unexpected EOF>"}},
		{"names in Windows-1251", "STOR \xe7\xe5\xec\xeb\xff.txt\r\n", []string{"STOR \xe7\xe5\xec\xeb\xff.txt"}},

		{"ABOR: tnftp, inetutils-ftp", "\xff\xf4\xf2ABOR\r\n", []string{"ABOR"}},
		{"ABOR: ncftp", "\xff\xf4\xffABOR\r\n", []string{"ABOR"}},
		{"ABOR: all of Synch in line", "\xff\xf4\xff\xf2ABOR\r\n", []string{"ABOR"}},
		{"ABOR: Synch alone", "\xff\xf2ABOR\r\n", []string{"ABOR"}},
		{"ABOR: plain", "ABOR\r\n", []string{"ABOR"}},
		{"ABOR: twice", "\xff\xf4\xf2ABOR\r\n\xff\xf4\xffABOR\r\n", []string{"ABOR", "ABOR"}},
		{"ABOR: Interrupt alone", "\xff\xf4ABOR\r\n", []string{"ABOR"}},
		{"ABOR: inside a line", "RETR a\xff\xf4\xf2\r\nABOR\r\n", []string{"RETR a", "ABOR"}},

		{"options: telnet", "\xff\xfb\x18\xff\xfd\x03\xff\xfc\x01\xff\xfe\x0aNOOP\r\n", []string{"NOOP"}},
		{"an option that looks like LF", "\xff\xfb\nNOOP\r\n", []string{"NOOP"}},
		{"no operation, are you there, go ahead", "NO\xff\xf1O\xff\xf6\xff\xf9P\r\n", []string{"NOOP"}},
		{"0xFF doubled", "CWD \xff\xff\r\n", []string{"CWD \xff"}},
		{"0xFF doubled in front of 0xF4", "CWD \xff\xff\xf4\r\n", []string{"CWD \xff\xf4"}},
		{"0xFF four times", "CWD \xff\xff\xff\xff\r\n", []string{"CWD \xff\xff"}},
		{"0xFF at the end", "CWD \xff\r\nCWD \xff\n", []string{"CWD \xff", "CWD \xff"}},
		{"DM without IAC IP is text", "CWD \xf2\r\n", []string{"CWD \xf2"}},
		{"Telnet in a line of full length", long[:MaxLine-1] + "\xff\xf1y\r\n", []string{long[:MaxLine-1] + "y"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			for how, chunks := range chunkings {
				got := readLines(t, chunks(strings.NewReader(test.wire)))
				if diff := cmp.Diff(test.want, got); diff != "" {
					t.Errorf("%s: %s", how, diff)
				}
			}
		})
	}
}

var chunkings = map[string]func(io.Reader) io.Reader{
	"whole":           func(r io.Reader) io.Reader { return r },
	"halves":          iotest.HalfReader,
	"bytes":           iotest.OneByteReader,
	"error with data": iotest.DataErrReader,
	"timeouts":        func(r io.Reader) io.Reader { return &hesitant{r: r} },
}

// hesitant gives one byte at a time and a timeout in front of each.
type hesitant struct {
	r     io.Reader
	ready bool
}

func (h *hesitant) Read(p []byte) (int, error) {
	if h.ready = !h.ready; h.ready {
		return 0, os.ErrDeadlineExceeded
	}
	return h.r.Read(p[:1])
}

// readLines reads all lines; errors are lines in < >.
func readLines(t *testing.T, src io.Reader) []string {
	t.Helper()
	var lines []string
	r := NewReader(src)
	for {
		line, err := r.ReadLine()
		switch {
		case err == io.EOF:
			return lines
		case errors.Is(err, os.ErrDeadlineExceeded):
		case err == nil:
			lines = append(lines, line)
		default:
			lines = append(lines, "<"+err.Error()+">")
			if err == io.ErrUnexpectedEOF {
				return lines
			}
		}
	}
}

func TestReadReplyAfterTimeout(t *testing.T) {
	t.Parallel()
	r := NewReader(&hesitant{r: strings.NewReader("\r\n211-Features:\r\n SIZE\r\n211 End\r\n")})
	for {
		got, err := r.ReadReply()
		if errors.Is(err, os.ErrDeadlineExceeded) {
			continue
		}
		if diff := cmp.Diff(NewReply(211, "Features:\n SIZE\nEnd"), got); diff != "" || err != nil {
			t.Error(err, diff)
		}
		return
	}
}

func TestBuffered(t *testing.T) {
	t.Parallel()
	for wire, want := range map[string]int{
		"AUTH TLS\r\n":             0,
		"AUTH TLS\r\nUSER a\r\n":   8,
		"AUTH TLS\r\nUS":           2,
		"AUTH TLS\r\n\xff":         1,
		"AUTH TLS\r\n\x16\x03\x01": 3,
	} {
		r := NewReader(strings.NewReader(wire))
		if line, err := r.ReadLine(); line != "AUTH TLS" || err != nil {
			t.Fatalf("%q: %q, %v", wire, line, err)
		}
		if got := r.Buffered(); got != want {
			t.Errorf("%q: %d bytes are buffered behind the line, want %d", wire, got, want)
		}
		r.Reset(strings.NewReader("NOOP\r\n"))
		if got := r.Buffered(); got != 0 {
			t.Errorf("%q: %d bytes are buffered after Reset", wire, got)
		}
		if line, err := r.ReadLine(); line != "NOOP" || err != nil {
			t.Errorf("%q: after Reset: %q, %v", wire, line, err)
		}
	}
}

// An unfinished line, or half a Telnet command, counts as buffered too.
func TestBufferedInsideLine(t *testing.T) {
	t.Parallel()
	for _, wire := range []string{"US", "\xff", "\xff\xfb", "\xff\xf4", strings.Repeat("x", 2*MaxLine), "\r"} {
		r := NewReader(io.MultiReader(strings.NewReader(wire), iotest.ErrReader(os.ErrDeadlineExceeded)))
		if _, err := r.ReadLine(); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("%.10q: %v", wire, err)
		}
		if r.Buffered() == 0 {
			t.Errorf("%.10q: Buffered() = 0", wire)
		}
	}
}

func TestReaderStaysSmall(t *testing.T) {
	t.Parallel()
	r := NewReader(iotest.HalfReader(strings.NewReader(strings.Repeat("x", MaxLine) + "\r\n" + strings.Repeat("y", 10*MaxLine) + "\r\nNOOP\r\nNOOP\r\n")))
	for _, most := range []int{MaxLine + 2, MaxLine + 2, smallBuffer, smallBuffer} {
		_, _ = r.ReadLine() // the lines are TestReadLine's concern
		if cap(r.buf) > most {
			t.Errorf("the buffer has %d bytes, want %d at most", cap(r.buf), most)
		}
	}
}

func TestReaderWithoutProgress(t *testing.T) {
	t.Parallel()
	if _, err := NewReader(idle{}).ReadLine(); err != io.ErrNoProgress {
		t.Errorf("got %v, want %v", err, io.ErrNoProgress)
	}
}

type idle struct{}

func (idle) Read([]byte) (int, error) { return 0, nil }

// However the bytes come, the lines are the same, and within bounds.
func FuzzReadLine(f *testing.F) {
	for _, wire := range []string{
		"USER a\r\nPASS b\n", "\xff\xf4\xf2ABOR\r\n\xff\xf4\xffABOR\r\n", "a\rb\x00\n", "\xff\xff\xff\xfb\n\r\n",
	} {
		f.Add([]byte(wire), uint8(3))
	}
	f.Add(bytes.Repeat([]byte("x"), MaxLine+1), uint8(200))
	f.Fuzz(func(t *testing.T, wire []byte, chunk uint8) {
		want := readLines(t, bytes.NewReader(wire))
		for _, src := range []io.Reader{
			iotest.OneByteReader(bytes.NewReader(wire)),
			&hesitant{r: bytes.NewReader(wire)},
			&chunked{bytes.NewReader(wire), int(chunk) + 1},
		} {
			if diff := cmp.Diff(want, readLines(t, src)); diff != "" {
				t.Fatalf("%T: %s", src, diff)
			}
		}
		for _, line := range want {
			if len(line) > MaxLine || strings.Contains(line, "\n") {
				t.Fatalf("%q is no line", line)
			}
		}
		if n := bytes.Count(wire, []byte("\n")); len(want) > n+1 {
			t.Fatalf("%d lines out of %d line ends", len(want), n)
		}
	})
}

type chunked struct {
	r io.Reader
	n int
}

func (c *chunked) Read(p []byte) (int, error) { return c.r.Read(p[:min(len(p), c.n)]) }

// A server that sends anything at all neither stops nor fills the client.
func FuzzReadReply(f *testing.F) {
	f.Add([]byte("220-A\r\n\r\n227 x\r\n220 B\r\n"))
	f.Add([]byte("226"))
	f.Fuzz(func(t *testing.T, wire []byte) {
		line := string(bytes.TrimSuffix(wire, []byte("\r")))
		if !bytes.ContainsAny(wire, "\n\xff") && len(wire) < MaxLine {
			want, err := NewReader(strings.NewReader(string(wire) + "\n")).ReadReply()
			if got, ok := ParseReply(line); ok != (err == nil) || ok && cmp.Diff(want, got) != "" {
				t.Fatalf("%q is %#v, %v; a Reader says %#v, %v", line, got, ok, want, err)
			}
		}
		r := NewReader(iotest.HalfReader(bytes.NewReader(wire)))
		for {
			reply, err := r.ReadReply()
			if err != nil {
				return
			}
			if len(reply.Lines) == 0 || reply.Code < 100 || reply.Code > 699 {
				t.Fatalf("%q gives %#v", wire, reply)
			}
			_ = reply.AppendTo(nil) // must not panic
		}
	})
}

func BenchmarkReadLine(b *testing.B) {
	for name, line := range map[string]string{
		"command": "RETR some/file/of/ordinary.name\r\n",
		"longest": strings.Repeat("x", MaxLine) + "\r\n",
	} {
		b.Run(name, func(b *testing.B) {
			r := NewReader(&endless{line: line})
			b.SetBytes(int64(len(line)))
			b.ReportAllocs()
			for b.Loop() {
				line, err := r.ReadLine()
				if err != nil {
					b.Fatal(err)
				}
				sink = line
			}
		})
	}
}

// sink keeps the compiler from leaving out the making of a string.
var sink string

// endless gives the same line again and again, one for each Read, as a client
// does that waits for answers.
type endless struct{ line, rest string }

func (e *endless) Read(p []byte) (int, error) {
	if e.rest == "" {
		e.rest = e.line
	}
	n := copy(p, e.rest)
	e.rest = e.rest[n:]
	return n, nil
}
