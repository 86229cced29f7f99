// Package shell is what an interactive FTP client needs beside FTP: a language
// of words, a history, jobs, completion, and a screen with one line to edit
// above the bars of what is under way.
//
// It knows no verb and opens no connection; cmd/towpath says what words mean.
package shell

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Word is one word of a command.
type Word struct {
	// Text is the word without its quotes.
	Text string
	// Pattern is the word for path.Match, if it has a *, a ? or a [ that is not
	// quoted, and "" if not.
	Pattern string
	// Start is where the word begins in the line.
	Start int
}

// Command is a verb and its arguments.
type Command struct {
	Words []Word
	// Background is set by an & behind it.
	Background bool
	// Outside is what stands behind a ! that begins a command: for the shell of
	// the system, to the end of the line, and as it was written. Words is empty.
	Outside string
	// Escapes tells that there was such a !, with or without something behind it.
	Escapes bool
}

// SyntaxError says what is wrong in a line.
type SyntaxError struct {
	At      int // byte of the line
	Problem string
}

// Error names the place, counted from 1.
func (e *SyntaxError) Error() string { return fmt.Sprintf("column %d: %s", e.At+1, e.Problem) }

// Parse reads a line. Words are parted by blanks, and commands by ; or &, which
// puts the command before it into the background. A backslash takes the meaning
// of the next character, 'single quotes' that of all between them, and "double
// quotes" that of all but the backslash; \x1b in them is the byte 0x1b. What
// follows a # that begins a word is not read.
func Parse(line string) ([]Command, error) {
	s := scanner{line: line}
	err := s.scan()
	return s.commands, err
}

// Unfinished reads a line that is still being written, up to its end: the
// command in which the end lies, of which the last word is the one at the end,
// even if that is empty. A quote may be open.
func Unfinished(line string) Command {
	s := scanner{line: line, unfinished: true}
	_ = s.scan() // what cannot be read yet has its words so far
	c := s.current
	if s.inWord {
		s.endWord()
		return s.current
	}
	c.Words = append(c.Words, Word{Start: len(line)})
	return c
}

type scanner struct {
	line       string
	unfinished bool
	commands   []Command
	current    Command

	inWord        bool
	start         int
	text, pattern strings.Builder
	globs         bool
}

func (s *scanner) scan() error {
	for i := 0; i < len(s.line); {
		c := s.line[i]
		if !s.inWord && c == '!' && len(s.current.Words) == 0 {
			s.current.Escapes, s.current.Outside = true, strings.TrimSpace(s.line[i+1:])
			if !s.unfinished {
				s.endCommand(false)
			}
			return nil
		}
		switch c {
		case ' ', '\t', '\n', '\r':
			s.endWord()
			i++
		case ';', '&':
			s.endWord()
			if c == '&' && len(s.current.Words) == 0 {
				return &SyntaxError{i, "& stands behind a command that is to run in the background, and there is none"}
			}
			s.endCommand(c == '&')
			i++
		case '#':
			if !s.inWord {
				i = len(s.line)
				break
			}
			s.literal(s.line[i : i+1])
			i++
		case '\\':
			s.begin(i)
			_, n := utf8.DecodeRuneInString(s.line[i+1:])
			if n == 0 {
				if s.unfinished {
					return nil
				}
				return &SyntaxError{i, "a backslash with nothing behind it"}
			}
			s.literal(s.line[i+1 : i+1+n])
			i += 1 + n
		case '\'':
			s.begin(i)
			end := strings.IndexByte(s.line[i+1:], '\'')
			if end < 0 {
				s.literal(s.line[i+1:])
				return &SyntaxError{i, "the ' that begins here has no end"}
			}
			s.literal(s.line[i+1 : i+1+end])
			i += end + 2
		case '"':
			s.begin(i)
			next, err := s.quoted(i + 1)
			if err != nil {
				return err
			}
			i = next
		default:
			s.begin(i)
			_, n := utf8.DecodeRuneInString(s.line[i:])
			if strings.IndexByte("*?[", c) >= 0 {
				s.globs = true
				s.text.WriteByte(c)
				s.pattern.WriteByte(c)
			} else {
				s.bare(s.line[i : i+n])
			}
			i += n
		}
	}
	if s.unfinished {
		return nil
	}
	s.endWord()
	s.endCommand(false)
	return nil
}

// quoted reads what is between double quotes, and returns the place behind.
func (s *scanner) quoted(i int) (int, error) {
	start := i - 1
	for i < len(s.line) {
		switch s.line[i] {
		case '"':
			return i + 1, nil
		case '\\':
			rest := s.line[i+1:]
			if len(rest) >= 3 && rest[0] == 'x' {
				if b, ok := hexByte(rest[1], rest[2]); ok {
					s.literal(string([]byte{b}))
					i += 4
					continue
				}
			}
			_, n := utf8.DecodeRuneInString(rest)
			s.literal(rest[:n])
			i += 1 + n
		default:
			s.literal(s.line[i : i+1])
			i++
		}
	}
	return i, &SyntaxError{start, `the " that begins here has no end`}
}

func hexByte(a, b byte) (byte, bool) {
	high, low := strings.IndexByte(hexDigits, a|0x20), strings.IndexByte(hexDigits, b|0x20)
	return byte(high<<4 | low), high >= 0 && low >= 0
}

const hexDigits = "0123456789abcdef"

func (s *scanner) begin(at int) {
	if !s.inWord {
		s.inWord, s.start = true, at
	}
}

// literal adds what was quoted.
func (s *scanner) literal(text string) {
	s.text.WriteString(text)
	for i := range len(text) {
		if strings.IndexByte(`*?[\`, text[i]) >= 0 {
			s.pattern.WriteByte('\\')
		}
		s.pattern.WriteByte(text[i])
	}
}

// bare adds what was not quoted and means nothing.
func (s *scanner) bare(text string) {
	s.text.WriteString(text)
	s.pattern.WriteString(text)
}

func (s *scanner) endWord() {
	if !s.inWord {
		return
	}
	w := Word{Text: s.text.String(), Start: s.start}
	if s.globs {
		w.Pattern = s.pattern.String()
	}
	s.current.Words = append(s.current.Words, w)
	s.text.Reset()
	s.pattern.Reset()
	s.inWord, s.globs = false, false
}

func (s *scanner) endCommand(background bool) {
	if len(s.current.Words) > 0 || s.current.Escapes {
		s.current.Background = background
		s.commands = append(s.commands, s.current)
	}
	s.current = Command{}
}

// Quote writes text as one word that [Parse] reads as text. What cannot be shown
// stands as "\x1b". A quoted word can be gone on with, as completion does.
func Quote(text string) string {
	if text == "" {
		return "''"
	}
	var b strings.Builder
	for i := 0; i < len(text); {
		r, n := utf8.DecodeRuneInString(text[i:])
		part := text[i : i+n]
		switch {
		case r == utf8.RuneError && n == 1, !unicode.IsGraphic(r), unicode.IsSpace(r) && r != ' ':
			for _, c := range []byte(part) {
				b.WriteString(`"\x` + hexDigits[c>>4:c>>4+1] + hexDigits[c&15:c&15+1] + `"`)
			}
		case strings.ContainsRune(" ;&#!\\'\"*?[", r):
			b.WriteString(`\` + part)
		default:
			b.WriteString(part)
		}
		i += n
	}
	return b.String()
}

// String writes the command as [Parse] reads it.
func (c Command) String() string {
	if c.Escapes {
		return "!" + c.Outside
	}
	var words []string
	for _, w := range c.Words {
		switch {
		case w.Pattern == "":
			words = append(words, Quote(w.Text))
		default:
			words = append(words, quotePattern(w.Pattern))
		}
	}
	text := strings.Join(words, " ")
	if c.Background {
		text += " &"
	}
	return text
}

// quotePattern is Quote for a pattern, whose backslashes are quotes already.
func quotePattern(pattern string) string {
	var b strings.Builder
	for i := 0; i < len(pattern); {
		_, n := utf8.DecodeRuneInString(pattern[i:])
		switch part := pattern[i : i+n]; {
		case part == `\` && i+1 < len(pattern):
			_, m := utf8.DecodeRuneInString(pattern[i+1:])
			b.WriteString(Quote(pattern[i+1 : i+1+m]))
			n += m
		case strings.Contains("*?[", part):
			b.WriteString(part)
		default:
			b.WriteString(Quote(part))
		}
		i += n
	}
	return b.String()
}
