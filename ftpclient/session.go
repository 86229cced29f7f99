package ftpclient

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"towpath/ftp"
	"towpath/internal/resume"
)

// session is one control connection. Until [session.listen] runs, one goroutine
// sends and reads in turn; from then on replies are read as they come (so that
// new TLS tickets are too) and each is given to the command that it answers.
type session struct {
	set         *Options
	host, port  string // as dialled
	conn        net.Conn
	raw         net.Conn   // under TLS
	peer, local netip.Addr // not valid when a proxy is between and does not tell
	in          *ftp.Reader
	tls         *resume.Tickets // nil in clear text

	features ftp.Features
	kind     byte   // the TYPE in force, 0: not known
	hash     string // what OPTS HASH has chosen
	home     string // what PWD said, "" if not asked
	silent   bool   // about downloads that are closed; see settle
	rested   bool   // a REST may be in force whose answer nobody has waited for
	// MODE Z is in force, and: it is not to be asked for again.
	deflating, flat bool

	outside netip.Addr // from where the server sees us, once asked

	writing sync.Mutex // held while a command is queued and written

	mu      sync.Mutex
	queue   []*answer
	leaving bool          // QUIT is what comes next: the end is no news
	err     error         // why the session is over
	dead    chan struct{} // closed with it
}

// answer is what is owed to a command that was sent.
type answer struct {
	command ftp.Command
	what    purpose
	begun   chan struct{} // closed when a preliminary reply has come
	done    chan struct{} // closed when the final reply has come
	reply   ftp.Reply     // once done is closed
	first   bool          // begun is closed; belongs to who reads replies
}

// purpose tells commands apart that are sent while a transfer runs.
type purpose int

const (
	ordinary purpose = iota
	keeping          // a NOOP that keeps the session alive
	aborting         // ABOR
)

func newSession(set *Options, host, port string, c net.Conn) *session {
	s := &session{set: set, host: host, port: port, dead: make(chan struct{})}
	if t, ok := c.(Tunnel); ok {
		s.peer, c = t.Peer(), t.NetConn()
	} else if set.direct() {
		if a, ok := c.RemoteAddr().(*net.TCPAddr); ok {
			s.peer = a.AddrPort().Addr().Unmap()
		}
		if a, ok := c.LocalAddr().(*net.TCPAddr); ok {
			s.local = a.AddrPort().Addr().Unmap()
		}
	}
	s.conn, s.raw, s.in = c, c, ftp.NewReader(c)
	return s
}

// fail ends the session. The first cause stays.
func (s *session) fail(err error) {
	s.mu.Lock()
	if s.err != nil {
		s.mu.Unlock()
		return
	}
	s.err = err
	close(s.dead)
	expected := s.leaving || errors.Is(err, net.ErrClosed)
	s.mu.Unlock()
	_ = s.raw.Close() // whatever it says, it is over
	if !expected {
		s.set.Log.Info("session over", "server", s.host, "err", err)
	}
}

// leave says QUIT, and waits a moment for its answer.
func (s *session) leave() {
	s.mu.Lock()
	s.leaving = true
	s.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_, _ = s.do(ctx, "QUIT", "") // politeness
}

// alive returns why the session is over, or nil.
func (s *session) alive() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil {
		return nil
	}
	return fmt.Errorf("%w: %w", ErrPoisoned, s.err)
}

// listen reads replies until the session is over.
func (s *session) listen() {
	for {
		r, err := s.in.ReadReply()
		if err == nil {
			s.traceReply(r)
			err = s.deliver(r)
		}
		if err != nil {
			s.fail(err)
			return
		}
	}
}

// deliver gives a reply to the command that it answers. That is the oldest,
// but servers that look at the control connection during a transfer answer a
// NOOP before the transfer: 200, or 500 from those that know only ABOR there
// (Pure-FTPd). No transfer ends with such a code once it has begun.
func (s *session) deliver(r ftp.Reply) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.queue) == 0 {
		if r.Code == 421 {
			return &ftp.Error{Reply: r}
		}
		return fmt.Errorf("%w: %v", ErrUnsolicited, r)
	}
	i := 0
	if head := s.queue[0]; (head.first || head.what == aborting) && forNoop(r.Code) {
		for j, a := range s.queue {
			if a.what == keeping {
				i = j
				break
			}
		}
	}
	a := s.queue[i]
	if r.Preliminary() {
		if !a.first {
			a.first = true
			close(a.begun)
		}
		return nil
	}
	s.queue = append(s.queue[:i], s.queue[i+1:]...)
	a.reply = r
	close(a.done)
	if r.Code == 421 {
		return &ftp.Error{Command: a.command, Reply: r}
	}
	return nil
}

func forNoop(code int) bool {
	switch code {
	case 200, 500, 501, 502, 503:
		return true
	}
	return false
}

// send writes a command and puts it into the queue.
func (s *session) send(cmd ftp.Command) (*answer, error) { return s.put(cmd, ordinary) }

func (s *session) put(cmd ftp.Command, what purpose) (*answer, error) {
	line, err := cmd.Encode()
	if err != nil {
		return nil, err
	}
	a := &answer{command: cmd, what: what, begun: make(chan struct{}), done: make(chan struct{})}
	s.writing.Lock()
	defer s.writing.Unlock()
	if err := s.alive(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	s.queue = append(s.queue, a)
	s.mu.Unlock()
	if s.set.Trace != nil {
		s.set.Trace('C', cmd.String())
	}
	if err := s.write(line); err != nil {
		s.fail(fmt.Errorf("%v: %w", cmd, err))
		return nil, s.alive()
	}
	return a, nil
}

func (s *session) write(line []byte) error {
	_ = s.raw.SetWriteDeadline(after(s.set.Timeout)) // the write tells what is wrong
	_, err := s.conn.Write(line)
	return err
}

// after is the moment d from now; a d that is not positive means never.
func after(d time.Duration) time.Time {
	if d <= 0 {
		return time.Time{}
	}
	return time.Now().Add(d)
}

// clock strikes after d, or never.
func clock(d time.Duration) (<-chan time.Time, func()) {
	if d <= 0 {
		return nil, func() {}
	}
	t := time.NewTimer(d)
	return t.C, func() { t.Stop() }
}

// opening waits until a command has been answered at all.
func (s *session) opening(ctx context.Context, a *answer) error {
	return s.wait(ctx, a, a.begun, s.set.Timeout)
}

// final waits for the last reply. When ctx ends the reply stays owed, and the
// session can be used. When patience ends it cannot: a server that is silent
// now may answer at any time.
func (s *session) final(ctx context.Context, a *answer, patience time.Duration) (ftp.Reply, error) {
	if err := s.wait(ctx, a, nil, patience); err != nil {
		return ftp.Reply{}, err
	}
	return a.reply, nil
}

func (s *session) wait(ctx context.Context, a *answer, also <-chan struct{}, patience time.Duration) error {
	late, stop := clock(patience)
	defer stop()
	select {
	case <-a.done:
		return nil
	case <-also:
		return nil
	case <-s.dead:
	case <-ctx.Done():
		return ctx.Err()
	case <-late:
		s.fail(fmt.Errorf("no answer to %v within %v: %w", a.command, patience, os.ErrDeadlineExceeded))
	}
	select {
	case <-a.done: // it came together with the end
		return nil
	case <-also:
		return nil
	default:
		return s.alive()
	}
}

// soon tells whether an answer comes, or the session ends, within a moment.
func (s *session) soon(a *answer) bool {
	late, stop := clock(soonIs)
	defer stop()
	select {
	case <-a.done:
		return true
	case <-s.dead:
		return true
	case <-late:
		return false
	}
}

// forgive strikes from the queue what will not be answered any more, and tells
// whether it was there.
func (s *session) forgive(a *answer) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.Index(s.queue, a)
	if i >= 0 {
		s.queue = slices.Delete(s.queue, i, i+1)
	}
	return i >= 0
}

// do sends a command and returns its final reply, which is an error unless it
// is one of 2xx or 3xx.
func (s *session) do(ctx context.Context, verb, arg string) (ftp.Reply, error) {
	cmd := ftp.Command{Verb: verb, Arg: arg}
	a, err := s.send(cmd)
	if err != nil {
		return ftp.Reply{}, err
	}
	r, err := s.final(ctx, a, s.set.Timeout)
	if err == nil && !r.Complete() && !r.Intermediate() {
		err = &ftp.Error{Command: cmd, Reply: r}
	}
	return r, err
}

// setType is TYPE, when another one is in force.
func (s *session) setType(ctx context.Context, kind byte) error {
	if s.kind == kind {
		return nil
	}
	s.kind = 0
	_, err := s.do(ctx, "TYPE", string(kind))
	if err == nil {
		s.kind = kind
	}
	return err
}

func (s *session) traceReply(r ftp.Reply) {
	if s.set.Trace == nil {
		return
	}
	for _, line := range strings.Split(r.String(), "\n") {
		s.set.Trace('S', line)
	}
}

// encode turns a name into an argument.
func (s *session) encode(name string) (string, error) {
	if s.set.Charset == nil {
		return name, nil
	}
	return s.set.Charset.Encode(name)
}

func (s *session) decode(wire string) string {
	if s.set.Charset == nil {
		return wire
	}
	return s.set.Charset.Decode(wire)
}

// on sends a command about a name.
func (s *session) on(ctx context.Context, verb, name string) (ftp.Reply, error) {
	arg, err := s.encode(name)
	if err != nil {
		return ftp.Reply{}, err
	}
	return s.do(ctx, verb, arg)
}
