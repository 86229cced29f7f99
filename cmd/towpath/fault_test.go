//go:build unix

package main

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"towpath/ftp"
	"towpath/ftptest"
)

func init() { programs["towpath-client"] = uploadAndHang }

// size asks for SIZE; -1 if there is nothing.
func size(t *testing.T, c *ftptest.Conn, name string) int {
	t.Helper()
	c.Send("SIZE " + name)
	r := c.Reply()
	if r.Code == 550 {
		return -1
	}
	n, err := strconv.Atoi(r.Lines[0])
	if r.Code != 213 || err != nil {
		t.Fatalf("SIZE %s: %v", name, r)
	}
	return n
}

// arrived waits until the part of name has n bytes, as c sees it.
func arrived(t *testing.T, c *ftptest.Conn, name string, n int) {
	t.Helper()
	for size(t, c, name) < n { // each answer takes a turn of the server's
	}
}

// begin begins an upload and returns its data connection.
func begin(c *ftptest.Conn, command string) *net.TCPConn {
	c.Passive()
	c.Do(command, 150)
	return c.Data().(*net.TCPConn)
}

func send(t *testing.T, d io.Writer, s string) {
	t.Helper()
	if _, err := io.WriteString(d, s); err != nil {
		t.Fatal(err)
	}
}

// reset ends a connection by RST.
func reset(t *testing.T, d *net.TCPConn) {
	t.Helper()
	if err := d.SetLinger(0); err != nil {
		t.Fatal(err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
}

// names lists what NLST shows.
func names(c *ftptest.Conn) string {
	return strings.Join(strings.Fields(c.Get("NLST")), " ")
}

// Nobody sees an upload under its name before all of it is there.
func TestUploadIsNotSeenHalfDone(t *testing.T) {
	t.Parallel()
	s := serveDir(t, t.TempDir(), "--anonymous")
	writer, again, other := s.login(), s.login(), s.loginAs("anonymous", "x")
	d := begin(writer, "STOR a")
	send(t, d, content(100_000))
	arrived(t, again, "a", 100_000) // its owner may resume it, so he is told
	other.Do("SIZE a", 550)
	other.Passive()
	other.Do("RETR a", 550)
	again.Passive()
	again.Do("RETR a", 550)
	for _, c := range []*ftptest.Conn{again, other} {
		if got := names(c); got != "" {
			t.Errorf("NLST shows %q", got)
		}
		if got := c.Get("MLSD"); strings.Contains(got, "size=100000") {
			t.Errorf("MLSD shows %q", got)
		}
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	writer.Expect(226)
	if other.Get("RETR a") != content(100_000) || names(other) != "a" {
		t.Error("the file is not there when it should be")
	}
}

// A cut upload leaves the old file, or nothing, under its name, and can be
// gone on with.
func TestCutUpload(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, old string }{{"new", ""}, {"overwrite", "the old file"}} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for _, resume := range []string{"APPE", "STOR"} {
				s := serveDir(t, t.TempDir())
				c, watch := s.login(), s.login()
				if tt.old != "" {
					c.Put("STOR a", tt.old)
				}
				whole := content(300_000)
				d := begin(c, "STOR a")
				send(t, d, whole[:200_000])
				arrived(t, watch, "a", 1000)
				reset(t, d)
				c.Expect(426)
				finish(t, s, resume, tt.old, whole)
			}
		})
	}
}

// finish checks what a cut upload of whole has left, and resumes it.
func finish(t *testing.T, s *server, resume, old, whole string) {
	t.Helper()
	c := s.login()
	if got := s.file("a"); got != old {
		t.Fatalf("after the cut the file has %d bytes, want the old %d", len(got), len(old))
	}
	if old == "" {
		c.Passive()
		c.Do("RETR a", 550)
	} else if got := c.Get("RETR a"); got != old {
		t.Fatalf("after the cut RETR gives %d bytes, want the old %d", len(got), len(old))
	}
	n := size(t, c, "a")
	if n < 1000 || n > 200_000 {
		t.Fatalf("SIZE is %d, want what has come", n)
	}
	if resume == "STOR" {
		c.Do(fmt.Sprint("REST ", n), 350)
	}
	c.Put(resume+" a", whole[n:])
	if s.file("a") != whole {
		t.Errorf("%s at %d: not the same file", resume, n)
	}
	if left := hidden(t, s.dir); left != nil {
		t.Errorf("%q are left", left)
	}
}

// hidden are the files in dir whose names begin with a dot.
func hidden(t *testing.T, dir string) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, ".*"))
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// The same when it is the server that dies, and another one takes over.
func TestServerKilledInUpload(t *testing.T) {
	t.Parallel()
	for _, old := range []string{"", "the old file"} {
		for _, resume := range []string{"APPE", "STOR"} {
			dir := t.TempDir()
			s := serveDir(t, dir)
			c, watch := s.login(), s.login()
			if old != "" {
				c.Put("STOR a", old)
			}
			whole := content(300_000)
			d := begin(c, "STOR a")
			send(t, d, whole[:200_000])
			arrived(t, watch, "a", 1000)
			s.kill()
			finish(t, serveDir(t, dir), resume, old, whole)
		}
	}
}

// uploadAndHang is a client that is killed: it sends bytes and goes no further.
func uploadAndHang() {
	if err := func(addr, name, bytes string) error {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			return err
		}
		in := ftp.NewReader(c)
		var heard ftp.Reply
		for _, line := range []string{"", "USER test", "PASS secret", "TYPE I", "EPSV", "STOR " + name} {
			if line != "" {
				if _, err := fmt.Fprint(c, line+"\r\n"); err != nil {
					return err
				}
			}
			if line == "STOR "+name {
				break
			}
			if heard, err = in.ReadReply(); err != nil {
				return err
			}
		}
		a, err := ftp.ParseExtendedPassive(heard.Lines[0])
		if err != nil {
			return err
		}
		d, err := net.Dial("tcp", fmt.Sprint("127.0.0.1:", a.Port()))
		if err != nil {
			return err
		}
		if heard, err = in.ReadReply(); err != nil || heard.Code != 150 {
			return fmt.Errorf("%v, %w", heard, err)
		}
		n, err := strconv.Atoi(bytes)
		if err != nil {
			return err
		}
		if _, err := io.WriteString(d, content(n)); err != nil {
			return err
		}
		fmt.Println("sent")
		_, err = os.Stdin.Read(make([]byte, 1)) // until it is killed
		return err
	}(os.Args[1], os.Args[2], os.Args[3]); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

// A client that is killed closes its data connection as one does that has
// finished. Its upload does not count all the same. The rate makes uploads long
// enough for the server to look twice.
func TestClientKilledInUpload(t *testing.T) {
	t.Parallel()
	s := serveDir(t, t.TempDir(), "--upload-rate", "200KiB")
	var clients []*process
	for i := range 10 {
		if i%2 == 0 {
			s.login().Put(fmt.Sprint("STOR file", i), "the old file")
		}
		cmd := command(t, "towpath-client", s.addr, fmt.Sprint("file", i), "150000")
		hold, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		defer hold.Close()
		clients = append(clients, start(t, cmd))
	}
	for i, client := range clients {
		c, name, old := s.login(), fmt.Sprint("file", i), ""
		if i%2 == 0 {
			old = "the old file"
		}
		client.out.await(t, "^sent$")
		arrived(t, c, name, 150_000)
		client.kill()
		s.log.await(t, `"msg":"transfer failed".*"path":"/`+name+`"`)
		if got := s.file(name); got != old {
			t.Errorf("%s has %d bytes, want the old %d", name, len(got), len(old))
		}
		if got := size(t, c, name); got != 150_000 {
			t.Errorf("%s: SIZE is %d, want the part", name, got)
		}
	}
}

// Of two who write one name, the second is told to come again.
func TestTwoWriters(t *testing.T) {
	t.Parallel()
	s := serveDir(t, t.TempDir(), "--user", "other:secret")
	first, second, third := s.login(), s.login(), s.loginAs("other", "secret")
	d := begin(first, "STOR a")
	send(t, d, "first")
	for _, c := range []*ftptest.Conn{second, third} {
		for _, command := range []string{"STOR a", "APPE a"} {
			c.Passive()
			c.Do(command, 450)
		}
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	first.Expect(226)
	if got := s.file("a"); got != "first" {
		t.Errorf("%q", got)
	}
	second.Put("STOR a", "second")
	third.Put("APPE a", " and third")
	if got := s.file("a"); got != "second and third" {
		t.Errorf("%q", got)
	}
}

// Whoever reads while a file is replaced has the old or the new one, whole.
func TestReaderDuringOverwrite(t *testing.T) {
	t.Parallel()
	s := serveDir(t, t.TempDir())
	writer, reader := s.login(), s.login()
	old, fresh := content(8<<20), content(5<<20)
	writer.Put("STOR a", old)
	up := begin(writer, "STOR a")
	send(t, up, fresh[:len(fresh)/2])
	reader.Passive() // begins before the new file is there, ends after
	reader.Do("RETR a", 150)
	down := reader.Data()
	head := make([]byte, 1<<20)
	if _, err := io.ReadFull(down, head); err != nil {
		t.Fatal(err)
	}
	send(t, up, fresh[len(fresh)/2:])
	if err := up.Close(); err != nil {
		t.Fatal(err)
	}
	writer.Expect(226)
	rest, err := io.ReadAll(down)
	if err != nil {
		t.Fatal(err)
	}
	reader.Expect(226)
	if !bytes.Equal(append(head, rest...), []byte(old)) {
		t.Errorf("a download that began before has %d bytes, want the old %d", len(head)+len(rest), len(old))
	}
	if reader.Get("RETR a") != fresh {
		t.Error("a download that began after is not the new file")
	}
}

// A server with few descriptors turns away whom it could not serve, and serves
// the others.
func TestFewDescriptors(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	args := append([]string{"-c", `ulimit -n 40 && exec towpath "$@"`, "sh"}, serveArgs(dir)...)
	s := launch(t, dir, command(t, "/bin/sh", args...))
	codes := map[int]int{}
	var in []*ftptest.Conn
	for range 60 {
		c := ftptest.Dial(t, s.addr)
		r := c.Reply()
		codes[r.Code]++
		if r.Code == 220 {
			in = append(in, c)
		} else {
			c.ExpectEOF()
		}
	}
	if codes[220] < 4 || codes[220]+codes[421] != 60 || codes[421] == 0 {
		t.Errorf("of 60 sessions: %v, want some 220, all others 421", codes)
	}
	// Those who are in use up what is left, and each has an answer.
	var open []io.Closer
	for _, c := range in {
		c.Do("USER test", 331)
		c.Do("PASS secret", 230)
		c.Send("EPSV")
		switch r := c.Reply(); r.Code {
		case 229:
			a, err := ftp.ParseExtendedPassive(r.Lines[0])
			if err != nil {
				t.Fatal(err)
			}
			d, err := net.Dial("tcp", fmt.Sprint("127.0.0.1:", a.Port()))
			if err != nil {
				t.Fatal(err)
			}
			open = append(open, d)
			c.Send(fmt.Sprint("STOR file", len(open)))
			if r := c.Reply(); r.Code != 150 && r.Code/100 != 4 {
				t.Errorf("STOR: %v, want 150 or a refusal for now", r)
			}
		case 425:
		default:
			t.Errorf("EPSV: %v, want 229 or 425", r)
		}
	}
	for _, d := range open {
		_ = d.Close() // some may be closed by the server
	}
	for _, c := range in {
		_ = c.Close()
	}
	for range in {
		s.log.await(t, `"msg":"session ended"`)
	}
	c := s.login()
	c.Put("STOR after", "as before")
	if got := c.Get("RETR after"); got != "as before" {
		t.Errorf("%q", got)
	}
	if n := strings.Count(s.log.text(), "cannot take a connection"); n > 10 {
		t.Errorf("%d lines of failed accepts", n)
	}
}
