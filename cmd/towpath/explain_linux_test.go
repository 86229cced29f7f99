package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"towpath/ftptest"
	"towpath/internal/alone"
)

// TestExplainTerminal walks through a capture in a real terminal: list, ladder,
// packets, a search, a session saved, and out.
func TestExplainTerminal(t *testing.T) {
	t.Parallel()
	file, err := filepath.Abs(filepath.Join("..", "..", "explain", "testdata", "captures", "dnat-passive-noalg-client.pcap"))
	if err != nil {
		t.Fatal(err)
	}
	master, tty := terminal(t)
	c := command(t, "towpath", "explain", "--tui", file, "--lang", "en")
	c.Dir = t.TempDir()
	c.Env = append(c.Env, "TERM=xterm-256color")
	c.Stdin, c.Stdout, c.Stderr = tty, tty, tty
	c.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true} // so that it hears of its size
	s := &shown{t: t, master: master}
	s.resize()
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	_ = tty.Close() // ours
	ended := make(chan struct{})
	go s.read(ended)
	t.Cleanup(func() {
		_ = c.Process.Kill() // it may have ended
		<-ended
		_ = c.Wait() // it may have been waited for
	})
	for _, step := range []struct{ keys, want string }{
		{"", "Enter ladder"},
		{"", "inside-address"},
		{"\r", "227 names 10.166.2.33"},
		{"/227\r", "Entering Passive Mode"},
		{"\r", "32 32 37 20"}, // "227 " among the bytes
		{"\x1b", "Enter packets"},
		{"sone.txt", "Save as"},
	} {
		s.press(step.keys)
		s.until(step.want)
	}
	// What stood in the line is taken away first.
	s.press("\x15one.txt\r")
	s.until("Saved as one.txt.")
	s.press("q")
	<-ended
	if err := c.Wait(); err != nil {
		t.Errorf("%v, having shown\n%q", err, s.last())
	}
	if text, err := os.ReadFile(filepath.Join(c.Dir, "one.txt")); err != nil || !strings.Contains(string(text), "227 Entering Passive Mode") {
		t.Errorf("%s, %v", text, err)
	}
}

// What passes an interface is told as it happens, and its files have their names
// when that ends.
func TestExplainLive(t *testing.T) {
	t.Parallel()
	if !alone.Inside(t) {
		return
	}
	files := filepath.Join(t.TempDir(), "files")
	c := command(t, "towpath", "explain", "--live", "lo", "--extract", files, "--lang", "en")
	p := start(t, c)
	s := ftptest.Serve(t, ftptest.Files{"sea.txt": "salt"})
	// Nothing says that it listens, so sessions follow each other until one is seen.
	for deadline := time.Now().Add(patience); !strings.Contains(p.out.text(), "RETR sea.txt"); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("no session is told")
		}
		d := s.Login()
		d.Passive()
		if got := d.Get("RETR sea.txt"); got != "salt" {
			t.Fatalf("got %q", got)
		}
		d.Do("QUIT", 221)
	}
	p.signal(os.Interrupt)
	p.wait()
	all, err := filepath.Glob(filepath.Join(files, "*"))
	if err != nil || len(all) == 0 {
		t.Fatalf("nothing was extracted: %v", err)
	}
	for _, name := range all {
		// The first may have begun before anybody listened.
		if b, err := os.ReadFile(name); !strings.Contains(name, "-sea.txt") || err != nil || string(b) != "salt" && !strings.HasSuffix(name, ".incomplete") {
			t.Errorf("%s: %q, %v", name, b, err)
		}
	}
	if left, _ := filepath.Glob(filepath.Join(files, ".*")); len(left) > 0 {
		t.Errorf("%v stay", left)
	}
}

// shown is what comes out of a terminal since a key was pressed, or since its size
// was changed, when all is drawn anew: only there words stand together. A key is
// pressed when the screen before was seen, so no older one is still to come.
type shown struct {
	t      *testing.T
	master *os.File
	mu     sync.Mutex
	text   strings.Builder
	narrow bool
}

func (s *shown) read(ended chan<- struct{}) {
	defer close(ended)
	b := make([]byte, 1<<16)
	for {
		n, err := s.master.Read(b)
		s.mu.Lock()
		s.text.Write(b[:n])
		s.mu.Unlock()
		if err != nil { // EIO, when the last end of the other side is closed
			return
		}
	}
}

func (s *shown) last() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

func (s *shown) resize() {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.text.Reset()
	s.narrow = !s.narrow
	size := &unix.Winsize{Row: 40, Col: 140}
	if s.narrow {
		size.Col = 139
	}
	if err := unix.IoctlSetWinsize(int(s.master.Fd()), unix.TIOCSWINSZ, size); err != nil {
		s.t.Fatal(err)
	}
}

func (s *shown) press(keys string) {
	s.t.Helper()
	s.mu.Lock()
	s.text.Reset()
	s.mu.Unlock()
	if _, err := fmt.Fprint(s.master, keys); err != nil {
		s.t.Fatal(err)
	}
}

// until waits for a text on the screen.
func (s *shown) until(want string) {
	s.t.Helper()
	again := time.NewTicker(200 * time.Millisecond)
	defer again.Stop()
	late := time.After(30 * time.Second)
	for !strings.Contains(s.last(), want) {
		select {
		case <-again.C:
			if !strings.Contains(s.last(), want) {
				s.resize()
			}
		case <-late:
			s.t.Fatalf("want %q on the screen, got\n%q", want, s.last())
		}
	}
}
