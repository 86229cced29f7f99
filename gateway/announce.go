package gateway

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"towpath/ftp"
	"towpath/ftp/dialogue"
)

// wish is a data connection as a client asks for it.
type wish struct {
	verb string // PORT, EPRT, PASV or EPSV
	mode dialogue.Mode
	// addr is where the client listens in active mode.
	addr netip.AddrPort
}

// refusal is an answer that the gateway gives in the server's place.
type refusal struct {
	code int
	text string
	// check is the number of the check that was not passed; 0 is none.
	check int
}

func (r *refusal) Error() string { return fmt.Sprintf("%d %s", r.code, r.text) }

func refuse(check, code int, format string, args ...any) *refusal {
	return &refusal{code, fmt.Sprintf(format, args...), check}
}

// readWish reads the announcement of a client that comes from client. It
// judges all that can be judged without knowing the session.
func (o *Options) readWish(c ftp.Command, client netip.Addr) (wish, *refusal) {
	w := wish{verb: c.Verb, mode: dialogue.Passive}
	arg := strings.TrimSpace(c.Arg)
	family := 1
	if client.Is6() {
		family = 2
	}
	switch c.Verb {
	case "PASV", "P@SW": // some routers disfigure PASV
		w.verb = "PASV"
		if client.Is6() {
			return w, refuse(0, 425, "PASV can tell IPv4 addresses only, and you came by IPv6; use EPSV.")
		}
		return w, nil
	case "EPSV":
		switch arg {
		case "", "1", "2":
			if arg != "" && arg != fmt.Sprint(family) {
				return w, refuse(0, 522, "Network protocol not supported, use (%d)", family)
			}
			return w, nil
		}
		return w, refuse(0, 501, "EPSV wants nothing, 1, 2 or ALL.")
	case "PORT":
		w.mode = dialogue.Active
		a, err := ftp.ParseHostPort(arg)
		if err != nil {
			return w, refuse(4, 501, "PORT wants h1,h2,h3,h4,p1,p2 with numbers from 0 to 255.")
		}
		w.addr = a
	case "EPRT":
		w.mode = dialogue.Active
		a, err := ftp.ParseEPRT(arg)
		if _, ok := errors.AsType[*ftp.UnsupportedFamilyError](err); ok {
			return w, refuse(0, 522, "Network protocol not supported, use (%d)", family)
		}
		if err != nil {
			return w, refuse(4, 501, "EPRT wants |1|h1.h2.h3.h4|port| or |2|IPv6 address|port|.")
		}
		if a.Addr().IsUnspecified() { // lftp over IPv6 means its own
			a = netip.AddrPortFrom(client, a.Port())
		}
		w.addr = a
	default:
		return w, refuse(0, 502, "%s is not served by this gateway; use PASV, EPSV, PORT or EPRT.", c.Verb)
	}
	return w, o.admits(w, client)
}

// admits judges where a client wants to be called.
func (o *Options) admits(w wish, client netip.Addr) *refusal {
	a, port := w.addr.Addr(), w.addr.Port()
	if a != client && !slices.ContainsFunc(o.AllowForeign, func(p netip.Prefix) bool { return p.Contains(a) }) {
		return refuse(5, 501, "%s names %v, but you come from %v; data goes to your own address only. Try passive mode.", w.verb, a, client)
	}
	if a.Is4() != client.Is4() {
		return refuse(5, 501, "%s names %v, but you come from %v.", w.verb, a, client)
	}
	if port < 1024 || slices.Contains(o.DenyPorts, port) {
		return refuse(4, 501, "%s names port %d, which is not served; ports are from 1024 on.", w.verb, port)
	}
	return nil
}

// offer is the line that asks a server for a data connection: by passive mode
// if told is zero, and else to call us at told. It is in the family of server,
// and says it as the client did if it can.
func offer(said string, mode dialogue.Mode, server netip.Addr, told netip.AddrPort) ftp.Command {
	extended := server.Is6() || strings.HasPrefix(said, "E")
	if mode == dialogue.Passive {
		if server.Is6() || said == "EPSV" {
			return ftp.Command{Verb: "EPSV"}
		}
		return ftp.Command{Verb: "PASV"}
	}
	if extended && said != "EPSV" || server.Is6() {
		return ftp.Command{Verb: "EPRT", Arg: ftp.FormatEPRT(told)}
	}
	return ftp.Command{Verb: "PORT", Arg: ftp.FormatHostPort(told)}
}

// instead is what to ask an IPv4 server that does not know c, or false.
func instead(c ftp.Command, server netip.Addr, told netip.AddrPort) (ftp.Command, bool) {
	switch {
	case server.Is6():
	case c.Verb == "EPSV":
		return ftp.Command{Verb: "PASV"}, true
	case c.Verb == "EPRT":
		return ftp.Command{Verb: "PORT", Arg: ftp.FormatHostPort(told)}, true
	}
	return c, false
}

// answer is the reply to a client's announcement that was accepted; told is
// where it shall come in passive mode.
func answer(w wish, told netip.AddrPort) ftp.Reply {
	switch w.verb {
	case "PASV":
		return ftp.NewReply(227, ftp.FormatPassive(told))
	case "EPSV":
		return ftp.NewReply(229, ftp.FormatExtendedPassive(told.Port()))
	}
	return ftp.NewReply(200, w.verb+" command successful.")
}
