package interop

import (
	"bufio"
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// patience is how long anything may take that should be done at once.
const patience = time.Minute

// Who logs in.
const (
	user     = "skipper"
	password = "weir"
	// hash is of password, with as few rounds as are taken: most clients log
	// in anew for each step.
	hash = "$5$rounds=1000$towpath$NRNE97Q.lej0ygFCv.cLS8WXgtotcmJqrME2mx4Tzx."
)

// server is a running "towpath serve".
type server struct {
	t        *testing.T
	greeting string // what it printed at the start
	addr     string // host:port, the host in brackets if IPv6
	root     string // the directory that is served

	cmd         *exec.Cmd
	log         bytes.Buffer // read it after stop alone
	transcripts string
	stop        func()
}

// serve starts the binary in a directory of its own and waits until it has
// said where it listens. It is ended by stop, or with the test.
func serve(t *testing.T, host string, env []string, flags ...string) *server {
	t.Helper()
	s := &server{t: t, root: t.TempDir(), transcripts: t.TempDir()}
	flags = append([]string{"serve", "--listen", net.JoinHostPort(host, "0"), "--transcripts", s.transcripts}, flags...)
	s.cmd = exec.Command(binary, flags...)
	s.cmd.Dir = s.root
	s.cmd.Env = append(os.Environ(), env...)
	s.cmd.Stderr = &s.log
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	dead := time.AfterFunc(patience, func() { _ = s.cmd.Process.Kill() }) // ends the reading below
	lines := bufio.NewReader(out)
	var line string
	for !strings.HasPrefix(line, "and out,") { // the last one of the greeting
		if line, err = lines.ReadString('\n'); err != nil {
			_ = s.cmd.Process.Kill()
			_ = s.cmd.Wait()
			t.Fatalf("towpath %q did not start: %v\n%s%s", flags, err, s.greeting, &s.log)
		}
		s.greeting += line
	}
	dead.Stop()
	s.addr = listening.FindStringSubmatch(s.greeting)[1]
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		_, _ = io.Copy(io.Discard, lines) // nothing more is expected
	}()
	var stopped bool
	s.stop = func() {
		if stopped {
			return
		}
		stopped = true
		if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Errorf("towpath had ended by itself: %v", err)
		}
		<-drained
		if err := s.cmd.Wait(); err != nil {
			t.Errorf("towpath: %v", err)
		}
	}
	t.Cleanup(func() {
		s.stop()
		if t.Failed() {
			t.Logf("the log of the server:\n%s", &s.log)
			for _, d := range s.dialogues() {
				t.Logf("a session:\n%s", d)
			}
		}
	})
	return s
}

var listening = regexp.MustCompile(`ftp://(\S+:\d+)`)

// dialogues are the sessions so far, in their order.
func (s *server) dialogues() []string {
	s.t.Helper()
	files, err := os.ReadDir(s.transcripts)
	if err != nil {
		s.t.Fatal(err)
	}
	var all []string
	for _, f := range files {
		b, err := os.ReadFile(filepath.Join(s.transcripts, f.Name()))
		if err != nil {
			s.t.Fatal(err)
		}
		all = append(all, string(b))
	}
	return all
}

// commands are the lines that clients sent in all sessions so far.
func (s *server) commands() []string {
	s.t.Helper()
	var sent []string
	for _, d := range s.dialogues() {
		for line := range strings.Lines(d) {
			if c, ok := strings.CutPrefix(line, "C: "); ok {
				sent = append(sent, strings.TrimRight(c, "\r\n"))
			}
		}
	}
	return sent
}

// said reports whether one of commands has one of verbs.
func said(commands []string, verbs ...string) bool {
	return slices.ContainsFunc(commands, func(c string) bool {
		verb, _, _ := strings.Cut(c, " ")
		return slices.Contains(verbs, strings.ToUpper(verb))
	})
}

// put makes a file in the directory that is served.
func (s *server) put(name, content string) {
	s.t.Helper()
	write(s.t, filepath.Join(s.root, name), content)
}

// hold fails the test unless the file that is served has this content.
func (s *server) hold(name, content string) {
	s.t.Helper()
	hold(s.t, filepath.Join(s.root, name), content)
}

// write makes a file and the directories above it.
func write(t *testing.T, name, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// hold fails the test unless the file has this content.
func hold(t *testing.T, name, want string) {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Error(err)
		return
	}
	got := string(b)
	if got == want {
		return
	}
	at := 0
	for at < min(len(got), len(want)) && got[at] == want[at] {
		at++
	}
	t.Errorf("%s: %d bytes, want %d; they differ from byte %d on", filepath.Base(name), len(got), len(want), at)
}

func pkcs8(key any) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}
