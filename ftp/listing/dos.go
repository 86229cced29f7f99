package listing

import (
	"strings"
	"time"
)

// AppendDOS appends the line of e as IIS prints it, with CRLF:
//
//	01-02-26  03:04AM                    4 sea.txt
//	01-02-26  03:04AM       <DIR>          harbour
//
// The year has two digits from 1970 to 2069, else four. What is not known is
// written as: size 0, 1 January 1970.
func AppendDOS(b []byte, e *Entry) []byte {
	t := e.Time
	y, mo, d := t.Date()
	if t.IsZero() || y < 0 || y > 9999 {
		t = time.Unix(0, 0).UTC()
		y, mo, d = t.Date()
	}
	h, mi, _ := t.Clock()
	b = append(append2(b, int(mo)), '-')
	b = append(append2(b, d), '-')
	if y >= 1970 && y < 2070 {
		b = append2(b, y%100)
	} else {
		b = append4(b, y)
	}
	b = append(append2(append(b, "  "...), (h+11)%12+1), ':')
	b = append2(b, mi)
	if h < 12 {
		b = append(b, "AM"...)
	} else {
		b = append(b, "PM"...)
	}
	if e.Type.IsDir() {
		b = append(b, "       <DIR>          "...)
	} else {
		b = appendPadded(b, e.Size, 21, ' ')
		b = append(b, ' ')
	}
	b = appendName(b, e.Name)
	return append(b, '\r', '\n')
}

// dos reads IIS and its kin. The date may be "01-02-26", "01-02-2026",
// "01/02/26", "2026-01-02" or "02.01.2026", the time "03:04PM" or "15:04"; a
// size may have commas (9,730). What <…> has beside DIR are links: <JUNCTION>,
// <SYMLINK>, <SYMLINKD>.
func (l *reading) dos(s string) (Entry, bool) {
	day, rest := word(s)
	at, rest := word(rest)
	if half, behind := word(rest); strings.EqualFold(half, "AM") || strings.EqualFold(half, "PM") {
		at, rest = at+half, behind
	}
	c, ok := readHalfClock(at)
	if !ok {
		return Entry{}, false
	}
	d, ok := dosDate(day, c, l.location)
	if !ok {
		return Entry{}, false
	}
	e := Entry{Size: -1, Time: d.Time, Precision: d.precision}
	w, rest := word(rest)
	switch w {
	case "<DIR>":
		e.Type, e.Size = Dir, 0
	case "<JUNCTION>", "<SYMLINK>", "<SYMLINKD>":
		e.Type = Link
	default:
		e.Type = File
		if e.Size, ok = readSize(withoutCommas(w)); !ok {
			return Entry{}, false
		}
		e.Name, ok = name(rest)
		return e, ok
	}
	// Ten blanks fill the column of sizes behind <DIR>.
	for n := 0; n < len("<DIR>          ")-len(w) && strings.HasPrefix(rest, " "); n++ {
		rest = rest[1:]
	}
	e.Name = rest
	if e.Type == Link && strings.HasSuffix(rest, "]") {
		if n, target, ok := strings.Cut(rest[:len(rest)-1], " ["); ok {
			e.Name, e.Target = n, target
		}
	}
	return e, e.Name != ""
}

func dosDate(s string, c clock, zone *time.Location) (date, bool) {
	if strings.Contains(s, ".") {
		return numericDate(s, ".", dayMonthYear, c, zone)
	}
	sep := "-"
	if strings.Contains(s, "/") {
		sep = "/"
	}
	if strings.Index(s, sep) == 4 {
		return numericDate(s, sep, yearMonthDay, c, zone)
	}
	return numericDate(s, sep, monthDayYear, c, zone)
}

// readHalfClock reads a time of day that may end in AM or PM.
func readHalfClock(s string) (clock, bool) {
	if len(s) < 2 || s[len(s)-1]|0x20 != 'm' {
		return readClock(s)
	}
	half := s[len(s)-2] | 0x20
	c, ok := readClock(s[:len(s)-2])
	if !ok || c.h < 1 || c.h > 12 || half != 'a' && half != 'p' {
		return clock{}, false
	}
	c.h %= 12
	if half == 'p' {
		c.h += 12
	}
	return c, true
}

// withoutCommas takes the commas out of "9,730" and leaves what is not grouped
// by three as it is.
func withoutCommas(s string) string {
	if !strings.Contains(s, ",") {
		return s
	}
	groups := strings.Split(s, ",")
	for _, g := range groups[1:] {
		if len(g) != 3 {
			return s
		}
	}
	return strings.Join(groups, "")
}
