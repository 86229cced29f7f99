//go:build unix

package main

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"towpath/accounts"
)

// withAccounts serves homes in a new directory by an accounts file, in which
// each section is an account with the password "secret".
func withAccounts(t *testing.T, sections map[string]string, args ...string) (s *server, file string) {
	t.Helper()
	dir := t.TempDir()
	file = filepath.Join(t.TempDir(), "accounts.toml")
	write(t, file, accountsText(t, dir, sections))
	c := command(t, "towpath", append([]string{"serve", dir, "--listen", "127.0.0.1:0", "--accounts", file, "--log-format", "json"}, args...)...)
	return launch(t, dir, c), file
}

func accountsText(t *testing.T, dir string, sections map[string]string) string {
	t.Helper()
	hash, err := accounts.Hash("secret")
	if err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprintf("[defaults]\nhome = %q\nrights = \"all\"\n", dir+"/{user}")
	for name, more := range sections {
		text += fmt.Sprintf("[user.%s]\npassword = %q\n%s\n", name, hash, more)
	}
	return text
}

// What an account says about limits holds for its sessions.
func TestAccountLimits(t *testing.T) {
	t.Parallel()
	s, file := withAccounts(t, map[string]string{
		"one":   "access_limit = 1",
		"idle":  "idle_timeout = \"1s\"",
		"quota": "quota_bytes = \"1000B\"\nquota_files = 2",
	})

	first := s.loginAs("one", "secret")
	second := s.dial()
	second.Do("USER one", 331)
	second.Do("PASS secret", 421)
	second.ExpectEOF()
	s.signal(syscall.SIGHUP)
	s.log.await(t, "configuration read again")
	third := s.dial() // the first has not been forgotten
	third.Do("USER one", 331)
	third.Do("PASS secret", 421)
	first.Do("QUIT", 221)
	s.log.await(t, "session ended.*QUIT")
	s.loginAs("one", "secret")

	idle := s.loginAs("idle", "secret")
	idle.Expect(421)
	idle.ExpectEOF()

	// A change of the file counts without a restart, once it is noticed.
	text := accountsText(t, s.dir, map[string]string{"late": ""})
	write(t, file, text)
	c := s.dial()
	c.Do("USER one", 331)
	c.Send("PASS secret")
	c.Reply() // whichever: the file is looked at once in a while
	s.signal(syscall.SIGHUP)
	s.log.await(t, "configuration read again")
	s.loginAs("late", "secret").Put("STOR a", "from the new one")
	if got := s.file("late/a"); got != "from the new one" {
		t.Errorf("%q", got)
	}
}

// The quota is kept over restarts, by what lies there.
func TestQuota(t *testing.T) {
	t.Parallel()
	s, file := withAccounts(t, map[string]string{"quota": "quota_bytes = \"1000B\"\nquota_files = 2"})
	c := s.loginAs("quota", "secret")
	c.Put("STOR a", content(600))
	d := begin(c, "STOR b")
	_, _ = d.Write([]byte(content(500))) // may be cut off
	_ = d.Close()
	c.Expect(552)
	c.Do("SIZE b", 550)
	c.Put("STOR b", content(300))
	c.Passive()
	c.Do("STOR c", 552)
	used := regexp.MustCompile(`bytes: 900 used, 1000.* files: 2 used, 2 `)
	if r := c.Do("SITE QUOTA", 200); !used.MatchString(strings.Join(r.Lines, " ")) {
		t.Errorf("%q", r.Lines)
	}
	s.kill()

	next := launch(t, s.dir, command(t, "towpath", "serve", s.dir, "--listen", "127.0.0.1:0", "--accounts", file))
	c = next.loginAs("quota", "secret")
	if r := c.Do("SITE QUOTA", 200); !used.MatchString(strings.Join(r.Lines, " ")) {
		t.Errorf("after a restart: %q", r.Lines)
	}
	c.Do("DELE b", 250)
	c.Put("STOR c", content(400))
	c.Passive()
	c.Do("STOR d", 552)
}

// changes are commands that no reader may use, and whether they move data.
var changes = map[string]bool{
	"STOR a": true, "STOR new": true, "APPE a": true, "STOU": true,
	"DELE a": false, "MKD new": false, "RMD dir": false, "RMDA dir": false, "RNFR a": false,
	"SITE CHMOD 600 a": false, "SITE UTIME a 20200101000000": false,
	"MFMT 20200101000000 a": false, "SITE CPFR a": false, "COMB new a": false,
}

// Those who may only read can change nothing by any command.
func TestReadOnly(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, user string
		args       []string
	}{
		{"anonymous", "anonymous", []string{"--anonymous"}},
		{"ftp", "ftp", []string{"--anonymous"}},
		{"read-only", "test", []string{"--read-only"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			write(t, filepath.Join(dir, "a"), "what it was")
			if err := os.Mkdir(filepath.Join(dir, "dir"), 0o755); err != nil {
				t.Fatal(err)
			}
			s := serveDir(t, dir, tt.args...)
			c := s.loginAs(tt.user, "secret")
			for line, moves := range changes {
				if moves {
					c.Passive()
				}
				c.Send(line)
				if r := c.Reply(); r.Code/100 != 5 {
					t.Errorf("%s: %v, want a refusal", line, r)
				}
			}
			if got := c.Get("RETR a"); got != "what it was" {
				t.Errorf("%q", got)
			}
			left, err := os.ReadDir(dir)
			if err != nil || len(left) != 2 {
				t.Errorf("%v are there, %v", left, err)
			}
		})
	}
}

// The names of a client that speaks an old charset are UTF-8 on the disk.
func TestCharset(t *testing.T) {
	t.Parallel()
	s, _ := withAccounts(t, map[string]string{"cn": "charset = \"gbk\""})
	c := s.loginAs("cn", "secret")
	const wire = "\xb5\xc6\xcb\xfe" // 灯塔
	c.Put("STOR "+wire, "light")
	if got := s.file("cn/灯塔"); got != "light" {
		t.Errorf("on the disk: %q", got)
	}
	if got := c.Get("RETR " + wire); got != "light" {
		t.Errorf("%q", got)
	}
	if got := c.Get("NLST"); got != wire+"\r\n" {
		t.Errorf("NLST: %q", got)
	}
	const odd = "\xff\xb5" // no text in GBK
	c.Put("STOR "+odd, "odd")
	if got := c.Get("RETR " + odd); got != "odd" {
		t.Errorf("%q", got)
	}
	c.Do("OPTS UTF8 ON", 200)
	if got := c.Get("RETR 灯塔"); got != "light" {
		t.Errorf("by UTF-8: %q", got)
	}
}

// All addresses means those of both families, and a free port is told.
func TestListenEverywhere(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "[::1]:0")
	if err != nil {
		t.Skipf("this host has no IPv6: %v", err)
	}
	_ = l.Close() // it was a question
	dir := t.TempDir()
	s := launch(t, dir, command(t, "towpath", "serve", dir, "--listen", ":0", "--user", user))
	_, port, err := net.SplitHostPort(s.addr)
	if err != nil || port == "0" {
		t.Fatalf("%s, %v", s.addr, err)
	}
	for i, host := range []string{"127.0.0.1", "::1"} {
		s.addr = net.JoinHostPort(host, port)
		c := s.login()
		c.Put(fmt.Sprint("STOR file", i), host)
		c.Active()
		c.Do(fmt.Sprint("RETR file", i), 150)
		if err := c.Data().Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// A port that is taken is named, and so is what could be done.
func TestPortTaken(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	p := start(t, command(t, "towpath", "serve", t.TempDir(), "--listen", l.Addr().String()))
	if code := p.wait(); code != exitUnavailable {
		t.Errorf("exit code %d, want %d", code, exitUnavailable)
	}
	p.log.await(t, regexp.QuoteMeta(l.Addr().String())+`.*in use`)
	if out := p.out.text(); strings.TrimSpace(out) != "" {
		t.Errorf("it greets all the same: %s", out)
	}
}

// 0.0.0.0 is all of IPv4, and nothing of IPv6.
func TestBindFamily(t *testing.T) {
	t.Parallel()
	l, err := bindControl("0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if a := l.Addr().(*net.TCPAddr); a.IP.To4() == nil {
		t.Errorf("listens on %v, want IPv4 alone", a)
	}
}
