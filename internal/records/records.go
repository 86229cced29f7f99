// Package records holds what crypto/tls lacks below an FTP connection: [Gather]
// writes and reads many records at once and tells a clean end of TLS from a cut,
// and [OneByOne] reads no further than a record goes, so that clear text may
// follow.
//
// It enciphers nothing, and knows of a record only its header.
package records

import (
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"
)

const (
	// Most is how many bytes of TLS records are gathered into one write. A
	// record holds 16 KiB at most, and one system call for each costs more
	// than the cipher: 256 KiB halve the processor time of a download.
	Most = 256 << 10
	// first is the size of the first write. Writes double in size while the
	// peer takes them quickly, and shrink again when it does not: with a slow
	// peer a deadline that is moved with each write would else strike while
	// bytes still flow.
	first = 64 << 10
	// heldFor bounds how long records are held when nothing follows them:
	// a slow source or a rate limit shall not be felt as jumps.
	heldFor = 20 * time.Millisecond
)

// buffers have room for Most of data with the overhead of its records, so that
// a write of that much becomes a single one.
var buffers = sync.Pool{New: func() any {
	b := make([]byte, 0, Most+8<<10)
	return &b
}}

// quickReads is how many reads of a connection ask the kernel to acknowledge
// at once what came. Peers that leave Nagle's algorithm on (Python's ftplib,
// lftp) hold back the first data behind their last handshake message until it
// is acknowledged, and a delayed ACK is 40 ms.
const quickReads = 8

// application is the type byte of TLS records that carry data, and under
// TLS 1.3 all else that is encrypted (RFC 8446 5.1).
const application = 23

// ErrNoCloseNotify: the peer ended the TCP connection, but had not said over TLS
// that this was all; whoever sits between may have cut it. A plain io.EOF
// would be no warning: crypto/tls hands it on as a good end when it falls
// between two records, because web servers behave like that.
var ErrNoCloseNotify = fmt.Errorf("TLS ended without close_notify: %w", io.ErrUnexpectedEOF)

// Conn lies under the tls.Conn of a data connection, fetches records by large
// reads, and gathers them into large writes. What is gathered goes out
//   - when it is enough, or has been held for heldFor,
//   - with the next record that is no application data, so that handshakes
//     are not held up,
//   - before a read,
//   - by Flush, Close, CloseWrite and SetWriteDeadline: tls.Conn.Close sets the
//     deadline to now as soon as it has written its close_notify.
//
// To whoever reads, the end of the TCP connection is ErrNoCloseNotify, so that
// a clean end of TLS (io.EOF) can be told from a cut.
//
// SetDeadline and Close end a Write in another goroutine; they never wait for it.
type Conn struct {
	*net.TCPConn
	reads int   // left to be quick; belongs to the reader, as does what came
	came  inbox // what was fetched ahead of TLS

	mu     sync.Mutex // held while records are gathered and written
	buf    *[]byte    // of buffers, nil when empty
	enough int        // how much is written at once
	late   *time.Timer
	armed  bool
	err    error // the first error of a write stays
}

// Gather returns the connection to speak TLS over.
func Gather(c *net.TCPConn) *Conn {
	return &Conn{TCPConn: c, reads: quickReads, enough: first}
}

// Write takes one or more whole TLS records. The error may be that of an
// earlier one: it tells that the connection is broken, not what arrived.
func (r *Conn) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	held := len(p) > 0 && p[0] == application
	if r.err == nil && r.buf == nil && !held {
		_, r.err = r.TCPConn.Write(p)
	} else if r.err == nil {
		r.gather(p, held)
	}
	if r.err != nil {
		return 0, r.err
	}
	return len(p), nil
}

// gather adds p to the buffer, and writes the buffer when it is enough or when
// p must not be held.
func (r *Conn) gather(p []byte, held bool) {
	if r.buf != nil && len(*r.buf)+len(p) > cap(*r.buf) && r.flush() != nil {
		return
	}
	if r.buf == nil {
		r.buf = buffers.Get().(*[]byte)
	}
	*r.buf = append(*r.buf, p...)
	if !held || len(*r.buf) >= r.enough {
		_ = r.flush() // the error stays
		return
	}
	if !r.armed {
		r.armed = true
		if r.late == nil {
			r.late = time.AfterFunc(heldFor, r.flushLate)
		} else {
			r.late.Reset(heldFor)
		}
	}
}

// flushLate writes what is held although it is not enough.
func (r *Conn) flushLate() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.armed = false
	_ = r.flush() // the error stays
}

// Flush writes what is held.
func (r *Conn) Flush() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.flush()
}

func (r *Conn) flush() error {
	if r.buf == nil {
		return r.err
	}
	if r.err == nil {
		began := time.Now()
		_, r.err = r.TCPConn.Write(*r.buf)
		switch took := time.Since(began); {
		case took > time.Second:
			r.enough = 1
		case took < time.Second/8:
			r.enough = min(max(2*r.enough, first), Most)
		}
	}
	*r.buf = (*r.buf)[:0]
	buffers.Put(r.buf)
	r.buf = nil
	return r.err
}

// tryFlush writes what is held unless a Write is under way in another
// goroutine.
func (r *Conn) tryFlush() error {
	if !r.mu.TryLock() {
		return nil
	}
	defer r.mu.Unlock()
	return r.flush()
}

// SetWriteDeadline writes what is held, under the deadline that held for it,
// and then sets a new one. While a Write is under way in another goroutine it
// sets the deadline alone.
func (r *Conn) SetWriteDeadline(t time.Time) error {
	return errors.Join(r.tryFlush(), r.TCPConn.SetWriteDeadline(t))
}

// CloseWrite writes what is held and closes the sending half.
func (r *Conn) CloseWrite() error {
	return errors.Join(r.Flush(), r.TCPConn.CloseWrite())
}

// Close writes what is held and closes the connection, at once if a Write is
// under way in another goroutine. The error is that of the first write which
// failed, if one did: tls.Conn hides those at its end.
func (r *Conn) Close() error {
	return errors.Join(r.tryFlush(), r.TCPConn.Close())
}
