package ftpserver

import (
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"
)

const (
	// gatherSize is how many bytes of TLS records are gathered into one write.
	// A record holds 16 KiB at most, and one system call for each costs more
	// than the cipher: 256 KiB halve the processor time of a download.
	gatherSize = 256 << 10
	// gatherFirst is the size of the first write. Writes double in size while
	// the peer takes them quickly, and shrink again when it does not: with a
	// slow peer a deadline that is moved with each write would else strike
	// while bytes still flow.
	gatherFirst = 64 << 10
	// gatherFor bounds how long records are held when nothing follows them:
	// a slow source or a rate limit shall not be felt as jumps.
	gatherFor = 20 * time.Millisecond
)

// gatherBuffers have room for gatherSize of data with the overhead of its
// records, so that a write of that much becomes a single one.
var gatherBuffers = sync.Pool{New: func() any {
	b := make([]byte, 0, gatherSize+8<<10)
	return &b
}}

// quickReads is how many reads of a connection ask the kernel to acknowledge
// at once what came. Clients that leave Nagle's algorithm on (Python's ftplib,
// lftp) hold back the first data behind their last handshake message until it
// is acknowledged, and a delayed ACK is 40 ms.
const quickReads = 8

// recordApplication is the type byte of TLS records that carry data, and under
// TLS 1.3 all else that is encrypted (RFC 8446 5.1).
const recordApplication = 23

// errNoCloseNotify: the peer ended the TCP connection, but had not said over TLS
// that this was all; whoever sits between may have cut it. A plain io.EOF
// would be no warning: crypto/tls hands it on as a good end when it falls
// between two records, because web servers behave like that.
var errNoCloseNotify = fmt.Errorf("TLS ended without close_notify: %w", io.ErrUnexpectedEOF)

// recordConn lies under the tls.Conn of a data connection and gathers records
// into large writes. What is gathered goes out
//   - when it is enough, or has been held for gatherFor,
//   - with the next record that is no application data, so that handshakes
//     are not held up,
//   - before a read,
//   - by Flush, Close, CloseWrite and SetWriteDeadline: tls.Conn.Close sets the
//     deadline to now as soon as it has written its close_notify.
//
// To whoever reads, the end of the TCP connection is errNoCloseNotify, so that
// a clean end of TLS (io.EOF) can be told from a cut.
//
// SetDeadline and Close end a Write in another goroutine; they never wait for it.
type recordConn struct {
	*net.TCPConn
	reads int // left to be quick; belongs to the reader

	mu     sync.Mutex // held while records are gathered and written
	buf    *[]byte    // of gatherBuffers, nil when empty
	enough int        // how much is written at once
	late   *time.Timer
	armed  bool
	err    error // the first error of a write stays
}

func newRecordConn(c *net.TCPConn) *recordConn {
	return &recordConn{TCPConn: c, reads: quickReads, enough: gatherFirst}
}

// Read writes what is held, since the peer may wait for it, and reads.
func (r *recordConn) Read(p []byte) (int, error) {
	if err := r.Flush(); err != nil {
		return 0, err
	}
	if r.reads > 0 {
		r.reads--
		quickACK(r.TCPConn)
	}
	n, err := r.TCPConn.Read(p)
	if err == io.EOF {
		err = errNoCloseNotify
	}
	return n, err
}

// Write takes one or more whole TLS records. The error may be that of an
// earlier one: it tells that the connection is broken, not what arrived.
func (r *recordConn) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	held := len(p) > 0 && p[0] == recordApplication
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
func (r *recordConn) gather(p []byte, held bool) {
	if r.buf != nil && len(*r.buf)+len(p) > cap(*r.buf) && r.flush() != nil {
		return
	}
	if r.buf == nil {
		r.buf = gatherBuffers.Get().(*[]byte)
	}
	*r.buf = append(*r.buf, p...)
	if !held || len(*r.buf) >= r.enough {
		_ = r.flush() // the error stays
		return
	}
	if !r.armed {
		r.armed = true
		if r.late == nil {
			r.late = time.AfterFunc(gatherFor, r.flushLate)
		} else {
			r.late.Reset(gatherFor)
		}
	}
}

// flushLate writes what is held although it is not enough.
func (r *recordConn) flushLate() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.armed = false
	_ = r.flush() // the error stays
}

// Flush writes what is held.
func (r *recordConn) Flush() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.flush()
}

func (r *recordConn) flush() error {
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
			r.enough = min(max(2*r.enough, gatherFirst), gatherSize)
		}
	}
	*r.buf = (*r.buf)[:0]
	gatherBuffers.Put(r.buf)
	r.buf = nil
	return r.err
}

// tryFlush writes what is held unless a Write is under way in another
// goroutine.
func (r *recordConn) tryFlush() error {
	if !r.mu.TryLock() {
		return nil
	}
	defer r.mu.Unlock()
	return r.flush()
}

// SetWriteDeadline writes what is held, under the deadline that held for it,
// and then sets a new one. While a Write is under way in another goroutine it
// sets the deadline alone.
func (r *recordConn) SetWriteDeadline(t time.Time) error {
	return errors.Join(r.tryFlush(), r.TCPConn.SetWriteDeadline(t))
}

// CloseWrite writes what is held and closes the sending half.
func (r *recordConn) CloseWrite() error {
	return errors.Join(r.Flush(), r.TCPConn.CloseWrite())
}

// Close writes what is held and closes the connection, at once if a Write is
// under way in another goroutine. The error is that of the first write which
// failed, if one did: tls.Conn hides those at its end.
func (r *recordConn) Close() error {
	return errors.Join(r.tryFlush(), r.TCPConn.Close())
}

const (
	// pipeSize is the size of the two buffers of copyPiped: one is filled while
	// the other is emptied.
	pipeSize = 256 << 10
	// pipeEnough is how much is handed over when the writer has nothing to do.
	// Below it waking a goroutine costs more than it gains.
	pipeEnough = 64 << 10
)

var pipeBuffers = sync.Pool{New: func() any { return new([pipeSize]byte) }}

// sinkError is an error of the side that was written to.
type sinkError struct{ error }

func (e *sinkError) Unwrap() error { return e.error }

// copyPiped copies src to dst until the end of src and says how many bytes dst
// took. It reads in the goroutine of the caller and writes in another, so that
// the next bytes are decrypted while the last are stored; both have ended when
// it returns. Progress, if not nil, is told of each n bytes as they have been
// read; it may wait, and its error ends the copy.
//
// All that was read is written even if src fails then: a cut upload can be
// resumed from where it was cut. An error of dst is a [*sinkError] and goes
// before any other.
func copyPiped(dst io.Writer, src io.Reader, progress func(n int64) error) (int64, error) {
	var (
		buf = pipeBuffers.Get().(*[pipeSize]byte)
		n   int       // bytes in buf
		out *pipeSink // nil until there is something to do at the same time
		err error
	)
	for err == nil && !out.failed() {
		var got int
		got, err = src.Read(buf[n:])
		n += got
		if got > 0 && progress != nil {
			if stop := progress(int64(got)); stop != nil {
				err = stop
			}
		}
		if n >= pipeEnough {
			if out == nil {
				out = newPipeSink(dst)
			}
			buf, n = out.offer(buf, n)
		}
	}
	if out == nil {
		out = &pipeSink{dst: dst}
		out.write(buf[:n])
	} else {
		out.end(buf, n)
	}
	pipeBuffers.Put(buf)
	switch {
	case out.err != nil:
		return out.written, &sinkError{out.err}
	case err == io.EOF:
		return out.written, nil
	}
	return out.written, err
}

// pipeSink writes in a goroutine of its own what it is handed.
type pipeSink struct {
	dst   io.Writer
	full  chan pipePiece       // to the goroutine; nobody waits in it
	empty chan *[pipeSize]byte // back again
	done  chan struct{}

	// Of the goroutine, until done is closed.
	written int64
	err     error
}

type pipePiece struct {
	buf *[pipeSize]byte
	n   int
}

func newPipeSink(dst io.Writer) *pipeSink {
	s := &pipeSink{
		dst:   dst,
		full:  make(chan pipePiece),
		empty: make(chan *[pipeSize]byte, 2),
		done:  make(chan struct{}),
	}
	s.empty <- pipeBuffers.Get().(*[pipeSize]byte)
	go func() {
		defer close(s.done)
		for p := range s.full {
			if s.write(p.buf[:p.n]); s.err != nil {
				return
			}
			s.empty <- p.buf
		}
	}()
	return s
}

// write writes p unless an earlier write failed.
func (s *pipeSink) write(p []byte) {
	if len(p) == 0 || s.err != nil {
		return
	}
	n, err := s.dst.Write(p)
	s.written += int64(n)
	if s.err = err; err == nil && n < len(p) {
		s.err = io.ErrShortWrite
	}
}

// offer hands over buf, of which n bytes are full, and returns the buffer to
// go on with: an empty one, or the same when the goroutine is busy and there
// is room in it.
func (s *pipeSink) offer(buf *[pipeSize]byte, n int) (*[pipeSize]byte, int) {
	if n < len(buf) {
		select {
		case s.full <- pipePiece{buf, n}:
			return <-s.empty, 0
		default:
			return buf, n
		}
	}
	select {
	case s.full <- pipePiece{buf, n}:
		return <-s.empty, 0
	case <-s.done:
		return buf, n
	}
}

// failed reports whether nothing more will be written.
func (s *pipeSink) failed() bool {
	if s == nil {
		return false
	}
	select {
	case <-s.done:
		return true
	default:
		return false
	}
}

// end writes the n bytes left in buf and waits for the goroutine.
func (s *pipeSink) end(buf *[pipeSize]byte, n int) {
	close(s.full)
	<-s.done
	s.write(buf[:n])
	for len(s.empty) > 0 {
		pipeBuffers.Put(<-s.empty)
	}
}
