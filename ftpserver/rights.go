package ftpserver

import (
	"context"
	"io/fs"
	"path"

	"towpath/storage"
)

// each asks fit about the file or directory at from and about all that is
// below it, with the path that each has and the one that it would have at to.
// One that is not fit, or a tree too deep to be looked through, is errDenied.
//
// Rights belong to paths: a rule for /a/b says nothing any more when /a becomes
// /c, and what it protected would be free.
func (s *session) each(ctx context.Context, from, to string, fit func(old, new string) bool) error {
	if s.user().Rights == nil {
		return nil // they are the same everywhere
	}
	if !fit(from, to) {
		return errDenied
	}
	fi, err := s.user().Root.Stat(ctx, from)
	if err != nil || !fi.IsDir() {
		return err
	}
	return s.eachBelow(ctx, from, to, fit, 0)
}

func (s *session) eachBelow(ctx context.Context, from, to string, fit func(old, new string) bool, depth int) error {
	if depth > maxDepth {
		return errDenied
	}
	var dirs []string
	for fi, err := range s.user().Root.List(ctx, from) {
		if err != nil {
			return err
		}
		if !fit(path.Join(from, fi.Name()), path.Join(to, fi.Name())) {
			return errDenied
		}
		if fi.IsDir() && !isLink(fi) {
			dirs = append(dirs, fi.Name())
		}
	}
	for _, d := range dirs {
		if err := s.eachBelow(ctx, path.Join(from, d), path.Join(to, d), fit, depth+1); err != nil {
			return err
		}
	}
	return nil
}

// isLink tells a symbolic link that List shows as what it leads to.
func isLink(fi fs.FileInfo) bool {
	u, ok := fi.Sys().(*storage.Unix)
	return ok && u != nil && u.Target != ""
}
