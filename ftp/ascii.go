package ftp

import (
	"bytes"
	"io"
	"slices"
)

// chunk is how much text a converter takes at a time.
const chunk = 16 << 10

// NewASCIIReader turns local text into the text of the wire, NVT-ASCII, where
// a line ends with CRLF (RFC 959 3.1.1.1). LF becomes CRLF; an LF that is
// behind a CR already stays as it is.
func NewASCIIReader(r io.Reader) io.Reader {
	return &encoder{src: r, encode: new(asciiEncoder).encode}
}

type asciiEncoder struct{ last byte }

func (e *asciiEncoder) encode(b, text []byte) []byte {
	for len(text) > 0 {
		i := bytes.IndexByte(text, '\n')
		if i < 0 {
			e.last = text[len(text)-1]
			return append(b, text...)
		}
		if i > 0 {
			e.last = text[i-1]
		}
		b = append(b, text[:i]...)
		if e.last != '\r' {
			b = append(b, '\r')
		}
		b = append(b, '\n')
		e.last = '\n'
		text = text[i+1:]
	}
	return b
}

// encoder reads from src what encode makes of it.
type encoder struct {
	src    io.Reader
	encode func(b, text []byte) []byte // appends to b
	end    string                      // what follows the last byte of src

	in, out []byte
	read    int // bytes of out that are gone
	err     error
}

func (e *encoder) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for e.read == len(e.out) {
		if e.err != nil {
			return 0, e.err
		}
		if e.in == nil {
			e.in = make([]byte, chunk)
			e.out = make([]byte, 0, 2*chunk+len(e.end)) // every byte may become two
		}
		var n int
		n, e.err = e.src.Read(e.in)
		e.out, e.read = e.encode(e.out[:0], e.in[:n]), 0
		if e.err == io.EOF {
			e.out = append(e.out, e.end...)
		}
	}
	n := copy(p, e.out[e.read:])
	e.read += n
	return n, nil
}

// ASCIISize returns how many bytes r has on the wire in TYPE A, as SIZE must
// tell it (RFC 3659 4).
func ASCIISize(r io.Reader) (int64, error) {
	return io.Copy(io.Discard, NewASCIIReader(r))
}

// NewASCIIWriter turns the text of the wire into local text, which it writes
// to w: CRLF becomes LF, and a CR without LF stays. Close writes a CR that has
// come last; it does not close w.
func NewASCIIWriter(w io.Writer) io.WriteCloser { return &asciiWriter{w: w} }

type asciiWriter struct {
	w   io.Writer
	out []byte
	cr  bool // a CR waits for what follows
}

func (a *asciiWriter) Write(p []byte) (int, error) {
	a.out = slices.Grow(a.out[:0], len(p)+1)
	for text := p; len(text) > 0; {
		if a.cr && text[0] != '\n' {
			a.out = append(a.out, '\r')
		}
		a.cr = false
		i := bytes.IndexByte(text, '\r')
		if i < 0 {
			a.out = append(a.out, text...)
			break
		}
		a.out = append(a.out, text[:i]...)
		a.cr = true
		text = text[i+1:]
	}
	return written(len(p), a.w, a.out)
}

func (a *asciiWriter) Close() error {
	if !a.cr {
		return nil
	}
	a.cr = false
	_, err := a.w.Write([]byte{'\r'})
	return err
}

// written writes out, which was made of n bytes, to w and answers for them.
func written(n int, w io.Writer, out []byte) (int, error) {
	if len(out) > 0 {
		if _, err := w.Write(out); err != nil {
			return 0, err
		}
	}
	return n, nil
}
