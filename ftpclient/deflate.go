package ftpclient

import (
	"bufio"
	"compress/flate"
	"compress/zlib"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"towpath/ftp"
)

// MODE Z (draft-preston-ftpext-deflate): the bytes of MODE S as one zlib stream
// (RFC 1950). What REST, SIZE and digests count are the bytes of MODE S.

// A server may let a thousand bytes come out of each that it sends. More than
// mostInflated of them must be sent in MODE S, where they cost the server as much
// as us; swell is how many come out before that counts.
const (
	mostInflated = 200
	swell        = 4 << 20
)

var (
	// errInflated: too much came out of too little.
	errInflated = fmt.Errorf("MODE Z: more than %d bytes came out of each that was sent", mostInflated)
	// errDamaged: the stream is none, or another one than was sent.
	errDamaged = errors.New("MODE Z: what came is damaged")
)

// deflates tells whether the next transfer goes in MODE Z: if Options.Deflate
// wants it, and the server offers it and has not refused it.
func (s *session) deflates() bool {
	return s.set.Deflate && !s.flat && strings.EqualFold(s.features.Param("MODE"), "Z")
}

// setMode is MODE, Z or S, when the other is in force. Z may be refused.
func (s *session) setMode(ctx context.Context, z bool) error {
	if z == s.deflating {
		return nil
	}
	letter := "S"
	if z {
		letter = "Z"
	}
	_, err := s.do(ctx, "MODE", letter)
	if _, ok := errors.AsType[*ftp.Error](err); ok && z {
		s.set.Log.Info("the server refuses MODE Z", "server", s.host, "err", err)
		s.flat = true
		return nil
	}
	if err == nil {
		s.deflating = z
	}
	return err
}

// failed is the error of a transfer that was refused. One that may pass is tried
// in MODE S the next time: servers, ours is one, do not deflate for everybody at
// once.
func (s *session) failed(a *answer) *ftp.Error {
	if s.deflating && a.reply.Transient() {
		s.flat = true
	}
	return &ftp.Error{Command: a.command, Reply: a.reply}
}

// inflater reads a transfer in MODE Z.
type inflater struct {
	t    *transfer
	ctx  context.Context // of the Read under way
	in   *bufio.Reader   // of what is on the wire
	z    io.ReadCloser   // nil before the first bytes
	sent int64           // on the wire
	out  int64
}

func newInflater(t *transfer) *inflater {
	i := &inflater{t: t}
	i.in = bufio.NewReaderSize((*wireReader)(i), 64<<10)
	return i
}

type wireReader inflater

func (w *wireReader) Read(p []byte) (int, error) {
	n, err := w.t.readWire(w.ctx, p)
	w.sent += int64(n)
	return n, err
}

// read reads once. The end comes only when the connection has ended too.
func (i *inflater) read(ctx context.Context, p []byte) (int, error) {
	i.ctx = ctx
	if i.z == nil {
		z, err := zlib.NewReader(i.in)
		if err == io.ErrUnexpectedEOF && i.sent == 0 {
			return 0, io.EOF // of no bytes at all some servers make no stream
		}
		if err != nil {
			return 0, i.damaged(err)
		}
		i.z = z
	}
	n, err := i.z.Read(p)
	i.out += int64(n)
	if i.out > swell+i.sent*mostInflated {
		i.t.s.flat = true
		return n, errInflated
	}
	if err != io.EOF {
		return n, i.damaged(err)
	}
	if n > 0 {
		return n, nil // the end comes next
	}
	// What follows the stream is nobody's, but the end must still come.
	if _, err = io.CopyN(io.Discard, i.in, swell); err == nil {
		err = fmt.Errorf("%w: it goes on behind its end", errDamaged)
	}
	return 0, err // io.EOF if all is well
}

// damaged tells a broken stream from a broken connection.
func (i *inflater) damaged(err error) error {
	_, corrupt := errors.AsType[flate.CorruptInputError](err)
	switch {
	case corrupt, errors.Is(err, zlib.ErrChecksum), errors.Is(err, zlib.ErrHeader), errors.Is(err, zlib.ErrDictionary):
		i.t.s.flat = true // ProFTPD has spoilt it at times
		return fmt.Errorf("%w: %w", errDamaged, err)
	case err == io.ErrUnexpectedEOF:
		return fmt.Errorf("MODE Z: the data ends in the middle: %w", err)
	}
	return err
}

// deflater writes a transfer in MODE Z.
type deflater struct {
	t   *transfer
	ctx context.Context // of the write under way
	z   *zlib.Writer
	out *bufio.Writer // compress/flate writes a few bytes at a time
}

func newDeflater(t *transfer) *deflater {
	d := &deflater{t: t}
	d.out = bufio.NewWriterSize((*wireWriter)(d), 64<<10)
	d.z = zlib.NewWriter(d.out)
	return d
}

type wireWriter deflater

func (w *wireWriter) Write(p []byte) (int, error) { return w.t.writeWire(w.ctx, p) }

func (d *deflater) write(ctx context.Context, p []byte) (int, error) {
	d.ctx = ctx
	return d.z.Write(p)
}

// end ends the stream, not the connection.
func (d *deflater) end(ctx context.Context) error {
	d.ctx = ctx
	if err := d.z.Close(); err != nil {
		return err
	}
	return d.out.Flush()
}
