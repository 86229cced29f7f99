//go:build unix

package ftpclient_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"towpath/ftpclient"
	"towpath/ftpclient/mirror"
)

// TestMirrorStrangers carries a tree to the servers of others and back, twice:
// the second time nothing is left to do. It lies beside TestStrangers, whose
// servers it needs.
func TestMirrorStrangers(t *testing.T) {
	t.Parallel()
	for _, peer := range strangers {
		t.Run(peer.name, func(t *testing.T) {
			t.Parallel()
			s := host(t, peer.program, peer.asRoot, peer.command)
			parallel := 3
			if peer.lazy {
				parallel = 1
			}
			pool, err := ftpclient.NewPool(s.addr(), ftpclient.Options{User: peer.user, Password: peer.password, StallTimeout: 10 * time.Second, Retries: 2}, parallel)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = pool.Close() })
			here, back := t.TempDir(), filepath.Join(t.TempDir(), "back")
			at := time.Date(2025, 3, 4, 12, 0, 1, 0, time.UTC)
			for name, content := range map[string]string{
				"a": "alpha", "empty": "", "sub/b c": "bravo", "sub/deep/ü": "umlaut", "sub/deep/[x]*": "glob", "gone/d": "delta",
			} {
				p := filepath.Join(here, name)
				if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(p, []byte(content), 0o644); err != nil {
					t.Fatal(err)
				}
				if err := os.Chtimes(p, at, at); err != nil {
					t.Fatal(err)
				}
			}
			up := func(want mirror.Result, o mirror.Options) {
				t.Helper()
				o.Parallel, o.Failed = parallel, func(p string, err error) { t.Logf("%s: %v", p, err) }
				if got, err := mirror.Up(testContext(t), pool, here, "tree", o); err != nil || got != want {
					t.Errorf("up: %+v, %v, want %+v", got, err, want)
				}
			}
			down := func(want mirror.Result, o mirror.Options) {
				t.Helper()
				o.Parallel, o.Failed = parallel, func(p string, err error) { t.Logf("%s: %v", p, err) }
				got, err := mirror.Down(testContext(t), pool, "tree", back, o)
				if (err != nil) != (want.Failed > 0) || got != want {
					t.Errorf("down: %+v, %v, want %+v", got, err, want)
				}
			}
			up(mirror.Result{Moved: 6, Bytes: 25, Made: 4}, mirror.Options{})
			up(mirror.Result{Same: 6}, mirror.Options{})
			down(mirror.Result{Moved: 6, Bytes: 25, Made: 4}, mirror.Options{})
			down(mirror.Result{Same: 6}, mirror.Options{})
			if err := os.RemoveAll(filepath.Join(here, "gone")); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(here, "a"), []byte("changed!"), 0o644); err != nil {
				t.Fatal(err)
			}
			up(mirror.Result{Moved: 1, Bytes: 8, Same: 4, Deleted: 2}, mirror.Options{Delete: true})
			down(mirror.Result{Moved: 1, Bytes: 8, Same: 4, Deleted: 2}, mirror.Options{Delete: true})
			// What the server cannot read is not missing.
			if err := os.Chmod(filepath.Join(s.root, "tree", "sub", "deep"), 0); err != nil {
				t.Skip(err)
			}
			down(mirror.Result{Same: 3, Failed: 1}, mirror.Options{Delete: true})
			if _, err := os.Stat(filepath.Join(back, "sub", "deep", "ü")); err != nil {
				t.Error(err)
			}
		})
	}
}
