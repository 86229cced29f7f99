package config

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// Origin says where a value came from. The zero value is the default.
type Origin struct {
	From From
	// Name is the file, the variable, or the flag.
	Name string
	// Line and Column count from 1, in files only; Column in characters.
	Line, Column int
}

// From is a kind of origin; a later one wins over an earlier one.
type From int

// The origins.
const (
	FromDefault From = iota
	FromFile
	FromEnvironment
	FromFlag
	FromArgument
)

// String gives "default", "towpath.toml:3", "TOWPATH_LISTEN", "--listen" or "argument DIR".
func (o Origin) String() string {
	switch o.From {
	case FromFile:
		if o.Line == 0 {
			return o.Name
		}
		return fmt.Sprintf("%s:%d", o.Name, o.Line)
	case FromEnvironment:
		return o.Name
	case FromFlag:
		return "--" + o.Name
	case FromArgument:
		return "argument " + o.Name
	default:
		return "default"
	}
}

// Error is a value that cannot be taken. Its text names the key, the value and
// what would be right, and for files shows the line.
type Error struct {
	Key    string
	Origin Origin
	// Value is what was refused, "" if it is a secret or was not read.
	Value string
	// Text is the line of the file.
	Text string
	Err  error
}

// Error gives "FILE:LINE:COLUMN: KEY: what is wrong", then the line with a
// mark below the column.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Origin.String())
	if e.Origin.Column > 0 {
		fmt.Fprintf(&b, ":%d", e.Origin.Column)
	}
	if e.Key != "" {
		b.WriteString(": " + e.Key)
	}
	b.WriteString(": " + e.Err.Error())
	if e.Text != "" && e.Origin.Column > 0 {
		number := fmt.Sprint(e.Origin.Line)
		fmt.Fprintf(&b, "\n  %s | %s\n  %*s | %s^", number, clean(e.Text), len(number), "",
			indent(e.Text, e.Origin.Column-1))
	}
	return b.String()
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// clean shows a line of a file on a terminal: control characters and bytes
// that are no UTF-8 become "?". Tabs stay.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if r != '\t' && (r < ' ' || r >= 0x7f && r < 0xa0 || r == utf8.RuneError) {
			return '?'
		}
		return r
	}, s)
}

// indent is as wide as the first n characters of s, tabs included.
func indent(s string, n int) string {
	var b strings.Builder
	for _, r := range s {
		if n--; n < 0 {
			break
		}
		if r != '\t' {
			r = ' '
		}
		b.WriteRune(r)
	}
	return b.String()
}
