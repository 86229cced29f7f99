package explain

import (
	"bufio"
	"bytes"
	"cmp"
	"compress/zlib"
	"encoding/binary"
	"errors"
	"io"
	"iter"
	"strings"

	"towpath/ftp/dialogue"
)

// What goes over a data connection is the file as it is (MODE S) or the file
// coded: in blocks (B) or compressed (C), RFC 959 3.4, or as one zlib stream (Z,
// draft-preston-ftpext-deflate).

// codings are those that can be undone. fill is the byte that MODE C leaves out.
var codings = map[string]func(w io.Writer, r *bufio.Reader, fill byte) error{"B": unblock, "C": expand, "Z": inflate}

const (
	// mostDecoders is how many decoders may be at work: one of MODE Z takes some
	// 50 KiB.
	mostDecoders = 256
	// mostInflated is how many bytes may come out of each that goes in, and swell
	// how many may before that counts: a bomb must not fill the disk.
	mostInflated = 200
	swell        = 4 << 20
)

var (
	errSwollen = errors.New("too much comes out of it")
	errStopped = errors.New("some bytes are missing")
)

// decoder makes the bytes of a file of those that one side sent. It decodes as
// they come: what undoes a coding reads until there are no more, and goes on
// there when more have come.
type decoder struct {
	in         []byte
	over       bool // no more bytes come
	done       bool
	ended      bool  // and nobody asks for more
	err        error // why there is no more of the file; nil if it is whole, or not done
	read, made int64
	out        func([]byte)

	wait func(struct{}) bool         // for more bytes
	next func() (_ struct{}, _ bool) // up to where it waits again
	stop func()
}

// newDecoder undoes a coding; out is given what comes of it. It is nil for a
// coding that nobody knows here.
func newDecoder(coding, typ string, out func([]byte)) *decoder {
	undo := codings[coding]
	if undo == nil {
		return nil
	}
	d := &decoder{out: out}
	d.next, d.stop = iter.Pull(func(yield func(struct{}) bool) {
		d.wait = yield
		w := bufio.NewWriterSize(decoded{d}, 16<<10) // MODE C makes its bytes a few at a time
		err := undo(w, bufio.NewReader(d), filler(typ))
		d.err = cmp.Or(err, w.Flush()) // what came before an error is kept
	})
	return d
}

// filler is what MODE C fills with: spaces, or zeros where bytes are no text.
func filler(typ string) byte {
	if typ == "" || typ[0] == 'A' || typ[0] == 'E' {
		return ' '
	}
	return 0
}

// feed takes the next bytes, which are not kept.
func (d *decoder) feed(b []byte) {
	if d.done {
		return // what follows the file is nobody's
	}
	d.in = b
	d.read += int64(len(b))
	_, more := d.next()
	d.in, d.done = nil, !more
}

// end tells that no more bytes come.
func (d *decoder) end() {
	d.ended = true
	if !d.done {
		d.over = true
		d.next()
		d.done = true
	}
	d.stop()
}

// lose tells that bytes are missing: behind them nothing can be read.
func (d *decoder) lose() {
	if !d.done {
		d.stop()
		d.done, d.err = true, errStopped
	}
}

// whole says whether all of the file has come out.
func (d *decoder) whole() bool { return d.done && d.err == nil }

// Read gives what undoes the coding what there is.
func (d *decoder) Read(p []byte) (int, error) {
	for len(d.in) == 0 {
		if d.over {
			return 0, io.EOF
		}
		if !d.wait(struct{}{}) {
			return 0, errStopped
		}
	}
	n := copy(p, d.in)
	d.in = d.in[n:]
	return n, nil
}

// decoded takes what comes out of a decoder.
type decoded struct{ *decoder }

func (d decoded) Write(p []byte) (int, error) {
	if d.made+int64(len(p)) > swell+mostInflated*d.read {
		return 0, errSwollen
	}
	d.made += int64(len(p))
	d.out(p)
	return len(p), nil
}

// undone is the name of what is to be said of a decoder that did not come to
// its end.
func (d *decoder) undone() string {
	switch {
	case !d.done, d.err == nil, errors.Is(d.err, errStopped):
		return ""
	case errors.Is(d.err, errSwollen):
		return "undecoded.swollen"
	case errors.Is(d.err, io.ErrUnexpectedEOF):
		return "undecoded.cut"
	}
	return "undecoded.damaged"
}

// inflate undoes MODE Z.
func inflate(w io.Writer, r *bufio.Reader, _ byte) error {
	z, err := zlib.NewReader(r)
	if err != nil {
		return err
	}
	_, err = io.Copy(w, z)
	return err
}

// The descriptors of MODE B and C that matter here. The others are the end of a
// record, 128, and bytes that the sender suspects of errors, 32.
const (
	endOfFile     = 64
	restartMarker = 16
)

// unblock undoes MODE B: each block has a descriptor and, in two bytes, its
// length before it.
func unblock(w io.Writer, r *bufio.Reader, _ byte) error {
	for {
		var head [3]byte
		if _, err := io.ReadFull(r, head[:]); err != nil {
			return cut(err)
		}
		to := w
		if head[0]&restartMarker != 0 {
			to = io.Discard
		}
		if _, err := io.CopyN(to, r, int64(binary.BigEndian.Uint16(head[1:]))); err != nil {
			return cut(err)
		}
		if head[0]&endOfFile != 0 {
			return nil
		}
	}
}

// expand undoes MODE C. A byte says what follows:
//
//	0nnnnnnn  n bytes as they are; n = 0: a descriptor, of what comes next
//	10nnnnnn  one byte that stands for n of them
//	11nnnnnn  nothing: n fillers were left out
//
// The end of the file is told before or behind the last bytes: so they end where
// the connection does.
func expand(w io.Writer, r *bufio.Reader, fill byte) error {
	last, to := false, w
	for {
		c, err := r.ReadByte()
		if err == io.EOF && last {
			return nil
		}
		if err != nil {
			return cut(err)
		}
		n := int(c & 0x3f)
		switch {
		case c == 0:
			descriptor, err := r.ReadByte()
			if err != nil {
				return cut(err)
			}
			last = last || descriptor&endOfFile != 0
			if descriptor&restartMarker != 0 {
				to = io.Discard
			}
			continue
		case c < 0x80:
			_, err = io.CopyN(to, r, int64(c))
		case c < 0xc0:
			var b byte
			if b, err = r.ReadByte(); err == nil {
				_, err = to.Write(bytes.Repeat([]byte{b}, n))
			}
		default:
			_, err = to.Write(bytes.Repeat([]byte{fill}, n))
		}
		if err != nil {
			return cut(err)
		}
		to = w
	}
}

// cut makes the end of the bytes one that should not have come yet.
func cut(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// coding is how the file is coded that a connection carries, empty if it goes as
// it is, or cannot be read.
func (l *link) coding() string {
	if l.deal == nil || l.isTLS() {
		return ""
	}
	return l.deal.transfer.Coding
}

// setMode takes note of a MODE that was accepted.
func (t *talk) setMode(x *dialogue.Exchange) {
	t.coding = ""
	if mode := strings.TrimSpace(x.Command.Arg); mode != "" && isLetter(mode[0]) && mode[0]|0x20 != 's' {
		t.coding = string(mode[0] &^ 0x20)
	}
}
