// Package probe looks at a live server as the doctor: it tries each mode of FTP
// and says which work from here, and why others do not.
//
// It logs in as a client does, lists a directory in each mode, in clear text and
// over TLS, and compares what the server announces with what the network shows.
// It writes nothing on the server and leaves nothing open. What it cannot see is
// unknown, never a no.
package probe

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"towpath/doctor/check"
	"towpath/ftpclient"
	"towpath/internal/words"
)

// Target is what is to be looked at, and how.
type Target struct {
	// Addr is the server's, "host:port".
	Addr string
	// Dir is the directory that is listed. Default: where the login leads.
	Dir string
	// Options are those of the client. TLS decides what is tried: under Plain
	// clear text, and TLS too if the server offers it; under Explicit and
	// Implicit TLS alone, so that no password goes in clear text. Mode and Avoid
	// leave modes out. A Gate is not looked through.
	Options ftpclient.Options
	// Idle is how long to leave a session silent, to see whether a NAT forgets
	// it. Default: this is not tried.
	Idle time.Duration
	// Lang is what the report is told in; what the server, the client and the
	// system say stays as it is.
	Lang words.Lang
	// Begin and End are told of each check as it is made. Default: nobody.
	Begin func(name string)
	End   func(c check.Check)
}

// row is one thing to look at. A check without evidence was not called for.
type row struct {
	name string
	// session: without one there is nothing to see.
	session bool
	run     func(p *probe, ctx context.Context) check.Check
}

// rows are looked at in this order.
var rows = []row{
	{"name", false, (*probe).name},
	{"route", false, (*probe).route},
	{"control-port", true, (*probe).reach},
	{"other-addresses", true, (*probe).others},
	{"greeting", true, (*probe).greeting},
	{"auth-tls", true, (*probe).authTLS},
	{"certificate", true, (*probe).certificate},
	{"login", true, login(inClear)},
	{"own-address", true, seen(inClear)},
	{"pasv", true, try(inClear, ftpclient.PASV)},
	{"epsv", true, try(inClear, ftpclient.EPSV)},
	{"port", true, try(inClear, ftpclient.PORT)},
	{"eprt", true, try(inClear, ftpclient.EPRT)},
	{"login-tls", true, login(overTLS)},
	{"own-address-tls", true, seen(overTLS)},
	{"pasv-tls", true, try(overTLS, ftpclient.PASV)},
	{"epsv-tls", true, try(overTLS, ftpclient.EPSV)},
	{"port-tls", true, try(overTLS, ftpclient.PORT)},
	{"eprt-tls", true, try(overTLS, ftpclient.EPRT)},
	{"pasv-address", true, (*probe).pasvAddress},
	{"pasv-unchanged", true, (*probe).pasvUnchanged},
	{"port-unchanged", true, (*probe).portUnchanged},
	{"resumption", true, (*probe).resumption},
	{"clock", true, (*probe).clock},
	{"charset", true, (*probe).charset},
	{"idle", true, (*probe).idle},
	{"helper", true, (*probe).helper},
}

// probe is what is known so far.
type probe struct {
	Target
	host, port  string
	direct      bool // nobody between but the network
	addrs       []netip.Addr
	peer, local netip.Addr // not valid through a proxy
	dead        []string   // addresses of the server that do not answer
	line        *line      // the first session, which does not log in
	offered     bool       // AUTH TLS worked, or TLS was there from the start
	badCert     error
	utf8        bool // the server says that names are
	sides       [2]side
	over        string // why there is no session at all
}

// Run looks at a server. Its error is a target that cannot be meant; what the
// server and the network do is in the report.
func Run(ctx context.Context, t Target) (*check.Report, error) {
	host, port, err := net.SplitHostPort(t.Addr)
	if err != nil {
		return nil, fmt.Errorf("server %q: want host:port: %w", t.Addr, err)
	}
	if t.Options.Gate != nil {
		return nil, fmt.Errorf("behind the FTP proxy %s nothing is seen of the server; go there without it", t.Options.Gate.Addr)
	}
	if !slices.ContainsFunc(modes, t.wanted) {
		return nil, errors.New("each mode that is asked for is also to be avoided: none is left to try")
	}
	t.Options.Timeout = cmp.Or(t.Options.Timeout, 30*time.Second)
	_, straight := t.Options.Dialer.(*net.Dialer)
	p := &probe{Target: t, host: host, port: port, direct: straight || t.Options.Dialer == nil}
	p.sides[inClear].tls, p.sides[overTLS].tls = ftpclient.Plain, max(t.Options.TLS, ftpclient.Explicit)
	defer p.close()
	r := &check.Report{Subject: t.Addr}
	left := 0
	for _, row := range rows {
		if row.session && p.over != "" {
			left++
			continue
		}
		if ctx.Err() != nil {
			break
		}
		if t.Begin != nil {
			t.Begin(row.name)
		}
		c := row.run(p, ctx)
		if ctx.Err() != nil { // what the end of patience looks like proves nothing
			c.Answer, c.Hint = check.Unknown, ""
			c.Evidence = cmp.Or(c.Evidence, p.say("probe.unfinished"))
		}
		if c.Evidence == "" {
			continue
		}
		c.Name, c.Title = row.name, p.title(row.name)
		r.Checks = append(r.Checks, c)
		if t.End != nil {
			t.End(c)
		}
	}
	for i, c := range r.Checks { // whether another mode stands in is known now
		if m, ok := modeOf(c.Name); ok && c.Answer == check.No {
			r.Checks[i].Minor = p.minor(&p.sides[coverOf(c.Name)], m)
		}
	}
	if left > 0 {
		r.Checks = append(r.Checks, check.Check{Name: "modes", Title: p.title("modes"), Minor: true, Evidence: p.say("probe.modes")})
	}
	if err := context.Cause(ctx); err != nil {
		r.Checks = append(r.Checks, check.Check{Name: "time", Title: p.title("time"), Evidence: p.say("probe.time", "error", err)})
	}
	r.Verdict = p.verdict(r)
	return r, nil
}

// close ends what is still open.
func (p *probe) close() {
	if p.line != nil {
		p.line.quit()
	}
	for i := range p.sides {
		p.sides[i].close()
	}
}

// say says something in the language of the report.
func (p *probe) say(name string, args ...any) string { return words.Say(name, args...).In(p.Lang) }

// title is what people read in place of the name of a check, which is English.
func (p *probe) title(name string) string {
	if p.Lang == words.English {
		return ""
	}
	return p.say("check." + name)
}

// verdict is what all comes to.
func (p *probe) verdict(r *check.Report) string {
	if p.over != "" {
		return p.say("probe.verdict.none", "why", p.over)
	}
	var said []words.Phrase
	clear, safe := p.sides[inClear].result(), p.sides[overTLS].result()
	switch {
	case clear.Name() != "" && clear.String() == safe.String():
		said = append(said, words.Say("probe.verdict.both", "result", clear))
	default:
		if clear.Name() != "" {
			said = append(said, words.Say("probe.verdict.clear", "result", clear))
		}
		if safe.Name() != "" {
			said = append(said, words.Say("probe.verdict.tls", "result", safe))
		}
	}
	if len(said) == 0 {
		said = append(said, words.Say("probe.verdict.untried"))
	}
	var besides []string
	for _, c := range r.Checks {
		if _, mode := modeOf(c.Name); c.Answer == check.No && !c.Minor && !mode {
			besides = append(besides, cmp.Or(c.Title, c.Name))
		}
	}
	if len(besides) > 0 {
		said = append(said, words.Say("probe.verdict.look", "names", words.List(p.Lang, besides)))
	}
	return words.Sentences(p.Lang, said...)
}

// modeOf tells whether a check is about a mode.
func modeOf(name string) (ftpclient.Mode, bool) {
	verb := strings.ToUpper(strings.TrimSuffix(name, "-tls"))
	for _, m := range modes {
		if m.String() == verb {
			return m, true
		}
	}
	return 0, false
}

// count puts a message into the number of n.
func count(n int, name string) words.Phrase {
	if n == 1 {
		return words.Say(name+".one", "count", n)
	}
	return words.Say(name+".many", "count", n)
}
