package ftpserver

import (
	"io"
	"sync"
)

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
