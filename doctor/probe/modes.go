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
	"towpath/internal/words"
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

// result is what became of the modes, to be read behind "over TLS"; it says
// nothing if none was tried.
func (s *side) result() words.Phrase {
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
	works, fails := clause("clause.works", good), clause("clause.fails", bad)
	switch {
	case len(good)+len(bad) == 0:
		return words.Phrase{}
	case len(bad) == 0:
		return works
	case len(good) == 0:
		return fails
	}
	return words.Say("probe.result.two", "works", works, "fails", fails)
}

// clause says something of modes, in the number that English wants.
func clause(name string, modes []string) words.Phrase {
	number := ".many"
	if len(modes) == 1 {
		number = ".one"
	}
	return words.Say(name+number, "modes", words.And(modes))
}

// wanted tells whether a mode is to be tried.
func (t *Target) wanted(m ftpclient.Mode) bool {
	if slices.Contains(t.Options.Avoid, m) {
		return false
	}
	switch t.Options.Mode {
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
			return check.Check{Minor: true, Evidence: p.say("probe.login.clear")}
		}
	} else if !p.offered {
		return check.Check{}
	}
	if c == overTLS && !asked && p.sides[inClear].refused != nil && wrongPassword(p.sides[inClear].refused) {
		return check.Check{Minor: true, Evidence: p.say("probe.login.refused")}
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
		return check.Check{Answer: check.Yes, Evidence: p.say("probe.login", "user", s.user())}
	}
	out := check.Check{Answer: check.No, Evidence: p.short(s.refused)}
	if e, ok := errors.AsType[*ftp.Error](s.refused); ok {
		out.Evidence = e.Error()
	}
	switch {
	case c == inClear && p.offered && !wrongPassword(s.refused): // it may want TLS
		out.Minor, out.Hint = true, p.say("probe.login.tls-only")
		return out
	case isUntrusted(s.refused):
		out.Hint = p.say("probe.login.untrusted")
		p.over = p.say("probe.login.disbelieved")
		return out
	case c == overTLS && !asked && p.sides[inClear].entered:
		out.Hint = p.say("probe.login.log")
		return out
	}
	out.Hint = p.say("probe.login.hint")
	p.over = p.say("probe.login.over", "user", s.user())
	return out
}

// user is who logs in.
func (s *side) user() string {
	return fmt.Sprintf("%q", ftp.Escape(cmp.Or(s.options.User, "anonymous")))
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
		return check.Check{Answer: check.Yes, Minor: true, Evidence: p.say("probe.own-address", "address", a)}
	}
	return check.Check{
		Answer: check.No, Minor: true, Evidence: p.say("probe.own-address.nat", "own", p.local, "address", a),
		Hint: p.say("probe.own-address.hint"),
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
		return check.Check{Minor: true, Evidence: p.say("probe.try.ipv6", "mode", m, "address", p.peer)}
	}
	if s.client == nil || s.mode != m || s.client.Err() != nil { // each mode has a session of its own
		if err := s.dial(ctx, p.Addr, m); err != nil {
			return check.Check{Evidence: p.say("probe.session.none", "error", p.short(err)), Hint: p.say("probe.session.limit")}
		}
	}
	t := p.list(ctx, s)
	s.close()
	if s.trials == nil {
		s.trials = map[ftpclient.Mode]trial{}
	}
	s.trials[m] = t
	if t.err == nil {
		text := p.say("probe.try", "attempt", t.attempt, "entries", count(t.entries, "probe.entries"), "took", t.took.Round(10*time.Microsecond))
		return check.Check{Answer: check.Yes, Evidence: text}
	}
	if !t.asked {
		c := check.Check{Evidence: said(t), Minor: true}
		if _, refused := errors.AsType[*ftp.Error](t.err); refused {
			c.Hint = p.say("probe.try.directory")
		}
		return c
	}
	t.hint = p.hint(p.cause(s, m, t), m, t)
	s.trials[m] = t
	out := check.Check{Answer: check.No, Evidence: said(t), Hint: t.hint}
	for i := range p.sides {
		for _, other := range modes {
			if (cover(i) != c || other != m) && p.sides[i].trials[other].hint == t.hint {
				out.Hint = p.say("probe.try.same", "name", cmp.Or(p.title(nameOf(cover(i), other)), nameOf(cover(i), other)))
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

// hint is what to do.
func (p *probe) hint(c doctor.Cause, m ftpclient.Mode, t trial) string {
	fixRange, tell := words.Say("probe.fix.range"), words.Say("probe.fix.tell")
	switch {
	case c == doctor.CauseStall:
		return p.say("probe.fix.stall")
	case t.connected() && c == doctor.CauseStranger:
		return p.say("probe.fix.cut")
	case t.connected() && isTimeout(t.err):
		return p.say("probe.fix.nothing-moved")
	case t.connected():
		return p.say("probe.fix.broke")
	case m.Passive() && c == doctor.CauseFirewall:
		return p.say("probe.fix.passive-wall", "port", p.port, "range", fixRange)
	case m.Passive() && c == doctor.CauseNotForwarded:
		if isRefused(t.err) {
			return p.say("probe.fix.not-forwarded", "range", fixRange, "tell", tell)
		}
		return p.say("probe.fix.behind-nat", "range", fixRange, "tell", tell)
	case m.Passive() && c == doctor.CauseInside:
		return p.say("probe.fix.inside", "tell", tell)
	case m.Passive() && c == doctor.CauseStranger:
		return p.say("probe.fix.elsewhere")
	case m.Passive():
		return p.say("probe.fix.no-passive")
	case c == doctor.CauseMismatch && p.hidden(t):
		return p.say("probe.fix.hidden")
	case c == doctor.CauseMismatch:
		return p.say("probe.fix.mismatch")
	case c == doctor.CauseStranger:
		return p.say("probe.fix.stranger")
	case c == doctor.CauseFirewall:
		return p.say("probe.fix.active-wall", "server", p.peer)
	}
	return p.say("probe.fix.no-active")
}
