package main

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"path"

	"github.com/spf13/cobra"

	"towpath/ftpclient"
	"towpath/internal/exitcode"
	"towpath/internal/ftpurl"
	"towpath/internal/progress"
)

// cpFlags are those of cp alone.
type cpFlags struct {
	clientFlags
	fxp string
}

func cpCommand() *cobra.Command {
	v := &cpFlags{}
	c := clientCommand(cobra.Command{
		Use:   "cp [flags] URL TARGET-URL",
		Short: "Copy a file on a server, or from one server to another",
		Long: `Copies a file. A TARGET-URL that ends in a slash is a directory, in which the
name stays. On one server the server copies, if it has SITE CPFR. Between two, one
sends it to the other (FXP), if both let it: their data connection then bypasses
us. Where that is refused the file goes through here, in over one session and out
over another, and nothing is kept of it.

Most servers refuse FXP. A new file on a server that has refused it midway may be
left empty until the copy through here fills it.`,
		Example: `  towpath cp ftp://alice@ftp.example.org/a.iso ftp://alice@ftp.example.org/old/
  towpath cp ftp://ftp.example.org/a.iso ftp://alice@ftp.example.net/mirror/
  towpath cp --fxp always ftp://ftp.example.org/a.iso ftp://alice@ftp.example.net/a.iso`,
		Args: wantsBoth,
	}, &v.clientFlags, func(c *cobra.Command, args []string) error {
		shown := v.progress(c.OutOrStdout())
		defer func() { _ = shown.Close() }() // nobody reading it is no reason to fail
		return v.run(c.Context(), shown, args)
	})
	c.Flags().StringVar(&v.fxp, "fxp", "auto", "whether two servers may exchange the file themselves: `auto|never|always`")
	return c
}

func wantsBoth(c *cobra.Command, args []string) error {
	if len(args) != 2 {
		return exitcode.With(exitcode.Usage, errors.New("cp wants the URL of a file and that of its copy; see "+c.CommandPath()+" --help"))
	}
	return nil
}

func (v *cpFlags) run(ctx context.Context, shown *progress.Progress, args []string) error {
	switch v.fxp {
	case "auto", "never", "always":
	default:
		return misuse("--fxp %q: want auto, never or always", v.fxp)
	}
	s, ctx, err := v.visit(ctx, shown)
	if err != nil {
		return err
	}
	defer s.close()
	urls, err := s.parse(args)
	if err != nil {
		return err
	}
	source, target := urls[0], urls[1]
	name, err := named(source, "cp")
	if err != nil {
		return err
	}
	if target.IsDir() {
		target = target.Join(path.Base(name))
	}
	if source.Type == ftpurl.ASCII || target.Type == ftpurl.ASCII {
		return misuse(";type=a: a copy is the same byte for byte")
	}
	if target.User == "" && source.Scheme == target.Scheme && source.Addr() == target.Addr() {
		target.User, target.Password, target.HasPassword = source.User, source.Password, source.HasPassword
	}
	from, err := s.client(ctx, source)
	if err != nil {
		return err
	}
	to, err := s.client(ctx, target)
	if err != nil {
		return err
	}
	if from == to && remotePath(target) == name {
		return misuse("%v and its copy are the same file", source)
	}
	size, err := from.Size(ctx, name)
	if err != nil {
		if ctx.Err() != nil || from.Err() != nil || errors.Is(err, fs.ErrNotExist) {
			return exitcode.With(exitcode.Of(err), ended(ctx, err))
		}
		size = -1
	}
	f := shown.File(source.Base(), size)
	err = bare(ctx, v.copy(ctx, s, f, from, name, to, remotePath(target), size))
	s.failed = cmp.Or(s.failed, exitcode.Of(err))
	f.Done(err)
	return s.result()
}

// copy tries the shortest way first.
func (v *cpFlags) copy(ctx context.Context, s *visit, f *progress.File, from *ftpclient.Client, name string, to *ftpclient.Client, target string, size int64) error {
	if from == to {
		err := from.Copy(ctx, name, target)
		if !errors.Is(err, ftpclient.ErrUnsupported) {
			if err == nil {
				f.Add(max(size, 0))
			}
			return err
		}
		s.note("the server does not copy files itself; %s goes through here", name)
		pool, err := from.Pool(2)
		if err != nil {
			return err
		}
		defer func() { _ = pool.Close() }() // all that counts has been answered
		return pool.Do(ctx, func(from *ftpclient.Client) error {
			return pool.Do(ctx, func(to *ftpclient.Client) error { return through(ctx, f, from, name, to, target, size) })
		})
	}
	if v.fxp != "never" {
		err := ftpclient.FXP(ctx, from, name, to, target)
		if err == nil {
			f.Add(max(size, 0))
		}
		if !errors.Is(err, ftpclient.ErrFXP) || v.fxp == "always" {
			return err
		}
		s.note("%v; it goes through here", bare(ctx, err))
		for _, c := range []*ftpclient.Client{from, to} {
			if err := c.Reconnect(ctx); err != nil { // a server that fell silent over it
				return err
			}
		}
	}
	return through(ctx, f, from, name, to, target, size)
}

// through carries a file from one session to another. The target is begun with the
// first byte: there may be none, and a file that may be replaced by nothing.
func through(ctx context.Context, f *progress.File, from *ftpclient.Client, name string, to *ftpclient.Client, target string, size int64) error {
	w := &lateWriter{begin: func() (*ftpclient.Writer, error) { return to.Create(ctx, target) }}
	_, err := from.Get(ctx, name, w, ftpclient.Progress(counter(f)), ftpclient.Expect(size))
	if err == nil && w.to == nil { // an empty file is one, too
		w.to, err = w.begin()
	}
	switch {
	case w.to == nil:
		return err // nothing was touched
	case err != nil:
		w.to.Abort()
		return err
	}
	return w.to.Close()
}

// lateWriter begins a file when it is first written to.
type lateWriter struct {
	begin func() (*ftpclient.Writer, error)
	to    *ftpclient.Writer
}

func (w *lateWriter) Write(p []byte) (n int, err error) {
	if w.to == nil {
		if w.to, err = w.begin(); err != nil {
			return 0, err
		}
	}
	return w.to.Write(p)
}
