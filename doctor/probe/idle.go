package probe

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"towpath/doctor/check"
	"towpath/ftp"
	"towpath/ftpclient"
)

// idle leaves sessions silent, not even with TCP keep-alive, and looks whether
// they live: whether a command still finds its way to the server, and whether a
// reply finds its way to us when the server is the first to speak, as it is at
// the end of a long transfer. Most NATs let a command make good what they have
// forgotten, and none a reply.
func (p *probe) idle(ctx context.Context) check.Check {
	if p.Idle <= 0 {
		return check.Check{}
	}
	c := inClear
	if p.sides[overTLS].entered {
		c = overTLS
	}
	if out := p.commandAfter(ctx, c); out.Answer != check.Yes {
		return out
	}
	out := check.Check{Answer: check.Yes, Evidence: p.say("probe.idle", "time", p.Idle)}
	if !p.sides[c].works(ftpclient.EPSV) && !p.sides[c].works(ftpclient.PASV) {
		return out
	}
	silence, err := p.replyAfter(ctx, c)
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return check.Check{
			Answer: check.No, Evidence: p.say("probe.idle.no-reply", "time", silence),
			Hint: p.say("probe.idle.forgotten"),
		}
	case err != nil:
		out.Evidence = p.say("probe.idle.unseen", "first", out.Evidence, "error", err)
	default:
		out.Evidence = p.say("probe.idle.reply", "first", out.Evidence, "time", silence)
	}
	return out
}

// commandAfter is silent, and then speaks.
func (p *probe) commandAfter(ctx context.Context, c cover) check.Check {
	l, err := p.enter(ctx, c, p.Idle)
	if err != nil {
		return check.Check{Evidence: p.say("probe.session.none", "error", p.short(err))}
	}
	defer l.quit()
	r, err := l.silent(ctx, p.Idle)
	if err == nil {
		return check.Check{Minor: true, Evidence: p.say("probe.idle.within", "time", p.Idle, "reply", r), Hint: p.say("probe.idle.shorter")}
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		r, err = l.say(ctx, "NOOP", "")
	}
	switch {
	case err == nil && r.Code == 421:
		return check.Check{Minor: true, Evidence: p.say("probe.idle.after", "time", p.Idle, "reply", r), Hint: p.say("probe.idle.shorter")}
	case err == nil:
		return check.Check{Answer: check.Yes}
	}
	return check.Check{Answer: check.No, Evidence: p.say("probe.idle.lost", "time", p.Idle, "error", p.short(err)), Hint: p.say("probe.idle.forgotten")}
}

// mostWaiting is how long a server is left waiting for a data connection: less
// than the shortest time after which one of them gives up, which is 30 s.
const mostWaiting = 25 * time.Second

// replyAfter is silent behind a transfer command, makes the data connection that
// the server waits for only then, and hears what it says. The error is
// os.ErrDeadlineExceeded if that is nothing.
func (p *probe) replyAfter(ctx context.Context, c cover) (silence time.Duration, err error) {
	silence = min(p.Idle, mostWaiting)
	l, err := p.enter(ctx, c, silence)
	if err != nil {
		return silence, err
	}
	defer l.quit()
	at, err := p.announced(ctx, c, l)
	if err != nil {
		return silence, err
	}
	if err := l.send("NLST", p.Dir); err != nil {
		return silence, err
	}
	start := time.Now()
	if _, err := l.silent(ctx, silence); !errors.Is(err, os.ErrDeadlineExceeded) {
		return time.Since(start).Round(time.Millisecond), err // it has not waited, and we have heard so
	}
	data, err := p.open(ctx, at)
	if err != nil {
		return silence, fmt.Errorf("data connection: %w", errors.New(p.short(err)))
	}
	if t, ok := data.(*net.TCPConn); ok {
		_ = t.CloseWrite() // a server that waits for TLS need not wait longer
	}
	stop := context.AfterFunc(ctx, func() { _ = data.Close() })
	defer stop()
	defer data.Close()
	go func() { // whatever comes
		buf := make([]byte, 4096)
		for {
			if _, err := data.Read(buf); err != nil {
				_ = data.Close()
				return
			}
		}
	}()
	_, err = l.hear(ctx)
	return silence, err
}

// silent listens for so long without a word. Silence is
// os.ErrDeadlineExceeded.
func (l *line) silent(ctx context.Context, d time.Duration) (ftp.Reply, error) {
	patience := l.timeout
	l.timeout = d
	defer func() { l.timeout = patience }()
	return l.hear(ctx)
}
