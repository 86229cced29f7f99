package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"towpath/ftpclient"
	"towpath/internal/exitcode"
	"towpath/internal/ftpurl"
	"towpath/internal/progress"
)

// putFlags are those of put alone.
type putFlags struct {
	clientFlags
	transferFlags
	createDirs, append bool
	upload             string
	segments           int
}

func putCommand() *cobra.Command {
	v := &putFlags{}
	c := clientCommand(cobra.Command{
		Use:   "put [flags] FILE... URL",
		Short: "Send files to a server",
		Long: `Sends files. A URL that ends in a slash is a directory, in which they keep their
names; else it is the name of the one file. "-" is standard input.

It is done when the server has said that it has all. With -c a file goes on at
the size that it has there. --segments sends a big file in parts over several sessions,
named .NAME.….N until the server has joined them; -c with the same number goes on
with those.

Exit codes are those of curl: 0 all is there, 25 refused, 26 cannot read,
67 login, 70 the server has no room; see also towpath get --help.`,
		Example: `  towpath put report.pdf ftp://alice@ftp.example.org/
  towpath put -c big.iso ftpes://alice@ftp.example.org/upload/
  towpath put report.pdf ftp://alice@ftp.example.org/2026/november.pdf --ftp-create-dirs
  tar cz . | towpath put - ftp://alice@ftp.example.org/backup.tar.gz`,
		Args: func(c *cobra.Command, args []string) error {
			if c.Flags().Changed("upload") {
				return wants(1, "files behind -u URL")(c, args)
			}
			return wants(2, "files, and the URL to which they go")(c, args)
		},
	}, &v.clientFlags, func(c *cobra.Command, args []string) error {
		if v.upload != "" {
			args = append(args, v.upload)
		}
		return v.run(c.Context(), c.OutOrStdout(), args)
	})
	f := c.Flags()
	f.BoolVar(&v.createDirs, "ftp-create-dirs", false, "make the directories of the URL that are missing")
	f.IntVar(&v.segments, "segments", 1, "send a big file in `N` parts at once, which the server joins (COMB), or in one piece")
	f.StringVarP(&v.upload, "upload", "u", "", "send to this `URL`; all arguments are files (as BSD ftp has it)")
	f.BoolVar(&v.append, "append", false, "add to the end of the file")
	v.bindOwn(f)
	return c
}

func (v *putFlags) run(ctx context.Context, out io.Writer, args []string) error {
	if err := v.check(); err != nil {
		return err
	}
	if v.segments < 1 || v.segments > maxSegments {
		return misuse("--segments %d: want 1 to %d", v.segments, maxSegments)
	}
	if v.append && (v.resume || v.verify) {
		return misuse("--append adds to what is there; -c and --verify are about one file that is the same here and there")
	}
	if v.from > 0 && (v.append || v.verify || v.segments > 1) {
		return misuse("--continue-at %d begins there; --append, --verify and --segments are about all of the file", v.from)
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
	files := args[:len(args)-1]
	urls, err := s.parse(args[len(args)-1:])
	if err != nil {
		return err
	}
	targets, err := v.targets(files, urls[0])
	if err != nil {
		return err
	}
	shown.Expect(len(files), -1)
	for i, name := range files {
		began := time.Now()
		f, err := v.send(ctx, s, shown, name, targets[i])
		err = v.ended(s, shown, out, f, name, outcome{
			url: targets[i], num: i, file: name, up: true, took: time.Since(began), err: bare(ctx, err),
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

// targets tells where each file goes.
func (v *putFlags) targets(files []string, u ftpurl.URL) ([]ftpurl.URL, error) {
	if u.Type == ftpurl.Directory {
		return nil, misuse("%v: ;type=d is for listings", u)
	}
	if len(files) > 1 && !u.IsDir() {
		return nil, misuse("%v is one file, and there are %d to send; end it in a slash if it is a directory", u, len(files))
	}
	targets := make([]ftpurl.URL, len(files))
	for i, f := range files {
		targets[i] = u
		if !u.IsDir() {
			continue
		}
		base := filepath.Base(f)
		if f == "-" || base == "." || base == ".." || base == string(filepath.Separator) {
			return nil, misuse("%q has no name to be called by in %v; put the name behind the URL", f, u)
		}
		targets[i] = u.Join(base)
		targets[i].Type = u.Type
	}
	return targets, nil
}

// send takes one file there, and returns its row in shown, if it came so far.
func (v *putFlags) send(ctx context.Context, s *visit, shown *progress.Progress, name string, u ftpurl.URL) (*progress.File, error) {
	in, size := os.Stdin, int64(-1)
	if name != "-" {
		var err error
		if in, err = os.Open(name); err != nil {
			return nil, exitcode.With(exitcode.Read, err)
		}
		defer in.Close()
		info, err := in.Stat()
		switch {
		case err != nil:
			return nil, exitcode.With(exitcode.Read, err)
		case info.IsDir():
			return nil, exitcode.With(exitcode.Read, misuse("a directory; put sends files"))
		case info.Mode().IsRegular() && u.Type != ftpurl.ASCII:
			size = info.Size()
		}
	}
	if err := v.skip(in); err != nil {
		return nil, err
	}
	c, err := s.client(ctx, u)
	if err != nil {
		return nil, err
	}
	if dir := path.Dir(u.Path); v.createDirs && strings.Contains(u.Path, "/") && dir != "/" {
		if err := c.MkdirAll(ctx, dir); err != nil {
			return nil, err
		}
	}
	f := shown.File(name, size)
	if v.segments > 1 && size >= 0 && !v.append {
		return f, v.sendSegments(ctx, s, c, f, name, u)
	}
	options := []ftpclient.PutOption{ftpclient.Progress(counter(f))}
	for _, o := range v.asked(u) {
		options = append(options, o)
	}
	if v.resume {
		options = append(options, ftpclient.Resume())
		if there, err := c.Size(ctx, u.Path); err == nil {
			f.Skip(min(there, max(size, 0)))
		}
	}
	if v.from > 0 {
		options = append(options, ftpclient.From(v.from))
		f.Skip(v.from)
	}
	send := c.Put
	if v.append {
		send = c.Append
	}
	_, err = send(ctx, u.Path, in, options...)
	err = bare(ctx, err)
	if errors.Is(err, fs.ErrNotExist) && strings.Contains(u.Path, "/") && !v.createDirs {
		err = &hint{err, "--ftp-create-dirs makes the directories that are missing"}
	}
	return f, err
}

// skip leaves out of what is sent the bytes before --continue-at.
func (v *putFlags) skip(in *os.File) error {
	if v.from == 0 {
		return nil
	}
	if info, err := in.Stat(); err == nil && info.Mode().IsRegular() {
		if info.Size() < v.from {
			return misuse("--continue-at %d: the file has %d bytes", v.from, info.Size())
		}
		_, err = in.Seek(v.from, io.SeekStart)
		return exitcode.With(exitcode.Read, err)
	}
	if n, err := io.CopyN(io.Discard, in, v.from); err != nil {
		return exitcode.With(exitcode.Read, fmt.Errorf("--continue-at %d: it ended behind %d bytes: %w", v.from, n, err))
	}
	return nil
}
