package main

import (
	"fmt"
	"io"
	"net"
	"strings"

	"towpath/gateway"
)

// greet tells the operator what the gateway does, what clients will be told,
// what carries data and why, and what to try.
func (g *gatewayService) greet(out io.Writer, v *gatewayFlags) {
	var b strings.Builder
	switch {
	case v.transparent:
		b.WriteString("Taking redirected connections, and going where they wanted to.\n")
	case v.explicit || v.socks != "":
		fmt.Fprintf(&b, "Going where clients ask for, if that is %s.\n", strings.Join(v.allow, ", "))
	default:
		fmt.Fprintf(&b, "Standing before %s.\n", strings.Join(v.to, ", "))
	}
	b.WriteString("\n")
	for _, l := range g.listeners {
		_, port, err := net.SplitHostPort(l.Addr().String())
		if err != nil {
			port = l.Addr().String()
		}
		use := "control connections"
		if l.implicit {
			use = "control connections, TLS from the first byte"
		}
		if l.socks {
			use = "SOCKS5, and control connections in it"
		}
		fmt.Fprintf(&b, "  tcp %-12s %s\n", port, use)
	}
	fmt.Fprintf(&b, "  tcp %-12s data connections, of clients and of servers\n", v.portRange())
	told := "the address at which they reach us"
	if v.transparent {
		told = "the address of their server, as if nobody were between"
	}
	if v.external != "" {
		told = v.external
	}
	fmt.Fprintf(&b, "\nClients are told %s.\n", told)
	fmt.Fprintf(&b, "Clear data goes through %s.\n", g.plane.describe())
	for _, note := range g.plane.notes {
		b.WriteString("  " + note + "\n")
	}
	switch must(gateway.ParseClientTLS(v.tls)) {
	case gateway.PassTLS:
		b.WriteString("TLS passes unread: announcements under it cannot be repaired (--tls terminate with --cert or --self-signed can).\n")
	case gateway.RefuseTLS:
		b.WriteString("TLS is refused.\n")
	default:
		fmt.Fprintf(&b, "TLS ends here; the certificate, SHA-256:\n  %s\n", g.fingerprint)
	}
	if len(v.foreign) > 0 {
		fmt.Fprintf(&b, "WARNING: announcements of %s are believed, whoever sends them.\n", strings.Join(v.foreign, ", "))
	}
	if v.insecure {
		b.WriteString("WARNING: any certificate of a server is believed.\n")
	}
	if g.control != nil {
		ask := "towpath gateway status"
		if v.control != "" {
			ask += " --control " + g.controlPath
		}
		fmt.Fprintf(&b, "\nWhat it does now, tells %q.\n", ask)
	}
	b.WriteString("\nTry:\n" + v.example(g.listeners) + "\n")
	_, _ = io.WriteString(out, b.String()) // nobody reading it is no reason to stop
}

func (v *gatewayFlags) portRange() string {
	if v.ports == "" {
		return "49152-65535"
	}
	return v.ports
}

// example is what a client would say.
func (v *gatewayFlags) example(listeners []listener) string {
	if v.transparent {
		return "  curl ftp://ftp.example.org/      from a client whose packets pass here\n"
	}
	at := "HOST"
	if len(listeners) > 0 {
		host, port, err := net.SplitHostPort(listeners[0].Addr().String())
		if ip := net.ParseIP(host); err == nil && (ip == nil || ip.IsUnspecified()) {
			host = "localhost"
		}
		at = net.JoinHostPort(host, port)
	}
	switch {
	case v.explicit && v.socks == "": // %40 is @, which ends a user in a URL
		return fmt.Sprintf("  curl ftp://NAME%%40%s@%s/\n", v.target(), at)
	case len(v.socksUsers) > 0:
		return fmt.Sprintf("  curl -x socks5h://USER:PASSWORD@%s ftp://NAME@%s/\n", at, v.target())
	case v.socks != "":
		return fmt.Sprintf("  curl -x socks5h://%s ftp://NAME@%s/\n", at, v.target())
	}
	return fmt.Sprintf("  curl ftp://%s/ --user NAME\n  lftp -u NAME ftp://%s\n", at, at)
}

// target is a server that clients may ask for.
func (v *gatewayFlags) target() string {
	if strings.ContainsAny(v.allow[0], "*/:") {
		return "HOST"
	}
	return v.allow[0]
}
