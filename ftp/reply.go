package ftp

import (
	"fmt"
	"strings"
)

// Reply is the answer to a command, or the greeting.
type Reply struct {
	// Code has three digits.
	Code int
	// Lines are the lines of text, at least one, without code and end of line.
	Lines []string
}

// NewReply makes a reply out of text, whose lines are parted by \n. A \n at
// the very end, as the text of a file has it, begins no further line.
func NewReply(code int, text string) Reply {
	text = strings.TrimSuffix(strings.ReplaceAll(text, "\r\n", "\n"), "\n")
	if strings.IndexByte(text, '\n') < 0 {
		return Reply{Code: code, Lines: []string{text}}
	}
	return Reply{Code: code, Lines: strings.Split(text, "\n")}
}

// ParseReply reads a line that is a reply by itself, without its end of line,
// and answers false if it is not: if it is none, or other lines belong to it.
func ParseReply(line string) (Reply, bool) {
	code, sep, text := cutCode(line)
	if code < 100 || code > 699 || sep != ' ' {
		return Reply{}, false
	}
	return Reply{Code: code, Lines: []string{text}}, true
}

// AppendTo appends the reply to b as it goes on the wire (RFC 959 4.2):
//
//	211-Features:
//	 SIZE
//	211 End
//
// Whatever the lines hold, it is one reply: control bytes are escaped as
// [Escape] does, and a line in the middle that begins with three digits gets a
// blank in front, so that neither a client nor a NAT takes it for a code.
// Bytes from 0x80 on are left to be the charset's, but 0xFF is doubled, as
// Telnet wants it. AppendTo panics unless Code has three digits.
func (r Reply) AppendTo(b []byte) []byte {
	last := len(r.Lines) - 1
	if last < 0 {
		return append(appendCode(b, r.Code), " \r\n"...)
	}
	for i, line := range r.Lines {
		switch {
		case i == last:
			b = append(appendCode(b, r.Code), ' ')
		case i == 0:
			b = append(appendCode(b, r.Code), '-')
		case startsWithCode(line):
			b = append(b, ' ')
		}
		b = append(appendText(b, line), "\r\n"...)
	}
	return b
}

// String returns the reply for people and logs: the code once, then the lines,
// escaped and parted by \n.
func (r Reply) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%03d", r.Code)
	for i, line := range r.Lines {
		b.WriteByte(" \n"[min(i, 1)])
		b.WriteString(Escape(line))
	}
	return b.String()
}

// Preliminary is true of 1xx: another reply follows.
func (r Reply) Preliminary() bool { return r.Code/100 == 1 }

// Complete is true of 2xx: done.
func (r Reply) Complete() bool { return r.Code/100 == 2 }

// Intermediate is true of 3xx: another command is wanted.
func (r Reply) Intermediate() bool { return r.Code/100 == 3 }

// Transient is true of 4xx: refused, but it may be tried again.
func (r Reply) Transient() bool { return r.Code/100 == 4 }

// Permanent is true of 5xx: refused.
func (r Reply) Permanent() bool { return r.Code/100 == 5 }

// Positive is true of 1xx, 2xx and 3xx: not refused.
func (r Reply) Positive() bool { return 100 <= r.Code && r.Code < 400 }

// Error is a refusal: what a server answered, and to what.
type Error struct {
	Command Command
	Reply   Reply
}

// Error returns the command, its secrets hidden, and the reply.
func (e *Error) Error() string {
	if e.Command.Verb == "" {
		return e.Reply.String()
	}
	return e.Command.String() + ": " + e.Reply.String()
}

func appendCode(b []byte, code int) []byte {
	if code < 100 || code > 999 {
		panic(fmt.Sprintf("ftp: reply code %d has not three digits", code))
	}
	return append(b, byte('0'+code/100), byte('0'+code/10%10), byte('0'+code%10))
}

func startsWithCode(line string) bool {
	return len(line) >= 3 && isDigit(line[0]) && isDigit(line[1]) && isDigit(line[2])
}

// appendText appends one line of a reply, escaped for the wire.
func appendText(b []byte, s string) []byte {
	for i := range len(s) {
		switch c := s[i]; {
		case c < 0x20 || c == 0x7f:
			b = append(b, '\\', 'x', hexDigits[c>>4], hexDigits[c&15])
		case c == telnetIAC:
			b = append(b, c, c)
		default:
			b = append(b, c)
		}
	}
	return b
}
