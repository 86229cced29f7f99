package ftpserver_test

import (
	"crypto/tls"
	"io"
	"net"
	"net/netip"
	"strconv"
	"testing"
	"time"

	"towpath/ftp"
	"towpath/ftpserver"
	"towpath/ftptest"
)

// PORT and EPRT reach nobody but the client itself, on no port of a service
// (RFC 2577 3).
func TestBounce(t *testing.T) {
	t.Parallel()
	s := ftptest.Serve(t, ftptest.Files{"sea.txt": "sea"})
	c := s.Login()
	codes(t, c, map[string]int{
		"PORT 127,0,0,2,200,10":            501, // a third host
		"PORT 10,0,0,1,200,10":             501,
		"PORT 0,0,0,0,200,10":              501,
		"PORT 255,255,255,255,200,10":      501,
		"PORT 127,0,0,1,3,255":             501, // port 1023
		"PORT 127,0,0,1,0,25":              501,
		"PORT 127,0,0,1,0,0":               501,
		"PORT 127,0,0,1,256,1":             501,
		"PORT 127,0,0,1,200,-1":            501,
		"PORT 127,0,0,1,+200,1":            501,
		"PORT 127,0,0,1,200,10,1":          501,
		"PORT 127,0,0,1,200":               501,
		"PORT 383,0,0,1,200,10":            501, // 383 is 127 in eight bits
		"PORT 127.0.0.1,200,10":            501,
		"PORT 0177,0,0,1,0x99,10":          501,
		"EPRT |1|127.0.0.2|51210|":         501,
		"EPRT |1|127.0.0.1|25|":            501,
		"EPRT |1|127.0.0.1|65536|":         501,
		"EPRT |1|127.0.0.1|4294952010|":    501,
		"EPRT |1|::1|51210|":               501, // the family is not the address's
		"EPRT |2|127.0.0.1|51210|":         501,
		"EPRT |2|::1|51210|":               501,
		"EPRT |2|::ffff:10.0.0.1|51210|":   501,
		"EPRT |2|fe80::1%lo|51210|":        501,
		"EPRT |3|127.0.0.1|51210|":         522,
		"EPRT |1|localhost|51210|":         501,
		"EPRT |1|127.0.0.1|51210|\x1b[2J|": 501,
	})
	c.Passive() // and is forgotten again:
	c.Do("ABOR", 226)
	c.Do("RETR sea.txt", 425)
}

// A refused announcement leaves nothing behind, and no connection is made.
func TestBounceConnectsNowhere(t *testing.T) {
	t.Parallel()
	victim, err := net.Listen("tcp", "127.0.0.2:0")
	if err != nil {
		t.Skipf("this system has no 127.0.0.2: %v", err)
	}
	defer victim.Close()
	reached := make(chan struct{})
	go func() {
		if c, err := victim.Accept(); err == nil {
			_ = c.Close()
			close(reached)
		}
	}()
	s := ftptest.Serve(t, ftptest.Files{"sea.txt": "sea"})
	c := s.Login()
	c.Do("EPRT "+ftp.FormatEPRT(victim.Addr().(*net.TCPAddr).AddrPort()), 501)
	c.Do("RETR sea.txt", 425)
	select {
	case <-reached:
		t.Error("the server connected to a third host")
	default:
	}
}

// A stranger who comes to a passive port before the client gets nothing, puts
// nothing in, and does not keep the client out.
func TestStolenData(t *testing.T) {
	t.Parallel()
	s := ftptest.Serve(t, ftptest.Files{"sea.txt": "sea"})
	c := s.Login()
	for _, line := range []string{"RETR sea.txt", "STOR new.txt"} {
		port := passivePort(t, c)
		thieves := []net.Conn{connect(t, "127.0.0.2", port), connect(t, "127.0.0.3", port)}
		for _, d := range thieves {
			_, _ = io.WriteString(d, "forged") // the reset may be here already
		}
		c.Do(line, 150)
		own := connect(t, "127.0.0.1", port)
		if line == "RETR sea.txt" {
			if b, err := io.ReadAll(own); err != nil || string(b) != "sea" {
				t.Errorf("the client got %q, %v", b, err)
			}
		} else if _, err := io.WriteString(own, "own"); err != nil {
			t.Error(err)
		}
		_ = own.Close()
		c.Expect(226)
		for _, d := range thieves {
			if b, err := io.ReadAll(d); err == nil || len(b) > 0 {
				t.Errorf("%s: a stranger got %q, %v; want a reset", line, b, err)
			}
		}
	}
	if got := s.File("new.txt"); got != "own" {
		t.Errorf("stored %q", got)
	}
	if n := s.Stats().Passive.Strangers; n != 4 {
		t.Errorf("%d strangers counted, want 4", n)
	}
}

// versions of TLS that are spoken.
var versions = map[string]uint16{"TLS 1.2": tls.VersionTLS12, "TLS 1.3": tls.VersionTLS13}

func tlsClient(version uint16) *tls.Config {
	c := ftptest.ClientTLS()
	c.MinVersion, c.MaxVersion = version, version
	return c
}

// overTLS logs in over TLS.
func overTLS(s *ftptest.Server, config *tls.Config) *ftptest.Conn {
	c := s.Dial()
	c.Expect(220)
	c.StartTLS(config)
	c.Do("USER "+ftptest.User, 331)
	c.Do("PASS "+ftptest.Password, 230)
	c.Do("TYPE I", 200)
	return c
}

// Another user of the same address, logged in and with a good ticket of his
// own, is not the client (ProFTPD #2272). Nor does he keep the client out.
func TestStolenDataTLS(t *testing.T) {
	t.Parallel()
	for name, version := range versions {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := ftptest.Serve(t, ftptest.Files{"sea.txt": "sea"}, ftptest.TLS,
				func(o *ftpserver.Options) { o.Binding = ftpserver.BindRequire })
			own := tlsClient(version)
			c := overTLS(s, own)
			for _, line := range []string{"RETR sea.txt", "STOR new.txt"} {
				foreign := tlsClient(version) // one attempt uses up its ticket
				overTLS(s, foreign)
				port := passivePort(t, c)
				first := connect(t, "127.0.0.1", port)
				c.Send(line)
				c.Expect(150)
				stolen := tls.Client(first, foreign)
				if err := stolen.Handshake(); err == nil {
					b, err := io.ReadAll(stolen)
					t.Errorf("%s: the thief was let in, and got %q, %v", line, b, err)
				}
				d := tls.Client(connect(t, "127.0.0.1", port), own)
				if line == "RETR sea.txt" {
					if b, err := io.ReadAll(d); err != nil || string(b) != "sea" {
						t.Errorf("the client got %q, %v", b, err)
					}
				} else if _, err := io.WriteString(d, "own"); err != nil {
					t.Error(err)
				}
				if err := d.Close(); err != nil {
					t.Error(err)
				}
				c.Expect(226)
			}
			if got := s.File("new.txt"); got != "own" {
				t.Errorf("stored %q", got)
			}
			if st := s.Stats(); st.Foreign != 2 || st.Bound != 2 {
				t.Errorf("%d foreign and %d bound data connections, want 2 and 2", st.Foreign, st.Bound)
			}
		})
	}
}

// BindRequire serves no data connection that proves nothing.
func TestUnboundData(t *testing.T) {
	t.Parallel()
	for name, version := range versions {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := ftptest.Serve(t, ftptest.Files{"sea.txt": "sea"}, ftptest.TLS,
				func(o *ftpserver.Options) { o.Binding = ftpserver.BindRequire })
			config := tlsClient(version)
			c := overTLS(s, config)
			port := passivePort(t, c)
			c.Do("RETR sea.txt", 150)
			d := tls.Client(connect(t, "127.0.0.1", port), tlsClient(version)) // has no ticket
			if b, err := io.ReadAll(d); len(b) > 0 {
				t.Errorf("got %q, %v", b, err)
			}
			c.Expect(522)
			if got := c.Get("RETR sea.txt"); got != "sea" { // the client goes on, resuming
				t.Errorf("got %q", got)
			}
		})
	}
}

// A passive port listens no longer than it is needed.
func TestPassivePortsAreClosed(t *testing.T) {
	t.Parallel()
	s := ftptest.Serve(t, ftptest.Files{"sea.txt": "sea"})
	closed := func(what string, port netip.AddrPort) {
		t.Helper()
		if c, err := net.DialTimeout("tcp", port.String(), patience); err == nil {
			_ = c.Close()
			t.Errorf("after %s %v still listens", what, port)
		}
	}
	c := s.Login()
	first := passivePort(t, c)
	second := passivePort(t, c)
	closed("another EPSV", first)
	c.Do("ABOR", 226)
	closed("ABOR", second)
	third := passivePort(t, c)
	c.Do("RETR none", 550)
	c.Do("NOOP", 200) // a port is closed behind the answer, and before the next
	closed("a refused transfer", third)
	fourth := passivePort(t, c)
	c.Do("RETR sea.txt", 150)
	_, _ = io.ReadAll(connect(t, "127.0.0.1", fourth)) // what came is not of interest
	c.Expect(226)
	c.Do("NOOP", 200)
	closed("a transfer", fourth)
	fifth := passivePort(t, c)
	c.Do("QUIT", 221)
	c.ExpectEOF()
	closed("QUIT", fifth)
	if first.Port()+1 == second.Port() && second.Port()+1 == third.Port() && third.Port()+1 == fourth.Port() {
		t.Error("ports follow each other")
	}
}

// When others hold all ports of the range the answer is 425 at once, and no
// port outside it.
func TestPassivePortsRunOut(t *testing.T) {
	t.Parallel()
	r := freePorts(t, 3)
	for port := r.Low; port <= r.High; port++ {
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(int(port))))
		if err != nil {
			t.Skipf("somebody took port %d meanwhile: %v", port, err)
		}
		defer l.Close()
	}
	s := ftptest.Serve(t, nil, func(o *ftpserver.Options) { o.PassivePorts = r })
	c := s.Login()
	c.Do("EPSV", 425)
	c.Do("PASV", 425)
	if n := s.Stats().Passive.Exhausted; n != 2 {
		t.Errorf("%d exhausted, want 2", n)
	}
}

// Nobody is let in who could not move a byte.
func TestSessionsCappedByPorts(t *testing.T) {
	t.Parallel()
	s := ftptest.Serve(t, nil, func(o *ftpserver.Options) { o.PassivePorts = freePorts(t, 2) })
	a, b := s.Login(), s.Login()
	c := s.Dial()
	c.Expect(421)
	c.ExpectEOF()
	a.Passive()
	b.Passive()
}

func TestEPSVAll(t *testing.T) {
	t.Parallel()
	s := ftptest.Serve(t, ftptest.Files{"sea.txt": "sea"})
	c := s.Login()
	c.Do("EPSV ALL", 200)
	codes(t, c, map[string]int{
		"PASV":                     501,
		"PORT 127,0,0,1,200,10":    501,
		"EPRT |1|127.0.0.1|51210|": 501,
	})
	if got := c.Get("RETR sea.txt"); got != "sea" {
		t.Errorf("got %q by EPSV", got)
	}
}

// The clocks of a transfer strike in both directions, and in the handshake.
func TestStalledTransfers(t *testing.T) {
	t.Parallel()
	big := make([]byte, 64<<20) // more than the buffers of both sockets take
	for name, test := range map[string]struct {
		line    string
		private bool
		code    int
	}{
		"upload":           {"STOR new", false, 426},
		"download":         {"RETR big", false, 426},
		"handshake":        {"RETR big", true, 425},
		"handshake, up":    {"STOR new", true, 425},
		"ASCII upload":     {"STOR new", false, 426},
		"no connection":    {"RETR big", false, 425},
		"no connection up": {"STOR new", false, 425},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := ftptest.Serve(t, ftptest.Files{"big": string(big)}, ftptest.TLS, func(o *ftpserver.Options) {
				o.StallTimeout = 50 * time.Millisecond
				if test.code == 425 {
					o.AcceptTimeout = 50 * time.Millisecond
				}
			})
			c := s.Login()
			if test.private {
				c = overTLS(s, ftptest.ClientTLS())
			}
			if name == "ASCII upload" {
				c.Do("TYPE A", 200)
			}
			port := passivePort(t, c)
			if name[:2] != "no" {
				connect(t, "127.0.0.1", port) // and says nothing, and reads nothing
			}
			c.Send(test.line)
			c.Expect(150)
			c.Expect(test.code)
			c.Do("NOOP", 200)
		})
	}
}

// A transfer ends with the control connection.
func TestLostControl(t *testing.T) {
	t.Parallel()
	for name, lose := range map[string]func(*ftptest.Conn){
		"closed": func(c *ftptest.Conn) { _ = c.Close() },
		"reset": func(c *ftptest.Conn) {
			_ = c.Conn.(*net.TCPConn).SetLinger(0)
			_ = c.Close()
		},
	} {
		for _, line := range []string{"STOR new", "RETR big"} {
			t.Run(name+" "+line[:4], func(t *testing.T) {
				t.Parallel()
				ended := make(chan ftpserver.TransferEvent, 1)
				s := ftptest.Serve(t, ftptest.Files{"big": string(make([]byte, 64<<20))}, func(o *ftpserver.Options) {
					o.Events = func(e ftpserver.Event) {
						if e, ok := e.(ftpserver.TransferEvent); ok {
							ended <- e
						}
					}
				})
				c := s.Login()
				port := passivePort(t, c)
				c.Do(line, 150)
				connect(t, "127.0.0.1", port)
				lose(c)
				select {
				case e := <-ended:
					if e.Err == nil {
						t.Error("the transfer counts as whole")
					}
				case <-time.After(patience):
					t.Fatal("the transfer goes on")
				}
			})
		}
	}
}
