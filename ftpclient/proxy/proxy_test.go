package proxy

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestParse(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]Server{
		"socks5://h":                      {Scheme: "socks5", Addr: "h:1080"},
		"socks5h://alice:se%40cret@h:99":  {Scheme: "socks5h", Addr: "h:99", User: "alice", Password: "se@cret"},
		"h:3128":                          {Scheme: "http", Addr: "h:3128"},
		"http://[::1]:3128/":              {Scheme: "http", Addr: "[::1]:3128"},
		"https://h":                       {Scheme: "https", Addr: "h:443"},
		"ftp://gate.example.org":          {Scheme: "ftp", Addr: "gate.example.org:21"},
		"HTTP://alice@gate.example.org:1": {Scheme: "http", Addr: "gate.example.org:1", User: "alice"},
	} {
		got, err := Parse(in)
		if err != nil || got != want {
			t.Errorf("%s: %#v, %v, want %#v", in, got, err, want)
		}
		if strings.Contains(got.String(), "cret") {
			t.Errorf("%v shows the password", got)
		}
	}
	for in, want := range map[string]string{
		"":                      "SCHEME",
		"socks4://h":            "want http, https, socks5, socks5h or ftp",
		"http://h/path":         "nothing behind",
		"http://h?x":            "nothing behind",
		"http://h:0":            "1 to 65535",
		"http://h:99999":        "1 to 65535",
		"http://a:secret@h:x":   "SCHEME",
		"socks9://a:secret@h":   "socks5",
		"http://a:secret@h%zz/": "SCHEME",
	} {
		if got, err := Parse(in); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v, %v, want %q and no secret", in, got, err, want)
		}
	}
}

func TestExceptions(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		list, yes, no string
	}{
		{"", "", "h:21"},
		{"*", "h:21 192.0.2.1:21 [::1]:21", ""},
		{"example.org", "example.org:21 ftp.Example.ORG:990 example.org.:21", "badexample.org:21 example.com:21 h:21"},
		{".example.org, *.example.com", "ftp.example.org:21 example.org:21 a.b.example.com:21", "org:21"},
		{"example.org:2121 192.0.2.1:2121", "example.org:2121 192.0.2.1:2121", "example.org:21 192.0.2.1:21"},
		{"10.0.0.0/8,2001:db8::/32", "10.1.2.3:21 [2001:db8::7]:21 [::ffff:10.1.2.3]:21", "11.1.2.3:21 [2001:db9::7]:21 h:21"},
		{"192.0.2.1 ::1", "192.0.2.1:21 [::1]:21 [::ffff:192.0.2.1]:21", "192.0.2.11:21 [::2]:21"},
		{"[::1]:2121,[::2]", "[::1]:2121 [::2]:21", "[::1]:21"},
		{"1", "a.1:21", "192.0.2.1:21"}, // a name is no end of an address
	} {
		e, err := ParseExceptions(test.list)
		if err != nil {
			t.Errorf("%s: %v", test.list, err)
		}
		for _, addr := range strings.Fields(test.yes) {
			if !e.Match(addr) {
				t.Errorf("%q does not hold %s", test.list, addr)
			}
		}
		for _, addr := range strings.Fields(test.no) {
			if e.Match(addr) {
				t.Errorf("%q holds %s", test.list, addr)
			}
		}
	}
	for _, list := range []string{"10.0.0.0/33", "a/b", "h:0", "h:", "h:x", "[::1", "[::1]x", ".", "*."} {
		if e, err := ParseExceptions(list); err == nil || !strings.Contains(err.Error(), list) {
			t.Errorf("%q: %v, %v, want an error that names it", list, e, err)
		}
	}
}

func FuzzParseExceptions(f *testing.F) {
	f.Add("example.org,10.0.0.0/8 *.h:21", "ftp.example.org:21")
	f.Add("[::1]:2121,*", "[::1]:2121")
	f.Fuzz(func(t *testing.T, list, addr string) {
		e, err := ParseExceptions(list)
		if err != nil {
			return
		}
		both, err := ParseExceptions(list + ",*")
		if err != nil {
			t.Fatalf("%q, and * behind it: %v", list, err)
		}
		if _, _, err := net.SplitHostPort(addr); err == nil && !both.Match(addr) {
			t.Fatalf("* does not hold %q", addr)
		}
		e.Match(addr)
	})
}

func FuzzParse(f *testing.F) {
	f.Add("socks5://alice:secret@h:1080")
	f.Add("[::1]:3128")
	f.Fuzz(func(t *testing.T, text string) {
		s, err := Parse(text)
		if err != nil {
			return
		}
		if _, _, err := net.SplitHostPort(s.Addr); err != nil {
			t.Fatalf("%q: address %q", text, s.Addr)
		}
		again, err := Parse(s.String())
		if s.User, s.Password = "", ""; err != nil || again != s {
			t.Fatalf("%q is %+v, then %+v, %v", text, s, again, err)
		}
	})
}

// FuzzReadReply reads replies of SOCKS proxies, writes what it has read, and
// leaves what follows alone.
func FuzzReadReply(f *testing.F) {
	f.Add([]byte("\x05\x00\x00\x01\x7f\x00\x00\x01\x00\x15220 hi"))
	f.Add([]byte("\x05\x00\x00\x03\x01h\x00\x15"))
	f.Add([]byte("\x05\x00\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00\x15"))
	f.Add([]byte("\x05\x02"))
	f.Fuzz(func(t *testing.T, b []byte) {
		r := bytes.NewReader(b)
		a, err := readReply(r)
		if err != nil {
			return
		}
		again := appendAddress([]byte{socksVersion, 0, b[2]}, a)
		if want := b[:len(b)-r.Len()]; !bytes.Equal(again, want) {
			t.Fatalf("read %v of %x, and wrote %x", a, want, again)
		}
	})
}

// FuzzReadAnswer reads headers of HTTP proxies.
func FuzzReadAnswer(f *testing.F) {
	f.Add([]byte("HTTP/1.1 200 OK\r\nVia: x\r\n\r\n220 hi"))
	f.Add([]byte("HTTP/1.1 100 Wait\r\n\r\nHTTP/1.0 200\n\n"))
	f.Add([]byte("HTTP/1.1 407 Who?\r\n\r\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		r := bytes.NewReader(b)
		err := readAnswer(r)
		read := b[:len(b)-r.Len()]
		if len(read) > maxHeader {
			t.Fatalf("%d bytes were read", len(read))
		}
		if err == nil && !bytes.HasSuffix(read, []byte("\n\r\n")) && !bytes.HasSuffix(read, []byte("\n\n")) {
			t.Fatalf("a header that ends %q", read)
		}
	})
}

// scripted is a proxy that reads as many bytes as each line of a script is long
// and answers with the next, whatever it was asked.
func scripted(t *testing.T, answers ...string) (addr string) {
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
			go func() {
				defer c.Close()
				defer func() { // what is left unread would make a reset of the end
					_ = c.(*net.TCPConn).CloseWrite()
					_, _ = io.Copy(io.Discard, c)
				}()
				_ = c.SetDeadline(time.Now().Add(time.Minute))
				buf := make([]byte, 4096)
				for _, a := range answers {
					if _, err := c.Read(buf); err != nil {
						return
					}
					if _, err := io.WriteString(c, a); err != nil {
						return
					}
				}
			}()
		}
	}()
	return l.Addr().String()
}

// TestHostile: what proxies should not say ends in an error that names the proxy
// and tells what was wrong.
func TestHostile(t *testing.T) {
	t.Parallel()
	const hello = "\x05\x00"
	endless := strings.Repeat("Via: nowhere, and back again\r\n", 2000)
	for _, test := range []struct {
		name    string
		http    bool
		answers []string
		is      error
		want    string
	}{
		{"SOCKS4", false, []string{"\x00\x5a"}, ErrProtocol, "version 0"},
		{"hangs up", false, nil, io.ErrUnexpectedEOF, "hung up"},
		{"half a greeting", false, []string{"\x05"}, io.ErrUnexpectedEOF, "hung up"},
		{"wants a login", false, []string{"\x05\xff"}, ErrLogin, "wants one"},
		{"takes what was not offered", false, []string{"\x05\x02"}, ErrProtocol, "not offered"},
		{"reply of another version", false, []string{hello, "\x04\x00\x00\x01"}, ErrProtocol, "version 4"},
		{"forbids", false, []string{hello, "\x05\x02"}, ReplyError(2), "rules"},
		{"unknown code", false, []string{hello, "\x05\x63"}, ReplyError(99), "99"},
		{"unknown address", false, []string{hello, "\x05\x00\x00\x02\x00\x00\x00\x00\x00\x00"}, ErrProtocol, "type 2"},
		{"empty name", false, []string{hello, "\x05\x00\x00\x03\x00\x00\x00"}, ErrProtocol, "empty name"},
		{"half an address", false, []string{hello, "\x05\x00\x00\x01\x7f"}, io.ErrUnexpectedEOF, "hung up"},
		{"HTTP says no", true, []string{"HTTP/1.1 403 Forbidden\r\n\r\n"}, statusError(403), "port 443"},
		{"HTTP wants a login", true, []string{"HTTP/1.1 407 \x1b[31m\r\n\r\n"}, ErrLogin, "407"},
		{"not HTTP", true, []string{"220 FTP here\r\n\r\n"}, ErrProtocol, "220 FTP"},
		{"no line at all", true, []string{strings.Repeat("x", 2*maxHeader)}, ErrProtocol, "16384"},
		{"endless header", true, []string{"HTTP/1.1 200 OK\r\n" + endless}, ErrProtocol, "16384"},
		{"endless 100", true, []string{strings.Repeat("HTTP/1.1 100 Wait\r\n\r\n", 2000)}, ErrProtocol, "16384"},
		{"half a header", true, []string{"HTTP/1.1 200 OK\r\nVia: x\r\n"}, io.ErrUnexpectedEOF, "hung up"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			addr := scripted(t, test.answers...)
			var d ContextDialer = &SOCKS5{Addr: addr}
			if test.http {
				d = &HTTP{Addr: addr}
			}
			c, err := d.DialContext(t.Context(), "tcp", "192.0.2.1:21")
			if err == nil {
				_ = c.Close()
				t.Fatal("it was believed")
			}
			e, ok := errors.AsType[*Error](err)
			if !ok || e.Proxy != addr || e.Target != "192.0.2.1:21" || !errors.Is(err, test.is) || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "\x1b") {
				t.Errorf("%v, want %q", err, test.want)
			}
		})
	}
	t.Run("silent", func(t *testing.T) {
		t.Parallel()
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		for _, d := range []ContextDialer{&SOCKS5{Addr: l.Addr().String()}, &HTTP{Addr: l.Addr().String()}} {
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			if _, err := d.DialContext(ctx, "tcp", "192.0.2.1:21"); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%v, want the end of the context", err)
			}
			cancel()
		}
	})
	t.Run("bound nowhere", func(t *testing.T) {
		t.Parallel()
		for _, at := range []string{"\x01\x7f\x00\x00\x01\x00\x00", "\x03\x01h\x00\x15"} {
			if _, err := (&SOCKS5{Addr: scripted(t, hello, "\x05\x00\x00"+at)}).Bind(t.Context(), "192.0.2.1:21"); !errors.Is(err, ErrProtocol) {
				t.Errorf("%q: %v", at, err)
			}
		}
	})
	t.Run("login refused", func(t *testing.T) {
		t.Parallel()
		p := &SOCKS5{Addr: scripted(t, "\x05\x02", "\x01\x01"), User: "alice", Password: "secret"}
		if _, err := p.DialContext(t.Context(), "tcp", "192.0.2.1:21"); !errors.Is(err, ErrLogin) || strings.Contains(err.Error(), "secret") {
			t.Error(err)
		}
	})
}

// TestNoByteTooMany: what the server says at once is not taken for a reply of
// the proxy, and is not lost.
func TestNoByteTooMany(t *testing.T) {
	t.Parallel()
	for _, d := range []ContextDialer{
		&SOCKS5{Addr: scripted(t, "\x05\x00", "\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00220 Welcome.")},
		&HTTP{Addr: scripted(t, "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n220 Welcome.")},
	} {
		c, err := d.DialContext(t.Context(), "tcp", "192.0.2.1:21")
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(c)
		if string(b) != "220 Welcome." || err != nil {
			t.Errorf("%T: %q, %v", d, b, err)
		}
		if p := c.(*Conn); p.Peer() != netip.MustParseAddr("192.0.2.1") || reflect.TypeOf(p.NetConn()) != reflect.TypeFor[*net.TCPConn]() {
			t.Errorf("%T: peer %v by %T", d, p.Peer(), p.NetConn())
		}
		_ = c.Close()
	}
}

// TestSmuggling: no name of a host makes a second line of a request.
func TestSmuggling(t *testing.T) {
	t.Parallel()
	p := &HTTP{Addr: "127.0.0.1:1"}
	for _, addr := range []string{"h\r\nX: y:21", "h x:21", "h", ":21", "h:21\r\n", "h/x:21"} {
		if _, err := p.DialContext(t.Context(), "tcp", addr); err == nil || !strings.Contains(err.Error(), "host:port") {
			t.Errorf("%q: %v", addr, err)
		}
	}
}
