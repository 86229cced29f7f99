package main

import (
	"bufio"
	"math/rand/v2"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestClientScript plays the scripts of testdata/client: our client with our
// server.
func TestClientScript(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/client",
		RequireExplicitExec: true,
		Setup: func(e *testscript.Env) error {
			for _, v := range []string{"HOME", "XDG_CONFIG_HOME"} {
				e.Setenv(v, e.WorkDir)
			}
			e.Setenv("TERM", "dumb")
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"exits": exits, "serve": serveScript, "random": randomFile},
	})
}

var servedPort = regexp.MustCompile(`^  tcp (\d+) +(control connections.*)$`)

// serveScript is "serve DIR [FLAG …]": serves a directory until the script ends,
// to alice with the password "secret". $ADDR is where, and $URL how she gets in.
// A port for TLS from the start is in $TLSADDR.
func serveScript(s *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		s.Fatalf("usage: serve DIR [FLAG …]")
	}
	c := exec.Command("towpath", append([]string{"serve", s.MkAbs(args[0]), "--listen", "127.0.0.1:0", "--user", "alice:secret"}, args[1:]...)...)
	c.Env = []string{"HOME=" + s.Getenv("WORK"), "PATH=" + s.Getenv("PATH"), "TMPDIR=" + s.Getenv("TMPDIR")}
	for _, v := range []string{"SYSTEMROOT", "GORACE"} {
		if x := s.Getenv(v); x != "" {
			c.Env = append(c.Env, v+"="+x)
		}
	}
	out, err := c.StdoutPipe()
	s.Check(err)
	s.Check(c.Start())
	s.Defer(func() {
		_ = c.Process.Kill() // it may have ended
		_ = c.Wait()         // it was killed
	})
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		m := servedPort.FindStringSubmatch(lines.Text())
		switch {
		case m == nil:
		case m[2] == "control connections":
			s.Setenv("ADDR", "127.0.0.1:"+m[1])
			s.Setenv("URL", "ftp://alice:secret@127.0.0.1:"+m[1])
		default:
			s.Setenv("TLSADDR", "127.0.0.1:"+m[1])
		}
		if regexp.MustCompile(`^and out, |^  tcp .*passive mode`).MatchString(lines.Text()) {
			go func() { // what is said later has a reader, too
				for lines.Scan() {
				}
			}()
			return
		}
	}
	s.Fatalf("towpath serve has ended: %v", lines.Err())
}

// randomFile is "random FILE SIZE": a file that no pattern explains.
func randomFile(s *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		s.Fatalf("usage: random FILE SIZE")
	}
	n, err := strconv.Atoi(args[1])
	s.Check(err)
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{7}).Read(b) // never fails
	s.Check(os.WriteFile(s.MkAbs(args[0]), b, 0o644))
}
