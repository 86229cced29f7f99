package config

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"towpath/ftpserver"
	"towpath/internal/units"
)

// Severity ranks findings.
type Severity int

// The severities.
const (
	// Hint: it works; there is something better.
	Hint Severity = iota
	// Warning: it starts, and some clients will fail or are not safe.
	Warning
	// Wrong: it cannot start, or cannot do what it says.
	Wrong
)

// String gives "hint", "warning" or "error".
func (s Severity) String() string { return [...]string{"hint", "warning", "error"}[s] }

// MarshalText implements [encoding.TextMarshaler].
func (s Severity) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Finding is something about a configuration that its author should know.
type Finding struct {
	Severity Severity `json:"severity"`
	// Key is the setting to look at, Origin where it was set.
	Key    string `json:"key"`
	Origin string `json:"origin,omitempty"`
	// File, Line and Column are that place if it is one in a file.
	File   string `json:"file,omitempty"`
	Line   int    `json:"line,omitempty"`
	Column int    `json:"column,omitempty"`
	// Value is what was refused, unless it is a secret.
	Value string `json:"value,omitempty"`
	// Problem is what is wrong, with its values; Advice what would be right.
	Problem string `json:"problem"`
	Advice  string `json:"advice"`
}

// Error makes a finding an error: "KEY: problem; advice".
func (f Finding) Error() string { return f.Key + ": " + f.Problem + "; " + f.Advice }

// Check says what is wrong with the settings, or looks so, on this host.
// Nothing is opened for writing, no port is bound, no name is looked up.
func (s *Settings) Check() []Finding {
	findings := s.check(thisHost())
	for i, f := range findings {
		findings[i].at(s.Origin(f.Key))
	}
	return findings
}

// finding is one of which it is not known yet where its key was set.
func finding(s Severity, key, problem, advice string) Finding {
	return Finding{Severity: s, Key: key, Problem: problem, Advice: advice}
}

// at says where a finding was set.
func (f *Finding) at(o Origin) {
	f.Origin = o.String()
	if o.From == FromFile {
		f.File, f.Line, f.Column = o.Name, o.Line, o.Column
	}
}

// Refusals makes findings of an error of [Load] or [Locate], one of each error in
// it. keys is the command that tells what each key takes.
func Refusals(err error, keys string) (found []Finding) {
	switch e := err.(type) {
	case nil:
		return nil
	case *Error:
		f := Finding{Severity: Wrong, Key: e.Key, Value: e.Value}
		f.at(e.Origin)
		f.Problem, f.Advice = advice(e.Err.Error())
		switch {
		case f.Advice != "":
		case e.Key == "":
			f.Advice = "write it as TOML is written (https://toml.io)"
		default:
			f.Advice = strconv.Quote(keys) + " says what it takes"
		}
		return []Finding{f}
	case interface{ Unwrap() []error }:
		for _, err := range e.Unwrap() {
			found = append(found, Refusals(err, keys)...)
		}
		return found
	}
	f := Finding{Severity: Wrong}
	f.Problem, f.Advice = advice(err.Error())
	return []Finding{f}
}

// advice parts "VALUE: what is wrong; what would be right". A value in quotes may
// hold anything.
func advice(text string) (problem, right string) {
	quoted, err := strconv.QuotedPrefix(text)
	if err != nil {
		quoted = ""
	}
	problem, right, _ = strings.Cut(text[len(quoted):], "; ")
	return quoted + problem, right
}

// host is what Check asks of the machine.
type host struct {
	// lowest is the lowest port that this process may bind.
	lowest int
	// ephemeral are the ports that the kernel gives to outgoing connections;
	// the zero value when it is not known.
	ephemeral ftpserver.PortRange
	// stat and read look at files.
	stat func(string) (fs.FileInfo, error)
	read func(string) ([]byte, error)
}

func (c *Config) check(h host) []Finding {
	return slices.Concat(c.contradictions(), c.passiveFindings(h), c.activeFindings(h),
		c.portFindings(h), c.loginFindings(), c.limitFindings(), c.fileFindings(h))
}

// contradictions are settings that exclude each other, on any host.
func (c *Config) contradictions() (found []Finding) {
	wrong := func(key, problem, advice string) {
		found = append(found, Finding{Severity: Wrong, Key: key, Problem: problem, Advice: advice})
	}
	if !c.Passive.Enable && !c.Active.Enable {
		wrong("passive.enable", "passive.enable and active.enable are both false, which leaves no way to move data", "set one of them to true")
	}
	if len(c.Listen) == 0 && c.TLS.Implicit == "" {
		wrong("listen", "no address to listen on", `set listen = ":2121", or tls.implicit`)
	}
	if c.Banner != "" && c.BannerFile != "" {
		wrong("banner_file", "banner and banner_file both give the greeting", "keep one of them")
	}
	certificate := c.TLS.Cert != "" || c.TLS.SelfSigned
	switch {
	case c.TLS.Cert != "" && c.TLS.SelfSigned:
		wrong("tls.self_signed", "a certificate is given by tls.cert and another is to be made", "keep one of them")
	case c.TLS.Key != "" && c.TLS.Cert == "":
		wrong("tls.key", c.TLS.Key+" is a key without a certificate", "set tls.cert")
	}
	if !certificate {
		for _, needs := range []struct {
			key string
			set bool
		}{
			{"tls.require", c.TLS.Require},
			{"tls.implicit", c.TLS.Implicit != ""},
			{"tls.client_ca", c.TLS.ClientCA != ""},
			{"tls.hosts", len(c.TLS.Hosts) > 0},
		} {
			if needs.set {
				wrong(needs.key, "is set, and there is no certificate", "set tls.cert and tls.key, or tls.self_signed = true")
			}
		}
	}
	if c.TLS.ClientAuth == "require" && c.TLS.ClientCA == "" {
		wrong("tls.client_auth", "client certificates are required, and no authority is named that could have issued them", "set tls.client_ca")
	}
	if i := slices.Index(c.Listen, c.TLS.Implicit); i >= 0 {
		wrong("tls.implicit", c.TLS.Implicit+" is also an address of listen", "give it a port of its own, as :990")
	}
	names := map[string]bool{}
	for _, u := range c.Users {
		if names[u.Name] {
			wrong("user", u.Name+" is named twice", "keep one of them")
		}
		names[u.Name] = true
	}
	return found
}

// passiveFindings looks at the ports and the addresses of passive mode.
func (c *Config) passiveFindings(h host) (found []Finding) {
	if !c.Passive.Enable {
		return append(found, finding(Warning, "passive.enable", "false: browsers, wget, curl, rclone and most clients behind a NAT know passive mode only", "set it to true"))
	}
	r := c.Passive.Ports
	ports := int(r.High) - int(r.Low) + 1
	switch {
	case r == (ftpserver.PortRange{}):
		found = append(found, finding(Hint, "passive.ports", "not set: any port may be used, and no firewall can be told which", `set passive.ports = "50000-50100" and open these ports`))
	case ports < 10 || ports < c.Limits.MaxSessions && ports < 100:
		found = append(found, finding(
			Warning, "passive.ports",
			fmt.Sprintf("%s: %d ports for up to %d sessions (limits.max_sessions); who finds none free is answered 425", FormatPorts(r), ports, c.Limits.MaxSessions),
			"widen the range, or lower limits.max_sessions",
		))
	case ports < c.Limits.MaxSessions:
		found = append(found, finding(
			Hint, "passive.ports",
			fmt.Sprintf("%s: %d ports for up to %d sessions (limits.max_sessions)", FormatPorts(r), ports, c.Limits.MaxSessions),
			"widen the range if many of them transfer at once",
		))
	}
	if e := h.ephemeral; r.Low != 0 && e.Low != 0 && r.Low <= e.High && e.Low <= r.High {
		found = append(found, finding(
			Hint, "passive.ports",
			fmt.Sprintf("%s overlaps %s, from which the kernel takes ports for outgoing connections: a port can be taken when it is wanted", FormatPorts(r), FormatPorts(e)),
			"choose a range outside, or reserve it: sysctl net.ipv4.ip_local_reserved_ports="+FormatPorts(r),
		))
	}
	if r.Low != 0 && int(r.Low) < h.lowest {
		found = append(found, finding(
			Wrong, "passive.ports",
			fmt.Sprintf("%s: ports below %d are not for this user", FormatPorts(r), h.lowest), "choose a range above",
		))
	}
	for _, l := range append(slices.Clone(c.Listen), c.TLS.Implicit) {
		if n := portOf(l); n != 0 && r.Low != 0 && int(r.Low) <= n && n <= int(r.High) {
			found = append(found, finding(
				Wrong, "passive.ports",
				fmt.Sprintf("%s contains port %d, where control connections are taken (%s)", FormatPorts(r), n, l), "choose a range without it",
			))
		}
	}
	if c.Passive.AllowForeignData {
		found = append(found, finding(Warning, "passive.allow_foreign_data", "true: a stranger who guesses a passive port steals or injects the file", "set it to false unless this server takes part in FXP"))
	}
	return append(found, c.externalFindings()...)
}

// externalFindings looks at the addresses that clients are told.
func (c *Config) externalFindings() (found []Finding) {
	add := func(s Severity, problem, advice string) {
		found = append(found, finding(s, "passive.external", problem, advice))
	}
	for i, t := range c.Passive.External {
		text := FormatExternal(t)
		if j := slices.IndexFunc(c.Passive.External[:i], func(u ftpserver.Told) bool { return shadows(u, t) }); j >= 0 {
			add(Warning, text+" is never used: "+FormatExternal(c.Passive.External[j])+" stands before it and is for all clients", "put the one for all clients last")
		}
		a, err := netip.ParseAddr(t.Address)
		switch {
		case err == nil && a.IsLoopback() && !c.local():
			add(Warning, text+": only clients on this host can connect to "+a.String(), "write the address from which the server is seen")
		case err == nil && len(t.Clients) == 0 && !IsPublic(a) && c.reachable():
			add(Warning, text+": "+a.String()+" is private, and clients from the Internet are told it too",
				"write the public address, and this one for its own network only: 10.0.0.0/8="+a.String())
		}
		for _, p := range t.Clients {
			if err == nil && p.Addr().Is4() != a.Is4() {
				add(Warning, text+": clients of "+p.String()+" cannot be told "+a.String()+", which is of the other family", "write an address of the same family")
			}
		}
	}
	return found
}

// shadows reports whether t is never asked because u stands before it. An IPv4
// address leaves IPv6 clients to those behind it, and the other way round;
// which families a name or an interface has is not known.
func shadows(u, t ftpserver.Told) bool {
	if len(u.Clients) > 0 || u.TLS != nil && (t.TLS == nil || *u.TLS != *t.TLS) {
		return false
	}
	a, errA := netip.ParseAddr(u.Address)
	b, errB := netip.ParseAddr(t.Address)
	return u.Address == "auto" || errA == nil && errB == nil && a.Is4() == b.Is4()
}

// activeFindings looks at the ports of active mode.
func (c *Config) activeFindings(h host) (found []Finding) {
	if !c.Active.Enable {
		return nil
	}
	if c.Active.Port != 0 && c.Active.Port < h.lowest {
		found = append(found, finding(
			Wrong, "active.port",
			fmt.Sprintf("port %d is not for this user: ports below %d need root or CAP_NET_BIND_SERVICE", c.Active.Port, h.lowest),
			"set active.port = 0, or grant the capability",
		))
	} else if c.Active.Port != 0 && c.Active.Port < 1024 && c.Life.User != "" {
		found = append(found, finding(
			Hint, "active.port",
			fmt.Sprintf("port %d is bound for each transfer, when life.user = %q has taken over", c.Active.Port, c.Life.User),
			"keep CAP_NET_BIND_SERVICE (systemd: AmbientCapabilities=), or set active.port = 0",
		))
	}
	if c.Active.AllowForeign {
		found = append(found, finding(Warning, "active.allow_foreign", "true: clients can make this server connect to any host (bounce attack)", "set it to false unless this server takes part in FXP"))
	}
	if c.Active.AllowLowPorts {
		found = append(found, finding(Warning, "active.allow_low_ports", "true: clients can make this server connect to system services", "set it to false"))
	}
	return found
}

// portFindings looks at the ports of control connections.
func (c *Config) portFindings(h host) (found []Finding) {
	privileged := func(key, addr string) {
		if n := portOf(addr); n != 0 && n < h.lowest {
			found = append(found, finding(
				Wrong, key,
				fmt.Sprintf("%s: ports below %d need root or CAP_NET_BIND_SERVICE", addr, h.lowest),
				"start as root with life.user set, grant the capability, or take a port above",
			))
		}
	}
	for _, l := range c.Listen {
		privileged("listen", l)
	}
	if c.TLS.Implicit != "" {
		privileged("tls.implicit", c.TLS.Implicit)
	}
	return found
}

// loginFindings looks at who may enter, and how openly.
func (c *Config) loginFindings() (found []Finding) {
	if len(c.Users) > 0 && !c.local() && c.TLS.Cert == "" && !c.TLS.SelfSigned {
		found = append(found, finding(Warning, "tls.cert", "not set: passwords and files cross the network in clear text", "set tls.cert and tls.key, or tls.self_signed = true"))
	}
	if c.Anonymous && c.TLS.Require {
		found = append(found, finding(Hint, "tls.require", "anonymous clients are refused too unless they encrypt, and many do not", "leave it out, and hold single accounts to TLS"))
	}
	return found
}

// limitFindings looks at limits that contradict each other or are missing.
func (c *Config) limitFindings() (found []Finding) {
	l := c.Limits
	add := func(s Severity, key, problem, advice string) {
		found = append(found, finding(s, key, problem, advice))
	}
	if l.LoginTimeout == 0 {
		add(Warning, "limits.login_timeout", "off: connections that never log in use up limits.max_sessions", "set it to 30s")
	}
	if l.IdleTimeout == 0 {
		add(Warning, "limits.idle_timeout", "off: sessions whose client has vanished stay", "set it to 5m")
	}
	if l.StallTimeout == 0 {
		add(Warning, "limits.stall_timeout", "off: a transfer in which nothing moves stays for ever", "set it to 60s")
	}
	if l.MaxIdleTimeout != 0 && l.IdleTimeout > l.MaxIdleTimeout {
		add(Warning, "limits.max_idle_timeout", fmt.Sprintf("%s is less than limits.idle_timeout, %s", units.FormatDuration(l.MaxIdleTimeout), units.FormatDuration(l.IdleTimeout)), "raise it")
	}
	if l.MaxFailureDelay != 0 && l.FailureDelay > l.MaxFailureDelay {
		add(Warning, "limits.max_failure_delay", fmt.Sprintf("%s is less than limits.failure_delay, %s", units.FormatDuration(l.MaxFailureDelay), units.FormatDuration(l.FailureDelay)), "raise it")
	}
	if l.MaxPerAddress > l.MaxSessions {
		add(Hint, "limits.max_per_address", fmt.Sprintf("%d is more than limits.max_sessions, %d", l.MaxPerAddress, l.MaxSessions), "lower it")
	}
	return found
}

// fileFindings looks at every file and directory that is named.
func (c *Config) fileFindings(h host) (found []Finding) {
	add := func(s Severity, key, problem, advice string) {
		found = append(found, finding(s, key, problem, advice))
	}
	directory := func(key, name string) {
		if info, err := h.stat(name); err != nil {
			add(Wrong, key, cause(name, err), "make the directory, or name another")
		} else if !info.IsDir() {
			add(Wrong, key, name+" is not a directory", "name a directory")
		}
	}
	directory("root", c.Root)
	// serve makes the directory for transcripts when it is not there.
	if d := c.Log.Transcripts; d != "" && !errors.Is(second(h.stat(d)), fs.ErrNotExist) {
		directory("log.transcripts", d)
	}
	for _, f := range []struct{ key, name string }{
		{"log.file", c.Log.File}, {"log.xferlog", c.Log.XferLog}, {"log.vsftpd", c.Log.Vsftpd},
	} {
		if f.name != "" {
			directory(f.key, filepath.Dir(f.name))
		}
	}
	type named struct {
		key, name string
		secret    bool
	}
	files := []named{
		{"accounts", c.Accounts, true},
		{"banner_file", c.BannerFile, false},
		{"tls.cert", c.TLS.Cert, c.TLS.Key == ""},
		{"tls.key", c.TLS.Key, true},
		{"tls.client_ca", c.TLS.ClientCA, false},
	}
	for _, t := range c.TLS.Hosts {
		files = append(files, named{"tls.hosts", t.Cert, t.Key == ""}, named{"tls.hosts", t.Key, true})
	}
	for _, f := range files {
		if f.name == "" {
			continue
		}
		data, err := h.read(f.name)
		if err != nil {
			add(Wrong, f.key, cause(f.name, err), "name a file that can be read by the user who starts the server")
			continue
		}
		if f.secret {
			if info, err := h.stat(f.name); err == nil && worldReadable(info) {
				add(Warning, f.key, f.name+" holds secrets and can be read by everybody", "chmod o= "+f.name)
			}
		}
		if f.key != "accounts" && f.key != "banner_file" && !bytes.Contains(data, []byte("-----BEGIN ")) {
			add(Wrong, f.key, f.name+" holds no PEM block", "name a file with -----BEGIN … lines")
		}
	}
	return found
}

// cause tells why a file cannot be had, without the name of the system call.
func cause(name string, err error) string {
	var p *fs.PathError
	if errors.As(err, &p) {
		err = p.Err
	}
	return name + ": " + err.Error()
}

func second[T any](_ T, err error) error { return err }

// portOf is the port of "host:port", 0 when there is none.
func portOf(addr string) int {
	_, number, err := net.SplitHostPort(addr)
	if err != nil {
		return 0
	}
	n, err := strconv.Atoi(number)
	if err != nil {
		return 0
	}
	return n
}

// local reports whether only clients on this host can connect.
func (c *Config) local() bool {
	return !slices.ContainsFunc(append(slices.Clone(c.Listen), c.TLS.Implicit), func(l string) bool {
		name, _, err := net.SplitHostPort(l)
		a, notIP := netip.ParseAddr(name)
		return err == nil && name != "localhost" && (notIP != nil || !a.IsLoopback())
	})
}

// reachable reports whether clients from the Internet may connect: the server
// listens on all addresses, on a public one, or on one of which nothing is known.
func (c *Config) reachable() bool {
	return slices.ContainsFunc(append(slices.Clone(c.Listen), c.TLS.Implicit), func(l string) bool {
		name, _, err := net.SplitHostPort(l)
		a, notIP := netip.ParseAddr(name)
		return err == nil && name != "localhost" && (notIP != nil || a.IsUnspecified() || IsPublic(a))
	})
}

// shared is the address space of carrier-grade NAT (RFC 6598).
var shared = netip.MustParsePrefix("100.64.0.0/10")

// IsPublic reports whether the Internet can reach a, if nothing stands between.
func IsPublic(a netip.Addr) bool {
	return a.IsGlobalUnicast() && !a.IsPrivate() && !shared.Contains(a)
}

// osHost fills in what every system knows.
func osHost() host { return host{stat: os.Stat, read: readAll} }
