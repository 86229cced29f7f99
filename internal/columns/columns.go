// Package columns sets text in the columns of a terminal, whatever its script:
// a letter of East Asia takes two of them, and its lines break between letters.
package columns

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"golang.org/x/text/width"

	"towpath/ftp"
)

// Of is how many columns of a terminal a letter takes: two for those of
// East Asia and for most emoji, none for what is put upon the letter before.
func Of(r rune) int {
	if r < 0x80 { // as most
		return 1
	}
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

// Width is how many columns a text takes.
func Width(s string) int {
	n := 0
	for _, r := range s {
		n += Of(r)
	}
	return n
}

// Shown makes a text safe for a terminal. Besides control bytes these are the
// characters with which a row could look like another: those that turn the
// direction of writing, and those that cannot be seen.
func Shown(s string) string {
	return strings.Map(func(r rune) rune {
		if misleads(r) {
			return unicode.ReplacementChar
		}
		return r
	}, ftp.Escape(s))
}

// ShownLines is [Shown] of each line of a text, whose tabs become blanks.
func ShownLines(text string) string {
	lines := strings.Split(text, "\n")
	for i, l := range lines {
		lines[i] = Shown(strings.ReplaceAll(strings.TrimSuffix(l, "\r"), "\t", "    "))
	}
	return strings.Join(lines, "\n")
}

// misleads says of a character that it is one of format, which disorders or hides
// others. Two of them are needed where words of Persian or India, or emoji, are put
// together, and some are seen, as the Arabic sign of a number.
func misleads(r rune) bool {
	const joiner, parter = '\u200d', '\u200c'
	switch {
	case r < 0xad: // as most
		return false
	case r == '\u2028', r == '\u2029':
		return true
	}
	return unicode.Is(unicode.Cf, r) && r != joiner && r != parter && !unicode.Is(unicode.Prepended_Concatenation_Mark, r)
}

// JSON makes what encoding/json wrote safe for a terminal, as Shown does a text;
// programs read the same out of it. It leaves DEL, C1 control characters (the
// eight-bit form of escape sequences) and those that disorder or hide others as
// they are.
func JSON(text []byte) []byte {
	plain := 0
	for plain < len(text) && text[plain] < 0x7f {
		plain++
	}
	if plain == len(text) { // as mostly
		return text
	}
	safe := append(make([]byte, 0, len(text)+64), text[:plain]...)
	for rest := text[plain:]; len(rest) > 0; {
		r, n := utf8.DecodeRune(rest)
		switch {
		case r > 0xffff && misleads(r):
			high, low := utf16.EncodeRune(r)
			safe = fmt.Appendf(safe, `\u%04x\u%04x`, high, low)
		case 0x7f <= r && r < 0xa0, misleads(r):
			safe = fmt.Appendf(safe, `\u%04x`, r)
		default:
			safe = append(safe, rest[:n]...)
		}
		rest = rest[n:]
	}
	return safe
}

// Fit makes s exactly n columns wide. What is too long loses its middle, since
// names differ at their ends.
func Fit(s string, n int) string {
	if w := Width(s); w <= n {
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
		w := Of(runes[next])
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
	for tail < len(runes) && Of(runes[tail]) == 0 {
		tail++
	}
	return string(runes[:head]) + "…" + string(runes[tail:]) + strings.Repeat(" ", n-used)
}

// End is the end of s that fits into n columns.
func End(s string, n int) string {
	start := len(s)
	for start > 0 {
		r, size := utf8.DecodeLastRuneInString(s[:start])
		if n -= Of(r); n < 0 {
			break
		}
		start -= size
	}
	return s[start:]
}

// Right puts s to the right of n columns.
func Right(s string, n int) string {
	return strings.Repeat(" ", max(0, n-Width(s))) + s
}

// Wrap breaks a text into lines of at most width columns, the first of them
// behind first, the others behind others. Lines break at blanks, and between
// two letters where one is of East Asia, but not so that a line begins with a
// closing mark or ends with an opening one. What has no place to break is left
// whole. Several blanks stay so many, for they may stand in a name.
func Wrap(b *strings.Builder, first, others, text string, width int) {
	line, used, empty := first, Width(first), true
	end := func() {
		b.WriteString(strings.TrimRight(line, " ") + "\n")
		line, used, empty = others, Width(others), true
	}
	for text = strings.TrimRight(text, blanks); text != ""; {
		rest := strings.TrimLeft(text, blanks)
		blank := strings.Map(func(rune) rune { return ' ' }, text[:len(text)-len(rest)])
		word := rest
		if i := strings.IndexAny(rest, blanks); i >= 0 {
			word = rest[:i]
		}
		text = rest[len(word):]
		for i, piece := range pieces(word) {
			gap := 0
			if i == 0 && !empty {
				gap = len(blank)
			}
			w := Width(piece)
			if !empty && used+gap+w > width {
				end()
				gap = 0
			}
			line += strings.Repeat(" ", gap) + piece
			used, empty = used+gap+w, false
		}
	}
	end()
}

// blanks part the words of a text. Those of other scripts belong to a name.
const blanks = " \t\r\n"

// Marks of East Asia and of the West that do not begin a line, or do not end one.
const (
	closing = "、。，．：；！？）」』】》〉”’ー々…ぁぃぅぇぉっゃゅょァィゥェォッャュョ,.:;!?)]}%"
	opening = "（「『【《〈“‘([{"
)

// pieces cuts a word where a line may end.
func pieces(word string) []string {
	var all []string
	var last rune
	start := 0
	for i, r := range word {
		if i > 0 && (Of(last) == 2 || Of(r) == 2) && Of(r) > 0 &&
			!strings.ContainsRune(opening, last) && !strings.ContainsRune(closing, r) {
			all = append(all, word[start:i])
			start = i
		}
		last = r
	}
	return append(all, word[start:])
}

// Table sets cells in columns with two blanks between them, and writes a line
// for each row.
func Table(b *strings.Builder, rows [][]string) {
	var widths []int
	for _, row := range rows {
		for i, cell := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], Width(cell))
		}
	}
	for _, row := range rows {
		var line strings.Builder
		for i, cell := range row {
			line.WriteString(cell + strings.Repeat(" ", widths[i]-Width(cell)+2))
		}
		b.WriteString(strings.TrimRight(line.String(), " ") + "\n")
	}
}
