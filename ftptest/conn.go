package ftptest

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"towpath/ftp"
	"towpath/internal/transcript"
)

// patience is how long a test waits for what should come at once.
const patience = time.Minute

// Conn is the client's end of a session, for tests that say and hear every
// line themselves. Whatever goes wrong fails the test.
type Conn struct {
	net.Conn
	t    testing.TB
	in   *ftp.Reader
	tls  *tls.Config // of data connections, nil in clear text
	way  *way        // how the next data connection comes about
	addr string
}

// way is what was announced for the next data connection.
type way struct {
	passive string // where to connect
	active  net.Listener
}

// Dial opens a session and does not read the greeting. It ends with the test.
func (s *Server) Dial() *Conn { return Dial(s.t, s.Addr) }

// Dial opens a session with any server. It ends with the test.
func Dial(t testing.TB, addr string) *Conn {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatalf("ftptest: %v", err)
	}
	t.Cleanup(func() { _ = c.Close() }) // the test may have closed it
	_ = c.SetDeadline(time.Now().Add(patience))
	return &Conn{Conn: c, t: t, in: ftp.NewReader(c), addr: addr}
}

// Login opens a session and logs [User] in.
func (s *Server) Login() *Conn {
	s.t.Helper()
	c := s.Dial()
	c.Expect(220)
	c.Do("USER "+User, 331)
	c.Do("PASS "+Password, 230)
	c.Do("TYPE I", 200)
	return c
}

// Send writes a line and does not wait for the answer.
func (c *Conn) Send(line string) {
	c.t.Helper()
	if _, err := io.WriteString(c.Conn, line+"\r\n"); err != nil {
		c.t.Fatalf("C: %s: %v", line, err)
	}
}

// Reply reads one reply.
func (c *Conn) Reply() ftp.Reply {
	c.t.Helper()
	r, err := c.in.ReadReply()
	if err != nil {
		c.t.Fatalf("no reply: %v", err)
	}
	return r
}

// Expect reads one reply and fails the test unless it has this code.
func (c *Conn) Expect(code int) ftp.Reply {
	c.t.Helper()
	r := c.Reply()
	if r.Code != code {
		c.t.Fatalf("S: %v, want %d", r, code)
	}
	return r
}

// Do sends a line and expects an answer.
func (c *Conn) Do(line string, code int) ftp.Reply {
	c.t.Helper()
	c.Send(line)
	r := c.Reply()
	if r.Code != code {
		c.t.Fatalf("C: %s\nS: %v, want %d", line, r, code)
	}
	return r
}

// ExpectEOF fails the test unless the server closes the session.
func (c *Conn) ExpectEOF() {
	c.t.Helper()
	if r, err := c.in.ReadReply(); err == nil {
		c.t.Fatalf("S: %v, want the end of the session", r)
	}
}

// StartTLS sends AUTH TLS, PBSZ and PROT P. config must have a session cache
// if data connections are to resume the session.
func (c *Conn) StartTLS(config *tls.Config) {
	c.t.Helper()
	c.Do("AUTH TLS", 234)
	c.handshake(config)
	c.Do("PBSZ 0", 200)
	c.Do("PROT P", 200)
}

func (c *Conn) handshake(config *tls.Config) {
	c.t.Helper()
	t := tls.Client(c.Conn, config)
	if err := t.Handshake(); err != nil {
		c.t.Fatalf("ftptest: handshake: %v", err)
	}
	c.Conn, c.tls = t, config
	c.in.Reset(t)
}

// Passive announces passive mode by EPSV.
func (c *Conn) Passive() {
	c.t.Helper()
	c.heard(c.Do("EPSV", 229))
}

// Active announces active mode by EPRT.
func (c *Conn) Active() {
	c.t.Helper()
	l := c.listen()
	c.Do("EPRT "+ftp.FormatEPRT(l.Addr().(*net.TCPAddr).AddrPort()), 200)
}

// listen opens a port for an active data connection.
func (c *Conn) listen() net.Listener {
	c.t.Helper()
	host, _, err := net.SplitHostPort(c.LocalAddr().String())
	if err != nil {
		c.t.Fatal(err)
	}
	l, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { _ = l.Close() })
	c.way = &way{active: l}
	return l
}

// heard takes the address out of a 227 or 229.
func (c *Conn) heard(r ftp.Reply) {
	c.t.Helper()
	text := r.Lines[len(r.Lines)-1]
	var a netip.AddrPort
	var err error
	if r.Code == 227 {
		a, err = ftp.ParsePassive(text)
	} else {
		a, err = ftp.ParseExtendedPassive(text)
	}
	if err != nil {
		c.t.Fatal(err)
	}
	host, _, _ := net.SplitHostPort(c.RemoteAddr().String())
	c.way = &way{passive: net.JoinHostPort(host, fmt.Sprint(a.Port()))}
}

// Data makes the data connection that was announced: over TLS after StartTLS,
// once the server speaks it, so after the transfer command.
func (c *Conn) Data() net.Conn {
	c.t.Helper()
	if c.way == nil {
		c.t.Fatal("ftptest: no data connection was announced")
	}
	var d net.Conn
	var err error
	if c.way.active != nil {
		_ = c.way.active.(*net.TCPListener).SetDeadline(time.Now().Add(patience))
		d, err = c.way.active.Accept()
	} else {
		d, err = net.Dial("tcp", c.way.passive)
	}
	c.way = nil
	if err != nil {
		c.t.Fatalf("ftptest: data connection: %v", err)
	}
	c.t.Cleanup(func() { _ = d.Close() })
	_ = d.SetDeadline(time.Now().Add(patience))
	if c.tls == nil {
		return d
	}
	t := tls.Client(d, c.tls)
	if err := t.Handshake(); err != nil {
		c.t.Fatalf("ftptest: data handshake: %v", err)
	}
	return t
}

// Get downloads by command (RETR, LIST …) in passive mode.
func (c *Conn) Get(command string) string {
	c.t.Helper()
	c.Passive()
	c.Do(command, 150)
	d := c.Data()
	b, err := io.ReadAll(d)
	if err != nil {
		c.t.Fatalf("%s: %v", command, err)
	}
	_ = d.Close()
	c.Expect(226)
	return string(b)
}

// Put uploads by command (STOR, APPE …) in passive mode.
func (c *Conn) Put(command, content string) {
	c.t.Helper()
	c.Passive()
	c.Do(command, 150)
	d := c.Data()
	if _, err := io.WriteString(d, content); err != nil {
		c.t.Fatalf("%s: %v", command, err)
	}
	if err := d.Close(); err != nil {
		c.t.Fatalf("%s: %v", command, err)
	}
	c.Expect(226)
}

// moves holds the commands that use the data connection; true: towards the server.
var moves = map[string]bool{
	"RETR": false, "LIST": false, "NLST": false, "MLSD": false,
	"STOR": true, "STOU": true, "APPE": true,
}

// Talk plays a dialogue on a session of its own: C: lines are sent, S: replies
// and D: data compared (an S: line may give only the code, and * stands for
// anything). A script that does not begin with "S: 220" is logged in first,
// with TYPE I; one that announces nothing before a transfer uses EPSV without
// showing it. In "C: PORT *" and "C: EPRT *" the star stands for the address.
func (s *Server) Talk(t testing.TB, script string) {
	t.Helper()
	steps, err := transcript.Script(script)
	if err != nil {
		t.Fatal(err)
	}
	var c *Conn
	if len(steps) > 0 && steps[0].Who == transcript.Server && steps[0].Reply.Code == 220 {
		c = s.Dial()
	} else {
		c = s.Login()
	}
	c.t = t
	c.Talk(steps)
}

// Talk plays the steps of a dialogue on this session.
func (c *Conn) Talk(steps []transcript.Step) {
	c.t.Helper()
	var data net.Conn
	up := false
	for i, step := range steps {
		switch step.Who {
		case transcript.Client:
			cmd, _ := ftp.ParseCommand(step.Text) // what is no command is sent as it is
			if toServer, ok := moves[cmd.Verb]; ok {
				up = toServer
				if c.way == nil {
					c.Passive()
				}
			}
			c.Send(c.filled(step.Text, cmd))
		case transcript.Server:
			if data != nil && step.Reply.Code >= 200 {
				c.endData(data, up, step.Number)
				data = nil
			}
			r := c.Reply()
			if err := transcript.Match(step.Reply, r); err != nil {
				c.t.Fatalf("line %d: %v", step.Number, err)
			}
			switch {
			case r.Code == 227 || r.Code == 229:
				c.heard(r)
			case r.Code == 150:
				data = c.Data()
				if up && (i+1 == len(steps) || steps[i+1].Who != transcript.Data) {
					_ = data.Close() // an empty file
					data = nil
				}
			}
		case transcript.Data:
			c.playData(data, up, step)
			data = nil
		}
	}
}

// filled puts our own address where a script leaves it open.
func (c *Conn) filled(line string, cmd ftp.Command) string {
	if !strings.HasSuffix(line, " *") || cmd.Verb != "PORT" && cmd.Verb != "EPRT" {
		return line
	}
	a := c.listen().Addr().(*net.TCPAddr).AddrPort()
	if cmd.Verb == "PORT" {
		return "PORT " + ftp.FormatHostPort(a)
	}
	return "EPRT " + ftp.FormatEPRT(a)
}

// playData sends or compares a D: step.
func (c *Conn) playData(data net.Conn, up bool, step transcript.Step) {
	c.t.Helper()
	if data == nil {
		c.t.Fatalf("line %d: data without a 150 before it", step.Number)
	}
	defer data.Close()
	if up {
		if _, err := io.WriteString(data, step.Text); err != nil {
			c.t.Fatalf("line %d: %v", step.Number, err)
		}
		return
	}
	got, err := io.ReadAll(data)
	if err != nil {
		c.t.Fatalf("line %d: %v", step.Number, err)
	}
	if string(got) != step.Text && step.Text != "*" {
		c.t.Fatalf("line %d: data is %q, want %q", step.Number, got, step.Text)
	}
}

// endData reads a data connection of which the script says nothing: it must
// bring nothing.
func (c *Conn) endData(data net.Conn, up bool, line int) {
	c.t.Helper()
	defer data.Close()
	if up {
		return
	}
	got, err := io.ReadAll(data)
	if err == nil && len(got) > 0 {
		c.t.Fatalf("line %d: data came that the script does not show: %q", line, got)
	}
}
