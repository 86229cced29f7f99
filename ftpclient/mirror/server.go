package mirror

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"sync/atomic"
	"time"

	"towpath/ftp"
	"towpath/ftp/listing"
	"towpath/ftpclient"
)

// server is the remote side.
type server struct {
	*run
	pool *ftpclient.Pool
	top  string

	mfmt          atomic.Bool // it says that it sets times
	noTime, noMod atomic.Bool // it has refused to
}

func newServer(r *run, pool *ftpclient.Pool, top string) *server {
	return &server{run: r, pool: pool, top: top}
}

func (s *server) at(p string) string { return path.Join(s.top, p) }

// noSession tells that no session is to be had.
type noSession struct{ err error }

func (e *noSession) Error() string { return e.err.Error() }
func (e *noSession) Unwrap() error { return e.err }

// with calls f with a session. When that is lost f is called again, once, on
// another: servers end sessions that have been idle.
func (s *server) with(ctx context.Context, f func(c *ftpclient.Client, again bool) error) error {
	for again := false; ; again = true {
		c, err := s.pool.Take(ctx)
		if err != nil {
			return &noSession{err}
		}
		if c.Features().Has("MFMT") {
			s.mfmt.Store(true)
		}
		err = f(c, again)
		s.pool.Give(c)
		if again || ctx.Err() != nil || !errors.Is(err, ftpclient.ErrPoisoned) {
			return err
		}
	}
}

func (s *server) list(ctx context.Context, d *dir) (entries []entry, incomplete bool, err error) {
	var unread []error
	itself := false // it may be that the directory is listed and not what is in it
	err = s.with(ctx, func(c *ftpclient.Client, _ bool) error {
		entries, unread = nil, nil
		n := 0
		for e, err := range c.List(ctx, s.at(d.path)) {
			if n++; n > s.o.MaxEntries {
				return fmt.Errorf("the listing of %s has more than %d entries", ftp.Escape(s.at(d.path)), s.o.MaxEntries)
			}
			if line, ok := errors.AsType[*listing.LineError](err); ok {
				unread = append(unread, line)
				continue
			}
			if err != nil {
				return s.orMissing(ctx, c, d, err)
			}
			entries = append(entries, entryOf(e))
		}
		if c.Features().Has("MLST") {
			return nil
		}
		itself = len(entries) == 1 && entries[0].name == path.Base(s.at(d.path))
		if n > 0 && !itself {
			return nil
		}
		if err := s.visit(ctx, c, s.at(d.path)); err != nil {
			return s.orMissing(ctx, c, d, err)
		}
		return nil
	})
	for _, line := range unread {
		s.fail(d.path, fmt.Errorf("listing of %s: %w", ftp.Escape(s.at(d.path)), line))
	}
	return entries, len(unread) > 0 || itself, err
}

// visit goes into a directory and back. LIST is no word on whether that can be
// done: vsftpd takes a name that it cannot open for a pattern, which matches
// nothing, or the directory itself.
func (s *server) visit(ctx context.Context, c *ftpclient.Client, dir string) error {
	r, err := c.Quote(ctx, ftp.Command{Verb: "PWD"})
	if err != nil {
		return err
	}
	back, ok := ftp.Unquote(r.Lines[len(r.Lines)-1])
	if !ok {
		return fmt.Errorf("no directory in the reply to PWD, %v", r)
	}
	if _, err := c.Quote(ctx, ftp.Command{Verb: "CWD", Arg: dir}); err != nil {
		if _, refused := errors.AsType[*ftp.Error](err); !refused {
			_ = c.Close() // it may go there yet
		}
		return err
	}
	if _, err := c.Quote(context.WithoutCancel(ctx), ftp.Command{Verb: "CWD", Arg: back}); err != nil {
		_ = c.Close() // it would take all names for others
		return err
	}
	return nil
}

// orMissing makes of what came of listing the top a fs.ErrNotExist, if there is
// no top: Pure-FTPd refuses MLSD without a reason. A target that is not there is
// made.
func (s *server) orMissing(ctx context.Context, c *ftpclient.Client, d *dir, err error) error {
	e, refused := errors.AsType[*ftp.Error](err)
	if d.path != "." || !refused || e.Reply.Code != 550 || errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for p := s.top; p != "." && p != "/"; p = path.Dir(p) { // what is above may be missing, too
		_, serr := c.Stat(ctx, p)
		if errors.Is(serr, fs.ErrNotExist) {
			return serr
		}
		if serr == nil {
			break
		}
	}
	return err
}

func entryOf(e listing.Entry) entry {
	got := entry{
		name: e.Name, kind: e.Type, size: e.Size, time: e.Time, precision: e.Precision,
		mode: e.Mode.Perm(), knownMode: e.Stated&listing.FactMode != 0, unique: e.Unique, target: e.Target,
	}
	switch e.Type {
	case listing.File:
		if e.Stated&listing.FactMode != 0 && e.Mode&fs.ModeType != 0 {
			got.kind = listing.Other // a device or FIFO, from which RETR may never end
		}
	case listing.Dir:
		got.size = -1
	}
	return got
}

// follow asks for the size: a link for which there is none leads to a directory,
// or nowhere, as listing it will tell.
func (s *server) follow(ctx context.Context, d *dir, e entry) (entry, error) {
	err := s.with(ctx, func(c *ftpclient.Client, _ bool) error {
		p := s.at(d.below(e.name))
		size, err := c.Size(ctx, p)
		if _, refused := errors.AsType[*ftp.Error](err); refused {
			e.kind, e.size, e.knownMode = listing.Dir, -1, false
			return nil
		}
		if err != nil {
			return err
		}
		e.kind, e.size, e.knownMode, e.time, e.precision = listing.File, size, false, time.Time{}, time.Second
		if t, err := c.ModTime(ctx, p); err == nil {
			e.time = t
		}
		return nil
	})
	return e, err
}

func (s *server) mkdir(ctx context.Context, d *dir) error {
	return s.with(ctx, func(c *ftpclient.Client, _ bool) error {
		if d.path == "." {
			return s.makeTop(ctx, c)
		}
		if err := c.Mkdir(ctx, s.at(d.path)); err != nil {
			return err
		}
		return s.chmod(ctx, c, d.path, d.entry, 0o755)
	})
}

// makeTop makes the top and those above it that are missing. One that is there
// and could not be listed is no place to begin in.
func (s *server) makeTop(ctx context.Context, c *ftpclient.Client) error {
	first := c.Mkdir(ctx, s.top)
	if _, refused := errors.AsType[*ftp.Error](first); !refused {
		return first
	}
	up := path.Dir(path.Clean(s.top))
	if up == "." || up == "/" {
		return first
	}
	if err := c.MkdirAll(ctx, up); err != nil {
		return err
	}
	return c.Mkdir(ctx, s.top)
}

// chmod sets permissions that are not those which servers give by themselves.
func (s *server) chmod(ctx context.Context, c *ftpclient.Client, p string, e entry, usual fs.FileMode) error {
	if s.o.NoPerms || !e.knownMode || e.mode.Perm() == usual || s.noMod.Load() {
		return nil
	}
	return s.refused(c.Chmod(ctx, s.at(p), e.mode.Perm()), &s.noMod, "permissions")
}

// refused makes of a server's refusal to change what it might not be able to
// change at all a remark, and remembers it.
func (s *server) refused(err error, never *atomic.Bool, what string) error {
	e, ok := errors.AsType[*ftp.Error](err)
	if !ok && !errors.Is(err, ftpclient.ErrUnsupported) {
		return err
	}
	if !never.Swap(true) {
		why := "it has no command for it"
		if ok {
			why = ftp.Escape(e.Reply.String())
		}
		s.skip(".", fmt.Sprintf("the server does not set %s: %s", what, why))
	}
	return nil
}

func (s *server) remove(ctx context.Context, p string, isDir bool) error {
	return s.with(ctx, func(c *ftpclient.Client, _ bool) error {
		if isDir {
			return c.Rmdir(ctx, s.at(p))
		}
		return c.Remove(ctx, s.at(p))
	})
}

func (s *server) symlink(context.Context, *task) error {
	panic("mirror: FTP makes no links") // comparison.link plans none
}

func (s *server) retime(ctx context.Context, t *task) error {
	return s.with(ctx, func(c *ftpclient.Client, _ bool) error { return s.setTime(ctx, c, t) })
}

func (s *server) setTime(ctx context.Context, c *ftpclient.Client, t *task) error {
	if s.o.NoTimes || s.noTime.Load() || t.from.time.IsZero() {
		return nil
	}
	return s.refused(c.SetTime(ctx, s.at(t.step.Path), t.from.time), &s.noTime, "times")
}

// setsTimes tells whether a time that was set is one to compare with. MDTM with
// a time, without MFMT, sets it on some servers (vsftpd) and not on others.
func (s *server) setsTimes() bool { return s.mfmt.Load() && !s.noTime.Load() }

// send moves one file up.
func send(ctx context.Context, s *server, l *local, t *task, w Watcher) (moved int64, err error) {
	f, err := l.open(t.dir, t.from.name)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	before, err := f.Stat()
	if err != nil {
		return 0, err
	}
	err = s.with(ctx, func(c *ftpclient.Client, again bool) error {
		moved = 0
		return s.put(ctx, c, t, f, before, again, w, &moved)
	})
	return moved, err
}
