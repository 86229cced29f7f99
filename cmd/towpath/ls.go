package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"towpath/ftp/listing"
	"towpath/ftpclient"
	"towpath/internal/ftpurl"
)

// lsFlags are those of ls alone.
type lsFlags struct {
	clientFlags
	long, unsorted bool
}

func lsCommand() *cobra.Command {
	v := &lsFlags{}
	c := clientCommand(cobra.Command{
		Use:   "ls [flags] URL...",
		Short: "List files of a server",
		Long: `Lists directories, by MLSD or else by LIST in whatever dialect the server speaks.
A line that cannot be read is told of on standard error.

-l shows permissions, owner, group, size in bytes, time and name; what the
server has not said is "-" or "?". Times are in the local zone, and without the
hour if the server told none. With --json each line is an object with name,
type (file, dir, link, other), and as far as known size, time, mode, perm,
owner, group and target.`,
		Example: `  towpath ls ftp://ftp.example.org/
  towpath ls -l ftp://alice@ftp.example.org/%2Fvar/log/
  towpath ls --json ftpes://alice@ftp.example.org/inbox/ | jq -r 'select(.size > 1000000).name'`,
		Args: wants(1, "a URL"),
	}, &v.clientFlags, func(c *cobra.Command, args []string) error { return v.run(c.Context(), c.OutOrStdout(), args) })
	c.Flags().BoolVarP(&v.long, "long", "l", false, "show permissions, owner, size and time")
	c.Flags().BoolVarP(&v.unsorted, "unsorted", "U", false, "in the order of the server, each line as it comes")
	return c
}

func (v *lsFlags) run(ctx context.Context, out io.Writer, args []string) error {
	s, ctx, err := v.visit(ctx, os.Stderr)
	if err != nil {
		return err
	}
	defer s.close()
	urls, err := s.parse(args)
	if err != nil {
		return err
	}
	w := bufio.NewWriter(out)
	for i, u := range urls {
		if len(urls) > 1 && !v.json {
			if i > 0 {
				fmt.Fprintln(w)
			}
			fmt.Fprintf(w, "%v:\n", u)
		}
		s.fail(v.list(ctx, s, w, nameWriter(out), u))
		if err := w.Flush(); err != nil {
			return err
		}
	}
	return s.result()
}

// sortAtMost is how many entries are sorted at a time; a listing that goes on
// and on must not fill the memory.
const sortAtMost = 1 << 18

func (v *lsFlags) list(ctx context.Context, s *visit, w *bufio.Writer, shown func(string) string, u ftpurl.URL) error {
	c, err := s.client(ctx, u)
	if err != nil {
		return err
	}
	show := func(e listing.Entry) error {
		switch {
		case v.json:
			return writeJSON(w, lineOf("", e))
		case v.long:
			_, err := fmt.Fprintln(w, longLine(e, shown))
			return err
		}
		_, err := fmt.Fprintln(w, shown(e.Name))
		return err
	}
	dir := remotePath(u)
	if !u.IsDir() {
		e, err := c.Stat(ctx, dir)
		switch {
		case err == nil && e.Type == listing.File:
			return show(e)
		case err != nil && !errors.Is(err, ftpclient.ErrUnsupported):
			return err
		}
	}
	var all []listing.Entry
	sorted := func() error {
		slices.SortFunc(all, func(a, b listing.Entry) int { return cmp.Compare(a.Name, b.Name) })
		for _, e := range all {
			if err := show(e); err != nil {
				return err
			}
		}
		all = all[:0]
		return nil
	}
	for e, err := range c.List(ctx, dir) {
		switch {
		case err != nil && odd(err):
			s.fail(err)
		case err != nil:
			return err
		case v.unsorted:
			if err := show(e); err != nil {
				return err
			}
		default:
			if all = append(all, e); len(all) == sortAtMost {
				if err := sorted(); err != nil {
					return err
				}
			}
		}
	}
	return sorted()
}

// longLine is a line of ls -l.
func longLine(e listing.Entry, shown func(string) string) string {
	mode := "?????????"
	if e.Stated&listing.FactMode != 0 {
		mode = e.Mode.Perm().String()[1:]
	} else if e.Stated&listing.FactPerm != 0 {
		mode = fmt.Sprintf("%-9s", cmp.Or(e.Perm.String(), "-"))
	}
	kind := map[listing.Type]string{listing.File: "-", listing.Dir: "d", listing.CDir: "d", listing.PDir: "d", listing.Link: "l"}[e.Type]
	size := "-"
	if e.Size >= 0 && !e.Type.IsDir() {
		size = fmt.Sprint(e.Size)
	}
	name := shown(e.Name)
	if e.Target != "" {
		name += " -> " + shown(e.Target)
	}
	return fmt.Sprintf("%s%s %-8s %-8s %12s %-16s %s", cmp.Or(kind, "?"), mode,
		cmp.Or(shown(e.Owner), "-"), cmp.Or(shown(e.Group), "-"), size, timeOf(e), name)
}

// timeOf writes the time of an entry as exactly as it is known, to the minute.
func timeOf(e listing.Entry) string {
	switch {
	case e.Time.IsZero():
		return "-"
	case e.Precision >= 24*time.Hour:
		return e.Time.Format(time.DateOnly)
	}
	return strings.TrimSuffix(e.Time.Local().Format("2006-01-02 15:04"), " ")
}
