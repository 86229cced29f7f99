package ftpserver_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"towpath/ftp"
	"towpath/ftpserver"
	"towpath/ftptest"
	"towpath/storage/mem"
)

// pipes is a listener whose connections are pipes in memory, so that clocks
// can be those of synctest. A pipe holds nothing: what is not read is not
// written.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}

func (p *pipes) Addr() net.Addr { return loopback(21) }

// dial returns the client's end of a session from an address.
func (p *pipes) dial(from net.IP) net.Conn {
	client, server := net.Pipe()
	p.conns <- pipe{server, &net.TCPAddr{IP: from, Port: 40000}}
	return client
}

type pipe struct {
	net.Conn
	peer net.Addr
}

func (p pipe) RemoteAddr() net.Addr { return p.peer }
func (p pipe) LocalAddr() net.Addr  { return loopback(21) }

func loopback(port int) net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port} }

var local = net.IPv4(127, 0, 0, 1)

// inBubble runs test with a server whose clocks are those of a bubble.
func inBubble(t *testing.T, o ftpserver.Options, implicit bool, test func(t *testing.T, srv *ftpserver.Server, l *pipes)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		if o.Login == nil {
			o.Login = ftptest.Login(mem.New(nil))
		}
		srv, err := ftpserver.New(o)
		if err != nil {
			t.Fatal(err)
		}
		l := &pipes{conns: make(chan net.Conn), closed: make(chan struct{})}
		serve := srv.Serve
		if implicit {
			serve = srv.ServeTLS
		}
		done := make(chan error)
		go func() { done <- serve(l) }()
		test(t, srv, l)
		_ = srv.Close() // never fails
		if err := <-done; !errors.Is(err, ftpserver.ErrClosed) {
			t.Error(err)
		}
		time.Sleep(time.Minute) // the goroutines of clients wake up and find their pipe closed
	})
}

// gone waits until the server closes c, and returns what it still said.
func gone(t *testing.T, c net.Conn) string {
	t.Helper()
	b, err := io.ReadAll(c)
	if err != nil {
		t.Errorf("the session did not end: %v", err)
	}
	return string(b)
}

// Nothing that a client can send moves the login deadline.
func TestLoginDeadline(t *testing.T) {
	t.Parallel()
	for name, line := range map[string]string{
		"silence": "", "a byte at a time": "N", "NOOP": "NOOP\r\n", "REIN": "REIN\r\n", "empty lines": "\r\n",
		"AUTH": "AUTH X\r\n", "USER": "USER test\r\n", "HOST": "HOST a\r\n", "Telnet": "\xff\xf4", "HTTP": "Host: a\r\n",
		"no verb": " \r\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, ftpserver.Options{CommandRate: -1}, false, func(t *testing.T, _ *ftpserver.Server, l *pipes) {
				c := l.dial(local)
				began := time.Now()
				go func() {
					for line != "" {
						time.Sleep(time.Second)
						if _, err := io.WriteString(c, line); err != nil {
							return
						}
					}
				}()
				last := gone(t, c)
				if took := time.Since(began); took != 30*time.Second {
					t.Errorf("the session lasted %v, want 30s", took)
				}
				if !strings.Contains(last, "421 ") {
					t.Errorf("the session ended without 421: %q", last)
				}
			})
		})
	}
}

// A TLS handshake counts as time before the login.
func TestStalledHandshake(t *testing.T) {
	t.Parallel()
	for name, start := range map[string]string{"AUTH": "AUTH TLS\r\n", "implicit": ""} {
		for what, hello := range map[string]string{"silence": "", "a byte at a time": "\x16\x03\x01\x3f\xff\x01" + strings.Repeat("\x00", 99)} {
			t.Run(name+" "+what, func(t *testing.T) {
				t.Parallel()
				o := ftpserver.Options{TLS: &tls.Config{Certificates: []tls.Certificate{ftptest.Certificate()}}}
				inBubble(t, o, start == "", func(t *testing.T, _ *ftpserver.Server, l *pipes) {
					c := l.dial(local)
					began := time.Now()
					go func() {
						if start != "" {
							time.Sleep(25 * time.Second)
							_, _ = io.WriteString(c, start) // the end of the session tells
						}
						// The head of a record of 16 KiB, and on.
						for b := range strings.SplitSeq(hello, "") {
							time.Sleep(time.Second)
							if _, err := io.WriteString(c, b); err != nil {
								return
							}
						}
					}()
					gone(t, c)
					if took := time.Since(began); took > 30*time.Second {
						t.Errorf("the session lasted %v, want no more than 30s", took)
					}
				})
			})
		}
	}
}

// login brings a session on a pipe past PASS.
func login(t *testing.T, c net.Conn) *ftp.Reader {
	t.Helper()
	in := ftp.NewReader(c)
	for _, step := range []struct {
		line string
		code int
	}{{"", 220}, {"USER test\r\n", 331}, {"PASS secret\r\n", 230}} {
		if step.line != "" { // even an empty write waits for a reader
			if _, err := io.WriteString(c, step.line); err != nil {
				t.Fatal(err)
			}
		}
		if r, err := in.ReadReply(); err != nil || r.Code != step.code {
			t.Fatalf("C: %sS: %v, %v", step.line, r, err)
		}
	}
	return in
}

// A client that never reads its answers gets no more of them: the server does
// not even read on, and after a while it ends the session.
func TestUnreadReplies(t *testing.T) {
	t.Parallel()
	inBubble(t, ftpserver.Options{}, false, func(t *testing.T, srv *ftpserver.Server, l *pipes) {
		c := l.dial(local)
		login(t, c)
		began := time.Now()
		taken := 0
		for {
			if _, err := io.WriteString(c, "HELP\r\n"); err != nil {
				break // the end of the session
			}
			taken++
		}
		if taken > 100 {
			t.Errorf("%d commands were taken, and no answer read", taken)
		}
		if took := time.Since(began); took > 30*time.Second {
			t.Errorf("the session lasted %v", took)
		}
		synctest.Wait()
		if n := srv.Stats().Active; n != 0 {
			t.Errorf("%d sessions are left", n)
		}
	})
}

// One who is idle is told so, and half a line is not a command.
func TestIdle(t *testing.T) {
	t.Parallel()
	inBubble(t, ftpserver.Options{IdleTimeout: time.Minute}, false, func(t *testing.T, _ *ftpserver.Server, l *pipes) {
		c := l.dial(local)
		login(t, c)
		began := time.Now()
		go func() {
			for {
				time.Sleep(time.Second)
				if _, err := io.WriteString(c, "x"); err != nil {
					return
				}
			}
		}()
		if last := gone(t, c); !strings.HasPrefix(last, "421 ") {
			t.Errorf("S: %q", last)
		}
		if took := time.Since(began); took < time.Minute || took > 64*time.Second {
			t.Errorf("the session lasted %v, want a minute", took)
		}
	})
}

// try sends one wrong password and returns the answer and how long it took.
func try(t *testing.T, in *ftp.Reader, c net.Conn, name string) (ftp.Reply, time.Duration) {
	t.Helper()
	if _, err := io.WriteString(c, "USER "+name+"\r\n"); err != nil {
		t.Fatal(err)
	}
	if r, err := in.ReadReply(); err != nil || r.Code != 331 {
		t.Fatalf("C: USER %s\nS: %v, %v", name, r, err)
	}
	began := time.Now()
	if _, err := io.WriteString(c, "PASS wrong\r\n"); err != nil {
		t.Fatal(err)
	}
	r, err := in.ReadReply()
	if err != nil {
		t.Fatal(err)
	}
	return r, time.Since(began)
}

// greeted opens a session on a pipe and reads the greeting.
func greeted(t *testing.T, l *pipes, from net.IP) (net.Conn, *ftp.Reader) {
	t.Helper()
	c := l.dial(from)
	in := ftp.NewReader(c)
	if r, err := in.ReadReply(); err != nil || r.Code != 220 {
		t.Fatalf("S: %v, %v, want 220", r, err)
	}
	return c, in
}

// A failed login costs its address more each time, through all sessions, and
// at last the address is banned; others go on, and the next /64 as well.
func TestBruteForce(t *testing.T) {
	t.Parallel()
	inBubble(t, ftpserver.Options{MaxFailures: 1, BanAfter: 6, LoginTimeout: time.Minute}, false, func(t *testing.T, _ *ftpserver.Server, l *pipes) {
		for i, want := range []time.Duration{1, 2, 4, 8, 10, 10} {
			from := net.ParseIP("2001:db8::1")
			from[15] = byte(i) // of the same /64
			c, in := greeted(t, l, from)
			r, took := try(t, in, c, "test")
			if r.Code != 421 || took != want*time.Second {
				t.Errorf("failure %d: %v after %v, want 421 after %v s", i, r, took, want)
			}
			gone(t, c)
		}
		c := l.dial(net.ParseIP("2001:db8::ffff"))
		if last := gone(t, c); !strings.HasPrefix(last, "421 ") {
			t.Errorf("a banned address is greeted by %q", last)
		}
		greeted(t, l, net.ParseIP("2001:db8:0:1::1"))
		greeted(t, l, local)
		time.Sleep(11 * time.Minute)
		greeted(t, l, net.ParseIP("2001:db8::1")) // the ban is over
	})
}

// Sessions that were open when the ban came guess no more.
func TestBanReachesOpenSessions(t *testing.T) {
	t.Parallel()
	asked := 0
	o := ftpserver.Options{MaxFailures: 1, BanAfter: 2, FailureDelay: -1}
	o.Login = func(context.Context, ftpserver.Login) (*ftpserver.User, error) {
		asked++
		return nil, ftpserver.ErrRefused
	}
	inBubble(t, o, false, func(t *testing.T, _ *ftpserver.Server, l *pipes) {
		var conns []net.Conn
		var ins []*ftp.Reader
		for range 5 {
			c, in := greeted(t, l, local)
			conns, ins = append(conns, c), append(ins, in)
		}
		for i, c := range conns {
			if r, _ := try(t, ins[i], c, "test"); r.Code != 421 {
				t.Errorf("session %d: %v, want 421", i, r)
			}
		}
		if asked != 2 {
			t.Errorf("%d passwords were looked at, want 2", asked)
		}
	})
}

// The delays of many sessions add up, but none of them keeps its place longer
// than the login deadline.
func TestFailuresHoldNoPlace(t *testing.T) {
	t.Parallel()
	inBubble(t, ftpserver.Options{BanAfter: -1}, false, func(t *testing.T, srv *ftpserver.Server, l *pipes) {
		for range 100 {
			c, in := greeted(t, l, local)
			go func() {
				_, _ = io.WriteString(c, "USER test\r\n")
				_, _ = in.ReadReply()
				_, _ = io.WriteString(c, "PASS wrong\r\n")
				_ = c.Close() // and does not wait
			}()
		}
		time.Sleep(31 * time.Second)
		synctest.Wait()
		if n := srv.Stats().Active; n != 0 {
			t.Errorf("%d sessions are left", n)
		}
	})
}

// Unknown names and wrong passwords cannot be told apart.
func TestEnumeration(t *testing.T) {
	t.Parallel()
	var answers []string
	for _, name := range []string{"test", "nobody", "root", "", " ", strings.Repeat("x", 4000), "../../etc/passwd"} {
		inBubble(t, ftpserver.Options{}, false, func(t *testing.T, _ *ftpserver.Server, l *pipes) {
			c, in := greeted(t, l, local)
			if strings.TrimSpace(name) == "" {
				_, _ = io.WriteString(c, "USER "+name+"\r\n")
				if r, err := in.ReadReply(); err != nil || r.Code != 501 {
					t.Errorf("C: USER %q\nS: %v, %v", name, r, err)
				}
				return
			}
			r, took := try(t, in, c, name)
			answers = append(answers, r.String()+" after "+took.String())
		})
	}
	for _, a := range answers {
		if a != answers[0] {
			t.Errorf("%q and %q tell names apart", a, answers[0])
		}
	}
}

// Sessions beyond the limits are turned away at once, by address and in all.
func TestConnectionFlood(t *testing.T) {
	t.Parallel()
	o := ftpserver.Options{MaxSessions: 6, MaxPerAddress: 2}
	inBubble(t, o, false, func(t *testing.T, srv *ftpserver.Server, l *pipes) {
		open := func(addr string) (net.Conn, bool) {
			c := l.dial(net.ParseIP(addr))
			r, err := ftp.NewReader(c).ReadReply()
			if err != nil {
				t.Fatal(err)
			}
			return c, r.Code == 220
		}
		began := time.Now()
		var first net.Conn
		for i, step := range []struct {
			addr string
			in   bool
		}{
			{"192.0.2.1", true},
			{"192.0.2.1", true},
			{"192.0.2.1", false},
			{"::ffff:192.0.2.1", false}, // the same
			{"2001:db8::1", true},
			{"2001:db8::2", true},
			{"2001:db8::3", false},
			{"2001:db8:0:1::1", true},
			{"192.0.2.2", true},
			{"192.0.2.3", false}, // six are in
		} {
			c, in := open(step.addr)
			if in != step.in {
				t.Errorf("%s admitted: %v, want %v", step.addr, in, step.in)
			}
			if i == 0 {
				first = c
			}
		}
		if took := time.Since(began); took != 0 {
			t.Errorf("somebody waited %v", took)
		}
		_ = first.Close()
		synctest.Wait()
		if _, in := open("192.0.2.1"); !in {
			t.Error("nobody is let in after somebody left")
		}
		if n := srv.Stats().Refused; n != 4 {
			t.Errorf("%d refused, want 4", n)
		}
	})
}
