package listing

import "strings"

// os2 reads OS/2, which puts the size first:
//
//	    0           DIR   12-30-97   12:32  jbrekke
//	33280      A          02-09-97   13:49  OS2LDR
//
// Attributes are capitals out of R, H, S, A.
func (l *reading) os2(s string) (Entry, bool) {
	w, rest := word(s)
	size, ok := readSize(w)
	if !ok {
		return Entry{}, false
	}
	e := Entry{Type: File, Size: size}
	w, rest = word(rest)
	if w != "" && strings.Trim(w, "RHSA") == "" {
		w, rest = word(rest)
	}
	if w == "DIR" {
		e.Type = Dir
		w, rest = word(rest)
	}
	at, rest := word(rest)
	c, ok := readClock(at)
	if !ok || strings.IndexByte(w, '-') == 4 {
		return Entry{}, false
	}
	d, ok := numericDate(w, "-", monthDayYear, c, l.location)
	if !ok {
		return Entry{}, false
	}
	e.Time, e.Precision = d.Time, d.precision
	if e.Name, ok = name(rest); !ok {
		return Entry{}, false
	}
	e.Name = strings.TrimPrefix(e.Name, " ") // two blanks behind the time
	return e, e.Name != ""
}
