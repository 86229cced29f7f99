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
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"

	"towpath/doctor/check"
	"towpath/ftpclient"
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
			c.Evidence = cmp.Or(c.Evidence, "not finished")
		}
		if c.Evidence == "" {
			continue
		}
		c.Name = row.name
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
		r.Checks = append(r.Checks, check.Check{Name: "modes", Minor: true, Evidence: "not tried: they need a session"})
	}
	if err := context.Cause(ctx); err != nil {
		r.Checks = append(r.Checks, check.Check{Name: "time", Evidence: "ended before all was tried: " + err.Error()})
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

// verdict is what all comes to.
func (p *probe) verdict(r *check.Report) string {
	if p.over != "" {
		return "There is no session: " + p.over + "."
	}
	var said []string
	same := p.sides[inClear].result() != "" && p.sides[inClear].result() == p.sides[overTLS].result()
	for i, in := range [2]string{"In clear text ", "Over TLS "} {
		switch text := p.sides[i].result(); {
		case text == "" || same && i == int(overTLS):
		case same:
			said = append(said, "In clear text and over TLS "+text+".")
		default:
			said = append(said, in+text+".")
		}
	}
	if len(said) == 0 {
		said = append(said, "No mode was tried to its end.")
	}
	var besides []string
	for _, c := range r.Checks {
		if _, mode := modeOf(c.Name); c.Answer == check.No && !c.Minor && !mode {
			besides = append(besides, c.Name)
		}
	}
	if len(besides) > 0 {
		said = append(said, "Look at "+strings.Join(besides, ", ")+".")
	}
	return strings.Join(said, " ")
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

func and(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:len(words)-1], ", ") + " and " + words[len(words)-1]
}

// count puts a noun into the number of n.
func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
