package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"

	"towpath/ftpclient"
	"towpath/ftpclient/segments"
	"towpath/internal/exitcode"
	"towpath/internal/ftpurl"
	"towpath/internal/progress"
)

// maxSegments is how many sessions one file may take: more gain nothing, and
// servers ban who opens them.
const maxSegments = 32

// segmented tells whether a file of that size is fetched in segments, and where
// to. What an earlier run has begun so is gone on with so: it may have holes. A
// beginning under the name itself goes on there, in one piece.
func (v *getFlags) segmented(path string, size int64) (string, bool) {
	if path == "-" || size < 0 {
		return "", false
	}
	info, err := os.Stat(path)
	if err == nil && !info.Mode().IsRegular() {
		return "", false
	}
	if at, lerr := filepath.EvalSymlinks(path); lerr == nil {
		path = at
	}
	if v.resume && segments.Begun(path+partial) {
		return path, true
	}
	if v.resume && err == nil {
		if _, perr := os.Stat(path + partial); perr != nil {
			return "", false
		}
	}
	return path, v.segments > 1
}

// fetchSegments brings one file over several sessions; c is one of them.
func (v *getFlags) fetchSegments(ctx context.Context, s *visit, c *ftpclient.Client, shown *progress.Progress, u ftpurl.URL, size int64, path string) (*progress.File, error) {
	if _, err := os.Stat(filepath.Dir(path)); err != nil {
		return nil, exitcode.With(exitcode.Write, err)
	}
	pool, err := c.Pool(v.segments)
	if err != nil {
		return nil, err
	}
	defer func() { _ = pool.Close() }() // all that counts has been answered
	f := shown.File(u.Base(), size)
	o := segments.Options{
		Sessions: v.segments, Resume: v.resume, Verify: v.verify, Progress: arriving(f),
		Note: func(text string) { s.note("%s: %s", u.Base(), text) },
		As:   path, Mode: modeFor(path),
	}
	if v.limiter != nil {
		o.Limiter = v.limiter
	}
	part := path + partial
	_, err = segments.Get(ctx, pool, u.Path, part, o)
	err = bare(ctx, err)
	if err != nil && segments.Begun(part) && !errors.Is(err, segments.ErrBusy) {
		err = &hint{err, part + " has what came, and get -c goes on there"}
	}
	if err == nil {
		v.date(ctx, s, c, u, path)
	}
	return f, err
}

// sendSegments sends one file over several sessions; c is one of them.
func (v *putFlags) sendSegments(ctx context.Context, s *visit, c *ftpclient.Client, f *progress.File, name string, u ftpurl.URL) error {
	pool, err := c.Pool(v.segments)
	if err != nil {
		return err
	}
	defer func() { _ = pool.Close() }() // all that counts has been answered
	o := segments.Options{
		Sessions: v.segments, Resume: v.resume, Verify: v.verify, Progress: arriving(f),
		Note: func(text string) { s.note("%s: %s", name, text) },
	}
	if v.limiter != nil {
		o.Limiter = v.limiter
	}
	_, err = segments.Put(ctx, pool, name, u.Path, o)
	return bare(ctx, err)
}

// arriving counts for f what segments tell: how many bytes there are, first with
// those of an earlier run.
func arriving(f *progress.File) func(int64) {
	first, count := true, counter(f)
	here := int64(0)
	return func(n int64) {
		if first {
			first, here = false, n
			f.Skip(here)
			return
		}
		count(n - here)
	}
}
