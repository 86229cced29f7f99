package main

import (
	"bufio"
	"context"
	"io"
	"os"
	"path"
	"strings"

	"github.com/spf13/cobra"

	"towpath/ftp/listing"
	"towpath/ftpclient"
	"towpath/internal/ftpurl"
)

// findFlags are those of find alone.
type findFlags struct {
	clientFlags
	treeFlags
	name, kind string
	print0     bool
}

func findCommand() *cobra.Command {
	v := &findFlags{}
	c := clientCommand(cobra.Command{
		Use:   "find [flags] URL...",
		Short: "Find files below a directory of a server",
		Long: `Writes the paths of all that lies below, a directory before what is in it. Links
are not followed. A path begins with that of the URL, so that it can be put
behind the host again.`,
		Example: `  towpath find ftp://ftp.example.org/pub/
  towpath find --type f --name '*.iso' ftp://ftp.example.org/pub/
  towpath find --json ftp://ftp.example.org/pub/ | jq -r 'select(.size == 0).path'`,
		Args: wants(1, "a URL"),
	}, &v.clientFlags, func(c *cobra.Command, args []string) error { return v.run(c.Context(), c.OutOrStdout(), args) })
	f := c.Flags()
	f.StringVar(&v.name, "name", "", "only what has a name like this `PATTERN`, in which *, ? and [a-z] have their meaning")
	f.StringVar(&v.kind, "type", "", "only files (`f`), directories (d) or links (l)")
	f.BoolVarP(&v.print0, "print0", "0", false, "end each path by a NUL byte, for xargs -0")
	v.treeFlags.bind(f)
	return c
}

func (v *findFlags) run(ctx context.Context, out io.Writer, args []string) error {
	kinds := map[string]listing.Type{"f": listing.File, "d": listing.Dir, "l": listing.Link}
	kind, known := kinds[v.kind]
	if v.kind != "" && !known {
		return misuse("--type %q: want f (files), d (directories) or l (links)", v.kind)
	}
	if _, err := path.Match(v.name, ""); err != nil {
		return misuse("--name %q: not a pattern; a [ begins a set, and \\[ is the letter", v.name)
	}
	s, ctx, err := v.visit(ctx, os.Stderr)
	if err != nil {
		return err
	}
	defer s.close()
	if err := v.bound(s); err != nil {
		return err
	}
	urls, err := s.parse(args)
	if err != nil {
		return err
	}
	w, shown := bufio.NewWriter(out), nameWriter(out)
	for _, u := range urls {
		err := s.walk(ctx, u, func(f ftpclient.Found) error {
			if known && f.Type != kind {
				return nil
			}
			if ok, _ := path.Match(v.name, f.Name); v.name != "" && !ok { // the pattern was looked at
				return nil
			}
			var err error
			switch {
			case v.json:
				err = writeJSON(w, lineOf(f.Path, f.Entry))
			case v.print0:
				_, err = w.WriteString(f.Path + "\x00")
			default:
				_, err = w.WriteString(shown(f.Path) + "\n")
			}
			return err
		})
		s.fail(err)
		if err := w.Flush(); err != nil {
			return err
		}
	}
	return s.result()
}

// walk goes through all below a URL. What cannot be read is told of, and passed
// over; an error of do ends it.
func (s *visit) walk(ctx context.Context, u ftpurl.URL, do func(ftpclient.Found) error) error {
	c, err := s.client(ctx, u)
	if err != nil {
		return err
	}
	root := remotePath(u)
	for f, err := range c.Walk(ctx, root) {
		if err != nil {
			s.fail(limited(err))
			continue
		}
		if root == "." {
			f.Path = strings.TrimPrefix(f.Path, "./")
		}
		if err := do(f); err != nil {
			return err
		}
	}
	return ctx.Err()
}
