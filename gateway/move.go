package gateway

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"towpath/internal/records"
)

const (
	// piece is how much moves at most in one step. If both ends are clear the
	// kernel moves the bytes from socket to socket (splice).
	piece = 1 << 20
	// pacedPiece is that where somebody sets the pace.
	pacedPiece   = 64 << 10
	mostBuffered = 256 << 10
)

var buffers = sync.Pool{New: func() any { return new([mostBuffered]byte) }}

// stream is one end of a data connection: the socket, and what is spoken on it.
type stream struct {
	tcp     *net.TCPConn
	tls     *tls.Conn // nil in the clear
	beneath *records.Conn
}

// move moves the bytes of one transfer, in the direction that it has, and ends
// both connections as their peers ended theirs.
func (p *passage) move(client, server *net.TCPConn) error {
	c, s, err := p.protect(client, server)
	if err != nil {
		return err
	}
	if p.opaque {
		return p.both(c, s)
	}
	from, to := s, c
	if p.up {
		from, to = c, s
	}
	err = p.pump(to, from)
	switch {
	case errors.Is(err, records.ErrNoCloseNotify) && to.tls != nil:
		// Cut, or said by one who says no farewell: the other end hears it as
		// it was, and judges.
		return to.beneath.CloseWrite()
	case errors.Is(err, records.ErrNoCloseNotify) && !p.up:
		// The server says on the control connection whether it was all.
	case err != nil:
		return err
	}
	// The one who has it all may have left by now, without waiting for the end:
	// curl does, when the file is empty.
	_ = to.end()
	_ = from.end()
	to.drain(time.Now().Add(p.s.set.DataTimeout))
	return nil
}

// both moves bytes both ways: behind a CCC that passed, client and server speak
// TLS with each other on the data connection. What counts is the way of the
// transfer; how the other one ends, tells nothing.
func (p *passage) both(c, s *stream) error {
	from, to := s, c
	if p.up {
		from, to = c, s
	}
	back := make(chan struct{})
	go func() {
		defer close(back)
		if p.pump(from, to) == nil {
			_ = from.end()
		}
	}()
	err := p.pump(to, from)
	if op, ok := errors.AsType[*net.OpError](err); ok && !op.Timeout() && p.ctx.Err() == nil {
		// A reset behind the farewell of TLS takes nothing away, and one before
		// it is seen by those who speak TLS.
		err = nil
	}
	if err == nil {
		_ = to.end()
		_ = to.tcp.SetReadDeadline(time.Now().Add(p.s.set.DataTimeout))
	} else {
		_ = to.tcp.SetDeadline(past)
		_ = from.tcp.SetDeadline(past)
	}
	<-back
	return err
}

// protect does the TLS handshakes that there are, both at a time.
func (p *passage) protect(client, server *net.TCPConn) (c, s *stream, err error) {
	c, s = &stream{tcp: client}, &stream{tcp: server}
	cc, sc := p.secure.client, p.secure.server
	if cc == nil && sc == nil {
		return c, s, nil
	}
	deadline := time.Now().Add(handshakeTimeout)
	_ = client.SetDeadline(deadline)
	_ = server.SetDeadline(deadline)
	ctx, cancel := context.WithCancel(p.ctx)
	defer cancel()
	var wg sync.WaitGroup
	var cerr, serr error
	if cc != nil {
		c.beneath = records.Gather(client)
		c.tls = tls.Server(c.beneath, cc)
		wg.Go(func() {
			if cerr = c.tls.HandshakeContext(ctx); cerr != nil {
				cancel()
			}
		})
	}
	if sc != nil {
		s.beneath = records.Gather(server)
		s.tls = tls.Client(s.beneath, sc)
		if serr = s.tls.HandshakeContext(ctx); serr != nil {
			cancel()
		}
	}
	wg.Wait()
	switch {
	case serr != nil && !errors.Is(serr, context.Canceled):
		return nil, nil, &noConnection{"TLS with the server failed on the data connection: " + plainError(serr), serr}
	case cerr != nil:
		return nil, nil, &noConnection{"TLS with the client failed on the data connection: " + plainError(cerr), cerr}
	case serr != nil:
		return nil, nil, serr
	}
	_ = client.SetDeadline(time.Time{})
	_ = server.SetDeadline(time.Time{})
	return c, s, nil
}

// pump moves bytes from one end to the other until the first one ends.
func (p *passage) pump(to, from *stream) error {
	limits := p.s.limits
	most := limits.Download
	if p.up {
		most = limits.Upload
	}
	if p.most > 0 && (most == 0 || p.most < most) {
		most = p.most
	}
	size := int64(piece)
	if limits.Pace != nil {
		size = pacedPiece
	}
	stall := p.s.set.StallTimeout
	c := carrier{to: to, from: from, arm: func() error {
		by := time.Now().Add(stall)
		_ = from.tcp.SetReadDeadline(by)
		_ = to.tcp.SetWriteDeadline(by)
		return context.Cause(p.ctx) // who ends the passage strikes after that, and not before
	}}
	defer c.close()
	for {
		next := size
		if left := most - p.bytes.Load(); most > 0 && left < next {
			next = left + 1 // the one byte more shows that it is too large
		}
		n, err := c.move(int(next))
		if total := p.bytes.Add(int64(n)); most > 0 && total > most {
			return errTooLarge
		}
		switch {
		case err == io.EOF:
			return nil
		case errors.Is(err, os.ErrDeadlineExceeded) && p.ctx.Err() == nil:
			return fmt.Errorf("nothing moved for %v", stall)
		case err != nil:
			return err
		}
		if limits.Pace != nil {
			if err := limits.Pace(p.ctx, n); err != nil {
				return err
			}
		}
	}
}

// carrier moves bytes from one end to the other. Those that one end has given and
// the other not yet taken are kept, whatever happens between.
type carrier struct {
	to, from *stream
	// arm gives the next step its time.
	arm func() error

	buf  *[mostBuffered]byte
	held []byte // of buf
	end  error  // what follows what is held
	sum  int
	pipe *splicer
}

// move takes one step: at most n bytes, as many as the other end takes at once.
// The error is io.EOF at the end of the stream.
func (c *carrier) move(n int) (int, error) {
	if err := c.arm(); err != nil {
		return 0, err
	}
	if c.pipe != nil {
		return c.pipe.move(n, c.arm)
	}
	if len(c.held) == 0 {
		if c.end != nil {
			return 0, c.end
		}
		if c.buf == nil {
			c.buf = buffers.Get().(*[mostBuffered]byte)
		}
		p := c.buf[:min(n, len(c.buf))]
		if c.from.tls != nil {
			n, c.end = c.from.beneath.Fill(c.from.tls, p)
		} else {
			n, c.end = c.from.tcp.Read(p)
		}
		if c.held = p[:n]; n == 0 {
			err := c.end
			c.end = nil
			return 0, err
		}
		if errors.Is(c.end, os.ErrDeadlineExceeded) { // between two records; the next may come in its own time
			c.end = nil
		}
		if err := c.arm(); err != nil { // waiting has taken its own time
			return 0, err
		}
	}
	var w io.Writer = c.to.tcp
	if c.to.tls != nil {
		w = c.to.tls
	}
	put, err := w.Write(c.held)
	c.held = c.held[put:]
	if put > 0 && errors.Is(err, os.ErrDeadlineExceeded) {
		err = nil // slow, and it moves
	}
	if c.sum += put; err == nil && len(c.held) == 0 && c.end == nil && c.sum >= mostBuffered && c.to.tls == nil && c.from.tls == nil {
		c.pipe = newSplicer(c.to.tcp, c.from.tcp) // a small file is not worth one
	}
	return put, err
}

func (c *carrier) close() {
	if c.buf != nil {
		buffers.Put(c.buf)
	}
	if c.pipe != nil {
		c.pipe.close()
	}
}

// drain reads what a TLS peer still says: the tickets of TLS 1.3, say. If they
// lay unread when the connection is closed, it would be reset, and take with it
// what had not been read at the other end.
func (s *stream) drain(by time.Time) {
	if s.tls == nil {
		return
	}
	_ = s.tcp.SetReadDeadline(by)
	_, _ = io.Copy(io.Discard, s.tls) // whatever comes, it is over
}

// end ends what was written.
func (s *stream) end() error {
	if s.tls == nil {
		return s.tcp.CloseWrite()
	}
	if err := s.tls.CloseWrite(); err != nil {
		return err
	}
	return s.beneath.CloseWrite()
}
