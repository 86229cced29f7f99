//go:build unix

package ftpclient_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"towpath/ftp"
	"towpath/ftpclient"
	"towpath/ftpserver"
	"towpath/ftptest"
	"towpath/internal/strangers"
)

// TestStrangers does with the servers of others, and with ours, all that a
// program wants to do: each deed in clear text and under both versions of TLS,
// and transfers in every mode. vsftpd, ProFTPD and ours require that data
// connections resume the session of the control connection.
func TestStrangers(t *testing.T) {
	t.Parallel()
	for _, peer := range strangers.Peers {
		t.Run(peer.Name, func(t *testing.T) {
			t.Parallel()
			addr := peer.Start(t).Addr()
			meet(t, addr, encounter{peer.User, peer.Password, peer.Offers, peer.Resumes})
		})
	}
	t.Run("Towpath", func(t *testing.T) {
		t.Parallel()
		s := ftptest.Serve(t, nil, ftptest.TLS, func(o *ftpserver.Options) { o.Binding = ftpserver.BindRequire })
		meet(t, s.Addr, encounter{ftptest.User, ftptest.Password, "MLSD time digest", true})
	})
}

// encounter is what there is to know about a server before it is met.
type encounter struct {
	user, password string
	offers         string
	resumes        bool
}

func meet(t *testing.T, addr string, e encounter) {
	as := func(o *ftpclient.Options) { o.User, o.Password = e.user, e.password }
	first := login(t, addr, as)
	hasTLS := strings.Contains(first.Features().Param("AUTH"), "TLS")
	if got := first.Features().Has("MLST"); got != strings.Contains(e.offers, "MLSD") {
		t.Errorf("MLST is offered: %v, want that of %q", got, e.offers)
	}
	_ = first.Close()
	for name, version := range map[string]uint16{"clear": 0, "TLS 1.2": tls.VersionTLS12, "TLS 1.3": tls.VersionTLS13} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if version != 0 && !hasTLS {
				t.Skip("this server runs without TLS here")
			}
			var handshakes atomic.Int32
			secured := func(o *ftpclient.Options) {
				if version == 0 {
					return
				}
				o.TLS = ftpclient.Explicit
				o.TLSConfig.VerifyConnection = func(s tls.ConnectionState) error {
					handshakes.Add(1)
					if s.Version != version {
						return fmt.Errorf("spoke %s", tls.VersionName(s.Version))
					}
					return nil
				}
				o.TLSConfig.MinVersion, o.TLSConfig.MaxVersion = version, version
			}
			safe := func(t *testing.T, c *ftpclient.Client) {
				t.Helper()
				if version == 0 {
					return
				}
				if handshakes.Load() < 2 {
					t.Error("no data connection spoke TLS")
				}
				for _, a := range c.Attempts() {
					if e.resumes && a.Err == nil && !a.Resumed {
						t.Errorf("%v: the session was not resumed", a)
					}
				}
			}
			for _, m := range []ftpclient.Mode{ftpclient.EPSV, ftpclient.PASV, ftpclient.EPRT, ftpclient.PORT} {
				t.Run(m.String(), func(t *testing.T) {
					c := login(t, addr, as, secured, mode(m), told(t))
					if err := bothWays(t, c, strings.ReplaceAll(fmt.Sprint(name, m), " ", "-")); err != nil {
						t.Error(err)
					}
					safe(t, c)
				})
			}
			if version != 0 && first.Features().Has("CCC") {
				t.Run("CCC", func(t *testing.T) {
					c := login(t, addr, as, secured, told(t), func(o *ftpclient.Options) { o.ClearControl = true })
					bothWays(t, c, strings.ReplaceAll(name, " ", "-")+"-CCC")
					safe(t, c)
				})
			}
			if first.Features().Param("MODE") == "Z" {
				t.Run("MODE Z", func(t *testing.T) {
					var sent lockedBuffer
					c := login(t, addr, as, secured, deflated, func(o *ftpclient.Options) {
						o.Trace = func(dir byte, line string) { _, _ = fmt.Fprintf(&sent, "%c: %s\n", dir, line) } // never fails
					})
					// ProFTPD takes 26 s for an upload of a MiB, from lftp too.
					ctx, data, name := testContext(t), noise(20_000), strings.ReplaceAll(name, " ", "-")+"-Z"
					if n, err := c.Put(ctx, name, bytes.NewReader(data)); n != int64(len(data)) || err != nil {
						t.Fatalf("put %d bytes, %v", n, err)
					}
					if err := errors.Join(holds(ctx, c, name, data), holds(ctx, c, name, data[5000:6000], ftpclient.From(5000), ftpclient.First(1000))); err != nil {
						t.Error(err)
					}
					safe(t, c)
					if !strings.Contains(sent.String(), "C: MODE Z\nS: 200") {
						t.Error("no MODE Z was agreed on")
					}
				})
			}
			c := login(t, addr, as, secured, told(t))
			dir := strings.ReplaceAll(name, " ", "-")
			if err := c.Mkdir(testContext(t), dir); err != nil {
				t.Fatal(err)
			}
			for _, d := range deeds {
				t.Run(d.name, func(t *testing.T) {
					err := d.do(t, c, dir)
					if d.rare != "" && !strings.Contains(e.offers, d.rare) {
						if !errors.Is(err, ftpclient.ErrUnsupported) {
							t.Errorf("%v, want ErrUnsupported", err)
						}
					} else if err != nil {
						t.Error(err)
					}
					safe(t, c)
				})
			}
			if version != 0 && e.resumes {
				t.Run("refuses another session", func(t *testing.T) { steal(t, addr, e, version) })
			}
		})
	}
}

// told keeps the dialogue, and shows the end of it when the test fails.
func told(t *testing.T) func(*ftpclient.Options) {
	var mu sync.Mutex
	var lines []string
	t.Cleanup(func() {
		mu.Lock()
		defer mu.Unlock()
		if t.Failed() {
			t.Logf("the end of the dialogue:\n%s", strings.Join(lines[max(0, len(lines)-30):], "\n"))
		}
	})
	return func(o *ftpclient.Options) {
		o.Trace = func(dir byte, line string) {
			mu.Lock()
			defer mu.Unlock()
			lines = append(lines, fmt.Sprintf("%s %c: %s", time.Now().Format("05.000"), dir, line))
		}
	}
}

// steal uploads over a data connection that resumes nothing, as only somebody
// else would: the server shows that it does require what the deeds did.
func steal(t *testing.T, addr string, e encounter, version uint16) {
	t.Helper()
	config := ftptest.ClientTLS()
	config.MinVersion, config.MaxVersion, config.ClientSessionCache = version, version, nil
	c := ftptest.Dial(t, addr)
	c.Expect(220)
	c.StartTLS(config)
	if e.user == "" {
		c.Do("USER anonymous", 230)
	} else {
		c.Do("USER "+e.user, 331)
		c.Do("PASS "+e.password, 230)
	}
	c.Passive()
	c.Send(fmt.Sprintf("STOR stolen-%x", version))
	data := c.Data()
	_, _ = io.WriteString(data, "x") // fails where the server ends it at once
	_ = data.Close()
	r := c.Reply()
	if r.Preliminary() {
		r = c.Reply()
	}
	if r.Code < 400 {
		t.Errorf("a stranger's data connection was taken: %v", r)
	}
}

// TestUploadIsNotCutShort: OpenSSL servers send TLS 1.3 tickets that lie unread
// with a client that only writes; its close is a reset then, and what a slow
// server has not read yet is lost.
func TestUploadIsNotCutShort(t *testing.T) {
	t.Parallel()
	vsftpd := strangers.Peers[0]
	s := strangers.Host(t, vsftpd.Program, false, func(t testing.TB, s *strangers.Server) []string {
		argv := vsftpd.Command(t, s)
		conf, err := os.ReadFile(argv[1])
		if err != nil {
			t.Fatal(err)
		}
		s.Write(t, filepath.Base(argv[1]), strings.Replace(string(conf), "anon_max_rate=0", "anon_max_rate=4000000", 1))
		return argv
	})
	c := login(t, s.Addr(), explicit, func(o *ftpclient.Options) { o.User, o.TLSConfig.MinVersion = "", tls.VersionTLS13 })
	big := noise(8 << 20)
	if n, err := c.Put(testContext(t), "big", bytes.NewReader(big)); n != int64(len(big)) || err != nil {
		t.Errorf("put %d bytes, %v", n, err)
	}
	if got, err := os.ReadFile(filepath.Join(s.Root, "big")); err != nil || !bytes.Equal(got, big) {
		t.Errorf("%d bytes arrived, %v", len(got), err)
	}
}

// bothWays moves a file to the server and back, and lists it.
func bothWays(t *testing.T, c *ftpclient.Client, name string) error {
	ctx, big := testContext(t), noise(1<<20)
	if n, err := c.Put(ctx, name, bytes.NewReader(big)); err != nil || n != int64(len(big)) {
		return errors.Join(err, fmt.Errorf("put %d bytes", n))
	}
	if err := holds(ctx, c, name, big); err != nil {
		return err
	}
	names, err := c.Names(ctx, "")
	if err == nil && !slices.Contains(names, name) {
		err = fmt.Errorf("names are %q", names)
	}
	return err
}

// holds gets a file and compares it.
func holds(ctx context.Context, c *ftpclient.Client, name string, want []byte, options ...ftpclient.GetOption) error {
	var got bytes.Buffer
	n, err := c.Get(ctx, name, &got, options...)
	if err == nil && (n != int64(len(want)) || !bytes.Equal(got.Bytes(), want)) {
		err = fmt.Errorf("%s holds other bytes: got %d, want %d", name, n, len(want))
	}
	return err
}

// deeds are what a program does with a server, one after the other on one
// session; what one leaves in dir, those behind it find. What is rare gives
// ErrUnsupported where it is not offered.
var deeds = []struct {
	name, rare string
	do         func(t *testing.T, c *ftpclient.Client, dir string) error
}{
	{name: "directories", do: func(t *testing.T, c *ftpclient.Client, dir string) error {
		ctx := testContext(t)
		return errors.Join(c.MkdirAll(ctx, dir+"/a b/c"), c.MkdirAll(ctx, dir+"/a b/c"), c.Mkdir(ctx, dir+"/d"), c.Rmdir(ctx, dir+"/d"))
	}},
	{name: "put and get", do: func(t *testing.T, c *ftpclient.Client, dir string) error {
		ctx := testContext(t)
		for name, data := range map[string][]byte{"/a b/big file": noise(5 << 20), "/empty": nil} {
			if n, err := c.Put(ctx, dir+name, bytes.NewReader(data)); err != nil || n != int64(len(data)) {
				return errors.Join(err, fmt.Errorf("put %d bytes", n))
			}
			if err := holds(ctx, c, dir+name, data); err != nil {
				return err
			}
		}
		return nil
	}},
	{name: "a part", do: func(t *testing.T, c *ftpclient.Client, dir string) error {
		ctx := testContext(t)
		return errors.Join(
			holds(ctx, c, dir+"/a b/big file", noise(5 << 20)[1<<20:2<<20], ftpclient.From(1<<20), ftpclient.First(1<<20)),
			c.Noop(ctx))
	}},
	{name: "resumed upload", do: func(t *testing.T, c *ftpclient.Client, dir string) error {
		ctx, data := testContext(t), noise(4000)
		if _, err := c.Put(ctx, dir+"/part", bytes.NewReader(data[:1000])); err != nil {
			return err
		}
		if n, err := c.Put(ctx, dir+"/part", bytes.NewReader(data[:3000]), ftpclient.Resume()); err != nil || n != 2000 {
			return errors.Join(err, fmt.Errorf("%d bytes moved", n))
		}
		return holds(ctx, c, dir+"/part", data[:3000])
	}},
	{name: "append", do: func(t *testing.T, c *ftpclient.Client, dir string) error {
		ctx, data := testContext(t), noise(4000)
		if _, err := c.Append(ctx, dir+"/part", bytes.NewReader(data[3000:])); err != nil {
			return err
		}
		return holds(ctx, c, dir+"/part", data)
	}},
	{name: "resumed download", do: func(t *testing.T, c *ftpclient.Client, dir string) error {
		big, at := noise(5<<20), filepath.Join(t.TempDir(), "f")
		if err := os.WriteFile(at, big[:3<<20], 0o600); err != nil {
			return err
		}
		f, err := os.OpenFile(at, os.O_RDWR, 0)
		if err != nil {
			return err
		}
		n, err := c.Get(testContext(t), dir+"/a b/big file", f, ftpclient.Resume())
		if err = errors.Join(err, f.Close()); err != nil || n != 2<<20 {
			return errors.Join(err, fmt.Errorf("%d bytes moved", n))
		}
		if got, err := os.ReadFile(at); err != nil || !bytes.Equal(got, big) {
			return errors.Join(err, fmt.Errorf("%d bytes are here", len(got)))
		}
		return nil
	}},
	{name: "create", do: func(t *testing.T, c *ftpclient.Client, dir string) error {
		ctx, data := testContext(t), noise(100_000)
		w, err := c.Create(ctx, dir+"/made")
		if err != nil {
			return err
		}
		_, err = w.Write(data[:10])
		_, more := w.Write(data[10:])
		return errors.Join(err, more, w.Close(), holds(ctx, c, dir+"/made", data))
	}},
	{name: "open and seek", do: func(t *testing.T, c *ftpclient.Client, dir string) error {
		ctx, big := testContext(t), noise(5<<20)
		f, err := c.Open(ctx, dir+"/a b/big file")
		if err != nil {
			return err
		}
		b := make([]byte, 100)
		for _, at := range []int64{0, 4 << 20, 1000} {
			_, err := f.Seek(at, io.SeekStart)
			if _, more := io.ReadFull(f, b); err != nil || more != nil || !bytes.Equal(b, big[at:at+100]) {
				return errors.Join(err, more, fmt.Errorf("read at %d", at))
			}
		}
		return errors.Join(c.Noop(ctx), f.Close()) // with the file open
	}},
	{name: "list", do: func(t *testing.T, c *ftpclient.Client, dir string) error {
		sizes := map[string]int64{}
		for e, err := range c.List(testContext(t), dir) {
			if err != nil {
				return err
			}
			if sizes[e.Name] = e.Size; e.Type.IsDir() {
				sizes[e.Name] = -1
			}
		}
		if want := map[string]int64{"a b": -1, "empty": 0, "part": 4000, "made": 100_000}; fmt.Sprint(sizes) != fmt.Sprint(want) {
			return fmt.Errorf("listed %v, want %v", sizes, want)
		}
		return nil
	}},
	{name: "names", do: func(t *testing.T, c *ftpclient.Client, dir string) error {
		names, err := c.Names(testContext(t), dir+"/a b")
		for i := range names {
			names[i] = filepath.Base(names[i]) // some write paths
		}
		names = slices.DeleteFunc(names, func(s string) bool { return s == "." || s == ".." }) // Pure-FTPd names them
		if slices.Sort(names); err == nil && !slices.Equal(names, []string{"big file", "c"}) {
			err = fmt.Errorf("names are %q", names)
		}
		return err
	}},
	{name: "walk", do: func(t *testing.T, c *ftpclient.Client, dir string) error {
		var found []string
		for f, err := range c.Walk(testContext(t), dir) {
			if err != nil {
				return err
			}
			found = append(found, strings.TrimPrefix(f.Path, dir+"/"))
		}
		if slices.Sort(found); !slices.Equal(found, []string{"a b", "a b/big file", "a b/c", "empty", "made", "part"}) {
			return fmt.Errorf("found %q", found)
		}
		return nil
	}},
	{name: "stat", do: func(t *testing.T, c *ftpclient.Client, dir string) error {
		ctx := testContext(t)
		if e, err := c.Stat(ctx, dir+"/part"); err != nil || e.Name != "part" || e.Size != 4000 || time.Since(e.Time).Abs() > time.Hour {
			return errors.Join(err, fmt.Errorf("part is %+v", e))
		}
		if e, err := c.Stat(ctx, dir+"/a b"); err != nil || !e.Type.IsDir() {
			return errors.Join(err, fmt.Errorf("a directory is %+v", e))
		}
		if n, err := c.Size(ctx, dir+"/part"); err != nil || n != 4000 {
			return errors.Join(err, fmt.Errorf("the size is %d", n))
		}
		if _, err := c.Stat(ctx, dir+"/nowhere"); !errors.Is(err, fs.ErrNotExist) {
			return errors.Join(err, errors.New("of nothing; want ErrNotExist"))
		}
		_, err := c.Get(ctx, dir+"/nowhere", io.Discard)
		if e, ok := errors.AsType[*ftp.Error](err); !ok || e.Reply.Code != 550 {
			return errors.Join(err, errors.New("get of nothing; want 550"))
		}
		return nil
	}},
	{name: "set time", rare: "time", do: func(t *testing.T, c *ftpclient.Client, dir string) error {
		ctx, when := testContext(t), time.Now().UTC().Add(-1000*time.Hour).Truncate(time.Second)
		if err := c.SetTime(ctx, dir+"/part", when); err != nil {
			return err
		}
		if at, err := c.ModTime(ctx, dir+"/part"); err != nil || !at.Equal(when) {
			return errors.Join(err, fmt.Errorf("the time is %v, want %v", at, when))
		}
		if e, err := c.Stat(ctx, dir+"/part"); err != nil || e.Time.Sub(when).Abs() > max(e.Precision, time.Second) {
			return errors.Join(err, fmt.Errorf("stat tells of %v, want %v", e.Time, when))
		}
		return nil
	}},
	{name: "hash", rare: "digest", do: func(t *testing.T, c *ftpclient.Client, dir string) error {
		want := sha256.Sum256(noise(4000))
		got, err := c.Hash(testContext(t), dir+"/part", "SHA-256")
		if err == nil && !bytes.Equal(got, want[:]) {
			err = fmt.Errorf("the digest is %x, want %x", got, want)
		}
		return err
	}},
	{name: "verify", rare: "digest", do: func(t *testing.T, c *ftpclient.Client, dir string) error {
		_, err := c.Put(testContext(t), dir+"/part", bytes.NewReader(noise(4000)), ftpclient.Verify())
		if err != nil {
			return err
		}
		return holds(testContext(t), c, dir+"/part", noise(4000), ftpclient.Verify())
	}},
	{name: "cancelled download", do: func(t *testing.T, c *ftpclient.Client, dir string) error {
		ctx, cancel := context.WithCancel(testContext(t))
		defer cancel()
		n, err := c.Get(ctx, dir+"/a b/big file", writerFunc(func(b []byte) (int, error) { cancel(); return len(b), nil }))
		if !errors.Is(err, context.Canceled) && (err != nil || n != 5<<20) { // all may have arrived before anybody looked
			return errors.Join(err, fmt.Errorf("%d bytes; want Canceled", n))
		}
		return usable(t, c, dir)
	}},
	{name: "cancelled upload", do: func(t *testing.T, c *ftpclient.Client, dir string) error {
		ctx, cancel := context.WithCancel(testContext(t))
		defer cancel()
		data := bytes.NewReader(noise(8 << 20))
		_, err := c.Put(ctx, dir+"/cut", readerFunc(func(b []byte) (int, error) {
			if data.Len() < 4<<20 {
				cancel()
			}
			return data.Read(b)
		}))
		if !errors.Is(err, context.Canceled) {
			return errors.Join(err, errors.New("want Canceled"))
		}
		return usable(t, c, dir)
	}},
	{name: "aborted upload", do: func(t *testing.T, c *ftpclient.Client, dir string) error {
		w, err := c.Create(testContext(t), dir+"/aborted")
		if err != nil {
			return err
		}
		_, err = w.Write(noise(1 << 20))
		w.Abort()
		return errors.Join(err, usable(t, c, dir))
	}},
	{name: "rename and remove", do: func(t *testing.T, c *ftpclient.Client, dir string) error {
		ctx := testContext(t)
		err := errors.Join(c.Rename(ctx, dir+"/part", dir+"/a b/part"), holds(ctx, c, dir+"/a b/part", noise(4000)),
			c.Remove(ctx, dir+"/made"), c.RemoveAll(ctx, dir))
		if _, gone := c.Stat(ctx, dir); !errors.Is(gone, fs.ErrNotExist) {
			return errors.Join(err, gone, errors.New("what was removed is still there"))
		}
		return err
	}},
}

// usable tells whether the session is in step, begun anew if it is plainly over.
func usable(t *testing.T, c *ftpclient.Client, dir string) error {
	t.Helper()
	ctx := testContext(t)
	if err := c.Err(); err != nil {
		t.Logf("the session was given up: %v", err)
		if err := c.Reconnect(ctx); err != nil {
			return err
		}
	}
	if n, err := c.Size(ctx, dir+"/part"); n != 4000 || err != nil {
		return errors.Join(err, fmt.Errorf("then a file of 4000 bytes has %d", n))
	}
	return holds(ctx, c, dir+"/part", noise(4000))
}

type writerFunc func(b []byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }

type readerFunc func(b []byte) (int, error)

func (f readerFunc) Read(b []byte) (int, error) { return f(b) }
