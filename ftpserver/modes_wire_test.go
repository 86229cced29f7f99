package ftpserver_test

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"towpath/ftp"
	"towpath/ftpserver"
	"towpath/ftptest"
	"towpath/internal/transcript"
)

func TestPassive(t *testing.T) {
	t.Parallel()
	s := ftptest.Serve(t, ftptest.Files{"a": "x"})
	c := s.Login()
	r := c.Do("PASV", 227)
	text := r.Lines[0]
	open, shut := strings.IndexByte(text, '('), strings.IndexByte(text, ')')
	if open < 0 || shut < open || strings.ContainsAny(text[open:shut], " \t") {
		t.Errorf("S: %v, want parentheses without blanks", r)
	}
	if r := c.Do("EPSV", 229); !strings.HasSuffix(r.Lines[0], "|)") {
		t.Errorf("S: %v, want no period behind the announcement", r)
	}
	s.Talk(t, `
		C: EPSV 1
		S: 229
		C: RETR a
		S: 150
		D: x
		S: 226
		C: EPSV 2
		S: 522 Network protocol not supported, use (1)
		C: EPSV 3
		S: 522
		C: RETR a
		S: 150
		D: x
		S: 226
		# EPSV ALL is kept to (RFC 2428 4).
		C: epsv all
		S: 200
		C: PASV
		S: 501
		C: PORT 127,0,0,1,200,10
		S: 501
		C: EPRT |1|127.0.0.1|51210|
		S: 501
		C: EPSV
		S: 229
		C: RETR a
		S: 150
		D: x
		S: 226`)
}

// TestAnnouncementsCountOnce: each transfer wants its own, and the last counts.
func TestAnnouncementsCountOnce(t *testing.T) {
	t.Parallel()
	s := ftptest.Serve(t, ftptest.Files{"a": "x"})
	c := s.Login()
	c.Do("RETR a", 425)
	if got := c.Get("RETR a"); got != "x" {
		t.Errorf("RETR brought %q", got)
	}
	c.Do("RETR a", 425)
	c.Do("LIST", 425)
	c.Do("STOR b", 425)
	c.Do("MLSD", 425)
	c.Do("STOU", 425)

	first := c.Do("EPSV", 229)
	c.Passive()
	a, err := ftp.ParseExtendedPassive(first.Lines[0])
	if err != nil {
		t.Fatal(err)
	}
	if d, err := net.Dial("tcp", net.JoinHostPort("127.0.0.1", fmt.Sprint(a.Port()))); err == nil {
		_ = d.Close()
		t.Error("the port of an announcement is open still after the next one")
	}
	c.Do("RETR a", 150)
	_, _ = io.Copy(io.Discard, c.Data())
	c.Expect(226)
	c.Passive()
	c.Do("ABOR", 226)
	c.Do("RETR a", 425)
}

// TestPassiveStranger: who is not the client is dropped, and listening goes on.
func TestPassiveStranger(t *testing.T) {
	t.Parallel()
	s := ftptest.Serve(t, ftptest.Files{"a": "x"})
	c := s.Login()
	port := passivePort(t, c)
	c.Do("RETR a", 150)
	for range 3 {
		d := connect(t, "127.0.0.2", port)
		if b, err := io.ReadAll(d); len(b) > 0 {
			t.Errorf("a stranger got %q (%v)", b, err)
		}
		_ = d.Close()
	}
	if b, err := io.ReadAll(connect(t, "127.0.0.1", port)); string(b) != "x" || err != nil {
		t.Errorf("the client got %q, %v", b, err)
	}
	c.Expect(226)
}

// TestTold: the address in 227 depends on who asks and how.
func TestTold(t *testing.T) {
	t.Parallel()
	yes, no := true, false
	loopback := []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	s := ftptest.Serve(t, nil, ftptest.TLS, func(o *ftpserver.Options) {
		o.Told = []ftpserver.Told{
			{Clients: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, Address: "10.0.0.1"},
			{Clients: loopback, TLS: &yes, Address: "192.0.2.1"},
			{Clients: loopback, TLS: &no, Address: "192.0.2.2"},
		}
	})
	c := s.Login()
	if r := c.Do("PASV", 227); !strings.Contains(r.Lines[0], "(192,0,2,2,") {
		t.Errorf("in clear text: %v", r)
	}
	c = s.Dial()
	c.Expect(220)
	c.StartTLS(ftptest.ClientTLS())
	c.Do("USER test", 331)
	c.Do("PASS secret", 230)
	if r := c.Do("PASV", 227); !strings.Contains(r.Lines[0], "(192,0,2,1,") {
		t.Errorf("under TLS: %v", r)
	}
}

// TestPassivePorts: a port of the range, and 425 at once when none is free.
func TestPassivePorts(t *testing.T) {
	t.Parallel()
	port := freePorts(t, 1).Low
	l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(int(port))))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	s := ftptest.Serve(t, nil, func(o *ftpserver.Options) { o.PassivePorts = ftpserver.PortRange{Low: port, High: port} })
	c := s.Login()
	c.Do("PASV", 425)
	c.Do("EPSV", 425)
	_ = l.Close()

	s = ftptest.Serve(t, nil, func(o *ftpserver.Options) { o.PassivePorts = ftpserver.PortRange{Low: port, High: port} })
	c = s.Login()
	for range 20 { // again and again the same one
		if r := c.Do("EPSV", 229); !strings.Contains(r.Lines[0], fmt.Sprintf("|||%d|", port)) {
			t.Fatalf("S: %v, want port %d", r, port)
		}
		c.Do("ABOR", 226)
	}
}

// TestAcceptTimeout: nobody connects, and the reply says to which port.
func TestAcceptTimeout(t *testing.T) {
	t.Parallel()
	s := ftptest.Serve(t, ftptest.Files{"a": "x"}, func(o *ftpserver.Options) { o.AcceptTimeout = 50 * time.Millisecond })
	c := s.Login()
	a, err := ftp.ParseExtendedPassive(c.Do("EPSV", 229).Lines[0])
	if err != nil {
		t.Fatal(err)
	}
	c.Do("RETR a", 150)
	if r := c.Expect(425); !strings.Contains(r.Lines[0], strconv.Itoa(int(a.Port()))) {
		t.Errorf("S: %v, want the port %d in it", r, a.Port())
	}
	c.Do("NOOP", 200)
}

func TestActive(t *testing.T) {
	t.Parallel()
	s := ftptest.Serve(t, ftptest.Files{"a": "x"})
	s.Talk(t, `
		C: PORT *
		S: 200
		C: RETR a
		S: 150
		D: x
		S: 226
		C: EPRT *
		S: 200
		C: STOR b
		S: 150
		D: y
		S: 226
		C: RETR a
		S: 150
		D: x
		S: 226
		# Nobody is attacked from here.
		C: PORT 127,0,0,2,200,10
		S: 501 PORT names 127.0.0.2, but you come from 127.0.0.1
		C: PORT 127,0,0,1,3,255
		S: 501 PORT names port 1023
		C: EPRT |1|192.0.2.1|51210|
		S: 501
		C: EPRT |1|127.0.0.1|25|
		S: 501
		C: EPRT |2|::1|51210|
		S: 501
		# Strict in what is taken.
		C: PORT 127,0,0,1,200
		S: 501
		C: PORT 127,0,0,1,200,256
		S: 501
		C: PORT 127,0,0,1,+200,10
		S: 501
		C: PORT 127, 0,0,1,200,10
		S: 501
		C: PORT 127,0,0,1,0,0
		S: 501
		C: EPRT |3|127.0.0.1|51210|
		S: 522 Network protocol not supported, use (1,2)
		C: EPRT |1|127.0.0.1|99999|
		S: 501
		C: EPRT |1|::1|51210|
		S: 501
		C: EPRT 1
		S: 501`)
	c := s.Login()
	port := freePorts(t, 1).Low
	c.Do("EPRT "+ftp.FormatEPRT(netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), port)), 200)
	c.Do("RETR a", 150)
	if r := c.Expect(425); !strings.Contains(r.Lines[0], fmt.Sprintf("127.0.0.1:%d", port)) {
		t.Errorf("S: %v, want the address that could not be reached", r)
	}
}

// TestActiveElsewhere: the doors that are opened by name.
func TestActiveElsewhere(t *testing.T) {
	t.Parallel()
	for name, option := range map[string]ftptest.Option{
		"AllowForeign 127,0,0,2":   func(o *ftpserver.Options) { o.AllowForeign = true },
		"FixPrivatePort 10,1,2,3":  func(o *ftpserver.Options) { o.FixPrivatePort = true },
		"FixPrivatePort 127,0,0,1": func(o *ftpserver.Options) { o.FixPrivatePort = true },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, host, _ := strings.Cut(name, " ")
			on := "127.0.0.1:0"
			if host == "127,0,0,2" {
				on = "127.0.0.2:0"
			}
			l, err := net.Listen("tcp", on)
			if err != nil {
				t.Skipf("no second address on loopback: %v", err)
			}
			defer l.Close()
			port := l.Addr().(*net.TCPAddr).Port
			c := ftptest.Serve(t, ftptest.Files{"a": "x"}, option).Login()
			c.Do(fmt.Sprintf("PORT %s,%d,%d", host, port>>8, port&255), 200)
			c.Do("RETR a", 150)
			_ = l.(*net.TCPListener).SetDeadline(time.Now().Add(patience))
			d, err := l.Accept()
			if err != nil {
				t.Fatal(err)
			}
			defer d.Close()
			if b, err := io.ReadAll(d); string(b) != "x" || err != nil {
				t.Errorf("%q, %v", b, err)
			}
			c.Expect(226)
		})
	}
}

// TestModesOff: each mode can be switched off, and says which one is on.
func TestModesOff(t *testing.T) {
	t.Parallel()
	ftptest.Serve(t, ftptest.Files{"a": "x"}, func(o *ftpserver.Options) { o.NoPassive = true }).Talk(t, `
		C: PASV
		S: 502
		C: EPSV
		S: 502
		C: PORT *
		S: 200
		C: RETR a
		S: 150
		D: x
		S: 226`)
	ftptest.Serve(t, ftptest.Files{"a": "x"}, func(o *ftpserver.Options) { o.NoActive = true }).Talk(t, `
		C: PORT 127,0,0,1,200,10
		S: 502
		C: EPRT |1|127.0.0.1|51210|
		S: 502
		C: RETR a
		S: 150
		D: x
		S: 226`)
}

// TestIPv6: PASV has no words for it, EPSV and EPRT have.
func TestIPv6(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "[::1]:0")
	if err != nil {
		t.Skipf("no IPv6 on loopback: %v", err)
	}
	s := ftptest.Serve(t, ftptest.Files{"a": "x"})
	go func() { _ = s.Serve(l) }() // ends with the server
	c := ftptest.Dial(t, l.Addr().String())
	steps, err := transcript.Script(`
		S: 220
		C: USER test
		S: 331
		C: PASS secret
		S: 230
		C: PASV
		S: 425
		C: EPSV 1
		S: 522 Network protocol not supported, use (2)
		C: EPSV 2
		S: 229
		C: RETR a
		S: 150
		D: x
		S: 226
		C: EPRT *
		S: 200
		C: RETR a
		S: 150
		D: x
		S: 226
		C: PORT 127,0,0,1,200,10
		S: 501
		C: EPRT |1|127.0.0.1|51210|
		S: 501`)
	if err != nil {
		t.Fatal(err)
	}
	c.Talk(steps)
}
