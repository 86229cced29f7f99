package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"towpath/ftpclient"
	"towpath/internal/ftpurl"
	"towpath/internal/units"
)

// duFlags are those of du alone.
type duFlags struct {
	clientFlags
	treeFlags
	depth int
	human bool
}

func duCommand() *cobra.Command {
	v := &duFlags{}
	c := clientCommand(cobra.Command{
		Use:   "du [flags] URL...",
		Short: "Add up the sizes of files below a directory of a server",
		Long: `Writes for each directory how many bytes are in the files of it and below, and
how many files those are. A line that the server sends twice counts twice, and
files whose size it does not tell count as 0 bytes.`,
		Example: `  towpath du ftp://ftp.example.org/pub/
  towpath du -d 0 --human ftp://ftp.example.org/pub/`,
		Args: wants(1, "a URL"),
	}, &v.clientFlags, func(c *cobra.Command, args []string) error { return v.run(c.Context(), c.OutOrStdout(), args) })
	c.Flags().IntVarP(&v.depth, "max-depth", "d", -1, "show directories down to `N` levels below: 0 is the sum alone, -1 all")
	c.Flags().BoolVar(&v.human, "human", false, "write 1.2 MiB instead of all digits")
	v.treeFlags.bind(c.Flags())
	return c
}

// sum is what is in a directory.
type sum struct {
	Path  string `json:"path"`
	Bytes int64  `json:"bytes"`
	Files int64  `json:"files"`
	// More says that there are more bytes than the number can say.
	More bool `json:"more,omitempty"`
}

// size is how many bytes those are, as people read it.
func (d *sum) size(human bool) string {
	text := strconv.FormatInt(d.Bytes, 10)
	if human {
		text = humanize.IBytes(uint64(d.Bytes))
	}
	if d.More {
		text = "more than " + text
	}
	return text
}

func (v *duFlags) run(ctx context.Context, out io.Writer, args []string) error {
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
		sums, err := s.sums(ctx, u)
		s.fail(err)
		for _, d := range sums {
			if v.depth >= 0 && below(remotePath(u), d.Path) > v.depth {
				continue
			}
			switch {
			case v.json:
				err = writeJSON(w, d)
			case v.human:
				_, err = fmt.Fprintf(w, "%10s %8d  %s\n", d.size(true), d.Files, shown(d.Path))
			default:
				_, err = fmt.Fprintf(w, "%12s %8d  %s\n", d.size(false), d.Files, shown(d.Path))
			}
			if err != nil {
				return err
			}
		}
		if err := w.Flush(); err != nil {
			return err
		}
	}
	return s.result()
}

// below is how many levels dir lies below root.
func below(root, dir string) int {
	if dir == root {
		return 0
	}
	if root != "." {
		dir = strings.TrimPrefix(strings.TrimPrefix(dir, root), "/")
	}
	return strings.Count(dir, "/") + 1
}

// sums adds up all directories below a URL. What is in one counts for those
// above, too; they come before it.
func (s *visit) sums(ctx context.Context, u ftpurl.URL) ([]*sum, error) {
	root := remotePath(u)
	at := map[string]*sum{root: {Path: root}}
	err := s.walk(ctx, u, func(f ftpclient.Found) error {
		if f.Type.IsDir() {
			if at[f.Path] == nil {
				at[f.Path] = &sum{Path: f.Path}
			}
			return nil
		}
		for dir := path.Dir(f.Path); ; dir = path.Dir(dir) {
			if d := at[dir]; d != nil {
				size := max(f.Size, 0)
				d.More = d.More || size > math.MaxInt64-d.Bytes
				d.Bytes = units.Sum(d.Bytes, size)
				d.Files++
			}
			if dir == root || dir == "." || dir == "/" {
				break
			}
		}
		return nil
	})
	all := make([]*sum, 0, len(at))
	for _, d := range at {
		all = append(all, d)
	}
	slices.SortFunc(all, func(a, b *sum) int {
		switch {
		case a.Path == b.Path:
			return 0
		case a.Path == root:
			return -1
		case b.Path == root:
			return 1
		}
		return slices.Compare(strings.Split(a.Path, "/"), strings.Split(b.Path, "/"))
	})
	return all, err
}
