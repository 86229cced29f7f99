package mirror

import (
	"context"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"

	"towpath/ftp"
	"towpath/ftpclient"
)

// fetch moves one file down.
func fetch(ctx context.Context, s *server, l *local, t *task, w Watcher) (moved int64, err error) {
	err = s.with(ctx, func(c *ftpclient.Client, again bool) error {
		f, at, err := l.part(t, again)
		if err != nil {
			return err
		}
		w.Here(at)
		n, err := s.get(ctx, c, t, f.File, at, w)
		moved += n
		if err == nil {
			if size := at + n; t.from.size >= 0 && size != t.from.size {
				s.skip(t.step.Path, fmt.Sprintf("it has %d bytes and was listed with %d: it has changed meanwhile", size, t.from.size))
			}
			return l.finish(t, f)
		}
		info, serr := f.Stat()
		if _, differ := errors.AsType[*ftpclient.HashError](err); differ || serr == nil && info.Size() == 0 || restarted(err) {
			err = also(err, f.held.Remove()) // nothing to go on with
		}
		return also(err, f.Close())
	})
	return moved, err
}

// also is an error with what else went wrong, or as it was: who shows it takes
// off the path that it begins with.
func also(err, more error) error {
	if more == nil {
		return err
	}
	return errors.Join(err, more)
}

// restarted tells whether a server has refused to go on at a place in a file, or
// went on at another.
func restarted(err error) bool {
	e, ok := errors.AsType[*ftp.Error](err)
	return ok && (e.Command.Verb == "REST" || e.Reply.Code == 554) || errors.Is(err, ftpclient.ErrRestart)
}

func (s *server) get(ctx context.Context, c *ftpclient.Client, t *task, f *os.File, at int64, w Watcher) (int64, error) {
	if at > 0 && at == t.from.size && !s.o.Verify {
		return 0, nil
	}
	var options []ftpclient.GetOption
	for _, o := range s.options(at, t.from.size, w) {
		options = append(options, o)
	}
	return c.Get(ctx, s.at(t.step.Path), f, options...)
}

// options are those of both directions.
func (s *server) options(at, size int64, w Watcher) []ftpclient.TransferOption {
	o := []ftpclient.TransferOption{ftpclient.Progress(w.Moved), ftpclient.Expect(size)}
	switch {
	case s.o.Verify && at > 0:
		o = append(o, ftpclient.Verify(), ftpclient.Resume())
	case s.o.Verify:
		o = append(o, ftpclient.Verify())
	case at > 0:
		o = append(o, ftpclient.From(at))
	}
	if s.o.Limiter != nil {
		o = append(o, ftpclient.Limited(s.o.Limiter))
	}
	return o
}

// put is one attempt to move a file up.
func (s *server) put(ctx context.Context, c *ftpclient.Client, t *task, f *os.File, before fs.FileInfo, again bool, w Watcher, moved *int64) error {
	name := s.at(t.step.Path)
	if s.o.Partial {
		name = s.at(t.dir.below(t.part))
	}
	at := int64(0)
	if s.o.Continue || again {
		at = s.begun(ctx, c, t, name, before)
	}
	if _, err := f.Seek(at, io.SeekStart); err != nil {
		return err
	}
	w.Here(at)
	var options []ftpclient.PutOption
	for _, o := range s.options(at, t.from.size, w) {
		options = append(options, o)
	}
	var err error
	if *moved, err = c.Put(ctx, name, f, options...); err != nil {
		return err
	}
	if s.o.Partial {
		if err := c.Rename(ctx, name, s.at(t.step.Path)); err != nil {
			return err
		}
	}
	if err := s.chmod(ctx, c, t.step.Path, t.from, 0o644); err != nil {
		return err
	}
	after, err := f.Stat()
	if err != nil {
		return err
	}
	if after.Size() != t.from.size || !after.ModTime().Equal(t.from.time) {
		// Without its time it is sent again by the next run.
		s.skip(t.step.Path, "it has changed while it was sent, and did not get its time on the server")
		return nil
	}
	return s.setTime(ctx, c, t)
}

// begun tells how much of a file an earlier run has sent, if it has not been
// changed since: 0 where that is not known. Some servers show what is not whole
// only to SIZE.
func (s *server) begun(ctx context.Context, c *ftpclient.Client, t *task, name string, now fs.FileInfo) int64 {
	size, err := c.Size(ctx, name)
	if err != nil || size <= 0 || size >= now.Size() {
		return 0
	}
	when, err := c.ModTime(ctx, name)
	if err != nil || when.Before(now.ModTime()) {
		return 0
	}
	return size
}

// digest asks for that of a file below the top.
func (s *server) digest(ctx context.Context, p string) (h hash.Hash, sum []byte, err error) {
	err = s.with(ctx, func(c *ftpclient.Client, _ bool) error {
		var name string
		if name, h, err = c.Digest(); err != nil {
			return err
		}
		sum, err = c.Hash(ctx, s.at(p), name)
		return err
	})
	return h, sum, err
}

// digest makes that of a file.
func (l *local) digest(ctx context.Context, d *dir, name string, h hash.Hash) ([]byte, error) {
	f, err := l.open(d, name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if _, err := io.Copy(h, reading{ctx, f}); err != nil {
		return nil, err
	}
	return h.Sum(nil), nil
}

// reading ends with its context.
type reading struct {
	ctx context.Context
	r   io.Reader
}

func (r reading) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.r.Read(p)
}
