package netrc

import (
	"errors"
	"fmt"
	"strings"
)

// Error says where a file is wrong. It shows no value, since what stands in a
// wrong place is often the rest of a password.
type Error struct {
	Line    int // from 1
	Problem string
}

func (e *Error) Error() string { return fmt.Sprintf("line %d: %s", e.Line, e.Problem) }

// Parse reads the text of a file. Its errors are of type [*Error].
//
// Words are parted by blanks and ends of lines. As with curl, a word that
// begins with a double quote goes on to the next one, in the same line, and in
// it \n, \r, \t, \" and \\ are a line feed, a carriage return, a tabulator, a
// quote and a backslash; elsewhere a backslash is a letter. A # in place of a
// keyword makes the rest of the line a comment. A macdef ends at the first empty
// line. The keyword port of other programs is read and has no effect.
func Parse(text string) (*File, error) {
	s := scanner{rest: strings.TrimPrefix(text, "\ufeff"), line: 1}
	f := &File{}
	for {
		keyword, ok, err := s.keyword()
		if err != nil {
			return nil, err
		}
		if !ok {
			return f, nil
		}
		if err := f.take(keyword, &s); err != nil {
			return nil, err
		}
	}
}

// take reads what belongs to a keyword.
func (f *File) take(keyword string, s *scanner) error {
	line := s.line
	if keyword == "default" {
		f.Entries = append(f.Entries, Entry{})
		return nil
	}
	switch keyword {
	case "machine", "login", "user", "password", "passwd", "account", "macdef", "port":
	default:
		return &Error{line, "want machine, default, login, password, account or macdef (a password with blanks in it is put in double quotes)"}
	}
	value, ok, err := s.word()
	if err != nil {
		return err
	}
	if !ok {
		return &Error{line, keyword + " is the last word; its value is missing"}
	}
	if keyword == "machine" {
		if value == "" {
			return &Error{line, "machine with an empty name; for all other hosts write default"}
		}
		f.Entries = append(f.Entries, Entry{Machine: value})
		return nil
	}
	if len(f.Entries) == 0 {
		if keyword == "macdef" { // before any machine it belongs to nobody
			s.macro()
			return nil
		}
		return &Error{line, keyword + " before the first machine or default"}
	}
	e := &f.Entries[len(f.Entries)-1]
	switch keyword {
	case "login", "user":
		e.Login = value
	case "password", "passwd":
		e.Password, e.HasPassword = value, true
	case "account":
		e.Account = value
	case "macdef":
		e.Macros = append(e.Macros, Macro{Name: value, Lines: s.macro()})
	}
	return nil
}

// scanner cuts a file into words.
type scanner struct {
	rest string
	line int // that of the word read last
}

// keyword returns the next word outside comments.
func (s *scanner) keyword() (word string, ok bool, err error) {
	for {
		s.blanks()
		if !strings.HasPrefix(s.rest, "#") {
			return s.word()
		}
		_, s.rest, _ = strings.Cut(s.rest, "\n")
		s.line++
	}
}

// blanks skips blanks and counts the lines in them.
func (s *scanner) blanks() {
	trimmed := strings.TrimLeft(s.rest, " \t\r\n")
	s.line += strings.Count(s.rest[:len(s.rest)-len(trimmed)], "\n")
	s.rest = trimmed
}

// word returns the next word, and false at the end of the file.
func (s *scanner) word() (word string, ok bool, err error) {
	s.blanks()
	if s.rest == "" {
		return "", false, nil
	}
	if s.rest[0] == '"' {
		word, err = s.quoted()
	} else {
		end := strings.IndexAny(s.rest, " \t\r\n")
		if end < 0 {
			end = len(s.rest)
		}
		word, s.rest = s.rest[:end], s.rest[end:]
	}
	if err == nil && strings.Contains(word, "\x00") {
		err = errors.New("a NUL byte; this is no text file")
	}
	if err != nil {
		return "", false, &Error{s.line, err.Error()}
	}
	return word, true, nil
}

var escapes = map[byte]byte{'n': '\n', 'r': '\r', 't': '\t'}

// quoted reads a word in quotes.
func (s *scanner) quoted() (string, error) {
	var b strings.Builder
	for i := 1; i < len(s.rest); i++ {
		c := s.rest[i]
		switch {
		case c == '"':
			s.rest = s.rest[i+1:]
			return b.String(), nil
		case c == '\n':
			return "", errors.New("the closing quote is missing in this line")
		case c == '\\' && i+1 < len(s.rest) && s.rest[i+1] != '\n':
			i++
			c = s.rest[i]
			if control, ok := escapes[c]; ok {
				c = control
			}
			b.WriteByte(c)
		default:
			b.WriteByte(c)
		}
	}
	return "", errors.New("the closing quote is missing")
}

// macro returns the lines up to the first empty one.
func (s *scanner) macro() []string {
	var lines []string
	_, s.rest, _ = strings.Cut(s.rest, "\n") // what is left of the line of macdef
	s.line++
	for s.rest != "" {
		var line string
		line, s.rest, _ = strings.Cut(s.rest, "\n")
		s.line++
		line = strings.TrimSuffix(line, "\r")
		if line == "" {
			break
		}
		lines = append(lines, line)
	}
	return lines
}

// quote writes a word so that it is read again as one.
func quote(s string) string {
	if s != "" && !strings.ContainsAny(s, " \t\r\n") && s[0] != '"' {
		return s
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`, "\r", `\r`, "\t", `\t`).Replace(s) + `"`
}
