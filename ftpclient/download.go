package ftpclient

import (
	"context"
	"errors"
	"fmt"
	"hash"
	"io"

	"towpath/ftp"
)

// Get copies a file of the server to w and returns how many bytes it has
// written there, also with an error. It is done when the server has said so;
// if the control connection is lost behind the last byte, a new session is
// begun to compare the size. An *os.File is written to by the kernel (splice)
// when the connection is in clear text.
func (c *Client) Get(ctx context.Context, name string, w io.Writer, options ...GetOption) (int64, error) {
	d := download{c: c, name: name, w: w, order: order{limit: -1}}
	for _, o := range options {
		o.forGet(&d.order)
	}
	err := d.run(ctx)
	return d.n, about("get", name, err)
}

type download struct {
	c    *Client
	name string
	w    io.Writer
	order
	n int64 // bytes written

	restarted bool // by REST
	sum       *digest
}

func (d *download) run(ctx context.Context) error {
	if d.text && (d.offset > 0 || d.resume || d.verify) {
		return errors.New("a text file is the same neither byte for byte nor in size; Text does without From, Resume and Verify")
	}
	if d.verify && d.limit >= 0 {
		return errors.New("Verify needs the whole file; First does not give it")
	}
	if d.resume {
		end, err := seekEnd(d.w)
		if err != nil {
			return err
		}
		d.offset = end
	}
	if d.verify {
		var err error
		if d.sum, err = d.c.newDigest(ctx); err == nil {
			err = d.sum.prefix(d.w, d.offset, d.resume)
		}
		if err != nil {
			return err
		}
	}
	if d.resume && d.offset > 0 {
		size, err := d.c.Size(ctx, d.name)
		switch {
		case unknown(err): // RETR will tell
		case err != nil:
			return err
		case size < d.offset:
			return fmt.Errorf("the copy here has %d bytes, the file on the server %d: it is not the beginning of it", d.offset, size)
		case size == d.offset:
			return d.check(ctx)
		default:
			d.expect = size
		}
	}
	r := retries{c: d.c}
	for d.limit < 0 || d.n < d.limit {
		before := d.n
		err := d.once(ctx)
		if err == nil {
			break
		}
		if errors.Is(err, errInflated) && !d.text && d.c.Err() == nil {
			continue // in MODE S
		}
		if d.text && d.n > 0 || !r.again(ctx, err, d.n > before) {
			return err
		}
	}
	return d.check(ctx)
}

func (d *download) check(ctx context.Context) error {
	if d.sum == nil {
		return nil
	}
	return d.sum.compare(ctx, d.name)
}

// once is one RETR.
func (d *download) once(ctx context.Context) error {
	s, err := d.c.take(ctx, nil)
	if err != nil {
		return err
	}
	defer d.c.give()
	arg, err := s.encode(d.name)
	if err != nil {
		return err
	}
	t, err := s.start(ctx, d.c.ways, ftp.Command{Verb: "RETR", Arg: arg}, d.offset+d.n, d.kind(), false)
	if err != nil {
		return err
	}
	d.restarted = d.offset+d.n > 0
	w, left := d.w, d.limit
	if left >= 0 {
		left -= d.n
	}
	if d.sum != nil {
		w = digesting{w, d.sum.h}
	}
	var text io.WriteCloser
	if d.text {
		text = ftp.NewASCIIWriter(w)
		w = text
	}
	n := d.n
	got, whole, err := t.receive(ctx, w, left, d.limiter, func(k int64) { n += k; d.moved(n) })
	d.n += got
	if text != nil && err == nil {
		if err = text.Close(); err != nil {
			err = &localError{err}
		}
	}
	return d.finish(ctx, t, whole, err)
}

// finish judges the end of one RETR.
func (d *download) finish(ctx context.Context, t *transfer, whole bool, err error) error {
	switch {
	case err == nil && !whole: // First
		t.stop()
		return nil
	case err != nil:
		return t.broken(ctx, err)
	}
	cut := t.data.cut()
	if err = t.finish(ctx); errors.Is(err, ErrPoisoned) && !d.text {
		if d.c.settled(ctx, d.name, d.offset+d.n) {
			return nil
		}
		return fmt.Errorf("%d bytes came, and no word that this is all: %w", d.n, err)
	}
	if err == nil && cut {
		if size, serr := t.s.size(ctx, d.name); d.text || serr != nil || size != d.offset+d.n {
			return ErrCut
		}
	}
	if err == nil {
		err = d.count(ctx, t.s)
	}
	return err
}

// count asks for the size where what came may not be the file although the server
// called it done: it was less than expected, or a REST may not have been heeded.
func (d *download) count(ctx context.Context, s *session) error {
	have := d.offset + d.n
	short := have < d.expect
	if d.limit >= 0 || d.text || !short && !d.restarted {
		return nil
	}
	size, err := s.size(ctx, d.name)
	switch {
	case err != nil: // nobody knows
		return nil
	case short && have < size:
		return doneEarly(have, size)
	case d.restarted && have > size:
		return fmt.Errorf("%w: with what came the copy has %d bytes, and the file %d", ErrRestart, have, size)
	}
	return nil
}

func doneEarly(have, size int64) error {
	return fmt.Errorf("the server says that it is done, and %d of %d bytes came: %w", have, size, io.ErrUnexpectedEOF)
}

// settled asks on a new session whether a transfer was whole whose control
// connection was lost at its end. Who calls has the turn.
func (c *Client) settled(ctx context.Context, name string, size int64) bool {
	if c.renew(ctx) != nil {
		return false
	}
	got, err := c.session.Load().size(ctx, name)
	return err == nil && got == size
}

// broken ends a transfer whose bytes could not be moved, and says why, in the
// words of the server if it has any.
func (t *transfer) broken(ctx context.Context, err error) error {
	if _, ok := errors.AsType[*localError](err); ok || ctx.Err() != nil {
		t.stop()
		return err
	}
	t.data.discard()
	t.dismiss()
	if said := t.settle(); said != nil && !errors.Is(err, said) {
		if _, ok := errors.AsType[*ftp.Error](err); ok {
			return err
		}
		return fmt.Errorf("%w (%w)", err, said)
	}
	return err
}

// seekEnd goes to the end of w and returns where that is.
func seekEnd(w io.Writer) (int64, error) {
	s, ok := w.(io.Seeker)
	if !ok {
		return 0, fmt.Errorf("Resume needs an io.Seeker, and a %T is none", w)
	}
	return s.Seek(0, io.SeekEnd)
}

// digest is one being made of a file as it is here.
type digest struct {
	c    *Client
	name string // of the algorithm
	h    hash.Hash
}

// prefix takes in the bytes before offset, which an earlier transfer has moved.
func (g *digest) prefix(of any, offset int64, resumed bool) error {
	g.h.Reset()
	if offset == 0 {
		return nil
	}
	r, ok := of.(io.ReaderAt)
	if !resumed || !ok {
		return fmt.Errorf("Verify needs the first %d bytes too: Resume with an io.ReaderAt gives them", offset)
	}
	n, err := io.Copy(g.h, io.NewSectionReader(r, 0, offset))
	if err == nil && n < offset {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return fmt.Errorf("read the first %d bytes again for Verify: %w", offset, err)
	}
	return nil
}

// compare asks the server for its digest.
func (g *digest) compare(ctx context.Context, name string) error {
	theirs, err := g.c.Hash(ctx, name, g.name)
	if err != nil {
		return err
	}
	if ours := g.h.Sum(nil); string(ours) != string(theirs) {
		return &HashError{Name: name, Algorithm: g.name, Local: ours, Remote: theirs}
	}
	return nil
}
