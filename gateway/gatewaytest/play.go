package gatewaytest

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"

	"towpath/ftp"
)

// Stage is where attacks are played: a client, a server, and between them what
// is under test.
type Stage struct {
	// Dial opens a control connection from the client's host, Accept returns its
	// other end at the server's.
	Dial   func(context.Context) (net.Conn, error)
	Accept func(context.Context) (net.Conn, error)
	// AtClient and AtServer listen on a port of the client's host and of the
	// server's; 0 is any.
	AtClient, AtServer func(port uint16) (net.Listener, error)
	// FromClient and FromServer connect from the client's host and from the
	// server's. FromStranger does from a third one on the client's side; it may
	// be nil.
	FromClient, FromServer, FromStranger func(context.Context, netip.AddrPort) (net.Conn, error)
	// Other is an address on the server's side that is not the server's, and
	// AtOther listens there. They may be zero.
	Other   netip.Addr
	AtOther func() (net.Listener, error)
	// Patience is how long silence must last to be believed. Default 1 s.
	Patience time.Duration
}

// play is one session with both its ends.
type play struct {
	*Stage
	ctx            context.Context
	client, server net.Conn
	cin, sin       *bufio.Reader
	opened         []interface{ Close() error }
}

func (p *play) end() {
	for _, c := range p.opened {
		_ = c.Close()
	}
}

func (p *play) keep(c interface{ Close() error }) { p.opened = append(p.opened, c) }

// begin opens the session, and the server greets.
func (p *play) begin(greeting string) error {
	var err error
	if p.client, err = p.Dial(p.ctx); err != nil {
		return err
	}
	p.keep(p.client)
	if p.server, err = p.Accept(p.ctx); err != nil {
		return err
	}
	p.keep(p.server)
	p.cin, p.sin = bufio.NewReader(p.client), bufio.NewReader(p.server)
	return p.reply(greeting)
}

// login begins and logs in.
func (p *play) login() error {
	if err := p.begin("220 Ahoy."); err != nil {
		return err
	}
	if _, err := p.hear(p.client, p.cin); err != nil {
		return err
	}
	for _, turn := range [][2]string{{"USER anna", "331 Password?"}, {"PASS x", "230 Welcome."}} {
		if err := p.turn(turn[0], turn[1]); err != nil {
			return err
		}
	}
	return nil
}

// turn is a command that the server answers.
func (p *play) turn(command, answer string) error {
	if err := p.say(command); err != nil {
		return err
	}
	if _, err := p.hear(p.server, p.sin); err != nil {
		return fmt.Errorf("%s: %w", command, err)
	}
	if err := p.reply(answer); err != nil {
		return err
	}
	_, err := p.hear(p.client, p.cin)
	return err
}

func (p *play) say(line string) error {
	_, err := p.client.Write([]byte(line + "\r\n"))
	return err
}

func (p *play) reply(line string) error {
	_, err := p.server.Write([]byte(line + "\r\n"))
	return err
}

// hear reads a line.
func (p *play) hear(c net.Conn, in *bufio.Reader) (string, error) {
	_ = c.SetReadDeadline(time.Now().Add(30 * time.Second))
	line, err := in.ReadString('\n')
	return strings.TrimRight(line, "\r\n"), err
}

// heard is what the server has heard that begins with one of the verbs, "" if
// nothing has come for as long as Patience. Other lines it answers by 200.
func (p *play) heard(verbs ...string) string {
	for {
		_ = p.server.SetReadDeadline(time.Now().Add(p.Patience))
		line, err := p.sin.ReadString('\n')
		if err != nil {
			return ""
		}
		for _, v := range verbs {
			if strings.HasPrefix(strings.ToUpper(line), v) {
				return strings.TrimRight(line, "\r\n")
			}
		}
		if p.reply("200 Fine.") != nil {
			return ""
		}
	}
}

// victim listens at the client's host, and says what PORT would announce it.
func (p *play) victim(port uint16) (net.Listener, string, error) {
	l, err := p.AtClient(port)
	if err != nil {
		return nil, "", fmt.Errorf("%w: %w", ErrNoStage, err)
	}
	p.keep(l)
	at := netip.AddrPortFrom(addr(p.client.LocalAddr()).Addr(), addr(l.Addr()).Port())
	return l, "PORT " + ftp.FormatHostPort(at), nil
}

func addr(a net.Addr) netip.AddrPort {
	ap, _ := netip.ParseAddrPort(a.String())
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}

// reaches says whether a connection opened by dial to at arrives at l, and is
// one that bytes can pass.
func (p *play) reaches(dial func(context.Context, netip.AddrPort) (net.Conn, error), at netip.AddrPort, l net.Listener) bool {
	ctx, cancel := context.WithTimeout(p.ctx, p.Patience)
	defer cancel()
	c, err := dial(ctx, at)
	if err != nil {
		return false
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(p.Patience))
	if _, err := c.Write([]byte("x")); err != nil {
		return false
	}
	if d, ok := l.(interface{ SetDeadline(time.Time) error }); ok {
		_ = d.SetDeadline(time.Now().Add(p.Patience))
	}
	for {
		got, err := l.Accept()
		if err != nil {
			return false
		}
		_ = got.SetReadDeadline(time.Now().Add(p.Patience))
		var b [1]byte
		n, _ := got.Read(b[:])
		_ = got.Close()
		if n == 1 {
			return true
		}
	}
}

// called says whether the server, having heard line, can call the victim.
func (p *play) called(line string, victim net.Listener) bool {
	c, err := ftp.ParseCommand(line)
	if err != nil {
		return false
	}
	at, err := ftp.ParseHostPort(strings.TrimSpace(c.Arg))
	return err == nil && p.reaches(p.FromServer, at, victim)
}

// announced has the client say port and the server answer, and wants that the
// server can call nobody.
func (p *play) announced(port string, l net.Listener, answer, when string) error {
	if err := p.say(port); err != nil {
		return err
	}
	line := p.heard("PORT")
	if line == "" {
		return nil
	}
	if err := p.reply(answer); err != nil {
		return err
	}
	// The answer is awaited, so that who opens something has opened it.
	for {
		got, err := p.hear(p.client, p.cin)
		if err != nil || got == answer || !strings.HasPrefix(got, "220") {
			break
		}
	}
	if p.called(line, l) {
		return fooled("%s the server could call the client by %q", when, line)
	}
	return nil
}

// passive is a listener at the server's host, and the 227 that announces it.
func (p *play) passive() (net.Listener, string, error) {
	l, err := p.AtServer(0)
	if err != nil {
		return nil, "", fmt.Errorf("%w: %w", ErrNoStage, err)
	}
	p.keep(l)
	at := netip.AddrPortFrom(addr(p.server.LocalAddr()).Addr(), addr(l.Addr()).Port())
	return l, "227 Entering Passive Mode (" + ftp.FormatHostPort(at) + ").", nil
}

// inert reads lines of the server at the client, and wants none of them to lead
// anywhere that it did not lead before.
func (p *play) inert(said string, l net.Listener, lines int) error {
	for range lines {
		_ = p.client.SetReadDeadline(time.Now().Add(p.Patience))
		got, err := p.cin.ReadString('\n')
		if err != nil {
			return nil
		}
		got = strings.TrimRight(got, "\r\n")
		i := strings.Index(got, "(")
		if i < 0 || got == said {
			continue
		}
		if at, err := ftp.ParsePassive(got[i:]); err == nil && p.reaches(p.FromClient, at, l) {
			return fooled("%q became %q", said, got)
		}
	}
	return nil
}

// offered asks for passive mode and returns what the client was told.
func (p *play) offered() (net.Listener, netip.AddrPort, error) {
	l, said, err := p.passive()
	if err != nil {
		return nil, netip.AddrPort{}, err
	}
	if err := p.say("PASV"); err != nil {
		return nil, netip.AddrPort{}, err
	}
	if _, err := p.hear(p.server, p.sin); err != nil {
		return nil, netip.AddrPort{}, err
	}
	if err := p.reply(said); err != nil {
		return nil, netip.AddrPort{}, err
	}
	got, err := p.hear(p.client, p.cin)
	if err != nil {
		return nil, netip.AddrPort{}, err
	}
	at, err := ftp.ParsePassive(strings.TrimPrefix(got, "227 "))
	return l, at, err
}

// fetch begins a transfer, so that bytes may pass.
func (p *play) fetch() error {
	if err := p.say("RETR a"); err != nil {
		return err
	}
	if _, err := p.hear(p.server, p.sin); err != nil {
		return err
	}
	return p.reply("150 Here it comes.")
}
