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
	switch {
	case told == p.peer:
		return check.Check{Answer: check.Yes, Evidence: fmt.Sprintf("227 names %v, the address that we reached", told)}
	case id == "unspecified":
		return check.Check{Answer: check.No, Minor: true, Evidence: "227 names 0.0.0.0 and means its own address", Hint: "Not every client understands it: " + tellAddr + "."}
	case id != "" && id != theirs:
		return check.Check{
			Answer: check.No, Evidence: fmt.Sprintf("227 names %v, which %s; we reached %v", told, why, p.peer),
			Hint: "Clients that believe it go astray, others pass over it: " + tellAddr + ".",
		}
	case isNATed(p.sides[:], told):
		return check.Check{
			Answer: check.No, Evidence: fmt.Sprintf("227 names %v, we reached %v, and passive mode fails there: the server is behind a NAT", told, p.peer),
			Hint: "Forward the passive ports, and " + tellAddr + ".",
		}
	}
	return check.Check{Minor: true, Evidence: fmt.Sprintf("227 names %v, we reached %v; it may be right for clients that believe it (--ftp-skip-pasv-ip=false)", told, p.peer)}
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
			return check.Check{Answer: check.Yes, Minor: true, Evidence: fmt.Sprintf("227 names %v and came through as it is: no helper of a NAT has put the address in that we reached", plain)}
		}
		return check.Check{Minor: true, Evidence: "only a 227 over TLS could show what the server itself says"}
	case plain == safe:
		return check.Check{Answer: check.Yes, Minor: true, Evidence: fmt.Sprintf("227 names %v in clear text and over TLS", plain)}
	case plain == p.peer:
		return check.Check{
			Answer: check.No, Minor: true, Evidence: fmt.Sprintf("227 names %v in clear text, and %v over TLS, where nobody can change it: a helper (ALG) of a NAT rewrites it", plain, safe),
			Hint: "The helper is blind under TLS. To be right in both, " + tellAddr + " and forward the passive ports.",
		}
	}
	return check.Check{Minor: true, Evidence: fmt.Sprintf("227 names %v in clear text, and %v over TLS; the server may have several", plain, safe)}
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
				return check.Check{Answer: check.Yes, Minor: true, Evidence: fmt.Sprintf("the server repeats the address of our %v: %s", m, e.Reply)}
			}
		}
	}
	for _, m := range []ftpclient.Mode{ftpclient.PORT, ftpclient.EPRT} {
		bare, safe := p.sides[inClear].trials[m], p.sides[overTLS].trials[m]
		_, refused := errors.AsType[*ftp.Error](safe.err)
		if p.sides[inClear].works(m) && refused && safe.attempt.Target == "" && bare.attempt.Announced.Addr() == p.local && p.outside().IsValid() && p.outside() != p.local {
			return check.Check{
				Answer: check.No, Minor: true, Evidence: fmt.Sprintf("%v of %v works in clear text and is refused over TLS, and the server sees us at %v: a helper (ALG) of a NAT rewrites it", m, p.local, p.outside()),
				Hint: "The helper is blind under TLS: use passive mode (-p) there.",
			}
		}
	}
	out := p.outside()
	if out.IsValid() && out == p.local {
		return check.Check{Answer: check.Yes, Minor: true, Evidence: "no NAT is between that would have to change it"}
	}
	bare := p.sides[inClear].trials[ftpclient.PORT]
	if out.IsValid() && p.sides[inClear].works(ftpclient.PORT) && bare.attempt.Announced.Addr() == p.local {
		return check.Check{Minor: true, Evidence: fmt.Sprintf("PORT of %v works, and the server sees us at %v: a helper (ALG) of a NAT has rewritten it, or the NAT forwards all and the server corrects it", p.local, out)}
	}
	return check.Check{Minor: true, Evidence: "the server does not repeat the address that we announced"}
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
		return check.Check{Minor: true, Evidence: "no file here is new enough to tell the server's time"}
	}
	text := fmt.Sprintf("%s was modified at %s by the server's clock, and it is %s here", t.newest.Name,
		t.newest.Time.UTC().Format(time.DateTime), time.Now().UTC().Format(time.DateTime))
	if ahead > skew {
		return check.Check{Answer: check.No, Minor: true, Evidence: text, Hint: "One of the clocks is wrong; a mirror would take old files for new ones. (Or somebody has set the time of that file.)"}
	}
	return check.Check{Answer: check.Yes, Minor: true, Evidence: text}
}

// charset looks at the names of files.
func (p *probe) charset(context.Context) check.Check {
	t, ok := p.listed()
	if !ok {
		return check.Check{}
	}
	says := "it says so in FEAT"
	if !p.utf8 {
		says = "it does not say so in FEAT"
	}
	switch {
	case t.foreign != "" && p.Options.Charset == nil:
		return check.Check{Answer: check.No, Minor: true, Evidence: fmt.Sprintf("the name %q is not in UTF-8, and %s", ftp.Escape(t.foreign), says), Hint: "--charset NAME says which it is, as --charset gb18030."}
	case p.utf8:
		return check.Check{Answer: check.Yes, Minor: true, Evidence: "names are in UTF-8: " + says}
	}
	return check.Check{Minor: true, Evidence: "no name here shows the charset, and the server has no UTF8 in FEAT"}
}
