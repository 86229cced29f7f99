package main

import (
	"encoding/json"
	"io"
	"net"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"towpath/ftptest"
	"towpath/gateway"
)

// gatewayBefore starts a gateway before servers. What comes back is to clients
// as a server is.
func gatewayBefore(t *testing.T, dir string, args ...string) *server {
	t.Helper()
	args = append([]string{"gateway", "--listen", "127.0.0.1:0", "--data", "user", "--log-json"}, args...)
	return launch(t, dir, command(t, "towpath", args...))
}

// carries has a client store and fetch in both modes.
func carries(t *testing.T, s *server) {
	t.Helper()
	c := s.login()
	text := content(100_000)
	c.Put("STOR sea.bin", text)
	if c.Get("RETR sea.bin") != text {
		t.Error("another file came back")
	}
	c.Active()
	c.Do("RETR sea.bin", 150)
	got, err := io.ReadAll(c.Data())
	if err != nil || string(got) != text {
		t.Errorf("%d bytes came back in active mode, %v", len(got), err)
	}
	c.Expect(226)
	c.Do("QUIT", 221)
}

// refused wants that the next reply is an error.
func refused(t *testing.T, c *ftptest.Conn) {
	t.Helper()
	if r := c.Reply(); r.Code < 400 {
		t.Errorf("%v, want an error", r)
	}
}

// A gateway carries sessions to their server, keeps an account of each, and
// ends when it is asked to.
func TestGateway(t *testing.T) {
	t.Parallel()
	s := serveDir(t, t.TempDir())
	logs := t.TempDir()
	record := filepath.Join(logs, "sessions.json")
	g := gatewayBefore(t, s.dir, "--to", s.addr, "--record", record, "--transcript", filepath.Join(logs, "dialogues"))
	g.out.await(t, `^Clients are told the address at which they reach us\.$`)
	carries(t, g)
	g.log.await(t, `"session ended"`)
	if runtime.GOOS != "windows" { // which has no such signal
		g.signal(syscall.SIGTERM)
		if code := g.wait(); code != 0 {
			t.Errorf("exit code %d", code)
		}
	}
	var r gateway.Record
	if err := json.Unmarshal([]byte(read(t, record)), &r); err != nil {
		t.Fatal(err)
	}
	if r.User != "test" || r.Server != s.addr || len(r.Data) != 3 || r.Data[0].Why != "done" || r.Data[0].Up != 100_000 || r.Data[2].ClientMode != "active" {
		t.Errorf("the account is %+v", r)
	}
	found, err := filepath.Glob(filepath.Join(logs, "dialogues", "*.txt"))
	if err != nil || len(found) != 1 || !strings.Contains(read(t, found[0]), "STOR sea.bin") {
		t.Errorf("dialogues: %v, %v", found, err)
	}
}

// TLS ends at the gateway: clients speak it, and a server that knows none hears
// nothing of it; and the other way round.
func TestGatewayTLS(t *testing.T) {
	t.Parallel()
	clear := serveDir(t, t.TempDir())
	secret := serveDir(t, t.TempDir(), "--tls-self-signed", "--require-tls")
	front := gatewayBefore(t, clear.dir, "--to", clear.addr, "--self-signed", "--tls", "require", "--server-tls", "clear")
	c := front.dial()
	c.Send("USER test")
	refused(t, c)
	c.Do("AUTH TLS", 234)

	back := gatewayBefore(t, secret.dir, "--to", secret.addr, "--server-tls", "explicit", "--insecure-server")
	back.out.await(t, `^WARNING: any certificate of a server is believed\.$`)
	carries(t, back)

	// A server that is not believed is not spoken to.
	wary := gatewayBefore(t, secret.dir, "--to", secret.addr, "--server-tls", "explicit")
	conn, err := net.Dial("tcp", wary.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if said, err := io.ReadAll(conn); err != nil || !strings.HasPrefix(string(said), "421") {
		t.Errorf("said %q, %v, want 421", said, err)
	}
}

// SIGHUP reads the file again; one that is wrong changes nothing.
func TestGatewayReload(t *testing.T) {
	t.Parallel()
	if len(reloadSignals) == 0 {
		t.Skip("this system has no SIGHUP")
	}
	one, two := serveDir(t, t.TempDir()), serveDir(t, t.TempDir())
	write(t, filepath.Join(one.dir, "name"), "one")
	write(t, filepath.Join(two.dir, "name"), "two")
	file := filepath.Join(t.TempDir(), "gateway.toml")
	write(t, file, `to = ["`+one.addr+`"]`)
	g := gatewayBefore(t, one.dir, "--config", file)
	fetch := func() string {
		c := g.login()
		defer c.Do("QUIT", 221)
		return c.Get("RETR name")
	}
	if got := fetch(); got != "one" {
		t.Errorf("%q", got)
	}
	write(t, file, `to = ["`+two.addr+`"]`+"\nbalnce = \"user\"")
	g.signal(syscall.SIGHUP)
	g.log.await(t, `the old one stays.*there is no key \\"balnce\\"`)
	if got := fetch(); got != "one" {
		t.Errorf("%q after a reload of what is wrong", got)
	}
	write(t, file, `to = ["`+two.addr+`"]`+"\nlog-level = \"debug\"")
	g.signal(syscall.SIGHUP)
	g.log.await(t, `waits for the next start","keys":\["log-level"\]`)
	g.log.await(t, "configuration read again")
	if got := fetch(); got != "two" {
		t.Errorf("%q after a reload", got)
	}
}

// A server that dies in the middle of a transfer takes its session with it, and
// nobody else; another server serves those that come then.
func TestGatewayServerDies(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "big"), content(64<<20))
	first, second := serveDir(t, dir, "--download-rate", "1MiB"), serveDir(t, dir)
	g := gatewayBefore(t, dir, "--to", first.addr+","+second.addr, "--balance", "order")
	c := g.login()
	c.Passive()
	c.Do("RETR big", 150)
	d := c.Data()
	var b [1]byte
	if _, err := io.ReadFull(d, b[:]); err != nil {
		t.Fatal(err)
	}
	first.kill()
	if n, _ := io.Copy(io.Discard, d); n >= 64<<20-1 {
		t.Errorf("%d bytes came from a server that was killed", n)
	}
	refused(t, c)
	carries(t, g)
}

// When all ports are announced the next session hears so, and one that ends
// makes room.
func TestGatewayOutOfPorts(t *testing.T) {
	t.Parallel()
	s := serveDir(t, t.TempDir())
	l, err := net.Listen("tcp", "127.0.0.1:0") // a port that is free, most likely still when it is let go
	if err != nil {
		t.Fatal(err)
	}
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	_ = l.Close() // it carried nothing
	g := gatewayBefore(t, s.dir, "--to", s.addr, "--ports", port)
	one, two := g.login(), g.login()
	one.Passive()
	two.Send("PASV")
	refused(t, two)
	one.Do("QUIT", 221)
	g.log.await(t, `"session ended"`)
	two.Put("STOR a", "there is room again")
}
