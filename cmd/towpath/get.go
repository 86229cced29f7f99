package main

import (
	"cmp"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"towpath/ftpclient"
	"towpath/ftpclient/segments"
	"towpath/internal/exitcode"
	"towpath/internal/ftpurl"
	"towpath/internal/progress"
	"towpath/internal/sole"
)

// getFlags are those of get alone.
type getFlags struct {
	clientFlags
	transferFlags
	output     string
	remoteTime bool
	segments   int
}

func getCommand() *cobra.Command {
	v := &getFlags{}
	c := clientCommand(cobra.Command{
		Use:   "get [flags] URL...",
		Short: "Fetch files from a server",
		Long: `Fetches files into the current directory, under the names that they have.

While a file comes it is NAME.part; it becomes NAME when it is whole, so that a
file that was there is not lost to a cut transfer. Of two that fetch it at once
the second ends with an error, and the first goes on. With -c a NAME.part, or
else a NAME that is too short, is continued; a NAME.part that is older than the
file on the server is not. --segments moves a big file over several sessions at
once; NAME.part.segments beside it says meanwhile which bytes are there, and -c
goes on from that.

ftp:// is clear text unless --tls says otherwise, ftpes:// is TLS on port 21 and
ftps:// TLS from the start on port 990. A path begins where the login leads to;
ftp://HOST/%2Fetc/motd, or ftp://HOST//etc/motd, is /etc/motd. ";type=a" behind
it fetches text with the ends of lines that are usual here.

Exit codes are those of curl: 0 all is there, 3 URL, 6 no such host, 7 no
connection, 18 cut, 23 cannot write, 28 too slow, 67 login, 78 no such file.`,
		Example: `  towpath get ftp://ftp.example.org/pub/sea.iso
  towpath get -c ftp://ftp.example.org/pub/sea.iso
  towpath get --segments 4 ftp://ftp.example.org/pub/sea.iso
  towpath get -o - ftp://alice@ftp.example.org/notes.txt
  towpath get --tls=require -o /tmp/ ftp://ftp.example.org/a.txt ftp://ftp.example.org/b.txt
  towpath get -A --ftp-port -:50000-50010 --trace ftp://192.168.10.5/dump.bin`,
		Args: wants(1, "the URL of a file"),
	}, &v.clientFlags, func(c *cobra.Command, args []string) error { return v.run(c.Context(), c.OutOrStdout(), args) })
	f := c.Flags()
	f.StringVarP(&v.output, "output", "o", "", "write to `FILE`, to a directory, or to standard output (-)")
	f.BoolVar(&v.remoteTime, "remote-time", false, "give the file the time that it has on the server")
	f.IntVar(&v.segments, "segments", 1, "fetch a big file over `N` sessions at once, or as many as the server allows")
	v.bindOwn(f)
	return c
}

func (v *getFlags) run(ctx context.Context, out io.Writer, args []string) error {
	if err := v.check(); err != nil {
		return err
	}
	if v.segments < 1 || v.segments > maxSegments {
		return misuse("--segments %d: want 1 to %d", v.segments, maxSegments)
	}
	if v.from > 0 && v.segments > 1 {
		return misuse("--continue-at %d goes on in one piece; --segments finds by -c what is missing", v.from)
	}
	if v.output == "-" && (v.json || v.resume || v.remoteTime) {
		return misuse("-o - writes to standard output, which cannot be continued, has no time and is no place for --json")
	}
	shown := v.progress(out)
	defer func() { _ = shown.Close() }() // nobody reading it is no reason to fail
	s, ctx, err := v.visit(ctx, shown)
	if err != nil {
		return err
	}
	defer s.close()
	v.prepare(&s.options)
	v.apart = strings.Join(v.quote, "\n")
	urls, err := s.parse(args)
	if err != nil {
		return err
	}
	files, err := v.locals(urls)
	if err != nil {
		return err
	}
	shown.Expect(len(urls), -1)
	for i, u := range urls {
		began := time.Now()
		f, err := v.fetch(ctx, s, shown, u, files[i])
		err = v.ended(s, shown, out, f, cmp.Or(u.Base(), u.String()), outcome{
			url: u, num: i, file: files[i], took: time.Since(began), err: bare(ctx, err),
		})
		if err != nil {
			return err
		}
		if ctx.Err() != nil {
			break
		}
	}
	return s.result()
}

// locals tells where each file goes, before anything is fetched.
func (v *getFlags) locals(urls []ftpurl.URL) ([]string, error) {
	dir, into := "", v.output == ""
	if v.output != "" && v.output != "-" {
		info, err := os.Stat(v.output)
		into = err == nil && info.IsDir() || os.IsPathSeparator(v.output[len(v.output)-1])
		dir = v.output
	}
	if len(urls) > 1 && !into && v.output != "-" {
		return nil, misuse("-o %s is one file, and there are %d URLs; name a directory", v.output, len(urls))
	}
	files := make([]string, len(urls))
	for i, u := range urls {
		if u.IsDir() {
			return nil, misuse("%v is a directory; get fetches files, ls lists directories", u)
		}
		files[i] = v.output
		if into {
			base := u.Base()
			if !filepath.IsLocal(base) || base == "." {
				return nil, misuse("%v ends in no name that a file can have here; name one by -o", u)
			}
			files[i] = filepath.Join(dir, base)
		}
	}
	return files, nil
}

// fetch brings one file, and returns its row in shown, if it has come so far.
func (v *getFlags) fetch(ctx context.Context, s *visit, shown *progress.Progress, u ftpurl.URL, path string) (*progress.File, error) {
	c, err := s.client(ctx, u)
	if err != nil {
		return nil, err
	}
	size := int64(-1)
	if u.Type != ftpurl.ASCII { // SIZE counts the bytes of an image
		if n, err := c.Size(ctx, u.Path); err == nil {
			size = n
		}
	}
	if at, ok := v.segmented(path, size); ok {
		return v.fetchSegments(ctx, s, c, shown, u, size, at)
	}
	to, err := openLocal(path, v.resume || v.from > 0)
	if err != nil {
		return nil, exitcode.With(exitcode.Write, err)
	}
	if v.from > 0 {
		if err := to.cut(v.from); err != nil {
			return nil, err
		}
	}
	if err := v.compare(ctx, s, c, u, to); err != nil {
		return nil, exitcode.With(exitcode.Write, errors.Join(err, to.Close()))
	}
	f := shown.File(cmp.Or(u.Base(), u.String()), size)
	f.Skip(to.here)
	options := []ftpclient.GetOption{ftpclient.Progress(counter(f)), ftpclient.Expect(size)}
	for _, o := range v.asked(u) {
		options = append(options, o)
	}
	switch {
	case to.here > 0:
		options = append(options, ftpclient.Resume())
	case v.from > 0: // to what has no beginning here
		options = append(options, ftpclient.From(v.from))
	}
	_, err = c.Get(ctx, u.Path, to.File, options...)
	if err = to.finish(bare(ctx, err)); err == nil {
		v.date(ctx, s, c, u, path)
	}
	return f, err
}

// compare begins a NAME.part anew if the server's file has been changed since. A
// NAME that is gone on with may be a log that grows, and is not looked at.
func (v *getFlags) compare(ctx context.Context, s *visit, c *ftpclient.Client, u ftpurl.URL, to *local) error {
	if !v.resume || to.here == 0 || to.path == "" {
		return nil
	}
	info, err := to.Stat()
	if err != nil {
		return err
	}
	if t, err := c.ModTime(ctx, u.Path); err != nil || !t.After(info.ModTime()) {
		return nil // not known, or not since
	}
	s.note("%s: the file on the server has been changed since; it is fetched from its beginning", to.Name())
	to.here = 0
	return to.Truncate(0)
}

// date gives a file that is whole the time that it has there.
func (v *getFlags) date(ctx context.Context, s *visit, c *ftpclient.Client, u ftpurl.URL, path string) {
	if v.remoteTime {
		t, terr := c.ModTime(ctx, u.Path)
		if terr == nil {
			terr = os.Chtimes(path, t, t)
		}
		if terr != nil {
			s.note("%s: the time was not set: %v", path, terr)
		}
	}
}

// local is a file that is being fetched.
type local struct {
	*os.File
	here int64      // bytes of it that an earlier transfer has brought
	path string     // what it will be called, "" if it has its name already
	held *sole.File // nil for what is no regular file
}

// partial is what an unfinished file is called behind its name.
const partial = ".part"

// openLocal opens a file to be written. Only regular files are made beside their
// place, and held; devices and pipes are written to.
func openLocal(path string, resume bool) (*local, error) {
	if path == "-" {
		return &local{File: os.Stdout}, nil
	}
	info, err := os.Stat(path)
	if err == nil && !info.Mode().IsRegular() {
		f, err := os.OpenFile(path, os.O_WRONLY, 0)
		return &local{File: f}, err
	}
	if err == nil { // through a link to the file that it means
		if path, err = filepath.EvalSymlinks(path); err != nil {
			return nil, err
		}
	}
	if resume {
		at, l := path+partial, &local{path: path}
		l.held, err = sole.Take(sole.Anywhere, at)
		if errors.Is(err, fs.ErrNotExist) {
			at, l = path, &local{}
			l.held, err = sole.Take(sole.Anywhere, at)
		}
		if err == nil {
			return l, l.open(at)
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
	l := &local{path: path}
	mode := modeFor(path)
	if l.held, err = sole.Make(sole.Anywhere, path+partial, cmp.Or(mode, 0o666)); err != nil {
		return nil, err
	}
	if err = l.open(path + partial); err != nil {
		return nil, err
	}
	if mode != 0 && runtime.GOOS != "windows" { // the umask has had its say
		err = l.Chmod(mode)
	}
	if err == nil {
		err = segments.Forget(path + partial)
	}
	if err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// open opens what is held.
func (l *local) open(at string) (err error) {
	if l.File, err = os.OpenFile(at, os.O_RDWR, 0); err == nil {
		info, serr := l.Stat()
		if serr == nil {
			l.here = info.Size()
			return nil
		}
		err = errors.Join(serr, l.Close())
	}
	return errors.Join(err, l.held.Close())
}

// modeFor returns the permissions of what takes the place of path: who may not
// read the file that is there shall not read that. 0: nothing is there.
func modeFor(path string) fs.FileMode {
	info, err := os.Stat(path)
	if err != nil {
		return 0
	}
	return info.Mode().Perm() | 0o600
}

// cut leaves the first n bytes of what is here, behind which a transfer goes on.
func (l *local) cut(n int64) error {
	if info, err := l.Stat(); l.File == os.Stdout || err == nil && !info.Mode().IsRegular() {
		return nil
	}
	var err error
	switch {
	case segments.Begun(l.Name()):
		err = misuse("%s is of segments and has holes; -c knows where", l.Name())
	case l.here < n:
		err = misuse("--continue-at %d: %s has %d bytes; want a file that has the ones before, or -o -", n, cmp.Or(l.path, l.Name()), l.here)
	default:
		if err = l.Truncate(n); err == nil {
			l.here = n
			return nil
		}
	}
	if l.here == 0 && l.path != "" {
		err = errors.Join(err, l.held.Remove()) // made for this, or as empty
	}
	return errors.Join(err, l.Close())
}

// Close closes the file and lets go of it.
func (l *local) Close() error {
	err := l.File.Close()
	if l.held != nil {
		err = errors.Join(err, l.held.Close())
	}
	return err
}

// finish gives the file its name, or says what is left of one that is not whole.
func (l *local) finish(err error) error {
	if l.File == os.Stdout {
		return err
	}
	lost := errors.Is(err, ftpclient.ErrRestart)
	if lost { // what came does not belong there
		err = errors.Join(err, l.Truncate(l.here))
	}
	size := int64(0)
	if info, serr := l.Stat(); serr == nil && info.Mode().IsRegular() {
		size = info.Size()
	}
	if cerr := l.File.Close(); err == nil && cerr != nil {
		err = exitcode.With(exitcode.Write, cerr)
	}
	if l.held != nil {
		defer l.held.Close() // it was not written through this
	}
	_, differs := errors.AsType[*ftpclient.HashError](err)
	switch {
	case err == nil && l.path != "":
		return exitcode.With(exitcode.Write, l.held.Rename(l.path))
	case differs && l.path == "" && l.here > 0:
		return &hint{err, l.Name() + " began otherwise than the server's; get without -c replaces it"}
	case err == nil || l.path == "":
		return err
	case differs, size == 0: // a beginning that is not the server's would be taken for good
		if rerr := l.held.Remove(); rerr != nil {
			err = errors.Join(err, rerr)
		}
		return err
	}
	if lost {
		return &hint{err, "get without -c fetches it from its beginning"}
	}
	return &hint{err, l.Name() + " has what came, and get -c goes on there"}
}
