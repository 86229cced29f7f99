package dialogue

import (
	"fmt"
	"net/netip"
	"strings"

	"towpath/ftp"
)

// Opener is the end that opens a data connection.
type Opener uint8

// The ends of a dialogue.
const (
	Client Opener = iota + 1
	Server
)

// String returns "client" or "server".
func (o Opener) String() string {
	switch o {
	case Client:
		return "client"
	case Server:
		return "server"
	}
	return "nobody"
}

// Mode is how data connections come about, as seen from the server.
type Mode uint8

// The modes.
const (
	Active  Mode = iota + 1 // the server opens: PORT, EPRT
	Passive                 // the client opens: PASV, EPSV
)

// String returns "active" or "passive".
func (m Mode) String() string {
	switch m {
	case Active:
		return "active"
	case Passive:
		return "passive"
	}
	return "none"
}

// Expectation is a data connection that must follow. The zero Expectation is
// none.
type Expectation struct {
	// Number counts the expectations of a dialogue from 1.
	Number int
	// Opener is who opens the connection; the other end listens.
	Opener Opener
	// From is the address of the opener: the one of its end of the control
	// connection, invalid if that was not told. Its port can be any.
	From netip.Addr
	// To is where the other end listens. Its address is that of the control
	// connection where the announcement left it open (EPSV, or a 227 with
	// 0,0,0,0), and invalid if that was not told.
	To netip.AddrPort
	// Announced is what the announcement said, word for word: its address is
	// invalid if there was none in it.
	Announced netip.AddrPort
	// Foreign is true if an address was announced that is not the one of the
	// announcing end of the control connection: a NAT is between, or somebody
	// wants to reach a third host. It is false if that end was not told.
	Foreign bool
	// Family is 4 or 6 for the version of IP, 0 if it cannot be known.
	Family int
	// Verb is the command of the announcement: PORT, EPRT, PASV, EPSV or one of
	// their rarer relatives.
	Verb string
	// Protected is true if data goes under TLS as PROT stood at the
	// announcement. What counts is how it stands at the transfer: see
	// [Transfer.Protected].
	Protected bool
}

// Mode returns Active if the server opens, Passive if the client does.
func (e Expectation) Mode() Mode {
	switch e.Opener {
	case Server:
		return Active
	case Client:
		return Passive
	}
	return 0
}

// String tells the expectation for logs, as in
// "passive by PASV: client 192.0.2.1 to 198.51.100.2:50000".
func (e Expectation) String() string {
	if e == (Expectation{}) {
		return "nothing"
	}
	from, to := "at an unknown address", fmt.Sprintf("port %d", e.To.Port())
	if e.From.IsValid() {
		from = e.From.String()
	}
	if e.To.Addr().IsValid() {
		to = e.To.String()
	}
	return fmt.Sprintf("%v by %s: %v %s to %s", e.Mode(), e.Verb, e.Opener, from, to)
}

// announcement says how one verb announces a data connection.
type announcement struct {
	opener Opener
	code   int // the only answer that counts; 0: any 2xx
	read   func(ftp.Command, ftp.Reply) (netip.AddrPort, error)
}

// announcements holds the verbs that announce. CPSV is a PASV for transfers
// between two servers under TLS, P@SW one that some routers have disfigured.
var announcements = map[string]announcement{
	"PORT": {opener: Server, read: argument(ftp.ParseHostPort)},
	"EPRT": {opener: Server, read: argument(ftp.ParseEPRT)},
	"LPRT": {opener: Server, read: argument(ftp.ParseLongPort)},
	"PASV": {opener: Client, code: 227, read: text(ftp.ParsePassive)},
	"P@SW": {opener: Client, code: 227, read: text(ftp.ParsePassive)},
	"CPSV": {opener: Client, code: 227, read: text(ftp.ParsePassive)},
	"EPSV": {opener: Client, code: 229, read: text(ftp.ParseExtendedPassive)},
	"LPSV": {opener: Client, code: 228, read: text(longPassive)},
}

// argument reads the address in what the client said.
func argument(parse func(string) (netip.AddrPort, error)) func(ftp.Command, ftp.Reply) (netip.AddrPort, error) {
	return func(c ftp.Command, _ ftp.Reply) (netip.AddrPort, error) { return parse(c.Arg) }
}

// text reads the address in what the server said. Only the last line of a reply
// is its own; those before may be anything.
func text(parse func(string) (netip.AddrPort, error)) func(ftp.Command, ftp.Reply) (netip.AddrPort, error) {
	return func(_ ftp.Command, r ftp.Reply) (netip.AddrPort, error) { return parse(lastLine(r)) }
}

func lastLine(r ftp.Reply) string {
	if len(r.Lines) == 0 {
		return ""
	}
	return r.Lines[len(r.Lines)-1]
}

// longPassive reads the numbers in a 228, "Entering Long Passive Mode (4,4,…)"
// (RFC 1639 3.2).
func longPassive(text string) (netip.AddrPort, error) {
	_, in, _ := strings.Cut(text, "(")
	in, _, ok := strings.Cut(in, ")")
	if !ok {
		return netip.AddrPort{}, fmt.Errorf("%q: want numbers in parentheses", text)
	}
	return ftp.ParseLongPort(in)
}

// expect says who will connect to what, given the ends of the control
// connection.
func (a announcement) expect(announced, client, server netip.AddrPort) Expectation {
	opener, listener := server.Addr().Unmap(), client.Addr().Unmap()
	if a.opener == Client {
		opener, listener = listener, opener
	}
	e := Expectation{Opener: a.opener, From: opener, Announced: announced}
	host := announced.Addr().Unmap()
	if !host.IsValid() || a.opener == Client && host.IsUnspecified() {
		host = listener
	}
	e.To = netip.AddrPortFrom(host, announced.Port())
	e.Foreign = host.IsValid() && listener.IsValid() && host.WithZone("") != listener.WithZone("")
	switch {
	case host.Is4():
		e.Family = 4
	case host.Is6():
		e.Family = 6
	}
	return e
}

// isAll reports whether the argument of EPSV is ALL (RFC 2428 4).
func isAll(arg string) bool { return strings.EqualFold(strings.TrimSpace(arg), "ALL") }

// epsvFamily returns the family that EPSV asked for, or 0.
func epsvFamily(arg string) int {
	switch strings.TrimSpace(arg) {
	case "1":
		return 4
	case "2":
		return 6
	}
	return 0
}
