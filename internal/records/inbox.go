package records

import (
	"crypto/tls"
	"io"
	"sync"
)

const (
	// ahead is how much is fetched by one read, as far as it has come. crypto/tls
	// reads one record at a time, with up to two system calls for each.
	ahead = 64 << 10
	// small is how much comes before anything is fetched ahead of TLS: a
	// handshake and a small file need no buffer.
	small = 32 << 10
)

var inboxes = sync.Pool{New: func() any { return new([ahead]byte) }}

// inbox holds what has come and TLS has not read yet. It belongs to the reader.
type inbox struct {
	seen  int // bytes until they were no longer few
	meter meter
	buf   *[ahead]byte // of inboxes, nil when nothing is held
	held  []byte       // of buf
}

// Read writes what is held, since the peer may wait for it, and reads. It ends
// at the end of a record when it knows where that is.
func (r *Conn) Read(p []byte) (int, error) {
	in := &r.came
	if len(in.held) == 0 {
		if in.seen < small {
			n, err := r.fetch(p)
			in.seen += n
			in.meter.pass(p[:n])
			return n, err
		}
		in.buf = inboxes.Get().(*[ahead]byte)
		n, err := r.fetch(in.buf[:])
		in.held = in.buf[:n]
		if n == 0 {
			in.empty()
			return 0, err
		}
	}
	n := copy(p[:min(len(p), in.meter.rest())], in.held)
	in.meter.pass(p[:n])
	in.held = in.held[n:]
	if len(in.held) == 0 {
		in.empty()
	}
	return n, nil
}

// empty gives the buffer back. Nobody else may: Close comes from anywhere.
func (in *inbox) empty() {
	inboxes.Put(in.buf)
	in.buf, in.held = nil, nil
}

// ready tells whether the next record is here as a whole.
func (in *inbox) ready() bool {
	m := in.meter
	if m.have > 0 {
		return false // TLS is in the midst of one, and waits
	}
	m.pass(in.held[:min(len(in.held), len(m.head))])
	return m.have == len(m.head) && len(in.held) >= len(m.head)+m.left
}

// fetch is one read of the kernel.
func (r *Conn) fetch(p []byte) (int, error) {
	if err := r.Flush(); err != nil {
		return 0, err
	}
	if r.reads > 0 {
		r.reads--
		quickACK(r.TCPConn)
	}
	n, err := r.TCPConn.Read(p)
	if err == io.EOF {
		err = ErrNoCloseNotify
	}
	return n, err
}

// Fill reads what has come into p, as many records as there are. c is the TLS
// that is spoken over r. It waits for the first record only, and both n and err
// may be set.
func (r *Conn) Fill(c *tls.Conn, p []byte) (n int, err error) {
	for {
		got, err := c.Read(p[n:])
		n += got
		if err != nil || n == len(p) || !r.came.ready() {
			return n, err
		}
	}
}
