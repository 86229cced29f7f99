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
	plain := 0
	for plain < len(s) && 0x20 <= s[plain] && s[plain] < 0x7f {
		plain++
	}
	if plain == len(s) { // as mostly
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

func isControl(r rune) bool { return r < 0x20 || 0x7f <= r && r < 0xa0 }

func isDigit(c byte) bool { return '0' <= c && c <= '9' }
