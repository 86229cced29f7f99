package records

import (
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
	head  [5]byte
	have  int // bytes of head read
	left  int // bytes of the record still to come, head included
	clear bool
}

// Read reads the rest of one record at most.
func (r *Reader) Read(p []byte) (int, error) {
	if r.clear {
		return 0, ErrClear
	}
	if r.left == 0 {
		r.have = 0
		r.left = len(r.head)
	}
	n, err := r.Conn.Read(p[:min(len(p), r.left)])
	if r.have < len(r.head) {
		r.have += copy(r.head[r.have:], p[:n])
		if n > 0 && !isType(r.head[0]) {
			r.clear = true
			return 0, ErrClear
		}
		r.left -= n
		if r.have == len(r.head) {
			r.left = int(r.head[3])<<8 | int(r.head[4])
		}
		return n, err
	}
	r.left -= n
	return n, err
}

// isType says whether a byte is the type of a record (RFC 8446 5.1, RFC 6520).
// No letter is one.
func isType(b byte) bool { return 20 <= b && b <= 24 }

// Clear returns the connection without TLS, to be read from where the clear text
// begins that [ErrClear] told of, or else from behind the last record.
func (r *Reader) Clear() net.Conn {
	if !r.clear {
		return r.Conn
	}
	return &begun{Conn: r.Conn, first: r.head[:r.have]}
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
