package mirror_test

import (
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"towpath/ftp"
	"towpath/ftpclient"
	"towpath/ftpclient/mirror"
	"towpath/ftptest"
	"towpath/storage/disk"
)

// villain is a server that shows what it likes.
type villain struct {
	// list writes the listing of a directory, in MLSx lines or as ls -l.
	// A reply that it returns is sent in place of 226.
	list func(dir string, w io.Writer) string
	// content is in each file.
	content string
	// noMLSD makes it one that has only LIST.
	noMLSD bool

	addr string
	mu   sync.Mutex
	got  []string // commands that change something, and RETR
}

func play(t *testing.T, v *villain) *villain {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	v.addr = l.Addr().String()
	var sessions sync.WaitGroup
	t.Cleanup(func() { _ = l.Close(); sessions.Wait() })
	sessions.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_ = c.SetDeadline(time.Now().Add(patience))
			sessions.Go(func() { v.serve(c) })
		}
	})
	return v
}

func (v *villain) serve(c net.Conn) {
	defer c.Close()
	say := func(text string) { _, _ = io.WriteString(c, text+"\r\n") } // the client may be gone
	var data net.Listener
	transfer := func(move func(net.Conn) string) {
		say("150 Now.")
		d, err := data.Accept()
		_ = data.Close()
		if err != nil {
			return
		}
		_ = d.SetDeadline(time.Now().Add(patience))
		end := move(d)
		_ = d.Close()
		if end == "" {
			end = "226 Done."
		}
		say(end)
	}
	say("220 Welcome.")
	for in := ftp.NewReader(c); ; {
		cmd, err := in.ReadCommand()
		if err != nil {
			return
		}
		switch cmd.Verb {
		case "RETR", "STOR", "DELE", "RMD", "MKD":
			v.mu.Lock()
			v.got = append(v.got, cmd.Verb+" "+cmd.Arg)
			v.mu.Unlock()
		}
		switch cmd.Verb {
		case "USER":
			say("331 Password?")
		case "PASS":
			say("230 In.")
		case "FEAT":
			if v.noMLSD {
				say("211-Features:\r\n MFMT\r\n211 End")
			} else {
				say("211-Features:\r\n MLST type*;size*;modify*;\r\n MFMT\r\n211 End")
			}
		case "EPSV":
			if data, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
				return
			}
			_, port, _ := net.SplitHostPort(data.Addr().String())
			say("229 Here (|||" + port + "|)")
		case "MLSD", "LIST":
			transfer(func(d net.Conn) string { return v.list(cmd.Arg, d) })
		case "RETR":
			transfer(func(d net.Conn) string { _, _ = io.WriteString(d, v.content); return "" })
		case "STOR":
			transfer(func(d net.Conn) string { _, _ = io.Copy(io.Discard, d); return "" })
		case "PWD":
			say(`257 "/"`)
		case "TYPE", "NOOP", "OPTS", "MKD", "DELE", "RMD", "MFMT", "CWD":
			say("250 Fine.")
		case "QUIT":
			say("221 Bye.")
			return
		default:
			say("502 What?")
		}
	}
}

func (v *villain) commands() []string {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.got
}

// files are lines of a listing with one file for each name.
func files(names ...string) func(string, io.Writer) string {
	return func(_ string, w io.Writer) string {
		for _, n := range names {
			fmt.Fprintf(w, "type=file;size=3;modify=20250304120000; %s\r\n", n)
		}
		return ""
	}
}

// TestHostileNames: no name leads out of the target, and each that is refused is
// told.
func TestHostileNames(t *testing.T) {
	t.Parallel()
	bad := []string{"../up", "/etc/passwd", "a/b", "..", "x\x00y", "\x1b[31mred", "bell\a", "CON", "nul.txt", "com1", "Aux .c", "LPT¹", "twice"}
	v := play(t, &villain{content: "bad", list: files(append(bad, "twice", "good", "..data", "-rf")...)})
	outer := t.TempDir()
	here := filepath.Join(outer, "here")
	var l told
	got, err := mirror.Down(testContext(t), poolOf(t, v.addr, 2), ".", here, l.listen(mirror.Options{Parallel: 2}))
	if err == nil {
		t.Error("no failure was told")
	}
	want := map[string]string{"here/": "", "here/good": "bad", "here/..data": "bad", "here/-rf": "bad", "here/twice": "bad"}
	if diff := cmp.Diff(want, harvest(t, outer)); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	for _, name := range bad {
		// List drops "." and ".." itself, and control bytes make a line one
		// that cannot be read.
		if name == ".." || strings.ContainsAny(name, "\x00") {
			continue
		}
		if l.failed[name] == "" {
			t.Errorf("%q: nothing was told", name)
		}
		if strings.ContainsAny(l.failed[name], "\x1b\a") {
			t.Errorf("%q: told with control characters", name)
		}
	}
	if got.Moved != 4 {
		t.Errorf("%+v", got)
	}
	if runtime.GOOS == "windows" {
		return
	}
	l = told{}
	if _, err := mirror.Down(testContext(t), poolOf(t, v.addr, 2), ".", here, l.listen(mirror.Options{AllowDeviceNames: true})); err == nil {
		t.Error("no failure was told")
	}
	if l.failed["CON"] != "" || harvest(t, here)["CON"] != "bad" {
		t.Errorf("CON was not taken: %v", l.failed)
	}
}

// TestLinkMadeInTheSameRun: a link to elsewhere, and then a directory of its
// name with a file in it.
func TestLinkMadeInTheSameRun(t *testing.T) {
	t.Parallel()
	outer := t.TempDir()
	for _, target := range []string{outer, "..", "in/../../out", "sub"} {
		v := play(t, &villain{noMLSD: true, content: "bad", list: func(dir string, w io.Writer) string {
			if strings.Contains(dir, "x") {
				fmt.Fprintf(w, "-rw-r--r-- 1 o g 3 Jan  2  2025 evil\r\n")
				return ""
			}
			fmt.Fprintf(w, "lrwxrwxrwx 1 o g %d Jan  2  2025 x -> %s\r\n", len(target), target)
			fmt.Fprintf(w, "drwxr-xr-x 1 o g 0 Jan  2  2025 x\r\n")
			return ""
		}})
		for _, links := range []mirror.Links{mirror.SkipLinks, mirror.KeepLinks, mirror.FollowLinks} {
			here := filepath.Join(outer, "here")
			for range 2 { // the second run finds what the first has made
				_, _ = mirror.Down(testContext(t), poolOf(t, v.addr, 1), ".", here, mirror.Options{Links: links, Delete: true})
			}
			for name, content := range harvest(t, outer) {
				if !strings.HasPrefix(name, "here/") || strings.HasPrefix(content, "-> ") && target != "sub" {
					t.Errorf("%v %s: made %s %q", links, target, name, content)
				}
			}
			if err := os.RemoveAll(here); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// TestLinksInTheWay: links that are in the target already are not followed.
func TestLinksInTheWay(t *testing.T) {
	t.Parallel()
	dir, s := served(t)
	plant(t, dir, map[string]string{"sub/evil": "bad", "file": "bad", "f2": "bad"})
	outer := t.TempDir()
	plant(t, outer, map[string]string{"victim": "precious", "here/": ""})
	here := filepath.Join(outer, "here")
	for name, to := range map[string]string{"sub": "..", "file": "../victim", "f2.part": "../victim"} {
		if err := os.Symlink(to, filepath.Join(here, name)); err != nil {
			t.Skip(err) // Windows, without the right
		}
	}
	got, err := mirror.Down(testContext(t), poolOf(t, s.Addr, 1), ".", here, mirror.Options{Continue: true})
	if err == nil || got.Failed != 1 || !strings.Contains(err.Error(), "a link is in its place") {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err = mirror.Down(testContext(t), poolOf(t, s.Addr, 1), ".", here, mirror.Options{Delete: true}); err != nil {
		t.Error(err)
	}
	want := map[string]string{"victim": "precious", "here/": "", "here/sub/": "", "here/sub/evil": "bad", "here/file": "bad", "here/f2": "bad"}
	if diff := cmp.Diff(want, harvest(t, outer)); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

// TestHostileTarget: names that a server lists are not deleted elsewhere.
func TestHostileTarget(t *testing.T) {
	t.Parallel()
	v := play(t, &villain{list: files("../precious", "/etc/passwd", "old")})
	var l told
	got, err := mirror.Up(testContext(t), poolOf(t, v.addr, 1), t.TempDir(), "dir", l.listen(mirror.Options{Delete: true}))
	if err == nil || got.Deleted != 1 || len(l.failed) != 2 {
		t.Errorf("%+v, %v", got, err)
	}
	if diff := cmp.Diff([]string{"DELE dir/old"}, v.commands()); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

// TestListingFails: whatever goes wrong with a listing, nothing is deleted for
// it.
func TestListingFails(t *testing.T) {
	t.Parallel()
	line := "type=file;size=3;modify=20250304120000; new\r\n"
	for name, list := range map[string]func(w io.Writer) string{
		"refused at the end": func(w io.Writer) string { _, _ = io.WriteString(w, line); return "451 Broken." },
		"empty and refused":  func(io.Writer) string { return "550 No." },
		"cut":                func(w io.Writer) string { _, _ = io.WriteString(w, line); return "426 Cut." },
		"a line unread":      func(w io.Writer) string { _, _ = io.WriteString(w, line+"what is this?\r\n"); return "" },
		"without an end": func(w io.Writer) string {
			for i := 0; ; i++ {
				if _, err := fmt.Fprintf(w, "type=file;size=3;modify=20250304120000; %d\r\n", i); err != nil {
					return "426 Cut."
				}
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := play(t, &villain{content: "bad", list: func(dir string, w io.Writer) string {
				if strings.HasSuffix(dir, "sub") {
					return list(w)
				}
				_, _ = io.WriteString(w, "type=dir; sub\r\n"+line)
				return ""
			}})
			here := t.TempDir()
			plant(t, here, map[string]string{"old": "", "sub/old": "", "sub/older/x": ""})
			got, err := mirror.Down(testContext(t), poolOf(t, v.addr, 1), ".", here, mirror.Options{Delete: true, MaxEntries: 1000})
			if err == nil || got.Failed != 1 || got.Deleted != 1 {
				t.Errorf("%+v, %v", got, err)
			}
			left := harvest(t, here)
			if _, there := left["old"]; there {
				t.Error("old is there still")
			}
			for _, name := range []string{"sub/old", "sub/older/x"} {
				if _, there := left[name]; !there {
					t.Errorf("%s is gone", name)
				}
			}
		})
	}
}

// TestDirectoryInItself ends.
func TestDirectoryInItself(t *testing.T) {
	t.Parallel()
	v := play(t, &villain{list: func(_ string, w io.Writer) string {
		_, _ = io.WriteString(w, "type=dir;modify=20250304120000; again\r\n")
		return ""
	}})
	got, err := mirror.Down(testContext(t), poolOf(t, v.addr, 1), ".", t.TempDir(), mirror.Options{MaxDepth: 20})
	if err == nil || got.Made != 20 || !strings.Contains(err.Error(), "more than 20 directories deep") {
		t.Errorf("%+v, %v", got, err)
	}
	v = play(t, &villain{list: func(_ string, w io.Writer) string {
		_, _ = io.WriteString(w, "type=dir;unique=1U2;modify=20250304120000; a\r\ntype=dir;unique=1U2;modify=20250304120000; b\r\n")
		return ""
	}})
	got, err = mirror.Down(testContext(t), poolOf(t, v.addr, 1), ".", t.TempDir(), mirror.Options{})
	if err != nil || got.Made != 2 || got.Skipped != 4 {
		t.Errorf("unique: %+v, %v", got, err)
	}
}

// TestChangedMeanwhile: a file that is not what was listed comes, and is told.
func TestChangedMeanwhile(t *testing.T) {
	t.Parallel()
	v := play(t, &villain{content: "longer than listed", list: files("log")})
	here := t.TempDir()
	var l told
	got, err := mirror.Down(testContext(t), poolOf(t, v.addr, 1), ".", here, l.listen(mirror.Options{}))
	if err != nil || got.Moved != 1 || !strings.Contains(l.skipped["log"], "has 18 bytes and was listed with 3") {
		t.Errorf("%+v, %v, %v", got, err, l.skipped)
	}
	if got, err = mirror.Down(testContext(t), poolOf(t, v.addr, 1), ".", here, mirror.Options{}); err != nil || got.Moved != 1 {
		t.Errorf("again: %+v, %v", got, err)
	}
}

// TestServerGone: the run stops, tells so, and another one completes it.
func TestServerGone(t *testing.T) {
	t.Parallel()
	dir, s := served(t)
	all := map[string]string{}
	for i := range 100 {
		all[fmt.Sprintf("d%d/f%d", i%7, i)] = strings.Repeat("x", i)
	}
	plant(t, dir, all)
	here := t.TempDir()
	var once sync.Once
	o := mirror.Options{Parallel: 3, Begin: func(step mirror.Step) mirror.Watcher {
		if strings.HasSuffix(step.Path, "f50") {
			return watch{moved: func(int64) { once.Do(func() { _ = s.Close() }) }}
		}
		return nil
	}}
	got, err := mirror.Down(testContext(t), poolOf(t, s.Addr, 3), ".", here, o)
	if e, ok := err.(*mirror.Error); !ok || e.Stopped == nil || got.Moved >= 100 {
		t.Fatalf("%+v, %v", got, err)
	}
	root, err := disk.Open(dir, disk.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	again := ftptest.Serve(t, nil, ftptest.Root(root))
	if _, err := mirror.Down(testContext(t), poolOf(t, again.Addr, 3), ".", here, mirror.Options{Parallel: 3, Delete: true, Continue: true}); err != nil {
		t.Fatal(err)
	}
	sameTree(t, here, dir)
}

// TestLoginRefused stops at once.
func TestLoginRefused(t *testing.T) {
	t.Parallel()
	_, s := served(t)
	pool := poolOf(t, s.Addr, 2, func(o *ftpclient.Options) { o.Password = "wrong" })
	got, err := mirror.Down(testContext(t), pool, ".", filepath.Join(t.TempDir(), "x"), mirror.Options{Parallel: 2, Delete: true})
	if e, ok := err.(*mirror.Error); !ok || e.Stopped == nil || got != (mirror.Result{}) {
		t.Errorf("%+v, %v", got, err)
	}
}
