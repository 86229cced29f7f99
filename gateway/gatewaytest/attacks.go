// Package gatewaytest holds the attacks that whatever repairs FTP on its way must
// withstand, be it a gateway or the helper of a kernel. Each is played on the
// wire, from both ends of a session.
package gatewaytest

import (
	"bufio"
	"context"
	"errors"
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

// Attack is one attempt to get a connection that nobody should get.
type Attack struct {
	// Number is that of the check that it tries, Name says what is done.
	Number int
	Name   string
	play   func(*play) error
}

// ErrFooled is wrapped by what Play returns if the attack succeeded.
var ErrFooled = errors.New("fooled")

// ErrNoStage: the stage lacks what the attack needs.
var ErrNoStage = errors.New("the stage is too small")

// Play plays the attack. nil means that it was withstood, [ErrFooled] that it
// was not; any other error, that it could not be played.
func (a Attack) Play(ctx context.Context, s *Stage) error {
	if s.Patience == 0 {
		s.Patience = time.Second
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	p := &play{Stage: s, ctx: ctx}
	defer p.end()
	if err := a.play(p); err != nil {
		return fmt.Errorf("check %d, %s: %w", a.Number, a.Name, err)
	}
	return nil
}

// Attacks are all there are, by their numbers. Checks 14 and 16 cannot be tried
// from outside: the one is a look at the machine, and the other holds if check 1
// does on any port.
var Attacks = []Attack{
	{1, "a web page posts PORT", slipstream},
	{2, "PORT before login", beforeLogin},
	{3, "a line that only looks like PORT in its second segment", segment},
	{3, "a NUL and a bare CR inside a line", badBytes},
	{4, "PORT names port 22", lowPort},
	{4, "PORT with a number above 255", bigOctet},
	{5, "PORT names another host", foreign},
	{6, "227 in a greeting", bannerPassive},
	{6, "227 inside another reply", innerPassive},
	{7, "PORT that the server refuses", refusedPort},
	{7, "PORT without a transfer", idlePort},
	{8, "a passive port used twice", twice},
	{8, "a passive port after QUIT", afterQuit},
	{8, "a passive port used by a stranger", stranger},
	{9, "many PASV", flood},
	{10, "PORT after EPSV ALL", epsvAll},
	{11, "the server announces another host", foreignPassive},
	{12, "the server announces the gateway", ourselves},
	{13, "PORT behind AUTH", behindAuth},
	{15, "data that comes from another address than control", source},
}

func fooled(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrFooled, fmt.Sprintf(format, args...))
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

func slipstream(p *play) error {
	if err := p.begin("220 Ahoy."); err != nil {
		return err
	}
	l, port, err := p.victim(0)
	if err != nil {
		return err
	}
	if _, err := p.client.Write([]byte("POST / HTTP/1.1\r\nHost: ftp.example\r\nContent-Length: 99\r\n\r\n")); err != nil {
		return err
	}
	_ = p.say(port) // it may have been cut already
	if line := p.heard("PORT"); line != "" {
		_ = p.reply("200 PORT command successful.")
		if p.called(line, l) {
			return fooled("the server heard %q from a web page, and could call the client", line)
		}
	}
	return nil
}

func beforeLogin(p *play) error {
	if err := p.begin("220 Ahoy."); err != nil {
		return err
	}
	l, port, err := p.victim(0)
	if err != nil {
		return err
	}
	return p.announced(port, l, "200 PORT command successful.", "before login")
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

func segment(p *play) error {
	if err := p.login(); err != nil {
		return err
	}
	l, port, err := p.victim(0)
	if err != nil {
		return err
	}
	if _, err := p.client.Write([]byte("SITE MSG ")); err != nil {
		return err
	}
	// A segment of its own: the first one must have gone.
	select {
	case <-time.After(50 * time.Millisecond):
	case <-p.ctx.Done():
	}
	if err := p.say(port); err != nil {
		return err
	}
	line, err := p.hear(p.server, p.sin)
	if err != nil {
		return err
	}
	if _, rest, ok := strings.Cut(line, "PORT "); ok {
		_ = p.reply("200 Fine.")
		if _, err := p.hear(p.client, p.cin); err != nil {
			return err
		}
		if p.called("PORT "+rest, l) && "PORT "+rest != port {
			return fooled("%q was taken for PORT", line)
		}
	}
	return nil
}

func badBytes(p *play) error {
	if err := p.login(); err != nil {
		return err
	}
	l, port, err := p.victim(0)
	if err != nil {
		return err
	}
	for _, bad := range []string{"NOOP\r" + port, "NOOP \x00" + port, "NOOP\x00\r\x00" + port} {
		if err := p.say(bad); err != nil {
			return err
		}
		_ = p.server.SetReadDeadline(time.Now().Add(p.Patience / 4))
		if line, err := p.sin.ReadString('\n'); err == nil {
			_ = p.reply("200 Fine.")
			if strings.ContainsAny(strings.TrimRight(line, "\r\n"), "\r\x00") {
				return fooled("%q reached the server", line)
			}
		}
	}
	_ = l.Close()
	return nil
}

func lowPort(p *play) error {
	if err := p.login(); err != nil {
		return err
	}
	l, port, err := p.victim(22)
	if err != nil { // somebody listens there, or we may not: what the server hears tells
		port = "PORT " + ftp.FormatHostPort(netip.AddrPortFrom(addr(p.client.LocalAddr()).Addr(), 22))
	}
	if err := p.say(port); err != nil {
		return err
	}
	line := p.heard("PORT")
	switch {
	case line == "":
		return nil
	case l == nil:
		return fooled("the server heard %q", line)
	}
	_ = p.reply("200 PORT command successful.")
	if _, err := p.hear(p.client, p.cin); err != nil {
		return err
	}
	if p.called(line, l) {
		return fooled("the server could call port 22 of the client by %q", line)
	}
	return nil
}

func bigOctet(p *play) error {
	if err := p.login(); err != nil {
		return err
	}
	l, port, err := p.victim(0)
	if err != nil {
		return err
	}
	at := addr(l.Addr()).Port()
	// The same port, said as one number: p1*256+p2 with p2 above 255.
	numbers := strings.Split(port, ",")
	bad := fmt.Sprintf("%s,1,%d", strings.Join(numbers[:4], ","), int(at)-256)
	return p.announced(bad, l, "200 PORT command successful.", "by a number above 255")
}

func foreign(p *play) error {
	if err := p.login(); err != nil {
		return err
	}
	said := "PORT " + ftp.FormatHostPort(netip.MustParseAddrPort("192.0.2.77:40000"))
	if err := p.say(said); err != nil {
		return err
	}
	if line := p.heard("PORT"); line != "" && line != said {
		return fooled("%q became %q", said, line)
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

func bannerPassive(p *play) error {
	if err := p.begin("220-Ahoy."); err != nil {
		return err
	}
	l, said, err := p.passive()
	if err != nil {
		return err
	}
	for _, line := range []string{said, "220 Ahoy.", said} {
		if err := p.reply(line); err != nil {
			return err
		}
	}
	return p.inert(said, l, 4)
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

func innerPassive(p *play) error {
	if err := p.login(); err != nil {
		return err
	}
	l, said, err := p.passive()
	if err != nil {
		return err
	}
	if err := p.say("STAT"); err != nil {
		return err
	}
	if _, err := p.hear(p.server, p.sin); err != nil {
		return err
	}
	for _, line := range []string{"211-Status:", said, "211 End."} {
		if err := p.reply(line); err != nil {
			return err
		}
	}
	return p.inert(said, l, 3)
}

func refusedPort(p *play) error {
	if err := p.login(); err != nil {
		return err
	}
	l, port, err := p.victim(0)
	if err != nil {
		return err
	}
	return p.announced(port, l, "500 Illegal PORT command.", "after a refused PORT")
}

func idlePort(p *play) error {
	if err := p.login(); err != nil {
		return err
	}
	l, port, err := p.victim(0)
	if err != nil {
		return err
	}
	return p.announced(port, l, "200 PORT command successful.", "before any transfer")
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

func twice(p *play) error {
	if err := p.login(); err != nil {
		return err
	}
	l, at, err := p.offered()
	if err != nil {
		return err
	}
	first, err := p.FromClient(p.ctx, at)
	if err != nil {
		return fmt.Errorf("the first connection to %v: %w", at, err)
	}
	defer first.Close()
	if err := p.fetch(); err != nil {
		return err
	}
	c, err := l.Accept()
	if err != nil {
		return err
	}
	defer c.Close()
	if p.reaches(p.FromClient, at, l) {
		return fooled("%v let a second connection through", at)
	}
	return nil
}

func afterQuit(p *play) error {
	if err := p.login(); err != nil {
		return err
	}
	l, at, err := p.offered()
	if err != nil {
		return err
	}
	if err := p.turn("QUIT", "221 Goodbye."); err != nil {
		return err
	}
	_ = p.server.Close()
	_, _ = p.cin.ReadString('\n') // the end
	_ = p.client.Close()
	if p.reaches(p.FromClient, at, l) {
		return fooled("%v led to the server after the session had ended", at)
	}
	return nil
}

func stranger(p *play) error {
	if p.FromStranger == nil {
		return ErrNoStage
	}
	if err := p.login(); err != nil {
		return err
	}
	l, at, err := p.offered()
	if err != nil {
		return err
	}
	if err := p.fetch(); err != nil {
		return err
	}
	if p.reaches(p.FromStranger, at, l) {
		return fooled("%v led a stranger to the server", at)
	}
	return nil
}

func flood(p *play) error {
	if err := p.login(); err != nil {
		return err
	}
	const many = 20
	var ears []net.Listener
	var told []netip.AddrPort
	for range many {
		l, at, err := p.offered()
		if err != nil {
			return err
		}
		ears, told = append(ears, l), append(told, at)
	}
	patience := p.Patience
	defer func() { p.Patience = patience }()
	p.Patience = min(patience, 200*time.Millisecond)
	for i := range many - 1 {
		if p.reaches(p.FromClient, told[i], ears[i]) {
			return fooled("announcement %d of %d was still open", i+1, many)
		}
	}
	return nil
}

func epsvAll(p *play) error {
	if err := p.login(); err != nil {
		return err
	}
	l, port, err := p.victim(0)
	if err != nil {
		return err
	}
	if err := p.say("EPSV ALL"); err != nil {
		return err
	}
	if err := p.say(port); err != nil {
		return err
	}
	if line := p.heard("PORT"); line != "" {
		_ = p.reply("200 PORT command successful.")
		if err := p.say("RETR a"); err != nil {
			return err
		}
		p.heard("RETR")
		if p.called(line, l) {
			return fooled("PORT was served after EPSV ALL")
		}
	}
	return nil
}

func foreignPassive(p *play) error {
	if p.AtOther == nil {
		return ErrNoStage
	}
	if err := p.login(); err != nil {
		return err
	}
	l, err := p.AtOther()
	if err != nil {
		return fmt.Errorf("%w: %w", ErrNoStage, err)
	}
	p.keep(l)
	said := "227 Entering Passive Mode (" + ftp.FormatHostPort(netip.AddrPortFrom(p.Other, addr(l.Addr()).Port())) + ")."
	if err := p.say("PASV"); err != nil {
		return err
	}
	if _, err := p.hear(p.server, p.sin); err != nil {
		return err
	}
	if err := p.reply(said); err != nil {
		return err
	}
	got, err := p.hear(p.client, p.cin)
	if err != nil || got == said || !strings.HasPrefix(got, "227") {
		return err
	}
	at, err := ftp.ParsePassive(got[4:])
	if err != nil {
		return err
	}
	if err := p.fetch(); err != nil {
		return err
	}
	if p.reaches(p.FromClient, at, l) {
		return fooled("the client was led to %v", p.Other)
	}
	return nil
}

func ourselves(p *play) error {
	if err := p.login(); err != nil {
		return err
	}
	// What the client has called, seen from the server: the gateway itself.
	at := netip.AddrPortFrom(addr(p.server.RemoteAddr()).Addr(), addr(p.client.RemoteAddr()).Port())
	if err := p.say("PASV"); err != nil {
		return err
	}
	if _, err := p.hear(p.server, p.sin); err != nil {
		return err
	}
	said := "227 Entering Passive Mode (" + ftp.FormatHostPort(at) + ")."
	if err := p.reply(said); err != nil {
		return err
	}
	got, err := p.hear(p.client, p.cin)
	if err != nil || got == said || !strings.HasPrefix(got, "227") {
		return err
	}
	told, err := ftp.ParsePassive(got[4:])
	if err != nil {
		return err
	}
	if err := p.fetch(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(p.ctx, p.Patience)
	defer cancel()
	c, err := p.FromClient(ctx, told)
	if err != nil {
		return nil
	}
	defer c.Close()
	_ = c.SetReadDeadline(time.Now().Add(p.Patience))
	var b [3]byte
	if n, _ := c.Read(b[:]); string(b[:n]) == "220" {
		return fooled("the data connection led to the control port")
	}
	return nil
}

func behindAuth(p *play) error {
	if err := p.login(); err != nil {
		return err
	}
	l, port, err := p.victim(0)
	if err != nil {
		return err
	}
	if _, err := p.client.Write([]byte("AUTH TLS\r\n" + port + "\r\n")); err != nil {
		return err
	}
	line := p.heard("AUTH", "PORT")
	if strings.HasPrefix(line, "AUTH") {
		_ = p.reply("234 Begin TLS now.")
		line = p.heard("PORT")
	}
	if line == "" {
		return nil
	}
	_ = p.reply("200 PORT command successful.")
	if line != port && p.called(line, l) {
		return fooled("%q behind AUTH was served", line)
	}
	return nil
}

func source(p *play) error {
	if err := p.login(); err != nil {
		return err
	}
	l, at, err := p.offered()
	if err != nil {
		return err
	}
	d, err := p.FromClient(p.ctx, at)
	if err != nil {
		return err
	}
	defer d.Close()
	if err := p.fetch(); err != nil {
		return err
	}
	c, err := l.Accept()
	if err != nil {
		return err
	}
	defer c.Close()
	control, data := addr(p.server.RemoteAddr()).Addr(), addr(c.RemoteAddr()).Addr()
	if control != data {
		return fooled("control comes from %v, data from %v", control, data)
	}
	return nil
}
