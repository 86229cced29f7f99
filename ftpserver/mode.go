package ftpserver

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"time"

	"towpath/ftp"
	"towpath/internal/ports"
	"towpath/internal/records"
	"towpath/internal/resume"
)

// transferType is what TYPE sets.
type transferType byte

const (
	typeASCII transferType = 'A'
	typeImage transferType = 'I'
)

// transferMode is what MODE sets.
type transferMode byte

const (
	modeStream  transferMode = 0
	modeDeflate transferMode = 'Z'
)

// dataWay is how the next data connection will come about: what the last
// announcement said. The zero value is no way.
type dataWay struct {
	passive *ports.Listener // PASV, EPSV: the client connects
	active  netip.AddrPort  // PORT, EPRT: the server connects
}

func (s *session) dropWay() {
	if s.way.passive != nil {
		_ = s.way.passive.Close() // it listens no more whatever Close says
	}
	s.way = dataWay{}
}

// setType is TYPE. Image and local bytes of eight bits are the same here.
func (s *session) setType(_ context.Context, arg string) (ftp.Reply, error) {
	switch strings.Join(strings.Fields(strings.ToUpper(arg)), " ") {
	case "A", "A N":
		s.kind = typeASCII
		return ftp.NewReply(200, "Type is ASCII."), nil
	case "I", "L 8", "L8":
		s.kind = typeImage
		return ftp.NewReply(200, "Type is image: bytes as they are."), nil
	default:
		return ftp.Reply{}, refuse(504, "Types are A, A N, I and L 8.", nil)
	}
}

// setMode is MODE.
func (s *session) setMode(_ context.Context, arg string) (ftp.Reply, error) {
	switch strings.ToUpper(strings.TrimSpace(arg)) {
	case "S":
		s.block = modeStream
		return ftp.NewReply(200, "Mode is stream."), nil
	case "Z":
		s.block = modeDeflate
		return ftp.NewReply(200, "Mode is deflate."), nil
	default:
		return ftp.Reply{}, refuse(504, "Modes are S and Z.", nil)
	}
}

// setStructure is STRU.
func (s *session) setStructure(_ context.Context, arg string) (ftp.Reply, error) {
	switch strings.ToUpper(strings.TrimSpace(arg)) {
	case "F":
		s.records = false
		return ftp.NewReply(200, "Structure is file."), nil
	case "R":
		s.records = true
		return ftp.NewReply(200, "Structure is record, for files of type ASCII."), nil
	default:
		return ftp.Reply{}, refuse(504, "Structures are F and R.", nil)
	}
}

// port is PORT.
func (s *session) port(_ context.Context, arg string) (ftp.Reply, error) {
	a, err := ftp.ParseHostPort(strings.TrimSpace(arg))
	if err != nil {
		return ftp.Reply{}, refuse(501, "PORT wants h1,h2,h3,h4,p1,p2 with numbers from 0 to 255.", err)
	}
	return s.announceActive("PORT", a)
}

// extendedPort is EPRT (RFC 2428).
func (s *session) extendedPort(_ context.Context, arg string) (ftp.Reply, error) {
	a, err := ftp.ParseEPRT(strings.TrimSpace(arg))
	if _, ok := errors.AsType[*ftp.UnsupportedFamilyError](err); ok {
		return ftp.Reply{}, refuse(522, "Network protocol not supported, use (1,2)", err)
	}
	if err != nil {
		return ftp.Reply{}, refuse(501, "EPRT wants |1|h1.h2.h3.h4|port| or |2|IPv6 address|port|.", err)
	}
	return s.announceActive("EPRT", a)
}

// announceActive takes an address to connect to, if it is the client's own.
func (s *session) announceActive(verb string, a netip.AddrPort) (ftp.Reply, error) {
	if s.set.NoActive {
		return ftp.Reply{}, refuse(502, "Active mode is switched off here; use PASV or EPSV.", nil)
	}
	if s.epsvAll {
		return ftp.Reply{}, refuse(501, "EPSV ALL was said: only EPSV may follow.", nil)
	}
	a = netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
	own := s.peer.Addr()
	if verb == "EPRT" && a.Addr().IsUnspecified() {
		// lftp says "EPRT |2|::|port|" in active mode over IPv6, and means
		// the address that it comes from.
		a = netip.AddrPortFrom(own, a.Port())
	}
	if a.Addr() == own.WithZone("") {
		a = netip.AddrPortFrom(own, a.Port()) // EPRT cannot say the zone of a link-local address
	}
	if a.Addr() != own && s.set.FixPrivatePort && a.Addr().IsPrivate() && !own.IsPrivate() && a.Addr().Is4() == own.Is4() {
		s.log(slog.LevelInfo, "private address replaced by the client's own", "announced", a, "used", own)
		a = netip.AddrPortFrom(own, a.Port())
	}
	if a.Addr() != own && !s.set.AllowForeign {
		// A bounce attack, or a client behind a NAT that does not rewrite.
		return ftp.Reply{}, refuse(501, fmt.Sprintf("%s names %v, but you come from %v; data goes to your own address only. Try passive mode.",
			verb, a.Addr(), own), nil)
	}
	if a.Port() < 1024 && !s.set.AllowLowPorts {
		return ftp.Reply{}, refuse(501, fmt.Sprintf("%s names port %d; ports below 1024 are not served.", verb, a.Port()), nil)
	}
	s.dropWay()
	s.way.active = a
	return ftp.NewReply(200, verb+" command successful."), nil
}

// passive is PASV.
func (s *session) passive(ctx context.Context, _ string) (ftp.Reply, error) {
	if s.epsvAll {
		return ftp.Reply{}, refuse(501, "EPSV ALL was said: only EPSV may follow.", nil)
	}
	if !s.local.Addr().Is4() {
		return ftp.Reply{}, refuse(425, "PASV cannot say an IPv6 address; use EPSV.", nil)
	}
	told, err := s.set.told.address(ctx, s.peer.Addr(), s.local.Addr(), s.binding != nil)
	if err == nil && !told.Is4() {
		err = fmt.Errorf("told address %v is not IPv4", told)
	}
	if err != nil {
		return ftp.Reply{}, refuse(425, "No address for passive mode can be told now; use EPSV.", err)
	}
	port, err := s.listenPassive(ctx)
	if err != nil {
		return ftp.Reply{}, err
	}
	return ftp.NewReply(227, ftp.FormatPassive(netip.AddrPortFrom(told, port))), nil
}

// extendedPassive is EPSV (RFC 2428).
func (s *session) extendedPassive(ctx context.Context, arg string) (ftp.Reply, error) {
	switch arg = strings.ToUpper(strings.TrimSpace(arg)); {
	case arg == "":
	case arg == "ALL":
		s.epsvAll = true
		return ftp.NewReply(200, "EPSV ALL: only EPSV from now on."), nil
	case arg == "1" && s.local.Addr().Is4(), arg == "2" && s.local.Addr().Is6():
	case s.local.Addr().Is4():
		return ftp.Reply{}, refuse(522, "Network protocol not supported, use (1)", nil)
	default:
		return ftp.Reply{}, refuse(522, "Network protocol not supported, use (2)", nil)
	}
	port, err := s.listenPassive(ctx)
	if err != nil {
		return ftp.Reply{}, err
	}
	return ftp.NewReply(229, ftp.FormatExtendedPassive(port)), nil
}

// listenPassive opens a port for the next data connection, in place of what
// was announced before.
func (s *session) listenPassive(ctx context.Context) (uint16, error) {
	if s.set.NoPassive {
		return 0, refuse(502, "Passive mode is switched off here; use PORT or EPRT.", nil)
	}
	s.dropWay()
	l, err := s.set.ports.Listen(ctx, s.local.Addr())
	if err != nil {
		s.log(slog.LevelWarn, "no passive port", "err", err)
		return 0, refuse(425, "No passive port is free; try again later.", err)
	}
	s.way.passive = l
	return l.Port(), nil
}

// dataConn is an open data connection.
type dataConn struct {
	tcp  *net.TCPConn
	tls  *tls.Conn // nil in clear text
	conn net.Conn  // the one of the two that is spoken
}

// ready says whether a data connection can come about, before 150 is said.
func (s *session) ready() error {
	if s.way.passive == nil && !s.way.active.IsValid() {
		return refuse(425, "Use PASV, EPSV, PORT or EPRT first.", nil)
	}
	u := s.user()
	if !s.private && (s.set.RequireTLS || u.RequireTLS) {
		return refuse(521, "Data goes over TLS only here: send PROT P first.", nil)
	}
	return nil
}

// connect makes the data connection that was announced. Its errors are
// answered 425, and say what the server tried.
func (s *session) connect(t *transfer) (*dataConn, error) {
	way := s.way
	var until time.Time // how long a passive port waits
	if s.set.AcceptTimeout > 0 {
		until = time.Now().Add(s.set.AcceptTimeout)
	}
	var failed error // of a handshake
	for {
		tcp, err := s.reach(t, way, until)
		if cause := t.stopped(); err != nil && cause != nil {
			return nil, cause
		}
		if err != nil && failed != nil {
			return nil, failed
		}
		if err != nil {
			return nil, err
		}
		d := &dataConn{tcp: tcp, conn: tcp}
		t.use(tcp, tcp, s.set.StallTimeout)
		if !s.private {
			return d, nil
		}
		if err = s.protect(t, d); err == nil {
			return d, nil
		}
		_ = tcp.Close()
		if cause := t.stopped(); cause != nil {
			return nil, cause
		}
		if way.passive == nil {
			return nil, err
		}
		// It came from the client's address and was not the client, who may
		// stand behind it: nobody shall keep him out by being faster.
		if failed == nil {
			failed = err
			if soon := time.Now().Add(secondChance); until.IsZero() || soon.Before(until) {
				until = soon
			}
		}
	}
}

// secondChance is how long a passive port goes on waiting after a TLS
// handshake that failed.
const secondChance = time.Second

// reach gets the TCP connection, by waiting for it or by opening it.
func (s *session) reach(t *transfer, way dataWay, until time.Time) (*net.TCPConn, error) {
	if way.passive != nil {
		allow := func(a netip.Addr) bool { return s.set.AllowForeignData || a == s.peer.Addr() }
		tcp, err := way.passive.Accept(t.ctx, until, allow)
		if err != nil {
			s.log(slog.LevelWarn, "no data connection came", "port", way.passive.Port(), "within", s.set.AcceptTimeout, "err", err)
			return nil, refuse(425, fmt.Sprintf(
				"No connection from %v came to port %d within %v; is the port open in the firewall, and the announced address right?",
				s.peer.Addr(), way.passive.Port(), s.set.AcceptTimeout), err)
		}
		return tcp, nil
	}
	dialer := net.Dialer{Timeout: s.set.ConnectTimeout, LocalAddr: &net.TCPAddr{IP: s.local.Addr().AsSlice(), Zone: s.local.Addr().Zone(), Port: int(s.set.ActivePort)}, Control: reuse}
	if way.active.Addr().Is4() != s.local.Addr().Is4() {
		dialer.LocalAddr = &net.TCPAddr{Port: int(s.set.ActivePort)}
	}
	c, err := dialer.DialContext(t.ctx, "tcp", way.active.String())
	if err != nil {
		s.log(slog.LevelWarn, "data connection could not be opened", "to", way.active, "from port", s.set.ActivePort, "err", err)
		return nil, refuse(425, fmt.Sprintf("Cannot connect to %v: %s. Behind a NAT or firewall use passive mode.",
			way.active, why(err)), err)
	}
	return c.(*net.TCPConn), nil
}

// why says in few words what a failed connection means, without the system's text.
func why(err error) string {
	switch {
	case isTimeout(err):
		return "no answer in time"
	case isNetwork(err):
		return "refused or unreachable"
	case errors.Is(err, context.Canceled):
		return "aborted"
	default:
		return "not possible from here"
	}
}

func isTimeout(err error) bool {
	e, ok := errors.AsType[net.Error](err)
	return ok && e.Timeout()
}

// protect puts TLS over a data connection. The server is the TLS server in
// active mode too (RFC 4217 7).
func (s *session) protect(t *transfer, d *dataConn) error {
	patience := handshakeTimeout
	if s.set.StallTimeout > 0 {
		patience = min(patience, s.set.StallTimeout)
	}
	t.use(d.tcp, nil, patience) // a handshake has this long, and trickling gains nothing
	d.tls = tls.Server(unhurried{records.Gather(d.tcp)}, s.binding.Data())
	err := d.tls.Handshake() // t interrupts it
	var bound bool
	if err == nil {
		bound, err = s.binding.Verify(d.tls.ConnectionState())
	}
	switch {
	case errors.Is(err, resume.ErrForeign), errors.Is(err, resume.ErrUnbound):
		s.srv.counters.foreign.Add(1)
		s.log(slog.LevelWarn, "data connection is not bound to its session", "err", err)
		return refuse(522, "The data connection must resume the TLS session of the control connection.", err)
	case err != nil:
		s.log(slog.LevelWarn, "TLS handshake on the data connection failed", "err", err)
		return refuse(425, "The TLS handshake on the data connection failed.", err)
	case bound:
		s.srv.counters.bound.Add(1)
	case s.binding.Foreign():
		s.srv.counters.foreign.Add(1)
	default:
		s.srv.counters.unbound.Add(1)
	}
	d.conn = d.tls
	t.use(d.tls, d.tcp, s.set.StallTimeout)
	return nil
}

// unhurried lies under the TLS of a data connection. Its deadlines are those of the
// transfer: tls.Conn.Close would give close_notify five seconds, in which a slow
// line does not make room for it, and the client has everything and hears 426.
type unhurried struct{ *records.Conn }

// SetWriteDeadline writes what is held, as that of [records.Conn] does.
func (u unhurried) SetWriteDeadline(time.Time) error { return u.Flush() }

// handshakeTimeout bounds a TLS handshake.
const handshakeTimeout = 20 * time.Second

// close ends the data connection; over TLS with a close_notify, so that the
// client can tell the end from a cut.
func (d *dataConn) close() error { return d.conn.Close() }

// discard cuts the data connection, so that the client notices: no
// close_notify, and a reset in place of an orderly end.
func (d *dataConn) discard() {
	_ = d.tcp.SetLinger(0)
	_ = d.tcp.Close()
}
