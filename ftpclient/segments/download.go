package segments

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime"
	"sync"
	"time"

	"towpath/ftp"
	"towpath/ftpclient"
	"towpath/internal/sole"
)

// ErrChanged: the file on the server became another one while it was fetched.
var ErrChanged = errors.New("the file on the server has changed while it was fetched; fetch it again")

// errNoREST: the server cannot begin in the middle of a file.
var errNoREST = errors.New("the server has no REST")

// Get fetches a file into path over several sessions and returns its size. Until
// it is whole a status lies beside it, under the same name with [Suffix], and
// Resume goes on from that; a file without one counts as a beginning. Servers
// that cannot begin in the middle of a file are asked for it in one piece.
//
// Of two that fetch into one path the second gets [ErrBusy].
func Get(ctx context.Context, pool *ftpclient.Pool, name, path string, o Options) (int64, error) {
	o.fill()
	d := &download{pool: pool, name: name, path: path, o: o}
	if err := d.run(ctx); err != nil {
		if p, ok := err.(*fs.PathError); ok && p.Op == "get" {
			return 0, err
		}
		return 0, &fs.PathError{Op: "get", Path: name, Err: err}
	}
	return d.status.size, nil
}

type download struct {
	pool       *ftpclient.Pool
	name, path string
	o          Options
	status     status // but for done

	mu      sync.Mutex
	plan    *plan
	saved   time.Time
	changed chan struct{} // closed when there may be something else to do
	failure error         // ends all
}

func (d *download) run(ctx context.Context) (err error) {
	rest := true
	err = d.pool.Do(ctx, func(c *ftpclient.Client) (err error) {
		rest = len(c.Features()) == 0 || c.Features().Has("REST")
		d.status, err = inspect(ctx, c, d.name)
		return err
	})
	if err != nil {
		return err
	}
	held, err := d.hold()
	if err != nil {
		return err
	}
	defer func() {
		if err != nil && !Begun(d.path) {
			if info, serr := os.Stat(d.path); serr == nil && info.Size() == 0 { // nothing to go on with
				err = errors.Join(err, held.Remove())
			}
		}
		_ = held.Close() // it was not written through this
	}()
	if rest {
		err = d.begin()
		if err == nil {
			err = d.all(ctx)
		}
	} else {
		err = errNoREST
	}
	if errors.Is(err, errNoREST) {
		d.o.Note("the server cannot begin in the middle of a file; one session fetches it")
		err = d.single(ctx)
	}
	if err != nil {
		return err
	}
	if err = d.finish(ctx); err == nil && d.o.As != "" {
		err = held.Rename(d.o.As)
	}
	return err
}

// hold holds the file for all sessions, and makes it if there is none to go on
// with.
func (d *download) hold() (*sole.File, error) {
	if d.o.Resume {
		held, err := sole.Take(sole.Anywhere, d.path)
		if !errors.Is(err, fs.ErrNotExist) {
			return held, err
		}
	}
	held, err := sole.Make(sole.Anywhere, d.path, cmp.Or(d.o.Mode, 0o666))
	if err != nil {
		return nil, err
	}
	if d.o.Mode != 0 && runtime.GOOS != "windows" { // the umask has had its say
		err = os.Chmod(d.path, d.o.Mode)
	}
	if err == nil {
		err = Forget(d.path)
	}
	if err != nil {
		return nil, errors.Join(err, held.Close())
	}
	return held, nil
}

// inspect asks what identifies a file.
func inspect(ctx context.Context, c *ftpclient.Client, name string) (s status, err error) {
	s.source = c.Addr() + " " + name
	if s.size, err = c.Size(ctx, name); err != nil {
		return s, err
	}
	s.time, err = c.ModTime(ctx, name)
	if _, ok := errors.AsType[*ftp.Error](err); ok {
		err = nil // no MDTM
	}
	return s, err
}

// begin finds out what is done, and notes it before anything else happens.
func (d *download) begin() error {
	var done []span
	if d.o.Resume {
		var err error
		if done, err = d.resumed(); err != nil {
			d.o.Note(fmt.Sprintf("begins anew: %v", err))
			done = nil
		}
	}
	d.changed = make(chan struct{})
	d.plan = newPlan(d.status.size, done, d.o.Sessions)
	if err := d.save(); err != nil {
		return err
	}
	flags := os.O_WRONLY | os.O_CREATE
	if len(done) == 0 {
		flags |= os.O_TRUNC
	}
	f, err := os.OpenFile(d.path, flags, 0o666)
	if err == nil {
		err = f.Close()
	}
	d.o.Progress(d.plan.count())
	return err
}

// resumed is what an earlier call has fetched, or why none of it counts.
func (d *download) resumed() ([]span, error) {
	was, err := load(d.path)
	switch {
	case errors.Is(err, fs.ErrNotExist) && !Begun(d.path):
		info, err := os.Stat(d.path)
		if errors.Is(err, fs.ErrNotExist) || err == nil && info.Size() == 0 {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		if info.Size() > d.status.size {
			return nil, fmt.Errorf("%s has %d bytes, the file on the server %d", d.path, info.Size(), d.status.size)
		}
		return []span{{0, info.Size()}}, nil
	case err != nil:
		return nil, err
	case was.source != d.status.source:
		return nil, fmt.Errorf("%s is of another file, %q", d.path, was.source)
	case was.size != d.status.size:
		return nil, fmt.Errorf("the file on the server has changed: it had %d bytes and has %d", was.size, d.status.size)
	case !was.time.Equal(d.status.time):
		return nil, fmt.Errorf("the file on the server has changed: it was of %v and is of %v", was.time, d.status.time)
	}
	return was.done, nil
}

// save notes what has arrived. Who calls holds mu, or is alone.
func (d *download) save() error {
	s := d.status
	s.done = d.plan.arrived()
	d.saved = time.Now()
	return s.save(d.path)
}

// all runs the sessions until all has arrived or none is left.
func (d *download) all(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	n := min(len(d.plan.todo), d.o.Sessions)
	failed := make([]error, n)
	var movers sync.WaitGroup
	for i := range n {
		movers.Go(func() {
			err := d.pool.Do(ctx, func(c *ftpclient.Client) error { return d.work(ctx, c) })
			failed[i] = err
			if d.whole() || errors.Is(err, ErrChanged) || errors.Is(err, errNoREST) || isLocal(err) {
				cancel(err) // those that wait for a session, too
			}
		})
	}
	movers.Wait()
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.save(); err != nil {
		return err
	}
	if cause := context.Cause(ctx); cause != nil && !d.complete() {
		return cause
	}
	if d.complete() {
		for _, err := range failed {
			if err != nil && !errors.Is(err, context.Canceled) {
				d.o.Note(fmt.Sprintf("a session was lost, and the others went on: %v", err))
			}
		}
		if limit := d.pool.Limit(); limit < n {
			d.o.Note(fmt.Sprintf("the server allowed %d of %d sessions", limit, n))
		}
		return nil
	}
	for _, err := range failed {
		if err != nil {
			return err
		}
	}
	return fmt.Errorf("%d of %d bytes came: %w", d.plan.count(), d.status.size, io.ErrUnexpectedEOF)
}

// isLocal tells whether err is about the file here, so that others cannot do
// better.
func isLocal(err error) bool {
	p, ok := errors.AsType[*fs.PathError](err)
	return ok && (p.Op != "get" || isLocal(p.Err))
}

func (d *download) complete() bool { return len(d.plan.todo)+len(d.plan.running) == 0 }

func (d *download) whole() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.complete()
}

// work moves segments over one session while there are any.
func (d *download) work(ctx context.Context, c *ftpclient.Client) error {
	f, err := os.OpenFile(d.path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	for {
		s, err := d.next(ctx)
		if s != nil {
			err = d.move(ctx, c, f, s)
		}
		if err != nil {
			_ = f.Close() // it is not whole anyway
			return err
		}
		if s == nil {
			return f.Close()
		}
	}
}

// next waits for a segment. It gives nil when all has arrived.
func (d *download) next(ctx context.Context) (*segment, error) {
	look := time.NewTicker(worthwhile / 4)
	defer look.Stop()
	for {
		d.mu.Lock()
		s, over, changed := d.plan.next(time.Now()), d.complete(), d.changed
		d.mu.Unlock()
		if s != nil || over {
			return s, nil
		}
		select {
		case <-changed:
		case <-look.C: // by now one of the others may have proved slow
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// move fetches one segment into its place in f.
func (d *download) move(ctx context.Context, c *ftpclient.Client, f *os.File, s *segment) (err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	d.mu.Lock()
	s.stop = cancel
	from, size := s.from, s.size()
	last := s.to == d.status.size
	d.mu.Unlock()
	if last {
		size++ // the server says itself that this is the end; one byte more is a change
	}
	options := []ftpclient.GetOption{ftpclient.From(from), ftpclient.First(size), ftpclient.Progress(func(n int64) { d.moved(s, from+n) })}
	if d.o.Limiter != nil {
		options = append(options, ftpclient.Limited(d.o.Limiter))
	}
	n := int64(0)
	if _, err = f.Seek(from, io.SeekStart); err == nil {
		n, err = c.Get(ctx, d.name, f, options...)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	done := s.at == s.to
	d.plan.ended(s)
	close(d.changed)
	d.changed = make(chan struct{})
	switch {
	case last && n == size, err == nil && !done:
		return ErrChanged // longer or shorter than it was
	case done || d.failure != nil:
		return d.failure
	}
	if e, ok := errors.AsType[*ftp.Error](err); ok && e.Command.Verb == "REST" && e.Reply.Code != 421 {
		return errNoREST
	}
	return err
}

// savings is the time between two notes of what has arrived.
const savings = 250 * time.Millisecond

// moved takes note of bytes that are in the file.
func (d *download) moved(s *segment, at int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.plan.moved(s, at) && at < d.status.size {
		s.stop() // another goes on from here
	}
	d.o.Progress(d.plan.count())
	if time.Since(d.saved) >= savings {
		if err := d.save(); err != nil && d.failure == nil {
			d.failure = err
			s.stop()
		}
	}
}

// single fetches all by one transfer.
func (d *download) single(ctx context.Context) error {
	f, err := os.OpenFile(d.path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o666)
	if err != nil {
		return err
	}
	if err = Forget(d.path); err == nil {
		err = d.pool.Do(ctx, func(c *ftpclient.Client) error {
			options := []ftpclient.GetOption{ftpclient.Progress(d.o.Progress)}
			if d.o.Limiter != nil {
				options = append(options, ftpclient.Limited(d.o.Limiter))
			}
			_, err := c.Get(ctx, d.name, f, options...)
			return err
		})
	}
	return errors.Join(err, f.Close())
}

// finish looks at the whole, and takes the status away.
func (d *download) finish(ctx context.Context) error {
	f, err := os.OpenFile(d.path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil {
		return err
	} else if info.Size() > d.status.size { // of what it was before
		if err := f.Truncate(d.status.size); err != nil {
			return err
		}
	} else if info.Size() < d.status.size {
		return fmt.Errorf("%s has %d bytes and should have %d: %w", d.path, info.Size(), d.status.size, io.ErrUnexpectedEOF)
	}
	err = d.pool.Do(ctx, func(c *ftpclient.Client) error {
		now, err := inspect(ctx, c, d.name)
		if err == nil && (now.size != d.status.size || !now.time.Equal(d.status.time)) {
			err = ErrChanged
		}
		if err == nil && d.o.Verify {
			err = c.Compare(ctx, d.name, f)
		}
		return err
	})
	_, differs := errors.AsType[*ftpclient.HashError](err)
	if differs || errors.Is(err, ErrChanged) {
		// None of it can be relied upon.
		return errors.Join(err, f.Truncate(0), Forget(d.path))
	}
	if err != nil {
		return err
	}
	return Forget(d.path)
}
