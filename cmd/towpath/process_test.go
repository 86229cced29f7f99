package main

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"towpath/ftptest"
)

// patience is how long a test waits for what should come at once.
const patience = time.Minute

// process is a towpath that runs beside the test, or another of programs.
type process struct {
	*exec.Cmd
	t    *testing.T
	out  *lines // what it says on standard output
	log  *lines // and on standard error
	done chan struct{}
}

// command prepares "towpath ARGS", with a home of its own and no configuration
// but what the test gives it.
func command(t *testing.T, name string, args ...string) *exec.Cmd {
	t.Helper()
	c := exec.CommandContext(t.Context(), name, args...)
	home := t.TempDir()
	empty := filepath.Join(home, "empty.toml")
	if err := os.WriteFile(empty, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	c.Env = append(os.Environ(), "HOME="+home, "XDG_CONFIG_HOME="+home, "XDG_RUNTIME_DIR="+home, "RUNTIME_DIRECTORY=", "TOWPATH_CONFIG="+empty)
	return c
}

// start starts a command that ends with the test, if not before.
func start(t *testing.T, c *exec.Cmd) *process {
	t.Helper()
	p := &process{Cmd: c, t: t, out: newLines(), log: newLines(), done: make(chan struct{})}
	stdout, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	stderr, err := c.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	var readers sync.WaitGroup
	readers.Go(func() { p.out.read(stdout) })
	readers.Go(func() { p.log.read(stderr) })
	go func() {
		readers.Wait()
		_ = c.Wait() // ProcessState tells
		close(p.done)
	}()
	t.Cleanup(func() {
		_ = c.Process.Kill() // it may have ended
		<-p.done
		log := p.log.text()
		if strings.Contains(log, "DATA RACE") || strings.Contains(log, "goroutine ") {
			t.Errorf("the process has raced or panicked")
		}
		if t.Failed() {
			t.Logf("%v said:\n%s%s", c.Args, p.out.text(), log)
		}
	})
	return p
}

// server is a running "towpath serve".
type server struct {
	*process
	addr string // of the control connection, on loopback
	dir  string // what it serves
}

// user is what [server.login] logs in with, if serve was told by --user.
const user = "test:secret"

// serveDir serves dir on a free port, with user, and what args say.
func serveDir(t *testing.T, dir string, args ...string) *server {
	t.Helper()
	return launch(t, dir, command(t, "towpath", serveArgs(dir, args...)...))
}

func serveArgs(dir string, args ...string) []string {
	return append([]string{"serve", dir, "--listen", "127.0.0.1:0", "--user", user, "--log-format", "json"}, args...)
}

// launch starts a serve and waits until it listens.
func launch(t *testing.T, dir string, c *exec.Cmd) *server {
	t.Helper()
	s := &server{process: start(t, c), dir: dir}
	s.addr = net.JoinHostPort("127.0.0.1", s.port("control connections"))
	return s
}

// port is the one that the greeting names for this use.
func (s *server) port(use string) string {
	s.t.Helper()
	m := s.out.await(s.t, `^  tcp (\d+) +`+use+`$`)
	return m[1]
}

// dial opens a session and reads the greeting.
func (s *server) dial() *ftptest.Conn {
	s.t.Helper()
	c := ftptest.Dial(s.t, s.addr)
	c.Expect(220)
	return c
}

// login opens a session of user.
func (s *server) login() *ftptest.Conn {
	s.t.Helper()
	return s.loginAs("test", "secret")
}

func (s *server) loginAs(name, password string) *ftptest.Conn {
	s.t.Helper()
	c := s.dial()
	c.Do("USER "+name, 331)
	c.Do("PASS "+password, 230)
	c.Do("TYPE I", 200)
	return c
}

// file reads a served file from the disk; "" if it is not there.
func (s *server) file(name string) string {
	s.t.Helper()
	b, err := os.ReadFile(filepath.Join(s.dir, name))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		s.t.Fatal(err)
	}
	return string(b)
}

// signal sends a signal to the process.
func (p *process) signal(sig os.Signal) {
	p.t.Helper()
	if err := p.Process.Signal(sig); err != nil {
		p.t.Fatal(err)
	}
}

// kill ends the process as kill -9 does, and waits for its end.
func (p *process) kill() {
	p.t.Helper()
	p.signal(syscall.SIGKILL)
	p.wait()
}

// wait waits for the end of the process and returns its exit code; -1 if a
// signal ended it.
func (p *process) wait() int {
	p.t.Helper()
	select {
	case <-p.done:
		return p.ProcessState.ExitCode()
	case <-time.After(patience):
		p.t.Fatalf("%v does not end", p.Args)
		return 0
	}
}

// lines are what a process has said, line by line.
type lines struct {
	mu    sync.Mutex
	all   []string
	taken int           // lines that await has passed
	more  chan struct{} // closed when a line comes, and then another channel
	ended bool
}

func newLines() *lines { return &lines{more: make(chan struct{})} }

func (l *lines) read(r io.Reader) {
	in := bufio.NewReader(r)
	for {
		line, err := in.ReadString('\n')
		l.mu.Lock()
		if line != "" {
			l.all = append(l.all, strings.TrimSuffix(line, "\n"))
		}
		l.ended = err != nil
		close(l.more)
		l.more = make(chan struct{})
		l.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// await waits for a line that pattern matches, behind the one that the last
// await has found, and returns the match with its groups.
func (l *lines) await(t *testing.T, pattern string) []string {
	t.Helper()
	re := regexp.MustCompile(pattern)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for {
		l.mu.Lock()
		for l.taken < len(l.all) {
			m := re.FindStringSubmatch(l.all[l.taken])
			l.taken++
			if m != nil {
				l.mu.Unlock()
				return m
			}
		}
		more, ended := l.more, l.ended
		l.mu.Unlock()
		if ended {
			t.Fatalf("the process has ended and never said %q", pattern)
		}
		select {
		case <-more:
		case <-ctx.Done():
			t.Fatalf("the process does not say %q", pattern)
		}
	}
}

func (l *lines) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(append(l.all, ""), "\n")
}

// write writes a file of the test.
func write(t *testing.T, name, text string) string {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return name
}

func read(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
