// Package storagetest is the kit that every [storage.FS] passes: it asks for
// all that the comments of package storage promise.
//
// What only one kind of tree can do or suffer, symbolic links and full disks
// among them, is tested beside that tree.
package storagetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"towpath/storage"
)

// Run tests trees that open makes: each an empty one, used by one test and in
// parallel to others. Powers that a tree does not have are not asked for.
func Run(t *testing.T, open func(t *testing.T) storage.FS) {
	t.Helper()
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			test.run(kit{t, open(t)})
		})
	}
}

var tests = []struct {
	name string
	run  func(kit)
}{
	{"Open", kit.open},
	{"OpenRefuses", kit.openRefuses},
	{"Create", kit.create},
	{"CreateRefuses", kit.createRefuses},
	{"Commit", kit.commit},
	{"CommitFails", kit.commitFails},
	{"Exclusive", kit.exclusive},
	{"Abort", kit.abort},
	{"End", kit.end},
	{"Resume", kit.resume},
	{"Kept", kit.kept},
	{"Owner", kit.owner},
	{"Stale", kit.stale},
	{"Append", kit.append},
	{"Offset", kit.offset},
	{"Busy", kit.busy},
	{"Discard", kit.discard},
	{"Readers", kit.readers},
	{"Writers", kit.writers},
	{"Appenders", kit.appenders},
	{"Stat", kit.stat},
	{"List", kit.list},
	{"ListStops", kit.listStops},
	{"Hidden", kit.hidden},
	{"Remove", kit.remove},
	{"Mkdir", kit.mkdir},
	{"Rmdir", kit.rmdir},
	{"Rename", kit.rename},
	{"RenameRefuses", kit.renameRefuses},
	{"Names", kit.names},
	{"Context", kit.context},
	{"SetTime", kit.setTime},
	{"Chmod", kit.chmod},
	{"Available", kit.available},
	{"Hash", kit.hash},
}

// kit is one tree under test.
type kit struct {
	*testing.T
	fs storage.FS
}

const owner = "anna"

// put writes a whole file.
func (k kit) put(name, text string) {
	k.Helper()
	w := k.begin(name, storage.How{Owner: owner}, text)
	k.ok(w.Commit())
}

// begin starts a write and sends text.
func (k kit) begin(name string, how storage.How, text string) storage.Writer {
	k.Helper()
	w, err := k.fs.Create(k.Context(), name, how)
	k.ok(err)
	if n, err := io.WriteString(w, text); err != nil || n != len(text) {
		k.Fatalf("write %s: %d of %d bytes, %v", name, n, len(text), err)
	}
	return w
}

// cut leaves an unfinished part of text.
func (k kit) cut(name, text string) {
	k.Helper()
	k.ok(k.begin(name, storage.How{Owner: owner}, text).Abort(true))
}

func (k kit) get(name string) string {
	k.Helper()
	return k.getFrom(name, 0)
}

func (k kit) getFrom(name string, offset int64) string {
	k.Helper()
	r, err := k.fs.Open(k.Context(), name, offset)
	k.ok(err)
	defer r.Close()
	text, err := io.ReadAll(r)
	k.ok(err)
	return string(text)
}

func (k kit) want(name, text string) {
	k.Helper()
	if got := k.get(name); got != text {
		k.Errorf("%s holds %.60q, want %.60q", name, got, text)
	}
}

func (k kit) ok(err error) {
	k.Helper()
	if err != nil {
		k.Fatal(err)
	}
}

// fails wants an error of one kind that speaks of these names alone.
func (k kit) fails(err, kind error, names ...string) {
	k.Helper()
	if !errors.Is(err, kind) {
		k.Errorf("%q: got error %v, want %v", names, err, kind)
		return
	}
	var told []string
	if pathErr, ok := errors.AsType[*fs.PathError](err); ok {
		told = []string{pathErr.Path}
	} else if linkErr, ok := errors.AsType[*os.LinkError](err); ok {
		told = []string{linkErr.Old, linkErr.New}
	}
	if diff := cmp.Diff(names, told); diff != "" {
		k.Errorf("names in %q (-want +got):\n%s", err, diff)
	}
}

func (k kit) missing(name string) {
	k.Helper()
	_, err := k.fs.Stat(k.Context(), name)
	k.fails(err, fs.ErrNotExist, name)
}

// unfinished wants a part of n bytes, or none when n is negative.
func (k kit) unfinished(name, owner string, n int64) {
	k.Helper()
	got, err := storage.Unfinished(k.Context(), k.fs, name, owner)
	if n < 0 {
		k.fails(err, fs.ErrNotExist, name)
		return
	}
	if err != nil || got.Size != n || got.Modified.IsZero() {
		k.Errorf("unfinished part of %s: %v, %v; want %d", name, got, err, n)
	}
}

// resumes leaves out a test on trees that keep no unfinished parts.
func (k kit) resumes() {
	k.Helper()
	if _, ok := k.fs.(storage.Resumer); !ok {
		k.Skip("this tree keeps no unfinished parts")
	}
}

// entries is what a directory lists, name to size, with -1 for directories.
func (k kit) entries(dir string) map[string]int64 {
	k.Helper()
	got := map[string]int64{}
	for in, err := range k.fs.List(k.Context(), dir) {
		k.ok(err)
		if _, twice := got[in.Name()]; twice {
			k.Errorf("%s lists %q twice", dir, in.Name())
		}
		got[in.Name()] = in.Size()
		if in.IsDir() {
			got[in.Name()] = -1
		}
	}
	return got
}

func (k kit) lists(dir string, want map[string]int64) {
	k.Helper()
	if diff := cmp.Diff(want, k.entries(dir)); diff != "" {
		k.Errorf("entries of %s (-want +got):\n%s", dir, diff)
	}
}

func (k kit) open() {
	k.put("/sea.txt", "0123456789")
	for offset, want := range map[int64]string{0: "0123456789", 4: "456789", 10: ""} {
		if got := k.getFrom("/sea.txt", offset); got != want {
			k.Errorf("from %d: got %q, want %q", offset, got, want)
		}
	}
}

func (k kit) openRefuses() {
	k.put("/sea.txt", "0123456789")
	k.ok(k.fs.Mkdir(k.Context(), "/dir"))
	for _, test := range []struct {
		name   string
		offset int64
		want   error
	}{
		{"/sea.txt", 11, storage.ErrOffset},
		{"/sea.txt", 1 << 62, storage.ErrOffset},
		{"/sea.txt", -1, storage.ErrOffset},
		{"/none", 0, fs.ErrNotExist},
		{"/none/none", 0, fs.ErrNotExist},
		{"/dir", 0, storage.ErrIsDir},
		{"/", 0, storage.ErrIsDir},
		{"/sea.txt/below", 0, storage.ErrNotDir},
	} {
		_, err := k.fs.Open(k.Context(), test.name, test.offset)
		k.fails(err, test.want, test.name)
	}
}

func (k kit) create() {
	k.ok(k.fs.Mkdir(k.Context(), "/dir"))
	for _, name := range []string{"/a", "/dir/b"} {
		w := k.begin(name, storage.How{}, "one ")
		if w.Offset() != 0 {
			k.Errorf("offset %d of a new file", w.Offset())
		}
		k.missing(name)
		_, err := k.fs.Open(k.Context(), name, 0)
		k.fails(err, fs.ErrNotExist, name)
		_, err = io.WriteString(w, "two")
		k.ok(err)
		k.ok(w.Commit())
		k.want(name, "one two")
	}
	w := k.begin("/empty", storage.How{}, "")
	k.ok(w.Commit())
	k.want("/empty", "")

	// Bytes by way of io.Copy, which uses io.ReaderFrom where there is one.
	big := strings.Repeat("0123456789abcdef", 20_000)
	w, err := k.fs.Create(k.Context(), "/big", storage.How{Size: 1}) // Size is not to be trusted
	k.ok(err)
	n, err := io.Copy(w, onlyReader{strings.NewReader(big)})
	k.ok(err)
	if n != int64(len(big)) {
		k.Errorf("copied %d bytes, want %d", n, len(big))
	}
	k.ok(w.Commit())
	if k.get("/big") != big {
		k.Error("the large file is not what was sent")
	}
}

// onlyReader is a reader with no other methods.
type onlyReader struct{ io.Reader }

func (k kit) createRefuses() {
	k.put("/file", "x")
	k.ok(k.fs.Mkdir(k.Context(), "/dir"))
	for _, test := range []struct {
		name string
		how  storage.How
		want error
	}{
		{"/", storage.How{}, storage.ErrIsDir},
		{"/dir", storage.How{}, storage.ErrIsDir},
		{"/none/file", storage.How{}, fs.ErrNotExist},
		{"/file/file", storage.How{}, storage.ErrNotDir},
		{"/file", storage.How{Exclusive: true}, fs.ErrExist},
		{"/file", storage.How{Offset: 2}, storage.ErrOffset},
		{"/file", storage.How{Offset: -1}, storage.ErrOffset},
		{"/new", storage.How{Offset: 1}, storage.ErrOffset},
	} {
		_, err := k.fs.Create(k.Context(), test.name, test.how)
		k.fails(err, test.want, test.name)
	}
	k.put("/file", "y") // a refusal holds no name
	k.put("/new", "z")
	k.lists("/", map[string]int64{"file": 1, "new": 1, "dir": -1})
}

func (k kit) commit() {
	k.put("/f", "the old file")
	w := k.begin("/f", storage.How{Owner: owner}, "new")
	k.want("/f", "the old file")
	k.lists("/", map[string]int64{"f": 12})
	k.ok(w.Commit())
	k.want("/f", "new")
	k.lists("/", map[string]int64{"f": 3})
	k.unfinished("/f", owner, -1)
}

// commitFails puts a directory in the way of a file.
func (k kit) commitFails() {
	w := k.begin("/f", storage.How{Owner: owner}, "text")
	k.ok(k.fs.Mkdir(k.Context(), "/f"))
	k.fails(w.Commit(), storage.ErrIsDir, "/f")
	k.lists("/", map[string]int64{"f": -1})
	k.fails(w.Abort(false), fs.ErrClosed, "/f")
}

func (k kit) exclusive() {
	w := k.begin("/f", storage.How{Exclusive: true}, "mine")
	k.ok(w.Commit())
	k.want("/f", "mine")

	// Somebody else's file appears between Create and Commit.
	w = k.begin("/g", storage.How{Exclusive: true}, "mine")
	k.put("/h", "theirs")
	k.ok(k.fs.Rename(k.Context(), "/h", "/g"))
	k.fails(w.Commit(), fs.ErrExist, "/g")
	k.want("/g", "theirs")
	k.lists("/", map[string]int64{"f": 4, "g": 6})
}

func (k kit) abort() {
	k.put("/f", "old")
	for _, name := range []string{"/f", "/new"} {
		k.ok(k.begin(name, storage.How{Owner: owner}, "text").Abort(false))
		k.unfinished(name, owner, -1)
		k.ok(k.begin(name, storage.How{}, "text").Abort(true))
		k.unfinished(name, "", -1)
		k.ok(k.begin(name, storage.How{Owner: owner}, "").Abort(true))
		k.unfinished(name, owner, -1) // nothing was written
	}
	k.want("/f", "old")
	k.lists("/", map[string]int64{"f": 3})
	k.put("/new", "free again")
}

func (k kit) end() {
	for i, end := range []func(storage.Writer) error{
		storage.Writer.Commit,
		func(w storage.Writer) error { return w.Abort(false) },
		func(w storage.Writer) error { return w.Abort(true) },
	} {
		name := fmt.Sprintf("/%d", i)
		w := k.begin(name, storage.How{Owner: owner}, "x")
		k.ok(end(w))
		k.fails(w.Commit(), fs.ErrClosed, name)
		k.fails(w.Abort(true), fs.ErrClosed, name)
		_, err := io.WriteString(w, "more")
		k.fails(err, fs.ErrClosed, name)
	}
	k.want("/0", "x")
	k.unfinished("/2", owner, 1)
}

func (k kit) resume() {
	k.resumes()
	k.ok(k.fs.Mkdir(k.Context(), "/d"))
	for _, test := range []struct {
		name   string
		how    storage.How
		offset int64
		want   string
	}{
		{"whole part", storage.How{Owner: owner, Offset: 4}, 4, "0123rest"},
		{"less than the part", storage.How{Owner: owner, Offset: 2}, 2, "01rest"},
		{"append", storage.How{Owner: owner, Append: true}, 4, "0123rest"},
		{"append heeds no offset", storage.How{Owner: owner, Append: true, Offset: 99}, 4, "0123rest"},
		{"from the start", storage.How{Owner: owner}, 0, "rest"},
	} {
		k.Run(test.name, func(t *testing.T) {
			k := kit{t, k.fs}
			k.put("/d/f", "the old file")
			k.cut("/d/f", "0123")
			k.want("/d/f", "the old file")
			k.unfinished("/d/f", owner, 4)
			w := k.begin("/d/f", test.how, "rest")
			if w.Offset() != test.offset {
				k.Errorf("offset %d, want %d", w.Offset(), test.offset)
			}
			k.want("/d/f", "the old file")
			k.ok(w.Commit())
			k.want("/d/f", test.want)
			k.unfinished("/d/f", owner, -1)
		})
	}

	// Cut and cut again.
	k.cut("/twice", "one ")
	k.ok(k.begin("/twice", storage.How{Owner: owner, Offset: 4}, "two ").Abort(true))
	k.unfinished("/twice", owner, 8)
	k.ok(k.begin("/twice", storage.How{Owner: owner, Offset: 8}, "").Abort(true))
	k.unfinished("/twice", owner, 8)
	_, err := k.fs.Create(k.Context(), "/twice", storage.How{Owner: owner, Offset: 9})
	k.fails(err, storage.ErrOffset, "/twice")
	k.unfinished("/twice", owner, 8) // a refusal loses nothing
	k.ok(k.begin("/twice", storage.How{Owner: owner, Append: true}, "three").Commit())
	k.want("/twice", "one two three")
}

func (k kit) kept() {
	k.resumes()
	k.ok(k.fs.Mkdir(k.Context(), "/d"))
	k.put("/d/f", "a file")
	want := func(dir string, n int64) {
		k.Helper()
		if got, err := storage.Kept(k.Context(), k.fs, dir); err != nil || got != n {
			k.Errorf("parts in %s: %d bytes, %v; want %d", dir, got, err, n)
		}
	}
	want("/", 0)
	k.cut("/d/f", "four")
	k.cut("/d/new", "12345")
	k.ok(k.begin("/d/f", storage.How{Owner: "berta"}, "a").Abort(true))
	want("/d", 10)
	want("/", 0)
	k.ok(storage.Discard(k.Context(), k.fs, "/d/f", owner))
	want("/d", 6)
	for name, kind := range map[string]error{"/d/f": storage.ErrNotDir, "/no": fs.ErrNotExist} {
		_, err := storage.Kept(k.Context(), k.fs, name)
		k.fails(err, kind, name)
	}
}

func (k kit) owner() {
	k.resumes()
	k.cut("/f", "anna's")
	k.unfinished("/f", "berta", -1)
	k.unfinished("/f", "", -1)
	k.unfinished("/g", owner, -1)
	_, err := k.fs.Create(k.Context(), "/f", storage.How{Owner: "berta", Offset: 3})
	k.fails(err, storage.ErrOffset, "/f")
	k.ok(k.begin("/f", storage.How{Owner: "berta", Append: true}, "berta's").Abort(true))
	k.unfinished("/f", owner, 6)
	k.unfinished("/f", "berta", 7)
	k.ok(storage.Discard(k.Context(), k.fs, "/f", "berta"))
	k.unfinished("/f", owner, 6)

	// Neither name nor owner is taken for a part of the other.
	k.cut("/bc", "x")
	k.unfinished("/c", owner+"b", -1)
}

// stale has a file overtake the part.
func (k kit) stale() {
	k.resumes()
	if _, ok := k.fs.(storage.TimeSetter); !ok {
		k.Skip("this tree sets no times")
	}
	k.cut("/f", "long part")
	w := k.begin("/f", storage.How{Owner: "berta"}, "whole")
	k.ok(w.Commit())
	k.ok(storage.SetTime(k.Context(), k.fs, "/f", time.Now().Add(time.Hour)))
	k.unfinished("/f", owner, -1)
	_, err := k.fs.Create(k.Context(), "/f", storage.How{Owner: owner, Offset: 6})
	k.fails(err, storage.ErrOffset, "/f")
	w = k.begin("/f", storage.How{Owner: owner, Append: true}, " and more")
	if w.Offset() != 5 {
		k.Errorf("offset %d, want 5", w.Offset())
	}
	k.ok(w.Commit())
	k.want("/f", "whole and more")
}

func (k kit) append() {
	k.put("/log", "one ")
	w := k.begin("/log", storage.How{Append: true}, "two ")
	if w.Offset() != 4 {
		k.Errorf("offset %d, want 4", w.Offset())
	}
	k.want("/log", "one ")
	k.ok(w.Commit())
	k.want("/log", "one two ")
	k.ok(k.begin("/log", storage.How{Owner: owner, Append: true}, "three").Commit())
	k.want("/log", "one two three")
	k.ok(k.begin("/log", storage.How{Owner: owner, Append: true}, "gone").Abort(false))
	k.want("/log", "one two three")
	w = k.begin("/new", storage.How{Owner: owner, Append: true}, "first")
	if w.Offset() != 0 {
		k.Errorf("offset %d of a new file", w.Offset())
	}
	k.ok(w.Commit())
	k.want("/new", "first")
	k.lists("/", map[string]int64{"log": 13, "new": 5})
}

// offset goes on from the file itself.
func (k kit) offset() {
	for _, who := range []string{"", owner} {
		k.put("/f", "0123456789")
		w := k.begin("/f", storage.How{Owner: who, Offset: 4}, "abc")
		if w.Offset() != 4 {
			k.Errorf("offset %d, want 4", w.Offset())
		}
		k.want("/f", "0123456789")
		k.ok(w.Commit())
		k.want("/f", "0123abc") // what lay beyond is cut off
	}
	k.put("/f", "0123456789")
	k.ok(k.begin("/f", storage.How{Offset: 10}, "abc").Commit())
	k.want("/f", "0123456789abc")
}

func (k kit) busy() {
	for _, how := range []storage.How{{}, {Owner: owner}, {Owner: "berta"}, {Append: true}, {Exclusive: true}} {
		w := k.begin("/f", storage.How{Owner: owner}, "first")
		_, err := k.fs.Create(k.Context(), "/f", how)
		k.fails(err, storage.ErrBusy, "/f")
		k.put("/other", "free")
		k.ok(w.Commit())
		k.want("/f", "first")
		k.ok(k.fs.Remove(k.Context(), "/f"))
	}
	w := k.begin("/f", storage.How{Owner: owner}, "first")
	k.ok(w.Abort(true))
	k.put("/f", "second")
	k.want("/f", "second")
}

func (k kit) discard() {
	k.resumes()
	ctx := k.Context()
	k.ok(storage.Discard(ctx, k.fs, "/f", owner))
	k.ok(storage.Discard(ctx, k.fs, "/f", ""))
	k.cut("/f", "part")
	k.ok(storage.Discard(ctx, k.fs, "/f", owner))
	k.unfinished("/f", owner, -1)

	w := k.begin("/f", storage.How{Owner: owner}, "going on")
	k.unfinished("/f", owner, 8)
	k.fails(storage.Discard(ctx, k.fs, "/f", owner), storage.ErrBusy, "/f")
	k.ok(w.Commit())
	k.want("/f", "going on")
}

// readers read while the file is replaced again and again: each sees one
// version, whole.
func (k kit) readers() {
	const size = 64 << 10
	version := func(i int) string { return strings.Repeat(string(rune('a'+i%26)), size) }
	k.put("/f", version(0))
	stop := make(chan struct{})
	var reading sync.WaitGroup
	for range 4 {
		reading.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				r, err := k.fs.Open(k.Context(), "/f", 0)
				if err != nil {
					k.Error(err)
					return
				}
				text, err := io.ReadAll(r)
				_ = r.Close() // read only
				if err != nil || len(text) != size || bytes.Count(text, text[:1]) != size {
					k.Errorf("read %d bytes, %v: a mixture or a half", len(text), err)
					return
				}
			}
		})
	}
	for i := range 50 {
		k.put("/f", version(i))
	}
	close(stop)
	reading.Wait()
	k.want("/f", version(49))
}

// writers write one name at once: each is refused or leaves it whole.
func (k kit) writers() {
	const size = 32 << 10
	var writing sync.WaitGroup
	for i := range 8 {
		writing.Go(func() {
			text := strings.Repeat(string(rune('a'+i)), size)
			for j := range 10 {
				w, err := k.fs.Create(k.Context(), "/f", storage.How{Owner: fmt.Sprint(i % 3)})
				if errors.Is(err, storage.ErrBusy) {
					continue
				}
				if err != nil {
					k.Error(err)
					return
				}
				for at := 0; at < size; at += 4 << 10 {
					if _, err := io.WriteString(w, text[at:at+4<<10]); err != nil {
						k.Error(err)
					}
				}
				end := w.Commit
				if j%3 == 1 {
					end = func() error { return w.Abort(j%2 == 0) }
				}
				if err := end(); err != nil {
					k.Error(err)
				}
			}
		})
	}
	writing.Wait()
	if text := k.get("/f"); len(text) != size || strings.Count(text, text[:1]) != size {
		k.Errorf("%d bytes: a mixture or a half", len(text))
	}
}

// appenders append to one file at once: nothing that was committed is lost.
func (k kit) appenders() {
	const each, line = 10, "a line of the log\n"
	var appending sync.WaitGroup
	for range 4 {
		appending.Go(func() {
			for done := 0; done < each; {
				w, err := k.fs.Create(k.Context(), "/log", storage.How{Append: true})
				if errors.Is(err, storage.ErrBusy) {
					runtime.Gosched()
					continue
				}
				if err == nil {
					_, err = io.WriteString(w, line)
				}
				if err == nil {
					err = w.Commit()
				}
				if err != nil {
					k.Error(err)
					return
				}
				done++
			}
		})
	}
	appending.Wait()
	k.want("/log", strings.Repeat(line, 4*each))
}

func (k kit) stat() {
	k.put("/f", "12345")
	k.ok(k.fs.Mkdir(k.Context(), "/d"))
	k.put("/d/g", "")
	for name, want := range map[string]struct {
		size int64
		dir  bool
	}{"/f": {5, false}, "/d": {0, true}, "/d/g": {0, false}, "/": {0, true}} {
		in, err := k.fs.Stat(k.Context(), name)
		k.ok(err)
		base := name[strings.LastIndexByte(name, '/')+1:]
		if name == "/" {
			base = "/"
		}
		if in.Name() != base || in.IsDir() != want.dir || in.Mode().IsDir() != want.dir {
			k.Errorf("%s: name %q, mode %v", name, in.Name(), in.Mode())
		}
		if !want.dir && (in.Size() != want.size || !in.Mode().IsRegular()) {
			k.Errorf("%s: %d bytes, mode %v", name, in.Size(), in.Mode())
		}
		if age := time.Since(in.ModTime()); age < -time.Minute || age > time.Hour {
			k.Errorf("%s: modified %v", name, in.ModTime())
		}
		if u, ok := in.Sys().(*storage.Unix); ok && (u.Links == 0 || u.Inode == 0) {
			k.Errorf("%s: links and inode of %+v", name, u)
		}
	}
	k.missing("/none")
	k.missing("/d/none")
	_, err := k.fs.Stat(k.Context(), "/f/none")
	k.fails(err, storage.ErrNotDir, "/f/none")
}

func (k kit) list() {
	k.lists("/", map[string]int64{})
	want := map[string]int64{}
	for i := range 1200 { // more than any batch
		name := fmt.Sprintf("f%d", i)
		k.put("/"+name, strings.Repeat("x", i%7))
		want[name] = int64(i % 7)
	}
	for _, name := range []string{"d", " blank ", "-r", "ü", "\xff\xfe", "..."} {
		err := k.fs.Mkdir(k.Context(), "/"+name)
		if errors.Is(err, storage.ErrName) && runtime.GOOS != "linux" {
			continue // macOS takes UTF-8 alone, Windows no blanks and dots at the end
		}
		k.ok(err)
		want[name] = -1
	}
	k.lists("/", want)
	k.lists("/d", map[string]int64{})
	k.put("/d/inner", "1")
	k.lists("/d", map[string]int64{"inner": 1})

	for in, err := range k.fs.List(k.Context(), "/d") {
		k.ok(err)
		stat, err := k.fs.Stat(k.Context(), "/d/inner")
		k.ok(err)
		if in.Mode() != stat.Mode() || !in.ModTime().Equal(stat.ModTime()) {
			k.Errorf("listed as %v %v, but is %v %v", in.Mode(), in.ModTime(), stat.Mode(), stat.ModTime())
		}
	}
	for dir, kind := range map[string]error{"/none": fs.ErrNotExist, "/f1": storage.ErrNotDir} {
		steps := 0
		for _, err := range k.fs.List(k.Context(), dir) {
			steps++
			k.fails(err, kind, dir)
		}
		if steps != 1 {
			k.Errorf("%s: %d steps, want one error", dir, steps)
		}
	}
}

func (k kit) listStops() {
	for i := range 1200 {
		k.put(fmt.Sprintf("/f%d", i), "")
	}
	seen := 0
	for _, err := range k.fs.List(k.Context(), "/") {
		k.ok(err)
		if seen++; seen == 3 {
			break
		}
	}
	ctx, cancel := context.WithCancel(k.Context())
	defer cancel()
	var last error
	entries := 0
	for in, err := range k.fs.List(ctx, "/") {
		if last = err; in != nil {
			entries++
		}
		cancel()
	}
	k.fails(last, context.Canceled, "/")
	if entries >= 1200 {
		k.Errorf("%d entries after the end of the context", entries)
	}
	k.ok(k.fs.Remove(k.Context(), "/f0")) // nothing is held
}

// hidden looks for unfinished parts in every way a client has.
func (k kit) hidden() {
	ctx := k.Context()
	k.ok(k.fs.Mkdir(ctx, "/d"))
	k.cut("/d/f", "part")
	w := k.begin("/d/g", storage.How{Owner: owner}, "under way")
	k.lists("/d", map[string]int64{})
	k.missing("/d/f")
	k.missing("/d/g")
	k.fails(k.fs.Remove(ctx, "/d/f"), fs.ErrNotExist, "/d/f")
	k.fails(k.fs.Rename(ctx, "/d/f", "/x"), fs.ErrNotExist, "/d/f", "/x")
	k.fails(k.fs.Rmdir(ctx, "/d"), storage.ErrBusy, "/d")
	k.ok(w.Commit())
	k.fails(k.fs.Rmdir(ctx, "/d"), storage.ErrNotEmpty, "/d")
	k.ok(k.fs.Remove(ctx, "/d/g"))
	k.cut("/d/f", "part")
	k.ok(k.fs.Rmdir(ctx, "/d")) // empty, as the client sees it
	k.lists("/", map[string]int64{})
	k.ok(k.fs.Mkdir(ctx, "/d"))
	k.unfinished("/d/f", owner, -1)
}

func (k kit) remove() {
	ctx := k.Context()
	k.put("/f", "x")
	k.ok(k.fs.Mkdir(ctx, "/d"))
	k.ok(k.fs.Remove(ctx, "/f"))
	k.missing("/f")
	k.fails(k.fs.Remove(ctx, "/f"), fs.ErrNotExist, "/f")
	k.fails(k.fs.Remove(ctx, "/d"), storage.ErrIsDir, "/d")
	k.fails(k.fs.Remove(ctx, "/"), storage.ErrIsDir, "/")
	k.lists("/", map[string]int64{"d": -1})
}

func (k kit) mkdir() {
	ctx := k.Context()
	k.put("/f", "x")
	k.ok(k.fs.Mkdir(ctx, "/d"))
	k.ok(k.fs.Mkdir(ctx, "/d/e"))
	k.fails(k.fs.Mkdir(ctx, "/d"), fs.ErrExist, "/d")
	k.fails(k.fs.Mkdir(ctx, "/f"), fs.ErrExist, "/f")
	k.fails(k.fs.Mkdir(ctx, "/"), fs.ErrExist, "/")
	k.fails(k.fs.Mkdir(ctx, "/x/y"), fs.ErrNotExist, "/x/y")
	k.fails(k.fs.Mkdir(ctx, "/f/y"), storage.ErrNotDir, "/f/y")
	k.lists("/d", map[string]int64{"e": -1})
}

func (k kit) rmdir() {
	ctx := k.Context()
	k.ok(k.fs.Mkdir(ctx, "/d"))
	k.put("/d/f", "x")
	k.fails(k.fs.Rmdir(ctx, "/d"), storage.ErrNotEmpty, "/d")
	k.fails(k.fs.Rmdir(ctx, "/d/f"), storage.ErrNotDir, "/d/f")
	k.fails(k.fs.Rmdir(ctx, "/none"), fs.ErrNotExist, "/none")
	if err := k.fs.Rmdir(ctx, "/"); err == nil {
		k.Error("the top was removed")
	}
	k.want("/d/f", "x")
	k.ok(k.fs.Remove(ctx, "/d/f"))
	k.ok(k.fs.Rmdir(ctx, "/d"))
	k.missing("/d")
}

func (k kit) rename() {
	ctx := k.Context()
	k.ok(k.fs.Mkdir(ctx, "/d"))
	k.ok(k.fs.Mkdir(ctx, "/e"))
	k.put("/a", "a")
	k.put("/b", "bb")
	k.ok(k.fs.Rename(ctx, "/a", "/d/a"))
	k.missing("/a")
	k.want("/d/a", "a")
	k.ok(k.fs.Rename(ctx, "/d/a", "/b")) // replaces
	k.want("/b", "a")
	k.ok(k.fs.Rename(ctx, "/b", "/b"))
	k.want("/b", "a")
	k.put("/d/f", "f")
	k.ok(k.fs.Rename(ctx, "/d", "/e/d2"))
	k.want("/e/d2/f", "f")
	k.lists("/", map[string]int64{"b": 1, "e": -1})

	// A reader keeps the file that a rename replaces.
	r, err := k.fs.Open(ctx, "/b", 0)
	k.ok(err)
	defer r.Close()
	k.put("/c", "ccc")
	k.ok(k.fs.Rename(ctx, "/c", "/b"))
	text, err := io.ReadAll(r)
	k.ok(err)
	if string(text) != "a" {
		k.Errorf("the reader of the old file got %q", text)
	}
}

func (k kit) renameRefuses() {
	ctx := k.Context()
	k.ok(k.fs.Mkdir(ctx, "/d"))
	k.ok(k.fs.Mkdir(ctx, "/empty"))
	k.put("/f", "x")
	for _, test := range []struct {
		from, to string
		want     error
	}{
		{"/none", "/x", fs.ErrNotExist},
		{"/f", "/none/x", fs.ErrNotExist},
		{"/f", "/empty", storage.ErrIsDir},
		{"/d", "/empty", storage.ErrIsDir},
		{"/d", "/f", storage.ErrNotDir},
		{"/f/x", "/y", storage.ErrNotDir},
		{"/", "/y", fs.ErrPermission},
		{"/d", "/", fs.ErrPermission},
	} {
		k.fails(k.fs.Rename(ctx, test.from, test.to), test.want, test.from, test.to)
	}
	if err := k.fs.Rename(ctx, "/d", "/d/below"); err == nil {
		k.Error("a directory was moved into itself")
	}
	k.lists("/", map[string]int64{"d": -1, "empty": -1, "f": 1})
}

// names tries those that no file may bear.
func (k kit) names() {
	ctx := k.Context()
	k.put("/f", "x")
	for _, base := range []string{"a\nb", "a\r\n250 ok", "\x1b[2J", "a\x7f", "nul\x00", strings.Repeat("n", 256)} {
		name := "/" + base
		_, err := k.fs.Create(ctx, name, storage.How{})
		k.fails(err, storage.ErrName, name)
		k.fails(k.fs.Mkdir(ctx, name), storage.ErrName, name)
		k.fails(k.fs.Rename(ctx, "/f", name), storage.ErrName, "/f", name)
	}
	for _, name := range []string{"", "f", "./f", "/.", "/..", "/../f", "/d/../f", "//f", "/f/", "/./f", "/\x00"} {
		_, err := k.fs.Stat(ctx, name)
		k.fails(err, storage.ErrName, name)
		_, err = k.fs.Open(ctx, name, 0)
		k.fails(err, storage.ErrName, name)
		_, err = k.fs.Create(ctx, name, storage.How{})
		k.fails(err, storage.ErrName, name)
		k.fails(k.fs.Remove(ctx, name), storage.ErrName, name)
		k.fails(k.fs.Mkdir(ctx, name), storage.ErrName, name)
		k.fails(k.fs.Rmdir(ctx, name), storage.ErrName, name)
		k.fails(k.fs.Rename(ctx, name, "/g"), storage.ErrName, name, "/g")
		k.fails(k.fs.Rename(ctx, "/f", name), storage.ErrName, "/f", name)
		for _, err := range k.fs.List(ctx, name) {
			k.fails(err, storage.ErrName, name)
		}
	}
	longest := "/" + strings.Repeat("n", 255)
	k.put(longest, "y")
	k.cut(longest, "z")
	k.lists("/", map[string]int64{"f": 1, longest[1:]: 1})
}

// context asks for nothing to happen once the context has ended.
func (k kit) context() {
	k.put("/f", "x")
	k.ok(k.fs.Mkdir(k.Context(), "/d"))
	ctx, cancel := context.WithCancel(k.Context())
	cancel()
	_, err := k.fs.Open(ctx, "/f", 0)
	k.fails(err, context.Canceled, "/f")
	_, err = k.fs.Stat(ctx, "/f")
	k.fails(err, context.Canceled, "/f")
	_, err = k.fs.Create(ctx, "/f", storage.How{})
	k.fails(err, context.Canceled, "/f")
	k.fails(k.fs.Remove(ctx, "/f"), context.Canceled, "/f")
	k.fails(k.fs.Mkdir(ctx, "/new"), context.Canceled, "/new")
	k.fails(k.fs.Rmdir(ctx, "/d"), context.Canceled, "/d")
	k.fails(k.fs.Rename(ctx, "/f", "/g"), context.Canceled, "/f", "/g")
	k.lists("/", map[string]int64{"f": 1, "d": -1})
	k.put("/f", "free")
}

func (k kit) setTime() {
	if _, ok := k.fs.(storage.TimeSetter); !ok {
		k.Skip("this tree sets no times")
	}
	k.put("/f", "x")
	k.ok(k.fs.Mkdir(k.Context(), "/d"))
	then := time.Date(1985, time.October, 1, 12, 30, 59, 0, time.UTC)
	for _, name := range []string{"/f", "/d"} {
		k.ok(storage.SetTime(k.Context(), k.fs, name, then))
		in, err := k.fs.Stat(k.Context(), name)
		k.ok(err)
		if !in.ModTime().Equal(then) {
			k.Errorf("%s: modified %v, want %v", name, in.ModTime(), then)
		}
	}
	k.fails(storage.SetTime(k.Context(), k.fs, "/none", then), fs.ErrNotExist, "/none")
}

func (k kit) chmod() {
	if _, ok := k.fs.(storage.Chmoder); !ok {
		k.Skip("this tree has no permission bits")
	}
	k.put("/f", "x")
	ctx := k.Context()
	k.ok(storage.Chmod(ctx, k.fs, "/f", 0o640|fs.ModeSetuid|fs.ModeSetgid|fs.ModeSticky))
	mode := func() fs.FileMode {
		in, err := k.fs.Stat(ctx, "/f")
		k.ok(err)
		return in.Mode()
	}
	if got := mode(); got != 0o640 {
		k.Errorf("mode %v, want 0640", got)
	}
	k.put("/f", "a replaced file keeps its bits")
	if got := mode(); got != 0o640 {
		k.Errorf("mode %v after an upload, want 0640", got)
	}
	k.fails(storage.Chmod(ctx, k.fs, "/none", 0o600), fs.ErrNotExist, "/none")
}

func (k kit) available() {
	n, err := storage.Available(k.Context(), k.fs, "/")
	if errors.Is(err, storage.ErrUnsupported) {
		k.Skip("this tree does not tell its room")
	}
	k.ok(err)
	if n <= 0 {
		k.Errorf("%d bytes available", n)
	}
	_, err = storage.Available(k.Context(), k.fs, "/none")
	k.fails(err, fs.ErrNotExist, "/none")
}

func (k kit) hash() {
	k.put("/f", "0123456789")
	for _, test := range []struct {
		from, to int64
		want     string
	}{{0, -1, "0123456789"}, {2, 5, "234"}, {10, -1, ""}, {8, 99, "89"}} {
		got, err := storage.Hash(k.Context(), k.fs, "/f", "NONE", &recorder{}, test.from, test.to)
		k.ok(err)
		if string(got) != test.want {
			k.Errorf("bytes [%d, %d): %q, want %q", test.from, test.to, got, test.want)
		}
	}
}

// recorder is a hash that returns what it was given.
type recorder struct{ bytes.Buffer }

func (r *recorder) Sum(b []byte) []byte { return append(b, r.Bytes()...) }
func (r *recorder) Size() int           { return r.Len() }
func (r *recorder) BlockSize() int      { return 1 }
