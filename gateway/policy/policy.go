// Package policy says who may reach which server through the gateway, and what
// he may do there: rules as data, judged one after the other, and limits that
// are counted.
//
// It judges plain values and does no I/O: the gateway asks it before a session
// is led to a server, and before each command goes on. What it says of paths is
// only as good as what can be known between the two ends: see [Rule].
package policy

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"

	"towpath/ftp"
)

// Policy is a list of rules. Of those that match, the first counts. The zero
// value allows everything that Default lets pass.
type Policy struct {
	Rules []Rule
	// Deny is what happens to what no rule matches: false lets it pass, as fits
	// servers of one's own; true refuses it, as fits whoever may name any server.
	Deny bool
}

// Session is who wants something, and where.
type Session struct {
	Client netip.Addr
	// User is "" before USER.
	User string
	// TLS tells whether the client's end of the session is encrypted.
	TLS bool
	// Server is the name of the server, Host the name by which the client asked
	// for one ("" if by none), Addr where it is, invalid while that is open.
	Server, Host string
	Addr         netip.AddrPort
}

// Decision is what the policy says to one thing. The zero value allows it
// without a bound.
type Decision struct {
	// Denied tells that it must not be.
	Denied bool
	// Rule is the rule that decided, nil if none matched.
	Rule *Rule
	// MaxSize bounds the file that is moved, in bytes. 0: no bound.
	MaxSize int64

	what   string // for the client
	unsure string // why the path could not be judged, if that decided
}

// ErrDenied is what every refusal of a policy is.
var ErrDenied = errors.New("not allowed by the policy of the gateway")

// Denied is a refusal. Error is what the client may know; the log is shown the
// whole rule as well.
type Denied struct{ Decision Decision }

// Error says it to the client: what was refused, and by which rule if that has
// a name.
func (d *Denied) Error() string {
	text := d.Decision.what + ": " + ErrDenied.Error()
	if r := d.Decision.Rule; r != nil && r.Name != "" {
		text += " (" + r.Name + ")"
	}
	if d.Decision.unsure != "" {
		text += "; " + d.Decision.unsure
	}
	return text
}

// Is makes errors.Is(err, ErrDenied) true.
func (d *Denied) Is(target error) bool { return target == ErrDenied }

// LogValue shows the rule to the log.
func (d *Denied) LogValue() slog.Value { return slog.StringValue(d.Decision.Explain()) }

// Err returns the refusal, or nil if there is none.
func (d Decision) Err() error {
	if !d.Denied {
		return nil
	}
	return &Denied{d}
}

// Explain tells for the log what was decided, and by what.
func (d Decision) Explain() string {
	verdict := "allowed"
	if d.Denied {
		verdict = "denied"
	}
	text := d.what + " is " + verdict + " by "
	if d.Rule == nil {
		text += "default: no rule matches"
	} else {
		text += "the rule " + d.Rule.String()
	}
	if d.unsure != "" {
		text += "; " + d.unsure
	}
	return text
}

// Reach decides whether s may be led to its server at all. A rule that is about
// some commands or paths only does not forbid that; what such a rule allows is
// reason enough to go there. While the user is not known, neither does a rule
// about users, or about TLS, which may still come: ask again when he is.
func (p *Policy) Reach(s Session) Decision {
	what := "the server"
	if name := s.name(); name != "" {
		what += " " + name
	}
	for i := range p.Rules {
		r := &p.Rules[i]
		if !r.about(s) || !r.Allow && (r.partial() || s.User == "" && r.later()) {
			continue
		}
		return Decision{Denied: !r.Allow, Rule: r, what: what}
	}
	return Decision{Denied: p.Deny, what: what}
}

// Command decides whether s may send c while it is in the directory dir, "" if
// that is not known.
//
// Commands that belong to the session itself (USER, FEAT, TYPE, PASV, CWD, QUIT
// …) pass, unless a rule names their verb: who must not enter is kept out by
// [Policy.Reach].
func (p *Policy) Command(s Session, c ftp.Command, dir string) Decision {
	a := act(c, dir)
	d := Decision{what: ftp.Escape(c.Verb)}
	if a.verb == "ALLO" {
		return p.announced(s, c, d)
	}
	for i := range p.Rules {
		r := &p.Rules[i]
		if !r.about(s) || s.User == "" && r.later() || !r.does(a) {
			continue
		}
		if len(r.Paths) > 0 && !r.covers(a) {
			if a.unsure != "" && r.Allow {
				d.unsure = a.unsure // it might have been allowed
			}
			continue
		}
		d.Rule, d.Denied, d.unsure = r, !r.Allow, ""
		if !r.Allow && len(r.Paths) > 0 {
			d.unsure = a.unsure
		}
		if r.Allow && a.classes&(Read|Write) != 0 {
			d.MaxSize = r.MaxSize
		}
		return d
	}
	d.Denied = p.Deny && a.classes&Own == 0
	if !d.Denied {
		d.unsure = ""
	}
	return d
}

// announced judges ALLO, which does nothing but say how large a file will be: it is
// refused if no rule lets one of that size pass, wherever it goes.
func (p *Policy) announced(s Session, c ftp.Command, d Decision) Decision {
	n, said := allocated(c.Arg)
	settled := false // the rules say something of every upload
	for i := range p.Rules {
		r := &p.Rules[i]
		if !r.about(s) || s.User == "" && r.later() {
			continue
		}
		if slices.Contains(r.Verbs, c.Verb) {
			d.Rule, d.Denied = r, !r.Allow
			return d
		}
		if settled || !r.does(action{verb: "STOR", classes: Write}) {
			continue
		}
		settled = len(r.Paths) == 0
		if r.Allow && (d.Rule == nil || d.MaxSize > 0 && (r.MaxSize == 0 || r.MaxSize > d.MaxSize)) {
			d.Rule, d.MaxSize = r, r.MaxSize
		}
	}
	if !settled && !p.Deny {
		d.Rule, d.MaxSize = nil, 0
	}
	if d.Denied = said && d.MaxSize > 0 && n > d.MaxSize; d.Denied {
		d.what = fmt.Sprintf("a file of %d bytes, where %d are the most", n, d.MaxSize)
	}
	return d
}

// Closed tells whether nobody passes whom no rule allows: by Deny, or since a rule
// denies all, whatever stands behind it.
func (p *Policy) Closed() bool {
	return p.Deny || slices.ContainsFunc(p.Rules, func(r Rule) bool {
		return !r.Allow && !r.partial() && !r.later() && len(r.From) == 0 && len(r.To) == 0
	})
}

// name is how the server of s is called to its client.
func (s Session) name() string {
	switch {
	case s.Host != "":
		return ftp.Escape(s.Host)
	case s.Server != "":
		return s.Server
	case s.Addr.IsValid():
		return s.Addr.String()
	}
	return ""
}

// Sighted tells whether the policy needs to see what is said in a session, which
// it cannot under TLS that passes through: everything but who comes from where.
func (p *Policy) Sighted() bool {
	return slices.ContainsFunc(p.Rules, func(r Rule) bool { return r.partial() || r.later() || r.MaxSize > 0 })
}

// about tells whether a rule is about a session, or may turn out to be while the
// user is not known.
func (r *Rule) about(s Session) bool {
	return (len(r.From) == 0 || within(r.From, s.Client)) &&
		(len(r.Users) == 0 || s.User == "" || anyGlob(r.Users, s.User)) &&
		(r.TLS == nil || *r.TLS == s.TLS || s.User == "" && !s.TLS) &&
		(len(r.To) == 0 || r.leads(s))
}

// later tells whether a rule is about what is only known with the user.
func (r *Rule) later() bool { return len(r.Users) > 0 || r.TLS != nil }

func (r *Rule) leads(s Session) bool {
	for _, t := range r.To {
		if t.Match(s.Server, s.Host, s.Addr) {
			return true
		}
	}
	return false
}

// partial tells whether a rule is about some commands or paths only.
func (r *Rule) partial() bool { return r.Do != 0 || len(r.Verbs) > 0 || len(r.Paths) > 0 }

// does tells whether a rule is about what a command does.
func (r *Rule) does(a action) bool {
	switch {
	case slices.Contains(r.Verbs, a.verb):
		return true
	case a.classes == Own:
		// A rule that says nothing of commands means all that a server can do,
		// and not what belongs to the session: a user could not even leave.
		// Going to a directory is what a rule about paths is about, too.
		return a.path != "" && len(r.Paths) > 0 && (r.Do == 0 && len(r.Verbs) == 0 || r.Do&List != 0)
	case r.Do == 0 && len(r.Verbs) == 0:
		return true
	}
	return r.Do&a.classes != 0
}

// within tells whether an address is in one of the networks. IPv4 in IPv6 is
// taken as the IPv4 that it is.
func within(nets []netip.Prefix, a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	for _, n := range nets {
		if n.Contains(a) {
			return true
		}
	}
	return false
}

func anyGlob(patterns []string, s string) bool {
	for _, p := range patterns {
		if Glob(p, s) {
			return true
		}
	}
	return false
}

// Glob matches * (any run) and ? (one byte), and nothing else is special: names
// of users and hosts hold brackets and backslashes of their own (DOMAIN\user).
func Glob(pattern, s string) bool {
	// The place to go back to: behind the last star, and what it has eaten.
	star, eaten := -1, 0
	p, i := 0, 0
	for i < len(s) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, eaten = p, i
			p++
		case p < len(pattern) && (pattern[p] == '?' || pattern[p] == s[i]):
			p++
			i++
		case star >= 0:
			eaten++
			p, i = star+1, eaten
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
}
