package main

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"iter"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"towpath/accounts"
	"towpath/ftpserver"
	"towpath/internal/config"
	"towpath/storage"
	"towpath/storage/disk"
	"towpath/storage/mem"
)

// away has a directory of somebody else's, which cannot be read.
type away struct {
	*mem.FS
	uid uint32
}

type othersInfo struct {
	fs.FileInfo
	unix storage.Unix
}

func (f othersInfo) Sys() any { return &f.unix }

func (a away) List(ctx context.Context, dir string) iter.Seq2[fs.FileInfo, error] {
	return func(yield func(fs.FileInfo, error) bool) {
		if dir == "/lost+found" {
			yield(nil, &fs.PathError{Op: "list", Path: dir, Err: fs.ErrPermission})
			return
		}
		for fi, err := range a.FS.List(ctx, dir) {
			if err == nil && fi.Name() == "lost+found" {
				fi = othersInfo{fi, storage.Unix{Links: 1, UID: a.uid}}
			}
			if !yield(fi, err) {
				return
			}
		}
	}
}

// A quota counts all that lies there: however deep it is, and parts of uploads
// as well. What others have closed is not counted, and keeps nobody out.
func TestUsage(t *testing.T) {
	t.Parallel()
	deep := strings.Repeat("d/", 300)
	root := mem.New(map[string]string{"a": "12345", deep + "b": "678", "lost+found/": ""})
	w, err := root.Create(t.Context(), "/"+deep+"c", storage.How{Owner: "somebody"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(w, "part"); err != nil {
		t.Fatal(err)
	}
	if err := w.Abort(true); err != nil {
		t.Fatal(err)
	}
	self := uint32(os.Geteuid())
	bytes, files, err := usage(t.Context(), away{root, self + 1})
	if err != nil || bytes != 12 || files != 2 {
		t.Errorf("%d bytes in %d files, %v; want 12 in 2", bytes, files, err)
	}
	// Else whoever may change permissions would put things away before the count.
	if _, _, err := usage(t.Context(), away{root, self}); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("a directory of our own that is closed: %v", err)
	}
}

// What an account says of itself wins over what the settings say of all.
func TestDoorUser(t *testing.T) {
	t.Parallel()
	s := &config.Settings{Config: config.Default()}
	s.Root = t.TempDir()
	s.Limits.DownloadRate, s.Limits.UploadRate = 1000, 2000
	m, err := accounts.NewMemory()
	if err != nil {
		t.Fatal(err)
	}
	svc := &service{trees: newTrees()}
	defer svc.trees.close()
	d := newDoor(svc, s, m)
	for _, tt := range []struct {
		a        accounts.Account
		down, up int64
		idle     time.Duration
		charset  string
	}{
		{accounts.Account{Name: "plain"}, 1000, 2000, 0, ""},
		{accounts.Account{Name: "slow", DownloadRate: 10, IdleTimeout: time.Minute}, 10, 2000, time.Minute, ""},
		{accounts.Account{Name: "fast", UploadRate: 1 << 30, Charset: "gbk"}, 1000, 1 << 30, 0, "GBK"},
	} {
		u, err := d.user(t.Context(), &tt.a)
		if err != nil {
			t.Fatal(err)
		}
		charset := ""
		if u.Charset != nil {
			charset = u.Charset.Name()
		}
		if u.Name != tt.a.Name || u.DownloadRate != tt.down || u.UploadRate != tt.up || u.IdleTimeout != tt.idle || charset != tt.charset {
			t.Errorf("%s: %+v (charset %s)", tt.a.Name, u, charset)
		}
		u.Closed()
	}
	for _, one := range svc.trees.live {
		if one.users != 0 {
			t.Errorf("a tree has %d users left", one.users)
		}
	}
}

// A tree outlives its last session for a moment, and not for longer.
func TestTreesClose(t *testing.T) {
	t.Parallel()
	home := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		trees := newTrees()
		count := func() int {
			trees.mu.Lock()
			defer trees.mu.Unlock()
			return len(trees.live)
		}
		first, release, err := trees.open(home, disk.Options{})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		release()
		time.Sleep(treeRest / 2)
		second, release, err := trees.open(home, disk.Options{})
		if err != nil || second != first {
			t.Errorf("the tree was opened anew: %v", err)
		}
		time.Sleep(time.Hour)
		if n := count(); n != 1 {
			t.Errorf("%d trees are open, want the one in use", n)
		}
		release()
		time.Sleep(3 * treeRest)
		if n := count(); n != 0 {
			t.Errorf("%d trees are left open", n)
		}
	})
}

// The rights of accounts and of the server are the same bits, and a read-only
// server takes from each rule what changes files.
func TestRightsOf(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		a    accounts.Rights
		s    ftpserver.Rights
	}{
		{"all", accounts.All, ftpserver.All},
		{"list", accounts.List, ftpserver.List},
		{"read", accounts.Read, ftpserver.Read},
		{"write", accounts.Write, ftpserver.Write},
		{"append", accounts.Append, ftpserver.Append},
		{"delete", accounts.Delete, ftpserver.Delete},
		{"rename", accounts.Rename, ftpserver.Rename},
		{"mkdir", accounts.Mkdir, ftpserver.Mkdir},
		{"rmdir", accounts.Rmdir, ftpserver.Rmdir},
		{"chmod", accounts.Chmod, ftpserver.Chmod},
		{"times", accounts.Times, ftpserver.Times},
		{"copy", accounts.Copy, ftpserver.Copy},
		{"link", accounts.Link, ftpserver.Link},
		{"admin", accounts.Admin, ftpserver.Admin},
	} {
		rules := accounts.Rules{{Path: "/", Rights: accounts.List}, {Path: "/in", Rights: tt.a}}
		if got := rightsOf(rules, false)("/in/file"); got != tt.s {
			t.Errorf("%s: %b, want %b", tt.name, got, tt.s)
		}
		if got, want := rightsOf(rules, true)("/in/file"), tt.s&(ftpserver.ReadOnly|ftpserver.Admin); got != want {
			t.Errorf("%s, read-only: %b, want %b", tt.name, got, want)
		}
		if got := rightsOf(rules[1:], false)("/elsewhere"); got != 0 {
			t.Errorf("%s: %b outside of all rules", tt.name, got)
		}
	}
}
