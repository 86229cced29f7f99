package ftpserver_test

import (
	"bytes"
	"compress/zlib"
	"crypto/tls"
	"io"
	"net"
	"strconv"
	"strings"
	"testing"

	"towpath/ftpserver"
	"towpath/ftptest"
)

// What comes in clear text behind AUTH TLS was put there by somebody on the
// way (CVE-2011-0411): no TLS then, and nothing of it counts as secure.
func TestInjectionBehindAUTH(t *testing.T) {
	t.Parallel()
	for name, behind := range map[string]string{
		"a command": "USER test\r\n", "half a command": "US", "Telnet": "\xff", "an empty line": "\r\n", "a handshake": "\x16\x03\x01",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := ftptest.Serve(t, nil, ftptest.TLS)
			c := s.Dial()
			c.Expect(220)
			if _, err := io.WriteString(c.Conn, "AUTH TLS\r\n"+behind); err != nil {
				t.Fatal(err)
			}
			c.Expect(503)
			if name == "a command" {
				c.Expect(331)
			}
		})
	}
}

// The login made in clear text does not outlive AUTH.
func TestAUTHForgetsTheLogin(t *testing.T) {
	t.Parallel()
	s := ftptest.Serve(t, ftptest.Files{"a": "a"}, ftptest.TLS)
	c := s.Login()
	c.StartTLS(ftptest.ClientTLS())
	c.Do("DELE a", 530)
}

func TestTwiceAUTH(t *testing.T) {
	t.Parallel()
	s := ftptest.Serve(t, nil, ftptest.TLS)
	c := s.Dial()
	c.Expect(220)
	c.StartTLS(ftptest.ClientTLS())
	c.Do("AUTH TLS", 503)
	c.Do("AUTH SSL", 503)
	c.Do("NOOP", 200)
}

func TestOldTLS(t *testing.T) {
	t.Parallel()
	s := ftptest.Serve(t, nil, ftptest.TLS, func(o *ftpserver.Options) { o.TLS.MinVersion = tls.VersionTLS10 })
	for _, version := range []uint16{tls.VersionTLS10, tls.VersionTLS11} {
		config := tlsClient(version)
		c := s.Dial()
		c.Expect(220)
		c.Do("AUTH TLS", 234)
		if err := tls.Client(c.Conn, config).Handshake(); err == nil {
			t.Errorf("%s was accepted", tls.VersionName(version))
		}
		d, err := net.Dial("tcp", s.Implicit)
		if err != nil {
			t.Fatal(err)
		}
		defer d.Close()
		if err := tls.Client(d, config).Handshake(); err == nil {
			t.Errorf("%s was accepted by implicit TLS", tls.VersionName(version))
		}
	}
}

// A browser offers "h2" and "http/1.1" in ALPN; neither is us (ALPACA).
func TestForeignALPN(t *testing.T) {
	t.Parallel()
	s := ftptest.Serve(t, ftptest.Files{"sea.txt": "sea"}, ftptest.TLS)
	config := ftptest.ClientTLS()
	config.NextProtos = []string{"h2", "http/1.1"}
	c := s.Dial()
	c.Expect(220)
	c.Do("AUTH TLS", 234)
	if err := tls.Client(c.Conn, config).Handshake(); err == nil {
		t.Error("http/1.1 was let in by AUTH TLS")
	}
	d, err := net.Dial("tcp", s.Implicit)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if err := tls.Client(d, config).Handshake(); err == nil {
		t.Error("http/1.1 was let in by implicit TLS")
	}
	// The data port as well: what a file holds would be taken for a web page.
	c = overTLS(s, ftptest.ClientTLS())
	port := passivePort(t, c)
	c.Do("RETR sea.txt", 150)
	if err := tls.Client(connect(t, "127.0.0.1", port), config).Handshake(); err == nil {
		t.Error("http/1.1 was let in on the data port")
	}
	c.Expect(425)
	// And "ftp" is let in.
	config = ftptest.ClientTLS()
	config.NextProtos = []string{"h2", "ftp"}
	overTLS(s, config)
}

// An upload that ends without close_notify may be cut, by anybody on the way:
// it is not stored, and the old file stays.
func TestTruncatedUpload(t *testing.T) {
	t.Parallel()
	var deflated bytes.Buffer
	z := zlib.NewWriter(&deflated)
	_, _ = io.WriteString(z, "new") // into memory
	_ = z.Close()
	for version, v := range versions {
		for name, test := range map[string]struct {
			setup []string
			data  []byte
		}{
			"image":   {nil, []byte("new")},
			"ASCII":   {[]string{"TYPE A"}, []byte("new\r\n")},
			"records": {[]string{"TYPE A", "STRU R"}, []byte("new\xff\x03")},
			"MODE Z":  {[]string{"MODE Z"}, deflated.Bytes()},
			"nothing": {nil, nil},
		} {
			t.Run(version+" "+name, func(t *testing.T) {
				t.Parallel()
				s := ftptest.Serve(t, ftptest.Files{"a": "old"}, ftptest.TLS)
				config := tlsClient(v)
				c := overTLS(s, config)
				for _, line := range test.setup {
					c.Do(line, 200)
				}
				port := passivePort(t, c)
				c.Do("STOR a", 150)
				tcp := connect(t, "127.0.0.1", port)
				d := tls.Client(tcp, config)
				if err := d.Handshake(); err != nil {
					t.Fatal(err)
				}
				if _, err := d.Write(test.data); err != nil {
					t.Fatal(err)
				}
				if err := tcp.(*net.TCPConn).CloseWrite(); err != nil {
					t.Fatal(err)
				}
				c.Expect(426)
				if got := s.File("a"); got != "old" {
					t.Errorf("a holds %q", got)
				}
			})
		}
	}
}

// Where TLS is demanded, neither a password nor a file goes without.
func TestNoClearText(t *testing.T) {
	t.Parallel()
	s := ftptest.Serve(t, ftptest.Files{"sea.txt": "sea"}, ftptest.TLS, func(o *ftpserver.Options) { o.RequireTLS = true })
	c := s.Dial()
	c.Expect(220)
	c.Do("USER test", 530)
	c.Do("PASS secret", 503)
	c.StartTLS(ftptest.ClientTLS())
	c.Do("USER test", 331)
	c.Do("PASS secret", 230)
	codes(t, c, map[string]int{"PROT C": 534, "CCC": 534, "PROT S": 536, "PROT X": 504})
	if got := c.Get("RETR sea.txt"); got != "sea" {
		t.Errorf("got %q", got)
	}
}

// Compressed data grows no further than MaxInflate lets it, and a damaged
// stream is not stored.
func TestInflationIsLimited(t *testing.T) {
	t.Parallel()
	var bomb bytes.Buffer
	z, _ := zlib.NewWriterLevel(&bomb, 9) // a level that there is
	_, _ = z.Write(make([]byte, 16<<20))  // into memory
	_ = z.Close()
	for name, test := range map[string]struct {
		data []byte
		code int
	}{
		"bomb":        {bomb.Bytes(), 552},
		"cut":         {bomb.Bytes()[:200], 426},
		"no zlib":     {[]byte("hello, world"), 451},
		"nothing":     {nil, 226},
		"two streams": {append(bytes.Clone(small()), small()...), 226},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := ftptest.Serve(t, ftptest.Files{"a": "old"}, func(o *ftpserver.Options) { o.MaxInflate = 10 })
			c := s.Login()
			c.Do("MODE Z", 200)
			port := passivePort(t, c)
			c.Do("STOR a", 150)
			d := connect(t, "127.0.0.1", port)
			_, _ = d.Write(test.data) // may be cut off
			_ = d.Close()
			c.Expect(test.code)
			if got := s.File("a"); test.code != 226 && got != "old" {
				t.Errorf("a holds %d bytes", len(got))
			}
		})
	}
}

func small() []byte {
	var b bytes.Buffer
	z := zlib.NewWriter(&b)
	_, _ = io.WriteString(z, "small") // into memory
	_ = z.Close()
	return b.Bytes()
}

// Transfers in MODE Z that trickle hold up neither digests nor each other:
// when there are too many, one more is refused at once.
func TestDeflatedPlaces(t *testing.T) {
	t.Parallel()
	s := ftptest.Serve(t, ftptest.Files{"a": "a"})
	answers := make(chan string, 129)
	for i := range 129 {
		c := s.Login()
		c.Do("MODE Z", 200)
		port := passivePort(t, c)
		c.Do("STOR held"+strconv.Itoa(i), 150)
		connect(t, "127.0.0.1", port)
		go func() {
			b := make([]byte, 100)
			n, _ := c.Conn.Read(b) // ends with the test
			answers <- string(b[:n])
		}()
	}
	if got := <-answers; !strings.HasPrefix(got, "450 ") {
		t.Errorf("one MODE Z transfer too many is answered %q", got)
	}
	s.Login().Do("HASH a", 213)
}
