package ftpserver

import (
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"towpath/ftp"
	"towpath/internal/resume"
	"towpath/internal/transcript"
)

// session is one control connection. One goroutine runs it; while a transfer
// lasts, a second one listens on the control connection (see attend.go). An
// idle session should cost few KiB, so that rare things hang on pointers.
//
//	            USER, PASS               QUIT, 421, EOF
//	greeted ----------------> logged in ---------------> ended
//	   ^                          |
//	   +--------------------------+
//	       REIN, USER, AUTH
type session struct {
	srv  *Server
	set  *settings
	id   uint64
	tcp  net.Conn // the connection itself
	conn net.Conn // tcp, or TLS over it
	in   *ftp.Reader

	peer, local netip.AddrPort
	began       time.Time
	loginFrom   time.Time // when the login clock started

	// Who it is.
	name     string // as USER gave it
	host     string // as HOST or SNI gave it
	who      atomic.Pointer[User]
	up, down *throttle // of this login, nil without a limit
	failures int
	before   int // commands since the session began without a login
	pace     *pace

	// What it has said about the next transfer.
	cwd      string
	kind     transferType // TYPE
	block    transferMode // MODE
	records  bool         // STRU R
	restart  int64        // REST
	allo     int64        // ALLO
	renaming string       // RNFR
	epsvAll  bool
	utf8     bool    // OPTS UTF8: the client speaks it whatever its charset
	way      dataWay // PORT, PASV …
	extra    *extra

	// TLS.
	binding *resume.Binding // nil in clear text
	private bool            // PROT P

	idle    time.Duration
	pending []string    // lines that came while a transfer ran
	secured atomic.Bool // conn is TLS, for those who must not wait for writing
	gone    atomic.Bool // the control connection has ended
	ending  bool        // the reply just given was the last
	reason  string      // why the session ended

	armed     bool      // a read deadline is set, for
	readUntil time.Time // this time

	chores []func() // see later
	depart func()   // gives its place among the sessions back

	writing    sync.Mutex
	writeUntil time.Time
	transcript *transcript.Writer
	kept       io.Closer // what the transcript is written to

	current atomic.Pointer[transfer]
	killed  atomic.Bool
}

// extra is what few sessions ever set.
type extra struct {
	facts   *factChoice // OPTS MLST
	hash    string      // OPTS HASH
	rang    *span       // RANG
	deflate int         // OPTS MODE Z LEVEL
	cpfr    string      // SITE CPFR
	client  string      // CLNT, CSID
}

func (s *session) more() *extra {
	if s.extra == nil {
		s.extra = &extra{}
	}
	return s.extra
}

func newSession(srv *Server, set *settings, conn net.Conn, peer netip.AddrPort) *session {
	return &session{
		srv: srv, set: set, id: srv.lastID.Add(1), tcp: conn, conn: conn,
		peer: peer, local: addrPort(conn.LocalAddr()), began: time.Now(), loginFrom: time.Now(),
		pace: newPace(set.CommandRate), cwd: "/", kind: typeASCII, idle: set.IdleTimeout,
	}
}

// serve runs the session to its end.
func (s *session) serve(implicit bool) {
	s.start()
	defer s.end()
	if s.greet(implicit) {
		s.talk()
	}
}

// start tells that the session is there, and starts its clocks.
func (s *session) start() {
	s.srv.counters.sessions.Add(1)
	s.set.Events(SessionEvent{Session: s.id, Time: s.began, Peer: s.peer, What: SessionBegan})
	s.log(slog.LevelInfo, "session began")
	if by := s.loginBy(); !by.IsZero() { // one timer for both directions
		_ = s.tcp.SetDeadline(by)
		s.armed, s.readUntil, s.writeUntil = true, by, by
	}
	if s.set.Transcript != nil {
		if w := s.set.Transcript(s.id, s.peer); w != nil {
			s.transcript, s.kept = transcript.NewWriter(w, time.Now), w
		}
	}
}

// end gives back all that the session has. A fault of ours in a session ends
// that session and not the server.
func (s *session) end() {
	if fault := recover(); fault != nil {
		s.reason = "fault of the server"
		s.log(slog.LevelError, "session ended by a fault; please report it", "fault", fault, "stack", string(debug.Stack()))
	}
	s.tidy()
	s.leave()
	s.dropWay()
	s.depart()         // before the client can see the end, and come again
	_ = s.conn.Close() // nothing is owed any more
	if s.kept != nil {
		_ = s.kept.Close() // a transcript is kept as far as it got
	}
	s.set.Events(SessionEvent{Session: s.id, Time: time.Now(), Peer: s.peer, What: SessionEnded, Reason: s.reason})
	s.log(slog.LevelInfo, "session ended", "reason", s.reason, "lasted", time.Since(s.began).Round(time.Millisecond))
}

// greet says 220, after the TLS handshake if that comes first.
func (s *session) greet(implicit bool) bool {
	if implicit {
		if err := s.secure(); err != nil {
			s.reason = "TLS handshake failed"
			s.log(slog.LevelWarn, "TLS handshake failed", "err", err)
			return false
		}
		s.private = true
	}
	s.in = ftp.NewReader(s.conn)
	s.send(ftp.NewReply(220, s.set.Banner))
	return true
}

// talk answers command after command. It stays on the stack while a session is
// idle, and so do those whom it calls to wait: their frames are to be small.
func (s *session) talk() {
	for !s.ending && !s.gone.Load() {
		line, err := s.next()
		if err != nil {
			s.misheard(err)
			continue
		}
		s.command(line)
	}
	if s.reason == "" {
		s.reason = "closed by the client"
		if s.ending {
			s.reason = "ended by the server"
		}
	}
}

// misheard deals with what came in place of a line. All but a line that is too
// long ends the session.
func (s *session) misheard(err error) {
	if errors.Is(err, ftp.ErrTooLong) {
		s.send(ftp.NewReply(500, "Line too long: at most 4096 bytes."))
		return
	}
	s.reason, s.ending = s.farewell(err), true
}

// next returns the next line of the client: one that came during a transfer,
// or one that is awaited until the idle or the login clock runs out.
func (s *session) next() (string, error) {
	if len(s.pending) > 0 && !s.killed.Load() && !s.srv.roster.Draining() {
		line := s.pending[0]
		s.pending = s.pending[1:]
		return line, nil
	}
	s.pending = nil
	until := s.patience()
	for {
		s.arm(until)
		if s.killed.Load() || s.srv.roster.Draining() { // after the deadline: see wake
			return "", errDraining
		}
		line, err := s.in.ReadLine()
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			return line, err
		}
		s.armed = false
		if !until.IsZero() && !time.Now().Before(until) {
			return "", err
		}
	}
}

// patience is when the session gives up waiting for a command; zero is never.
func (s *session) patience() time.Time {
	var until time.Time
	if s.idle > 0 {
		until = time.Now().Add(s.idle)
	}
	if by := s.loginBy(); s.user() == nil && !by.IsZero() && (until.IsZero() || by.Before(until)) {
		until = by
	}
	return until
}

// arm sees to it that reading is interrupted when until has come. A deadline
// that strikes earlier is left as it is: next looks at the time then. So it is
// not set anew for each command, which would cost more than reading one.
func (s *session) arm(until time.Time) {
	if s.armed && (until.IsZero() || !s.readUntil.IsZero() && !s.readUntil.After(until)) {
		return
	}
	s.armed, s.readUntil = true, until
	_ = s.tcp.SetReadDeadline(until)
}

// loginBy is the time by which somebody must have logged in. No command moves it.
func (s *session) loginBy() time.Time {
	if s.set.LoginTimeout <= 0 {
		return time.Time{}
	}
	return s.loginFrom.Add(s.set.LoginTimeout)
}

var errDraining = errors.New("the server is shutting down")

// farewell says why the session ends, when there is somebody to say it to.
func (s *session) farewell(err error) (reason string) {
	switch {
	case errors.Is(err, errDraining) || s.srv.roster.Draining() || s.killed.Load():
		s.send(ftp.NewReply(421, "The server is shutting down. Goodbye."))
		return "shut down"
	case errors.Is(err, os.ErrDeadlineExceeded) && s.user() == nil:
		s.send(ftp.NewReply(421, "Nobody logged in in time. Goodbye."))
		return "login time-out"
	case errors.Is(err, os.ErrDeadlineExceeded):
		s.send(ftp.NewReply(421, "No command for "+s.idle.String()+". Goodbye."))
		return "idle time-out"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "closed by the client"
	default:
		return err.Error()
	}
}

// wake makes next return, so that the session sees that the server is
// draining. The flag is set before the deadline, and next looks at it after
// setting its own, so that neither can miss the other.
func (s *session) wake() { _ = s.tcp.SetReadDeadline(past) }

// kill ends the session whatever it does.
func (s *session) kill() {
	s.killed.Store(true)
	if t := s.current.Load(); t != nil {
		t.stop(errDraining)
	}
	s.wake()
	// One that is stuck in a write or a handshake is not left there.
	_ = s.tcp.SetWriteDeadline(time.Now().Add(time.Second))
}

// past is a deadline that interrupts.
var past = time.Unix(1, 0)

// send writes a reply. Nothing else writes to the control connection. A client
// that does not read its replies ends the session.
func (s *session) send(r ftp.Reply) {
	s.writing.Lock()
	defer s.writing.Unlock()
	buf := replies.Get().(*[]byte)
	defer replies.Put(buf)
	*buf = r.AppendTo((*buf)[:0])
	if s.transcript != nil {
		_ = s.transcript.Reply(r) // the session goes on without
	}
	if now := time.Now(); s.writeUntil.Sub(now) < replyTimeout/2 {
		s.writeUntil = now.Add(replyTimeout)
		_ = s.tcp.SetWriteDeadline(s.writeUntil)
	}
	if _, err := s.conn.Write(*buf); err != nil {
		s.gone.Store(true)
	}
}

// later puts off what the client need not wait for until it has its answer.
func (s *session) later(do func()) { s.chores = append(s.chores, do) }

// tidy does what was put off.
func (s *session) tidy() {
	if len(s.chores) == 0 {
		return
	}
	for _, do := range s.chores {
		do()
	}
	clear(s.chores)
	s.chores = s.chores[:0]
}

// replyTimeout is how long a reply may lie in a client's way.
const replyTimeout = 30 * time.Second

var replies = sync.Pool{New: func() any { return new([]byte) }}

// user is who has logged in, or nil.
func (s *session) user() *User { return s.who.Load() }

// log writes to Options.Log, and names the session in what it writes.
func (s *session) log(level slog.Level, text string, args ...any) {
	if !s.set.Log.Enabled(s.srv.ctx, level) {
		return
	}
	who := []any{"session", s.id, "addr", s.peer}
	if u := s.user(); u != nil {
		who = append(who, "user", ftp.Escape(u.Name))
	}
	s.set.Log.Log(s.srv.ctx, level, text, append(who, args...)...)
}

func (s *session) info() SessionInfo {
	i := SessionInfo{ID: s.id, Peer: s.peer, Began: s.began, TLS: s.secured.Load(), Size: -1}
	if u := s.user(); u != nil {
		i.User = u.Name
	}
	if t := s.current.Load(); t != nil {
		i.Verb, i.Path, i.Bytes, i.Size = t.verb, t.path, t.moved.Load(), t.size.Load()
	}
	return i
}
