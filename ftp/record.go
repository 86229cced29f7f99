package ftp

import (
	"errors"
	"fmt"
	"io"
	"slices"
)

// In a file of records over MODE S, a byte 0xFF escapes (RFC 959 3.4.1).
const (
	recordEscape = 0xff // itself, doubled
	recordEOR    = 0x01 // a bit: the record ends
	recordEOF    = 0x02 // a bit: the file ends
)

// NewRecordReader turns local text into records on the wire (STRU R over MODE
// S): the LF that ends a line becomes FF 01, a byte FF becomes FF FF, and
// FF 02 is the end. Text that does not end with LF leaves its last record
// without FF 01, so that it comes back as it was.
func NewRecordReader(r io.Reader) io.Reader {
	return &encoder{src: r, encode: encodeRecords, end: string([]byte{recordEscape, recordEOF})}
}

func encodeRecords(b, text []byte) []byte {
	for _, c := range text {
		switch c {
		case '\n':
			b = append(b, recordEscape, recordEOR)
		case recordEscape:
			b = append(b, recordEscape, recordEscape)
		default:
			b = append(b, c)
		}
	}
	return b
}

// NewRecordWriter turns records on the wire into text that it writes to w: a
// record becomes a line that ends with LF. Data that goes on behind the end of
// the file, or an escape that RFC 959 does not know, is an error. Close gives
// io.ErrUnexpectedEOF when the end of the file has not come; it does not
// close w.
func NewRecordWriter(w io.Writer) io.WriteCloser { return &recordWriter{w: w} }

type recordWriter struct {
	w       io.Writer
	out     []byte
	escaped bool
	ended   bool
}

func (r *recordWriter) Write(p []byte) (int, error) {
	r.out = slices.Grow(r.out[:0], len(p))
	for i, c := range p {
		if err := r.decode(c); err != nil {
			// What came before the mistake is not lost.
			_, werr := written(i, r.w, r.out)
			return i, errors.Join(err, werr)
		}
	}
	return written(len(p), r.w, r.out)
}

// decode appends to out what c means.
func (r *recordWriter) decode(c byte) error {
	switch {
	case r.ended:
		return errors.New("data behind the end of the file (FF 02 or FF 03)")
	case !r.escaped && c == recordEscape:
		r.escaped = true
		return nil
	case !r.escaped || c == recordEscape:
		r.out = append(r.out, c)
	case c == 0 || c&^(recordEOR|recordEOF) != 0:
		return fmt.Errorf("record escape FF %02X: want FF 01, FF 02, FF 03 or FF FF", c)
	default:
		if c&recordEOR != 0 {
			r.out = append(r.out, '\n')
		}
		r.ended = c&recordEOF != 0
	}
	r.escaped = false
	return nil
}

func (r *recordWriter) Close() error {
	if !r.ended {
		return io.ErrUnexpectedEOF
	}
	return nil
}
