package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/spf13/pflag"
	"golang.org/x/term"

	"towpath/ftp/listing"
	"towpath/ftpclient"
	"towpath/internal/columns"
	"towpath/internal/ftpurl"
	"towpath/internal/progress"
)

// remotePath is the path of a URL as it goes on the wire: "." for where the
// login leads to, and no slash at the end, which RFC 1738 means for us and some
// servers do not understand.
func remotePath(u ftpurl.URL) string {
	p := strings.TrimRight(u.Path, "/")
	switch {
	case p != "":
		return p
	case strings.HasPrefix(u.Path, "/"):
		return "/"
	}
	return "."
}

// named returns the path of a URL that must name something.
func named(u ftpurl.URL, verb string) (string, error) {
	p := remotePath(u)
	if p == "." || p == "/" {
		return "", misuse("%v names no file; %s wants a path behind the host", u, verb)
	}
	return p, nil
}

// treeFlags are those of verbs that go through a whole tree.
type treeFlags struct{ entries int }

func (v *treeFlags) bind(f *pflag.FlagSet) {
	f.IntVar(&v.entries, "max-entries", 10_000_000, "give up behind `N` names: a server can make a tree without end")
}

// bound puts the bound into the options of sessions.
func (v *treeFlags) bound(s *visit) error {
	if v.entries < 1 {
		return misuse("--max-entries %d: want 1 or more", v.entries)
	}
	s.options.MaxTree = v.entries
	s.apart = fmt.Sprint("max-entries ", v.entries)
	return nil
}

// limited tells how a tree that was too large can be gone through all the same.
func limited(err error) error {
	if errors.Is(err, ftpclient.ErrTree) {
		return &hint{err, "--max-entries N allows more"}
	}
	return err
}

// fileLine is a file as JSON. What the server has not said is left out.
type fileLine struct {
	Path   string     `json:"path,omitempty"`
	Name   string     `json:"name"`
	Type   string     `json:"type"`
	Size   *int64     `json:"size,omitempty"`
	Time   *time.Time `json:"time,omitempty"`
	Mode   string     `json:"mode,omitempty"`
	Perm   string     `json:"perm,omitempty"`
	Owner  string     `json:"owner,omitempty"`
	Group  string     `json:"group,omitempty"`
	Target string     `json:"target,omitempty"`
}

func lineOf(path string, e listing.Entry) fileLine {
	l := fileLine{Path: path, Name: e.Name, Type: e.Type.String(), Owner: e.Owner, Group: e.Group, Target: e.Target}
	if e.Size >= 0 && !e.Type.IsDir() {
		l.Size = &e.Size
	}
	if !e.Time.IsZero() {
		l.Time = &e.Time
	}
	if e.Stated&listing.FactMode != 0 {
		l.Mode = fmt.Sprintf("%04o", unixMode(e.Mode))
	}
	if e.Stated&listing.FactPerm != 0 {
		l.Perm = e.Perm.String()
	}
	return l
}

func unixMode(m fs.FileMode) uint32 {
	n := uint32(m.Perm())
	for _, b := range []struct {
		bit fs.FileMode
		n   uint32
	}{{fs.ModeSetuid, 0o4000}, {fs.ModeSetgid, 0o2000}, {fs.ModeSticky, 0o1000}} {
		if m&b.bit != 0 {
			n |= b.n
		}
	}
	return n
}

func writeJSON(w io.Writer, v any) error {
	b, err := progress.JSON(v)
	if err != nil {
		return err
	}
	_, err = w.Write(b)
	return err
}

// nameWriter writes names to w: escaped if it is a terminal, byte for byte if
// not, so that other programs get the names that there are.
func nameWriter(w io.Writer) func(string) string {
	if f, ok := w.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		return columns.Shown
	}
	return func(s string) string { return s }
}

// odd reports whether an error in a listing is about one line, behind which the
// listing goes on.
func odd(err error) bool {
	if _, ok := errors.AsType[*listing.LineError](err); ok {
		return true
	}
	_, ok := errors.AsType[*ftpclient.NameError](err)
	return ok
}
