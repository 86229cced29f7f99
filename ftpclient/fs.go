package ftpclient

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	"towpath/ftp/listing"
)

// FS shows the directory in which the login has put us as an fs.FS, with
// fs.StatFS and fs.ReadDirFS. Files opened from it are also io.Seekers. All calls
// use ctx.
func (c *Client) FS(ctx context.Context) fs.FS { return remote{c, ctx} }

type remote struct {
	c   *Client
	ctx context.Context
}

var (
	_ fs.StatFS    = remote{}
	_ fs.ReadDirFS = remote{}
)

// Open implements fs.FS. Nothing of a file is fetched before it is read.
func (r remote) Open(name string) (fs.File, error) {
	e, err := r.entry("open", name)
	if err != nil {
		return nil, err
	}
	if e.Type == listing.Dir {
		return &openDir{r: r, name: name, info: info{e}}, nil
	}
	return &openFile{&File{c: r.c, ctx: r.ctx, name: name, end: -1, expect: e.Size}, info{e}}, nil
}

// Stat implements fs.StatFS.
func (r remote) Stat(name string) (fs.FileInfo, error) {
	e, err := r.entry("stat", name)
	if err != nil {
		return nil, err
	}
	return info{e}, nil
}

func (r remote) entry(op, name string) (listing.Entry, error) {
	if !fs.ValidPath(name) {
		return listing.Entry{}, &fs.PathError{Op: op, Path: name, Err: fs.ErrInvalid}
	}
	e, err := r.c.stat(r.ctx, name)
	return e, about(op, name, err)
}

// ReadDir implements fs.ReadDirFS.
func (r remote) ReadDir(name string) ([]fs.DirEntry, error) {
	if !fs.ValidPath(name) {
		return nil, &fs.PathError{Op: "readdir", Path: name, Err: fs.ErrInvalid}
	}
	var all []fs.DirEntry
	var failed error
	for e, err := range r.c.List(r.ctx, name) {
		if err == nil && !plain(e.Name) {
			err = &NameError{name, e.Name}
		}
		if err != nil {
			failed = errors.Join(failed, err)
			continue
		}
		all = append(all, fs.FileInfoToDirEntry(info{e}))
	}
	slices.SortFunc(all, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	return all, failed
}

// info is an entry as an fs.FileInfo.
type info struct{ e listing.Entry }

func (i info) Name() string       { return path.Base(i.e.Name) }
func (i info) ModTime() time.Time { return i.e.Time }
func (i info) IsDir() bool        { return i.e.Type.IsDir() }

// Sys returns the listing.Entry.
func (i info) Sys() any { return i.e }

// Size is 0 for directories and what is not known.
func (i info) Size() int64 {
	if i.IsDir() {
		return 0
	}
	return max(i.e.Size, 0)
}

// Mode has what the server says, else that all may be read.
func (i info) Mode() fs.FileMode {
	m := i.e.Mode
	if i.e.Stated&listing.FactMode == 0 {
		m = 0o444
		if i.IsDir() {
			m = 0o555
		}
	}
	switch i.e.Type {
	case listing.Link:
		m = m&^fs.ModeType | fs.ModeSymlink
	case listing.Other:
		m |= fs.ModeIrregular
	case listing.File:
		m &^= fs.ModeType
	default:
		m = m&^fs.ModeType | fs.ModeDir
	}
	return m
}

type openFile struct {
	*File
	info info
}

func (f *openFile) Stat() (fs.FileInfo, error) { return f.info, nil }

type openDir struct {
	r    remote
	name string
	info info
	read bool
	left []fs.DirEntry
}

func (d *openDir) Stat() (fs.FileInfo, error) { return d.info, nil }
func (d *openDir) Close() error               { return nil }

func (d *openDir) Read([]byte) (int, error) {
	return 0, &fs.PathError{Op: "read", Path: d.name, Err: errIsDir}
}

// ReadDir implements fs.ReadDirFile.
func (d *openDir) ReadDir(n int) ([]fs.DirEntry, error) {
	if !d.read {
		all, err := d.r.ReadDir(d.name)
		if err != nil {
			return all, err
		}
		d.left, d.read = all, true
	}
	if n <= 0 {
		all := d.left
		d.left = nil
		return all, nil
	}
	if len(d.left) == 0 {
		return nil, io.EOF
	}
	some := d.left[:min(n, len(d.left))]
	d.left = d.left[len(some):]
	return some, nil
}
