package ftpclient

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"sync"

	"towpath/ftp"
)

// File reads a file of the server from any place (RETR, REST). Between reads it
// holds no session: when another call wants it, the transfer is stopped, and
// the next read begins another where this one was. It is safe for concurrent
// use, but has one position.
type File struct {
	c    *Client
	ctx  context.Context
	name string

	mu     sync.Mutex
	pos    int64
	end    int64 // where the file ended, -1: not known
	expect int64 // how long it was listed, 0: not known
	closed bool

	// For who has the turn:
	t  *transfer // nil when none runs
	at int64     // the next byte that it brings
}

var (
	_ io.ReadSeekCloser = (*File)(nil)
	_ parked            = (*File)(nil)
)

// Open opens a file for reading. The context holds for all that is done with it.
func (c *Client) Open(ctx context.Context, name string) (*File, error) {
	f := &File{c: c, ctx: ctx, name: name, end: -1}
	if _, err := c.take(ctx, nil); err != nil {
		return nil, about("open", name, err)
	}
	defer c.give()
	if err := f.begin(); err != nil {
		return nil, about("open", name, err)
	}
	return f, nil
}

// begin starts a transfer at pos. Who calls has the turn.
func (f *File) begin() error {
	s := f.c.session.Load()
	arg, err := s.encode(f.name)
	if err != nil {
		return err
	}
	t, err := s.start(f.ctx, f.c.ways, ftp.Command{Verb: "RETR", Arg: arg}, f.pos, 'I', false)
	if err != nil {
		return err
	}
	f.t, f.at, f.c.parked = t, f.pos, f
	return nil
}

// makeWay stops the transfer.
func (f *File) makeWay(context.Context) {
	if f.t != nil {
		f.t.stop()
		f.t = nil
	}
	if f.c.parked == parked(f) {
		f.c.parked = nil
	}
}

// Read reads on from the position.
func (f *File) Read(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return 0, about("read", f.name, fs.ErrClosed)
	}
	if len(p) == 0 {
		return 0, nil
	}
	r := retries{c: f.c}
	for {
		if f.end >= 0 && f.pos >= f.end {
			return 0, io.EOF
		}
		n, err := f.read(p)
		f.pos += int64(n)
		if n > 0 || err == io.EOF {
			return n, err
		}
		if errors.Is(err, errInflated) && f.c.Err() == nil {
			continue // in MODE S
		}
		if err != nil && !r.again(f.ctx, err, false) {
			return 0, about("read", f.name, err)
		}
	}
}

// read reads once. An error that comes with bytes is left for the next time.
func (f *File) read(p []byte) (int, error) {
	s, err := f.c.take(f.ctx, f)
	if err != nil {
		f.c.turn <- struct{}{} // a transfer of a session that is lost
		f.forget()
		f.c.give()
		return 0, err
	}
	defer f.c.give()
	if f.t != nil && f.at != f.pos {
		f.makeWay(f.ctx)
		if err := s.alive(); err != nil {
			return 0, err
		}
	}
	if f.t == nil {
		if err := f.begin(); err != nil {
			return 0, err
		}
	}
	n, err := f.t.read(f.ctx, p)
	f.at += int64(n)
	if err == nil || n > 0 && err != io.EOF {
		return n, nil
	}
	t := f.t
	f.t, f.c.parked = nil, nil
	if err != io.EOF {
		return n, t.broken(f.ctx, err)
	}
	cut := t.data.cut()
	err = t.finish(f.ctx)
	if err == nil && cut {
		if size, serr := s.size(f.ctx, f.name); serr != nil || size != f.at {
			err = ErrCut
		}
	}
	if err == nil && f.at < f.expect {
		if size, serr := s.size(f.ctx, f.name); serr == nil && f.at < size {
			err = doneEarly(f.at, size)
		}
	}
	if err != nil {
		return n, err
	}
	f.end = f.at
	if n > 0 {
		return n, nil
	}
	return 0, io.EOF
}

// forget drops a transfer that is over with its session.
func (f *File) forget() {
	if f.t != nil && f.t.s.alive() != nil {
		f.makeWay(f.ctx)
	}
}

// Seek sets the position. Only io.SeekEnd asks the server, for the size.
func (f *File) Seek(offset int64, whence int) (int64, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return 0, about("seek", f.name, fs.ErrClosed)
	}
	switch whence {
	case io.SeekStart:
	case io.SeekCurrent:
		offset += f.pos
	case io.SeekEnd:
		if f.end < 0 {
			size, err := f.c.Size(f.ctx, f.name)
			if err != nil {
				return 0, err
			}
			f.end = size
		}
		offset += f.end
	default:
		return 0, about("seek", f.name, fmt.Errorf("whence %d: %w", whence, fs.ErrInvalid))
	}
	if offset < 0 {
		return 0, about("seek", f.name, fmt.Errorf("position %d: %w", offset, fs.ErrInvalid))
	}
	f.pos = offset
	return offset, nil
}

// Close stops what is still under way.
func (f *File) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return about("close", f.name, fs.ErrClosed)
	}
	f.closed = true
	f.c.turn <- struct{}{}
	defer f.c.give()
	f.makeWay(f.ctx)
	return nil
}

var errIsDir = errors.New("is a directory")
