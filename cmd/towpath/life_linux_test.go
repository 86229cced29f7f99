package main

import (
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"towpath/internal/sandbox"
)

// A server that was started as root becomes somebody else when its ports are
// bound: files are his, logs can be opened again, port 20 still works.
func TestBecomeUser(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("only root may become another user")
	}
	nobody, err := sandbox.Lookup("nobody", "")
	if err != nil {
		t.Skipf("this host has no user nobody: %v", err)
	}
	dir, logs := t.TempDir(), t.TempDir()
	for _, d := range []string{dir, logs} {
		if err := os.Chmod(filepath.Dir(d), 0o755); err != nil { // the way to it
			t.Fatal(err)
		}
		if err := os.Chown(d, nobody.UID, nobody.GID); err != nil {
			t.Fatal(err)
		}
	}
	log := filepath.Join(logs, "log")
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the server's log:\n%s", read(t, log))
		}
	})
	from := lowPort(t)
	s := serveDir(t, dir, "--user-id", "nobody", "--active-port", strconv.Itoa(from), "--log-file", log, "--transcripts", filepath.Join(logs, "transcripts"))
	c := s.login()
	c.Put("STOR a", "his")
	fi, err := os.Stat(filepath.Join(dir, "a"))
	if err != nil {
		t.Fatal(err)
	}
	if st := fi.Sys().(*syscall.Stat_t); int(st.Uid) != nobody.UID || int(st.Gid) != nobody.GID {
		t.Errorf("the file belongs to %d:%d, want %v", st.Uid, st.Gid, nobody)
	}
	status := read(t, "/proc/"+strconv.Itoa(s.Process.Pid)+"/status")
	for _, want := range []string{"\nUid:\t" + strings.Repeat(strconv.Itoa(nobody.UID)+"\t", 3), "\nCapEff:\t0000000000000400\n", "\nNoNewPrivs:\t1\n"} {
		if !strings.Contains(status, want) {
			t.Errorf("the process lacks %q:\n%s", want, status)
		}
	}

	c.Active()
	c.Do("RETR a", 150)
	d := c.Data()
	if port := d.RemoteAddr().(*net.TCPAddr).Port; port != from {
		t.Errorf("data comes from port %d, want %d", port, from)
	}
	c.Expect(226)

	if err := os.Rename(log, log+".1"); err != nil {
		t.Fatal(err)
	}
	s.signal(syscall.SIGHUP)
	holds(t, log, "configuration read again")
	transcripts, err := os.ReadDir(filepath.Join(logs, "transcripts"))
	if err != nil || len(transcripts) == 0 {
		t.Errorf("transcripts: %v, %v", transcripts, err)
	}
}

// A directory that the new user may not enter is an error at the start, not at
// the first login.
// lowPort finds a port that only root may have. It is not 20: servers of others,
// in tests at the same time, keep that for themselves for a minute each time that
// they open a connection from it (Pure-FTPd sets no SO_REUSEADDR).
func lowPort(t *testing.T) int {
	t.Helper()
	for port := 1023; port > 600; port-- {
		if l, err := net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(port)); err == nil {
			_ = l.Close() // nobody has come
			return port
		}
	}
	t.Fatal("no low port is free")
	return 0
}

func TestBecomeUserWhoMayNot(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("only root may become another user")
	}
	dir := t.TempDir()
	for d, mode := range map[string]os.FileMode{filepath.Dir(dir): 0o755, dir: 0o700} {
		if err := os.Chmod(d, mode); err != nil {
			t.Fatal(err)
		}
	}
	p := start(t, command(t, "towpath", serveArgs(dir, "--user-id", "nobody")...))
	if code := p.wait(); code != exitUnavailable {
		t.Errorf("exit code %d", code)
	}
	p.log.await(t, "the directory to serve, as the user that the process has become: .*permission denied")
}

// What the server was not started for is out of its reach, for root too: the
// home of an account that comes later is not served from elsewhere.
func TestConfined(t *testing.T) {
	t.Parallel()
	elsewhere := t.TempDir()
	write(t, filepath.Join(elsewhere, "secret.txt"), "not for you")
	soon := filepath.Join(t.TempDir(), "soon")
	s, file := withAccounts(t, map[string]string{"old": "home = \"" + soon + "\""})
	if m := s.log.await(t, `"confined":(true|false),"confinement":"([^"]*)`); m[1] != "true" {
		t.Skipf("files are not confined here: %s", m[2])
	}
	s.loginAs("old", "secret").Put("STOR a", "in a home that was still to be made")
	write(t, file, accountsText(t, s.dir, map[string]string{"new": "", "far": "home = \"" + elsewhere + "\""}))
	s.signal(syscall.SIGHUP)
	s.log.await(t, "configuration read again")
	s.loginAs("new", "secret").Put("STOR a", "below the home of all")
	c := s.loginAs("far", "secret")
	s.log.await(t, "home cannot be read.*the process reaches only what it served when it started: restart it")
	for _, command := range []string{"RETR secret.txt", "STOR new.txt", "APPE secret.txt"} {
		c.Passive()
		c.Do(command, 550)
	}
	c.Do("DELE secret.txt", 550)
	if got := read(t, filepath.Join(elsewhere, "secret.txt")); got != "not for you" {
		t.Errorf("%q", got)
	}

	// A reload that would serve it is refused as a whole.
	config := filepath.Join(t.TempDir(), "towpath.toml")
	write(t, config, "listen = [\"127.0.0.1:0\"]\nuser = [\""+user+"\"]\nroot = \""+s.dir+"\"\n")
	s = launch(t, s.dir, command(t, "towpath", "serve", "--config", config))
	write(t, config, "listen = [\"127.0.0.1:0\"]\nuser = [\""+user+"\"]\nroot = \""+elsewhere+"\"\n")
	s.signal(syscall.SIGHUP)
	s.log.await(t, "the old one stays.*permission denied.*restart it")
	s.login().Put("STOR b", "where it was")
	if got := s.file("b"); got != "where it was" {
		t.Errorf("%q", got)
	}
}
