package main

import (
	"bufio"
	"crypto/tls"
	"encoding/pem"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"towpath/ftptest"
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
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"exits": exits, "serve": serveScript, "random": randomFile, "proxy": proxyScript},
	})
}

var servedPort = regexp.MustCompile(`^  tcp (\d+) +(control connections.*)$`)

// serveScript is "serve DIR [FLAG …]": serves a directory until the script ends,
// to alice with the password "secret". $ADDR and $PORT are where, and $URL is how
// she gets in.
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
			s.Setenv("PORT", m[1])
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

// proxyScript is "proxy LOGIN [FILE]": an HTTP proxy at $PROXY that lets in LOGIN,
// or everybody if it is "", and goes to 127.0.0.1 whatever name it is told. With
// FILE it speaks TLS, by the certificate that it writes there.
func proxyScript(s *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 || len(args) > 2 {
		s.Fatalf("usage: proxy LOGIN [FILE]")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	s.Check(err)
	handler := func(w http.ResponseWriter, r *http.Request) {
		r.Header.Set("Authorization", r.Header.Get("Proxy-Authorization"))
		if user, password, _ := r.BasicAuth(); args[0] != "" && user+":"+password != args[0] {
			w.WriteHeader(http.StatusProxyAuthRequired)
			return
		}
		_, port, _ := net.SplitHostPort(r.Host)
		far, err := net.Dial("tcp", net.JoinHostPort("127.0.0.1", port))
		if r.Method != http.MethodConnect || err != nil {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		defer far.Close()
		w.WriteHeader(http.StatusOK)
		near, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer near.Close()
		var both sync.WaitGroup
		for _, d := range [][2]net.Conn{{far, near}, {near, far}} {
			both.Go(func() {
				_, _ = io.Copy(d[0], d[1])
				_ = d[0].(interface{ CloseWrite() error }).CloseWrite()
			})
		}
		both.Wait()
	}
	server := &http.Server{Handler: http.HandlerFunc(handler), ReadHeaderTimeout: time.Minute}
	if len(args) == 2 {
		c := ftptest.Certificate()
		s.Check(os.WriteFile(s.MkAbs(args[1]), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Certificate[0]}), 0o644))
		l = tls.NewListener(l, &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{c}})
	}
	go func() { _ = server.Serve(l) }() // until it is closed
	s.Defer(func() { _ = server.Close() })
	s.Setenv("PROXY", l.Addr().String())
}
