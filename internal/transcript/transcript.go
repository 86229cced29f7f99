// Package transcript reads and writes dialogues as text. The same text feeds
// tests, clients and servers under test, and is what a server keeps of its
// sessions.
//
//	# A download in passive mode.
//	C: PASV
//	S: 227 Entering Passive Mode (192,0,2,1,195,80).
//	C: RETR sea.txt
//	S: 150
//	D: 0123456789\r\n
//	S: 226
//
// C: is a line of the client, S: a line of the server, D: are bytes on the
// data connection, of which lines in a row are one piece. Lines may be
// indented; one blank behind the colon is not part of the text. Blank lines
// and those that begin with # are for the reader.
//
// In all three kinds a backslash is written \\, and \r, \n, \t and \xNN stand
// for bytes, so that any bytes can be said. Of the protocol the package knows
// how a reply goes over several lines; it follows no dialogue and does no I/O
// but through the io.Writer it is given.
package transcript

import (
	"fmt"
	"strconv"
	"strings"

	"towpath/ftp"
)

// Who tells whose a line is.
type Who byte

// The three kinds of lines.
const (
	Client Who = 'C'
	Server Who = 'S'
	Data   Who = 'D'
)

// String returns the letter that begins the line.
func (w Who) String() string { return string(rune(w)) }

// Line is one line of a transcript.
type Line struct {
	Who Who
	// Text is what was said, without end of line, or the bytes of a D: line,
	// in which nothing is left out.
	Text string
	// Number counts the lines of the text from 1, for messages.
	Number int
}

// Parse reads the lines of a transcript. An error names the line and what is
// wrong with it.
func Parse(text string) ([]Line, error) {
	var lines []Line
	number := 0
	for raw := range strings.Lines(text) {
		number++
		raw = strings.TrimSuffix(strings.TrimSuffix(raw, "\n"), "\r")
		raw = strings.TrimLeft(raw, " \t")
		if raw == "" || raw[0] == '#' {
			continue
		}
		if len(raw) < 2 || raw[1] != ':' || !strings.ContainsRune("CSD", rune(raw[0])) {
			return nil, fmt.Errorf("line %d: %q: want C:, S:, D: or #", number, raw)
		}
		said, err := unescape(strings.TrimPrefix(raw[2:], " "))
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", number, err)
		}
		lines = append(lines, Line{Who: Who(raw[0]), Text: said, Number: number})
	}
	return lines, nil
}

// Format is the inverse of [Parse], but for comments and the numbers of lines.
func Format(lines []Line) string {
	var b strings.Builder
	for _, l := range lines {
		b.WriteString(format(l.Who, escape(l.Text)))
	}
	return b.String()
}

// format makes a line out of text that is escaped already. A blank at the end
// is written \x20, since editors like to remove it.
func format(who Who, escaped string) string {
	if escaped == "" {
		return who.String() + ":\n"
	}
	if s, ok := strings.CutSuffix(escaped, " "); ok {
		escaped = s + `\x20`
	}
	return who.String() + ": " + escaped + "\n"
}

// ends are the bytes that have a short escape, because data is full of them.
var ends = strings.NewReplacer(`\`, `\\`, "\r", `\r`, "\n", `\n`, "\t", `\t`)

func escape(s string) string { return ftp.Escape(ends.Replace(s)) }

func unescape(s string) (string, error) {
	at := strings.IndexByte(s, '\\')
	if at < 0 {
		return s, nil
	}
	b := make([]byte, 0, len(s))
	for ; at >= 0; at = strings.IndexByte(s, '\\') {
		b = append(b, s[:at]...)
		s = s[at:]
		n := 2
		switch {
		case strings.HasPrefix(s, `\\`):
			b = append(b, '\\')
		case strings.HasPrefix(s, `\r`):
			b = append(b, '\r')
		case strings.HasPrefix(s, `\n`):
			b = append(b, '\n')
		case strings.HasPrefix(s, `\t`):
			b = append(b, '\t')
		default:
			n = 4
			if len(s) < n || s[1] != 'x' {
				return "", fmt.Errorf(`%q: want \\, \r, \n, \t or \xNN (a backslash itself is written \\)`, s[:min(n, len(s))])
			}
			v, err := strconv.ParseUint(s[2:n], 16, 8)
			if err != nil {
				return "", fmt.Errorf(`%q: want two hexadecimal digits behind \x`, s[:n])
			}
			b = append(b, byte(v))
		}
		s = s[n:]
	}
	return string(append(b, s...)), nil
}
