package ftpserver_test

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"towpath/ftp"
	"towpath/ftpserver"
	"towpath/ftptest"
)

// bothVersions are those of TLS that clients speak.
var bothVersions = map[string]uint16{"TLS 1.2": tls.VersionTLS12, "TLS 1.3": tls.VersionTLS13}

// speaking is a client that speaks this version alone.
func speaking(version uint16) *tls.Config {
	c := ftptest.ClientTLS()
	c.MinVersion, c.MaxVersion = version, version
	return c
}

// underTLS logs in over TLS, with PROT P.
func underTLS(s *ftptest.Server, config *tls.Config) *ftptest.Conn {
	c := s.Dial()
	c.Expect(220)
	c.StartTLS(config)
	c.Do("USER test", 331)
	c.Do("PASS secret", 230)
	c.Do("TYPE I", 200)
	return c
}

func TestTLS(t *testing.T) {
	t.Parallel()
	for name, version := range bothVersions {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := ftptest.Serve(t, ftptest.Files{"a": strings.Repeat("x", 1<<20), "empty": ""}, ftptest.TLS)
			c := underTLS(s, speaking(version))
			if got := c.Get("RETR a"); len(got) != 1<<20 {
				t.Errorf("RETR brought %d bytes", len(got))
			}
			if got := c.Get("RETR empty"); got != "" {
				t.Errorf("RETR brought %q", got)
			}
			c.Put("STOR b", "content")
			if got := s.File("b"); got != "content" {
				t.Errorf("b holds %q", got)
			}
			c.Active()
			c.Do("NLST a", 150)
			if b, err := io.ReadAll(c.Data()); string(b) != "a\r\n" || err != nil {
				t.Errorf("active: %q, %v", b, err)
			}
			c.Expect(226)
			c.Do("AUTH TLS", 503)
			if st := s.Stats(); st.Bound != 4 || st.Unbound != 0 {
				t.Errorf("%d data connections resumed their session, %d did not; want all 4", st.Bound, st.Unbound)
			}
		})
	}
}

// TestProtectionLevels: PROT C and P, in and out of order.
func TestProtectionLevels(t *testing.T) {
	t.Parallel()
	s := ftptest.Serve(t, ftptest.Files{"a": "x"}, ftptest.TLS)
	c := s.Login()
	c.Do("PBSZ 0", 503)
	c.Do("PROT P", 503)
	c.Do("CCC", 533)
	c.Do("AUTH GSSAPI", 504)

	c = underTLS(s, ftptest.ClientTLS())
	if r := c.Do("PBSZ 4096", 200); r.Lines[0] != "PBSZ=0" {
		t.Errorf("S: %v", r)
	}
	c.Do("PBSZ many", 501)
	c.Do("PROT S", 536)
	c.Do("PROT E", 536)
	c.Do("PROT X", 504)
	c.Do("PROT C", 200)
	data := dialPassive(t, c) // in clear text
	c.Do("RETR a", 150)
	if b, err := io.ReadAll(data()); string(b) != "x" || err != nil {
		t.Errorf("after PROT C: %q, %v", b, err)
	}
	c.Expect(226)
	c.Do("PROT P", 200)
	if got := c.Get("RETR a"); got != "x" {
		t.Errorf("after PROT P: %q", got)
	}

	none := ftptest.Serve(t, nil).Login()
	none.Do("AUTH TLS", 502)
	none.Do("PROT P", 503)
}

// TestAuthEndsALogin: what was agreed in clear text does not count under TLS.
func TestAuthEndsALogin(t *testing.T) {
	t.Parallel()
	s := ftptest.Serve(t, nil, ftptest.TLS)
	c := s.Login()
	c.StartTLS(ftptest.ClientTLS())
	c.Do("PWD", 530)
	c.Do("PASS secret", 503)
	c.Do("USER test", 331)
	c.Do("PASS secret", 230)
	c.Do("REIN", 220)
	c.Do("PWD", 530)
	c.Do("USER test", 331) // still under TLS
	c.Do("PASS secret", 230)
}

// TestRequireTLS: no login and no data in clear text.
func TestRequireTLS(t *testing.T) {
	t.Parallel()
	s := ftptest.Serve(t, ftptest.Files{"a": "x"}, ftptest.TLS, func(o *ftpserver.Options) { o.RequireTLS = true })
	c := s.Dial()
	c.Expect(220)
	c.Do("USER test", 530)
	c.Do("PASS secret", 503)
	c = s.Dial()
	c.Expect(220)
	c.Do("AUTH TLS", 234)
	conn := tls.Client(c.Conn, ftptest.ClientTLS())
	p := &peer{t: t, Conn: conn, in: ftp.NewReader(conn)}
	p.do("USER test", 331)
	p.do("PASS secret", 230)
	p.do("EPSV", 229)
	p.do("RETR a", 521)
	p.do("PBSZ 0", 200)
	p.do("PROT C", 534)
	p.do("CCC", 534)
	p.do("PROT P", 200)
	p.do("RETR a", 425)
}

// peer is a client that may change what it speaks on.
type peer struct {
	net.Conn
	t  *testing.T
	in *ftp.Reader
}

func (p *peer) do(line string, code int) ftp.Reply {
	p.t.Helper()
	if _, err := io.WriteString(p.Conn, line+"\r\n"); err != nil {
		p.t.Fatalf("C: %s: %v", line, err)
	}
	return p.expect(line, code)
}

func (p *peer) expect(line string, code int) ftp.Reply {
	p.t.Helper()
	r, err := p.in.ReadReply()
	if err != nil {
		p.t.Fatalf("C: %s: %v", line, err)
	}
	if r.Code != code {
		p.t.Fatalf("C: %s\nS: %v, want %d", line, r, code)
	}
	return r
}

func (p *peer) speak(c net.Conn) {
	p.Conn = c
	p.in.Reset(c)
}

func dialPeer(t *testing.T, addr string) *peer {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(patience))
	return &peer{t: t, Conn: c, in: ftp.NewReader(c)}
}

// TestClearCommandChannel: after CCC the control connection is in clear text,
// and the data connections are still private.
func TestClearCommandChannel(t *testing.T) {
	t.Parallel()
	for name, version := range bothVersions {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			clearCommandChannel(t, version, true)
		})
		t.Run(name+" without close_notify, as curl", func(t *testing.T) {
			t.Parallel()
			clearCommandChannel(t, version, false)
		})
	}
}

func clearCommandChannel(t *testing.T, version uint16, polite bool) {
	s := ftptest.Serve(t, ftptest.Files{"a": "x"}, ftptest.TLS)
	p := dialPeer(t, s.Addr)
	tcp := p.Conn
	config := speaking(version)
	p.expect("", 220)
	p.do("AUTH TLS", 234)
	secret := tls.Client(tcp, config)
	p.speak(secret)
	p.do("USER test", 331)
	p.do("PASS secret", 230)
	p.do("PBSZ 0", 200)
	p.do("PROT P", 200)
	p.do("CCC", 200)
	if _, err := secret.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Fatalf("after CCC: %v, want a close_notify", err)
	}
	if polite {
		if err := secret.CloseWrite(); err != nil {
			t.Fatal(err)
		}
	}
	p.speak(tcp)
	_ = tcp.SetDeadline(time.Now().Add(patience)) // crypto/tls has put an end to writing
	p.do("NOOP", 200)
	p.do("CCC", 533)
	a, err := ftp.ParsePassive(p.do("PASV", 227).Lines[0])
	if err != nil {
		t.Fatal(err)
	}
	p.do("RETR a", 150)
	d, err := tls.Dial("tcp", a.String(), config)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if b, err := io.ReadAll(d); string(b) != "x" || err != nil {
		t.Errorf("%q, %v", b, err)
	}
	p.expect("RETR", 226)
	p.do("QUIT", 221)
}

// TestImplicit: TLS from the first byte, data included.
func TestImplicit(t *testing.T) {
	t.Parallel()
	for name, version := range bothVersions {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := ftptest.Serve(t, ftptest.Files{"a": "x"}, ftptest.TLS)
			config := speaking(version)
			p := dialPeer(t, s.Implicit)
			p.speak(tls.Client(p.Conn, config))
			p.expect("", 220)
			p.do("AUTH TLS", 503)
			p.do("USER test", 331)
			p.do("PASS secret", 230)
			a, err := ftp.ParseExtendedPassive(p.do("EPSV", 229).Lines[0])
			if err != nil {
				t.Fatal(err)
			}
			p.do("RETR a", 150)
			d, err := tls.Dial("tcp", net.JoinHostPort("127.0.0.1", port(a.Port())), config)
			if err != nil {
				t.Fatal(err)
			}
			defer d.Close()
			if b, err := io.ReadAll(d); string(b) != "x" || err != nil {
				t.Errorf("%q, %v", b, err)
			}
			p.expect("RETR", 226)
		})
	}
}

// TestBinding: what happens to a data connection that resumes nothing, or the
// session of somebody else, in each mode.
func TestBinding(t *testing.T) {
	t.Parallel()
	for name, version := range bothVersions {
		for _, c := range []struct {
			mode    ftpserver.Binding
			foreign bool // resumes another session, else none
			served  bool
		}{
			{ftpserver.BindPrefer, false, true},
			{ftpserver.BindPrefer, true, true},
			{ftpserver.BindRequire, false, false},
			{ftpserver.BindRequire, true, false},
			{ftpserver.BindOff, false, true},
			{ftpserver.BindOff, true, true},
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				s := ftptest.Serve(t, ftptest.Files{"a": "x"}, ftptest.TLS, func(o *ftpserver.Options) { o.Binding = c.mode })
				mine, theirs := speaking(version), speaking(version)
				victim, other := underTLS(s, mine), underTLS(s, theirs)
				// The own session is always good.
				if got := victim.Get("RETR a"); got != "x" {
					t.Fatalf("RETR brought %q", got)
				}
				_ = other.Get("RETR a") // so that its tickets are there
				if !c.foreign {
					theirs = speaking(version)
				}
				data := dialPassive(t, victim)
				victim.Do("RETR a", 150)
				d := tls.Client(data(), theirs)
				b, err := io.ReadAll(d)
				r := victim.Reply()
				if served := string(b) == "x" && err == nil && r.Code == 226; served != c.served {
					t.Errorf("mode %d, foreign %v: got %q, %v; S: %v; want %v for served", c.mode, c.foreign, b, err, r, c.served)
				}
				if !c.served && r.Code/100 == 2 {
					t.Errorf("S: %v to a transfer that was refused", r)
				}
				victim.Do("NOOP", 200)
				if got := victim.Get("RETR a"); got != "x" {
					t.Errorf("afterwards RETR brought %q", got)
				}
			})
		}
	}
}

// TestCutTLSUpload: data that ends without close_notify may have been cut, and
// is not stored; what came can be resumed.
func TestCutTLSUpload(t *testing.T) {
	t.Parallel()
	for name, version := range bothVersions {
		for _, form := range []string{"TYPE I", "TYPE A", "MODE Z"} {
			t.Run(name+" "+form, func(t *testing.T) {
				t.Parallel()
				s := ftptest.Serve(t, ftptest.Files{"a": "old"}, ftptest.TLS)
				c := underTLS(s, speaking(version))
				c.Do(form, 200)
				c.Passive()
				c.Do("STOR a", 150)
				d := c.Data()
				content := "new"
				if form == "MODE Z" {
					content = deflated(t, content)
				}
				if _, err := io.WriteString(d, content); err != nil {
					t.Fatal(err)
				}
				if err := d.(*tls.Conn).NetConn().Close(); err != nil {
					t.Fatal(err)
				}
				c.Expect(426)
				if got := s.File("a"); got != "old" {
					t.Errorf("a holds %q, want the old file", got)
				}
			})
		}
	}
}

// TestBytesBehindAUTH: what came before the handshake refuses the upgrade, so
// that nobody on the way can put commands in the client's mouth.
func TestBytesBehindAUTH(t *testing.T) {
	t.Parallel()
	p := dialPeer(t, ftptest.Serve(t, nil, ftptest.TLS).Addr)
	p.expect("", 220)
	p.do("AUTH TLS\r\nUSER mallory", 503)
	p.expect("USER", 331)
}

// TestHost: HOST chooses the certificate, and must be the name of SNI.
func TestHost(t *testing.T) {
	t.Parallel()
	s := ftptest.Serve(t, nil, ftptest.TLS, func(o *ftpserver.Options) {
		o.HostTLS = func(host string) (*tls.Config, error) {
			if host != "localhost" {
				return nil, errors.New("no such host")
			}
			return &tls.Config{Certificates: []tls.Certificate{ftptest.Certificate()}}, nil
		}
	})
	c := s.Dial()
	c.Expect(220)
	c.Do("HOST elsewhere.example", 504)
	c.Do("HOST a/b", 501)
	c.Do("HOST", 501)
	c.Do("HOST LocalHost", 220)
	c.StartTLS(ftptest.ClientTLS())
	c.Do("HOST elsewhere.example", 504)
	c.Do("HOST localhost", 220)
	c.Do("USER test", 331)
	c.Do("PASS secret", 230)
	c.Do("HOST localhost", 503)
}

func port(n uint16) string { return strconv.Itoa(int(n)) }
