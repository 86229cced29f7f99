package records

import (
	"bytes"
	"encoding/binary"
	"errors"
	"net"
)

// ErrClear: what came is no TLS record. Behind a CCC some clients go on in clear
// text without the close_notify that RFC 4217 12.1 wants of them (curl). See
// [Reader.Clear].
var ErrClear = errors.New("clear text came where a TLS record was due")

// OneByOne hands TLS at most the rest of one record at a time, so that
// crypto/tls never takes clear text that follows a close_notify (CCC).
func OneByOne(c net.Conn) *Reader { return &Reader{Conn: c} }

// Reader is what [OneByOne] returns.
type Reader struct {
	net.Conn
	meter meter
	clear []byte // what came instead of a record; nil while none has
}

// Read reads the rest of one record at most.
func (r *Reader) Read(p []byte) (int, error) {
	if r.clear != nil {
		return 0, ErrClear
	}
	due := r.meter.have == 0
	n, err := r.Conn.Read(p[:min(len(p), r.meter.rest())])
	if due && n > 0 && !isType(p[0]) {
		r.clear = bytes.Clone(p[:n])
		return 0, ErrClear
	}
	r.meter.pass(p[:n])
	return n, err
}

// isType says whether a byte is the type of a record (RFC 8446 5.1, RFC 6520).
// No letter is one.
func isType(b byte) bool { return 20 <= b && b <= 24 }

// Clear returns the connection without TLS, to be read from where the clear text
// begins that [ErrClear] told of, or else from behind the last record.
func (r *Reader) Clear() net.Conn {
	if r.clear == nil {
		return r.Conn
	}
	return &begun{Conn: r.Conn, first: r.clear}
}

// begun is a connection of which something has been read.
type begun struct {
	net.Conn
	first []byte
}

func (b *begun) Read(p []byte) (int, error) {
	if len(b.first) > 0 {
		n := copy(p, b.first)
		b.first = b.first[n:]
		return n, nil
	}
	return b.Conn.Read(p)
}

// meter knows where in a record a stream is: its header is five bytes, of which
// the last two are the length of what follows (RFC 8446 5.1).
type meter struct {
	head [5]byte
	have int // bytes of head that have passed; 0 between two records
	left int // bytes to come behind the head
}

// rest is how many bytes surely belong to the record that is under way, or to
// the header of the next.
func (m *meter) rest() int {
	if m.have < len(m.head) {
		return len(m.head) - m.have
	}
	return m.left
}

// pass takes note of bytes that have passed.
func (m *meter) pass(p []byte) {
	for len(p) > 0 {
		n := min(len(p), m.rest())
		if m.have < len(m.head) {
			m.have += copy(m.head[m.have:], p[:n])
			m.left = int(binary.BigEndian.Uint16(m.head[3:]))
		} else {
			m.left -= n
		}
		if m.have == len(m.head) && m.left == 0 {
			m.have = 0
		}
		p = p[n:]
	}
}
