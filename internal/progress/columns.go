package progress

import (
	"strings"
	"unicode"

	"golang.org/x/text/width"

	"towpath/ftp"
)

// columns is how many columns of a terminal a letter takes: two for those of
// East Asia and for most emoji, none for what is put upon the letter before.
func columns(r rune) int {
	switch {
	case unicode.In(r, unicode.Mn, unicode.Me, unicode.Cf), 0x1160 <= r && r <= 0x11ff: // vowels and finals of Hangul
		return 0
	}
	switch width.LookupRune(r).Kind() {
	case width.EastAsianWide, width.EastAsianFullwidth:
		return 2
	}
	return 1
}

func textColumns(s string) int {
	n := 0
	for _, r := range s {
		n += columns(r)
	}
	return n
}

// shown makes a name safe for a terminal. Besides control bytes these are the
// characters that turn the direction of writing, with which a name could
// disorder its row.
func shown(name string) string {
	return strings.Map(func(r rune) rune {
		if unicode.Is(unicode.Bidi_Control, r) || r == '\u2028' || r == '\u2029' {
			return unicode.ReplacementChar
		}
		return r
	}, ftp.Escape(name))
}

// fit makes s exactly n columns wide. What is too long loses its middle, since
// names differ at their ends.
func fit(s string, n int) string {
	if w := textColumns(s); w <= n {
		return s + strings.Repeat(" ", n-w)
	}
	if n <= 0 {
		return ""
	}
	runes := []rune(s)
	head, tail := 0, len(runes)
	used := 1 // the ellipsis
	for front := true; head < tail; front = !front {
		next := head
		if !front {
			next = tail - 1
		}
		w := columns(runes[next])
		if used+w > n {
			break
		}
		used += w
		if front {
			head++
		} else {
			tail--
		}
	}
	// Marks without the letter they belong to are not to fall upon the ellipsis.
	for tail < len(runes) && columns(runes[tail]) == 0 {
		tail++
	}
	return string(runes[:head]) + "…" + string(runes[tail:]) + strings.Repeat(" ", n-used)
}

// right puts s to the right of n columns.
func right(s string, n int) string {
	return strings.Repeat(" ", max(0, n-textColumns(s))) + s
}
