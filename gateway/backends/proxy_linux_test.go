package backends_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"towpath/ftp"
	"towpath/gateway"
	"towpath/gateway/backends"
	"towpath/gateway/doors"
)

// Who is who on loopback, all of which is one host on Linux: the client calls the
// balancer, who calls the gateway. None of them is where the servers are.
var (
	balancerAt = netip.MustParseAddr("127.0.0.2")
	trusted    = []netip.Prefix{netip.PrefixFrom(balancerAt, 32)}
)

// balancer passes connections of one client on to the gateway, with a header.
type balancer struct {
	t               *testing.T
	version         int
	client, reached netip.AddrPort
}

// pass opens a connection to the gateway as the client's.
func (b balancer) pass(to string) net.Conn {
	b.t.Helper()
	c := callFrom(b.t, balancerAt, to)
	if err := doors.Announce(c, b.version, b.client, b.reached); err != nil {
		b.t.Fatal(err)
	}
	return c
}

// callFrom opens a connection. It is nil if it was cut before it was known here to
// stand, as happens to strangers.
func callFrom(t *testing.T, from netip.Addr, to string) *net.TCPConn {
	t.Helper()
	d := net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(from, 0))}
	c, err := d.DialContext(t.Context(), "tcp", to)
	if errors.Is(err, syscall.ECONNRESET) && from != balancerAt {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() }) // a second time, mostly
	_ = c.SetDeadline(time.Now().Add(time.Minute))
	return c.(*net.TCPConn)
}

// wary is a server that serves nobody without a header, neither on control nor on
// data. A file of it tells who fetches it, as it has heard.
type wary struct {
	t      *testing.T
	name   string
	stored chan string
}

// listen starts the server and returns where it is.
func (s *wary) listen() string {
	s.t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		s.t.Fatal(err)
	}
	l = doors.Balanced(l, loopback, nil)
	s.t.Cleanup(func() { _ = l.Close() }) // the test is over
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go s.serve(c.(*doors.Conn))
		}
	}()
	return l.Addr().String()
}

func (s *wary) serve(c *doors.Conn) {
	defer c.Close()
	say := func(format string, args ...any) { fmt.Fprintf(c, format+"\r\n", args...) } // the reader notices
	say("220 %s", s.name)
	var data func() (net.Conn, error)
	for in := bufio.NewScanner(c); in.Scan(); {
		verb, arg, _ := strings.Cut(in.Text(), " ")
		switch verb {
		case "USER":
			say("331 Password?")
		case "PASS":
			say("230 Welcome.")
		case "PASV":
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				say("425 %v", err)
				break
			}
			door := doors.Balanced(l, loopback, nil)
			data = func() (net.Conn, error) { defer door.Close(); return door.Accept() }
			say("227 (%s)", ftp.FormatHostPort(netip.MustParseAddrPort(l.Addr().String())))
		case "PORT":
			to, err := ftp.ParseHostPort(arg)
			if err != nil {
				say("501 %v", err)
				break
			}
			data = func() (net.Conn, error) { return net.Dial("tcp", to.String()) }
			say("200 Fine.")
		case "RETR", "STOR":
			say("150 Here.")
			d, err := data()
			if err != nil {
				say("425 %v", err)
				break
			}
			if verb == "RETR" {
				fmt.Fprintf(d, "%s: %s", s.name, heard(c))
				if from := heard(d); from != "" {
					fmt.Fprintf(d, ", data %s", from)
				}
			} else {
				b, err := io.ReadAll(d)
				s.stored <- fmt.Sprintf("%s by %s: %s %v", s.name, heard(c), b, err)
			}
			_ = d.Close()
			say("226 Done.")
		case "QUIT":
			say("221 Bye.")
			return
		default:
			say("502 %s?", verb)
		}
	}
}

// heard is what the header of a connection said.
func heard(c net.Conn) string {
	d, ok := c.(*doors.Conn)
	if !ok {
		return ""
	}
	return fmt.Sprintf("%v at %v", d.RemoteAddr(), d.Reached())
}

// caller is a client of few words.
type caller struct {
	t  *testing.T
	c  net.Conn
	in *bufio.Reader
}

// do says a line, and wants an answer of this code.
func (c *caller) do(line, code string) string {
	c.t.Helper()
	if line != "" {
		if _, err := io.WriteString(c.c, line+"\r\n"); err != nil {
			c.t.Fatal(err)
		}
	}
	got, err := c.in.ReadString('\n')
	if err != nil || !strings.HasPrefix(got, code) {
		c.t.Fatalf("%s: %q, %v; want %s", line, got, err, code)
	}
	return strings.TrimSpace(got)
}

// logged keeps what a log is told.
type logged struct {
	mu sync.Mutex
	bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.Buffer.Write(p)
}

func (l *logged) has(text string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Contains(l.String(), text)
}

// proxied runs a gateway behind a balancer, and before two servers that want to
// hear version 1 and version 2.
func proxied(t *testing.T) (at string, stored chan string, log *logged) {
	t.Helper()
	stored, log = make(chan string, 1), &logged{}
	var o backends.Options
	for version, name := range []string{"a", "b"} {
		s := &wary{t: t, name: name, stored: stored}
		o.Servers = append(o.Servers, backends.Server{Server: gateway.Server{Name: name, Addr: s.listen(), Proxy: 1 + version}})
	}
	p, err := backends.NewPool(o, nil)
	if err != nil {
		t.Fatal(err)
	}
	logger := slog.New(slog.NewTextHandler(log, nil))
	_, at = start(t, gateway.Options{
		Route: p, Announce: doors.Announce, Accepted: doors.Accepted(trusted), Log: logger, DataTimeout: 20 * time.Second,
	}, func(l net.Listener) net.Listener { return doors.Balanced(l, trusted, logger) })
	return at, stored, log
}

// TestPROXYWholeWay has a client come through a balancer, the gateway, and to
// servers that demand headers on control and on data, in every version, family
// and mode. Everybody hears of the client, and of nobody between.
func TestPROXYWholeWay(t *testing.T) {
	t.Parallel()
	at, stored, _ := proxied(t)
	gate := netip.MustParseAddrPort(at).Addr()
	for version := 1; version <= 2; version++ {
		for _, own := range []string{"127.0.0.7", "::1"} {
			client := netip.AddrPortFrom(netip.MustParseAddr(own), 40000)
			b := balancer{t, version, client, netip.AddrPortFrom(client.Addr(), 2121)}
			var names []string
			for range 2 {
				control := b.pass(at)
				c := &caller{t, control, bufio.NewReader(control)}
				name := strings.TrimPrefix(c.do("", "220"), "220 ")
				names = append(names, name)
				who := fmt.Sprintf("%v at %v", client, b.reached)
				c.do("USER anna", "331")
				c.do("PASS x", "230")

				// passive has the client come, through the balancer.
				passive := func() net.Conn {
					var told netip.AddrPort
					var err error
					if client.Addr().Is4() {
						told, err = ftp.ParsePassive(c.do("PASV", "227")[4:])
						if told.Addr() != b.reached.Addr() {
							t.Errorf("told %v, but the client calls %v", told, b.reached)
						}
					} else {
						told, err = ftp.ParseExtendedPassive(c.do("EPSV", "229")[4:])
					}
					if err != nil {
						t.Fatal(err)
					}
					return b.pass(netip.AddrPortFrom(gate, told.Port()).String())
				}
				d := passive()
				c.do("RETR x", "150")
				if got, err := io.ReadAll(d); err != nil || string(got) != name+": "+who+", data "+who {
					t.Errorf("passive, version %d: %q, %v; want that of %s", version, got, err, who)
				}
				c.do("", "226")
				d = passive()
				c.do("STOR x", "150")
				if _, err := io.WriteString(d, "upwards"); err != nil {
					t.Error(err)
				}
				_ = d.Close() // that is the end of it
				if got, want := <-stored, fmt.Sprintf("%s by %s: upwards <nil>", name, who); got != want {
					t.Errorf("stored %q, want %q", got, want)
				}
				c.do("", "226")

				// In active mode the gateway calls the client itself.
				l, err := net.Listen("tcp", netip.AddrPortFrom(client.Addr(), 0).String())
				if err != nil {
					t.Skipf("no %s here: %v", own, err)
				}
				defer l.Close()
				_ = l.(*net.TCPListener).SetDeadline(time.Now().Add(30 * time.Second))
				mine := netip.MustParseAddrPort(l.Addr().String())
				if mine.Addr().Is4() {
					c.do("PORT "+ftp.FormatHostPort(mine), "200")
				} else {
					c.do("EPRT "+ftp.FormatEPRT(mine), "200")
				}
				c.do("RETR x", "150")
				d, err = l.Accept()
				if err != nil {
					t.Fatal(err)
				}
				if got, err := io.ReadAll(d); err != nil || string(got) != name+": "+who {
					t.Errorf("active, version %d: %q, %v; want that of %s", version, got, err, who)
				}
				_ = d.Close() // all was read
				c.do("", "226")
				defer func() { c.do("QUIT", "221") }() // until then it counts
			}
			slices.Sort(names)
			if !slices.Equal(names, []string{"a", "b"}) {
				t.Errorf("two sessions are with %v", names)
			}
		}
	}
}

// TestPROXYRefused: who comes without a header, with one that is none, or with one
// from a host that is no balancer, gets nothing, and the log tells of it.
func TestPROXYRefused(t *testing.T) {
	t.Parallel()
	at, _, log := proxied(t)
	gate := netip.MustParseAddrPort(at).Addr()
	client := netip.MustParseAddrPort("127.0.0.7:40000")
	b := balancer{t, 2, client, netip.MustParseAddrPort("127.0.0.7:2121")}

	bare := callFrom(t, balancerAt, at)
	if _, err := io.WriteString(bare, "USER anna\r\n"); err != nil {
		t.Fatal(err)
	}
	if got, _ := io.ReadAll(bare); len(got) > 0 { // it is cut
		t.Errorf("without a header: %q", got)
	}
	if !log.has("a client was turned away at the door") {
		t.Errorf("the log says nothing of it:\n%s", log)
	}

	control := b.pass(at)
	c := &caller{t, control, bufio.NewReader(control)}
	name := c.do("", "220")[4:]
	c.do("USER anna", "331")
	c.do("PASS x", "230")
	told, err := ftp.ParsePassive(c.do("PASV", "227")[4:])
	if err != nil {
		t.Fatal(err)
	}
	to := netip.AddrPortFrom(gate, told.Port()).String()
	forged, other := balancer{t, 1, client, b.reached}, balancer{t, 2, netip.MustParseAddrPort("127.0.0.8:40000"), b.reached}
	for why, conn := range map[string]func() net.Conn{
		"data connection refused": func() net.Conn { // no header
			c := callFrom(t, balancerAt, to)
			_, _ = io.WriteString(c, "half a file, and more than any header has\r\n") // it may be cut at once
			return c
		},
		"a stranger came to a port that is the client's": func() net.Conn { return other.pass(to) },
		"from=127.0.0.9": func() net.Conn { // one who is not the balancer
			c := callFrom(t, netip.MustParseAddr("127.0.0.9"), to)
			if c == nil {
				return nil
			}
			_ = doors.Announce(c, forged.version, forged.client, forged.reached) // it may be cut at once
			return c
		},
	} {
		if d := conn(); d != nil {
			if got, _ := io.ReadAll(d); len(got) > 0 { // it is cut
				t.Errorf("%s: %q", why, got)
			}
		}
		if !log.has(why) {
			t.Errorf("the log lacks %q:\n%s", why, log)
		}
	}
	// And the right one still may come.
	d := b.pass(to)
	c.do("RETR x", "150")
	if got, err := io.ReadAll(d); err != nil || !strings.HasPrefix(string(got), name+": "+client.String()) {
		t.Errorf("%q, %v", got, err)
	}
	c.do("", "226")
	c.do("QUIT", "221")
}
