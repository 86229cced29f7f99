package explain

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// mostWord is how long a password may be to be taken for a word like others.
const mostWord = 3

// blot hides the password in the text of a reply that repeats it: "Password
// secret is wrong for anna." One of few bytes also stands in what has nothing to
// do with it. It is hidden only in what answers a login, and only as a word.
func (t *talk) blot(text, verb string) string {
	switch {
	case !strings.Contains(text, t.hide):
		return text
	case len(t.hide) > mostWord:
		return strings.ReplaceAll(text, t.hide, masked)
	case verb != "PASS" && verb != "USER":
		return text
	}
	var b strings.Builder
	done, from := 0, 0
	for {
		i := strings.Index(text[from:], t.hide)
		if i < 0 {
			b.WriteString(text[done:])
			return b.String()
		}
		i += from
		end := i + len(t.hide)
		before, _ := utf8.DecodeLastRuneInString(text[:i])
		after, _ := utf8.DecodeRuneInString(text[end:])
		if ofWord(before) || ofWord(after) {
			from = i + 1
			continue
		}
		b.WriteString(text[done:i] + masked)
		done, from = end, end
	}
}

func ofWord(r rune) bool { return r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r) }
