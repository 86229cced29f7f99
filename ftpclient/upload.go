package ftpclient

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"towpath/ftp"
)

// Put copies r, up to its end, to a file of the server (STOR) and returns how
// many bytes of it the server has taken, as far as that is known. It is done
// when the server has said so; if the control connection is lost behind the
// last byte, a new session is begun to compare the size. An *os.File is read by
// the kernel (sendfile) when the connection is in clear text. A retry needs r to
// be an io.Seeker.
//
// The context ends the transfer when r gives bytes or ends; it cannot end a
// Read of r.
func (c *Client) Put(ctx context.Context, name string, r io.Reader, options ...PutOption) (int64, error) {
	u := upload{c: c, name: name, r: r, verb: "STOR", order: order{limit: -1}}
	for _, o := range options {
		o.forPut(&u.order)
	}
	err := u.run(ctx)
	return u.n, about("put", name, err)
}

// Append adds r to the end of a file of the server (APPE), which is made if it
// is not there. Once bytes have moved it is not taken up again, since nobody
// could tell how many have arrived.
func (c *Client) Append(ctx context.Context, name string, r io.Reader, options ...PutOption) (int64, error) {
	u := upload{c: c, name: name, r: r, verb: "APPE", order: order{limit: -1}}
	for _, o := range options {
		o.forPut(&u.order)
	}
	var err error
	if u.offset > 0 || u.resume || u.verify {
		err = errors.New("APPE begins where the file ends; From, Resume and Verify are for Put")
	} else {
		err = u.run(ctx)
	}
	return u.n, about("append", name, err)
}

type upload struct {
	c    *Client
	name string
	r    io.Reader
	verb string
	order
	n     int64 // bytes of r that were sent, from offset on
	begun bool  // r was read, maybe further than n
	was   int64 // the size of the file on the server before, if retries may need it
	start int64 // where r stood at first, if it is an io.Seeker
	sum   *digest
}

func (u *upload) run(ctx context.Context) error {
	if u.text && (u.offset > 0 || u.resume || u.verify) {
		return errors.New("a text file is the same neither byte for byte nor in size; Text does without From, Resume and Verify")
	}
	seeker, seeks := u.r.(io.Seeker)
	if u.resume {
		if !seeks {
			return fmt.Errorf("Resume needs an io.Seeker, and a %T is none", u.r)
		}
		if err := u.resumeAt(ctx, seeker); err != nil {
			return err
		}
	}
	if seeks {
		var err error
		if u.start, err = seeker.Seek(0, io.SeekCurrent); err != nil {
			seeks = false // a pipe says that it is one, and is not
		}
	}
	if u.verify {
		var err error
		if u.sum, err = u.c.newDigest(ctx); err == nil {
			err = u.sum.prefix(u.r, u.offset, u.resume)
		}
		if err != nil {
			return err
		}
	}
	if u.was = u.offset; seeks && u.c.set.Retries > 0 && u.verb == "STOR" && !u.resume {
		if size, err := u.c.Size(ctx, u.name); err == nil {
			u.was = size
		}
	}
	r := retries{c: u.c}
	for {
		before := u.n
		err := u.once(ctx)
		if err == nil {
			break
		}
		if u.begun && !seeks || u.n > 0 && (u.text || u.verb == "APPE") || !r.again(ctx, err, u.n > before) {
			return err
		}
		if u.begun {
			if back := u.back(ctx, seeker); back != nil {
				return errors.Join(err, back)
			}
		}
	}
	if u.sum != nil {
		return u.sum.compare(ctx, u.name)
	}
	return nil
}

// resumeAt sets r to where the file on the server ends.
func (u *upload) resumeAt(ctx context.Context, r io.Seeker) error {
	size, err := u.c.Size(ctx, u.name)
	if refused(err, 550) {
		return nil // nothing is there
	}
	if err != nil {
		return err
	}
	end, err := r.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	if size > end {
		return fmt.Errorf("the file on the server has %d bytes, the one here %d: it is not the beginning of it", size, end)
	}
	u.offset = size
	_, err = r.Seek(size, io.SeekStart)
	return err
}

// back sets r to what the server has not got of a transfer that failed. A file that
// is as long as before may be that of before: some servers replace it only when
// all has come.
func (u *upload) back(ctx context.Context, r io.Seeker) error {
	size := u.offset // as if nothing had come
	if u.n > 0 {
		if got, err := u.c.Size(ctx, u.name); err == nil && got != u.was && got > size && got <= u.offset+u.n {
			size = got
		}
	}
	u.n = size - u.offset
	if _, err := r.Seek(u.start+u.n, io.SeekStart); err != nil {
		return err
	}
	if u.sum != nil {
		at, ok := u.r.(io.ReaderAt)
		if !ok {
			return fmt.Errorf("Verify of a transfer that was taken up again needs an io.ReaderAt, and a %T is none", u.r)
		}
		from := u.start - u.offset // where byte 0 of the file is in r
		u.sum.h.Reset()
		if _, err := io.Copy(u.sum.h, io.NewSectionReader(at, from, size)); err != nil {
			return err
		}
	}
	return nil
}

// once is one STOR or APPE.
func (u *upload) once(ctx context.Context) error {
	s, err := u.c.take(ctx, nil)
	if err != nil {
		return err
	}
	defer u.c.give()
	arg, err := s.encode(u.name)
	if err != nil {
		return err
	}
	cmd, offset := ftp.Command{Verb: u.verb, Arg: arg}, u.offset+u.n
	if offset > 0 && u.verb == "STOR" && !s.features.Has("REST") {
		// Without REST there is APPE, which goes on at the end.
		size, err := s.size(ctx, u.name)
		if err != nil {
			return fmt.Errorf("the server has no REST, and APPE needs the size: %w", err)
		}
		if size != offset {
			return fmt.Errorf("the server has no REST, and APPE would go on at %d, not at %d: %w", size, offset, ErrUnsupported)
		}
		cmd.Verb, offset = "APPE", 0
	}
	t, err := s.start(ctx, u.c.ways, cmd, offset, u.kind(), true)
	if err != nil {
		return err
	}
	r := u.r
	if u.sum != nil {
		r = io.TeeReader(r, u.sum.h)
	}
	if u.text {
		r = ftp.NewASCIIReader(r)
	}
	n, left := u.n, u.limit
	if left >= 0 {
		left -= u.n
	}
	u.begun = true
	got, err := t.transmit(ctx, r, left, u.limiter, func(k int64) { n += k; u.moved(n) })
	u.n += got
	if err == nil {
		if err = t.end(ctx); err != nil && ctx.Err() == nil && !errors.Is(err, ErrStalled) {
			err = nil // the reply tells
		}
	}
	if err != nil {
		return t.broken(ctx, err)
	}
	err = t.finish(ctx)
	switch {
	case errors.Is(err, ErrPoisoned) && !u.text && u.verb == "STOR":
		if u.arrived(ctx) {
			return nil
		}
		return fmt.Errorf("%d bytes were sent, and no word that they arrived: %w", u.n, err)
	case err == nil && t.untold != nil:
		// A reset counts as the end of the file with some servers.
		if size, serr := s.size(ctx, u.name); u.text || u.verb == "APPE" || serr != nil || size != u.offset+u.n {
			return fmt.Errorf("the server says that it is done, and was not told the end: %w", t.untold)
		}
	}
	return err
}

// arrived asks on a new session whether an upload is whole whose control
// connection was lost at its end. Who calls has the turn. SIZE alone is no word:
// some servers, ours is one, tell by it what they keep of a cut upload, and the
// file may still be the one of before.
func (u *upload) arrived(ctx context.Context) bool {
	size := u.offset + u.n
	if !u.c.settled(ctx, u.name, size) {
		return false
	}
	s := u.c.session.Load()
	if e, err := s.mlst(ctx, u.name); refused(err, 550) || err == nil && e.Size >= 0 && e.Size != size {
		return false
	}
	at, ok := u.r.(io.ReaderAt)
	name, h, err := u.c.Digest()
	from := u.start - u.offset // where byte 0 of the file is in r
	if !ok || err != nil || from < 0 {
		return true
	}
	if _, err := io.Copy(h, io.NewSectionReader(at, from, size)); err != nil {
		return true // or is a pipe after all
	}
	theirs, err := s.digest(ctx, u.name, name)
	return err != nil || bytes.Equal(h.Sum(nil), theirs)
}

// Create begins a file on the server; what is written to it goes there, and
// Close tells whether all has arrived. It holds the session until then: other
// calls on the Client wait.
func (c *Client) Create(ctx context.Context, name string, options ...PutOption) (*Writer, error) {
	ctx, cancel := context.WithCancel(ctx)
	r, w := io.Pipe()
	f := &Writer{pipe: w, cancel: cancel, done: make(chan struct{})}
	stop := context.AfterFunc(ctx, func() { _ = r.CloseWithError(context.Cause(ctx)) })
	begun := make(chan struct{})
	go func() {
		defer close(f.done)
		defer stop()
		_, f.err = c.Put(ctx, name, &noticing{r: r, begun: begun}, options...)
		_ = r.CloseWithError(errors.Join(f.err, io.ErrClosedPipe))
	}()
	select {
	case <-begun: // the server is ready for data
	case <-f.done:
		cancel()
		return nil, f.err
	}
	return f, nil
}

// noticing tells when it is first read.
type noticing struct {
	r     io.Reader
	begun chan struct{}
	once  sync.Once
}

func (n *noticing) Read(p []byte) (int, error) {
	n.once.Do(func() { close(n.begun) })
	return n.r.Read(p)
}

// Writer writes to a file of the server. It is for one goroutine.
type Writer struct {
	pipe   *io.PipeWriter
	cancel context.CancelFunc
	done   chan struct{}
	err    error // once done is closed
}

// Write sends p.
func (w *Writer) Write(p []byte) (int, error) { return w.pipe.Write(p) }

// Close ends the file and waits until the server has it.
func (w *Writer) Close() error {
	_ = w.pipe.Close() // never fails
	<-w.done
	w.cancel()
	return w.err
}

// Abort gives the upload up. What the server keeps of it is up to the server.
func (w *Writer) Abort() {
	_ = w.pipe.CloseWithError(context.Canceled) // never fails
	<-w.done
	w.cancel()
}
