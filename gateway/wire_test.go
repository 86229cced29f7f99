package gateway_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"towpath/ftp"
	"towpath/gateway"
)

// wire is a session whose two ends are the test's: what the client says and what
// the server hears is compared byte for byte.
type wire struct {
	t              testing.TB
	g              *stand
	l              net.Listener
	client, server net.Conn
	cin, sin       *bufio.Reader
}

func listenOr(t testing.TB, at string) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", at)
	if err != nil {
		if strings.Contains(at, "::1") {
			t.Skipf("no IPv6 here: %v", err)
		}
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

// newWire opens a session to a server at host, which greets.
func newWire(t testing.TB, host string, options ...func(*gateway.Options)) *wire {
	t.Helper()
	w := &wire{t: t, l: listenOr(t, net.JoinHostPort(host, "0"))}
	w.g = serve(t, w.l.Addr().String(), options...)
	w.open(w.g.addr)
	return w
}

func (w *wire) open(addr string) {
	w.t.Helper()
	var err error
	if w.client, err = net.Dial("tcp", addr); err != nil {
		w.t.Fatal(err)
	}
	if w.server, err = w.l.Accept(); err != nil {
		w.t.Fatal(err)
	}
	for _, c := range []net.Conn{w.client, w.server} {
		_ = c.SetDeadline(time.Now().Add(time.Minute))
		w.t.Cleanup(func() { _ = c.Close() })
	}
	w.cin, w.sin = bufio.NewReader(w.client), bufio.NewReader(w.server)
	w.answer("220 Ahoy.\r\n")
	w.hears("220 Ahoy.\r\n")
}

func (w *wire) login() {
	w.t.Helper()
	w.turn("USER anna\r\n", "331 Password?\r\n")
	w.turn("PASS x\r\n", "230 Welcome.\r\n")
}

// say is said by the client, gets is what the server gets; answer is said by the
// server, hears what the client hears.
func (w *wire) say(s string)    { w.write(w.client, s) }
func (w *wire) answer(s string) { w.t.Helper(); w.write(w.server, s) }

func (w *wire) gets(s string)  { w.t.Helper(); w.read("the server", w.sin, s) }
func (w *wire) hears(s string) { w.t.Helper(); w.read("the client", w.cin, s) }

func (w *wire) write(c net.Conn, s string) {
	w.t.Helper()
	if _, err := io.WriteString(c, s); err != nil {
		w.t.Fatal(err)
	}
}

func (w *wire) read(who string, in *bufio.Reader, want string) {
	w.t.Helper()
	got := make([]byte, len(want))
	n, err := io.ReadFull(in, got)
	if string(got[:n]) != want {
		w.t.Fatalf("%s got %q (%v), want %q", who, got[:n], err, want)
	}
}

// line is what one of the two hears next.
func (w *wire) line(in *bufio.Reader) string {
	w.t.Helper()
	s, err := in.ReadString('\n')
	if err != nil {
		w.t.Fatal(err)
	}
	return strings.TrimRight(s, "\r\n")
}

func (w *wire) turn(command, reply string) {
	w.t.Helper()
	w.say(command)
	w.gets(command)
	w.answer(reply)
	w.hears(reply)
}

func at(l net.Listener) netip.AddrPort { return netip.MustParseAddrPort(l.Addr().String()) }

// All that carries no addresses passes as it came.
func TestBytesPass(t *testing.T) {
	t.Parallel()
	w := newWire(t, "127.0.0.1")
	w.login()
	for _, turn := range [][2]string{
		{"NOOP\n", "200 fine\n"},
		{"cwd  sea  \r\n", "250-one\r\n 227 (1,2,3,4,5,6)\r\n\r\n250-two\r\n250 end\r\n"},
		{"SITE \xff\xffx\xfe\r\n", "200 \xff\xff\xe9\r\n"},
		{"XYZZY 1 2 3\r\n", "500\r\n"},
		{"STAT\r\n", "211-Status\r\n227 Entering Passive Mode (127,0,0,1,9,9)\r\n211 End\r\n"},
		{"MKD a\"b\r\n", "257 \"a\"\"b\" made\r\n"},
	} {
		w.turn(turn[0], turn[1])
	}
	w.say("\r\n\r\nPWD\r\n") // servers pass over empty lines
	w.turn("", "")
	w.gets("PWD\r\n")
	w.answer("257 \"/\"\r\n")
	w.hears("257 \"/\"\r\n")
}

// What stalls or blinds a helper that reads segments.
func TestOddAnnouncements(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ say, answer string }{
		"split":               {"PA|SV\r|\n", "22|7 Entering (|127,0,0,1,%s|)\r|\n"},
		"LF alone":            {"PASV\n", "227 Entering Passive Mode (127,0,0,1,%s)\n"},
		"small letters":       {"pasv\r\n", "227 =127,0,0,1,%s\r\n"},
		"no parentheses":      {"PASV\r\n", "227 Entering Passive Mode 127,0,0,1,%s\r\n"},
		"zeros":               {"PASV\r\n", "227 (0,0,0,0,%s)\r\n"},
		"blanks":              {"PASV \r\n", "227 ( 127 , 0,0,1, %s )\r\n"},
		"several lines":       {"PASV\r\n", "227-Here it comes\r\n 1,2,3,4,5,6\r\n227 Entering Passive Mode (127,0,0,1,%s)\r\n"},
		"EPSV 1":              {"EPSV 1\r\n", "229 Extended (|||%d|)\r\n"},
		"EPSV":                {"EPSV\r\n", "229 Extended (|||%d|).\r\n"},
		"Telnet in the verb":  {"PA\xff\xf1SV\r\n", "227 (127,0,0,1,%s)\r\n"},
		"another's own words": {"P@SW\r\n", "227 (127,0,0,1,%s)\r\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWire(t, "127.0.0.1")
			w.login()
			data := listenOr(t, "127.0.0.1:0")
			port := at(data).Port()
			for piece := range strings.SplitSeq(c.say, "|") {
				w.say(piece)
			}
			verb := "PASV"
			if strings.Contains(c.say, "EPSV") {
				verb = "EPSV"
			}
			w.gets(verb + "\r\n")
			answer := strings.ReplaceAll(c.answer, "%s", fmt.Sprintf("%d,%d", port>>8, port&255))
			pieces := strings.Split(answer, "|")
			if verb == "EPSV" {
				pieces = []string{strings.ReplaceAll(answer, "%d", fmt.Sprint(port))}
			}
			for _, piece := range pieces {
				w.answer(piece)
			}
			got := w.line(w.cin)
			var told netip.AddrPort
			var err error
			if verb == "EPSV" {
				told, err = ftp.ParseExtendedPassive(strings.TrimPrefix(got, "229 "))
			} else {
				told, err = ftp.ParsePassive(strings.TrimPrefix(got, "227 "))
			}
			if err != nil || told.Port() == port {
				t.Fatalf("told %q: %v", got, err)
			}
			w.carries(told.Port(), data)
		})
	}
}

// carries has the client fetch what the server sends.
func (w *wire) carries(port uint16, data net.Listener) {
	w.t.Helper()
	c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		w.t.Fatal(err)
	}
	w.say("RETR sea\r\n")
	w.gets("RETR sea\r\n")
	s, err := data.Accept()
	if err != nil {
		w.t.Fatal(err)
	}
	w.answer("150 Here.\r\n")
	w.write(s, "salt")
	_ = s.Close()
	w.answer("226 Done.\r\n")
	w.hears("150 Here.\r\n")
	w.hears("226 Done.\r\n")
	if got := readAll(w.t, c); got != "salt" {
		w.t.Fatalf("%q", got)
	}
}

// A client that sends everything ahead gets every answer in its place, those of
// the gateway too.
func TestSentAhead(t *testing.T) {
	t.Parallel()
	w := newWire(t, "127.0.0.1")
	w.login()
	data := listenOr(t, "127.0.0.1:0")
	w.say("NOOP\r\nPORT 192,0,2,1,9,9\r\nTYPE I\r\nPASV\r\nNOOP\r\nPASV x\r\nQUIT\r\n")
	w.gets("NOOP\r\nTYPE I\r\nPASV\r\n")
	w.answer("200 a\r\n")
	w.answer("200 b\r\n")
	w.hears("200 a\r\n501 PORT names 192.0.2.1, but you come from 127.0.0.1; data goes to your own address only. Try passive mode.\r\n200 b\r\n")
	w.answer(fmt.Sprintf("227 (127,0,0,1,%d,%d)\r\n", at(data).Port()>>8, at(data).Port()&255))
	if got := w.line(w.cin); !strings.HasPrefix(got, "227 ") {
		t.Fatal(got)
	}
	w.gets("NOOP\r\nPASV\r\n")
	w.answer("200 c\r\n425 no\r\n")
	w.gets("QUIT\r\n")
	w.answer("221 bye\r\n")
	w.hears("200 c\r\n425 no\r\n221 bye\r\n")
}

// ABOR with Synch reaches the server with it, and overtakes an announcement that
// waits for the transfer to end.
func TestAbor(t *testing.T) {
	t.Parallel()
	w := newWire(t, "127.0.0.1")
	w.login()
	w.say("NOOP\r\nPASV\r\n\xff\xf4\xf2ABOR\r\n")
	w.gets("NOOP\r\nPASV\r\n")
	got := w.line(w.sin)
	if !strings.HasSuffix(got, "ABOR") || !strings.HasPrefix(got, "\xff\xf4") {
		t.Fatalf("%q", got)
	}
	w.answer("200 a\r\n425 b\r\n226 c\r\n")
	w.hears("200 a\r\n425 b\r\n226 c\r\n")
}

// TestFamilies has an IPv4 client and an IPv6 server, and the reverse.
func TestFamilies(t *testing.T) {
	t.Parallel()
	t.Run("IPv4 to IPv6", func(t *testing.T) {
		t.Parallel()
		w := newWire(t, "::1")
		w.login()
		data := listenOr(t, "[::1]:0")
		w.say("PASV\r\n")
		w.gets("EPSV\r\n")
		w.answer(fmt.Sprintf("229 (|||%d|)\r\n", at(data).Port()))
		told, err := ftp.ParsePassive(strings.TrimPrefix(w.line(w.cin), "227 "))
		if err != nil {
			t.Fatal(err)
		}
		w.carries(told.Port(), data)

		own := listenOr(t, "127.0.0.1:0")
		w.say("PORT " + ftp.FormatHostPort(at(own)) + "\r\n")
		c, err := ftp.ParseCommand(w.line(w.sin))
		if err != nil || c.Verb != "EPRT" {
			t.Fatal(c, err)
		}
		if _, err := ftp.ParseEPRT(c.Arg); err != nil {
			t.Fatal(err)
		}
		w.answer("200 EPRT fine.\r\n")
		w.hears("200 PORT command successful.\r\n")
		if r := w.g.Records(); len(r) != 1 || len(r[0].Data) != 2 || r[0].Data[1].ServerTold == "" {
			t.Errorf("%+v", r)
		}
	})
	t.Run("IPv6 to IPv4", func(t *testing.T) {
		t.Parallel()
		front := listenOr(t, "[::1]:0")
		w := &wire{t: t, l: listenOr(t, "127.0.0.1:0")}
		w.g = serve(t, w.l.Addr().String())
		go func() { _ = w.g.Serve(front) }()
		w.open(front.Addr().String())
		w.login()
		w.say("PASV\r\n")
		w.hears("425 PASV can tell IPv4 addresses only, and you came by IPv6; use EPSV.\r\n")
		w.say("EPSV 1\r\n")
		w.hears("522 Network protocol not supported, use (2)\r\n")
		// The server does not know EPSV, and is asked for PASV in its place.
		data := listenOr(t, "127.0.0.1:0")
		w.say("EPSV\r\n")
		w.gets("EPSV\r\n")
		w.answer("500 What?\r\n")
		w.gets("PASV\r\n")
		w.answer("227 (" + ftp.FormatHostPort(at(data)) + ")\r\n")
		told, err := ftp.ParseExtendedPassive(strings.TrimPrefix(w.line(w.cin), "229 "))
		if err != nil {
			t.Fatal(err)
		}
		c, err := net.Dial("tcp", fmt.Sprintf("[::1]:%d", told.Port()))
		if err != nil {
			t.Fatal(err)
		}
		_ = c.Close()
		w.say("EPSV\r\n")
		w.gets("PASV\r\n") // it has learned
		w.answer("425 no\r\n")
		w.hears("425 no\r\n")
	})
}

// The client hears why there was no data connection, and soon, though the server
// says nothing or something else.
func TestNoDataConnection(t *testing.T) {
	t.Parallel()
	t.Run("nobody listens at the server", func(t *testing.T) {
		t.Parallel()
		w := newWire(t, "127.0.0.1")
		w.login()
		data := listenOr(t, "127.0.0.1:0")
		_ = data.Close()
		w.say("PASV\r\n")
		w.gets("PASV\r\n")
		w.answer("227 (" + ftp.FormatHostPort(at(data)) + ")\r\n")
		told, err := ftp.ParsePassive(strings.TrimPrefix(w.line(w.cin), "227 "))
		if err != nil {
			t.Fatal(err)
		}
		w.say("RETR sea\r\nNOOP\r\n")
		w.gets("RETR sea\r\nNOOP\r\n")
		w.answer("150 Here.\r\n")
		w.hears("150 Here.\r\n")
		if c, err := net.Dial("tcp", told.String()); err == nil { // it may be cut at once
			defer c.Close()
		}
		w.hears(fmt.Sprintf("425 The server at %v does not answer: connection refused.\r\n", at(data)))
		w.gets("ABOR\r\n")
		w.answer("426 aborted\r\n200 noop\r\n226 abor\r\n")
		w.hears("200 noop\r\n")
		w.turn("NOOP\r\n", "200 on it goes\r\n")
	})
	t.Run("nobody listens at the client", func(t *testing.T) {
		t.Parallel()
		w := newWire(t, "127.0.0.1")
		w.login()
		own := listenOr(t, "127.0.0.1:0")
		_ = own.Close()
		w.say("PORT " + ftp.FormatHostPort(at(own)) + "\r\n")
		c, err := ftp.ParseCommand(w.line(w.sin))
		if err != nil {
			t.Fatal(err)
		}
		to, err := ftp.ParseHostPort(c.Arg)
		if err != nil {
			t.Fatal(err)
		}
		w.answer("200 PORT fine.\r\n")
		w.hears("200 PORT fine.\r\n")
		w.say("RETR sea\r\n")
		w.gets("RETR sea\r\n")
		s, err := net.Dial("tcp", to.String())
		w.answer("150 Here.\r\n")
		if err == nil { // it may be cut at once
			_, _ = s.Write([]byte("salt"))
			_ = s.Close()
		}
		w.answer("226 Done.\r\n") // all has gone, as the server sees it
		w.hears("150 Here.\r\n")
		got := w.line(w.cin)
		want := fmt.Sprintf("The client at %v does not answer: connection refused.", at(own))
		if got != "426 "+want && got != "425 "+want {
			t.Fatal(got)
		}
		_ = w.client.Close()
		_ = w.server.Close()
		if r := w.g.record(t); len(r.Data) != 1 || !strings.Contains(r.Data[0].Why, "does not answer") {
			t.Errorf("%+v", r.Data)
		}
	})
}

// TestServerDies: the client hears so, and is not left waiting.
func TestServerDies(t *testing.T) {
	t.Parallel()
	w := newWire(t, "127.0.0.1")
	w.login()
	w.say("NOOP\r\n")
	w.gets("NOOP\r\n")
	_ = w.server.Close()
	w.hears("421 The server closed the connection.\r\n")
	if _, err := w.cin.ReadByte(); err != io.EOF {
		t.Errorf("%v, want the end", err)
	}
}

// Shutdown waits for what is under way, and then takes leave.
func TestShutdown(t *testing.T) {
	t.Parallel()
	w := newWire(t, "127.0.0.1")
	w.login()
	w.say("NOOP\r\n")
	w.gets("NOOP\r\n")
	done := make(chan error, 1)
	go func() { done <- w.g.Shutdown(context.Background()) }()
	for { // until it has begun
		c, err := net.Dial("tcp", w.g.addr)
		if err != nil {
			break
		}
		_ = c.Close()
	}
	w.answer("200 late\r\n")
	w.hears("200 late\r\n421 The gateway is shutting down. Goodbye.\r\n")
	_ = w.client.Close()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
