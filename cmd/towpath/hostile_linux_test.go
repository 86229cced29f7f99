package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"towpath/ftp"
)

// payload is what a hostile server hopes to get to a terminal: a new title, the
// screen cleared, a C1 control character, which some terminals obey too, and
// characters that make a row look like another.
const payload = "\x1b]0;owned\a\x1b[2J\u009b31m\u202e\u2067\u200f\u061c\u200b"

// leak is what must never come out of a terminal: what the payload begins with.
var leaks = []string{"\x1b]0;", "\a", "\x1b[2J", "\u009b", "\u202e", "\u2067", "\u200f", "\u061c", "\u200b"}

// evil is a listing whose words hold the payload, too.
const evil = "-rw-r--r-- 1 ev" + payload + " il" + payload + " 3 Jan  1  2020 a" + payload + "b.exe\r\n" +
	"lrwxrwxrwx 1 u g 3 Jan  1  2020 c -> d" + payload + "\r\n" +
	"-rw-r--r-- 1 u g 3 Jan  1  2020 ../../evil" + payload + "\r\n" +
	"nonsense" + payload + "\r\n"

// hostile is a server all of whose words hold the payload. It has one directory.
func hostile(t *testing.T, listing string) (addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_ = c.SetDeadline(time.Now().Add(patience))
			go hostileSession(c, listing)
		}
	}()
	return l.Addr().String()
}

func hostileSession(c net.Conn, listing string) {
	defer c.Close()
	say := func(text string) { _, _ = fmt.Fprintf(c, text+"\r\n", payload) } // the client may be gone
	say("220 Welcome %s.")
	in := ftp.NewReader(c)
	var passive net.Listener
	data := func(text string) {
		d, err := passive.Accept()
		if err != nil {
			return
		}
		say("150 Coming %s.")
		_, _ = io.WriteString(d, text)
		_ = d.Close()
		say("226 Done %s.")
	}
	for {
		cmd, err := in.ReadCommand()
		if err != nil {
			return
		}
		switch cmd.Verb {
		case "USER":
			say("331 Password %s?")
		case "PASS":
			say("230 In %s.")
		case "TYPE", "NOOP", "OPTS":
			say("200 Fine %s.")
		case "EPSV":
			if passive, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
				return
			}
			defer passive.Close()
			_, port, _ := net.SplitHostPort(passive.Addr().String())
			say("229 %s (|||" + port + "|)")
		case "LIST":
			data(listing)
		case "RETR":
			if strings.Contains(cmd.Arg, "none") {
				say("550 No %s such file.")
			} else {
				data("abc")
			}
		case "QUIT":
			say("221 Bye %s.")
			return
		default:
			say("502 What is %s?")
		}
	}
}

// terminal is a pseudo terminal: what is written to tty comes out of master.
func terminal(t *testing.T) (master, tty *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("no pseudo terminals here: %v", err)
	}
	t.Cleanup(func() { _ = master.Close() })
	if err := unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	if tty, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0); err != nil {
		t.Skipf("no pseudo terminals here: %v", err)
	}
	return master, tty
}

// TestHostileWords: nothing that a server says does anything to a terminal, and
// no name of its leads out of the directory.
func TestHostileWords(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		args string
		want string // is shown
	}{
		{"ls URL/", `a\x1b]0;owned\x07`},
		{"ls -l URL/", `d\x1b]0;owned\x07`},
		{"ls --json URL/", `owned`},
		{"find URL/", `a\x1b]0;owned\x07`},
		{"du URL/", "6"},
		{"get URL/none", `550 No \x1b]0;owned\x07`},
		{"get --trace URL/f", `220 Welcome \x1b]0;owned\x07`},
		{"get URL/a%1B%5D0;owned%07%C2%9B31mb", ""},
		{"get --json URL/a%1B%5D0;owned%07%C2%9B31mb", ""},
		{"cat URL/none", `550 No \x1b]0;owned\x07`},
		{"rm URL/f", `502 What is \x1b]0;owned\x07`},
		{"mkdir URL/d", `502 What is \x1b]0;owned\x07`},
		{"mv URL/f g", `502 What is \x1b]0;owned\x07`},
		{"mirror --dry-run URL/ .", `owned`},
		{"shell -c quote_HELP URL/", `502 What is \x1b]0;owned\x07`},
		{"shell -v -c site_x URL/", `< 220 Welcome \x1b]0;owned\x07`},
		{"shell -c cd_x URL/", `\x1b]0;owned\x07`},
		{"shell -c get_none URL/", `550 No \x1b]0;owned\x07`},
		{"shell -c size_* URL/", `\x1b]0;owned\x07`},
		{"get --write-out %{errormsg}%{json} URL/none", `550 No \x1b]0;owned\x07`},
		{"get URL/..", ""},
		{"get URL/..%2F..%2Fevil", ""},
		{"get URL/%2E%2E", ""},
	} {
		t.Run(test.args, func(t *testing.T) {
			t.Parallel()
			addr := hostile(t, evil)
			master, tty := terminal(t)
			args := strings.Fields(strings.ReplaceAll(test.args, "URL", "ftp://"+addr))
			if args[0] == "shell" {
				args[len(args)-2] = strings.ReplaceAll(args[len(args)-2], "_", " ")
			}
			c := command(t, "towpath", args...)
			outer := t.TempDir()
			c.Dir = filepath.Join(outer, "a", "b")
			if err := os.MkdirAll(c.Dir, 0o755); err != nil {
				t.Fatal(err)
			}
			c.Env = append(c.Env, "TERM=xterm", "HOME="+c.Dir)
			c.Stdin, c.Stdout, c.Stderr = tty, tty, tty
			if err := c.Start(); err != nil {
				t.Fatal(err)
			}
			_ = tty.Close()                // ours; when the last is closed, reading ends by EIO
			shown, _ := io.ReadAll(master) // as said
			_ = c.Wait()                   // some end with an error, as they should
			for _, leak := range leaks {
				if strings.Contains(string(shown), leak) {
					t.Errorf("%q came to the terminal:\n%q", leak, shown)
				}
			}
			if !strings.Contains(string(shown), test.want) || len(shown) == 0 {
				t.Errorf("want %q in:\n%q", test.want, shown)
			}
			for _, dir := range []string{outer, filepath.Dir(c.Dir)} {
				if found, err := os.ReadDir(dir); err != nil || len(found) != 1 {
					t.Errorf("%s holds %v, %v", dir, found, err)
				}
			}
		})
	}
}

// A server may say that its files have any size: no sum of them is made less by that.
func TestHostileSizes(t *testing.T) {
	t.Parallel()
	listing := ""
	for _, name := range []string{"a", "b", "c"} {
		listing += "-rw-r--r-- 1 u g 9223372036854775807 Jan  1  2020 " + name + "\r\n"
	}
	addr := hostile(t, listing)
	for args, want := range map[string]string{
		"du URL/":                 "more than 9223372036854775807        3  .\n",
		"du --human URL/":         "more than 8.0 EiB        3  .\n",
		"du --json URL/":          `"bytes":9223372036854775807,"files":3,"more":true}`,
		"mirror --dry-run URL/ .": "3 fetched (more than 8.0 EiB)",
	} {
		c := command(t, "towpath", strings.Fields(strings.ReplaceAll(args, "URL", "ftp://"+addr))...)
		c.Dir = t.TempDir()
		if out, err := c.CombinedOutput(); err != nil || !strings.Contains(string(out), want) {
			t.Errorf("%s: %v\n%s\nwant %s", args, err, out, want)
		}
	}
}
