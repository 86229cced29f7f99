package ftpserver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"path"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode"

	"towpath/ftp"
	"towpath/ftp/listing"
	"towpath/storage"
)

// factChoice is what OPTS MLST chose.
type factChoice struct{ facts listing.Facts }

// offeredFacts are what MLSD can say, usualFacts what it says unasked.
const (
	offeredFacts = listing.DefaultFacts | listing.FactUnique | listing.FactMode | listing.FactOwner | listing.FactGroup
	usualFacts   = listing.DefaultFacts | listing.FactUnique | listing.FactMode
)

func (s *session) facts() listing.Facts {
	if s.extra != nil && s.extra.facts != nil {
		return s.extra.facts.facts
	}
	return usualFacts
}

// style is how one entry becomes one line.
type style func(b []byte, e *listing.Entry) []byte

// list is LIST: lines for people, in the manner of ls -l or of MS-DOS.
func (s *session) list(_ context.Context, arg string) (ftp.Reply, error) {
	now := time.Now()
	line := func(b []byte, e *listing.Entry) []byte { return listing.AppendUnix(b, e, now) }
	if s.set.DOSListing {
		line = listing.AppendDOS
	}
	return s.listNamed("LIST", arg, line, false)
}

// nlst is NLST: names alone, led by the directory that was asked for, so that
// they can be given to RETR as they are.
func (s *session) nlst(_ context.Context, arg string) (ftp.Reply, error) {
	return s.listNamed("NLST", arg, appendName, true)
}

func appendName(b []byte, e *listing.Entry) []byte {
	name := e.Name
	if strings.ContainsFunc(name, unicode.IsControl) {
		name = ftp.Escape(name) // one name, one line
	}
	return append(append(b, name...), "\r\n"...)
}

// mlsd is MLSD (RFC 3659 7).
func (s *session) mlsd(_ context.Context, name string) (ftp.Reply, error) {
	if err := s.ready(); err != nil {
		return ftp.Reply{}, err
	}
	facts := s.facts()
	line := func(b []byte, e *listing.Entry) []byte { return listing.AppendMLSx(b, e, facts) }
	return s.sendListing("MLSD", selection{dir: name}, line)
}

// mlst is MLST: the facts of one name, over the control connection.
func (s *session) mlst(ctx context.Context, name string) (ftp.Reply, error) {
	fi, err := s.user().Root.Stat(ctx, name)
	if err != nil {
		return ftp.Reply{}, err
	}
	v := s.view(path.Dir(name))
	e := v.entry(fi)
	e.Name = s.encode(name)
	e.Perm = v.perm(name, e.Type.IsDir())
	line := string(listing.AppendMLST(nil, e, s.facts()))
	return ftp.NewReply(250, "Facts of "+s.encode(name)+"\n "+line+"\nEnd"), nil
}

// selection is what a listing shows: a directory, the names in it that match a
// pattern, or one name.
type selection struct {
	dir     string
	pattern string // "" all
	only    string // "" all; else this one
	prefix  string // put before each name
}

// listNamed carries out LIST and NLST, whose arguments are options, names and
// patterns as clients think that ls would take them.
func (s *session) listNamed(verb, arg string, line style, prefixed bool) (ftp.Reply, error) {
	if err := s.ready(); err != nil {
		return ftp.Reply{}, err
	}
	sel, err := s.choose(arg)
	if err != nil {
		return ftp.Reply{}, err
	}
	if !prefixed {
		sel.prefix = ""
	}
	return s.sendListing(verb, sel, line)
}

// choose finds out what LIST, NLST and STAT were asked to show. Leading
// options (-a, -la, -CF) mean nothing here, unless a file is called so.
func (s *session) choose(arg string) (selection, error) {
	ctx := s.srv.ctx
	root := s.user().Root
	arg = strings.TrimLeft(arg, " ")
	for strings.HasPrefix(arg, "-") {
		if name, err := s.path(arg); err == nil {
			if _, err := root.Stat(ctx, name); err == nil {
				break
			}
		}
		_, rest, _ := strings.Cut(arg, " ")
		arg = strings.TrimLeft(rest, " ")
	}
	if strings.TrimSpace(arg) == "" {
		return s.allowed(selection{dir: s.cwd})
	}
	name, err := s.path(arg)
	if err != nil {
		return selection{}, err
	}
	fi, err := root.Stat(ctx, name)
	switch {
	case err == nil && fi.IsDir():
		prefix := s.decode(arg)
		if !strings.HasSuffix(prefix, "/") {
			prefix += "/"
		}
		return s.allowed(selection{dir: name, prefix: prefix})
	case err == nil:
		return s.allowed(selection{dir: path.Dir(name), only: path.Base(name), prefix: lead(s.decode(arg))})
	case !strings.ContainsAny(path.Base(name), "*?["):
		return selection{}, err
	}
	// A pattern in the last element. Matching by path.Match takes linear time,
	// and there are no braces to multiply.
	pattern := path.Base(name)
	if len(pattern) > maxPattern {
		return selection{}, refuse(501, fmt.Sprintf("The pattern is too long: %d bytes, at most %d.", len(pattern), maxPattern), nil)
	}
	if _, merr := path.Match(pattern, ""); merr != nil {
		return selection{}, refuse(501, "The pattern is malformed: "+ftp.Escape(pattern), merr)
	}
	dir := path.Dir(name)
	if fi, err := root.Stat(ctx, dir); err != nil {
		return selection{}, err
	} else if !fi.IsDir() {
		return selection{}, storage.ErrNotDir
	}
	return s.allowed(selection{dir: dir, pattern: pattern, prefix: lead(s.decode(arg))})
}

// maxPattern is how long a pattern may be, in bytes: as long as a name. What
// matching costs is its length times that of the name, for each name there is.
const maxPattern = 255

// lead is what stands before the last element of a name, with its slash.
func lead(name string) string { return name[:strings.LastIndexByte(name, '/')+1] }

func (s *session) allowed(sel selection) (selection, error) {
	return sel, s.demand(sel.dir, List)
}

// sendListing streams a listing over the data connection. An empty directory
// is 150, nothing, 226: clients take a 550 for a failure.
func (s *session) sendListing(verb string, sel selection, line style) (ftp.Reply, error) {
	t := s.begin(verb, sel.dir, -1)
	defer s.finish(t)
	if sel.only == "" { // what cannot be listed is refused before 150
		fi, err := s.user().Root.Stat(t.ctx, sel.dir)
		if err != nil {
			return ftp.Reply{}, err
		}
		if !fi.IsDir() {
			return ftp.Reply{}, storage.ErrNotDir
		}
	}
	return s.move(t, "Here comes the listing.", func(d *dataConn) (ftp.Reply, error) {
		var out io.Writer = d.conn
		var z io.WriteCloser
		if s.block == modeDeflate {
			release, err := s.deflating()
			if err != nil {
				return ftp.Reply{}, err
			}
			defer release()
			z = s.newDeflater(d.conn)
			out = z
		}
		if err := s.writeListing(t, out, sel, line); err != nil {
			return ftp.Reply{}, err
		}
		if z != nil {
			if err := z.Close(); err != nil {
				return ftp.Reply{}, err
			}
		}
		if err := d.close(); err != nil {
			return ftp.Reply{}, err
		}
		return ftp.NewReply(226, "Listing complete."), nil
	})
}

// listingChunk is how much of a listing is gathered before it is written.
const listingChunk = 32 << 10

var listingBuffers = sync.Pool{New: func() any { b := make([]byte, 0, listingChunk+8<<10); return &b }}

// writeListing writes the lines of what sel chooses to out, piece by piece.
func (s *session) writeListing(t *transfer, out io.Writer, sel selection, line style) error {
	buf := listingBuffers.Get().(*[]byte)
	defer listingBuffers.Put(buf)
	b := (*buf)[:0]
	defer func() { *buf = b[:0] }()
	f := s.newFlow(t, nil, nil)
	flush := func() error {
		if len(b) == 0 {
			return nil
		}
		n, err := out.Write(b)
		b = b[:0]
		if merr := f.moved(int64(n)); err == nil {
			err = merr
		}
		return err
	}
	for e, err := range s.entries(t.ctx, sel) {
		if err != nil {
			return err
		}
		b = line(b, e)
		if len(b) >= listingChunk {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	return flush()
}

// entries yields what sel chooses; the entry is one and the same value, filled
// anew at each step.
func (s *session) entries(ctx context.Context, sel selection) func(yield func(*listing.Entry, error) bool) {
	return func(yield func(*listing.Entry, error) bool) {
		root := s.user().Root
		v := s.view(sel.dir)
		if sel.only != "" {
			fi, err := root.Stat(ctx, path.Join(sel.dir, sel.only))
			if err != nil {
				yield(nil, err)
				return
			}
			e := v.entry(fi)
			e.Name = s.encode(sel.prefix + sel.only)
			yield(e, nil)
			return
		}
		matches := 0
		for fi, err := range root.List(ctx, sel.dir) {
			if err != nil {
				if ctx.Err() == nil && errors.Is(err, fs.ErrNotExist) {
					continue // gone since its name was read
				}
				if ctx.Err() == nil && storage.OfEntry(err, sel.dir) {
					// Somebody's FUSE or a network disk that is away is mounted there.
					s.log(slog.LevelInfo, "entry left out of a listing", "err", err)
					continue
				}
				yield(nil, err)
				return
			}
			if sel.pattern != "" {
				if ok, _ := path.Match(sel.pattern, fi.Name()); !ok { // the pattern was checked by choose
					continue
				}
				if matches++; matches > s.set.MaxMatches {
					yield(nil, refuse(451, fmt.Sprintf("The pattern matches more than %d names.", s.set.MaxMatches), nil))
					return
				}
			}
			e := v.entry(fi)
			if sel.prefix != "" || s.translates() {
				e.Name = s.encode(sel.prefix + e.Name)
			}
			if !yield(e, nil) {
				return
			}
		}
	}
}

// translates tells whether encode does anything.
func (s *session) translates() bool { u := s.user(); return u.Charset != nil && !s.utf8 }

// view turns what storage knows of the entries of one directory into what
// listings say.
type view struct {
	dir          string
	rights       func(path string) Rights
	e            listing.Entry
	owner, group idName
}

func (s *session) view(dir string) *view {
	return &view{dir: dir, rights: s.user().Rights}
}

// entry describes one file. The result is valid until the next call.
func (v *view) entry(fi fs.FileInfo) *listing.Entry {
	e := &v.e
	mode := fi.Mode()
	*e = listing.Entry{Name: fi.Name(), Type: listing.File, Size: fi.Size(), Time: fi.ModTime(), Mode: mode}
	switch {
	case mode.IsDir():
		e.Type = listing.Dir
	case mode&fs.ModeSymlink != 0:
		e.Type = listing.Link // one that leads nowhere; others are shown as what they lead to
	}
	if u, ok := fi.Sys().(*storage.Unix); ok && u != nil {
		e.Links = int(u.Links)
		e.Owner, e.Group = v.owner.of(u.UID), v.group.of(u.GID)
		e.Device, e.Inode = u.Device, u.Inode
		if e.Type == listing.Link {
			e.Target = u.Target
		}
	}
	e.Perm = v.perm("", e.Type.IsDir())
	return e
}

// perm says what the user may do (RFC 3659 7.5.5) with the file of that path,
// or, if it is empty, with the current entry.
func (v *view) perm(name string, dir bool) listing.Perm {
	if name == "" {
		name = strings.TrimSuffix(v.dir, "/") + "/" + v.e.Name
	}
	r := ReadOnly
	if v.rights != nil {
		r = v.rights(name)
	}
	var p listing.Perm
	for _, m := range permOf {
		if r&m.right != 0 && (m.dirs && dir || m.files && !dir) {
			p |= m.perm
		}
	}
	return p
}

// permOf pairs our rights with the letters of the perm fact.
var permOf = [...]struct {
	right       Rights
	dirs, files bool
	perm        listing.Perm
}{
	{List, true, false, listing.PermEnter | listing.PermList},
	{Write, true, false, listing.PermCreate},
	{Mkdir, true, false, listing.PermMake},
	{Delete, true, false, listing.PermPurge},
	{Rmdir, true, false, listing.PermDelete},
	{Rename, true, true, listing.PermRename},
	{Read, false, true, listing.PermRead},
	{Write, false, true, listing.PermWrite},
	{Append, false, true, listing.PermAppend},
	{Delete, false, true, listing.PermDelete},
}

// idName remembers the text of the last numeric id: neighbours mostly share it.
type idName struct {
	id   uint32
	text string
}

func (n *idName) of(id uint32) string {
	if n.text == "" || n.id != id {
		n.id, n.text = id, strconv.FormatUint(uint64(id), 10)
	}
	return n.text
}

// maxStatListing bounds what STAT lists, as it all goes into one reply.
const maxStatListing = 1000

// statListing is STAT with a path: a listing over the control connection.
func (s *session) statListing(ctx context.Context, sel selection) (ftp.Reply, error) {
	var b []byte
	now := time.Now()
	n := 0
	for e, err := range s.entries(ctx, sel) {
		if err != nil {
			return ftp.Reply{}, err
		}
		if n++; n > maxStatListing || len(b) > ftp.MaxReply/2 {
			b = append(b, "and more; LIST shows all\r\n"...)
			break
		}
		b = append(b, ' ')
		b = listing.AppendUnix(b, e, now)
	}
	text := strings.ReplaceAll(string(b), "\r\n", "\n")
	return ftp.NewReply(213, "Listing:\n"+text+"End"), nil
}
