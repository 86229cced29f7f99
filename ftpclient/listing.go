package ftpclient

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"path"
	"strings"

	"towpath/ftp"
	"towpath/ftp/listing"
)

// ErrTree: a tree has more names than Options.MaxTree.
var ErrTree = errors.New("the tree is too large")

// ErrTooLong: a listing is longer than what is kept of it (16 MiB) when another
// call wants the session while it is being read.
var ErrTooLong = errors.New("the listing is too long to be put aside for another call; finish it first, or use two sessions")

// NameError is a name out of a listing that leads elsewhere than into the
// directory that was listed, or that no command can say.
type NameError struct{ Dir, Name string }

// Error shows the name.
func (e *NameError) Error() string {
	return fmt.Sprintf("the listing of %s names %q, which is no name of a file in it", ftp.Escape(e.Dir), e.Name)
}

// plain tells whether a name from a listing is one of a file in that directory.
func plain(name string) bool {
	return name != "" && name != "." && name != ".." && !strings.ContainsAny(name, "/\x00\r\n")
}

// List yields the entries of a directory as they come, in bounded memory: by
// MLSD, or else by LIST. Entries for the directory itself and the one above are
// left out. A line that cannot be read comes as *listing.LineError in its place
// and the listing goes on; any other error is the last thing that comes.
//
// Names are the server's word; see [Client.Walk] for those that are looked at.
// The loop may use the Client: what the server still sends is then put aside.
func (c *Client) List(ctx context.Context, dir string) iter.Seq2[listing.Entry, error] {
	return func(yield func(listing.Entry, error) bool) {
		l, err := c.openListing(ctx, dir)
		if err != nil {
			yield(listing.Entry{}, about("list", dir, err))
			return
		}
		defer l.Close()
		entries := listing.Read(bufio.NewReaderSize(l, 16<<10), l.options)
		if !l.machine {
			entries = c.inZone(ctx, dir, entries)
		}
		for e, err := range entries {
			if e.Type == listing.CDir || e.Type == listing.PDir || err == nil && (e.Name == "." || e.Name == "..") {
				continue
			}
			if err != nil {
				if _, ok := errors.AsType[*listing.LineError](err); !ok {
					err = about("list", dir, err)
				}
			} else {
				e.Name = c.session.Load().decode(e.Name)
			}
			if !yield(e, err) {
				return
			}
		}
	}
}

// lister is a listing that is being received. It lets other calls pass.
type lister struct {
	c       *Client
	ctx     context.Context
	options listing.Options
	machine bool // by MLSD

	// For who has the turn:
	t     *transfer // nil when it is over
	aside []byte    // what was read to make way
	err   error     // why it is over
}

// mostAside bounds what is put aside of a listing.
const mostAside = 16 << 20

func (c *Client) openListing(ctx context.Context, dir string) (*lister, error) {
	s, err := c.take(ctx, nil)
	if err != nil {
		return nil, err
	}
	defer c.give()
	l := &lister{c: c, ctx: ctx}
	arg, err := s.encode(dir)
	if err != nil {
		return nil, err
	}
	if !c.noMLSD && (s.features.Has("MLST") || s.features.Has("MLSD")) {
		l.t, err = s.start(ctx, c.ways, ftp.Command{Verb: "MLSD", Arg: arg}, 0, 'I', false)
		if err == nil || !unknown(err) || !concerns(err, "MLSD") {
			l.machine, l.options.Dialect = true, listing.MLSx
			c.park(l)
			return l, err
		}
		c.noMLSD = true
	}
	// LIST takes no quotes: what looks like an option or a pattern would be
	// taken for one.
	if strings.HasPrefix(arg, "-") || strings.ContainsAny(arg, " *?[]{}~\\") {
		back, err := s.workingDir(ctx)
		if err != nil {
			return nil, err
		}
		_, err = s.do(ctx, "CWD", arg)
		if _, refused := errors.AsType[*ftp.Error](err); refused {
			return nil, err
		}
		// It is gone, or about to go although nobody waits for its answer.
		defer func() {
			late, cancel := context.WithoutCancel(ctx), func() {}
			if ctx.Err() != nil {
				late, cancel = context.WithTimeout(late, settleFor)
			}
			defer cancel()
			if _, err := s.do(late, "CWD", back); err != nil {
				s.fail(fmt.Errorf("the way back to %s: %w", back, err))
			}
		}()
		if err != nil {
			return nil, err
		}
		// The way back is a command, so the listing must be over first.
		defer func() { l.makeWay(ctx) }()
		arg = ""
	}
	l.options.Location = c.set.Location
	l.t, err = s.start(ctx, c.ways, ftp.Command{Verb: "LIST", Arg: arg}, 0, 'I', false)
	switch {
	case err == nil:
		c.park(l)
	case nothingThere(err):
		l.err = io.EOF
	default:
		return nil, err
	}
	return l, nil
}

// nothingThere tells whether a refusal of LIST means an empty directory.
func nothingThere(err error) bool {
	e, ok := errors.AsType[*ftp.Error](err)
	if !ok || e.Reply.Code != 450 && e.Reply.Code != 550 {
		return false
	}
	text := strings.ToLower(e.Reply.String())
	return strings.Contains(text, "no files found") || strings.Contains(text, "no members found") // IIS 4, wu-ftpd; z/OS
}

func (c *Client) park(l *lister) {
	if l.t != nil {
		c.parked = l
	}
}

// workingDir is where the login has put us.
func (s *session) workingDir(ctx context.Context) (string, error) {
	if s.home != "" {
		return s.home, nil
	}
	r, err := s.do(ctx, "PWD", "")
	if err != nil {
		return "", err
	}
	dir, ok := ftp.Unquote(r.Lines[len(r.Lines)-1])
	if !ok || r.Code != 257 {
		return "", fmt.Errorf("no directory in the reply to PWD, %v", r)
	}
	s.home = dir
	return dir, nil
}

// Read reads what came aside, or else comes.
func (l *lister) Read(p []byte) (int, error) {
	if _, err := l.c.take(l.ctx, l); err != nil {
		if l.t == nil && (len(l.aside) > 0 || l.err != nil) && l.ctx.Err() == nil {
			return l.late(p) // the session is lost, the listing is not
		}
		return 0, err
	}
	defer l.c.give()
	if len(l.aside) > 0 || l.t == nil {
		return l.late(p)
	}
	n, err := l.t.read(l.ctx, p)
	if err != nil {
		l.finish(err)
		err = l.err
	}
	return n, err
}

func (l *lister) late(p []byte) (int, error) {
	if len(l.aside) == 0 {
		return 0, l.err
	}
	n := copy(p, l.aside)
	l.aside = l.aside[n:]
	return n, nil
}

// finish ends the transfer after err, io.EOF being its good end.
func (l *lister) finish(err error) {
	t := l.t
	l.t = nil
	if l.c.parked == parked(l) {
		l.c.parked = nil
	}
	switch {
	case err != io.EOF:
		l.err = t.broken(l.ctx, err)
	case t.data.cut():
		l.err = ErrCut
		if err := t.finish(l.ctx); err != nil {
			l.err = err
		}
	default:
		l.err = io.EOF
		if err := t.finish(l.ctx); err != nil && !nothingThere(err) {
			l.err = err
		} else if r := t.answer.reply; err == nil && strings.Contains(strings.ToLower(r.String()), "failed to open directory") {
			l.err = fmt.Errorf("%w: %w", errUnopened, &ftp.Error{Command: t.answer.command, Reply: r})
		}
	}
}

// errUnopened: vsftpd lists a directory that is not there, or that it may not
// read, as an empty one, and says so behind a 226.
var errUnopened = errors.New("the directory could not be opened")

// makeWay puts aside what is still to come.
func (l *lister) makeWay(context.Context) {
	buf := make([]byte, 32<<10)
	for l.t != nil {
		n, err := l.t.read(l.ctx, buf)
		l.aside = append(l.aside, buf[:n]...)
		switch {
		case err != nil:
			l.finish(err)
		case len(l.aside) > mostAside:
			l.t.stop()
			l.t, l.err = nil, ErrTooLong
		}
	}
}

// Close gives up what was not read.
func (l *lister) Close() {
	l.c.turn <- struct{}{}
	defer l.c.give()
	if l.t != nil {
		l.t.stop()
		l.t, l.err = nil, fs.ErrClosed
	}
	if l.c.parked == parked(l) {
		l.c.parked = nil
	}
}

// Names returns the names in a directory (NLST), as the server writes them;
// some write paths.
func (c *Client) Names(ctx context.Context, dir string) ([]string, error) {
	s, err := c.take(ctx, nil)
	if err != nil {
		return nil, about("names", dir, err)
	}
	defer c.give()
	names, err := c.names(ctx, s, dir)
	return names, about("names", dir, err)
}

func (c *Client) names(ctx context.Context, s *session, dir string) ([]string, error) {
	arg, err := s.encode(dir)
	if err != nil {
		return nil, err
	}
	t, err := s.start(ctx, c.ways, ftp.Command{Verb: "NLST", Arg: arg}, 0, 'I', false)
	if err != nil {
		if nothingThere(err) {
			return nil, nil
		}
		return nil, err
	}
	l := &lister{c: c, ctx: ctx, t: t}
	l.makeWay(ctx)
	if l.err != io.EOF {
		return nil, l.err
	}
	var names []string
	for line := range strings.Lines(string(l.aside)) {
		if line = strings.TrimRight(line, "\r\n"); line != "" {
			names = append(names, s.decode(line))
		}
	}
	return names, nil
}

// Stat tells about one file: by MLST, or else out of the listing of its
// directory, where a link is told of as such. The name in the entry is the last
// element. A name that is not there gives fs.ErrNotExist, when the server says
// so or its directory does not show it.
func (c *Client) Stat(ctx context.Context, name string) (listing.Entry, error) {
	e, err := c.stat(ctx, name)
	return e, about("stat", name, err)
}

func (c *Client) stat(ctx context.Context, name string) (listing.Entry, error) {
	base := path.Base(name)
	e, err := c.mlst(ctx, name)
	if err == nil {
		e.Name = base
		return e, nil
	}
	if !unknown(err) && !errors.Is(err, ErrUnsupported) && !refused(err, 550) || errors.Is(known(err), fs.ErrNotExist) {
		return listing.Entry{}, err
	}
	if clean := path.Clean(name); clean == "/" || clean == "." || base == ".." {
		if refused(err, 550) {
			return listing.Entry{}, err
		}
		return listing.Entry{Name: base, Type: listing.Dir, Size: -1}, nil
	}
	for e, lerr := range c.List(ctx, path.Dir(name)) {
		if lerr == nil && e.Name == base {
			return e, nil
		}
		if lerr != nil {
			if _, ok := errors.AsType[*listing.LineError](lerr); !ok && !errors.Is(lerr, errUnopened) {
				if refused(err, 550) {
					return listing.Entry{}, err
				}
				return listing.Entry{}, lerr
			}
		}
	}
	if refusal, ok := errors.AsType[*ftp.Error](err); ok && refused(err, 550) {
		return listing.Entry{}, fmt.Errorf("%w (%w)", fs.ErrNotExist, refusal)
	}
	return listing.Entry{}, fs.ErrNotExist
}

// mlst asks for one entry by MLST.
func (c *Client) mlst(ctx context.Context, name string) (listing.Entry, error) {
	s, err := c.take(ctx, nil)
	if err != nil {
		return listing.Entry{}, err
	}
	defer c.give()
	return s.mlst(ctx, name)
}

func (s *session) mlst(ctx context.Context, name string) (listing.Entry, error) {
	if !s.features.Has("MLST") {
		return listing.Entry{}, ErrUnsupported
	}
	r, err := s.on(ctx, "MLST", name)
	if err != nil {
		return listing.Entry{}, err
	}
	for _, line := range r.Lines {
		e, perr := listing.ParseMLST(line)
		if perr == nil && e.Stated != 0 {
			switch e.Type {
			case listing.CDir, listing.PDir:
				e.Type = listing.Dir
			}
			return e, nil
		}
	}
	return listing.Entry{}, fmt.Errorf("no facts in the reply to MLST, %v", r)
}

// Found is a file that [Client.Walk] has come by.
type Found struct {
	Path string // root and what lies below, joined by slashes
	listing.Entry
}

// maxDepth bounds how deep a tree is gone through: deeper is a loop of links, or a
// server that makes directories up.
const maxDepth = 200

// bounds are those of one tree. A loop of links that is not deep, or a server that
// makes up two directories in each, is bounded by nothing but the count of names.
type bounds struct{ most, left int }

func (o *Options) bounds() *bounds { return &bounds{o.MaxTree, o.MaxTree} }

// enter tells whether a directory may be gone into.
func (b *bounds) enter(depth int) error {
	if depth > maxDepth {
		return fmt.Errorf("more than %d directories deep; does a link lead back?", maxDepth)
	}
	return nil
}

// count tells whether one more name may be looked at.
func (b *bounds) count() error {
	if b.left <= 0 {
		return fmt.Errorf("%w: more than %d names; does a link lead back?", ErrTree, b.most)
	}
	b.left--
	return nil
}

// Walk yields all that lies below root, a directory before what is in it. It
// follows no links. Errors come with the path that they are about, and it goes
// on behind them where it can; names that lead out of their directory come as
// *NameError. A tree of more than Options.MaxTree names ends it by ErrTree.
// The loop may use the Client.
func (c *Client) Walk(ctx context.Context, root string) iter.Seq2[Found, error] {
	return func(yield func(Found, error) bool) { c.walk(ctx, root, 0, c.set.bounds(), yield) }
}

func (c *Client) walk(ctx context.Context, dir string, depth int, b *bounds, yield func(Found, error) bool) bool {
	if err := b.enter(depth); err != nil {
		return yield(Found{Path: dir}, about("walk", dir, err))
	}
	var below []string
	for e, err := range c.List(ctx, dir) {
		if err := b.count(); err != nil {
			yield(Found{Path: dir}, about("walk", dir, err))
			return false
		}
		at := Found{Path: dir, Entry: e}
		if err == nil && !plain(e.Name) {
			err = &NameError{dir, e.Name}
		}
		if err == nil {
			at.Path = path.Join(dir, e.Name)
			if e.Type == listing.Dir {
				below = append(below, at.Path)
			}
		}
		if !yield(at, err) {
			return false
		}
	}
	for _, d := range below {
		if ctx.Err() != nil || c.Err() != nil {
			return true // the error was told, or is about to be by the next call
		}
		if !c.walk(ctx, d, depth+1, b, yield) {
			return false
		}
	}
	return true
}
