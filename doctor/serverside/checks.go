package serverside

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"towpath/doctor"
	"towpath/doctor/check"
	"towpath/firewall"
	"towpath/ftpserver"
	"towpath/internal/certs"
	"towpath/internal/config"
	"towpath/internal/words"
)

// control are the addresses for control connections.
func (l *look) control() []string {
	all := slices.Clone(l.Config.Listen)
	if i := l.Config.TLS.Implicit; i != "" && !slices.Contains(all, i) {
		all = append(all, i)
	}
	return all
}

// ports of control connections, each once.
func (l *look) ports() []uint16 {
	var all []uint16
	for _, addr := range l.control() {
		if _, port, err := net.SplitHostPort(addr); err == nil {
			if n, err := strconv.ParseUint(port, 10, 16); err == nil && !slices.Contains(all, uint16(n)) {
				all = append(all, uint16(n))
			}
		}
	}
	return all
}

// own are the addresses of the machine. Where they are not known, so says the
// check that asks.
func (l *look) own() ([]netip.Addr, bool) {
	own, err := l.Addresses()
	if err != nil {
		l.unknown(words.Say("server.interfaces", "error", err), words.Phrase{})
	}
	return own, err == nil
}

// listenAddress: an address that is named is one that the machine has.
func listenAddress(ctx context.Context, l *look) {
	own, ok := l.own()
	if !ok {
		return
	}
	hint := words.Say("server.listen-address.hint", "key", l.key("listen"))
	for _, addr := range l.control() {
		name, _, err := net.SplitHostPort(addr)
		a, notIP := netip.ParseAddr(name)
		switch {
		case err != nil:
			l.no(words.Say("server.listen-address.form", "address", addr, "error", err), hint)
		case name == "" || notIP == nil && a.IsUnspecified():
			l.yes(words.Say("server.listen-address.all", "address", addr, "own", words.And(texts(own))))
		case notIP != nil && name != "localhost":
			l.found(check.Unknown, true, words.Say("server.listen-address.name", "address", addr), words.Phrase{})
		case notIP != nil || slices.Contains(own, a.Unmap().WithZone("")) || a.IsLoopback():
			l.yes(words.Say("server.listen-address", "address", addr))
		default:
			l.no(words.Say("server.listen-address.foreign", "address", addr, "own", words.And(texts(own))), hint)
		}
	}
}

func texts(all []netip.Addr) []string {
	var t []string
	for _, a := range all {
		t = append(t, a.String())
	}
	return t
}

// listenFree: nobody else has the address.
func listenFree(ctx context.Context, l *look) {
	for _, addr := range l.control() {
		err := l.Bind(ctx, addr)
		switch {
		case err == nil:
			l.yes(words.Say("server.listen-free", "address", addr))
		case errors.Is(err, syscall.EADDRINUSE):
			l.taken(ctx, addr)
		case errors.Is(err, fs.ErrPermission):
			l.found(check.Unknown, true, words.Say("server.listen-free.permission", "address", addr), words.Say("server.root"))
		case errors.Is(err, syscall.EADDRNOTAVAIL):
			// listen-address has told it
		default:
			l.unknown(words.Say("server.listen-free.error", "address", addr, "error", err), words.Phrase{})
		}
	}
}

// taken looks who has an address: a server that says 220 is most likely the one
// whose settings these are.
func (l *look) taken(ctx context.Context, addr string) {
	host, port, err := net.SplitHostPort(addr)
	if a, bad := netip.ParseAddr(host); err == nil && (host == "" || bad == nil && a.IsUnspecified()) {
		host = "localhost"
	}
	line, err := l.Greeting(ctx, net.JoinHostPort(host, port))
	line = strings.TrimSpace(line)
	switch {
	case addr == l.Config.TLS.Implicit: // it waits for us to begin with TLS
		l.found(check.Unknown, true, words.Say("server.listen-free.silent", "address", addr), words.Phrase{})
	case err == nil && strings.HasPrefix(line, "220"):
		l.yes(words.Say("server.listen-free.served", "address", addr, "line", line))
	case err == nil:
		l.no(words.Say("server.listen-free.other", "address", addr, "line", line), words.Say("server.listen-free.hint", "key", l.key("listen")))
	default:
		l.unknown(words.Say("server.listen-free.silent", "address", addr), words.Say("server.listen-free.hint", "key", l.key("listen")))
	}
}

// passive is the range of passive mode, as it is used.
func (l *look) passive() ftpserver.PortRange {
	if r := l.Config.Passive.Ports; r != (ftpserver.PortRange{}) {
		return r
	}
	return ftpserver.DynamicPorts
}

// enough is how many ports are enough for any number of sessions: a port is
// taken for as long as one transfer goes on.
const enough = 100

// passiveRange: there is a range, it is large enough, and it is of passive mode
// alone.
func passiveRange(_ context.Context, l *look) {
	r := l.Config.Passive.Ports
	text, count, sessions := config.FormatPorts(r), int(r.High)-int(r.Low)+1, l.Config.Limits.MaxSessions
	hint := words.Say("server.passive-range.hint", "key", l.key("passive.ports"))
	switch {
	case !l.Config.Passive.Enable:
		l.no(words.Say("server.passive-range.off"), words.Say("server.passive-range.on", "key", l.key("passive.enable")))
		return
	case r == (ftpserver.PortRange{}):
		l.found(check.No, true, words.Say("server.passive-range.any"), hint)
		return
	}
	for _, port := range l.ports() {
		if r.Low <= port && port <= r.High {
			l.no(words.Say("server.passive-range.control", "ports", text, "port", port), hint)
			return
		}
	}
	switch {
	case r.Low < 1024:
		l.no(words.Say("server.passive-range.low", "ports", text), hint)
	case count < 10 || count < min(sessions, enough):
		l.no(words.Say("server.passive-range.small", "ports", text, "count", count, "sessions", sessions, "key", l.key("limits.max_sessions")), hint)
	default:
		l.yes(words.Say("server.passive-range", "ports", text, "count", count))
	}
}

// passiveFree: nobody sits on the ports of the range.
func passiveFree(_ context.Context, l *look) {
	r := l.Config.Passive.Ports
	if !l.Config.Passive.Enable || r == (ftpserver.PortRange{}) {
		return
	}
	all, err := l.Listening()
	if err != nil {
		l.found(check.Unknown, true, words.Say("server.passive-free.error", "error", err), words.Phrase{})
		return
	}
	var taken []string
	for _, p := range all {
		if r.Low <= p && p <= r.High {
			taken = append(taken, strconv.Itoa(int(p)))
		}
	}
	n := len(taken)
	if n > 5 {
		taken = append(taken[:5:5], "…")
	}
	switch {
	case n == 0:
		l.yes(words.Say("server.passive-free", "ports", config.FormatPorts(r)))
	case n == int(r.High)-int(r.Low)+1:
		l.no(words.Say("server.passive-free.all", "ports", config.FormatPorts(r)), words.Say("server.passive-free.hint"))
	default: // they may be those of the server that runs
		l.found(check.Unknown, true, words.Say("server.passive-free.some", "count", n, "ports", config.FormatPorts(r), "taken", words.And(taken)),
			words.Say("server.passive-free.hint"))
	}
}

// toldAddress: clients can reach the address that they are told.
func toldAddress(ctx context.Context, l *look) {
	if !l.Config.Passive.Enable {
		return
	}
	own, ok := l.own()
	if !ok {
		return
	}
	for _, t := range l.Config.Passive.External {
		l.told(ctx, t, own)
	}
	if e := l.Config.Passive.External; len(e) > 0 && len(e[len(e)-1].Clients) == 0 {
		return
	}
	reached := slices.DeleteFunc(slices.Clone(l.reached(own)), func(a netip.Addr) bool { return a.IsLoopback() || a.IsLinkLocalUnicast() })
	public := slices.DeleteFunc(slices.Clone(reached), func(a netip.Addr) bool { id, _ := doctor.Unroutable(a); return id != "" })
	switch {
	case len(reached) == 0:
		l.found(check.Unknown, true, words.Say("server.told-address.local"), words.Phrase{})
	case len(public) > 0:
		l.yes(words.Say("server.told-address.reached", "addresses", words.Or(texts(public))))
	default:
		l.found(check.Unknown, true, words.Say("server.told-address.private", "addresses", words.And(texts(reached))),
			words.Say("server.told-address.hint", "key", l.key("passive.external")))
	}
}

// reached are the addresses at which clients can reach the server.
func (l *look) reached(own []netip.Addr) []netip.Addr {
	var all []netip.Addr
	for _, addr := range l.control() {
		name, _, _ := net.SplitHostPort(addr)
		a, err := netip.ParseAddr(name)
		if name == "" || err == nil && a.IsUnspecified() {
			return own
		}
		if err == nil {
			all = append(all, a.Unmap())
		}
	}
	return all
}

// told looks at one address that clients are told.
func (l *look) told(ctx context.Context, t ftpserver.Told, own []netip.Addr) {
	hint := words.Say("server.told-address.hint", "key", l.key("passive.external"))
	addresses, ok := l.resolve(ctx, t.Address)
	for _, a := range addresses {
		id, _ := doctor.Unroutable(a)
		mine := slices.Contains(own, a)
		switch {
		case id == "private" || id == "shared":
			switch {
			case len(t.Clients) > 0:
				l.yes(words.Say("server.told-address.some", "address", a))
			case mine:
				l.found(check.Unknown, true, words.Say("server.told-address.private", "addresses", a), hint)
			default:
				l.no(words.Say("server.told-address.inside", "address", a), hint)
			}
		case id == "loopback" && slices.ContainsFunc(l.reached(own), func(a netip.Addr) bool { return !a.IsLoopback() }),
			id != "" && id != "loopback":
			l.no(words.Say("server.told-address.nowhere", "address", a, "why", words.Say("server.unroutable."+id)), hint)
		case mine || id == "loopback":
			l.yes(words.Say("server.told-address.own", "address", a))
		default:
			l.yes(words.Say("server.told-address.nat", "address", a, "ports", config.FormatPorts(l.passive())))
		}
	}
	if len(addresses) == 0 && ok {
		l.no(words.Say("server.told-address.none", "name", t.Address), hint)
	}
}

// resolve finds the addresses of what clients are told. It is false where that
// has been told, or is not to be asked.
func (l *look) resolve(ctx context.Context, name string) ([]netip.Addr, bool) {
	if a, err := netip.ParseAddr(name); err == nil {
		return []netip.Addr{a.Unmap()}, true
	}
	if name == "auto" || strings.HasPrefix(name, "if:") {
		return nil, false // it is one of the machine
	}
	if l.cheap { // names cost time
		return nil, false
	}
	all, err := l.Resolve(ctx, name)
	var dns *net.DNSError
	switch {
	case errors.As(err, &dns) && dns.IsNotFound:
		return nil, true
	case err != nil:
		l.unknown(words.Say("server.told-address.error", "name", name, "error", err), words.Phrase{})
		return nil, false
	}
	for i := range all {
		all[i] = all[i].Unmap()
	}
	return all, true
}

// unruled tells why the rules are not known, and is true if so.
func (l *look) unruled() bool {
	switch {
	case errors.Is(l.unread, firewall.ErrNotPermitted):
		l.unknown(words.Say("server.rules.permission"), words.Say("server.root"))
	case l.unread != nil:
		l.unknown(words.Say("server.rules.error", "error", l.unread), words.Phrase{})
	}
	return l.unread != nil
}

// targets are the addresses on which the server listens, as far as rules can
// tell them apart: an unspecified one stands for those that no rule names.
func (l *look) targets() []netip.Addr {
	var named []netip.Addr
	for _, addr := range l.control() {
		name, _, _ := net.SplitHostPort(addr)
		a, err := netip.ParseAddr(name)
		if err != nil || a == netip.IPv6Unspecified() || a.IsLoopback() { // [::] takes both families
			return l.families()
		}
		named = append(named, a.Unmap())
	}
	return named
}

// families are the unspecified addresses of those families of which the machine
// has an address that others can reach.
func (l *look) families() []netip.Addr {
	own, err := l.Addresses()
	both := []netip.Addr{netip.IPv4Unspecified(), netip.IPv6Unspecified()}
	some := slices.DeleteFunc(slices.Clone(both), func(f netip.Addr) bool {
		return !slices.ContainsFunc(own, func(a netip.Addr) bool {
			return a.Is4() == f.Is4() && !a.IsLoopback() && !a.IsLinkLocalUnicast()
		})
	})
	if err != nil || len(some) == 0 {
		return both
	}
	return some
}

// reach asks the rules about some ports of this machine, on the addresses on
// which it listens. It returns those that they stop, and by which chain, then
// those of which that is not sure.
func (l *look) reach(ports []uint16) (stopped, unsure []uint16, where string) {
	targets := l.targets()
	var maybe string
	for _, p := range ports {
		worst := firewall.Admitted
		for _, a := range targets {
			leave, chain := l.rules.Input(netip.AddrPortFrom(a, p))
			switch {
			case leave == firewall.Stopped:
				worst, where = leave, chain
			case leave == firewall.Unsure && worst == firewall.Admitted:
				worst, maybe = leave, chain
			}
		}
		switch worst {
		case firewall.Stopped:
			stopped = append(stopped, p)
		case firewall.Unsure:
			unsure = append(unsure, p)
		}
	}
	if where == "" {
		where = maybe
	}
	return stopped, unsure, where
}

// ranges writes ports as ranges: 21, 50000-50009.
func ranges(ports []uint16) string {
	var all []string
	for i := 0; i < len(ports); {
		j := i
		for j+1 < len(ports) && ports[j+1] == ports[j]+1 {
			j++
		}
		if i == j {
			all = append(all, strconv.Itoa(int(ports[i])))
		} else {
			all = append(all, fmt.Sprintf("%d-%d", ports[i], ports[j]))
		}
		i = j + 1
	}
	if len(all) > 4 {
		all = append(all[:4], "…")
	}
	return strings.Join(all, ", ")
}

// firewallControl: the rules of this machine let control connections in.
func firewallControl(_ context.Context, l *look) {
	if l.unruled() {
		return
	}
	ports := l.ports()
	hint := words.Say("server.firewall.hint")
	stopped, unsure, where := l.reach(ports)
	switch {
	case len(stopped) > 0:
		l.no(words.Say("server.firewall.stopped", "ports", ranges(stopped), "where", where), hint)
	case len(unsure) > 0:
		l.found(check.Unknown, true, words.Say("server.firewall.unsure", "ports", ranges(unsure), "where", where), words.Phrase{})
	default:
		l.yes(words.Say("server.firewall.open", "ports", ranges(ports)))
	}
}

// firewallPassive: they let data connections in, by themselves or by the
// helper, which is blind under TLS.
func firewallPassive(_ context.Context, l *look) {
	if !l.Config.Passive.Enable || l.unruled() {
		return
	}
	var ports []uint16
	for p := int(l.passive().Low); p <= int(l.passive().High); p++ {
		ports = append(ports, uint16(p))
	}
	hint := words.Say("server.firewall.hint")
	stopped, unsure, where := l.reach(ports)
	helped := firewall.Stopped
	if len(stopped) > 0 {
		helped = l.helped()
	}
	switch {
	case helped == firewall.Admitted && l.Config.TLS.Require:
		l.no(words.Say("server.firewall.blind", "ports", ranges(stopped), "where", where), hint)
	case helped == firewall.Admitted && l.tls():
		l.no(words.Say("server.firewall.clear-only", "ports", ranges(stopped), "where", where), hint)
	case helped == firewall.Admitted:
		l.yes(words.Say("server.firewall.helped", "ports", ranges(stopped), "where", where))
	case helped == firewall.Unsure:
		l.unknown(words.Say("server.firewall.stopped", "ports", ranges(stopped), "where", where), hint)
	case len(stopped) > 0:
		l.no(words.Say("server.firewall.stopped", "ports", ranges(stopped), "where", where), hint)
	case len(unsure) > 0:
		l.found(check.Unknown, true, words.Say("server.firewall.unsure", "ports", ranges(unsure), "where", where), words.Phrase{})
	default:
		l.yes(words.Say("server.firewall.open", "ports", config.FormatPorts(l.passive())))
	}
}

func (l *look) tls() bool { return l.Config.TLS.Cert != "" || l.Config.TLS.SelfSigned }

// helped says whether the kernel's helper reads all control connections that it
// can read: not those with TLS from the start.
func (l *look) helped() firewall.Leave {
	readable := slices.DeleteFunc(l.ports(), l.implicit)
	if len(readable) == 0 {
		return firewall.Stopped
	}
	all := firewall.Admitted
	for _, p := range readable {
		switch l.reads(p) {
		case firewall.Stopped:
			return firewall.Stopped
		case firewall.Unsure:
			all = firewall.Unsure
		}
	}
	return all
}

// reads says whether the kernel's helper reads control connections to a port.
func (l *look) reads(port uint16) firewall.Leave {
	h, err := l.Helper()
	switch {
	case err == nil && slices.Contains(h.Ports, port):
		return firewall.Admitted
	case l.rules != nil:
		return l.rules.Helped(firewall.In, port)
	case err == nil && !h.Loaded:
		return firewall.Stopped
	}
	return firewall.Unsure
}

// helperExternal is a trap: a server that is told its external address announces
// one that is not its own, and the kernel's helper looks away from such a 227.
// What had worked by the helper alone fails from then on.
func helperExternal(_ context.Context, l *look) {
	if !l.Config.Passive.Enable {
		return
	}
	own, ok := l.own()
	if !ok {
		return
	}
	var foreign []string
	for _, t := range l.Config.Passive.External {
		if a, err := netip.ParseAddr(t.Address); err == nil && !slices.Contains(own, a.Unmap()) {
			foreign = append(foreign, a.String())
		} else if err != nil && t.Address != "auto" && !strings.HasPrefix(t.Address, "if:") {
			foreign = append(foreign, t.Address)
		}
	}
	helped := l.helped()
	hint := words.Say("server.helper-external.hint", "ports", config.FormatPorts(l.passive()))
	switch {
	case helped == firewall.Stopped:
		l.yes(words.Say("server.helper-external.none"))
	case len(foreign) == 0:
		l.yes(words.Say("server.helper-external.own"))
	case helped == firewall.Unsure:
		l.found(check.Unknown, true, words.Say("server.helper-external.unsure", "address", words.And(foreign), "key", l.key("passive.external")), hint)
	default:
		// With rules that let the range in, nobody needs the helper here.
		minor := false
		if l.rules != nil {
			stopped, unsure, _ := l.reach([]uint16{l.passive().Low, l.passive().High})
			minor = len(stopped)+len(unsure) == 0
		}
		l.found(check.No, minor, words.Say("server.helper-external.trap", "address", words.And(foreign), "key", l.key("passive.external")), hint)
	}
}

// helperPort: who moves the control connection to another port moves it out of
// sight of helpers.
func helperPort(_ context.Context, l *look) {
	for _, p := range l.ports() {
		if p == 21 || l.implicit(p) {
			continue
		}
		switch l.reads(p) {
		case firewall.Admitted:
			l.yes(words.Say("server.helper-port.read", "port", p))
			continue
		case firewall.Stopped:
			if l.reads(21) == firewall.Admitted {
				l.no(words.Say("server.helper-port.other", "port", p), words.Say("server.helper-port.hint", "port", p))
				continue
			}
		}
		l.found(check.Unknown, true, words.Say("server.helper-port.elsewhere", "port", p), words.Say("server.helper-port.range"))
	}
}

// implicit says whether a port is for TLS from the start, which no helper reads.
func (l *look) implicit(port uint16) bool {
	_, p, err := net.SplitHostPort(l.Config.TLS.Implicit)
	return err == nil && p == strconv.Itoa(int(port))
}

// soon is when a certificate is about to end.
const soon = 14 * 24 * time.Hour

// certificate: it is there, and in date.
func certificate(_ context.Context, l *look) {
	var pairs []certs.Pair
	if c := l.Config.TLS; c.Cert != "" {
		pairs = append(pairs, certs.Pair{Cert: c.Cert, Key: c.Key})
	}
	for _, h := range l.Config.TLS.Hosts {
		pairs = append(pairs, certs.Pair{Cert: h.Cert, Key: h.Key})
	}
	key := words.Say("server.certificate.hint", "key", l.key("tls.cert"))
	switch {
	case len(pairs) == 0 && l.Config.TLS.SelfSigned:
		l.yes(words.Say("server.certificate.self-signed"))
	case len(pairs) == 0:
		l.found(check.No, true, words.Say("server.certificate.none"), key)
	}
	for _, p := range pairs {
		c, err := certs.Load(p)
		switch {
		case errors.Is(err, fs.ErrPermission):
			l.unknown(words.Say("server.certificate.error", "error", err), words.Say("server.root"))
			continue
		case err != nil:
			l.no(words.Say("server.certificate.error", "error", err), key)
			continue
		}
		begin, end := c.Leaf.NotBefore.UTC().Format(time.DateOnly), c.Leaf.NotAfter.UTC().Format(time.DateOnly)
		switch now := l.Now(); {
		case now.After(c.Leaf.NotAfter):
			l.no(words.Say("server.certificate.expired", "file", p.Cert, "day", end), words.Say("server.certificate.renew"))
		case now.Before(c.Leaf.NotBefore):
			l.no(words.Say("server.certificate.early", "file", p.Cert, "day", begin), words.Say("server.certificate.clock"))
		case c.Leaf.NotAfter.Sub(now) < soon:
			l.found(check.No, true, words.Say("server.certificate.soon", "file", p.Cert, "day", end), words.Say("server.certificate.renew"))
		default:
			l.yes(words.Say("server.certificate.valid", "file", p.Cert, "day", end))
		}
	}
}
