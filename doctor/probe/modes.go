package probe

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"slices"
	"strings"
	"time"

	"towpath/doctor"
	"towpath/doctor/check"
	"towpath/ftp"
	"towpath/ftp/listing"
	"towpath/ftpclient"
)

// modes are what is tried, in this order: the address that PASV brings to light
// helps to understand why EPSV fails, and what PORT brings, EPRT.
var modes = []ftpclient.Mode{ftpclient.PASV, ftpclient.EPSV, ftpclient.PORT, ftpclient.EPRT}

// cover is with TLS or without.
type cover int

const (
	inClear cover = iota
	overTLS
)

// side is all that was tried with TLS, or without.
type side struct {
	tls     ftpclient.Security
	options ftpclient.Options
	client  *ftpclient.Client // logged in, until it is used up
	mode    ftpclient.Mode    // of the client
	entered bool
	refused error      // why not
	seen    netip.Addr // from where the server sees us
	trials  map[ftpclient.Mode]trial
}

// trial is one mode, really tried.
type trial struct {
	attempt ftpclient.Attempt
	entries int
	newest  listing.Entry
	foreign string // a name that is not in UTF-8
	took    time.Duration
	err     error
	hint    string
	asked   bool // the data connection was tried, whatever came of it
}

func (s *side) close() {
	if s.client != nil {
		_ = s.client.Close() // all that counts has been answered
		s.client = nil
	}
}

// nameOf is the name of the check of a mode.
func nameOf(c cover, m ftpclient.Mode) string {
	if c == overTLS {
		return strings.ToLower(m.String()) + "-tls"
	}
	return strings.ToLower(m.String())
}

// coverOf is the side that a name of nameOf is of.
func coverOf(name string) cover {
	if strings.HasSuffix(name, "-tls") {
		return overTLS
	}
	return inClear
}

// works tells which modes do.
func (s *side) works(m ftpclient.Mode) bool {
	t, ok := s.trials[m]
	return ok && t.asked && t.err == nil
}

// result is what became of the modes, to be read behind "over TLS".
func (s *side) result() string {
	var good, bad []string
	for _, m := range modes {
		t, ok := s.trials[m]
		switch {
		case !ok || !t.asked:
		case t.err == nil:
			good = append(good, m.String())
		default:
			bad = append(bad, m.String())
		}
	}
	switch {
	case len(good)+len(bad) == 0:
		return ""
	case len(bad) == 0:
		return and(good) + verb(" works", good)
	case len(good) == 0:
		return and(bad) + verb(" fails", bad)
	}
	return and(good) + verb(" works", good) + ", " + and(bad) + verb(" fails", bad)
}

func verb(singular string, subject []string) string {
	if len(subject) == 1 {
		return singular
	}
	return strings.TrimSuffix(singular, "s")
}

// wanted tells whether a mode is to be tried.
func (p *probe) wanted(m ftpclient.Mode) bool {
	if slices.Contains(p.Options.Avoid, m) {
		return false
	}
	switch p.Options.Mode {
	case ftpclient.Auto, m:
		return true
	case ftpclient.Passive:
		return m.Passive()
	case ftpclient.Active:
		return !m.Passive()
	}
	return false
}

// login begins a session as a client.
func login(c cover) func(*probe, context.Context) check.Check {
	return func(p *probe, ctx context.Context) check.Check { return p.login(ctx, c) }
}

func (p *probe) login(ctx context.Context, c cover) check.Check {
	s := &p.sides[c]
	asked := p.Options.TLS != ftpclient.Plain
	if c == inClear {
		p.line.quit() // it has said what it can
		if asked {
			return check.Check{Minor: true, Evidence: "not tried in clear text, since TLS is asked for"}
		}
	} else if !p.offered {
		return check.Check{}
	}
	if c == overTLS && !asked && p.sides[inClear].refused != nil && wrongPassword(p.sides[inClear].refused) {
		return check.Check{Minor: true, Evidence: "not tried: the password was refused in clear text"}
	}
	s.options = p.Options
	s.options.TLS = s.tls
	s.options.ClearControl = p.Options.ClearControl && c == overTLS
	s.options.Retries = 0
	if c == overTLS {
		s.options.TLSConfig = p.config(true)
		if !asked && p.sides[inClear].entered { // the password has gone in clear text already
			s.options.TLSConfig = p.config(false)
		}
		s.options.TLSConfig.NextProtos = nil
		if p.Options.TLSConfig != nil {
			s.options.TLSConfig.NextProtos = p.Options.TLSConfig.NextProtos
		}
	}
	for _, m := range modes {
		if !p.wanted(m) {
			continue
		}
		s.refused = s.dial(ctx, p.Addr, m)
		break
	}
	if s.refused == nil && s.client != nil {
		s.entered = true
		p.utf8 = p.utf8 || s.client.Features().Has("UTF8")
		return check.Check{Answer: check.Yes, Evidence: fmt.Sprintf("%q is let in", ftp.Escape(cmp.Or(s.options.User, "anonymous")))}
	}
	out := check.Check{Answer: check.No, Evidence: short(s.refused)}
	if e, ok := errors.AsType[*ftp.Error](s.refused); ok {
		out.Evidence = e.Error()
	}
	switch {
	case c == inClear && p.offered && !wrongPassword(s.refused): // it may want TLS
		out.Minor, out.Hint = true, "It may be that the server lets nobody in without TLS, which is well."
		return out
	case isUntrusted(s.refused):
		out.Hint = "No password was sent. --cacert FILE believes another authority, -k any certificate."
		p.over = "the server's certificate is not believed"
		return out
	case c == overTLS && !asked && p.sides[inClear].entered:
		out.Hint = "In clear text the login works; why it does not over TLS is in the server's log."
		return out
	}
	out.Hint = "Is the login right? A .netrc, the URL or --user can hold it; without one it is anonymous."
	p.over = fmt.Sprintf("%q is not let in", ftp.Escape(cmp.Or(s.options.User, "anonymous")))
	return out
}

// wrongPassword tells whether a login was refused behind the password, and not
// for want of TLS: then it would be refused again.
func wrongPassword(err error) bool {
	e, ok := errors.AsType[*ftp.Error](err)
	if !ok || e.Command.Verb != "PASS" {
		return false
	}
	text := strings.ToLower(e.Reply.String())
	return !strings.Contains(text, "tls") && !strings.Contains(text, "ssl") && !strings.Contains(text, "encrypt")
}

func (s *side) dial(ctx context.Context, addr string, m ftpclient.Mode) (err error) {
	s.close()
	o := s.options
	o.Mode, o.Avoid = m, nil
	s.mode = m
	s.client, err = ftpclient.Dial(ctx, addr, o)
	return err
}

// seen asks the server from where it sees us.
func seen(c cover) func(*probe, context.Context) check.Check {
	return func(p *probe, ctx context.Context) check.Check { return p.ownAddress(ctx, c) }
}

func (p *probe) ownAddress(ctx context.Context, c cover) check.Check {
	s := &p.sides[c]
	if !s.entered || !p.local.IsValid() || c == overTLS && p.sides[inClear].seen.IsValid() {
		return check.Check{}
	}
	a, err := s.client.SeenFrom(ctx)
	if err != nil {
		return check.Check{Minor: true, Evidence: err.Error()}
	}
	s.seen = a
	if a == p.local {
		return check.Check{Answer: check.Yes, Minor: true, Evidence: fmt.Sprintf("the server sees us at %v, our own address", a)}
	}
	return check.Check{
		Answer: check.No, Minor: true, Evidence: fmt.Sprintf("we are %v, and the server sees us at %v: a NAT is between", p.local, a),
		Hint: "Active mode needs the NAT's help, or its address announced and ports forwarded (--ftp-port auto:50000-50100). Passive mode does not.",
	}
}

// outside is from where the server sees us, if it has said so.
func (p *probe) outside() netip.Addr {
	if a := p.sides[inClear].seen; a.IsValid() {
		return a
	}
	return p.sides[overTLS].seen
}

// try lists the directory in one mode.
func try(c cover, m ftpclient.Mode) func(*probe, context.Context) check.Check {
	return func(p *probe, ctx context.Context) check.Check { return p.try(ctx, c, m) }
}

func (p *probe) try(ctx context.Context, c cover, m ftpclient.Mode) check.Check {
	s := &p.sides[c]
	if !s.entered || !p.wanted(m) {
		return check.Check{}
	}
	if p.peer.Is6() && (m == ftpclient.PASV || m == ftpclient.PORT) {
		return check.Check{Minor: true, Evidence: fmt.Sprintf("%v has no room for the IPv6 address %v", m, p.peer)}
	}
	if s.client == nil || s.mode != m || s.client.Err() != nil { // each mode has a session of its own
		if err := s.dial(ctx, p.Addr, m); err != nil {
			return check.Check{Evidence: "no further session: " + short(err), Hint: "Does the server limit how often one comes? Try again in a minute."}
		}
	}
	t := p.list(ctx, s)
	s.close()
	if s.trials == nil {
		s.trials = map[ftpclient.Mode]trial{}
	}
	s.trials[m] = t
	if t.err == nil {
		text := fmt.Sprintf("%s; %s in %v", t.attempt, count(t.entries, "entry", "entries"), t.took.Round(10*time.Microsecond))
		return check.Check{Answer: check.Yes, Evidence: text}
	}
	if !t.asked {
		c := check.Check{Evidence: said(t), Minor: true}
		if _, refused := errors.AsType[*ftp.Error](t.err); refused {
			c.Hint = "Name a directory that can be listed in the URL."
		}
		return c
	}
	t.hint = p.hint(p.cause(s, m, t), m, t)
	s.trials[m] = t
	out := check.Check{Answer: check.No, Evidence: said(t), Hint: t.hint}
	for i := range p.sides {
		for _, other := range modes {
			if (cover(i) != c || other != m) && p.sides[i].trials[other].hint == t.hint {
				out.Hint = "The same as for " + nameOf(cover(i), other) + "."
				return out
			}
		}
	}
	return out
}

// connected tells of a trial that failed behind its data connection: TLS, or the
// bytes themselves.
func (t trial) connected() bool {
	_, noData := errors.AsType[*ftpclient.DataError](t.err)
	return t.err != nil && !noData
}

// told is the address in the 227.
func (s *side) told() netip.Addr { return s.trials[ftpclient.PASV].attempt.Announced.Addr().Unmap() }

// said is what a trial shows.
func said(t trial) string {
	if d, ok := errors.AsType[*ftpclient.DataError](t.err); ok {
		return d.Attempt.String()
	}
	if e, ok := errors.AsType[*fs.PathError](t.err); ok {
		return e.Err.Error()
	}
	return t.err.Error()
}

// list lists the directory of the target.
func (p *probe) list(ctx context.Context, s *side) (t trial) {
	start := time.Now()
	for e, err := range s.client.List(ctx, p.Dir) {
		if _, line := errors.AsType[*listing.LineError](err); line {
			continue
		}
		if err != nil {
			t.err = err
			break
		}
		t.entries++
		t.note(e)
	}
	t.took = time.Since(start)
	all := s.client.Attempts()
	if len(all) > 0 {
		t.attempt = all[len(all)-1]
	}
	e, refused := errors.AsType[*ftp.Error](t.err)
	_, noData := errors.AsType[*ftpclient.DataError](t.err)
	// A refusal of the listing itself says nothing of the way.
	t.asked = noData || !refused || !ofListing(e.Reply.Code)
	if !p.direct && !s.mode.Passive() && t.err != nil && len(all) == 0 { // the proxy takes no connections
		t.asked = false
	}
	return t
}

// ofListing are the codes by which a listing is refused whatever the mode; what
// is wrong with the data connection has others (RFC 959 5.4, RFC 4217 10).
func ofListing(code int) bool {
	switch code {
	case 450, 500, 501, 502, 503, 504, 530, 550, 553:
		return true
	}
	return false
}

// minor tells whether nothing depends on a mode that fails: active mode is not
// needed where passive works, and a server that refuses EPSV or PASV at once is
// asked for the other. Passive mode that hangs is never minor: clients that try
// it first wait. Whoever asks for one mode means it.
func (p *probe) minor(s *side, m ftpclient.Mode) bool {
	if p.Options.Mode != ftpclient.Auto {
		return false
	}
	if !s.works(ftpclient.EPSV) && !s.works(ftpclient.PASV) {
		return false
	}
	t := s.trials[m]
	_, refused := errors.AsType[*ftp.Error](t.err)
	return !m.Passive() || refused && t.attempt.Target == ""
}

// cause is why a mode fails, as far as that can be told; else empty.
func (p *probe) cause(s *side, m ftpclient.Mode, t trial) doctor.Cause {
	e, refused := errors.AsType[*ftp.Error](t.err)
	if t.attempt.Target == "" && isTimeout(t.err) {
		return doctor.CauseStall
	}
	if t.connected() {
		if m.Passive() && t.entries == 0 && (isReset(t.err) || refused && (e.Reply.Code == 425 || e.Reply.Code == 426)) {
			return doctor.CauseStranger
		}
		return ""
	}
	if m.Passive() {
		switch {
		case t.attempt.Target == "":
			return ""
		case refused && t.attempt.Err != nil: // our connection came about, and the server did not see it
			return doctor.CauseStranger
		case isTimeout(t.err), isUnreachable(t.err):
			if id, _ := doctor.Unroutable(t.attempt.Announced.Addr()); id != "" && !t.attempt.Foreign && t.attempt.Announced.Addr().Unmap() != p.peer {
				return doctor.CauseInside
			}
			if told := s.told(); told.IsValid() && told != p.peer { // who answers us is not who announces
				return doctor.CauseNotForwarded
			}
			return doctor.CauseFirewall
		case isRefused(t.err):
			return doctor.CauseNotForwarded
		}
		return ""
	}
	told := p.local
	if a := t.attempt.Announced; a.IsValid() {
		told = a.Addr().Unmap()
	}
	if p.Options.ActiveAddress.IsValid() {
		told = p.Options.ActiveAddress
	}
	switch {
	case t.attempt.Target == "" && refused && e.Reply.Permanent():
		if out := p.outside(); out.IsValid() && out != told || !out.IsValid() && inside(told) && !inside(p.peer) || len(others(e.Reply.String(), told)) > 0 {
			return doctor.CauseMismatch
		}
		return ""
	case t.attempt.Target == "":
		return ""
	case strings.Contains(t.err.Error(), "who is not the server"):
		return doctor.CauseStranger
	case refused || isTimeout(t.err):
		return doctor.CauseFirewall
	}
	return ""
}

// hidden tells whether a server that we reach by an outside address has refused
// an announcement since it sees us at an inside one.
func (p *probe) hidden(t trial) bool {
	e, refused := errors.AsType[*ftp.Error](t.err)
	if !refused || inside(p.peer) {
		return false
	}
	return slices.ContainsFunc(others(e.Reply.String(), p.local), inside)
}

// inside tells of addresses that mean something in their own network alone.
func inside(a netip.Addr) bool {
	id, _ := doctor.Unroutable(a)
	return slices.Contains([]string{"private", "shared", "link-local", "loopback"}, id)
}

const (
	fixRange = "On the server fix the passive ports (towpath serve --passive-ports 50000-50100; pasv_min_port and pasv_max_port of vsftpd; PassivePorts of ProFTPD; -p of Pure-FTPd) and let them in: towpath doctor rules --passive-ports 50000-50100 writes the rules"
	tellAddr = "tell the server its external address (towpath serve --external ADDRESS; pasv_address of vsftpd; MasqueradeAddress of ProFTPD; -P of Pure-FTPd)"
)

// hint is what to do.
func (p *probe) hint(c doctor.Cause, m ftpclient.Mode, t trial) string {
	switch {
	case c == doctor.CauseStall:
		return "The session is dead from the announcement on, and was well before: the server hangs, or the FTP helper of a NAT on the way drops the line for ever, as that of Linux does with one that comes in two pieces. Over TLS it cannot."
	case t.connected() && c == doctor.CauseStranger:
		return "The server took the data connection and cut it at once, as those do that see it come from another address than the session: a NAT on our side has several, and uses one for each. Bind both to one there."
	case t.connected() && isTimeout(t.err):
		return "The data connection came about and then nothing moved, or the last reply did not come: something on the way stops packets, or forgets the control connection."
	case t.connected():
		return "The data connection came about, and broke: the server's log has the reason."
	case m.Passive() && c == doctor.CauseFirewall:
		return "A firewall lets no connection through to that port: on the server's side, or here if it lets out only port " + p.port + ". " + fixRange + "; behind a NAT the range must be forwarded too (--side router)."
	case m.Passive() && c == doctor.CauseNotForwarded:
		if isRefused(t.err) {
			return "Who refuses is not the server, which has just opened that port: a NAT before it that does not forward the passive ports, a firewall that says no, or a balancer. " + fixRange + ", and with --side router the forwarding; then " + tellAddr + "."
		}
		return "The server is behind a NAT, since its 227 names another address than the one that we reached, and the NAT does not forward the passive ports. " + fixRange + ", and with --side router the forwarding; then " + tellAddr + "."
	case m.Passive() && c == doctor.CauseInside:
		return "The 227 names an address that leads nowhere from here: " + tellAddr + ", and forward the passive ports."
	case m.Passive() && c == doctor.CauseStranger:
		return "We have connected, and the server has not seen it as ours: its data port leads to another machine (a balancer), or our two connections leave by different addresses of a NAT. Bind both to one."
	case m.Passive():
		return "The server does not offer this mode, or it is broken there: its log has the reason. towpath serve offers it unless passive.enable is off; vsftpd has pasv_enable."
	case c == doctor.CauseMismatch && p.hidden(t):
		return "The server sees us at an inside address, although it has an outside one: a NAT on its side hides where its clients come from. Let it keep their addresses (externalTrafficPolicy: Local in Kubernetes, no masquerading of what comes in), or use passive mode (-p)."
	case c == doctor.CauseMismatch:
		return "We announce an address that is not the one that the server sees us at: a NAT is on our side, and nobody rewrites the announcement. Use passive mode (-p); or forward ports on the NAT and announce its address: --ftp-port auto:50000-50100."
	case c == doctor.CauseStranger:
		return "The server connects to us from another address than the one we reached it at: it stands behind a NAT or has several. Bind its data connections to that address, or use passive mode (-p)."
	case c == doctor.CauseFirewall:
		return fmt.Sprintf("A firewall or NAT on this side lets no connection of the server's in, or one on its side lets none out. Use passive mode (-p), or let it in: towpath doctor rules --side client --mode active --server %v", p.peer)
	}
	return "The server does not offer this mode, or forbids it for us. Use passive mode (-p)."
}
