package probe

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"regexp"
	"syscall"
	"time"
	"unicode/utf8"

	"towpath/doctor"
	"towpath/doctor/check"
	"towpath/ftp"
	"towpath/ftp/listing"
	"towpath/ftpclient"
	"towpath/internal/words"
)

// isTimeout asks all that err wraps: a *fs.PathError answers for itself alone.
func isTimeout(err error) bool {
	for e := err; e != nil; e = errors.Unwrap(e) {
		if t, ok := e.(interface{ Timeout() bool }); ok && t.Timeout() {
			return true
		}
	}
	return errors.Is(err, os.ErrDeadlineExceeded)
}

// isRefused: Windows has a number of its own for it, which package syscall knows
// as the same error.
func isRefused(err error) bool { return errors.Is(err, syscall.ECONNREFUSED) }

func isReset(err error) bool { return errors.Is(err, syscall.ECONNRESET) }

func isUnreachable(err error) bool {
	return errors.Is(err, syscall.EHOSTUNREACH) || errors.Is(err, syscall.ENETUNREACH)
}

func isUntrusted(err error) bool {
	_, untrusted := errors.AsType[*tls.CertificateVerificationError](err)
	return untrusted
}

var dotted = regexp.MustCompile(`\b\d{1,3}(?:\.\d{1,3}){3}\b`)

// named are the IPv4 addresses in a text of the server.
func named(text string) (all []netip.Addr) {
	for _, s := range dotted.FindAllString(text, -1) {
		if a, err := netip.ParseAddr(s); err == nil {
			all = append(all, a)
		}
	}
	return all
}

// others are those that are not a.
func others(text string, a netip.Addr) (all []netip.Addr) {
	for _, n := range named(text) {
		if n != a {
			all = append(all, n)
		}
	}
	return all
}

// pasvAddress compares the address in the 227 with the one that we reached.
func (p *probe) pasvAddress(context.Context) check.Check {
	if !p.peer.IsValid() {
		return check.Check{}
	}
	told := p.sides[inClear].told()
	if safe := p.sides[overTLS].told(); safe.IsValid() && (!told.IsValid() || told == p.peer) {
		told = safe
	}
	if !told.IsValid() {
		return check.Check{}
	}
	id, why := doctor.Unroutable(told)
	theirs, _ := doctor.Unroutable(p.peer)
	tell := words.Say("probe.fix.tell")
	switch {
	case told == p.peer:
		return check.Check{Answer: check.Yes, Evidence: p.say("probe.227", "told", told)}
	case id == "unspecified":
		return check.Check{Answer: check.No, Minor: true, Evidence: p.say("probe.227.zero"), Hint: p.say("probe.227.zero-hint", "tell", tell)}
	case id != "" && id != theirs:
		return check.Check{
			Answer: check.No, Evidence: p.say("probe.227.inside", "told", told, "why", why, "peer", p.peer),
			Hint: p.say("probe.227.inside-hint", "tell", tell),
		}
	case isNATed(p.sides[:], told):
		return check.Check{
			Answer: check.No, Evidence: p.say("probe.227.nat", "told", told, "peer", p.peer),
			Hint: p.say("probe.227.nat-hint", "tell", tell),
		}
	}
	return check.Check{Minor: true, Evidence: p.say("probe.227.other", "told", told, "peer", p.peer)}
}

// isNATed tells whether the session that announced this address had no data
// connection from the one that we reached.
func isNATed(sides []side, told netip.Addr) bool {
	for _, s := range sides {
		if t := s.trials[ftpclient.PASV]; s.told() == told && t.err != nil && t.attempt.Foreign {
			return true
		}
	}
	return false
}

// pasvUnchanged compares what the 227 names in clear text, where something on
// the way can change it, with what it names over TLS, where nothing can.
func (p *probe) pasvUnchanged(context.Context) check.Check {
	plain, safe := p.sides[inClear].told(), p.sides[overTLS].told()
	switch {
	case !plain.IsValid() || !p.peer.IsValid():
		return check.Check{}
	case !safe.IsValid():
		if plain != p.peer {
			return check.Check{Answer: check.Yes, Minor: true, Evidence: p.say("probe.227.as-is", "told", plain)}
		}
		return check.Check{Minor: true, Evidence: p.say("probe.227.only-tls")}
	case plain == safe:
		return check.Check{Answer: check.Yes, Minor: true, Evidence: p.say("probe.227.both", "told", plain)}
	case plain == p.peer:
		return check.Check{
			Answer: check.No, Minor: true, Evidence: p.say("probe.227.rewritten", "told", plain, "safe", safe),
			Hint: p.say("probe.227.blind", "tell", words.Say("probe.fix.tell")),
		}
	}
	return check.Check{Minor: true, Evidence: p.say("probe.227.several", "told", plain, "safe", safe)}
}

// portUnchanged looks for proof of what became of our own announcement: a
// refusal that names the address, or what TLS makes a difference to.
func (p *probe) portUnchanged(context.Context) check.Check {
	for i, s := range p.sides {
		for _, m := range []ftpclient.Mode{ftpclient.PORT, ftpclient.EPRT} {
			e, refused := errors.AsType[*ftp.Error](s.trials[m].err)
			if !refused || !p.local.IsValid() || cover(i) == overTLS {
				continue
			}
			told := p.local
			if a := p.Options.ActiveAddress; a.IsValid() {
				told = a
			}
			if text := e.Reply.String(); len(others(text, told)) < len(named(text)) {
				return check.Check{Answer: check.Yes, Minor: true, Evidence: p.say("probe.announced.echoed", "mode", m, "reply", e.Reply)}
			}
		}
	}
	for _, m := range []ftpclient.Mode{ftpclient.PORT, ftpclient.EPRT} {
		bare, safe := p.sides[inClear].trials[m], p.sides[overTLS].trials[m]
		_, refused := errors.AsType[*ftp.Error](safe.err)
		if p.sides[inClear].works(m) && refused && safe.attempt.Target == "" && bare.attempt.Announced.Addr() == p.local && p.outside().IsValid() && p.outside() != p.local {
			return check.Check{
				Answer: check.No, Minor: true, Evidence: p.say("probe.announced.alg", "mode", m, "own", p.local, "outside", p.outside()),
				Hint: p.say("probe.announced.blind"),
			}
		}
	}
	out := p.outside()
	if out.IsValid() && out == p.local {
		return check.Check{Answer: check.Yes, Minor: true, Evidence: p.say("probe.announced.no-nat")}
	}
	bare := p.sides[inClear].trials[ftpclient.PORT]
	if out.IsValid() && p.sides[inClear].works(ftpclient.PORT) && bare.attempt.Announced.Addr() == p.local {
		return check.Check{Minor: true, Evidence: p.say("probe.announced.works", "own", p.local, "outside", out)}
	}
	return check.Check{Minor: true, Evidence: p.say("probe.announced.silent")}
}

// note takes out of an entry what later checks look at.
func (t *trial) note(e listing.Entry) {
	if e.Time.After(t.newest.Time) {
		t.newest = e
	}
	if t.foreign == "" && !utf8.ValidString(e.Name) {
		t.foreign = e.Name
	}
}

// listed is a trial that shows the directory.
func (p *probe) listed() (trial, bool) {
	for _, s := range p.sides {
		for _, m := range modes {
			if s.works(m) {
				return s.trials[m], true
			}
		}
	}
	return trial{}, false
}

// skew is how much two clocks may differ.
const skew = time.Minute

// clock looks for files from the future: FTP has no command for the time, and
// nothing is written on the server to see it.
func (p *probe) clock(context.Context) check.Check {
	t, ok := p.listed()
	if !ok {
		return check.Check{}
	}
	ahead := time.Until(t.newest.Time)
	// A listing without zone or without the time of day proves nothing.
	if t.newest.Time.IsZero() || t.newest.Precision > time.Second || ahead < -skew {
		return check.Check{Minor: true, Evidence: p.say("probe.clock.none")}
	}
	text := p.say("probe.clock", "file", t.newest.Name,
		"time", t.newest.Time.UTC().Format(time.DateTime), "now", time.Now().UTC().Format(time.DateTime))
	if ahead > skew {
		return check.Check{Answer: check.No, Minor: true, Evidence: text, Hint: p.say("probe.clock.hint")}
	}
	return check.Check{Answer: check.Yes, Minor: true, Evidence: text}
}

// charset looks at the names of files.
func (p *probe) charset(context.Context) check.Check {
	t, ok := p.listed()
	if !ok {
		return check.Check{}
	}
	switch {
	case t.foreign != "" && p.Options.Charset == nil:
		name := fmt.Sprintf("%q", ftp.Escape(t.foreign))
		text := p.say("probe.charset.unsaid", "name", name)
		if p.utf8 {
			text = p.say("probe.charset.said", "name", name)
		}
		return check.Check{Answer: check.No, Minor: true, Evidence: text, Hint: p.say("probe.charset.hint")}
	case p.utf8:
		return check.Check{Answer: check.Yes, Minor: true, Evidence: p.say("probe.charset")}
	}
	return check.Check{Minor: true, Evidence: p.say("probe.charset.none")}
}
