package gateway

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"towpath/ftp"
	"towpath/ftp/dialogue"
	"towpath/internal/alive"
	"towpath/internal/transcript"
)

// session is one control connection of a client and the one to its server. One
// goroutine reads what the client says and hands it on, another what the server
// says, so that a line costs no more than one goroutine being woken.
//
// What the client is owed stands in a queue: replies of the server, and between
// them those which the gateway gives itself, each in its turn. An announcement
// holds the commands behind it until it is answered, since it may take more
// than one command to the server; only ABOR may overtake it. And an announcement
// that was sent ahead waits for the login that it needs.
type session struct {
	gw  *Gateway
	set *settings
	id  uint64
	// ctx ends with the session; its cause says why.
	ctx context.Context
	end context.CancelCauseFunc

	mu      sync.Mutex
	visitor Visitor
	client  leg
	server  leg
	seat    *Seat
	leave   func()
	limits  Limits

	tracker  dialogue.Tracker // of the dialogue with the server
	sent     int              // commands that tracker was told of
	owed     []*owed
	held     [][]byte // lines that wait, in their order: see waits
	asking   bool     // an announcement awaits its answer
	room     sync.Cond
	spoken   bool // the client has said a command
	epsvAll  bool
	noEPSV   bool   // the server does not know it
	dir      string // where the client is, "" if not known
	rename   string // argument of RNFR
	way      *passage
	using    *passage
	passages sync.WaitGroup
	last     time.Time // when something was said
	over     bool      // the client has got all that it will get
	mute     bool      // a handshake is under way; nothing can be said in the clear
	blind    bool
	resynced bool // it was, and is no more: who has logged in is not known

	draining   atomic.Bool
	cause      string
	missed     error // why the server was lost that nobody had left
	transcript *transcript.Writer
	kept       io.Closer
	rec        Record
	relayed    chan struct{} // closed when the server will say no more
}

// leg is one of the two control connections.
type leg struct {
	tcp  net.Conn
	conn net.Conn // tcp, or TLS over it
	in   lines
	// local and peer are the ends of tcp.
	local, peer netip.AddrPort
	private     bool // PROT P
	secure      security
	writeUntil  time.Time
}

func (l *leg) set(conn net.Conn) {
	l.tcp, l.conn = conn, conn
	l.local, l.peer = endpoint(conn.LocalAddr()), endpoint(conn.RemoteAddr())
	if d, ok := conn.(interface{ NetConn() net.Conn }); ok { // a door may name another
		l.peer = endpoint(d.NetConn().RemoteAddr())
	}
	l.in.reset(conn)
}

// write sends b. A peer that does not read ends the session.
func (l *leg) write(b []byte) error {
	if now := time.Now(); l.writeUntil.Sub(now) < writeTimeout/2 {
		l.writeUntil = now.Add(writeTimeout)
		_ = l.tcp.SetWriteDeadline(l.writeUntil)
	}
	_, err := l.conn.Write(b)
	return err
}

const (
	// writeTimeout is how long a line may lie in somebody's way.
	writeTimeout = 30 * time.Second
	// mostOwed and mostHeld are how far a client may send ahead. Then it is not
	// read until the server has caught up.
	mostOwed = dialogue.MaxAwaited - 4
	mostHeld = 64
	// parting is how long a client may take to leave.
	parting = 2 * time.Second
)

// owed is something that the client is owed: a reply of the server, or one of
// the gateway.
type owed struct {
	number int    // of the command, in the count of the tracker; 0: reply is ours
	reply  []byte // as it goes to the client
	last   bool   // the session ends with it
	silent bool   // the client is not to hear the answer
	login  bool   // it says who is logged in
	place  bool   // it says where the client is, which rules want to know
	// then takes the final reply in the place of passing it on.
	then func(x dialogue.Exchange, raw []byte)
	// way is what a transfer uses.
	way *passage
}

var (
	errShutDown   = errors.New("the gateway is shutting down")
	errClientGone = errors.New("closed by the client")
	errServerGone = errors.New("closed by the server")
	errIdle       = errors.New("idle time-out")
	errBlindIdle  = errors.New("idle time-out under TLS that passes through")
	errNoLogin    = errors.New("login time-out")
	errNotFTP     = errors.New("the client does not speak FTP")
)

func newSession(g *Gateway, set *settings, conn net.Conn) *session {
	s := &session{gw: g, set: set, id: g.lastID.Add(1), relayed: make(chan struct{}), last: set.clock()}
	s.ctx, s.end = context.WithCancelCause(g.ctx)
	s.room.L = &s.mu
	s.client.set(conn)
	s.visitor = arrived(conn)
	s.rec = Record{SchemaVersion: SchemaVersion, Session: s.id, Began: s.last}
	return s
}

// now is the time of day as far as this session goes: from its beginning it
// advances by the monotonic clock. Who sets the clock of the machine meanwhile
// ends no session by that, and the times in its account still are as far apart
// as what they tell of, also for those who read it elsewhere.
func (s *session) now() time.Time { return s.rec.Began.Add(s.set.clock().Sub(s.rec.Began)) }

// serve runs the session to its end.
func (s *session) serve(implicit bool) {
	defer s.finish()
	if s.set.Admit != nil {
		leave, err := s.set.Admit(s.visitor)
		if err != nil {
			s.gw.counters.refused.Add(1)
			s.because("refused: " + err.Error())
			turnAway(s.client.tcp, implicit, "Sorry: "+err.Error())
			return
		}
		s.leave = leave
	}
	s.gw.counters.sessions.Add(1)
	alive.Conn(s.client.tcp, s.set.KeepAlive)
	if s.set.Transcript != nil {
		if w := s.set.Transcript(s.id, s.visitor.Client); w != nil {
			s.transcript, s.kept = transcript.NewWriter(w, s.now), w
		}
	}
	_ = s.client.tcp.SetReadDeadline(s.last.Add(s.set.LoginTimeout))
	if implicit {
		if err := s.secureClient(); err != nil {
			s.because("TLS handshake failed: " + err.Error())
			return
		}
		s.client.private = true
	}
	if err := s.begin(); err != nil {
		s.because(err.Error())
		return
	}
	s.log(slog.LevelInfo, "session began", "server", s.rec.Server, "server_addr", s.rec.ServerAddr)
	s.gw.roster.Go(func() { s.relayReplies(s.relayed) })
	s.relayCommands()
	s.part()
}

// part lets the server say what it still has to say when the client has ended
// its side, and waits for it.
func (s *session) part() {
	select {
	case <-s.relayed:
		return
	default:
	}
	s.mu.Lock()
	late := time.AfterFunc(s.set.DataTimeout+parting, func() {
		s.with(func() {
			s.held = nil
			s.room.Broadcast()
		})
	})
	for len(s.held) > 0 && !s.over { // it is still to be said to the server
		s.room.Wait()
	}
	late.Stop()
	if c, ok := s.server.conn.(*net.TCPConn); ok {
		_ = c.CloseWrite()
	} else {
		_ = s.server.tcp.SetReadDeadline(time.Now()) // nothing can be said behind the end of TLS
	}
	patience := parting
	if len(s.owed) > 0 && !s.over {
		patience = s.set.DataTimeout + parting
	}
	s.mu.Unlock()
	select {
	case <-s.relayed:
	case <-s.ctx.Done():
	case <-time.After(patience):
	}
}

// finish gives back all that the session has. A fault of ours in a session ends
// that session and not the gateway.
func (s *session) finish() {
	if fault := recover(); fault != nil {
		s.because("fault of the gateway")
		s.log(slog.LevelError, "session ended by a fault; please report it", "fault", fault, "stack", string(debug.Stack()))
	}
	s.mu.Lock()
	s.end(errors.New(s.cause))
	s.over = true
	s.drop()
	if s.using != nil {
		s.using.stop(errSessionEnded)
	}
	s.room.Broadcast()
	serverConn := s.server.conn
	s.mu.Unlock()
	if serverConn != nil {
		_ = serverConn.Close()
		s.gw.dials(s.server.tcp, false)
	}
	_ = s.client.conn.Close()
	s.passages.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.seat != nil && s.seat.Leave != nil {
		s.seat.Leave(s.missed)
	}
	if s.leave != nil {
		s.leave()
	}
	s.rec.Ended, s.rec.Reason = s.now(), s.cause
	if s.kept != nil {
		_ = s.transcript.Comment("session ended: " + s.cause)
		_ = s.kept.Close() // a transcript is kept as far as it got
	}
	s.log(slog.LevelInfo, "session ended", "reason", s.cause, "data", len(s.rec.Data), "up", s.rec.Up, "down", s.rec.Down,
		"lasted", s.rec.Ended.Sub(s.rec.Began).Round(time.Millisecond))
	if s.set.Ended != nil {
		r := s.snapshot()
		s.set.Ended(r)
	}
}

// because takes note of why the session ends; the first reason counts.
func (s *session) because(why string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cause == "" {
		s.cause = why
	}
}

var errSessionEnded = errors.New("the session ended")

// snapshot is the account as it is now. The caller holds mu.
func (s *session) snapshot() *Record {
	r := s.rec
	r.Visitor = s.visitor
	r.Data = slices.Clone(r.Data)
	r.Alarms = slices.Clone(r.Alarms)
	return &r
}

func (s *session) account() *Record {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.snapshot()
	p := s.using
	if p == nil || p.plane != "" || p.rec < 0 || r.Data[p.rec].Why != "" {
		return r
	}
	// What moves now is counted at its end.
	n, d := p.bytes.Load(), &r.Data[p.rec]
	if p.up {
		d.Up, r.Up = n, r.Up+n
	} else {
		d.Down, r.Down = n, r.Down+n
	}
	return r
}

// drain ends the session as soon as nothing is under way in it.
func (s *session) drain() {
	s.draining.Store(true)
	_ = s.client.tcp.SetReadDeadline(past)
}

// past is a deadline that interrupts.
var past = time.Unix(1, 0)

// cut ends the session whatever it does.
func (s *session) cut(why error) {
	s.end(why)
	_ = s.client.tcp.SetDeadline(past)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cause == "" {
		s.cause = why.Error()
	}
	if s.server.tcp != nil {
		_ = s.server.tcp.SetDeadline(past)
	}
	s.over = true
	s.room.Broadcast()
}

// relayCommands hands on what the client says, until it says no more.
func (s *session) relayCommands() {
	for {
		raw, err := s.client.in.next(ftp.MaxLine)
		switch {
		case err == nil:
		case errors.Is(err, ftp.ErrTooLong):
			s.mu.Lock()
			s.deny(refuse(3, 500, "Line too long: at most %d bytes.", ftp.MaxLine))
			s.mu.Unlock()
			continue
		case errors.Is(err, os.ErrDeadlineExceeded) && s.goesOn():
			continue
		default:
			if errors.Is(err, syscall.ETIMEDOUT) { // it has vanished, and its data connection with it
				s.cut(fmt.Errorf("the connection to the client was lost: %s", plainError(err)))
			}
			s.because(errClientGone.Error())
			return
		}
		if after := s.hear(raw); after != nil {
			if err := after(); err != nil {
				s.mu.Lock()
				s.farewell(0, "", err)
				s.mu.Unlock()
				return
			}
		}
	}
}

// hear does what a line of the client asks for, or has it wait. What it returns
// is to be called without the lock.
func (s *session) hear(raw []byte) func() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.catchUp()
	s.last = s.now()
	switch {
	case s.over: // it is only read until it leaves
		return nil
	case len(s.held) > 0 || s.waits(raw):
		s.held = append(s.held, bytes.Clone(raw))
		return nil
	}
	return s.dispatch(raw, false)
}

// catchUp waits until the server has caught up with a client that sends far
// ahead. Meanwhile nobody reads the client, so that the time for its login is
// kept here.
func (s *session) catchUp() {
	full := func() bool { return !s.over && (len(s.held) >= mostHeld || len(s.owed) >= mostOwed) }
	if !full() {
		return
	}
	if !s.entered() {
		defer time.AfterFunc(s.rec.Began.Add(s.set.LoginTimeout).Sub(s.now()), func() {
			s.with(func() {
				if !s.entered() {
					s.farewell(421, noLogin, errNoLogin)
				}
			})
		}).Stop()
	}
	for full() {
		s.room.Wait()
	}
}

// entered says whether somebody has logged in, as far as can be known.
func (s *session) entered() bool {
	return s.blind || s.resynced || s.tracker.State().Login == dialogue.LoggedIn
}

// waits says whether a line has to wait for what the server will say to those
// before it. All do behind an announcement. Those that were sent ahead of the
// answer to a login do if that decides about them: announcements, and where
// there are rules all others, which may be about who he is and where. ABOR waits
// for nothing, since the answer may itself wait for the transfer that is to be
// aborted.
func (s *session) waits(raw []byte) bool {
	if len(s.owed) == 0 && !s.asking {
		return false
	}
	login := slices.ContainsFunc(s.owed, func(o *owed) bool { return o.login })
	place := slices.ContainsFunc(s.owed, func(o *owed) bool { return o.place })
	if !s.asking && !login && !place {
		return false
	}
	l, err := readLine(raw)
	switch {
	case err != nil:
		return s.asking
	case l.command.Verb == "ABOR":
		return false
	case s.asking || place:
		return true
	case announcements[l.command.Verb]:
		return true
	}
	return s.set.Allow != nil && !logins[l.command.Verb]
}

// logins are the commands whose answers change who is logged in.
var logins = map[string]bool{"USER": true, "PASS": true, "ACCT": true, "REIN": true}

// moves are those whose answers change where the client is.
var moves = map[string]bool{"CWD": true, "XCWD": true, "CDUP": true, "XCUP": true}

// goesOn is asked when the read deadline of the client is over. It sets the
// next, or takes leave.
func (s *session) goesOn() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over || s.ctx.Err() != nil {
		return false
	}
	now := s.now()
	busy := len(s.owed) > 0 || s.using != nil
	if s.draining.Load() && !busy {
		s.farewell(421, "The gateway is shutting down. Goodbye.", errShutDown)
		return true
	}
	if s.draining.Load() {
		_ = s.client.tcp.SetReadDeadline(time.Now().Add(drainStep))
		return true
	}
	until, why := s.last.Add(s.set.IdleTimeout), errIdle
	switch {
	case s.blind:
		until, why = s.last.Add(s.set.BlindTimeout), errBlindIdle
	case !s.entered():
		until, why = s.rec.Began.Add(s.set.LoginTimeout), errNoLogin
	}
	if busy && why == errIdle {
		until = now.Add(s.set.IdleTimeout)
	}
	if !now.Before(until) {
		text := fmt.Sprintf("No command for %v. Goodbye.", s.set.IdleTimeout)
		if why == errNoLogin {
			text = noLogin
		}
		s.farewell(421, text, why)
		return true
	}
	_ = s.client.tcp.SetReadDeadline(until)
	return true
}

// noLogin is what a client hears at the end of the time for its login.
const noLogin = "Nobody logged in in time. Goodbye."

// drainStep is how often a draining session looks whether it is done, besides
// when a reply passes.
const drainStep = time.Second

// farewell says the last reply to the client, if code is not 0, and lets it
// leave. The caller holds mu.
func (s *session) farewell(code int, text string, why error) {
	if s.over {
		return
	}
	if s.cause == "" {
		s.cause = why.Error()
	}
	if code != 0 && !s.blind {
		s.send(ftp.NewReply(code, text).AppendTo(nil))
	}
	s.over = true
	s.drop()
	if c, ok := s.client.conn.(interface{ CloseWrite() error }); ok {
		_ = c.CloseWrite()
	}
	_ = s.client.tcp.SetReadDeadline(time.Now().Add(parting))
	if s.server.tcp != nil {
		_ = s.server.tcp.SetReadDeadline(past)
	}
	s.room.Broadcast()
}

// send writes to the client. The caller holds mu.
func (s *session) send(raw []byte) {
	if s.mute {
		return
	}
	if err := s.client.write(raw); err != nil && !s.over {
		s.over = true
		if s.cause == "" {
			s.cause = "the client takes no replies: " + err.Error()
		}
		_ = s.client.tcp.SetReadDeadline(past)
		if s.server.tcp != nil {
			_ = s.server.tcp.SetReadDeadline(past)
		}
	}
}

// say gives a reply of the gateway, in its turn.
func (s *session) say(r ftp.Reply, last bool) {
	s.gw.counters.denied.Add(1)
	if s.transcript != nil {
		_ = s.transcript.Comment("by the gateway:")
		_ = s.transcript.Reply(r)
	}
	s.owed = append(s.owed, &owed{reply: r.AppendTo(nil), last: last})
	s.settle()
}

// deny refuses a command of the client.
func (s *session) deny(r *refusal) {
	s.rec.Refused++
	if r.check != 0 {
		s.alarm(r.check, r.text)
	}
	s.say(ftp.NewReply(r.code, r.text), false)
}

func (s *session) alarm(check int, what string) {
	s.gw.counters.alarms.Add(1)
	s.log(slog.LevelWarn, "alarm", "check", check, "rule", Checks[check], "what", what)
	if len(s.rec.Alarms) < MaxAlarms {
		s.rec.Alarms = append(s.rec.Alarms, Alarm{s.now(), check, what})
	}
}

// settle gives the replies of the gateway whose turn has come.
func (s *session) settle() {
	for len(s.owed) > 0 && s.owed[0].number == 0 {
		o := s.owed[0]
		s.owed = s.owed[1:]
		s.send(o.reply)
		if o.last {
			s.farewell(0, "", errNotFTP)
		}
	}
	if len(s.owed) == 0 {
		s.owed = nil
		if s.draining.Load() {
			_ = s.client.tcp.SetReadDeadline(past)
		}
	}
	s.room.Broadcast()
}

// forward hands a command to the server.
func (s *session) forward(l line) *owed {
	b := l.raw
	if b == nil {
		var err error
		if b, err = l.command.Encode(); err != nil {
			s.deny(refuse(3, 500, "%s: %v.", l.command.Verb, err))
			return &owed{}
		}
	}
	o := s.order(l.command)
	if l.synch {
		if _, plain := s.server.conn.(*net.TCPConn); plain && urgent(s.server.conn) {
			b = append([]byte{telnetDM}, bytes.TrimLeft(b, "\xff\xf4\xf2")...)
		}
	}
	s.toServer(b)
	return o
}

// order takes note of a command to the server.
func (s *session) order(c ftp.Command) *owed {
	s.gw.counters.commands.Add(1)
	s.tracker.Command(c)
	s.sent++
	if s.transcript != nil {
		_ = s.transcript.Command(c)
	}
	o := &owed{number: s.sent, login: logins[c.Verb], place: s.set.Allow != nil && moves[c.Verb]}
	s.owed = append(s.owed, o)
	return o
}

// ask sends a command of the gateway itself.
func (s *session) ask(c ftp.Command, then func(x dialogue.Exchange, raw []byte)) *owed {
	b, err := c.Encode()
	if err != nil {
		panic(err) // ours are sound
	}
	o := s.order(c)
	o.then, o.silent = then, true
	s.toServer(b)
	return o
}

func (s *session) toServer(b []byte) {
	if err := s.server.write(b); err != nil {
		s.log(slog.LevelDebug, "the server takes no commands", "err", err)
		_ = s.server.tcp.SetReadDeadline(past)
	}
}

// relayReplies hands on what the server says, until it says no more.
func (s *session) relayReplies(relayed chan struct{}) {
	defer close(relayed)
	defer func() {
		if fault := recover(); fault != nil {
			s.because("fault of the gateway")
			s.log(slog.LevelError, "session ended by a fault; please report it", "fault", fault, "stack", string(debug.Stack()))
			s.cut(errors.New("fault of the gateway"))
		}
	}()
	in := replies{in: &s.server.in}
	for {
		raw, r, err := in.next()
		if err != nil {
			s.lost(err)
			return
		}
		if !s.heard(raw, r) {
			return
		}
	}
}

// lost is the end of the server.
func (s *session) lost(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over {
		return
	}
	if s.tracker.State().Closing || s.blind { // nothing is left to be said
		if s.cause == "" {
			s.cause = errServerGone.Error()
		}
		s.over = true
		s.drop()
		_ = s.client.tcp.SetReadDeadline(past)
		s.room.Broadcast()
		return
	}
	text := "The server closed the connection."
	if !errors.Is(err, io.EOF) {
		text = "The connection to the server was lost: " + plainError(err) + "."
	}
	if s.cause != "" { // the client was first
		s.farewell(0, "", errClientGone)
		return
	}
	if s.using != nil {
		s.using.stop(errServerGone)
	}
	s.owed = nil
	if !errors.Is(err, io.EOF) {
		s.missed = err
	}
	s.farewell(421, text, fmt.Errorf("%w: %w", errServerGone, err))
}

// heard deals with a reply of the server.
func (s *session) heard(raw []byte, r ftp.Reply) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last = s.now()
	if r.Code == 0 { // no reply; it means nothing, and may pass
		s.send(raw)
		return !s.over
	}
	s.gw.counters.replies.Add(1)
	s.rec.Replies++
	if s.transcript != nil {
		_ = s.transcript.Reply(r)
	}
	s.tracker.Reply(r)
	x := *s.tracker.Exchange()
	o := s.find(x.Number)
	if announces(r.Code) && (o == nil || o.then == nil) {
		s.alarm(6, fmt.Sprintf("the server said %d where nobody had asked for it", r.Code))
	}
	if !x.Final {
		if o == nil || !o.silent {
			s.send(raw)
		}
		if o != nil && o.way != nil {
			o.way.begun = true
		}
		return !s.over
	}
	if o != nil && o.way != nil && r.Complete() {
		// The client shall have all of it before it hears so.
		way := o.way
		way.answered = true
		s.mu.Unlock()
		way.wait()
		s.mu.Lock()
	}
	switch {
	case o == nil:
		s.send(raw)
	case o.then != nil:
		s.unlist(o)
		o.then(x, raw)
	default:
		s.unlist(o)
		s.pass(o, x, raw)
	}
	s.surplus()
	if blindNow := s.blind; blindNow {
		return false
	}
	s.settle()
	s.release()
	return !s.over
}

func announces(code int) bool { return 227 <= code && code <= 229 }

// pass hands on the final reply to a command.
func (s *session) pass(o *owed, x dialogue.Exchange, raw []byte) {
	if o.way != nil {
		raw = s.ended(o.way, x, raw)
	}
	s.effect(x)
	if !o.silent {
		s.send(raw)
	}
}

func (s *session) find(number int) *owed {
	if number == 0 {
		return nil
	}
	for _, o := range s.owed {
		if o.number == number {
			return o
		}
	}
	return nil
}

func (s *session) unlist(o *owed) {
	if i := slices.Index(s.owed, o); i >= 0 {
		s.owed = slices.Delete(s.owed, i, i+1)
	}
}

// surplus drops what the tracker does not await any more: servers answer a
// transfer or the ABOR that ended it, and some not both.
func (s *session) surplus() {
	n := -s.tracker.State().Awaiting
	for _, o := range s.owed {
		if o.number != 0 {
			n++
		}
	}
	for i := 0; i < len(s.owed) && n > 0; {
		if o := s.owed[i]; o.number != 0 {
			if o.way != nil {
				s.leaveWay(o.way)
			}
			s.owed = slices.Delete(s.owed, i, i+1)
			n--
			continue
		}
		i++
	}
}

// release lets go the commands that have waited long enough.
func (s *session) release() {
	for len(s.held) > 0 && !s.over && !s.waits(s.held[0]) {
		raw := s.held[0]
		s.held = s.held[1:]
		s.dispatch(raw, true)
	}
	s.room.Broadcast()
}

// effect does what a command does to the session by its final reply.
func (s *session) effect(x dialogue.Exchange) {
	c, r := x.Command, x.Reply
	if moves[c.Verb] && r.Complete() {
		s.dir = "" // until PWD tells
		s.where()
	}
	switch c.Verb {
	case "USER", "PASS", "ACCT":
		if (r.Code == 230 || r.Code == 232) && s.tracker.State().Login == dialogue.LoggedIn {
			s.loggedIn()
		}
	case "REIN":
		if r.Complete() {
			s.drop()
			s.epsvAll, s.dir = false, ""
		}
	case "PWD", "XPWD":
		if r.Code == 257 {
			s.dir = quoted(r)
		}
	case "RNFR":
		s.rename = ""
		if r.Intermediate() {
			s.rename = c.Arg
		}
	case "RNTO":
		s.rename = ""
	}
}

// loggedIn asks what there is to ask when somebody has logged in.
func (s *session) loggedIn() {
	if s.set.Limit != nil {
		s.limits = s.set.Limit(s.visitor, s.seat.Server)
	}
	s.log(slog.LevelInfo, "logged in", "user", s.visitor.User)
	s.where()
}

// where asks the server which directory it is in, if somebody wants to know.
func (s *session) where() {
	if s.set.Allow == nil {
		return
	}
	s.ask(ftp.Command{Verb: "PWD"}, func(x dialogue.Exchange, _ []byte) {
		if x.Reply.Code == 257 {
			s.dir = quoted(x.Reply)
		}
	}).place = true
}

// quoted is the path in a 257, in which a quote is doubled (RFC 959 appendix II).
func quoted(r ftp.Reply) string {
	text := r.Lines[len(r.Lines)-1]
	if !strings.HasPrefix(text, `"`) {
		return ""
	}
	var b strings.Builder
	for i := 1; i < len(text); i++ {
		if text[i] == '"' {
			if i+1 < len(text) && text[i+1] == '"' {
				i++
			} else {
				return b.String()
			}
		}
		b.WriteByte(text[i])
	}
	return ""
}

// log writes to Options.Log, and names the session in what it writes.
func (s *session) log(level slog.Level, text string, args ...any) {
	if !s.set.Log.Enabled(s.gw.ctx, level) {
		return
	}
	s.set.Log.Log(s.gw.ctx, level, text, append([]any{"session", s.id, "addr", s.visitor.Client}, args...)...)
}

// plainError is an error without the addresses and calls that people do not
// need.
func plainError(err error) string {
	if n, ok := errors.AsType[*noConnection](err); ok {
		return n.what
	}
	if op, ok := errors.AsType[*net.OpError](err); ok {
		err = op.Err
	}
	if sys, ok := errors.AsType[*os.SyscallError](err); ok {
		err = sys.Err
	}
	return err.Error()
}
