package ftp

import (
	"strings"
	"unicode/utf8"
)

const hexDigits = "0123456789abcdef"

// Escape makes s safe to show: control bytes (below 0x20, and 0x7f), C1
// control characters and bytes that are no UTF-8 become \xNN, one for each
// byte. It is for logs, terminals and replies, and has no inverse: a backslash
// stays one.
func Escape(s string) string {
	i := harmful(s)
	if i < 0 {
		return s
	}
	var b strings.Builder
	b.Grow(len(s) + 16)
	for i >= 0 {
		b.WriteString(s[:i])
		_, n := utf8.DecodeRuneInString(s[i:])
		for _, c := range []byte(s[i : i+n]) {
			b.WriteString(`\x`)
			b.WriteByte(hexDigits[c>>4])
			b.WriteByte(hexDigits[c&15])
		}
		s = s[i+n:]
		i = harmful(s)
	}
	b.WriteString(s)
	return b.String()
}

// harmful returns where the first thing to escape stands in s, or -1.
func harmful(s string) int {
	if isPlain(s) { // as mostly
		return -1
	}
	for i, r := range s {
		if isControl(r) {
			return i
		}
		if r == utf8.RuneError {
			if _, n := utf8.DecodeRuneInString(s[i:]); n == 1 {
				return i
			}
		}
	}
	return -1
}

// isPlain says whether s is nothing but printable ASCII. It looks at eight bytes
// at a time, of which each in odd has its highest bit set if it is another.
func isPlain(s string) bool {
	const ones, highest = 0x0101010101010101, 0x8080808080808080
	n := len(s)
	if n < 8 {
		for i := range n {
			if s[i] < 0x20 || s[i] >= 0x7f {
				return false
			}
		}
		return true
	}
	var odd uint64
	for i := 0; ; i = min(i+8, n-8) { // the last eight may be some of those before
		b := s[i : i+8]
		x := uint64(b[0]) | uint64(b[1])<<8 | uint64(b[2])<<16 | uint64(b[3])<<24 |
			uint64(b[4])<<32 | uint64(b[5])<<40 | uint64(b[6])<<48 | uint64(b[7])<<56
		odd |= x | (x + ones) | (x - 0x20*ones)
		if i == n-8 {
			return odd&highest == 0
		}
	}
}

func isControl(r rune) bool { return r < 0x20 || 0x7f <= r && r < 0xa0 }

func isDigit(c byte) bool { return '0' <= c && c <= '9' }
