//go:build unix

package ftpclient_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"towpath/ftpclient"
	"towpath/ftpclient/mirror"
	"towpath/ftpserver"
	"towpath/ftptest"
	"towpath/internal/strangers"
	"towpath/storage/disk"
)

// TestMirrorStrangers carries a tree to the servers of others and back, twice:
// the second time nothing is left to do. So it does in clear text, and over TLS
// with the session required where the server can. It lies beside TestStrangers,
// whose servers it needs.
func TestMirrorStrangers(t *testing.T) {
	t.Parallel()
	for _, peer := range strangers.Peers {
		t.Run(peer.Name, func(t *testing.T) {
			t.Parallel()
			s := peer.Start(t)
			mirrorBothWays(t, s.Addr(), s.Root, encounter{user: peer.User, password: peer.Password, resumes: peer.Resumes}, true)
		})
	}
	t.Run("Towpath", func(t *testing.T) {
		t.Parallel()
		root := t.TempDir()
		fsys, err := disk.Open(root, disk.Options{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = fsys.Close() })
		s := ftptest.Serve(t, nil, ftptest.TLS, ftptest.Root(fsys), func(o *ftpserver.Options) { o.Binding = ftpserver.BindRequire })
		mirrorBothWays(t, s.Addr, root, encounter{user: ftptest.User, password: ftptest.Password, resumes: true}, os.Geteuid() != 0)
	})
}

// mirrorBothWays does so with one server, which serves root here; bars tells that
// a directory without rights is closed to it.
func mirrorBothWays(t *testing.T, addr, root string, e encounter, bars bool) {
	for name, security := range map[string]ftpclient.Security{"clear": ftpclient.Plain, "TLS": ftpclient.Explicit} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const parallel = 3
			set := ftpclient.Options{User: e.user, Password: e.password, TLS: security, TLSConfig: ftptest.ClientTLS()}
			probe := login(t, addr, func(o *ftpclient.Options) { o.User, o.Password, o.TLS = e.user, e.password, ftpclient.Plain })
			if security != ftpclient.Plain && !probe.Features().Has("AUTH") {
				t.Skip("this server runs without TLS here")
			}
			pool, err := ftpclient.NewPool(addr, set, parallel)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = pool.Close() })
			tree := name + "/new/tree"
			here, back := t.TempDir(), filepath.Join(t.TempDir(), "back")
			at := time.Date(2025, 3, 4, 12, 0, 1, 0, time.UTC)
			for name, content := range map[string]string{
				"a": "alpha", "empty": "", "sub/b c": "bravo", "sub/deep/ü": "umlaut", "sub/deep/[x]*": string(noise(300_000)), "gone/d": "delta",
			} {
				p := filepath.Join(here, name)
				err := errors.Join(os.MkdirAll(filepath.Dir(p), 0o755), os.WriteFile(p, []byte(content), 0o644), os.Chtimes(p, at, at))
				if err != nil {
					t.Fatal(err)
				}
			}
			up := func(want mirror.Result, o mirror.Options) {
				t.Helper()
				o.Parallel, o.Failed = parallel, func(p string, err error) { t.Logf("%s: %v", p, err) }
				if got, err := mirror.Up(testContext(t), pool, here, tree, o); err != nil || got != want {
					t.Errorf("up: %+v, %v, want %+v", got, err, want)
				}
			}
			down := func(want mirror.Result, o mirror.Options) {
				t.Helper()
				o.Parallel, o.Failed = parallel, func(p string, err error) { t.Logf("%s: %v", p, err) }
				got, err := mirror.Down(testContext(t), pool, tree, back, o)
				if (err != nil) != (want.Failed > 0) || got != want {
					t.Errorf("down: %+v, %v, want %+v", got, err, want)
				}
			}
			up(mirror.Result{Moved: 6, Bytes: 300_021, Made: 4}, mirror.Options{})
			up(mirror.Result{Same: 6}, mirror.Options{})
			down(mirror.Result{Moved: 6, Bytes: 300_021, Made: 4}, mirror.Options{})
			down(mirror.Result{Same: 6}, mirror.Options{})
			same(t, here, back)
			err = errors.Join(os.RemoveAll(filepath.Join(here, "gone")), os.WriteFile(filepath.Join(here, "a"), []byte("changed!"), 0o644))
			if err != nil {
				t.Fatal(err)
			}
			up(mirror.Result{Moved: 1, Bytes: 8, Same: 4, Deleted: 2}, mirror.Options{Delete: true})
			down(mirror.Result{Moved: 1, Bytes: 8, Same: 4, Deleted: 2}, mirror.Options{Delete: true})
			same(t, here, back)
			same(t, here, filepath.Join(root, tree))
			// A source that is not there deletes nothing.
			if gone, err := mirror.Down(testContext(t), pool, name+"/nowhere", back, mirror.Options{Delete: true}); err == nil || gone.Deleted != 0 {
				t.Errorf("from nowhere: %+v, %v", gone, err)
			}
			same(t, here, back)
			if security != ftpclient.Plain && e.resumes {
				err := pool.Do(testContext(t), func(c *ftpclient.Client) error {
					if len(c.Attempts()) == 0 {
						return errors.New("no data connection is remembered")
					}
					for _, a := range c.Attempts() {
						if !a.Resumed {
							t.Errorf("%v: the session was not resumed", a)
						}
					}
					return nil
				})
				if err != nil {
					t.Error(err)
				}
			}
			if !bars {
				return
			}
			// What the server cannot read is not missing.
			deep := filepath.Join(root, tree, "sub", "deep")
			if err := os.Chmod(deep, 0); err != nil {
				t.Skip(err)
			}
			t.Cleanup(func() { _ = os.Chmod(deep, 0o755) }) // else an ordinary user could not remove it
			down(mirror.Result{Same: 3, Failed: 1}, mirror.Options{Delete: true})
			if _, err := os.Stat(filepath.Join(back, "sub", "deep", "ü")); err != nil {
				t.Error(err)
			}
		})
	}
}

// same compares two trees, file by file.
func same(t *testing.T, a, b string) {
	t.Helper()
	read := func(dir string) map[string]string {
		files := map[string]string{}
		err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			text, err := os.ReadFile(p)
			name, _ := filepath.Rel(dir, p) // it lies in it
			files[name] = string(text)
			return err
		})
		if err != nil {
			t.Error(err)
		}
		return files
	}
	if diff := cmp.Diff(read(a), read(b)); diff != "" {
		t.Errorf("-%s +%s\n%.2000s", a, b, diff)
	}
}
