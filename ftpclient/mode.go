package ftpclient

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"sync"
	"time"

	"towpath/ftp"
	"towpath/internal/headway"
	"towpath/internal/records"
)

// Attempt is one attempt at a data connection.
type Attempt struct {
	Mode    Mode
	Command ftp.Command // what the connection was for
	// Announced is what the announcement said: the server's in 227 and 229
	// (which names no address), ours in PORT and EPRT. It is not valid if the
	// announcement was refused.
	Announced netip.AddrPort
	// Target is whom the opener had to reach, "host:port"; in passive mode we
	// are the opener, in active mode the server is.
	Target string
	// Foreign tells that Target is not the address that was announced.
	Foreign bool
	Start   time.Time
	Took    time.Duration
	// Resumed tells that the TLS session of the control connection was resumed.
	Resumed bool
	// Err is why nothing came of it; nil means that it came about.
	Err error
}

// String says in words what was tried and what came of it.
func (a Attempt) String() string {
	head := fmt.Sprintf("%v for %s", a.Mode, a.Command.Verb)
	if a.Err != nil {
		return head + ": no data connection" + a.why(a.Err)
	}
	switch {
	case a.Foreign:
		used, _, _ := net.SplitHostPort(a.Target)
		return fmt.Sprintf("%s: %s; connected to %s instead", head, a.announced(), used)
	case a.Target == "":
		return head + ": connected"
	case a.Mode.Passive():
		return head + ": connected to " + a.Target
	}
	return head + ": connected from the server to " + a.Target
}

// announced tells of an announcement that was not followed.
func (a Attempt) announced() string {
	kind := "an address that is not its own"
	if a.Announced.Addr().IsPrivate() {
		kind = "a private address"
	}
	return fmt.Sprintf("the server announced %v, %s", a.Announced, kind)
}

// why says what happened on the wire that no connection came about, to be read
// behind "no data connection".
func (a Attempt) why(err error) string {
	refusal, refused := errors.AsType[*ftp.Error](err)
	late, isLate := errors.AsType[*lateError](err)
	within := ""
	if isLate {
		within = " within " + inWords(late.within)
	}
	switch {
	case refused && a.Target == "":
		return fmt.Sprintf(": the server refused it: %v", refusal.Reply)
	case a.Target == "":
		return ": " + err.Error()
	case a.Mode.Passive():
		text := within + ": tried to reach " + a.Target
		if a.Foreign {
			text += " (" + a.announced() + ")"
		}
		if isLate {
			return text
		}
		return text + ": " + beyond(a.Target, err).Error()
	}
	must := within + ": the server must reach " + a.Target
	if p := a.Announced.Port(); a.Mode == PORT {
		must += fmt.Sprintf(" (%d*256+%d)", p>>8, p&255)
	}
	switch {
	case isLate:
		return must
	case refused:
		return fmt.Sprintf("%s, and says: %v", must, refusal.Reply)
	}
	return must + ": " + err.Error()
}

// lateError tells that a data connection did not come about in time.
type lateError struct {
	within time.Duration
	err    error
}

func (e *lateError) Error() string   { return "no connection within " + inWords(e.within) }
func (e *lateError) Unwrap() error   { return e.err }
func (e *lateError) Timeout() bool   { return true }
func (e *lateError) Temporary() bool { return true }

// inWords writes whole seconds as people do.
func inWords(d time.Duration) string {
	if d%time.Second == 0 {
		return fmt.Sprintf("%d s", d/time.Second)
	}
	return d.String()
}

// maxAttempts is how many attempts are remembered.
const maxAttempts = 64

// ways are the modes of one server in the order in which to try them, shared by
// all sessions of a pool.
type ways struct {
	mu       sync.Mutex
	order    []Mode
	attempts []Attempt
}

func newWays(o *Options) *ways { return &ways{order: o.announcements()} }

func (w *ways) modes() []Mode {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]Mode(nil), w.order...)
}

// report remembers an attempt. What came about goes first from now on.
func (w *ways) report(a Attempt) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.attempts) == maxAttempts {
		w.attempts = append(w.attempts[:0], w.attempts[1:]...)
	}
	w.attempts = append(w.attempts, a)
	if a.Err != nil {
		return
	}
	for i, m := range w.order {
		if m == a.Mode {
			copy(w.order[1:i+1], w.order[:i])
			w.order[0] = m
		}
	}
}

// dataConn is an open data connection.
type dataConn struct {
	tcp     net.Conn
	tls     *tls.Conn // nil in clear text
	conn    net.Conn  // the one of the two that is spoken
	beneath *beneath
	tunnel  bool // a proxy lies between

	mu    sync.Mutex
	ended bool   // interrupted: deadlines move no more
	moved uint64 // what heed heard last
}

// arm gives the next read and write d of time.
func (d *dataConn) arm(patience time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.ended {
		_ = d.tcp.SetDeadline(after(patience)) // the read or write tells what is wrong
	}
}

// heed gives what is being written, or read, its time anew if the kernel knows that
// something has moved since it was asked last. A write ends when the socket has
// taken all of it, and a read of TLS when a record is whole: on a line of 200 bytes
// per second that takes longer than anybody should wait in whom nothing moves.
func (d *dataConn) heed(up bool, patience time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	before := d.moved
	if up {
		d.moved = headway.Sent(d.tcp)
	} else {
		d.moved = headway.Come(d.tcp)
	}
	if d.moved != before && !d.ended {
		_ = d.tcp.SetDeadline(after(patience)) // as in arm
	}
}

// interrupt ends what is being read or written, after a last wait.
func (d *dataConn) interrupt(grace time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.ended = true
	_ = d.tcp.SetDeadline(time.Now().Add(grace))
}

// read reads as much as has come: over TLS, that may be many records.
func (d *dataConn) read(p []byte) (int, error) {
	if r, ok := d.wire().(*records.Conn); ok {
		return r.Fill(d.tls, p)
	}
	return d.conn.Read(p)
}

// wire is what lies under TLS; it may still hold some of what was written.
func (d *dataConn) wire() net.Conn {
	if d.beneath != nil {
		return d.beneath.Conn
	}
	return d.tcp
}

// cut tells that TLS ended without close_notify: TLS has handed on an end, and
// it came from TCP.
func (d *dataConn) cut() bool { return d.beneath != nil && d.beneath.eof.Load() }

// discard cuts the connection, so that the server notices.
func (d *dataConn) discard() {
	if t, ok := d.tcp.(*net.TCPConn); ok {
		_ = t.SetLinger(0)
	}
	_ = d.tcp.Close()
}

// announcement is a data connection to be.
type announcement struct {
	s       *session
	attempt Attempt
	conn    net.Conn     // passive: open already
	tunnel  bool         // conn, or what is accepted, is that to a proxy
	listen  net.Listener // active
}

// announce makes the announcement of a mode, and in passive mode connects.
func (s *session) announce(ctx context.Context, m Mode, cmd ftp.Command) (*announcement, error) {
	n := &announcement{s: s, attempt: Attempt{Mode: m, Command: cmd, Start: time.Now()}}
	var err error
	if m.Passive() {
		err = n.passive(ctx)
	} else {
		err = n.active(ctx)
	}
	return n, err
}

// possible tells whether a mode can be said at all, and the server then reach us.
func (s *session) possible(m Mode) bool {
	if m == PASV {
		return !s.peer.Is6()
	}
	if m.Passive() {
		return true
	}
	if _, ok := s.set.Dialer.(Binder); ok { // which must know who may connect
		return s.peer.IsValid() || s.set.AllowForeign
	}
	if !s.set.direct() && !s.set.AllowForeign { // we would not know the server
		return false
	}
	told := s.told()
	return told.IsValid() && (m == EPRT || told.Is4())
}

// impossible says why no mode is.
func (s *session) impossible(cmd ftp.Command) error {
	why := "our own address is not known; set ActiveAddress or another Mode"
	if _, ok := s.set.Dialer.(Binder); ok {
		why = "in active mode somebody must tell the server from a stranger, and only the proxy knows its address; have names resolved here (socks5://), or use passive mode"
	} else if !s.set.direct() {
		why = "in active mode the server connects to us, and this proxy takes no connections; use passive mode"
	}
	return fmt.Errorf("no data connection for %s: %s", cmd.Verb, why)
}

func (s *session) told() netip.Addr {
	if s.set.ActiveAddress.IsValid() {
		return s.set.ActiveAddress.Unmap()
	}
	return s.local
}

func (n *announcement) passive(ctx context.Context) error {
	s := n.s
	r, err := s.do(ctx, n.attempt.Mode.String(), "")
	if err != nil {
		return err
	}
	text := r.Lines[len(r.Lines)-1]
	var a netip.AddrPort
	switch {
	case n.attempt.Mode == EPSV && r.Code == 229:
		a, err = ftp.ParseExtendedPassive(text)
	case n.attempt.Mode == PASV && r.Code == 227:
		a, err = ftp.ParsePassive(text)
	default:
		err = &ftp.Error{Command: ftp.Command{Verb: n.attempt.Mode.String()}, Reply: r}
	}
	if err != nil {
		return err
	}
	n.attempt.Announced = a
	host := s.host
	if s.peer.IsValid() {
		host = s.peer.String()
	}
	if named := a.Addr().Unmap(); named.IsValid() && !named.IsUnspecified() && named != s.peer {
		if s.set.AllowForeign {
			host = named.String()
		} else {
			n.attempt.Foreign = s.peer.IsValid() // else nobody knows
		}
	}
	n.attempt.Target = net.JoinHostPort(host, strconv.Itoa(int(a.Port())))
	if n.attempt.Foreign {
		s.set.Log.Info("announced address not followed", "announced", a, "used", n.attempt.Target)
	}
	c := ctx
	if s.set.DataTimeout > 0 {
		var cancel context.CancelFunc
		c, cancel = context.WithTimeout(ctx, s.set.DataTimeout)
		defer cancel()
	}
	var from net.IP
	if s.local.IsValid() && !s.set.AllowForeign {
		from = net.IP(s.local.AsSlice())
	}
	n.conn, err = s.set.dialer(from).DialContext(c, "tcp", n.attempt.Target)
	if err != nil && ctx.Err() == nil && c.Err() != nil {
		err = &lateError{s.set.DataTimeout, err}
	}
	if t, ok := n.conn.(Tunnel); ok {
		n.conn, n.tunnel = t.NetConn(), true
	}
	return err
}

func (n *announcement) active(ctx context.Context) error {
	s := n.s
	l, err := s.listenActive(ctx)
	if err != nil {
		return err
	}
	n.listen = l
	told := l.Addr().(*net.TCPAddr).AddrPort()
	if _, far := s.set.Dialer.(Binder); s.set.LearnAddress && !s.set.ActiveAddress.IsValid() && !far {
		a, err := s.seen(ctx)
		if err != nil {
			return err
		}
		told = netip.AddrPortFrom(a, told.Port())
	} else if a := s.told().WithZone(""); a.IsValid() {
		told = netip.AddrPortFrom(a, told.Port())
	}
	if n.attempt.Mode == PORT && !told.Addr().Is4() { // a proxy's, which nobody knew before
		return fmt.Errorf("PORT cannot say %v, which is not IPv4", told)
	}
	arg := ""
	if n.attempt.Mode == PORT {
		arg = ftp.FormatHostPort(told)
	} else {
		arg = ftp.FormatEPRT(told)
	}
	if _, err := s.do(ctx, n.attempt.Mode.String(), arg); err != nil {
		return err
	}
	n.attempt.Announced, n.attempt.Target = told, told.String()
	return nil
}

// listenActive opens a port for the server to connect to.
func (s *session) listenActive(ctx context.Context) (net.Listener, error) {
	if b, ok := s.set.Dialer.(Binder); ok {
		host := s.host
		if s.peer.IsValid() {
			host = s.peer.String()
		}
		if s.set.DataTimeout > 0 {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, s.set.DataTimeout)
			defer cancel()
		}
		return b.Bind(ctx, net.JoinHostPort(host, s.port))
	}
	var lc net.ListenConfig
	p := s.set.ActivePorts
	if p.Low == 0 {
		return lc.Listen(ctx, "tcp", s.listenOn(0))
	}
	// Begin somewhere else each time, so that a port has rest after its use.
	size := int(p.High) - int(p.Low) + 1
	start := int(time.Now().UnixNano() % int64(size))
	var err error
	for i := range size {
		port := p.Low + uint16((start+i)%size)
		var l net.Listener
		if l, err = lc.Listen(ctx, "tcp", s.listenOn(port)); err == nil {
			return l, nil
		}
	}
	return nil, fmt.Errorf("no free port in %d-%d: %w", p.Low, p.High, err)
}

// listenOn is our end of the control connection with another port; any address
// if that end is not ours, but a proxy's.
func (s *session) listenOn(port uint16) string {
	if !s.local.IsValid() {
		return fmt.Sprintf(":%d", port)
	}
	return netip.AddrPortFrom(s.local, port).String()
}

// connect waits for the server in active mode, and hands the connection over.
// It gives up when a reply comes that ends the command.
func (n *announcement) connect(ctx context.Context, a *answer) (*dataConn, error) {
	if n.conn == nil {
		c, err := n.accept(ctx, a)
		if err != nil {
			return nil, err
		}
		n.conn = c
	}
	d := &dataConn{tcp: n.conn, conn: n.conn, tunnel: n.tunnel}
	n.conn = nil
	return d, nil
}

func (n *announcement) accept(ctx context.Context, a *answer) (net.Conn, error) {
	l := n.listen.(timedListener)
	_ = l.SetDeadline(after(n.s.set.DataTimeout))
	var stranger netip.Addr
	over := make(chan struct{})
	defer close(over)
	go func() {
		select {
		case <-over:
			return
		case <-ctx.Done():
		case <-n.s.dead:
		case <-a.done:
			if a.reply.Complete() { // a small file is through already
				return
			}
		}
		_ = l.SetDeadline(time.Unix(1, 0))
	}()
	for {
		c, err := l.Accept()
		if err != nil {
			select {
			case <-a.done:
				if !a.reply.Complete() {
					return nil, &ftp.Error{Command: a.command, Reply: a.reply}
				}
			default:
			}
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			if n.s.alive() != nil {
				return nil, n.s.alive()
			}
			if stranger.IsValid() && !errors.Is(err, os.ErrDeadlineExceeded) {
				err = fmt.Errorf("%v came in its place, who is not the server", stranger)
			}
			if errors.Is(err, os.ErrDeadlineExceeded) {
				err = &lateError{n.s.set.DataTimeout, err}
			}
			return nil, err
		}
		var from netip.Addr
		if t, ok := c.(Tunnel); ok {
			from, c, n.tunnel = t.Peer(), t.NetConn(), true
		} else {
			from = c.RemoteAddr().(*net.TCPAddr).AddrPort().Addr().Unmap()
		}
		if from.IsValid() && from == n.s.peer || n.s.set.AllowForeign {
			return c, nil
		}
		n.s.set.Log.Warn("data connection of a stranger refused", "from", from, "server", n.s.peer)
		stranger = from
		_ = c.Close()
	}
}

// timedListener is a listener that can be told how long to wait.
type timedListener interface {
	net.Listener
	SetDeadline(t time.Time) error
}

// close ends what was announced and not used.
func (n *announcement) close() {
	if n.conn != nil {
		_ = n.conn.Close()
	}
	if n.listen != nil {
		_ = n.listen.Close()
	}
}

// protect puts TLS over a data connection; in active mode too we are the TLS
// client (RFC 4217 7). It comes after the transfer command: vsftpd speaks no
// TLS before, and what the server said in between may have brought a ticket.
func (s *session) protect(ctx context.Context, d *dataConn) (resumed bool, err error) {
	d.beneath = newBeneath(d.tcp)
	d.tls = tls.Client(d.beneath, s.tls.Data())
	d.arm(s.set.Timeout)
	if err := d.tls.HandshakeContext(ctx); err != nil {
		return false, fmt.Errorf("TLS on the data connection: %w", err)
	}
	d.conn = d.tls
	return d.tls.ConnectionState().DidResume, nil
}
