package doctor

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"towpath/ftp"
	"towpath/internal/columns"
	"towpath/internal/words"
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

	means words.Phrase
	lang  words.Lang
}

// Remark is something about an announcement that may go wrong.
type Remark struct {
	// ID is stable: private, loopback, low-port, form, …
	ID   string `json:"id"`
	Text string `json:"text"`

	text words.Phrase
}

// In returns the announcement in a language. Names that programs read stay as
// they are.
func (a Announcement) In(l words.Lang) Announcement {
	a.lang, a.Means, a.Remarks = l, a.means.In(l), slices.Clone(a.Remarks)
	for i, r := range a.Remarks {
		a.Remarks[i].Text = r.text.In(l)
	}
	return a
}

// Unreadable is why a line cannot be read. What package ftp says of a line, in
// the same place, is English alone.
type Unreadable struct{ why words.Phrase }

func (e *Unreadable) Error() string { return e.why.String() }

// In says it in a language.
func (e *Unreadable) In(l words.Lang) string { return e.why.In(l) }

func unreadable(name string, args ...any) error {
	return &Unreadable{words.Say("decode."+name, args...)}
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
	a.means = a.meaning()
	a.judge()
	if a.Remarks == nil {
		a.Remarks = []Remark{}
	}
	return a.In(words.English), nil
}

// decode reads a line that has nothing around it.
func decode(line string) (a Announcement, err error) {
	if len(line) > ftp.MaxLine {
		return a, unreadable("long", "bytes", len(line), "most", ftp.MaxLine)
	}
	verb, arg, _ := strings.Cut(line, " ")
	verb = strings.ToUpper(verb)
	switch verb {
	case "PORT", "EPRT", "LPRT":
		a.Verb, a.Mode, a.Opener = verb, "active", "server"
		if trimmed := strings.TrimLeft(arg, " \t"); trimmed != arg && trimmed != "" {
			a.remark("form", "decode.blanks", "verb", verb)
			arg = trimmed
		}
	case "227", "228", "229":
		a.Verb, a.Mode, a.Opener = verb, "passive", "client"
	case "PASV", "EPSV", "LPSV":
		reply := map[string]string{"PASV": "227", "EPSV": "229", "LPSV": "228"}[verb]
		return a, unreadable("question", "verb", verb, "reply", reply)
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
		a.remark("form", "decode.port-form")
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
		a.remark("form", "decode.227-blanks")
	case !strings.Contains(text, "("+ftp.FormatHostPort(at)+")"):
		a.remark("form", "decode.227-bare")
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
		a.remark("form", "decode.bar", "letter", strconv.Quote(arg[:1]))
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
		a.remark("form", "decode.229-address")
	case !strings.Contains(text, "(|||"+strconv.Itoa(int(a.Port))+"|)"):
		a.remark("form", "decode.229-form", "port", a.Port)
	case strings.HasSuffix(text, "."):
		a.remark("form", "decode.229-period")
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
			return unreadable("port-bytes", "line", clipped(line))
		}
		if p1 == 0 && p2 == 0 {
			return unreadable("port-0", "line", clipped(line))
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
	return unreadable("none", "line", clipped(line))
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
		return netip.AddrPort{}, unreadable("six", "line", clipped(text))
	case n != 6:
		return netip.AddrPort{}, unreadable("count", "line", clipped(run), "count", n)
	}
	for i, s := range list {
		if _, err := strconv.ParseUint(s, 10, 8); err != nil {
			what := "byte-address"
			if i >= 4 {
				what = "byte-port"
			}
			return netip.AddrPort{}, unreadable(what, "line", clipped(run), "number", clipped(s))
		}
	}
	return netip.AddrPort{}, unreadable("port-0", "line", clipped(run))
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

func (a *Announcement) remark(id, name string, args ...any) {
	a.Remarks = append(a.Remarks, Remark{ID: id, text: words.Say(name, args...)})
}

// meaning puts it in a sentence.
func (a *Announcement) meaning() words.Phrase {
	at := netip.AddrPortFrom(a.Address, a.Port)
	switch named := a.Address.IsValid(); {
	case a.Opener == "server" && named:
		return words.Say("decode.active", "at", at)
	case a.Opener == "client" && named:
		return words.Say("decode.passive", "at", at)
	case a.Opener == "client":
		return words.Say("decode.passive-port", "port", a.Port)
	case named:
		return words.Say("decode.either", "at", at)
	}
	return words.Say("decode.port", "port", a.Port)
}

// reserved are addresses that lead nowhere on the Internet, beside those that
// netip knows.
var reserved = []struct {
	net     netip.Prefix
	id, rfc string
}{
	{netip.MustParsePrefix("100.64.0.0/10"), "shared", "RFC 6598"},
	{netip.MustParsePrefix("192.0.2.0/24"), "example", "RFC 5737"},
	{netip.MustParsePrefix("198.51.100.0/24"), "example", "RFC 5737"},
	{netip.MustParsePrefix("203.0.113.0/24"), "example", "RFC 5737"},
	{netip.MustParsePrefix("2001:db8::/32"), "example", "RFC 3849"},
	{netip.MustParsePrefix("3fff::/20"), "example", "RFC 9637"},
	{netip.MustParsePrefix("198.18.0.0/15"), "reserved", "RFC 2544"}, // proxies hand them out for names
	{netip.MustParsePrefix("240.0.0.0/4"), "reserved", "RFC 1112"},
	{netip.MustParsePrefix("0.0.0.0/8"), "this-network", "RFC 1122"},
}

// Unroutable says why an address leads nowhere on the Internet: with a stable
// name such as private or loopback, and in words that stand behind the address.
// Both are empty for one that may.
func Unroutable(ip netip.Addr) (id string, why words.Phrase) {
	id, rfc := special(ip.Unmap())
	if id == "" {
		return "", words.Phrase{}
	}
	why = words.Say("unroutable."+id, "rfc", rfc)
	if id == "this-network" {
		id = "reserved"
	}
	return id, why
}

func special(ip netip.Addr) (id, rfc string) {
	switch {
	case !ip.IsValid():
		return "", ""
	case ip.IsUnspecified():
		return "unspecified", ""
	case ip.IsLoopback():
		return "loopback", ""
	case ip.IsPrivate() && ip.Is4():
		return "private", "RFC 1918"
	case ip.IsPrivate():
		return "private", "RFC 4193"
	case ip.IsLinkLocalUnicast():
		return "link-local", ""
	case ip.IsMulticast():
		return "multicast", ""
	}
	for _, r := range reserved {
		if r.net.Contains(ip) {
			return r.id, r.rfc
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
		reach = "unspecified"
	case id == "unspecified", id == "multicast", id == "reserved", id == "example":
		reach = "nobody"
	case id == "loopback", id == "link-local":
		reach = id
	case a.Opener == "client":
		reach = "passive"
	case a.Opener == "server":
		reach = "active"
	default:
		reach = "either"
	}
	if id != "" {
		a.remark(id, "decode.address", "address", a.Address, "why", why, "reach", words.Say("decode.reach."+reach))
	}
	if a.Port < 1024 {
		a.remark("low-port", "decode.low-port", "port", a.Port)
	}
}

// WriteText writes it for people.
func (a Announcement) WriteText(w io.Writer) error {
	var b strings.Builder
	head := func(name string) string { return columns.Fit(words.Say("decode.head."+name).In(a.lang), 9) }
	if a.Address.IsValid() {
		fmt.Fprintf(&b, "%s%v\n", head("address"), a.Address)
	}
	fmt.Fprintf(&b, "%s%s\n", head("port"), cmp.Or(a.Sum, strconv.Itoa(int(a.Port))))
	columns.Wrap(&b, head("means"), "         ", a.Means, width)
	for _, r := range a.Remarks {
		columns.Wrap(&b, head("remark"), "         ", r.Text, width)
	}
	_, err := io.WriteString(w, b.String())
	return err
}
