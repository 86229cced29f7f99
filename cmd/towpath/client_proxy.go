package main

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/netip"
	"strings"

	"github.com/spf13/pflag"

	"towpath/ftpclient"
	"towpath/ftpclient/proxy"
	"towpath/internal/ftpurl"
)

// proxyFlags say by which proxy servers are reached. Names are those of curl.
type proxyFlags struct {
	proxy, noProxy         optional
	socks5, socks5Hostname string
	proxyUser              string
	caFile                 string
	gate                   string
}

func (v *proxyFlags) bind(f *pflag.FlagSet) {
	f.Var(&v.proxy, "proxy", "reach servers through the proxy `URL`: http, https, socks5, socks5h (names are resolved there) or ftp; empty for none (default $ftp_proxy or $all_proxy)")
	f.StringVar(&v.socks5, "socks5", "", "the same as --proxy socks5://`HOST[:PORT]`")
	f.StringVar(&v.socks5Hostname, "socks5-hostname", "", "the same as --proxy socks5h://`HOST[:PORT]`")
	f.StringVar(&v.proxyUser, "proxy-user", "", "log in to the proxy as `NAME[:PASSWORD]`")
	f.StringVar(&v.caFile, "proxy-cacert", "", "of an https proxy, believe the authorities in this PEM `FILE` only")
	f.Var(&v.noProxy, "noproxy", "no proxy for the hosts in this `LIST`: names with all below them, addresses, networks, or * (default $no_proxy)")
	f.StringVar(&v.gate, "gate", "", "how an ftp proxy is told the server: `user|open|site`, for USER me@HOST, OPEN HOST or SITE HOST (default user)")
}

// optional is text of a flag that may be set and empty.
type optional struct {
	text string
	set  bool
}

func (o *optional) Set(s string) error { o.text, o.set = s, true; return nil }
func (o *optional) String() string     { return o.text }
func (o *optional) Type() string       { return "string" }

// route is the way to servers: by a proxy, with exceptions, or straight.
type route struct {
	proxy  *proxy.Server // nil: straight
	except proxy.Exceptions
	roots  *x509.CertPool // of an https proxy; nil: those of the system
	style  ftpclient.GateStyle
}

// route reads flags and environment.
func (v *proxyFlags) route(getenv func(string) string) (r route, err error) {
	text, named := v.proxy.text, 0
	for _, f := range []struct {
		set    bool
		scheme string
		host   string
	}{{v.proxy.set, "", v.proxy.text}, {v.socks5 != "", "socks5://", v.socks5}, {v.socks5Hostname != "", "socks5h://", v.socks5Hostname}} {
		if f.set {
			named++
			text = f.scheme + f.host
		}
	}
	if named > 1 {
		return r, misuse("want one of --proxy, --socks5 and --socks5-hostname")
	}
	if named == 0 {
		text = fromEnvironment(getenv, "ftp_proxy", "all_proxy")
	}
	list := v.noProxy.text
	if !v.noProxy.set {
		list = fromEnvironment(getenv, "no_proxy")
	}
	if r.except, err = proxy.ParseExceptions(list); err != nil {
		return r, misuse("%w", err)
	}
	if text != "" {
		p, err := proxy.Parse(text)
		if err != nil {
			return r, misuse("%w", err)
		}
		if v.proxyUser != "" {
			p.User, p.Password, _ = strings.Cut(v.proxyUser, ":")
		}
		r.proxy = &p
	}
	if v.caFile != "" && (r.proxy == nil || r.proxy.Scheme != "https") {
		return r, misuse("--proxy-cacert is for a proxy that speaks TLS; want --proxy https://HOST")
	}
	if r.roots, err = authorities("--proxy-cacert", v.caFile); err != nil {
		return r, err
	}
	switch v.gate {
	case "", "user":
	case "open":
		r.style = ftpclient.OpenHost
	case "site":
		r.style = ftpclient.SiteHost
	default:
		return r, misuse("--gate %q: want user, open or site", v.gate)
	}
	if v.gate != "" && (r.proxy == nil || r.proxy.Scheme != "ftp") {
		return r, misuse("--gate is for a proxy that speaks FTP; want --proxy ftp://HOST")
	}
	return r, nil
}

// fromEnvironment returns the first variable that is set, each in lower case or
// else in upper case.
func fromEnvironment(getenv func(string) string, names ...string) string {
	for _, n := range names {
		if s := cmp.Or(getenv(n), getenv(strings.ToUpper(n))); s != "" {
			return s
		}
	}
	return ""
}

// lead puts the way to a server into the options of its session. It returns
// what is worth a word.
func (r *route) lead(o *ftpclient.Options, u ftpurl.URL) (note string, err error) {
	if r.proxy == nil || r.except.Match(u.Addr()) {
		return "", nil
	}
	p := *r.proxy
	if p.Scheme == "ftp" {
		o.Gate = &ftpclient.Gate{Addr: p.Addr, Style: r.style, User: p.User, Password: p.Password}
		switch o.TLS {
		case ftpclient.Implicit:
			return "", misuse("%s is TLS from the start, behind which the proxy %v cannot read whom to call; want ftpes://, with TLS as far as the proxy, or another proxy", u, p)
		case ftpclient.Explicit:
			return fmt.Sprintf("TLS is spoken with the proxy %s, which reads login and files", p.Addr), nil
		}
		return "", nil
	}
	_, named := netip.ParseAddr(u.Host)
	if o.Mode == ftpclient.Active && (p.Scheme != "socks5" && p.Scheme != "socks5h" || p.Scheme == "socks5h" && named != nil && !o.AllowForeign) {
		return "", misuse("active mode does not work through %v: want socks5://, or -p", p)
	}
	forward, _ := o.Dialer.(proxy.ContextDialer)
	if o.LocalAddr.IsValid() {
		forward = &net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(o.LocalAddr, 0))}
		o.LocalAddr = netip.Addr{}
	}
	d, err := p.Dialer(forward)
	if h, ok := d.(*proxy.HTTP); ok && h.Secure {
		h.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: r.roots}
	}
	o.Dialer = d
	return "", err
}

// localAddr finds the address that --interface means: the address itself, or one
// of an interface, IPv4 first unless it is not wanted.
func localAddr(text string, only4, only6 bool) (netip.Addr, error) {
	if a, err := netip.ParseAddr(strings.TrimPrefix(text, "host!")); err == nil {
		return a, nil
	}
	i, err := net.InterfaceByName(strings.TrimPrefix(text, "if!"))
	if err != nil {
		return netip.Addr{}, misuse("--interface %q: want an IP address of this machine, or the name of an interface", text)
	}
	list, err := i.Addrs()
	if err != nil {
		return netip.Addr{}, misuse("--interface %q: %w", text, err)
	}
	var six netip.Addr
	for _, l := range list {
		n, ok := l.(*net.IPNet)
		if !ok {
			continue
		}
		a, _ := netip.AddrFromSlice(n.IP)
		switch a = a.Unmap(); {
		case a.Is4() && !only6:
			return a, nil
		case a.Is6() && !only4 && !a.IsLinkLocalUnicast() && !six.IsValid():
			six = a
		}
	}
	if !six.IsValid() {
		return six, misuse("--interface %q: it has no address that could be used", text)
	}
	return six, nil
}
