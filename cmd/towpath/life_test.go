//go:build unix

package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"towpath/ftptest"
)

// stop ends a server as a service manager does.
func (s *server) stop() {
	s.t.Helper()
	s.signal(syscall.SIGTERM)
	if code := s.wait(); code != 0 {
		s.t.Errorf("exit code %d after SIGTERM", code)
	}
}

// SIGTERM lets a download run to its end and nobody else in; the port is free
// for a successor meanwhile.
func TestDrain(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := serveDir(t, dir)
	big := content(32 << 20)
	write(t, filepath.Join(dir, "big"), big)
	busy, idle := s.login(), s.login()
	busy.Passive()
	busy.Do("RETR big", 150)
	d := busy.Data()
	head := make([]byte, 1000)
	if _, err := io.ReadFull(d, head); err != nil {
		t.Fatal(err)
	}
	s.signal(syscall.SIGTERM)
	idle.Expect(421)
	idle.ExpectEOF()

	next := launch(t, dir, command(t, "towpath", "serve", dir, "--listen", s.addr, "--user", user))
	if next.addr != s.addr {
		t.Errorf("the successor listens on %s, want %s", next.addr, s.addr)
	}
	next.login().Do("NOOP", 200)

	rest, err := io.ReadAll(d)
	if err != nil {
		t.Fatal(err)
	}
	if string(head)+string(rest) != big {
		t.Errorf("the download has %d bytes, want %d", len(head)+len(rest), len(big))
	}
	busy.Expect(226)
	busy.Expect(421)
	busy.ExpectEOF()
	if code := s.wait(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// What is not done within the drain time-out is cut, with a word.
func TestDrainTimeout(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := serveDir(t, dir, "--drain-timeout", "10ms")
	write(t, filepath.Join(dir, "big"), content(32<<20))
	c := s.login()
	c.Passive()
	c.Do("RETR big", 150)
	d := c.Data()
	if _, err := io.ReadFull(d, make([]byte, 1000)); err != nil {
		t.Fatal(err)
	}
	s.signal(syscall.SIGTERM)
	c.Expect(426)
	c.Expect(421)
	c.ExpectEOF()
	if code := s.wait(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	s.log.await(t, `sessions were cut`)
}

// SIGHUP makes a new configuration count for new sessions; a bad one changes
// nothing and is named in the log.
func TestReload(t *testing.T) {
	t.Parallel()
	dir, config := t.TempDir(), filepath.Join(t.TempDir(), "towpath.toml")
	say := func(more string) {
		write(t, config, fmt.Sprintf("listen = [\"127.0.0.1:0\"]\nroot = %q\n%s\n[log]\nformat = \"json\"\n", dir, more))
	}
	say("banner = \"old words\"\nuser = [\"test:secret\"]")
	s := launch(t, dir, command(t, "towpath", "serve", "--config", config))
	before := s.login()

	say("banner = \"new words\"\nuser = [\"ann:other\"]\n[tls]\nself_signed = true\n[limits]\nmax_per_address = 2")
	s.signal(syscall.SIGHUP)
	s.log.await(t, `configuration read again`)
	after := ftptest.Dial(t, s.addr)
	if r := after.Expect(220); r.Lines[0] != "new words" {
		t.Errorf("greeting %q", r.Lines)
	}
	after.Do("USER test", 331)
	after.Do("PASS secret", 530)
	cert := peerCertificate(t, after)
	after.Do("USER ann", 331)
	after.Do("PASS other", 230)
	before.Do("NOOP", 200)
	before.Put("STOR still", "there")
	before.Do("AUTH TLS", 502) // it keeps what it began with
	ftptest.Dial(t, s.addr).Expect(421)

	for _, bad := range []struct{ more, says string }{
		{"baner = \"x\"", `towpath.toml:3:1: baner: `},
		{"banner = \"worse words\"\nroot = \"/nowhere\"", `root`},
		{"banner = \"worse words\"\n[passive]\nports = \"9-1\"", `towpath.toml:5:\d+: passive.ports: 9-1: the first port is greater than the last; write 1-9`},
		{"banner = \"worse words\"\n[tls]\ncert = \"/nowhere.pem\"", `/nowhere.pem`},
		{"banner = \"worse words\"\naccounts = \"/nowhere.toml\"", `/nowhere.toml`},
	} {
		say(bad.more)
		s.signal(syscall.SIGHUP)
		s.log.await(t, `the new configuration is not used; the old one stays.*`+bad.says)
	}
	before.Do("QUIT", 221)
	s.log.await(t, `session ended.*QUIT`)
	again := ftptest.Dial(t, s.addr)
	if r := again.Expect(220); r.Lines[0] != "new words" {
		t.Errorf("greeting after bad configurations: %q", r.Lines)
	}
	if peerCertificate(t, again) != cert {
		t.Error("a reload makes a new certificate")
	}
}

// peerCertificate secures the session and returns the server's certificate.
func peerCertificate(t *testing.T, c *ftptest.Conn) string {
	t.Helper()
	var seen string
	c.StartTLS(&tls.Config{InsecureSkipVerify: true, VerifyConnection: func(s tls.ConnectionState) error {
		seen = string(s.PeerCertificates[0].Raw)
		return nil
	}})
	return seen
}

// Logs that were moved away are opened anew at SIGHUP.
func TestLogsReopen(t *testing.T) {
	t.Parallel()
	logs := t.TempDir()
	name := func(s string) string { return filepath.Join(logs, s) }
	s := serveDir(t, t.TempDir(), "--log-file", name("log"), "--xferlog", name("xferlog"), "--vsftpd-log", name("vsftpd.log"))
	c := s.login()
	c.Put("STOR first", "1")
	for _, f := range []string{"log", "xferlog", "vsftpd.log"} {
		holds(t, name(f), "/first")
	}
	for _, f := range []string{"log", "xferlog", "vsftpd.log"} {
		if err := os.Rename(name(f), name(f)+".1"); err != nil {
			t.Fatal(err)
		}
	}
	s.signal(syscall.SIGHUP)
	for _, f := range []string{"log", "xferlog", "vsftpd.log"} {
		holds(t, name(f), "")
	}
	c.Put("STOR second", "2")
	s.stop()
	for _, f := range []string{"log", "xferlog", "vsftpd.log"} {
		old, fresh := read(t, name(f)+".1"), read(t, name(f))
		if !strings.Contains(old, "/first") || strings.Contains(old, "/second") ||
			!strings.Contains(fresh, "/second") || strings.Contains(fresh, "/first") {
			t.Errorf("%s: before\n%s\nafter\n%s", f, old, fresh)
		}
	}
}

// holds waits until a file is there and holds text. There is no event for it
// but the file itself.
func holds(t *testing.T, name, text string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for ctx.Err() == nil {
		if b, err := os.ReadFile(name); err == nil && strings.Contains(string(b), text) {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Fatalf("%s does not come to hold %q", name, text)
}

// The service manager hears of every step of the service's life.
func TestNotify(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "notify")
	manager, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer manager.Close()
	if err := manager.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	heard := func(want string) {
		t.Helper()
		b := make([]byte, 4096)
		for {
			n, err := manager.Read(b)
			if err != nil {
				t.Fatalf("%s: %v", want, err)
			}
			switch got := string(b[:n]); {
			case regexp.MustCompile(want).MatchString(got):
				return
			case got != "WATCHDOG=1": // it comes when it likes
				t.Fatalf("the manager hears %q, want %s", got, want)
			}
		}
	}
	dir := t.TempDir()
	c := command(t, "towpath", serveArgs(dir)...)
	c.Env = append(c.Env, "NOTIFY_SOCKET="+name, "WATCHDOG_USEC=200000")
	s := launch(t, dir, c)
	heard(`^READY=1\nSTATUS=serving `)
	heard(`^WATCHDOG=1$`)
	heard(`^WATCHDOG=1$`)
	s.signal(syscall.SIGHUP)
	heard(`^RELOADING=1\nMONOTONIC_USEC=\d+$`)
	heard(`^READY=1\n`)
	s.signal(syscall.SIGTERM)
	heard(`^STOPPING=1\nSTATUS=waiting for transfers to end$`)
	s.wait()
}

// The service manager may hand over the sockets; their names tell which of them
// begins with TLS.
func TestSocketActivation(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var files []*os.File
	var addrs []string
	for range 2 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		f, err := l.(*net.TCPListener).File()
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		files, addrs = append(files, f), append(addrs, l.Addr().String())
		if err := l.Close(); err != nil { // f still listens
			t.Fatal(err)
		}
	}
	activated := func(args ...string) *process {
		args = append([]string{"-c", `LISTEN_PID=$$ exec towpath "$@"`, "sh"}, serveArgs(dir, args...)...)
		c := command(t, "/bin/sh", args...)
		c.Env = append(c.Env, "LISTEN_FDS=2", "LISTEN_FDNAMES=ftp:ftps")
		c.ExtraFiles = files
		return start(t, c)
	}
	p := activated()
	if code := p.wait(); code != exitUnavailable {
		t.Errorf("without a certificate: exit code %d", code)
	}
	p.log.await(t, `socket "ftps" of the service manager wants TLS, and there is no certificate; set tls.cert`)

	s := &server{process: activated("--tls-self-signed"), addr: addrs[0], dir: dir}
	s.out.await(t, `control connections$`)
	s.login().Put("STOR a", "by ftp")
	implicit, err := tls.Dial("tcp", addrs[1], &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	defer implicit.Close()
	greeting := make([]byte, 4)
	if _, err := io.ReadFull(implicit, greeting); err != nil || string(greeting) != "220 " {
		t.Errorf("%q, %v", greeting, err)
	}
	s.stop()
}

// The logs that other programs read have the fields they look for.
func TestTransferLogs(t *testing.T) {
	t.Parallel()
	logs := t.TempDir()
	x, v, tr := filepath.Join(logs, "xferlog"), filepath.Join(logs, "vsftpd.log"), filepath.Join(logs, "transcripts")
	s := serveDir(t, t.TempDir(), "--xferlog", x, "--vsftpd-log", v, "--transcripts", tr, "--log-level", "debug")
	c := s.dial()
	c.Do("USER test", 331)
	c.Do("PASS not-the-password", 530)
	c.Do("USER test", 331)
	c.Do("PASS secret", 230)
	c.Do("TYPE I", 200)
	c.Put("STOR a b", "12345")
	if got := c.Get("RETR a b"); got != "12345" {
		t.Errorf("%q", got)
	}
	c.Do("QUIT", 221)
	c.ExpectEOF()
	s.stop()

	const date = `\w{3} \w{3} [ \d]\d \d\d:\d\d:\d\d \d{4}`
	for file, want := range map[string][]string{
		x: {
			`^` + date + ` 1 127\.0\.0\.1 5 /a_b b _ i r test ftp 0 \* c$`,
			`^` + date + ` 1 127\.0\.0\.1 5 /a_b b _ o r test ftp 0 \* c$`,
		},
		v: {
			`^` + date + ` \[pid 1\] CONNECT: Client "127\.0\.0\.1"$`,
			`^` + date + ` \[pid 1\] \[test\] FAIL LOGIN: Client "127\.0\.0\.1"$`,
			`^` + date + ` \[pid 1\] \[test\] OK LOGIN: Client "127\.0\.0\.1"$`,
			`^` + date + ` \[pid 1\] \[test\] OK UPLOAD: Client "127\.0\.0\.1", "/a b", 5 bytes, [\d.]+Kbyte/sec$`,
			`^` + date + ` \[pid 1\] \[test\] OK DOWNLOAD: Client "127\.0\.0\.1", "/a b", 5 bytes, [\d.]+Kbyte/sec$`,
		},
	} {
		lines := strings.Split(strings.TrimSpace(read(t, file)), "\n")
		if len(lines) != len(want) {
			t.Errorf("%s has %d lines, want %d:\n%q", file, len(lines), len(want), lines)
			continue
		}
		for i, re := range want {
			if !regexp.MustCompile(re).MatchString(lines[i]) {
				t.Errorf("%s: %q, want %s", filepath.Base(file), lines[i], re)
			}
		}
	}

	found, err := filepath.Glob(filepath.Join(tr, "*-1-127.0.0.1.txt"))
	if err != nil || len(found) != 1 {
		t.Fatalf("transcripts: %q, %v", found, err)
	}
	dialogue := read(t, found[0])
	for _, want := range []string{"C: USER test", "C: PASS", "S: 530", "S: 230", "C: STOR a b", "S: 226"} {
		if !strings.Contains(dialogue, want) {
			t.Errorf("the transcript lacks %q:\n%s", want, dialogue)
		}
	}
	for where, text := range map[string]string{"transcript": dialogue, "log": s.log.text(), "vsftpd.log": read(t, v)} {
		if strings.Contains(text, "secret") || strings.Contains(text, "not-the-password") {
			t.Errorf("the %s holds a password:\n%s", where, text)
		}
	}
	for line := range strings.Lines(s.log.text()) {
		var e struct {
			Time       time.Time
			Level, Msg string
		}
		if err := json.Unmarshal([]byte(line), &e); err != nil || e.Time.IsZero() || e.Level == "" || e.Msg == "" {
			t.Errorf("%q: %v", line, err)
		}
	}
}

// What cut uploads have left goes when it is too old to be resumed, in all
// homes; what is young stays.
func TestOldPartsAreSwept(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := serveDir(t, dir)
	for _, name := range []string{"old", "young"} {
		d := begin(s.login(), "STOR "+name)
		send(t, d, "the beginning")
		arrived(t, s.login(), name, len("the beginning"))
	}
	parts := hidden(t, dir)
	s.kill()
	if len(parts) != 2 {
		t.Fatalf("%q, want two parts", parts)
	}
	oldest, long := parts[0], time.Now().Add(-48*time.Hour)
	if err := os.Chtimes(oldest, long, long); err != nil {
		t.Fatal(err)
	}
	next := serveDir(t, dir)
	next.log.await(t, `old unfinished uploads removed","files":1`)
	if left := hidden(t, dir); len(left) != 1 || left[0] == oldest {
		t.Errorf("%q are left of %q", left, parts)
	}
}
