package doors

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"towpath/ftpclient/proxy"
)

const long = 30 * time.Second

var everybody = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}

func listen(t testing.TB) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() }) // a second time, mostly
	return l
}

func dial(t testing.TB, l net.Listener) *net.TCPConn {
	t.Helper()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() }) // a second time, mostly
	if err := c.SetDeadline(time.Now().Add(long)); err != nil {
		t.Fatal(err)
	}
	return c.(*net.TCPConn)
}

// accept takes the next connection that has come through a door.
func accept(t testing.TB, l net.Listener) *Conn {
	t.Helper()
	got, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = got.Close() }) // a second time, mostly
	if err := got.SetDeadline(time.Now().Add(long)); err != nil {
		t.Fatal(err)
	}
	return got.(*Conn)
}

func send(t testing.TB, w io.Writer, b []byte) {
	t.Helper()
	if _, err := w.Write(b); err != nil {
		t.Fatal(err)
	}
}

// hear reads as many bytes as are wanted, and compares them.
func hear(t testing.TB, r io.Reader, want string) {
	t.Helper()
	b := make([]byte, len(want))
	if n, err := io.ReadFull(r, b); err != nil || string(b) != want {
		t.Fatalf("%q, %v; want %q", b[:n], err, want)
	}
}

func TestBalanced(t *testing.T) {
	t.Parallel()
	v2 := func(client, local string) []byte {
		var b bytes.Buffer
		if err := Announce(&b, 2, netip.MustParseAddrPort(client), netip.MustParseAddrPort(local)); err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
	for _, tt := range []struct {
		name            string
		header          []byte
		client, reached string // client "" is the balancer itself
	}{
		{"version 1", []byte("PROXY TCP4 203.0.113.9 198.51.100.1 40000 21\r\n"), "203.0.113.9:40000", "198.51.100.1:21"},
		{"version 1, IPv6", []byte("PROXY TCP6 2001:db8::9 2001:db8::1 40000 21\r\n"), "[2001:db8::9]:40000", "[2001:db8::1]:21"},
		{"version 1, unknown", []byte("PROXY UNKNOWN\r\n"), "", ""},
		{"version 2", v2("203.0.113.9:40000", "198.51.100.1:21"), "203.0.113.9:40000", "198.51.100.1:21"},
		{"version 2, both families", v2("203.0.113.9:40000", "[2001:db8::1]:21"), "203.0.113.9:40000", "[2001:db8::1]:21"},
		{"version 2, local", append(append([]byte{}, v2("203.0.113.9:1", "198.51.100.1:21")[:12]...), 0x20, 0, 0, 3, 1, 2, 3), "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			l := Balanced(listen(t), everybody, nil)
			defer l.Close()
			out := dial(t, l)
			// In two pieces, and with what the client says right behind.
			send(t, out, tt.header[:5])
			send(t, out, append(append([]byte{}, tt.header[5:]...), "USER anna\r\n"...))
			c := accept(t, l)
			want := tt.client
			if want == "" {
				want = out.LocalAddr().String()
			}
			if got := addrPort(c.RemoteAddr()).String(); got != want {
				t.Errorf("the client is %s, want %s", got, want)
			}
			if got := c.Reached(); tt.reached != "" && got.String() != tt.reached || tt.reached == "" && got.IsValid() {
				t.Errorf("he called at %v, want %s", got, tt.reached)
			}
			if c.LocalAddr().String() != l.Addr().String() {
				t.Errorf("our end is %v", c.LocalAddr())
			}
			hear(t, c, "USER anna\r\n")
		})
	}
}

func TestBalancedRefuses(t *testing.T) {
	t.Parallel()
	for _, header := range []string{
		"USER anna\r\nPASS secret\r\n",
		"PROXY TCP4 203.0.113.9 198.51.100.1 40000\r\n",
		"PROXY TCP4 203.0.113.999 198.51.100.1 40000 21\r\n",
		"PROXY UDP4 203.0.113.9 198.51.100.1 40000 21\r\n",
		"PROXY " + strings.Repeat("x", 200) + "\r\n",
		"PROXY\r\nUSER anna\r\n",
		"\r\n\r\n\x00\r\nQUIT\n\x31\x11\x00\x0c", // version 3
		"\r\n\r\n\x00\r\nQUIT\n\x21\x11\xff\xff",
		"\r\n\r\n\x00\r\nQUIT\n\x21\x12\x00\x0c" + strings.Repeat("x", 12), // UDP
		"",
	} {
		t.Run("", func(t *testing.T) {
			t.Parallel()
			l := Balanced(listen(t), everybody, nil)
			defer l.Close()
			out := dial(t, l)
			send(t, out, []byte(header))
			end(t, out)
			if b, err := io.ReadAll(out); len(b) > 0 || errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%q is answered %q, %v", header, b, err)
			}
			// The next one is served.
			next := dial(t, l)
			send(t, next, []byte("PROXY UNKNOWN\r\n"))
			if c := accept(t, l); c.RemoteAddr().String() != next.LocalAddr().String() {
				t.Errorf("%q came in as %v", header, c.RemoteAddr())
			}
		})
	}
}

// end says that no more will be said. The door may be shut already.
func end(t *testing.T, c *net.TCPConn) {
	t.Helper()
	if err := c.CloseWrite(); err != nil && !errors.Is(err, syscall.ENOTCONN) {
		t.Fatal(err)
	}
}

// Who is not trusted is nobody but himself.
func TestBalancedStranger(t *testing.T) {
	t.Parallel()
	l := Balanced(listen(t), []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}, nil)
	defer l.Close()
	out := dial(t, l)
	const line = "PROXY TCP4 203.0.113.9 198.51.100.1 40000 21\r\n"
	send(t, out, []byte(line))
	c := accept(t, l)
	if c.RemoteAddr().String() != out.LocalAddr().String() {
		t.Errorf("a stranger is taken for %v", c.RemoteAddr())
	}
	hear(t, c, line)
}

// One who says nothing keeps nobody out, and goes when the door is closed.
func TestSilence(t *testing.T) {
	t.Parallel()
	l := Balanced(listen(t), everybody, nil)
	silent := dial(t, l)
	out := dial(t, l)
	send(t, out, []byte("PROXY UNKNOWN\r\n"))
	accept(t, l)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept after Close: %v", err)
	}
	if n, err := silent.Read(make([]byte, 1)); n != 0 || err == nil {
		t.Errorf("read %d, %v", n, err)
	} else if e, ok := errors.AsType[net.Error](err); ok && e.Timeout() {
		t.Error("the silent one is still there")
	}
}

// Who has come in stays when the door is closed behind him.
func TestClosedBehind(t *testing.T) {
	t.Parallel()
	for range 50 {
		l := Balanced(listen(t), everybody, nil)
		out := dial(t, l)
		send(t, out, []byte("PROXY UNKNOWN\r\n"))
		in, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		send(t, in, []byte("220 Ahoy.\r\n"))
		hear(t, out, "220 Ahoy.\r\n")
		_ = in.Close() // all was read
	}
}

func TestAccepted(t *testing.T) {
	t.Parallel()
	for _, trusted := range []bool{true, false} {
		l := listen(t)
		out := dial(t, l)
		in, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer in.Close()
		nets := everybody
		want := "203.0.113.9:40001"
		if trusted {
			if err := Announce(out, 1, netip.MustParseAddrPort(want), netip.MustParseAddrPort("198.51.100.1:50000")); err != nil {
				t.Fatal(err)
			}
		} else {
			nets, want = nil, out.LocalAddr().String()
		}
		send(t, out, []byte("bytes of a file"))
		peer, err := Accepted(nets)(t.Context(), in.(*net.TCPConn))
		if err != nil || peer.String() != want {
			t.Errorf("the peer is %v, %v; want %s", peer, err, want)
		}
		hear(t, in, "bytes of a file")
	}
	// Nobody waits for a balancer that says nothing.
	l := listen(t)
	dial(t, l)
	in, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Accepted(everybody)(ctx, in.(*net.TCPConn)); err == nil {
		t.Error("no header came, and that is fine")
	}
}

func FuzzHeader(f *testing.F) {
	for _, s := range []string{"203.0.113.9:1", "[2001:db8::9]:65535"} {
		for v := 1; v <= 2; v++ {
			var b bytes.Buffer
			if err := Announce(&b, v, netip.MustParseAddrPort(s), netip.MustParseAddrPort("198.51.100.1:21")); err != nil {
				f.Fatal(err)
			}
			f.Add(append(b.Bytes(), "USER a\r\n"...))
		}
	}
	f.Add([]byte("PROXY UNKNOWN ffff\r\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		r := bytes.NewReader(b)
		client, reached, err := readHeader(r)
		if err != nil || !client.IsValid() {
			return
		}
		// It ends where its own length says, and says the same once more.
		read := len(b) - r.Len()
		if again, at, err := readHeader(bytes.NewReader(b[:read])); err != nil || again != client || at != reached {
			t.Fatalf("%q: %v, %v, %v", b[:read], again, at, err)
		}
		var c bytes.Buffer
		if err := Announce(&c, 2, client, reached); err != nil {
			t.Fatal(err)
		}
		if again, at, err := readHeader(&c); err != nil || again != client || at != reached {
			t.Fatalf("%v at %v became %v at %v, %v", client, reached, again, at, err)
		}
	})
}

// door opens a SOCKS door, and shows how our own client comes through it.
func door(t testing.TB, s *SOCKS) (net.Listener, *proxy.SOCKS5) {
	t.Helper()
	l := s.Listen(listen(t))
	t.Cleanup(func() { _ = l.Close() }) // a second time, mostly
	return l, &proxy.SOCKS5{Addr: l.Addr().String(), RemoteNames: true}
}

func TestSOCKS(t *testing.T) {
	t.Parallel()
	for _, to := range []string{"ftp.example.org:21", "192.0.2.1:2121", "[2001:db8::1]:990"} {
		l, client := door(t, &SOCKS{})
		out, err := client.DialContext(t.Context(), "tcp", to)
		if err != nil {
			t.Fatal(err)
		}
		defer out.Close()
		c := accept(t, l)
		if c.Wanted() != to {
			t.Errorf("wanted is %q, want %q", c.Wanted(), to)
		}
		send(t, out, []byte("USER anna\r\n"))
		hear(t, c, "USER anna\r\n")
		send(t, c, []byte("220 Hello\r\n"))
		hear(t, out, "220 Hello\r\n")
	}
}

func TestSOCKSRefuses(t *testing.T) {
	t.Parallel()
	_, client := door(t, &SOCKS{
		Allow: func(_ context.Context, client netip.AddrPort, wanted string) error {
			if !client.Addr().IsLoopback() {
				t.Errorf("the client is %v", client)
			}
			return errors.New(wanted + " is not allowed")
		},
	})
	_, err := client.DialContext(t.Context(), "tcp", "ftp.example.org:21")
	if code, ok := errors.AsType[proxy.ReplyError](err); !ok || code != notAllowed {
		t.Errorf("%v; want code %d", err, notAllowed)
	}
	_, err = client.Bind(t.Context(), "192.0.2.1:21")
	if code, ok := errors.AsType[proxy.ReplyError](err); !ok || code != noCommand {
		t.Errorf("BIND: %v; want code %d", err, noCommand)
	}
}

func TestSOCKSLogin(t *testing.T) {
	t.Parallel()
	l, client := door(t, &SOCKS{Login: func(user, password string) bool { return user == "anna" && password == "secret" }})
	for _, tt := range []struct {
		user, password string
		ok             bool
	}{{"", "", false}, {"anna", "wrong", false}, {"anna", "secret", true}} {
		client.User, client.Password = tt.user, tt.password
		out, err := client.DialContext(t.Context(), "tcp", "ftp.example.org:21")
		if (err == nil) != tt.ok || err != nil && !errors.Is(err, proxy.ErrLogin) {
			t.Errorf("%s: %v", tt.user, err)
		}
		if err == nil {
			accept(t, l)
			_ = out.Close() // nothing was sent
		}
	}
}

// What is no SOCKS5 is closed, whatever it is.
func TestSOCKSNonsense(t *testing.T) {
	t.Parallel()
	for _, said := range []string{
		"", "USER anna\r\n", "\x04\x01\x00\x15\xc0\x00\x02\x01\x00", "\x05\x00", "\x05\x01\x02",
		"\x05\x01\x00\x05\x01\x00\x09\x01\x02\x03\x04\x00\x15", // no such type of address
		"\x05\x01\x00\x05\x01\x00\x03\x00\x00\x15",             // an empty name
		"\x05\x01\x00\x05\x01\x00\x03\x03a\nb\x00\x15",
		"\x05\x01\x00\x05\x01\x00\x01\xc0\x00\x02\x01\x00\x00", // port 0
		"\x05\x01\x00\x05\x03\x00\x01\xc0\x00\x02\x01\x00\x15", // UDP
		"\x05\x01\x00\x04\x01\x00\x01\xc0\x00\x02\x01\x00\x15",
	} {
		t.Run("", func(t *testing.T) {
			t.Parallel()
			l, _ := door(t, &SOCKS{})
			out := dial(t, l)
			send(t, out, []byte(said))
			end(t, out)
			b, err := io.ReadAll(out)
			if e, ok := errors.AsType[net.Error](err); ok && e.Timeout() {
				t.Errorf("%q is still waited for", said)
			}
			if len(b) >= 4 && b[3] == succeeded {
				t.Errorf("%q is answered %q", said, b)
			}
		})
	}
}

// Data connections are made here as well, and the gateway hears whose they are.
func TestSOCKSData(t *testing.T) {
	t.Parallel()
	inner := listen(t) // where the gateway has announced to listen
	port := addrPort(inner.Addr()).Port()
	s := &SOCKS{Data: func(p uint16) bool { return p == port }}
	l, client := door(t, s)
	at := inner.Addr().String()

	// Before there is a session, that port is nothing special.
	early, err := client.DialContext(t.Context(), "tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	c := accept(t, l)
	if c.Wanted() != at {
		t.Errorf("wanted is %q", c.Wanted())
	}
	if err := errors.Join(c.Close(), early.Close()); err != nil {
		t.Fatal(err)
	}

	control, err := client.DialContext(t.Context(), "tcp", "ftp.example.org:21")
	if err != nil {
		t.Fatal(err)
	}
	defer control.Close()
	c = accept(t, l)
	hosts := []string{at, net.JoinHostPort("ftp.example.org", at[strings.LastIndexByte(at, ':')+1:])} // 227, and 229
	for _, host := range hosts {
		out, err := client.DialContext(t.Context(), "tcp", host)
		if err != nil {
			t.Fatal(err)
		}
		defer out.Close()
		raw, err := inner.Accept()
		if err != nil {
			t.Fatal(err)
		}
		in := raw.(*net.TCPConn)
		peer, err := s.Accepted(nil)(t.Context(), in)
		if want := out.LocalAddr().String(); err != nil || peer.String() != want {
			t.Errorf("the peer is %v, %v; want %s", peer, err, want)
		}
		send(t, in, []byte("a file"))
		if err := in.Close(); err != nil {
			t.Fatal(err)
		}
		if b, err := io.ReadAll(out); err != nil || string(b) != "a file" {
			t.Errorf("%q, %v", b, err)
		}
	}

	// A file that is cut does not look whole.
	out, err := client.DialContext(t.Context(), "tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	raw, err := inner.Accept()
	if err != nil {
		t.Fatal(err)
	}
	send(t, raw, []byte("half"))
	hear(t, out, "half")
	if err := errors.Join(raw.(*net.TCPConn).SetLinger(0), raw.Close()); err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(out); err == nil {
		t.Errorf("a reset became the end of a file: %q", b)
	}

	// Others are whoever they are.
	stranger := dial(t, inner)
	raw, err = inner.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	if peer, err := s.Accepted(nil)(t.Context(), raw.(*net.TCPConn)); err != nil || peer.String() != stranger.LocalAddr().String() {
		t.Errorf("a stranger is %v, %v", peer, err)
	}

	// The session is over, and its port is nothing special any more.
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if s.knows(addrPort(control.LocalAddr()).Addr(), "ftp.example.org") {
		t.Error("a session that is closed is remembered")
	}
}

func FuzzSOCKS(f *testing.F) {
	for _, s := range []string{
		"\x05\x01\x00\x05\x01\x00\x01\xc0\x00\x02\x01\x00\x15rest", "\x05\x01\x00\x05\x01\x00\x03\x03a.b\x00\x15",
		"\x05\x02\x00\x02\x05\x02\x00\x04" + strings.Repeat("\x20", 16) + "\x00\x15",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r := bytes.NewReader(b)
		s := &SOCKS{}
		if err := s.greet(struct {
			io.Reader
			io.Writer
		}{r, io.Discard}, netip.Addr{}); err != nil {
			return
		}
		_, host, port, err := readRequest(r)
		if err != nil {
			return
		}
		if host == "" || len(host) > 255 || port == 0 || strings.ContainsAny(host, " \r\n\x00") {
			t.Fatalf("%q leads to %q port %d", b, host, port)
		}
	})
}
