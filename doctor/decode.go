package doctor

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"regexp"
	"strconv"
	"strings"

	"towpath/ftp"
	"towpath/internal/columns"
)

// Announcement is what one line of a dialogue says of a data connection.
type Announcement struct {
	// Line is what was read, with nothing in it that a terminal obeys.
	Line string `json:"line"`
	// Verb is PORT, EPRT, LPRT, or 227, 228, 229 of a reply; empty if the line
	// holds numbers alone.
	Verb string `json:"verb,omitempty"`
	// Address is the one that is named. A 229 names none: it is that of the
	// control connection.
	Address netip.Addr `json:"address,omitzero"`
	Port    uint16     `json:"port"`
	// Sum is how the port comes of its two bytes, where it has two.
	Sum string `json:"sum,omitempty"`
	// Mode is active or passive, Opener who opens the connection: the server or
	// the client. Both are empty where the line does not say it.
	Mode   string `json:"mode,omitempty"`
	Opener string `json:"opener,omitempty"`
	// Means says in a sentence who connects to whom.
	Means   string   `json:"means"`
	Remarks []Remark `json:"remarks"`
}

// Remark is something about an announcement that may go wrong.
type Remark struct {
	// ID is stable: private, loopback, low-port, form, …
	ID   string `json:"id"`
	Text string `json:"text"`
}

// logged is what programs put in front of a line when they show it: curl,
// lftp, tnftp, and the transcripts of this project.
var logged = regexp.MustCompile(`^\s*(?:[CS]:|[-<>*]+|=>)\s+`)

// Decode reads an announcement out of a line as it stands in a dialogue or in
// the log of a program: a PORT, EPRT or LPRT, a 227, 228 or 229, or the numbers
// of one alone, "192,168,1,2,192,245", "192 245". What it can make out in spite
// of its form it reads, with a remark; what it cannot is an error that says
// what is wrong.
func Decode(line string) (Announcement, error) {
	a, err := decode(strings.TrimSpace(logged.ReplaceAllString(line, "")))
	a.Line = ftp.Escape(line)
	if err != nil {
		return Announcement{Line: a.Line}, err
	}
	a.say()
	a.judge()
	if a.Remarks == nil {
		a.Remarks = []Remark{}
	}
	return a, nil
}

// decode reads a line that has nothing around it.
func decode(line string) (a Announcement, err error) {
	if len(line) > ftp.MaxLine {
		return a, fmt.Errorf("%d bytes: want one line of a dialogue, %d at most", len(line), ftp.MaxLine)
	}
	verb, arg, _ := strings.Cut(line, " ")
	verb = strings.ToUpper(verb)
	switch verb {
	case "PORT", "EPRT", "LPRT":
		a.Verb, a.Mode, a.Opener = verb, "active", "server"
		if trimmed := strings.TrimLeft(arg, " \t"); trimmed != arg && trimmed != "" {
			a.remark("form", "More than one blank stands behind %s: Linux's FTP helper drops such a line for ever, and the session hangs.", verb)
			arg = trimmed
		}
	case "227", "228", "229":
		a.Verb, a.Mode, a.Opener = verb, "passive", "client"
	case "PASV", "EPSV", "LPSV":
		reply := map[string]string{"PASV": "227", "EPSV": "229", "LPSV": "228"}[verb]
		return a, fmt.Errorf("%s asks for an announcement and is none; want the server's %s that answers it", verb, reply)
	}
	switch {
	case a.Verb == "PORT":
		return a, a.port(arg)
	case a.Verb == "EPRT":
		return a, a.extended(arg)
	case a.Verb == "LPRT", a.Verb == "228":
		return a, a.long(arg)
	case a.Verb == "227":
		return a, a.passive(arg)
	case a.Verb == "229":
		return a, a.extendedPassive(arg)
	case strings.HasPrefix(line, "|||"), strings.HasPrefix(line, "(|"):
		a.Mode, a.Opener = "passive", "client" // a command has no parentheses, and names an address
		return a, a.extendedPassive(line)
	case strings.HasPrefix(line, "|"):
		a.Mode, a.Opener = "active", "server"
		return a, a.extended(line)
	}
	return a, a.bare(line)
}

// numbers are decimal ones parted by commas, blanks or both.
var numbers = regexp.MustCompile(`\d+(?:\s*,\s*\d+)+`)

// port reads the argument of PORT, leniently where the strict reader refuses.
func (a *Announcement) port(arg string) error {
	at, err := ftp.ParseHostPort(arg)
	if err != nil {
		if at, err = lenient(arg); err != nil {
			return err
		}
		a.remark("form", "PORT takes h1,h2,h3,h4,p1,p2 and nothing else, no blanks, no zeros in front: strict servers answer this with 501.")
	}
	a.set(at)
	return nil
}

func (a *Announcement) passive(text string) error {
	at, err := ftp.ParsePassive(text)
	if err != nil {
		if _, why := lenient(text); why != nil {
			return why
		}
		return err
	}
	a.set(at)
	switch {
	case !strings.Contains(text, ftp.FormatHostPort(at)):
		a.remark("form", "There are blanks or zeros in front between the numbers: not every client reads them, and no NAT on the way.")
	case !strings.Contains(text, "("+ftp.FormatHostPort(at)+")"):
		a.remark("form", "The numbers stand in no parentheses. RFC 959 does not ask for any, but some clients do.")
	}
	return nil
}

func (a *Announcement) extended(arg string) error {
	at, err := ftp.ParseEPRT(arg)
	if err != nil {
		return err
	}
	a.Address, a.Port = at.Addr(), at.Port()
	if arg[0] != '|' {
		a.remark("form", "%q stands for the bar. RFC 2428 allows it, but Linux's FTP helper and many servers expect |.", arg[:1])
	}
	return nil
}

func (a *Announcement) extendedPassive(text string) error {
	at, err := ftp.ParseExtendedPassive(text)
	if err != nil {
		return err
	}
	a.Address, a.Port = at.Addr(), at.Port()
	switch {
	case a.Address.IsValid():
		a.remark("form", "An address stands in the 229. RFC 2428 leaves it out, and most clients pass over it.")
	case !strings.Contains(text, "(|||"+strconv.Itoa(int(a.Port))+"|)"):
		a.remark("form", "RFC 2428 has it in parentheses and with bars, (|||%d|); some clients read no other form.", a.Port)
	case strings.HasSuffix(text, "."):
		a.remark("form", "A period ends the 229, as in vsftpd up to 3.0.2; some NAT devices pass over such a line.")
	}
	return nil
}

func (a *Announcement) long(text string) error {
	arg := text
	if a.Verb == "228" {
		arg = numbers.FindString(text)
	}
	at, err := ftp.ParseLongPort(arg)
	if err != nil {
		return fmt.Errorf("%s: %w", a.Verb, err)
	}
	a.Address = at.Addr()
	a.setPort(at.Port())
	return nil
}

// bare reads numbers without a verb: six of an address and a port, or the two
// of a port.
func (a *Announcement) bare(line string) error {
	two := strings.FieldsFunc(line, func(r rune) bool { return r == ',' || r == ' ' || r == '\t' })
	if len(two) == 2 && digits(two[0]) && digits(two[1]) {
		p1, err1 := strconv.ParseUint(two[0], 10, 8)
		p2, err2 := strconv.ParseUint(two[1], 10, 8)
		if err := errors.Join(err1, err2); err != nil {
			return fmt.Errorf("%s: the two bytes of a port are from 0 to 255 each", clipped(line))
		}
		if p1 == 0 && p2 == 0 {
			return fmt.Errorf("%s: port 0 is none", clipped(line))
		}
		a.setPort(uint16(p1<<8 | p2))
		return nil
	}
	if at, err := ftp.ParseEPRT(line); err == nil && strings.Trim(line, "0123456789, .") != "" {
		a.Address, a.Port = at.Addr(), at.Port()
		return nil
	}
	if numbers.MatchString(line) {
		at, err := lenient(line)
		if err != nil {
			return err
		}
		a.set(at)
		return nil
	}
	return fmt.Errorf("%s: no announcement; want a line such as PORT 192,168,10,160,192,245, a 227 or 229, an EPRT, or the numbers of a port, 192,245", clipped(line))
}

// lenient reads six numbers somewhere in a text, or says what keeps them from
// being an address and a port.
func lenient(text string) (netip.AddrPort, error) {
	if at, err := ftp.ParsePassive(text); err == nil {
		return at, nil
	}
	run := ""
	for _, r := range numbers.FindAllString(text, -1) {
		if strings.Count(r, ",") > strings.Count(run, ",") {
			run = r
		}
	}
	list := strings.Split(run, ",")
	for i := range list {
		list[i] = strings.TrimSpace(list[i])
	}
	switch n := len(list); {
	case run == "" || n <= 3 && strings.Count(text, ".") >= 3:
		return netip.AddrPort{}, fmt.Errorf("%s: want six numbers parted by commas, four of the address and two of the port", clipped(text))
	case n != 6:
		return netip.AddrPort{}, fmt.Errorf("%s: %d numbers; want six, four of the address and two of the port", clipped(run), n)
	}
	for i, s := range list {
		if _, err := strconv.ParseUint(s, 10, 8); err != nil {
			what := "an address"
			if i >= 4 {
				what = "a port"
			}
			return netip.AddrPort{}, fmt.Errorf("%s: %s is no byte of %s; want 0 to 255", clipped(run), clipped(s), what)
		}
	}
	return netip.AddrPort{}, fmt.Errorf("%s: port 0 is none", clipped(run))
}

func digits(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }

// clipped is what an error shows of a line.
func clipped(s string) string {
	if len(s) > 60 {
		s = s[:60] + "…"
	}
	return ftp.Escape(s)
}

func (a *Announcement) set(at netip.AddrPort) {
	a.Address = at.Addr()
	a.setPort(at.Port())
}

func (a *Announcement) setPort(p uint16) {
	a.Port, a.Sum = p, fmt.Sprintf("%d*256+%d = %d", p>>8, p&255, p)
}

func (a *Announcement) remark(id, format string, args ...any) {
	a.Remarks = append(a.Remarks, Remark{id, fmt.Sprintf(format, args...)})
}

// at is the end to connect to, for people.
func (a *Announcement) at() string {
	if !a.Address.IsValid() {
		return fmt.Sprintf("port %d", a.Port)
	}
	return netip.AddrPortFrom(a.Address, a.Port).String()
}

// say puts it in a sentence.
func (a *Announcement) say() {
	switch {
	case a.Opener == "server":
		a.Means = fmt.Sprintf("Active mode: the client listens on %s, and the server connects to it.", a.at())
	case a.Opener == "client" && a.Address.IsValid():
		a.Means = fmt.Sprintf("Passive mode: the server listens on %s, and the client connects to it. Many clients take the port alone, and connect to the address of the control connection.", a.at())
	case a.Opener == "client":
		a.Means = fmt.Sprintf("Passive mode: the server listens on port %d, and the client connects to it at the address of the control connection.", a.Port)
	case a.Address.IsValid():
		a.Means = fmt.Sprintf("In PORT the client listens on %s and the server connects to it, in 227 it is the other way round.", a.at())
	default:
		a.Means = fmt.Sprintf("It is port %d.", a.Port)
	}
}

// reserved are addresses that lead nowhere on the Internet, beside those that
// netip knows.
var reserved = []struct {
	net      netip.Prefix
	id, text string
}{
	{netip.MustParsePrefix("100.64.0.0/10"), "shared", "is out of the space that providers share behind their NAT (RFC 6598)"},
	{netip.MustParsePrefix("192.0.2.0/24"), "example", "is for examples in texts (RFC 5737)"},
	{netip.MustParsePrefix("198.51.100.0/24"), "example", "is for examples in texts (RFC 5737)"},
	{netip.MustParsePrefix("203.0.113.0/24"), "example", "is for examples in texts (RFC 5737)"},
	{netip.MustParsePrefix("2001:db8::/32"), "example", "is for examples in texts (RFC 3849)"},
	{netip.MustParsePrefix("240.0.0.0/4"), "reserved", "is reserved and leads nowhere (RFC 1112)"},
	{netip.MustParsePrefix("0.0.0.0/8"), "reserved", "means this network and leads nowhere (RFC 1122)"},
}

// Unroutable says why an address leads nowhere on the Internet: with a stable
// name such as private or loopback, and in words that stand behind the address.
// Both are empty for one that may.
func Unroutable(ip netip.Addr) (id, why string) {
	switch ip = ip.Unmap(); {
	case !ip.IsValid():
		return "", ""
	case ip.IsUnspecified():
		return "unspecified", "is no address"
	case ip.IsLoopback():
		return "loopback", "is the machine itself (loopback)"
	case ip.IsPrivate() && ip.Is4():
		return "private", "is private (RFC 1918)"
	case ip.IsPrivate():
		return "private", "is private (RFC 4193)"
	case ip.IsLinkLocalUnicast():
		return "link-local", "is link-local"
	case ip.IsMulticast():
		return "multicast", "is a multicast address"
	}
	for _, r := range reserved {
		if r.net.Contains(ip.Unmap()) {
			return r.id, r.text
		}
	}
	return "", ""
}

// judge adds remarks about the address and the port.
func (a *Announcement) judge() {
	id, why := Unroutable(a.Address)
	reach := ""
	switch {
	case id == "":
	case id == "unspecified" && a.Opener == "client":
		reach = "some servers say it and mean their own; clients should take that of the control connection"
	case id == "unspecified", id == "multicast", id == "reserved", id == "example":
		reach = "nobody can connect to it"
	case id == "loopback":
		reach = "only a peer on that very machine can connect to it"
	case id == "link-local":
		reach = "only a peer on the same link can connect to it"
	case a.Opener == "client":
		reach = "a client elsewhere reaches it only if it takes the port alone. Tell the server its external address (towpath serve --external, pasv_address of vsftpd, MasqueradeAddress of ProFTPD, -P of Pure-FTPd)"
	case a.Opener == "server":
		reach = "a server elsewhere refuses it or cannot reach it, unless an ALG on the way rewrites it, which none can under TLS. Passive mode does without"
	default:
		reach = "a peer in another network cannot connect to it"
	}
	if id != "" {
		a.remark(id, "%v %s: %s.", a.Address, why, reach)
	}
	if a.Port < 1024 {
		a.remark("low-port", "Port %d is below 1024, where services of the system are: servers refuse it, since a bounce attack would ask for it.", a.Port)
	}
}

// WriteText writes it for people.
func (a Announcement) WriteText(w io.Writer) error {
	var b strings.Builder
	if a.Address.IsValid() {
		fmt.Fprintf(&b, "address  %v\n", a.Address)
	}
	if a.Sum != "" {
		fmt.Fprintf(&b, "port     %s\n", a.Sum)
	} else {
		fmt.Fprintf(&b, "port     %d\n", a.Port)
	}
	columns.Wrap(&b, "means    ", "         ", a.Means, width)
	for _, r := range a.Remarks {
		columns.Wrap(&b, "remark   ", "         ", r.Text, width)
	}
	_, err := io.WriteString(w, b.String())
	return err
}
