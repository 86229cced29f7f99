package ftpclient

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"sync"
	"syscall"
	"time"

	"towpath/ftp"
)

// transfer is one movement of bytes, from its command to its last reply.
//
//	start -> receive or transmit -> finish   done: 226 or 250
//	                             -> stop     early, by us: any last reply will do
type transfer struct {
	s      *session
	answer *answer
	data   *dataConn
	over   chan struct{} // closed when nobody need watch any more
	gone   sync.WaitGroup
	up     bool
	in     *inflater // of a download in MODE Z
	out    *deflater // of an upload in MODE Z

	aborted *answer // what is owed to ABOR, if it was sent
	untold  error   // why the server was not told that all was sent
}

// settleFor is how long the server has to answer a transfer that we have ended.
const settleFor = 5 * time.Second

// soonIs how long a reply may take that is due.
const soonIs = 500 * time.Millisecond

// start announces, sends a transfer command and makes its data connection. What
// fails because of the way in which the connection is made is tried again in
// the next mode; what the server refuses is refused.
func (s *session) start(ctx context.Context, w *ways, cmd ftp.Command, offset int64, kind byte, up bool) (*transfer, error) {
	if err := s.setType(ctx, kind); err != nil {
		return nil, err
	}
	if err := s.setMode(ctx, s.deflates()); err != nil {
		return nil, err
	}
	var failed *DataError
	var before []Attempt
	for _, m := range w.modes() {
		if !s.possible(m) {
			continue
		}
		t, n, err := s.try(ctx, m, cmd, offset, up)
		n.attempt.Took = time.Since(n.attempt.Start)
		n.attempt.Err = err
		way, refused := errors.AsType[*wayError](err)
		if refused {
			n.attempt.Err = way.err
		}
		if err == nil || refused {
			w.report(n.attempt)
		}
		if !refused {
			return t, err
		}
		s.set.Log.Info("no data connection", "mode", m, "err", way.err)
		failed = &DataError{Attempt: n.attempt, Before: before, Err: way.err}
		before = append(before, n.attempt)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if s.alive() != nil {
			return nil, failed
		}
	}
	if failed == nil {
		return nil, s.impossible(cmd)
	}
	return nil, failed
}

// wayError is a failure for which another mode may be the cure.
type wayError struct{ err error }

func (e *wayError) Error() string { return e.err.Error() }
func (e *wayError) Unwrap() error { return e.err }

// try makes one attempt.
func (s *session) try(ctx context.Context, m Mode, cmd ftp.Command, offset int64, up bool) (*transfer, *announcement, error) {
	n, err := s.announce(ctx, m, cmd)
	defer n.close()
	if err != nil {
		return nil, n, &wayError{err}
	}
	if err := s.restart(ctx, offset); err != nil {
		return nil, n, err
	}
	a, err := s.send(cmd)
	if err != nil {
		return nil, n, err
	}
	t := &transfer{s: s, answer: a, over: make(chan struct{}), up: up}
	if err := s.opening(ctx, a); err != nil {
		n.close()
		t.settle()
		return nil, n, err
	}
	select {
	case <-a.done:
		if r := a.reply; !r.Complete() {
			err := error(s.failed(a))
			if r.Code == 425 { // what can be done about 426 is up to who retries
				err = &wayError{err}
			}
			return nil, n, err
		}
	default:
	}
	t.data, err = n.connect(ctx, a)
	if err != nil {
		n.close()
		t.settle()
		return nil, n, &wayError{err}
	}
	if s.tls != nil {
		n.attempt.Resumed, err = s.protect(ctx, t.data)
		if err != nil {
			t.data.discard()
			if e := t.settle(); e != nil { // 522: the server wants its session resumed
				err = fmt.Errorf("%w (%w)", err, e)
			}
			return nil, n, err
		}
	}
	switch {
	case s.deflating && up:
		t.out = newDeflater(t)
	case s.deflating:
		t.in = newInflater(t)
	}
	t.gone.Go(func() { t.watch(ctx) })
	return t, n, nil
}

// restart is REST, for the transfer command that comes next; of 0 only where one of
// a call that was cancelled may be in force.
func (s *session) restart(ctx context.Context, offset int64) error {
	if offset == 0 && !s.rested {
		return nil
	}
	s.rested = true
	_, err := s.do(ctx, "REST", fmt.Sprint(offset))
	e, refused := errors.AsType[*ftp.Error](err)
	switch unknown := refused && (e.Reply.Code == 500 || e.Reply.Code == 502); {
	case offset == 0 && unknown: // then no other was understood either
		s.rested = false
		return nil
	case err == nil, refused && offset > 0:
		s.rested = false
	}
	return err
}

// watch keeps the control connection alive while bytes move, and ends the
// movement when the context does, or when the server has said that it failed. It
// sees to it that a slow line is not taken for one on which nothing moves.
func (t *transfer) watch(ctx context.Context) {
	var tick, look <-chan time.Time
	if patience := t.s.set.StallTimeout; patience > 0 {
		k := time.NewTicker(max(patience/4, time.Nanosecond))
		defer k.Stop()
		look = k.C
	}
	if t.s.set.KeepAlive > 0 {
		k := time.NewTicker(t.s.set.KeepAlive)
		defer k.Stop()
		tick = k.C
	}
	done, dead := t.answer.done, t.s.dead
	for {
		select {
		case <-t.over:
			return
		case <-ctx.Done():
			t.data.interrupt(0)
			return
		case <-done:
			done, tick = nil, nil
			switch {
			case t.up: // nobody listens any more
				t.data.interrupt(0)
			case !t.answer.reply.Complete():
				t.data.interrupt(settleFor)
			}
		case <-dead:
			// What was sent to us is still on its way; what we send nobody
			// would answer for.
			dead, tick = nil, nil
			if t.up {
				t.data.interrupt(0)
			}
		case <-look:
			t.data.heed(t.up, t.s.set.StallTimeout)
		case <-tick:
			_, _ = t.s.put(ftp.Command{Verb: "NOOP"}, keeping) // a failure ends the session
		}
	}
}

// dismiss ends watch.
func (t *transfer) dismiss() {
	select {
	case <-t.over:
	default:
		close(t.over)
	}
	t.gone.Wait()
}

// failure says why moving bytes failed: what the context or the server said is
// the cause of what the socket says.
func (t *transfer) failure(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		select {
		case <-t.answer.done:
			if !t.answer.reply.Complete() {
				return t.result()
			}
			if t.up {
				return fmt.Errorf("the server said that it was done before all was sent: %v", t.answer.reply)
			}
		default:
		}
		if t.up && t.s.alive() != nil {
			return t.s.alive()
		}
		return fmt.Errorf("%w: no byte moved for %v", ErrStalled, t.s.set.StallTimeout)
	}
	return err
}

// pieces that move between two looks at the clocks.
const (
	kernelPiece = 4 << 20   // from file to socket and back, by the kernel
	bufferPiece = 256 << 10 // through a buffer
	writePiece  = 16 << 10  // a TLS record: its write cannot be taken up again
)

var buffers = sync.Pool{New: func() any { b := make([]byte, bufferPiece); return &b }}

// piece is how many bytes move at once through the kernel: as many as take about
// a tenth of a second, so that who counts them sees them move on slow lines too,
// and fast ones are not held up.
type piece int64

// smallPiece is the first, and the least.
const smallPiece piece = 256 << 10

// took fits the size to how long one took that moved n bytes.
func (p *piece) took(n int64, d time.Duration) {
	switch {
	case n == int64(*p) && d < 50*time.Millisecond:
		*p = min(*p*2, kernelPiece)
	case d > 200*time.Millisecond:
		*p = max(*p/2, smallPiece)
	}
}

// leave waits until bytes may move, and says how many of want. None may when ctx
// has ended: the one that interrupts the connection may come late.
func leave(ctx context.Context, l Limiter, want int64) (int64, error) {
	if l == nil {
		return want, ctx.Err()
	}
	want = max(min(want, int64(l.Burst())), 1)
	err := l.WaitN(ctx, int(want))
	if _, ok := ctx.Deadline(); ok && err != nil {
		// A limiter may say at once that there will be no leave in time.
		<-ctx.Done()
		err = ctx.Err()
	}
	return want, err
}

// receive moves what comes to w, limit bytes at most (< 0: all) and no faster than
// l allows, and tells each piece to moved. whole is true when the data ended by
// itself. Between a socket and a file the kernel moves the bytes.
func (t *transfer) receive(ctx context.Context, w io.Writer, limit int64, l Limiter, moved func(int64)) (n int64, whole bool, err error) {
	if f, ok := w.(*os.File); ok && t.in == nil && takesSplice(f) {
		if c, ok := t.data.conn.(*net.TCPConn); ok {
			return t.splice(ctx, f, c, limit, l, moved)
		}
	}
	buf := buffers.Get().(*[]byte)
	defer buffers.Put(buf)
	for limit < 0 || n < limit {
		p := *buf
		if limit >= 0 {
			p = p[:min(int64(len(p)), limit-n)]
		}
		may, err := leave(ctx, l, int64(len(p)))
		if err != nil {
			return n, false, err
		}
		p = p[:may]
		got, rerr := t.read(ctx, p)
		if got > 0 {
			put, werr := w.Write(p[:got])
			n += int64(put)
			moved(int64(put))
			if werr == nil && put < got {
				werr = io.ErrShortWrite
			}
			if werr != nil {
				return n, false, &localError{werr}
			}
		}
		switch {
		case rerr == io.EOF:
			return n, true, nil
		case rerr != nil:
			return n, false, rerr
		}
	}
	return n, false, nil
}

// read is one read of what is transferred.
func (t *transfer) read(ctx context.Context, p []byte) (int, error) {
	if t.in != nil {
		return t.in.read(ctx, p)
	}
	return t.readWire(ctx, p)
}

// readWire is one read of the data connection.
func (t *transfer) readWire(ctx context.Context, p []byte) (int, error) {
	t.data.arm(t.s.set.StallTimeout)
	n, err := t.data.read(p)
	if err != nil && err != io.EOF {
		err = t.failure(ctx, err)
	}
	return n, err
}

// localError is a fault of what the caller gave us to read or write.
type localError struct{ err error }

func (e *localError) Error() string { return e.err.Error() }
func (e *localError) Unwrap() error { return e.err }

// takesSplice tells whether the kernel can move bytes from a socket into f. Once
// they are on their way it is too late to find out that it cannot: they are in
// neither then. Devices do not take them, nor does what is open for appending, as
// standard output may be.
func takesSplice(f *os.File) bool { return isRegular(f) && !appends(f) }

// isRegular tells pipes and devices from files. Out of those the kernel sends
// nothing by itself, and what net then reads for it is lost when a deadline strikes
// the write behind it.
func isRegular(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode().IsRegular()
}

func (t *transfer) splice(ctx context.Context, f *os.File, c *net.TCPConn, limit int64, l Limiter, moved func(int64)) (n int64, whole bool, err error) {
	size := smallPiece
	for limit < 0 || n < limit {
		want := int64(size)
		if limit >= 0 {
			want = min(want, limit-n)
		}
		if want, err = leave(ctx, l, want); err != nil {
			return n, false, err
		}
		t.data.arm(t.s.set.StallTimeout)
		began := time.Now()
		got, err := f.ReadFrom(&io.LimitedReader{R: c, N: want})
		size.took(got, time.Since(began))
		n += got
		moved(got)
		switch {
		case err == nil && got < want:
			return n, true, nil
		case err == nil:
		case errors.Is(err, os.ErrDeadlineExceeded) && got > 0 && !t.interrupted():
		default:
			if errno, ok := errors.AsType[syscall.Errno](err); ok && slices.Contains(lineFaults, errno) {
				// The file tells it as its own.
				err = &net.OpError{Op: "read", Net: "tcp", Source: c.LocalAddr(), Addr: c.RemoteAddr(), Err: errno}
			}
			if _, ok := errors.AsType[*net.OpError](err); !ok && !errors.Is(err, os.ErrDeadlineExceeded) {
				return n, false, &localError{err}
			}
			return n, false, t.failure(ctx, err)
		}
	}
	return n, false, nil
}

// lineFaults are what a socket may say of a splice, and no file does.
var lineFaults = []syscall.Errno{
	syscall.ECONNRESET, syscall.ECONNABORTED, syscall.ETIMEDOUT, syscall.EHOSTUNREACH, syscall.EHOSTDOWN,
	syscall.ENETUNREACH, syscall.ENETDOWN, syscall.ENETRESET,
}

func (t *transfer) interrupted() bool {
	t.data.mu.Lock()
	defer t.data.mu.Unlock()
	return t.data.ended
}

// transmit moves r to the server, limit bytes at most (< 0: all) and no faster
// than l allows. From a file to a socket the kernel moves the bytes.
func (t *transfer) transmit(ctx context.Context, r io.Reader, limit int64, l Limiter, moved func(int64)) (n int64, err error) {
	if f, ok := r.(*os.File); ok && t.out == nil && isRegular(f) {
		if c, ok := t.data.conn.(*net.TCPConn); ok {
			return t.sendfile(ctx, f, c, limit, l, moved)
		}
	}
	if limit >= 0 {
		r = io.LimitReader(r, limit)
	}
	buf := buffers.Get().(*[]byte)
	defer buffers.Put(buf)
	for {
		got, rerr := r.Read(*buf)
		for p := (*buf)[:got]; len(p) > 0; {
			may, err := leave(ctx, l, int64(min(len(p), writePiece)))
			if err != nil {
				return n, err
			}
			put, werr := t.write(ctx, p[:may])
			n += int64(put)
			moved(int64(put))
			if werr != nil {
				return n, werr
			}
			p = p[put:]
		}
		if rerr == io.EOF && t.out != nil {
			return n, t.out.end(ctx)
		}
		if rerr == io.EOF {
			return n, nil
		}
		if rerr != nil {
			return n, &localError{rerr}
		}
		if ctx.Err() != nil {
			return n, ctx.Err()
		}
	}
}

// write writes all of p, which is part of what is transferred.
func (t *transfer) write(ctx context.Context, p []byte) (int, error) {
	if t.out != nil {
		return t.out.write(ctx, p)
	}
	return t.writeWire(ctx, p)
}

// writeWire writes all of p to the data connection, as long as some of it moves.
func (t *transfer) writeWire(ctx context.Context, p []byte) (n int, err error) {
	for n < len(p) {
		t.data.arm(t.s.set.StallTimeout)
		put, err := t.data.conn.Write(p[n:min(len(p), n+writePiece)])
		n += put
		if err != nil && (put == 0 || t.data.tls != nil || !errors.Is(err, os.ErrDeadlineExceeded) || t.interrupted()) {
			return n, t.failure(ctx, err)
		}
	}
	return n, nil
}

func (t *transfer) sendfile(ctx context.Context, f *os.File, c *net.TCPConn, limit int64, l Limiter, moved func(int64)) (n int64, err error) {
	start, err := f.Seek(0, io.SeekCurrent)
	if err != nil {
		return 0, &localError{err}
	}
	size := smallPiece
	for limit < 0 || n < limit {
		want := int64(size)
		if limit >= 0 {
			want = min(want, limit-n)
		}
		want, err := leave(ctx, l, want)
		if err != nil {
			return n, err
		}
		t.data.arm(t.s.set.StallTimeout)
		began := time.Now()
		got, err := c.ReadFrom(&io.LimitedReader{R: f, N: want})
		size.took(got, time.Since(began))
		n += got
		moved(got)
		switch {
		case err == nil && got < want:
			return n, nil
		case err == nil:
		case errors.Is(err, os.ErrDeadlineExceeded) && got > 0 && !t.interrupted():
			// Where the kernel does not send from this file system (procfs), more
			// may have been read than was sent.
			if _, err := f.Seek(start+n, io.SeekStart); err != nil {
				return n, &localError{err}
			}
		default:
			if _, ok := errors.AsType[*os.PathError](err); ok {
				return n, &localError{err}
			}
			return n, t.failure(ctx, err)
		}
	}
	return n, nil
}

// end says to the server that all was sent, and waits until it has taken it: a
// connection that is closed while something lies unread in our socket, as
// tickets of TLS 1.3 do when nobody reads, is reset, and takes with it what was
// still to be sent.
func (t *transfer) end(ctx context.Context) error {
	d := t.data
	d.arm(t.s.set.StallTimeout)
	var err error
	if d.tls != nil {
		err = d.tls.CloseWrite()
		t.untold = err
	}
	buf := make([]byte, 512)
	if d.tunnel && d.tls != nil && err == nil {
		// microsocks and tinyproxy take what is closed by half for closed, and
		// reset the server's end of it if tickets lie unread there. The server
		// needs no more than what TLS has said.
		for err == nil {
			d.arm(t.s.set.StallTimeout)
			_, err = d.conn.Read(buf)
		}
		if errors.Is(err, os.ErrDeadlineExceeded) && ctx.Err() == nil {
			err = nil // it waits for TCP to say it too
		}
	}
	if err == io.EOF {
		return d.tcp.Close()
	}
	if c, ok := d.wire().(interface{ CloseWrite() error }); ok && err == nil {
		err = c.CloseWrite()
		t.untold = err
	} else if !ok { // a proxy's connection that cannot be closed by half
		return errors.Join(err, d.conn.Close())
	}
	for err == nil {
		// The server answers when it has all, and some close only behind that.
		d.arm(t.s.set.StallTimeout)
		_, err = d.conn.Read(buf)
	}
	closed := d.tcp.Close()
	if err != io.EOF {
		select {
		case <-t.answer.done: // its word counts
			return nil
		default:
		}
		if errors.Is(err, net.ErrClosed) || d.tls != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			return nil // ProFTPD and others reset after the last byte; the reply will tell
		}
		return t.failure(ctx, err)
	}
	return closed
}

// finish waits for the last reply of a transfer whose bytes have all moved. Done
// is 226 or 250 and nothing else.
func (t *transfer) finish(ctx context.Context) error {
	_ = t.data.conn.Close() // what was to be said is said
	_, err := t.s.final(ctx, t.answer, t.s.set.StallTimeout)
	t.dismiss()
	if err != nil {
		return err
	}
	return t.result()
}

// result judges the last reply.
func (t *transfer) result() error {
	if r := t.answer.reply; r.Code != 226 && r.Code != 250 {
		return t.s.failed(t.answer)
	}
	return nil
}

// stop ends a transfer before its end, which is no error: 226, 426, 451 and 550
// are all seen then. A download is stopped by closing the connection. An upload
// would be taken for whole then; it gets ABOR and a reset. When it returns the
// session can be used, or is over.
func (t *transfer) stop() {
	if t.up {
		t.abort()
	}
	t.data.discard()
	t.dismiss()
	_ = t.settle()
}

// abort sends ABOR.
func (t *transfer) abort() {
	if t.aborted == nil {
		t.aborted, _ = t.s.put(ftp.Command{Verb: "ABOR"}, aborting) // a failure ends the session
	}
}

// settle brings the dialogue to rest after a transfer that we have ended, or
// ends the session. It returns a refusal.
//
// Pure-FTPd says nothing when a download is closed, and answers the ABOR that
// follows by one reply, where others give two. So there is a NOOP behind it: all
// that is owed comes before the answer to that. A server that was found silent
// once is not waited for again.
func (t *transfer) settle() error {
	s, ctx := t.s, context.Background()
	if s.silent || !s.soon(t.answer) {
		t.abort()
	}
	r, err := s.final(ctx, t.answer, settleFor)
	if err != nil {
		return err
	}
	if r.Code == 225 {
		// That is said of ABOR alone. pyftpdlib says it before it has taken the
		// data connection, and still waits for one: for the next, whatever that is.
		s.fail(fmt.Errorf("ABOR was answered, and %v was not: %v", t.answer.command, r))
		return s.alive()
	}
	if t.aborted != nil && (s.silent || !s.soon(t.aborted)) {
		if mark, err := s.put(ftp.Command{Verb: "NOOP"}, keeping); err == nil {
			if _, err = s.final(ctx, mark, settleFor); err == nil {
				s.silent = s.forgive(t.aborted)
			}
		}
	}
	if !r.Complete() {
		return &ftp.Error{Command: t.answer.command, Reply: r}
	}
	return nil
}
