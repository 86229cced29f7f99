package ftpserver

import (
	"context"
	"errors"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"towpath/ftp"
)

// transfer is one movement of bytes, or other work that takes long, as those
// see it who are not doing it: the control connection (ABOR, STAT), SITE WHO
// and a shutdown.
type transfer struct {
	session    *session
	verb, path string
	began      time.Time
	size       atomic.Int64 // bytes that will move, -1 unknown
	moved      atomic.Int64 // bytes that have moved
	up         bool         // they come from the client

	ctx    context.Context
	cancel context.CancelFunc

	mu       sync.Mutex
	conn     net.Conn      // the data connection, once there is one
	patience time.Duration // how long nothing may move on it
	cause    error         // why it was stopped from outside
	over     bool          // nobody need listen on the control connection any more
	attended chan struct{} // closed when the one who listens has gone; nil: nobody came
	seen     int64         // what had moved when the warden last looked,
	counted  time.Time     // and when it last saw that change
	since    time.Time     // when it last saw something move, counted or not
	wire     *net.TCPConn  // whose kernel is asked for more than that; nil: nobody's
	first    word          // what it said when the count began to stand still,
	last     word          // and when it was last asked
	direct   bool          // the kernel moves the bytes: an interruption costs none
	struck   int64         // what had moved when the warden interrupted it
	why      error         // why it did; nil: only so that somebody counts
}

// attendAfter is how long a transfer may take before somebody begins to listen
// on the control connection. Small files are done before, and the goroutine
// that moves them looks there itself when it has finished.
const attendAfter = 20 * time.Millisecond

// maxPending is how many lines may come while a transfer runs. More are left
// in the socket until it ends.
const maxPending = 64

// begin announces work that can be aborted. finish must follow.
func (s *session) begin(verb, path string, size int64) *transfer {
	t := &transfer{session: s, verb: verb, path: path, began: time.Now()}
	t.size.Store(size)
	t.ctx, t.cancel = context.WithCancel(s.srv.ctx)
	s.current.Store(t)
	if s.killed.Load() {
		t.stop(errDraining)
	}
	s.srv.warden.watch(t)
	return t
}

// finish ends what begin began. When it returns the control connection is the
// session's own again.
func (s *session) finish(t *transfer) {
	s.srv.warden.leave(t)
	s.dismiss(t)
	t.cancel()
	s.current.Store(nil)
}

// dismiss ends the listening on the control connection.
func (s *session) dismiss(t *transfer) {
	t.mu.Lock()
	t.over = true
	attended := t.attended
	t.mu.Unlock()
	if attended != nil {
		s.wake()
		<-attended
		s.armed = false
	}
}

// attend listens on the control connection while t runs: NOOP and STAT are
// answered, ABOR stops the transfer, the end of the connection too, and other
// commands wait for their turn.
func (s *session) attend(t *transfer) {
	defer close(t.attended)
	for len(s.pending) < maxPending {
		_ = s.tcp.SetReadDeadline(time.Time{})
		t.mu.Lock()
		over := t.over
		t.mu.Unlock()
		if over { // after the deadline: dismiss sets it after the flag
			return
		}
		err := s.listen(t)
		if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			return
		}
		// A deadline: dismissed, or the server is draining and who called looks.
	}
}

// listen reads one line while t runs. Its error is the end of the connection,
// or that the read deadline came before a whole line.
func (s *session) listen(t *transfer) error {
	line, err := s.in.ReadLine()
	switch {
	case err == nil:
		s.heard(t, line)
	case errors.Is(err, os.ErrDeadlineExceeded):
	case errors.Is(err, ftp.ErrTooLong):
		s.send(ftp.NewReply(500, "Line too long: at most 4096 bytes."))
		return nil
	default:
		if !slices.ContainsFunc(s.pending, isQuit) {
			s.gone.Store(true)
			t.stop(errGone)
		}
	}
	return err
}

// heard deals with a line that came while t runs. One that comes faster than
// CommandRate waits with those behind it, and so does STAT with a path; what
// stands behind NOOP means nothing.
func (s *session) heard(t *transfer, line string) {
	c, err := ftp.ParseCommand(line)
	if err == nil && c.Verb == "ABOR" {
		t.stop(errAborted)
	}
	cmd := commands[c.Verb]
	if err != nil || cmd == nil || !cmd.beside || c.Arg != "" && cmd.syntax != "" || len(s.pending) > 0 || s.pace.delay() > 0 {
		s.pending = append(s.pending, line)
		return
	}
	if s.transcript != nil {
		_ = s.transcript.Command(c) // the session goes on without
	}
	r, err := cmd.run(s, t.ctx, "")
	if err != nil {
		r = refusal(err, cmd, c)
	}
	s.send(r)
}

func isQuit(line string) bool { return strings.EqualFold(strings.TrimSpace(line), "QUIT") }

// present tells whether the client is still there, now that its data has
// ended. A client that is killed closes its data connection as cleanly as one
// that has finished, but its control connection is at its end as well: such an
// upload must not count as whole.
//
// Linux closes the descriptors of a dying process last opened first, the data
// connection before the control connection. The second end is waited for as
// long as the upload, in proportion, can afford.
func (s *session) present(t *transfer) error {
	s.dismiss(t)
	patience := min(time.Since(t.began)/64, lastLook)
	for !s.gone.Load() && len(s.pending) < maxPending {
		wait := time.Second // for the rest of what has begun to come
		if !waiting(s.tcp) {
			wait, patience = patience, 0
			if wait < lastLook/100 {
				break
			}
		}
		_ = s.tcp.SetReadDeadline(time.Now().Add(wait))
		s.armed = false
		if s.listen(t) != nil && wait == time.Second {
			break
		}
	}
	if cause := t.stopped(); cause != nil {
		return cause
	}
	if s.gone.Load() {
		return errGone
	}
	return nil
}

// lastLook is the most that is waited for the end of the control connection.
// From the end of the data of a killed client it took less than 0.1 ms; on a
// busy machine it takes longer.
const lastLook = 10 * time.Millisecond

// stop ends the transfer from outside; the first cause counts.
func (t *transfer) stop(cause error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.cause == nil {
		t.cause = cause
	}
	t.cancel()
	if t.conn != nil {
		_ = t.conn.SetDeadline(past)
	}
}

// stopped is why the transfer was stopped from outside, or nil.
func (t *transfer) stopped() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.cause
}

// use makes conn the one that stop interrupts, and the warden when nothing
// moves on it for so long. On wire, if not nil, what the kernel says counts too.
func (t *transfer) use(conn net.Conn, wire *net.TCPConn, patience time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.conn, t.wire, t.patience = conn, wire, patience
	now := time.Now()
	t.since, t.counted, t.last = now, now, word{}
	if t.cause != nil {
		_ = conn.SetDeadline(past)
	}
}
