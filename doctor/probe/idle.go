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
	out := check.Check{Answer: check.Yes, Evidence: fmt.Sprintf("a session lives after %v of silence", p.Idle)}
	if !p.sides[c].works(ftpclient.EPSV) && !p.sides[c].works(ftpclient.PASV) {
		return out
	}
	silence, err := p.replyAfter(ctx, c)
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return check.Check{
			Answer: check.No, Evidence: fmt.Sprintf("after %v of silence commands arrive, and a reply that the server sends by itself does not", silence),
			Hint: forgotten,
		}
	case err != nil:
		out.Evidence += fmt.Sprintf("; whether a reply comes after it could not be seen (%v)", err)
	default:
		out.Evidence += fmt.Sprintf(", and a reply comes after %v", silence)
	}
	return out
}

const forgotten = "A NAT or firewall on the way forgets the session. In a long transfer all bytes would arrive, and the last reply would not: towpath sends NOOP every 30 s; with other clients use TCP keep-alive, or set a longer time-out there."

// commandAfter is silent, and then speaks.
func (p *probe) commandAfter(ctx context.Context, c cover) check.Check {
	l, err := p.enter(ctx, c, p.Idle)
	if err != nil {
		return check.Check{Evidence: "no further session: " + short(err)}
	}
	defer l.quit()
	r, err := l.silent(ctx, p.Idle)
	if err == nil {
		return check.Check{Minor: true, Evidence: fmt.Sprintf("the server itself ends a session within %v of silence: %v", p.Idle, r), Hint: "So it cannot be seen whether a NAT would. Try a shorter --idle."}
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		r, err = l.say(ctx, "NOOP", "")
	}
	switch {
	case err == nil && r.Code == 421:
		return check.Check{Minor: true, Evidence: fmt.Sprintf("the server itself ends a session after %v of silence: %v", p.Idle, r), Hint: "So it cannot be seen whether a NAT would. Try a shorter --idle."}
	case err == nil:
		return check.Check{Answer: check.Yes}
	}
	return check.Check{Answer: check.No, Evidence: fmt.Sprintf("a session is lost after %v of silence, and the server did not say good-bye: %v", p.Idle, short(err)), Hint: forgotten}
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
		return silence, fmt.Errorf("data connection: %w", errors.New(short(err)))
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
