package ftpserver_test

import (
	"compress/zlib"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"towpath/ftpserver"
	"towpath/ftptest"
)

// uploading begins a STOR, and returns its session and data connection.
func uploading(t *testing.T, s *ftptest.Server, name string) (*ftptest.Conn, *net.TCPConn) {
	t.Helper()
	c := s.Login()
	data := dialPassive(t, c)
	c.Do("STOR "+name, 150)
	return c, data()
}

// TestNoopDuringTransfer: NOOP and STAT are answered while data flows, in
// uploads and in downloads.
func TestNoopDuringTransfer(t *testing.T) {
	t.Parallel()
	big := strings.Repeat("0123456789abcdef", 2<<20) // more than sockets hold on to
	s := ftptest.Serve(t, ftptest.Files{"big": big})
	c, d := uploading(t, s, "new")
	for range 3 {
		c.Do("NOOP", 200)
		c.Do("noop with something behind it", 200)
	}
	r := c.Do("STAT", 211)
	if text := strings.Join(r.Lines, "\n"); !strings.Contains(text, "STOR /new: ") {
		t.Errorf("S: %v, want the transfer in it", r)
	}
	if _, err := io.WriteString(d, "content"); err != nil {
		t.Fatal(err)
	}
	_ = d.Close()
	c.Expect(226)
	if got := s.File("new"); got != "content" {
		t.Errorf("new holds %q", got)
	}

	data := dialPassive(t, c)
	c.Do("RETR big", 150)
	d = data()
	c.Do("NOOP", 200)
	r = c.Do("STAT", 211)
	if text := strings.Join(r.Lines, "\n"); !strings.Contains(text, "RETR /big: ") {
		t.Errorf("S: %v, want the transfer in it", r)
	}
	got, err := io.ReadAll(d)
	if err != nil || string(got) != big {
		t.Errorf("RETR brought %d bytes, %v; want %d", len(got), err, len(big))
	}
	c.Expect(226)
}

// TestStatusOfASlowUpload: what has come is counted as it comes, however little
// it is and whatever it goes through: by that it is seen not to have stalled.
func TestStatusOfASlowUpload(t *testing.T) {
	t.Parallel()
	for _, setting := range []string{"TYPE I", "TYPE A", "MODE Z"} {
		t.Run(setting, func(t *testing.T) {
			t.Parallel()
			s := ftptest.Serve(t, nil, ftptest.TLS)
			c := underTLS(s, ftptest.ClientTLS())
			c.Do("USER "+ftptest.User, 331)
			c.Do("PASS "+ftptest.Password, 230)
			c.Do("PBSZ 0", 200)
			c.Do("PROT P", 200)
			c.Do(setting, 200)
			c.Passive()
			c.Do("STOR new", 150)
			d := c.Data()
			defer d.Close()
			var out io.Writer = d
			flush := func() error { return nil }
			if setting == "MODE Z" {
				z := zlib.NewWriter(d)
				out, flush = z, z.Flush
			}
			if _, err := io.WriteString(out, "content"); err != nil {
				t.Fatal(err)
			}
			if err := flush(); err != nil {
				t.Fatal(err)
			}
			for deadline := time.Now().Add(patience); ; {
				if text := strings.Join(c.Do("STAT", 211).Lines, "\n"); strings.Contains(text, "STOR /new: 7 bytes") {
					return
				} else if time.Now().After(deadline) {
					t.Fatalf("S: %s, want 7 bytes", text)
				}
			}
		})
	}
}

// TestPipelined: commands that come while a transfer runs are answered after
// it, in their order.
func TestPipelined(t *testing.T) {
	t.Parallel()
	s := ftptest.Serve(t, ftptest.Files{"d/x": "x"})
	c, d := uploading(t, s, "new")
	c.Send("CWD d\r\nPWD\r\nNOOP\r\nSTAT\r\nSIZE /new\r\nXYZZY")
	_ = d.Close()
	c.Expect(226)
	c.Expect(250)
	if r := c.Expect(257); !strings.HasPrefix(r.Lines[0], `"/d"`) {
		t.Errorf("S: %v", r)
	}
	c.Expect(200)
	c.Expect(211)
	if r := c.Expect(213); r.Lines[0] != "0" {
		t.Errorf("S: %v, want the size after the upload", r)
	}
	c.Expect(500)
	c.Do("NOOP", 200)

	// A whole session in one packet.
	c = s.Dial()
	c.Send("USER test\r\nPASS secret\r\nTYPE I\r\nPWD\r\nRNFR new\r\nRNTO old\r\nSIZE old\r\nQUIT")
	for _, code := range []int{220, 331, 230, 200, 257, 350, 250, 213, 221} {
		c.Expect(code)
	}
	c.ExpectEOF()
}

// TestManyPipelined: more than are kept wait in the socket, and none is lost.
func TestManyPipelined(t *testing.T) {
	t.Parallel()
	c, d := uploading(t, ftptest.Serve(t, nil), "new")
	const many = 500
	c.Send(strings.TrimSuffix(strings.Repeat("PWD\r\n", many), "\r\n"))
	_ = d.Close()
	c.Expect(226)
	for range many {
		c.Expect(257)
	}
	c.Do("NOOP", 200)
}

// TestQuitDuringTransfer: the transfer is finished first (RFC 959 4.1.1), also
// if the client does not stay to hear it.
func TestQuitDuringTransfer(t *testing.T) {
	t.Parallel()
	s := ftptest.Serve(t, nil)
	c, d := uploading(t, s, "new")
	c.Send("QUIT")
	if _, err := io.WriteString(d, "content"); err != nil {
		t.Fatal(err)
	}
	_ = d.Close()
	c.Expect(226)
	c.Expect(221)
	c.ExpectEOF()
	if got := s.File("new"); got != "content" {
		t.Errorf("new holds %q", got)
	}
}

// TestAbort: ABOR as it arrives in all forms that clients send. The urgent
// byte of Telnet Synch has been taken out by then, so that one of the two
// bytes behind IAC IP may be missing.
func TestAbort(t *testing.T) {
	t.Parallel()
	big := strings.Repeat("0123456789abcdef", 2<<20)
	for name, abort := range map[string]string{
		"bare":                   "ABOR",
		"lower case":             "abor",
		"tnftp and inetutils":    "\xff\xf4\xf2ABOR",
		"ncftp":                  "\xff\xf4\xffABOR",
		"all of Synch":           "\xff\xf4\xff\xf2ABOR",
		"interrupt alone":        "\xff\xf4ABOR",
		"behind another":         "PWD\r\nABOR",
		"behind NOOP and STAT":   "NOOP\r\nSTAT\r\nABOR",
		"in front of another":    "ABOR\r\nPWD",
		"with Telnet on its own": "\xff\xf4\xff\xf2\r\nABOR",
	} {
		for _, down := range []bool{true, false} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				s := ftptest.Serve(t, ftptest.Files{"big": big, "old": "old"})
				var c *ftptest.Conn
				var d *net.TCPConn
				if down {
					c = s.Login()
					data := dialPassive(t, c)
					c.Do("RETR big", 150)
					d = data()
				} else {
					c, d = uploading(t, s, "old")
				}
				want := []int{426, 226}
				switch name {
				case "behind another":
					want = []int{426, 257, 226}
				case "behind NOOP and STAT":
					want = []int{200, 211, 426, 226}
				case "in front of another":
					want = []int{426, 226, 257}
				}
				c.Send(abort)
				for _, code := range want {
					c.Expect(code)
				}
				if got, err := io.ReadAll(d); err == nil && len(got) == len(big) {
					t.Error("the aborted download came whole")
				}
				c.Do("NOOP", 200)
				if got := c.Get("RETR old"); got != "old" {
					t.Errorf("old holds %q after an aborted upload", got)
				}
			})
		}
	}
}

// TestAbortBeforeTheDataConnection: nobody has connected yet.
func TestAbortBeforeTheDataConnection(t *testing.T) {
	t.Parallel()
	c := ftptest.Serve(t, ftptest.Files{"a": "x"}).Login()
	c.Do("EPSV", 229)
	c.Do("RETR a", 150)
	c.Send("ABOR")
	c.Expect(426)
	c.Expect(226)
	if got := c.Get("RETR a"); got != "x" {
		t.Errorf("RETR brought %q", got)
	}
}

// TestAbortDuringListing, and the session goes on.
func TestAbortDuringListing(t *testing.T) {
	t.Parallel()
	c := ftptest.Serve(t, ftptest.Files{"a": "x"}).Login()
	for _, list := range []string{"LIST", "NLST", "MLSD"} {
		c.Do("EPSV", 229)
		c.Do(list, 150)
		c.Send("\xff\xf4\xf2ABOR")
		c.Expect(426)
		c.Expect(226)
	}
	c.Do("NOOP", 200)
}

// TestClientGone: a client that is killed in a download leaves no session.
func TestClientGone(t *testing.T) {
	t.Parallel()
	ended := make(chan ftpserver.TransferEvent, 1)
	s := ftptest.Serve(t, ftptest.Files{"big": strings.Repeat("0123456789abcdef", 2<<20)}, told(ended))
	c := s.Login()
	data := dialPassive(t, c)
	c.Do("RETR big", 150)
	d := data()
	_ = c.Close() // the control connection alone: the data connection is open still
	if e := <-ended; e.Err == nil || e.Verb != "RETR" || e.Path != "/big" {
		t.Errorf("the transfer ended as %+v, want an error", e)
	}
	if _, err := io.Copy(io.Discard, d); err == nil {
		t.Error("the data ended as if it were whole")
	}
}

// TestLostUploads: what ends before its time is never stored.
func TestLostUploads(t *testing.T) {
	t.Parallel()
	t.Run("reset", func(t *testing.T) {
		t.Parallel()
		s := ftptest.Serve(t, ftptest.Files{"a": "old"})
		c, d := uploading(t, s, "a")
		if _, err := io.WriteString(d, "new"); err != nil {
			t.Fatal(err)
		}
		_ = d.SetLinger(0)
		_ = d.Close()
		c.Expect(426)
		if got := s.File("a"); got != "old" {
			t.Errorf("a holds %q", got)
		}
	})
	t.Run("killed", func(t *testing.T) {
		t.Parallel()
		ended := make(chan ftpserver.TransferEvent, 1)
		s := ftptest.Serve(t, ftptest.Files{"a": "old"}, told(ended))
		cutUpload(t, s, ended, "STOR a", "new")
		if got := s.File("a"); got != "old" {
			t.Errorf("a holds %q", got)
		}
	})
}
