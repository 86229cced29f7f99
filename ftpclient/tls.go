package ftpclient

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync/atomic"
	"time"

	"towpath/ftp"
	"towpath/internal/records"
	"towpath/internal/resume"
)

// secure puts TLS over the control connection. Nothing read before it survives.
func (s *session) secure(ctx context.Context) error {
	s.tls = resume.NewTickets(s.set.TLSConfig, s.host)
	under := s.raw
	if s.set.ClearControl {
		under = records.OneByOne(under)
	}
	c := tls.Client(under, s.tls.Control())
	if err := c.HandshakeContext(ctx); err != nil {
		return fmt.Errorf("TLS with %s: %w", s.host, err)
	}
	s.conn = c
	s.in.Reset(c)
	return nil
}

// unveil takes TLS off the control connection (CCC, RFC 4217 6 and 12.1), and
// leaves it on the data connections. A server that refuses is left under TLS.
//
// Both sides say close_notify then. Some servers say none, and some say it late:
// so we wait a moment for it, and [unveiled] takes it out of the way if it comes
// afterwards.
func (s *session) unveil() error {
	c := s.conn.(*tls.Conn)
	if _, err := s.say("CCC", ""); err != nil {
		if _, ok := errors.AsType[*ftp.Error](err); !ok {
			return err
		}
		s.set.Log.Warn("the server leaves the control connection under TLS", "server", s.host, "err", err)
		return nil
	}
	if s.in.Buffered() > 0 {
		return fmt.Errorf("%w: behind the answer to CCC", ErrUnsolicited)
	}
	if err := c.CloseWrite(); err != nil {
		return fmt.Errorf("end of TLS behind CCC: %w", err)
	}
	u := &unveiled{Conn: s.raw, in: bufio.NewReader(s.raw)}
	if err := u.await(soonIs); err != nil {
		return fmt.Errorf("end of TLS behind CCC: %w", err)
	}
	s.conn = u
	s.in.Reset(u)
	return nil
}

// unveiled is a control connection whose TLS has ended. What the server still
// says in TLS, its close_notify, is passed over until the first byte in clear.
type unveiled struct {
	net.Conn
	in    *bufio.Reader
	clear bool
}

// await waits for the first record, or until something comes in clear.
func (u *unveiled) await(patience time.Duration) error {
	_ = u.SetReadDeadline(time.Now().Add(patience)) // the read tells what is wrong
	err := u.skip()
	if errors.Is(err, os.ErrDeadlineExceeded) {
		err = nil // it may come later
	}
	return errors.Join(err, u.SetReadDeadline(time.Time{}))
}

// skip passes over one record, if one comes next: its type is a control
// character, and no reply begins with one.
func (u *unveiled) skip() error {
	first, err := u.in.Peek(1)
	if err != nil {
		return err
	}
	if first[0] >= ' ' {
		u.clear = true
		return nil
	}
	head, err := u.in.Peek(5)
	if err != nil {
		return err
	}
	_, err = u.in.Discard(len(head) + int(binary.BigEndian.Uint16(head[3:])))
	return err
}

// Read reads what comes in clear.
func (u *unveiled) Read(p []byte) (int, error) {
	for !u.clear {
		if err := u.skip(); err != nil {
			return 0, err
		}
	}
	return u.in.Read(p)
}

// beneath is a data connection as TLS sees it. The deadlines are ours alone:
// tls.Conn.CloseWrite would give close_notify five seconds, which is too short
// behind megabytes in the buffer of a slow line. And it takes note of how the
// TCP connection ended: crypto/tls passes an end between two records on as a
// good one, close_notify or not.
type beneath struct {
	net.Conn
	eof atomic.Bool
}

// newBeneath returns what TLS is spoken over. Over TCP, records are gathered.
func newBeneath(c net.Conn) *beneath {
	if t, ok := c.(*net.TCPConn); ok {
		c = records.Gather(t)
	}
	return &beneath{Conn: c}
}

func (b *beneath) SetDeadline(time.Time) error      { return nil }
func (b *beneath) SetWriteDeadline(time.Time) error { return nil }
func (b *beneath) SetReadDeadline(time.Time) error  { return nil }

func (b *beneath) Read(p []byte) (int, error) {
	n, err := b.Conn.Read(p)
	if err == io.EOF || errors.Is(err, records.ErrNoCloseNotify) {
		b.eof.Store(true)
		err = io.EOF
	}
	return n, err
}
