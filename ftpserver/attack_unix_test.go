//go:build unix

package ftpserver_test

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"towpath/ftptest"
)

// A FIFO, a socket or a device under a name blocks nobody and is not served.
func TestFIFO(t *testing.T) {
	t.Parallel()
	dir, _, root := onDisk(t)
	if err := syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o644); err != nil {
		t.Skipf("no FIFO can be made here: %v", err)
	}
	s := ftptest.Serve(t, nil, root)
	c := s.Login()
	codes(t, c, map[string]int{
		"SIZE pipe": 550, "HASH pipe": 550, "XCRC pipe": 550, "SITE CPFR pipe": 550, "CWD pipe": 550,
	})
	c.Do("TYPE A", 200)
	c.Do("SIZE pipe", 550)
	c.Do("REST 1", 350)
	for _, line := range []string{"RETR pipe", "APPE pipe", "RETR pipe"} {
		c.Passive()
		c.Do(line, 550)
		c.Do("TYPE I", 200)
	}
	if got := c.Get("LIST"); !strings.HasPrefix(got, "p") {
		t.Errorf("listed as %q", got)
	}
	c.Do("DELE pipe", 250)
}

// Neither set-id nor sticky bits can be set, by any command.
func TestSetIDBits(t *testing.T) {
	t.Parallel()
	dir, _, root := onDisk(t)
	name := filepath.Join(dir, "a")
	if err := os.WriteFile(name, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s := ftptest.Serve(t, nil, root)
	c := s.Login()
	for _, line := range []string{"SITE CHMOD 7755 a", "SITE CHMOD 4755 a", "MFF unix.mode=06755; a"} {
		c.Send(line)
		r := c.Reply()
		fi, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		if fi.Mode() != 0o755 {
			t.Errorf("C: %s\nS: %v\nthe mode is %v, want 0755", line, r, fi.Mode())
		}
	}
}

// What a real disk holds, an upload by somebody else's program, say.
func TestHostileNamesOnDisk(t *testing.T) {
	t.Parallel()
	dir, _, root := onDisk(t)
	n := 0
	for _, name := range hostileNames {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o644); err == nil { // not every disk takes every name
			n++
		}
	}
	if n < len(hostileNames)/2 {
		t.Skipf("this disk takes only %d of %d names", n, len(hostileNames))
	}
	if err := os.Mkdir(filepath.Join(dir, "dir\r\n250 x"), 0o755); err != nil {
		t.Fatal(err)
	}
	s := ftptest.Serve(t, nil, root)
	c := s.Login()
	for _, line := range []string{"LIST", "NLST", "MLSD"} {
		got := c.Get(line)
		if lines := strings.Count(got, "\n"); lines != n+1 || lines != strings.Count(got, "\r\n") {
			t.Errorf("%s: %d lines for %d names:\n%q", line, lines, n+1, got)
		}
	}
	if r := c.Do("STAT .", 213); len(r.Lines) != n+3 {
		t.Errorf("STAT: %d lines for %d names: %q", len(r.Lines), n+1, r.Lines)
	}
	c.Do("NOOP", 200)
}
