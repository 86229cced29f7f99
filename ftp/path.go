package ftp

import "strings"

// Quote puts a path in quotes for a 257 reply and doubles the quotes in it.
func Quote(path string) string {
	return `"` + strings.ReplaceAll(path, `"`, `""`) + `"`
}

// Unquote reads the path out of the text of a 257 reply: what stands in the
// first pair of quotes, in which doubled quotes stand for one. Where the
// closing quote is missing it is the rest; where there are no quotes at all,
// it is the text up to the first blank if that begins with a slash.
func Unquote(text string) (path string, ok bool) {
	_, s, quoted := strings.Cut(text, `"`)
	if !quoted {
		path, _, _ = strings.Cut(strings.TrimLeft(text, " "), " ")
		if !strings.HasPrefix(path, "/") {
			return "", false
		}
		return path, true
	}
	var b strings.Builder
	for {
		before, after, closed := strings.Cut(s, `"`)
		b.WriteString(before)
		if !closed || !strings.HasPrefix(after, `"`) {
			return b.String(), true
		}
		b.WriteByte('"')
		s = after[1:]
	}
}
