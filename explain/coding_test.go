package explain

import (
	"bytes"
	"compress/zlib"
	"crypto/sha256"
	"encoding/hex"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"towpath/ftptest"
)

// deflated is text in MODE Z.
func deflated(t testing.TB, text string) string {
	t.Helper()
	var b bytes.Buffer
	z := zlib.NewWriter(&b)
	if _, err := z.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// blocks is text in MODE B, in blocks of n bytes: the last is the end of file.
func blocks(text string, n int) string {
	var b strings.Builder
	for {
		part := text[:min(n, len(text))]
		text = text[len(part):]
		descriptor := byte(0)
		if text == "" {
			descriptor = endOfFile
		}
		b.Write([]byte{descriptor, byte(len(part) >> 8), byte(len(part))})
		b.WriteString(part)
		if text == "" {
			return b.String()
		}
	}
}

// compressed is text in MODE C.
func compressed(text string, fill byte) string {
	var b strings.Builder
	for i := 0; i < len(text); {
		n := 1
		for n < 63 && i+n < len(text) && text[i+n] == text[i] {
			n++
		}
		switch {
		case n > 1 && text[i] == fill:
			b.WriteByte(0xc0 | byte(n))
		case n > 2:
			b.Write([]byte{0x80 | byte(n), text[i]})
		default:
			n = min(2, len(text)-i)
			b.WriteByte(byte(n))
			b.WriteString(text[i : i+n])
		}
		i += n
	}
	b.Write([]byte{0, endOfFile})
	return b.String()
}

// fetched is a session that fetches a file in a mode. What goes over the wire
// is said, and how the data connection ends.
func fetched(t *testing.T, mode, wire string, reset bool) (x *Transfer, s *Session, dir string) {
	t.Helper()
	p := newTape()
	w := p.dial(clientAt, serverAt).open()
	w.talk(t, login+"C: TYPE I\nS: 200 ok\nC: MODE "+mode+"\nS: 200 ok\nC: EPSV\nS: 229 ok (|||50000|)\nC: RETR a.bin\nS: 150 here")
	d := w.dial("192.0.2.7:41000", "198.51.100.2:50000").open()
	d.say(1, wire)
	if reset {
		d.flag(1, rst|ack)
		w.talk(t, "S: 426 cut")
	} else {
		d.close(1)
		w.talk(t, "S: 226 done")
	}
	w.close(0)
	dir = t.TempDir()
	s = told(t, Options{Extract: dir}, p).Sessions[0]
	return s.Transfers[0], s, dir
}

func digest(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// What went over the wire coded comes out as the file that it was, and what does
// not come out whole says so.
func TestCoded(t *testing.T) {
	t.Parallel()
	file := strings.Repeat("aaaaaaaaaaaaaaaaaaaabc\x00\x00\x00 the file\r\n", 3000)
	zlibbed := deflated(t, file)
	swollen := deflated(t, strings.Repeat("\x00", 8<<20))
	for _, c := range []struct {
		name, mode, wire string
		reset            bool
		file             string // "" for one that is not looked into
		as               string // behind the name
		finding          string
	}{
		{name: "Z", mode: "Z", wire: zlibbed, file: file},
		{name: "z", mode: "z", wire: zlibbed, file: file},
		{name: "B", mode: "B", wire: blocks(file, 1000), file: file},
		{name: "B, marked", mode: "B", wire: "\x10\x00\x02x1" + blocks(file, 40000), file: file},
		{name: "C", mode: "C", wire: compressed(file, 0), file: file},
		{name: "C, marked", mode: "C", wire: "\x00\x10\x02x1\x03abc\x00\x40\x01d", file: "abcd"},
		{name: "S", mode: "S", wire: file, file: file},
		{name: "nothing", mode: "Z"},
		{name: "behind it", mode: "Z", wire: zlibbed + "more", file: file},
		{name: "reset", mode: "Z", wire: zlibbed[:len(zlibbed)-9], reset: true, as: ".incomplete", finding: "reset"},
		{name: "cut", mode: "Z", wire: zlibbed[:len(zlibbed)-1], file: file, as: ".incomplete", finding: "undecoded"},
		{name: "cut, B", mode: "B", wire: "\x00\x00\x03abc", file: "abc", as: ".incomplete", finding: "undecoded"},
		{name: "cut, C", mode: "C", wire: strings.TrimSuffix(compressed(file, 0), "\x00\x40"), file: file, as: ".incomplete", finding: "undecoded"},
		{name: "damaged", mode: "Z", wire: zlibbed[:len(zlibbed)-1] + "x", file: file, as: ".incomplete", finding: "undecoded"},
		{name: "swollen", mode: "Z", wire: swollen, as: ".incomplete", finding: "undecoded"},
		{name: "unknown", mode: "E", wire: "whatever", file: "whatever", as: ".mode-E", finding: "undecoded"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			x, s, dir := fetched(t, c.mode, c.wire, c.reset)
			if x.Bytes != int64(len(c.wire)) {
				t.Errorf("%d bytes on the wire, want %d", x.Bytes, len(c.wire))
			}
			b, err := os.ReadFile(filepath.Join(dir, "0001-001-a.bin"+c.as))
			if err != nil {
				t.Fatalf("%v; the file is %q", err, x.File)
			}
			if c.file != "" && string(b) != c.file {
				t.Errorf("%d bytes, want %d of the file", len(b), len(c.file))
			}
			switch {
			case c.as != "" && x.SHA256 != "":
				t.Error("what is not the file has a digest")
			case c.as == "" && x.SHA256 != digest(c.file):
				t.Error("the digest is not that of the file")
			}
			if x.Decoded != nil && *x.Decoded != int64(len(b)) {
				t.Errorf("%d bytes were decoded, the file has %d", *x.Decoded, len(b))
			}
			if want := swell + mostInflated*len(c.wire); len(b) > want {
				t.Errorf("%d bytes came out, want %d at most", len(b), want)
			}
			found := ""
			for _, f := range s.Findings {
				if f.Transfer == 0 {
					found = f.ID
				}
			}
			if found != c.finding {
				t.Errorf("found %q, want %q", found, c.finding)
			}
		})
	}
}

// A gap ends what can be decoded.
func TestCodedGap(t *testing.T) {
	t.Parallel()
	p := newTape()
	w := p.dial(clientAt, serverAt).open()
	w.talk(t, login+"C: MODE B\nS: 200 ok\nC: EPSV\nS: 229 ok (|||50000|)\nC: RETR a.bin")
	d := w.dial("192.0.2.7:41000", "198.51.100.2:50000").open()
	d.say(1, "\x00\x00\x05abcde\x00\x00\x09fg")
	d.seq[1] += 4 // the capture has lost these
	d.say(1, "lmn\x40\x00\x00")
	d.close(1)
	w.talk(t, "S: 226 done")
	w.close(0)
	dir := t.TempDir()
	x := told(t, Options{Extract: dir}, p).Sessions[0].Transfers[0]
	if x.Complete || x.SHA256 != "" || len(x.Gaps) != 1 {
		t.Errorf("got %+v, want it incomplete", x)
	}
	b, err := os.ReadFile(filepath.Join(dir, "0001-001-a.bin.incomplete"))
	if err != nil || string(b) != "abcdefg" {
		t.Errorf("got %q, %v", b, err)
	}
}

// MODE ends where it is set again, and with the session; a MODE that was refused
// changes nothing. Nobody looks for NUL in what is compressed.
func TestCodedUntil(t *testing.T) {
	t.Parallel()
	const again = "\nC: EPSV\nS: 229 ok (|||50000|)\nC: RETR a\nD: client 198.51.100.2:50000 server 10\nS: 226 done\n"
	s := played(t, Options{Hash: true}, login+"C: MODE Z\nS: 504 no"+again+"C: MODE Z\nS: 200 ok"+again+"C: MODE S\nS: 200 ok"+again+"C: MODE C\nS: 200 ok\nC: REIN\nS: 220 anew\n"+login+again)
	var got []string
	for _, x := range s.Transfers {
		got = append(got, x.Coding)
	}
	if strings.Join(got, ",") != ",Z,," {
		t.Errorf("got %q", got)
	}
}

// What our server sends in MODE Z comes out as its file.
func TestCodedByServer(t *testing.T) {
	t.Parallel()
	r := rand.NewChaCha8([32]byte{1})
	noise := make([]byte, 700<<10) // it stores what does not get smaller
	_, _ = r.Read(noise)           // never fails
	file := strings.Repeat("the same again and again\n", 20000) + string(noise)
	s := ftptest.Serve(t, ftptest.Files{"f": file})
	c := s.Login()
	c.Do("TYPE I", 200)
	c.Do("MODE Z", 200)
	c.Passive()
	wire := c.Get("RETR f")
	if len(wire) >= len(file) {
		t.Fatalf("%d bytes on the wire for %d", len(wire), len(file))
	}
	x, _, dir := fetched(t, "Z", wire, false)
	b, err := os.ReadFile(filepath.Join(dir, x.File))
	if err != nil || string(b) != file || x.SHA256 != digest(file) || !x.Complete {
		t.Errorf("%d bytes of %d, %v, complete %v", len(b), len(file), err, x.Complete)
	}
}

// However bytes come in pieces, what comes out of them is the same; and what
// was coded comes out as it was.
func FuzzCoding(f *testing.F) {
	f.Add([]byte("abc   def"), uint64(1))
	f.Add([]byte(blocks("abc", 2)), uint64(2))
	f.Add([]byte(compressed("aaaaaaaaaaaaaaaaaab  \x00\x00", ' ')), uint64(3))
	f.Add([]byte(deflated(f, "abcabcabc")), uint64(4))
	f.Fuzz(func(t *testing.T, b []byte, seed uint64) {
		// decode feeds in pieces of at most n bytes.
		decode := func(coding string, wire []byte, n int) (string, bool, string) {
			r := rand.New(rand.NewPCG(seed, 0))
			var out bytes.Buffer
			d := newDecoder(coding, "A", func(b []byte) { out.Write(b) })
			for len(wire) > 0 {
				part := bytes.Clone(wire[:min(len(wire), 1+r.IntN(n))])
				d.feed(part)
				clear(part) // it is not kept
				wire = wire[min(len(wire), len(part)):]
			}
			d.end()
			return out.String(), d.whole(), d.undone()
		}
		for coding := range codings {
			got, whole, why := decode(coding, b, 1)
			if again, whole2, why2 := decode(coding, b, 1<<20); why != "undecoded.swollen" && why2 != "undecoded.swollen" && (got != again || whole != whole2 || why != why2) {
				t.Errorf("MODE %s: %q, %v %s in pieces, %q, %v %s at once", coding, got, whole, why, again, whole2, why2)
			}
			if whole == (why != "") {
				t.Errorf("MODE %s: whole is %v, and to be said is %q", coding, whole, why)
			}
		}
		for coding, wire := range map[string]string{"B": blocks(string(b), 1+int(seed%65535)), "C": compressed(string(b), ' '), "Z": deflated(t, string(b))} {
			if got, whole, why := decode(coding, []byte(wire), 100); got != string(b) || !whole {
				t.Errorf("MODE %s: %q, %s, want %q", coding, got, why, b)
			}
		}
	})
}
