package segments

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"sync"

	"towpath/ftp"
	"towpath/ftpclient"
)

// Put sends the file at local over several sessions and returns its size. Each
// sends a part under a name of its own, .NAME.….N, which the server then joins
// (COMB) and renames. What has arrived is what the server says of its parts, so
// Resume needs no status here. Servers without COMB get the file in one piece.
func Put(ctx context.Context, pool *ftpclient.Pool, local, name string, o Options) (int64, error) {
	o.fill()
	u := &upload{pool: pool, local: local, name: name, o: o}
	err := u.run(ctx)
	if _, ok := err.(*fs.PathError); err != nil && !ok {
		err = &fs.PathError{Op: "put", Path: name, Err: err}
	}
	return u.size, err
}

type upload struct {
	pool        *ftpclient.Pool
	local, name string
	o           Options
	size        int64
	parts       []part

	mu      sync.Mutex
	todo    []int // of parts
	arrived int64
}

// part is a span of the file and what it is called on the server.
type part struct {
	span
	name string
}

func (u *upload) run(ctx context.Context) error {
	info, err := os.Stat(u.local)
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s is no regular file: it has no parts", u.local)
	}
	u.size = info.Size()
	joins := false
	err = u.pool.Do(ctx, func(c *ftpclient.Client) error {
		joins = c.Features().Has("COMB")
		return nil
	})
	if err != nil {
		return err
	}
	spans := newPlan(u.size, nil, u.o.Sessions).todo
	if !joins {
		u.o.Note("the server does not join parts (COMB); one session sends the file")
	}
	if !joins || len(spans) < 2 {
		return u.single(ctx)
	}
	// Another file, or one that has changed, must not meet parts of this one.
	id := sha256.Sum256(fmt.Appendf(nil, "%s %d %d %d", u.name, u.size, info.ModTime().UnixNano(), len(spans)))
	for i, s := range spans {
		base := fmt.Sprintf(".%s.%x.%d", path.Base(u.name), id[:4], i)
		u.parts = append(u.parts, part{s, path.Join(path.Dir(u.name), base)})
		u.todo = append(u.todo, i)
	}
	u.o.Progress(0)
	joined := false
	if u.o.Resume {
		if joined, err = u.look(ctx); err != nil {
			return err
		}
	}
	if !joined {
		if err := u.all(ctx); err != nil {
			return err
		}
	}
	if now, err := os.Stat(u.local); err != nil || now.Size() != u.size || !now.ModTime().Equal(info.ModTime()) {
		return errors.Join(errors.New("the file here has changed while it was sent; send it again"), err)
	}
	return u.join(ctx, joined)
}

// look tells whether an earlier call came as far as joining the parts.
func (u *upload) look(ctx context.Context) (joined bool, err error) {
	err = u.pool.Do(ctx, func(c *ftpclient.Client) error {
		n, err := there(ctx, c, u.parts[0].name)
		joined = n == u.size
		return err
	})
	return joined, err
}

// there is how much of a file is on the server.
func there(ctx context.Context, c *ftpclient.Client, name string) (int64, error) {
	n, err := c.Size(ctx, name)
	if e, ok := errors.AsType[*ftp.Error](err); ok && e.Reply.Code == 550 {
		return 0, nil
	}
	return n, err
}

// all sends the parts.
func (u *upload) all(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	failed := make([]error, len(u.parts))
	left := len(u.parts)
	var movers sync.WaitGroup
	for i := range failed {
		movers.Go(func() {
			failed[i] = u.pool.Do(ctx, func(c *ftpclient.Client) error {
				for {
					u.mu.Lock()
					if len(u.todo) == 0 {
						u.mu.Unlock()
						return nil
					}
					n := u.todo[0]
					u.todo = u.todo[1:]
					u.mu.Unlock()
					err := u.send(ctx, c, u.parts[n])
					u.mu.Lock()
					if err != nil {
						u.todo = append(u.todo, n)
					} else if left--; left == 0 {
						cancel() // those that wait for a session
					}
					u.mu.Unlock()
					if err != nil {
						return err
					}
				}
			})
		})
	}
	movers.Wait()
	if left == 0 {
		if limit := u.pool.Limit(); limit < len(u.parts) {
			u.o.Note(fmt.Sprintf("the server allowed %d of %d sessions", limit, len(u.parts)))
		}
		return nil
	}
	for _, err := range failed {
		if err != nil {
			return err
		}
	}
	return io.ErrUnexpectedEOF
}

// send sends one part, or the rest of it.
func (u *upload) send(ctx context.Context, c *ftpclient.Client, p part) error {
	f, err := os.Open(u.local)
	if err != nil {
		return err
	}
	defer f.Close()
	from := int64(0)
	if u.o.Resume {
		if from, err = there(ctx, c, p.name); err != nil {
			return err
		}
		if from > p.size() { // not what we have sent
			from = 0
		}
	}
	last := int64(0)
	moved := func(n int64) {
		u.mu.Lock()
		defer u.mu.Unlock()
		u.arrived += n - last
		last = n
		u.o.Progress(u.arrived)
	}
	moved(from)
	// A part that has all its bytes may still be a cut upload to the server: it is
	// ended by sending none.
	if _, err := f.Seek(p.from+from, io.SeekStart); err != nil {
		return err
	}
	options := []ftpclient.PutOption{ftpclient.From(from), ftpclient.First(p.size() - from), ftpclient.Progress(func(n int64) { moved(from + n) })}
	if u.o.Limiter != nil {
		options = append(options, ftpclient.Limited(u.o.Limiter))
	}
	n, err := c.Put(ctx, p.name, f, options...)
	if err == nil && n < p.size()-from {
		err = fmt.Errorf("%s ended early: %w", u.local, io.ErrUnexpectedEOF)
	}
	if err != nil {
		moved(0) // it is counted again by who tries next
	}
	return err
}

// join makes one file of the parts, under its name.
func (u *upload) join(ctx context.Context, joined bool) error {
	return u.pool.Do(ctx, func(c *ftpclient.Client) error {
		if !joined {
			var rest []string
			for _, p := range u.parts[1:] {
				rest = append(rest, p.name)
			}
			if err := c.Join(ctx, u.parts[0].name, rest...); err != nil {
				return err
			}
		}
		if err := c.Rename(ctx, u.parts[0].name, u.name); err != nil {
			return err
		}
		u.o.Progress(u.size)
		n, err := c.Size(ctx, u.name)
		if err == nil && n != u.size {
			err = fmt.Errorf("the server has %d bytes of %d", n, u.size)
		}
		if err != nil || !u.o.Verify {
			return err
		}
		f, err := os.Open(u.local)
		if err != nil {
			return err
		}
		defer f.Close()
		return c.Compare(ctx, u.name, f)
	})
}

// single sends all by one transfer.
func (u *upload) single(ctx context.Context) error {
	f, err := os.Open(u.local)
	if err != nil {
		return err
	}
	defer f.Close()
	return u.pool.Do(ctx, func(c *ftpclient.Client) error {
		here := int64(0)
		options := []ftpclient.PutOption{ftpclient.Progress(func(n int64) { u.o.Progress(here + n) })}
		if u.o.Resume {
			if here, err = there(ctx, c, u.name); err != nil {
				return err
			}
			options = append(options, ftpclient.Resume())
		}
		if u.o.Verify {
			options = append(options, ftpclient.Verify())
		}
		if u.o.Limiter != nil {
			options = append(options, ftpclient.Limited(u.o.Limiter))
		}
		u.o.Progress(here)
		_, err := c.Put(ctx, u.name, f, options...)
		return err
	})
}
