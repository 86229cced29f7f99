//go:build unix

package ftpclient_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"towpath/ftpclient"
	"towpath/ftpclient/segments"
	"towpath/ftpserver"
	"towpath/ftptest"
	"towpath/internal/strangers"
	"towpath/storage/disk"
)

// errand is a file to be fetched and one to be sent over several sessions, as
// it is told to another process.
type errand struct {
	Addr, User, Password string
	Version              uint16 // of TLS, 0 for clear text
	Up, Down             string // files here; on the server they are "up" and "big"
	Trusted              []byte // the certificate, which each process makes its own of
}

func (e errand) pool() (*ftpclient.Pool, error) {
	o := ftpclient.Options{User: e.User, Password: e.Password, Retries: 2}
	if e.Version != 0 {
		trusted, err := x509.ParseCertificate(e.Trusted)
		if err != nil {
			return nil, err
		}
		o.TLS = ftpclient.Explicit
		o.TLSConfig = &tls.Config{MinVersion: e.Version, MaxVersion: e.Version, RootCAs: x509.NewCertPool()}
		o.TLSConfig.RootCAs.AddCert(trusted)
	}
	return ftpclient.NewPool(e.Addr, o, 3)
}

// TestSegmentsStrangers fetches a file over three sessions, and sends it where
// the server joins parts by so many too: undisturbed, and in clear text also with
// the call cancelled in the middle, under TLS 1.3 with the process killed.
func TestSegmentsStrangers(t *testing.T) {
	t.Parallel()
	big := noise(9<<20 + 3)
	for _, peer := range strangers.Peers {
		t.Run(peer.Name, func(t *testing.T) {
			t.Parallel()
			s := peer.Start(t)
			inSegments(t, errand{Addr: s.Addr(), User: peer.User, Password: peer.Password}, s.Root, big)
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
		inSegments(t, errand{Addr: s.Addr, User: ftptest.User, Password: ftptest.Password}, root, big)
	})
}

func inSegments(t *testing.T, e errand, root string, big []byte) {
	at := filepath.Join(root, "big")
	if err := errors.Join(os.WriteFile(at, big, 0o644), os.Chmod(at, 0o644)); err != nil {
		t.Fatal(err)
	}
	first := login(t, e.Addr, func(o *ftpclient.Options) { o.User, o.Password = e.User, e.Password })
	hasTLS, joins := strings.Contains(first.Features().Param("AUTH"), "TLS"), first.Features().Has("COMB")
	_ = first.Close() // never fails
	for _, security := range []struct {
		name    string
		version uint16
		disturb func(*testing.T, errand)
	}{{"clear", 0, cancelled}, {"TLS 1.2", tls.VersionTLS12, nil}, {"TLS 1.3", tls.VersionTLS13, killed}} {
		t.Run(security.name, func(t *testing.T) {
			if security.version != 0 && !hasTLS {
				t.Skip("this server runs without TLS here")
			}
			e, dir := e, t.TempDir()
			e.Trusted = ftptest.Certificate().Certificate[0]
			e.Version, e.Up, e.Down = security.version, filepath.Join(dir, "up"), filepath.Join(dir, "down")
			if err := os.WriteFile(e.Up, big, 0o600); err != nil {
				t.Fatal(err)
			}
			pool, err := e.pool()
			if err != nil {
				t.Fatal(err)
			}
			defer pool.Close()
			got := func(ctx context.Context, o segments.Options) error {
				t.Helper()
				o.Sessions = 3
				n, err := segments.Get(ctx, pool, "big", e.Down, o)
				if err != nil {
					return err
				}
				if b, err := os.ReadFile(e.Down); err != nil || n != int64(len(big)) || !bytes.Equal(b, big) || segments.Begun(e.Down) {
					t.Errorf("got %d bytes, %v; the status is there: %v", len(b), err, segments.Begun(e.Down))
				}
				return os.Remove(e.Down)
			}
			put := func(ctx context.Context, o segments.Options) error {
				t.Helper()
				o.Sessions = 3
				n, err := segments.Put(ctx, pool, e.Up, "up", o)
				if err != nil {
					return err
				}
				there := filepath.Join(root, "up")
				if b, err := os.ReadFile(there); err != nil || n != int64(len(big)) || !bytes.Equal(b, big) {
					t.Errorf("%d bytes arrived, %v", len(b), err)
				}
				return os.Remove(there)
			}
			for name, move := range map[string]func(context.Context, segments.Options) error{"get": got, "put": put} {
				note := ""
				if err := move(testContext(t), segments.Options{Note: func(text string) { note += text }}); err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				if alone := name == "put" && !joins; (note != "") != alone {
					t.Errorf("%s: the user is told %q", name, note)
				}
			}
			if security.disturb == nil {
				return
			}
			security.disturb(t, e)
			begun := int64(-1)
			err = got(testContext(t), segments.Options{Resume: true, Progress: func(n int64) {
				if begun < 0 {
					begun = n
				}
			}})
			if err != nil || begun <= 0 {
				t.Errorf("get resumed with %d bytes: %v", begun, err)
			}
			if err := put(testContext(t), segments.Options{Resume: true}); err != nil {
				t.Errorf("put resumed: %v", err)
			}
		})
	}
}

// cancelled does an errand, and cancels both halves of it.
func cancelled(t *testing.T, e errand) {
	t.Helper()
	pool, err := e.pool()
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	for name, move := range map[string]func(context.Context, segments.Options) error{
		"get": func(ctx context.Context, o segments.Options) error {
			_, err := segments.Get(ctx, pool, "big", e.Down, o)
			return err
		},
		"put": func(ctx context.Context, o segments.Options) error {
			_, err := segments.Put(ctx, pool, e.Up, "up", o)
			return err
		},
	} {
		ctx, cancel := context.WithCancel(testContext(t))
		err := move(ctx, segments.Options{Sessions: 3, Progress: func(n int64) {
			if n > 3<<20 {
				cancel()
			}
		}})
		cancel()
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s: a call that was cancelled ended by %v", name, err)
		}
	}
}

// killed starts a process that does an errand, and kills it when it is half done.
func killed(t *testing.T, e errand) {
	t.Helper()
	text, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(testContext(t), self)
	cmd.Env = append(os.Environ(), victimEnv+"="+string(text))
	var log bytes.Buffer
	cmd.Stderr = &log
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	lines, half := bufio.NewScanner(out), 0
	for half < 2 && lines.Scan() {
		half++
	}
	_ = cmd.Process.Kill() // it may have ended, as seen by what it said
	if _ = cmd.Wait(); half < 2 {
		t.Fatalf("the process got so far with %d of 2 files: %s", half, log.String())
	}
}

// halfway does an errand so far that a part of either file is known to have
// arrived, says so, and then no more for ever.
func halfway(text []byte) error {
	var e errand
	if err := json.Unmarshal(text, &e); err != nil {
		return err
	}
	pool, err := e.pool()
	if err != nil {
		return err
	}
	var said sync.Mutex
	failed := make(chan error)
	go func() {
		_, err := segments.Get(context.Background(), pool, "big", e.Down, segments.Options{Sessions: 3, Limiter: &leash{
			said: &said, enough: func(int64) bool {
				status, err := os.ReadFile(e.Down + segments.Suffix)
				return err == nil && bytes.Contains(status, []byte("\ndone "))
			},
		}})
		failed <- fmt.Errorf("get came to its end: %w", err)
	}()
	other, err := e.pool()
	if err != nil {
		return err
	}
	go func() {
		_, err := segments.Put(context.Background(), other, e.Up, "up", segments.Options{Sessions: 3, Limiter: &leash{
			said: &said, enough: func(moved int64) bool { return moved > 3<<20 },
		}})
		failed <- fmt.Errorf("put came to its end: %w", err)
	}()
	return <-failed
}

// leash lets bytes pass slowly until it is enough, and then none.
type leash struct {
	enough func(moved int64) bool
	said   *sync.Mutex // held by who writes to stdout

	mu    sync.Mutex
	moved int64
	tight bool
}

func (*leash) Burst() int { return 16 << 10 }

func (l *leash) WaitN(ctx context.Context, n int) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.tight && l.enough(l.moved) {
		l.tight = true
		l.said.Lock()
		fmt.Println("enough")
		l.said.Unlock()
	}
	if l.tight {
		<-ctx.Done()
		return ctx.Err()
	}
	l.moved += int64(n)
	time.Sleep(2 * time.Millisecond) // 8 MB/s at most: what has arrived is noted every 250 ms
	return nil
}
