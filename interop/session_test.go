package interop

import (
	"bytes"
	"context"
	"crypto/tls"
	"html"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"towpath/ftptest"
)

// client is a program that others have written, and how it is told to do what
// the session asks. What it cannot do is nil.
//
// The file NAME on the server is v.local(NAME) on this side.
type client struct {
	name     string
	programs []string // must be in PATH
	probe    []string // must run, nil: the programs are enough
	pkg      string   // the Debian package
	ways     []way
	// binds are the versions of TLS under which its data connections resume
	// the session of the control connection.
	binds []string
	// fault says why a step of the session cannot work with this release of
	// the client, whatever the server does; "" if it can. Nil: all can.
	fault func(t *testing.T, w way, step string) string

	list            func(v *visit, dir string) call
	send, fetch     func(v *visit, names ...string) []call
	resend, refetch func(v *visit, name string) call // go on after the first half
	remove, mkdir   func(v *visit, name string) call
	rename          func(v *visit, from, to string) call
	// mirrorUp and mirrorDown copy a directory with all that is below it.
	mirrorUp, mirrorDown func(v *visit, dir string) []call
}

// way is how a session goes.
type way struct {
	mode string // "passive" or "active"
	tls  string // "clear", "tls12" or "tls13"
	host string // a loopback address
}

func (w way) String() string {
	s := w.mode + "/" + w.tls
	if w.host == v6 {
		s += "/ipv6"
	}
	return s
}

const v4, v6 = "127.0.0.1", "::1"

// ways are all combinations, over IPv4.
func ways(modes, tls string) []way {
	var all []way
	for m := range strings.FieldsSeq(modes) {
		for s := range strings.FieldsSeq(tls) {
			all = append(all, way{m, s, v4})
		}
	}
	return all
}

// also6 adds the modes over IPv6, in clear text.
func also6(modes string, all []way) []way {
	for m := range strings.FieldsSeq(modes) {
		all = append(all, way{m, "clear", v6})
	}
	return all
}

// call is a run of a program.
type call struct {
	args  []string
	stdin string
}

// run is a call without input.
func run(args ...string) call { return call{args: args} }

// visit is one client on one server.
type visit struct {
	*server
	way
	dir string // where the client works
}

// local is the path of a file on the client's side.
func (v *visit) local(name string) string { return filepath.Join(v.dir, name) }

// do runs the calls one after the other, and returns what the last one
// printed. Each must exit with 0.
func (v *visit) do(t *testing.T, calls ...call) string {
	t.Helper()
	var out string
	for _, c := range calls {
		stdout, all, err := v.try(t, c)
		if err != nil {
			t.Fatalf("%q: %v\n%s%s", c.args, err, c.stdin, all)
		}
		out = stdout
	}
	return out
}

// try runs a call.
func (v *visit) try(t *testing.T, c call) (stdout, all string, err error) {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, c.args[0], c.args[1:]...)
	cmd.Dir = v.dir
	// No settings of whoever runs the tests, and names in UTF-8.
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + v.dir, "LC_ALL=C.UTF-8", "TERM=dumb", "SSL_CERT_FILE=" + certFile}
	cmd.Stdin = strings.NewReader(c.stdin)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	cmd.WaitDelay = time.Second
	err = cmd.Run()
	return out.String(), out.String() + errs.String(), err
}

// sea has every byte value, every pair that means something on some
// connection of FTP (line ends, Telnet and record marks), and more than 1 MiB.
var sea = func() string {
	var b bytes.Buffer
	for i := 0; b.Len() <= 1<<20; i++ {
		for n := range 256 {
			b.WriteByte(byte(n + i))
		}
		b.WriteString("\r\n\n\r\xff\xf4\xff\x02\x1a\x00")
	}
	return b.String()
}()

// cargo are the files that go both ways.
var cargo = map[string]string{
	"sea.bin":         sea,
	"nothing":         "",
	"two words.bin":   "\x00one\r\ntwo\nthree\r",
	"Grüße, мир.bin":  "\xff\xfe\nno text\r\n",
	"50% #1 [a]+b.$x": "a name that means something to somebody\n",
}

var cargoNames = []string{"sea.bin", "nothing", "two words.bin", "Grüße, мир.bin", "50% #1 [a]+b.$x"}

// tree are the files of a directory to be mirrored.
var tree = map[string]string{
	"lock.txt":           "closed\n",
	"upper/reach.bin":    sea[:70000],
	"upper/far/Müll.bin": "\r\n\x00",
	"lower/a b c.txt":    "",
}

// TestClients takes each client through the session in all its ways.
func TestClients(t *testing.T) {
	t.Parallel()
	for _, c := range clients {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			need(t, c)
			for _, w := range c.ways {
				t.Run(w.String(), func(t *testing.T) {
					t.Parallel()
					session(t, c, w)
				})
			}
		})
	}
}

// visitors starts a server for sessions of this kind.
func visitors(t *testing.T, w way, binding string) *visit {
	t.Helper()
	accounts := filepath.Join(t.TempDir(), "accounts.toml")
	write(t, accounts, "[user."+user+"]\npassword = '"+hash+"'\nrights = \"all\"\n")
	// Sessions in clear text are offered TLS as well.
	flags := []string{"--accounts", accounts, "--tls-cert", certFile, "--tls-key", keyFile, "--tls-binding", binding}
	var env []string
	if w.tls != "clear" {
		flags = append(flags, "--require-tls")
	}
	if w.tls == "tls13" {
		env = append(env, "TOWPATH_TLS__MIN_VERSION=1.3")
	}
	return &visit{server: serve(t, w.host, env, flags...), way: w, dir: t.TempDir()}
}

// session is what every client must get through. Its steps do not depend on
// each other.
func session(t *testing.T, c client, w way) {
	binding := "prefer"
	if slices.Contains(c.binds, w.tls) {
		binding = "require" // so that what does not resume its session fails
	}
	v := visitors(t, w, binding)
	step := func(name string, run func(t *testing.T)) {
		t.Run(name, func(t *testing.T) {
			if c.fault != nil {
				if why := c.fault(t, w, name); why != "" {
					t.Skip(why)
				}
			}
			run(t)
		})
	}

	if c.list != nil {
		step("list", func(t *testing.T) { listing(t, c, v) })
	}
	if c.send != nil {
		step("send", func(t *testing.T) {
			for name, content := range cargo {
				write(t, v.local(name), content)
			}
			v.do(t, c.send(v, cargoNames...)...)
			for name, content := range cargo {
				hold(t, filepath.Join(v.root, name), content)
			}
		})
	}
	if c.fetch != nil {
		step("fetch", func(t *testing.T) {
			for name, content := range cargo {
				write(t, filepath.Join(v.root, name), content)
				if err := os.Remove(v.local(name)); err != nil && !os.IsNotExist(err) {
					t.Fatal(err)
				}
			}
			v.do(t, c.fetch(v, cargoNames...)...)
			for name, content := range cargo {
				hold(t, v.local(name), content)
			}
		})
	}
	if c.resend != nil {
		step("resend", func(t *testing.T) {
			cut(t, v, "half-up.bin", sea[:len(sea)/2])
			write(t, v.local("half-up.bin"), sea)
			v.do(t, c.resend(v, "half-up.bin"))
			hold(t, filepath.Join(v.root, "half-up.bin"), sea)
			if !said(v.commands(), "APPE", "REST") {
				t.Error("nothing was resumed: neither APPE nor REST was sent")
			}
		})
	}
	if c.refetch != nil {
		step("refetch", func(t *testing.T) {
			write(t, filepath.Join(v.root, "half-down.bin"), sea)
			write(t, v.local("half-down.bin"), sea[:len(sea)/2])
			v.do(t, c.refetch(v, "half-down.bin"))
			hold(t, v.local("half-down.bin"), sea)
			if !said(v.commands(), "REST") {
				t.Error("nothing was resumed: REST was not sent")
			}
		})
	}
	changes(c, v, step)
	if c.mirrorUp != nil {
		step("mirror-up", func(t *testing.T) {
			lay(t, v.local("tree-up"))
			v.do(t, c.mirrorUp(v, "tree-up")...)
			stands(t, filepath.Join(v.root, "tree-up"))
		})
	}
	if c.mirrorDown != nil {
		step("mirror-down", func(t *testing.T) {
			lay(t, filepath.Join(v.root, "tree-down"))
			v.do(t, c.mirrorDown(v, "tree-down")...)
			stands(t, v.local("tree-down"))
		})
	}

	v.stop()
	used := v.commands()
	passive, active := said(used, "PASV", "EPSV"), said(used, "PORT", "EPRT")
	if !passive && !active {
		return // every step was skipped, or is not asked for by -run
	}
	if w.mode == "passive" && (active || !passive) || w.mode == "active" && (passive || !active) {
		t.Errorf("the mode was not %s: %q", w.mode, used)
	}
	if strings.Contains(v.log.String(), "level=ERROR") {
		t.Error("the server logged an error")
	}
}

// listing lists a directory with files, and an empty one.
func listing(t *testing.T, c client, v *visit) {
	names := []string{"sea.bin", "two words.bin", "Müll.bin", "lock"}
	for _, name := range names[:3] {
		v.put(filepath.Join("reach", name), "0123456789")
	}
	for _, dir := range []string{"reach/lock", "empty"} {
		if err := os.MkdirAll(filepath.Join(v.root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	out := html.UnescapeString(v.do(t, c.list(v, "reach"))) // wget makes a page of it
	for _, name := range names {
		if !strings.Contains(out, name) {
			t.Errorf("no %q in the listing:\n%s", name, out)
		}
	}
	if out := v.do(t, c.list(v, "empty")); strings.Contains(out, ".bin") {
		t.Errorf("the listing of an empty directory:\n%s", out)
	}
}

// changes removes, makes and renames.
func changes(c client, v *visit, step func(string, func(*testing.T))) {
	if c.remove != nil {
		step("remove", func(t *testing.T) {
			v.put("to be removed", "x")
			v.do(t, c.remove(v, "to be removed"))
			if _, err := os.Stat(filepath.Join(v.root, "to be removed")); !os.IsNotExist(err) {
				t.Errorf("it is still there: %v", err)
			}
		})
	}
	if c.mkdir != nil {
		step("mkdir", func(t *testing.T) {
			v.do(t, c.mkdir(v, "new basin"))
			if fi, err := os.Stat(filepath.Join(v.root, "new basin")); err != nil || !fi.IsDir() {
				t.Errorf("no directory was made: %v", err)
			}
		})
	}
	if c.rename != nil {
		step("rename", func(t *testing.T) {
			v.put("old name", "the same")
			v.do(t, c.rename(v, "old name", "new name"))
			v.hold("new name", "the same")
			if _, err := os.Stat(filepath.Join(v.root, "old name")); !os.IsNotExist(err) {
				t.Errorf("the old name is still there: %v", err)
			}
		})
	}
}

// cut leaves an upload cut: TLS ends without a close_notify after content, so
// that all of content has come and the file is known not to be whole.
func cut(t *testing.T, v *visit, name, content string) {
	t.Helper()
	c := ftptest.Dial(t, v.addr)
	c.Expect(220)
	c.StartTLS(ftptest.ClientTLS())
	c.Do("USER "+user, 331)
	c.Do("PASS "+password, 230)
	c.Do("TYPE I", 200)
	if v.mode == "active" {
		c.Active()
	} else {
		c.Passive()
	}
	c.Do("STOR "+name, 150)
	d := c.Data()
	if _, err := io.WriteString(d, content); err != nil {
		t.Fatal(err)
	}
	if err := d.(*tls.Conn).NetConn().Close(); err != nil {
		t.Fatal(err)
	}
	c.Expect(426)
	c.Do("QUIT", 221)
}

// lay makes the tree below dir.
func lay(t *testing.T, dir string) {
	t.Helper()
	for name, content := range tree {
		write(t, filepath.Join(dir, name), content)
	}
}

// stands fails the test unless dir holds the tree and nothing else.
func stands(t *testing.T, dir string) {
	t.Helper()
	got := make(map[string]string)
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		below, err := filepath.Rel(dir, name)
		got[filepath.ToSlash(below)] = string(b)
		return err
	})
	if err != nil {
		t.Error(err)
	}
	if d := cmp.Diff(tree, got); d != "" {
		t.Errorf("tree (-want +got):\n%s", d)
	}
}
