package ftp

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// ParseHostPort reads the six numbers of PORT, "h1,h2,h3,h4,p1,p2": four
// address bytes, then the port as p1*256+p2. Numbers have neither sign, blank
// nor leading zero, so that nobody on the way can read another address in
// them, and the port is not 0.
func ParseHostPort(s string) (netip.AddrPort, error) {
	var six [6]byte
	n, ok := parseBytes(six[:0], s)
	if !ok || len(n) != 6 {
		return netip.AddrPort{}, announcementError(s, "six numbers from 0 to 255 parted by commas")
	}
	a := netip.AddrPortFrom(netip.AddrFrom4([4]byte(n)), bigEndian(n[4:]))
	if a.Port() == 0 {
		return netip.AddrPort{}, announcementError(s, "a port other than 0")
	}
	return a, nil
}

// FormatHostPort is the inverse of [ParseHostPort]. It panics unless a is IPv4.
func FormatHostPort(a netip.AddrPort) string {
	ip, p := a.Addr().Unmap().As4(), a.Port()
	b := make([]byte, 0, len("255,255,255,255,255,255"))
	return string(appendBytes(b, ip[0], ip[1], ip[2], ip[3], byte(p>>8), byte(p)))
}

// ParsePassive reads the text of a 227 reply. RFC 959 shows an example of it
// but no syntax, so it takes the first six numbers parted by commas wherever
// they stand (RFC 1123 4.1.2.6): in parentheses or without, behind "=", with
// blanks around the commas and zeros in front. The port is not 0; the address
// may be 0.0.0.0, with which some servers mean their own.
func ParsePassive(text string) (netip.AddrPort, error) {
	for s := text; s != ""; {
		six, n, rest := cutNumbers(s)
		if s = rest; n != len(six) {
			continue
		}
		var b [6]byte
		for i, n := range six {
			if n > 255 {
				return netip.AddrPort{}, announcementError("227 "+text, "numbers from 0 to 255")
			}
			b[i] = byte(n)
		}
		port := bigEndian(b[4:])
		if port == 0 {
			return netip.AddrPort{}, announcementError("227 "+text, "a port other than 0")
		}
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte(b[:])), port), nil
	}
	return netip.AddrPort{}, announcementError("227 "+text, "six numbers from 0 to 255 parted by commas")
}

// FormatPassive returns the text of a 227 reply in the form that NAT devices
// know: "Entering Passive Mode (h1,h2,h3,h4,p1,p2).". It panics unless a is IPv4.
func FormatPassive(a netip.AddrPort) string {
	return "Entering Passive Mode (" + FormatHostPort(a) + ")."
}

// cutNumbers takes the first list of decimal numbers parted by commas out of s.
// Blanks may stand around the commas, zeros in front. It returns the first six,
// those above 999 as 1000, how many there are, and what stands behind them.
func cutNumbers(s string) (six [6]int, count int, rest string) {
	for s != "" && !isDigit(s[0]) {
		s = s[1:]
	}
	for s != "" && isDigit(s[0]) {
		n := 0
		for ; s != "" && isDigit(s[0]); s = s[1:] {
			n = min(10*n+int(s[0]-'0'), 1000)
		}
		if count < len(six) {
			six[count] = n
		}
		count++
		next := afterBlanks(s)
		if next == "" || next[0] != ',' {
			break
		}
		if next = afterBlanks(next[1:]); next == "" || !isDigit(next[0]) {
			break
		}
		s = next
	}
	return six, count, s
}

func afterBlanks(s string) string {
	for s != "" && (s[0] == ' ' || s[0] == '\t') {
		s = s[1:]
	}
	return s
}

// UnsupportedFamilyError is the error of an EPRT whose network protocol is
// neither 1 (IPv4) nor 2 (IPv6); a server answers it by 522.
type UnsupportedFamilyError struct {
	Family string // as it was given, a number
}

func (e *UnsupportedFamilyError) Error() string {
	return "network protocol " + Escape(clip(e.Family)) + " is not supported, want 1 (IPv4) or 2 (IPv6)"
}

// ParseEPRT reads the argument of EPRT (RFC 2428 2), "|1|132.235.1.2|6275|" or
// "|2|1080::8:800:200C:417A|5282|". Any printable character but a digit may
// stand for the bar. The address must be of the family that is named, without
// a zone, and not an IPv4 address in the dress of IPv6; the port is not 0. A
// family other than these gives an [*UnsupportedFamilyError].
func ParseEPRT(s string) (netip.AddrPort, error) {
	var f [3]string
	rest, ok := "", s != "" && isDelimiter(s[0])
	if ok {
		f, rest, ok = cutFields(s[1:], s[0])
	}
	if !ok || rest != "" || !isNumber(f[0]) {
		return netip.AddrPort{}, announcementError(s, "|1|IPv4 address|port| or |2|IPv6 address|port|")
	}
	ip, _ := netip.ParseAddr(f[1]) // the zero Addr is of no family
	switch f[0] {
	case "1":
		if !ip.Is4() {
			return netip.AddrPort{}, announcementError(s, "an IPv4 address")
		}
	case "2":
		if !ip.Is6() || ip.Is4In6() || ip.Zone() != "" {
			return netip.AddrPort{}, announcementError(s, "an IPv6 address, neither a mapped one nor with a zone")
		}
	default:
		return netip.AddrPort{}, &UnsupportedFamilyError{Family: f[0]}
	}
	port, ok := parsePort(f[2])
	if !ok {
		return netip.AddrPort{}, announcementError(s, "a port from 1 to 65535")
	}
	return netip.AddrPortFrom(ip, port), nil
}

// FormatEPRT is the inverse of [ParseEPRT]. A zone is left out: it means
// nothing to the peer. It panics unless a has an address.
func FormatEPRT(a netip.AddrPort) string {
	ip := a.Addr().Unmap().WithZone("")
	switch {
	case ip.Is4():
		return "|1|" + ip.String() + "|" + strconv.Itoa(int(a.Port())) + "|"
	case ip.Is6():
		return "|2|" + ip.String() + "|" + strconv.Itoa(int(a.Port())) + "|"
	}
	panic("ftp: FormatEPRT of no address")
}

// ParseExtendedPassive reads the text of a 229 reply (RFC 2428 3). The address
// it returns is the zero Addr, since "(|||6446|)" names none: it is that of
// the control connection. Taken are also
//   - text in front of the parenthesis and behind it (vsftpd up to 3.0.2 ends
//     with a period), or no parentheses at all;
//   - any other printable character for the bar;
//   - the fields filled in, "(|1|192.0.2.1|6446|)"; the address is returned.
func ParseExtendedPassive(text string) (netip.AddrPort, error) {
	s := text[:min(len(text), MaxLine)]
	if i := strings.IndexByte(s, '('); i >= 0 {
		s = s[i+1:]
	}
	for ; s != ""; s = s[1:] {
		d := s[0]
		if !isDelimiter(d) || 'a' <= d|0x20 && d|0x20 <= 'z' { // words are no delimiters
			continue
		}
		f, _, ok := cutFields(s[1:], d)
		if !ok {
			continue
		}
		port, ok := parsePort(f[2])
		if !ok {
			continue
		}
		if f[1] == "" && (f[0] == "" || isNumber(f[0])) {
			return netip.AddrPortFrom(netip.Addr{}, port), nil
		}
		if ip, err := netip.ParseAddr(f[1]); err == nil {
			return netip.AddrPortFrom(ip, port), nil
		}
	}
	return netip.AddrPort{}, announcementError("229 "+text, "(|||port|) with a port from 1 to 65535")
}

// FormatExtendedPassive returns the text of a 229 reply. It has no final
// period, which made some NAT devices pass over it.
func FormatExtendedPassive(port uint16) string {
	return "Entering Extended Passive Mode (|||" + strconv.Itoa(int(port)) + "|)"
}

// ParseLongPort reads the numbers of LPRT and of 228, the reply to LPSV (RFC
// 1639): the family, 4 or 6, the length of the address, its bytes, the length
// of the port, which is 2, and its bytes. Another family gives an
// [*UnsupportedFamilyError], which a server answers by 521.
func ParseLongPort(s string) (netip.AddrPort, error) {
	n, ok := parseBytes(nil, s)
	if !ok || len(n) < 2 {
		return netip.AddrPort{}, announcementError(s, "numbers from 0 to 255 parted by commas, 4,4,… or 6,16,…")
	}
	size := 16
	switch n[0] {
	case 4:
		size = 4
	case 6:
	default:
		return netip.AddrPort{}, &UnsupportedFamilyError{Family: strconv.Itoa(int(n[0]))}
	}
	if int(n[1]) != size || len(n) != 2+size+3 || n[2+size] != 2 {
		return netip.AddrPort{}, announcementError(s, fmt.Sprintf("%d,%d, %d address bytes, 2, and 2 port bytes", n[0], size, size))
	}
	ip, _ := netip.AddrFromSlice(n[2 : 2+size])
	port := bigEndian(n[2+size+1:])
	if port == 0 || ip.Is4In6() {
		return netip.AddrPort{}, announcementError(s, "a port other than 0 and an address that is not a mapped one")
	}
	return netip.AddrPortFrom(ip, port), nil
}

// FormatLongPort is the inverse of [ParseLongPort]. It panics unless a has an
// address.
func FormatLongPort(a netip.AddrPort) string {
	ip := a.Addr().Unmap()
	var b []byte
	switch {
	case ip.Is4():
		b = appendBytes(b, 4, 4)
	case ip.Is6():
		b = appendBytes(b, 6, 16)
	default:
		panic("ftp: FormatLongPort of no address")
	}
	b = appendBytes(append(b, ','), ip.AsSlice()...)
	return string(appendBytes(append(b, ','), 2, byte(a.Port()>>8), byte(a.Port())))
}

// parseBytes reads numbers from 0 to 255 parted by commas, in the one form
// that they are written in, and appends them to b.
func parseBytes(b []byte, s string) ([]byte, bool) {
	for {
		n, i := 0, 0
		for ; i < len(s) && i < 3 && isDigit(s[i]); i++ {
			n = 10*n + int(s[i]-'0')
		}
		if i == 0 || n > 255 || i > 1 && s[0] == '0' {
			return nil, false
		}
		b = append(b, byte(n))
		if i == len(s) {
			return b, true
		}
		if s[i] != ',' {
			return nil, false
		}
		s = s[i+1:]
	}
}

func appendBytes(b []byte, n ...byte) []byte {
	for i, c := range n {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendUint(b, uint64(c), 10)
	}
	return b
}

func bigEndian(b []byte) uint16 { return uint16(b[0])<<8 | uint16(b[1]) }

// cutFields cuts the a, b and c in front off "a|b|c|…". The bar is d.
func cutFields(s string, d byte) (f [3]string, rest string, ok bool) {
	for i := range f {
		at := strings.IndexByte(s, d)
		if at < 0 {
			return f, s, false
		}
		f[i], s = s[:at], s[at+1:]
	}
	return f, s, true
}

// isDelimiter: RFC 2428 allows 33 to 126. A digit would cut the numbers.
func isDelimiter(c byte) bool { return 33 <= c && c <= 126 && !isDigit(c) }

func parsePort(s string) (uint16, bool) {
	n, err := strconv.ParseUint(s, 10, 16)
	return uint16(n), err == nil && n != 0 && s[0] != '0'
}

// isNumber says whether s is decimal digits and nothing else.
func isNumber(s string) bool {
	for i := range len(s) {
		if !isDigit(s[i]) {
			return false
		}
	}
	return s != ""
}

func announcementError(got, want string) error {
	return errors.New(Escape(clip(got)) + ": want " + want)
}
