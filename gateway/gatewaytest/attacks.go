// Package gatewaytest holds the attacks that whatever repairs FTP on its way must
// withstand, be it a gateway or the helper of a kernel. Each is played on the
// wire, from both ends of a session.
package gatewaytest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"

	"towpath/ftp"
)

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
	{3, "a line that only looks like PORT in its second segment", withPort(segment)},
	{3, "a NUL and a bare CR inside a line", withPort(badBytes)},
	{4, "PORT names port 22", loggedIn(lowPort)},
	{4, "PORT with a number above 255", withPort(bigOctet)},
	{5, "PORT names another host", loggedIn(foreign)},
	{6, "227 in a greeting", bannerPassive},
	{6, "227 inside another reply", loggedIn(innerPassive)},
	{7, "PORT that the server refuses", withPort(refusedPort)},
	{7, "PORT without a transfer", withPort(idlePort)},
	{8, "a passive port used twice", withPassive(twice)},
	{8, "a passive port after QUIT", withPassive(afterQuit)},
	{8, "a passive port used by a stranger", withPassive(stranger)},
	{9, "many PASV", loggedIn(flood)},
	{10, "PORT after EPSV ALL", withPort(epsvAll)},
	{11, "the server announces another host", loggedIn(foreignPassive)},
	{12, "the server announces the gateway", loggedIn(ourselves)},
	{13, "PORT behind AUTH", withPort(behindAuth)},
	{15, "data that comes from another address than control", withPassive(source)},
}

// loggedIn, withPort and withPassive are what goes before an attack: a login, then
// a listener of the client and the PORT that announces it, or one of the server
// and what the client was told of it.
func loggedIn(attack func(*play) error) func(*play) error {
	return func(p *play) error {
		if err := p.login(); err != nil {
			return err
		}
		return attack(p)
	}
}

func withPort(attack func(p *play, l net.Listener, port string) error) func(*play) error {
	return loggedIn(func(p *play) error {
		l, port, err := p.victim(0)
		if err != nil {
			return err
		}
		return attack(p, l, port)
	})
}

func withPassive(attack func(p *play, l net.Listener, at netip.AddrPort) error) func(*play) error {
	return loggedIn(func(p *play) error {
		l, at, err := p.offered()
		if err != nil {
			return err
		}
		return attack(p, l, at)
	})
}

func fooled(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrFooled, fmt.Sprintf(format, args...))
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

func segment(p *play, l net.Listener, port string) error {
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

func badBytes(p *play, l net.Listener, port string) error {
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

func bigOctet(p *play, l net.Listener, port string) error {
	at := addr(l.Addr()).Port()
	// The same port, said as one number: p1*256+p2 with p2 above 255.
	numbers := strings.Split(port, ",")
	bad := fmt.Sprintf("%s,1,%d", strings.Join(numbers[:4], ","), int(at)-256)
	return p.announced(bad, l, "200 PORT command successful.", "by a number above 255")
}

func foreign(p *play) error {
	said := "PORT " + ftp.FormatHostPort(netip.MustParseAddrPort("192.0.2.77:40000"))
	if err := p.say(said); err != nil {
		return err
	}
	if line := p.heard("PORT"); line != "" && line != said {
		return fooled("%q became %q", said, line)
	}
	return nil
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

func innerPassive(p *play) error {
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

func refusedPort(p *play, l net.Listener, port string) error {
	return p.announced(port, l, "500 Illegal PORT command.", "after a refused PORT")
}

func idlePort(p *play, l net.Listener, port string) error {
	return p.announced(port, l, "200 PORT command successful.", "before any transfer")
}

func twice(p *play, l net.Listener, at netip.AddrPort) error {
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

func afterQuit(p *play, l net.Listener, at netip.AddrPort) error {
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

func stranger(p *play, l net.Listener, at netip.AddrPort) error {
	if p.FromStranger == nil {
		return ErrNoStage
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

func epsvAll(p *play, l net.Listener, port string) error {
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

func behindAuth(p *play, l net.Listener, port string) error {
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

func source(p *play, l net.Listener, at netip.AddrPort) error {
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
