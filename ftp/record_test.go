package ftp

import (
	"bytes"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

func TestRecords(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, local, wire string }{
		{"empty", "", "\xff\x02"},
		{"records", "a\nb\n", "a\xff\x01b\xff\x01\xff\x02"},
		{"the last without end", "a\nb", "a\xff\x01b\xff\x02"},
		{"empty record", "\n", "\xff\x01\xff\x02"},
		{"the escape itself", "\xff\x01\xff\n", "\xff\xff\x01\xff\xff\xff\x01\xff\x02"},
		{"CR stays", "a\r\n", "a\r\xff\x01\xff\x02"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			for how, chunks := range dataChunkings {
				wire, err := io.ReadAll(chunks(NewRecordReader(chunks(strings.NewReader(test.local)))))
				if string(wire) != test.wire || err != nil {
					t.Errorf("%s: to the wire: %q, %v, want %q", how, wire, err, test.wire)
				}
				var back bytes.Buffer
				copyAll(t, NewRecordWriter(&back), chunks(strings.NewReader(test.wire)))
				if back.String() != test.local {
					t.Errorf("%s: from the wire: %q, want %q", how, &back, test.local)
				}
			}
		})
	}
}

// A peer may say that record and file end in one mark.
func TestRecordWriterEndOfBoth(t *testing.T) {
	t.Parallel()
	var text bytes.Buffer
	copyAll(t, NewRecordWriter(&text), strings.NewReader("a\xff\x01b\xff\x03"))
	if text.String() != "a\nb\n" {
		t.Errorf("got %q", &text)
	}
}

func TestRecordWriterRefuses(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, wire, kept, want string }{
		{"no end of file", "a\xff\x01b", "a\nb", "unexpected EOF"},
		{"nothing", "", "", "unexpected EOF"},
		{"half an escape", "a\xff", "a", "unexpected EOF"},
		{"data behind the end", "a\xff\x02b", "a", "behind the end"},
		{"an escape of zero", "a\xff\x00b", "a", "FF 00"},
		{"an escape unknown", "a\xff\x04b", "a", "FF 04"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var text bytes.Buffer
			w := NewRecordWriter(&text)
			n, err := w.Write([]byte(test.wire))
			if err == nil {
				if n != len(test.wire) {
					t.Errorf("%d bytes written without an error, want %d", n, len(test.wire))
				}
				err = w.Close()
			} else if cerr := w.Close(); strings.HasPrefix(test.name, "an escape") && cerr != io.ErrUnexpectedEOF {
				t.Errorf("Close: %v", cerr)
			}
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got error %v, want %q in it", err, test.want)
			}
			if text.String() != test.kept {
				t.Errorf("%q was kept, want %q", &text, test.kept)
			}
		})
	}
}

func TestRecordErrors(t *testing.T) {
	t.Parallel()
	// A file that cannot be read to its end must not end with its mark.
	b, err := io.ReadAll(NewRecordReader(io.MultiReader(strings.NewReader("a"), iotest.ErrReader(errDisk))))
	if string(b) != "a" || err != errDisk {
		t.Errorf("NewRecordReader: %q, %v", b, err)
	}
	if n, err := NewRecordWriter(fullDisk{}).Write([]byte("a")); n != 0 || err != errDisk {
		t.Errorf("Write: %d, %v", n, err)
	}
}

func FuzzRecords(f *testing.F) {
	f.Add([]byte("a\nb\xff\x01"), uint8(2))
	f.Fuzz(func(t *testing.T, text []byte, n uint8) {
		wire, err := io.ReadAll(NewRecordReader(&chunked{bytes.NewReader(text), int(n) + 1}))
		if err != nil {
			t.Fatal(err)
		}
		var back bytes.Buffer
		copyAll(t, NewRecordWriter(&back), &chunked{bytes.NewReader(wire), int(n) + 1})
		if !bytes.Equal(back.Bytes(), text) {
			t.Fatalf("%q became %q on the wire and %q again", text, wire, &back)
		}
	})
}

// Whatever a peer sends, it is refused or read, the same in every chunking.
func FuzzRecordWriter(f *testing.F) {
	f.Add([]byte("a\xff\x01b\xff\x03"))
	f.Add([]byte("a\xff\x09"))
	f.Fuzz(func(t *testing.T, wire []byte) {
		decode := func(src io.Reader) (string, bool) {
			var text bytes.Buffer
			w := NewRecordWriter(&text)
			_, err := io.Copy(w, onlyReader{src})
			return text.String(), err == nil && w.Close() == nil
		}
		text, ok := decode(bytes.NewReader(wire))
		again, okAgain := decode(iotest.OneByteReader(bytes.NewReader(wire)))
		if text != again || ok != okAgain {
			t.Fatalf("%q is %q, %v whole and %q, %v byte by byte", wire, text, ok, again, okAgain)
		}
	})
}
