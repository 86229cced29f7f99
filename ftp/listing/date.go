package listing

import (
	"strings"
	"time"
	"unicode/utf8"
)

// How exact a date in a listing is.
const (
	day    = 24 * time.Hour
	minute = time.Minute
	second = time.Second
)

// clock is a time of day as it stood in a line.
type clock struct {
	h, m, s, ns int
	precision   time.Duration
}

// midnight stands for a time of day that was not given.
var midnight = clock{precision: day}

// readClock reads "15:04", "5:04", "15:04:05" and "15:04:05.678".
func readClock(s string) (clock, bool) {
	hs, rest, ok := strings.Cut(s, ":")
	if !ok {
		return clock{}, false
	}
	ms, ss, seconds := strings.Cut(rest, ":")
	c := clock{precision: minute}
	var okH, okM bool
	c.h, okH = number(hs, 2)
	c.m, okM = number(ms, 2)
	if !okH || !okM || len(ms) != 2 || c.h > 23 || c.m > 59 {
		return clock{}, false
	}
	if !seconds {
		return c, true
	}
	ss, fraction, fractions := strings.Cut(ss, ".")
	c.s, ok = number(ss, 2)
	if !ok || len(ss) != 2 || c.s > 60 { // 60 is a leap second
		return clock{}, false
	}
	c.precision = second
	if fractions {
		c.ns, c.precision, ok = readFraction(fraction)
	}
	return c, ok
}

// readFraction reads the digits behind the point of a second.
func readFraction(s string) (ns int, precision time.Duration, ok bool) {
	if !isDigits(s) {
		return 0, 0, false
	}
	s = s[:min(len(s), 9)]
	ns, _ = number(s, 9)
	precision = second
	for range len(s) {
		precision /= 10
	}
	return ns * int(precision), precision, true
}

// date is a time of modification, or none.
type date struct {
	time.Time
	precision time.Duration
}

// on returns the date of that day and clock in zone, if there is such a day.
func on(y, m, d int, c clock, zone *time.Location) (date, bool) {
	// The day is checked in UTC, where none lacks an hour.
	if t := time.Date(y, time.Month(m), d, 0, 0, 0, 0, time.UTC); m < 1 || m > 12 || d < 1 || t.Day() != d {
		return date{}, false
	}
	return date{time.Date(y, time.Month(m), d, c.h, c.m, c.s, c.ns, zone), c.precision}, true
}

// latest returns the latest date of that month, day and clock that is not more
// than a day after now.
func (l *reading) latest(m, d int, c clock) (date, bool) {
	limit := l.now.Add(day)
	this := limit.In(l.location).Year()
	for y := this; y > this-9; y-- { // about 1900 and 2100 leap years lie eight apart
		if t, ok := on(y, m, d, c, l.location); ok && !t.After(limit) {
			return t, true
		}
	}
	return date{}, false
}

// fullYear widens a year of two digits to 1970 to 2069, and takes four. Three are
// the years since 1900, as C counts them, of servers that were written before 2000.
func fullYear(s string) (int, bool) {
	y, ok := number(s, 4)
	switch {
	case len(s) == 3 && y >= 100:
		return 1900 + y, true
	case !ok || len(s) != 2 && len(s) != 4:
		return 0, false
	case len(s) == 4:
		return y, true
	case y < 70:
		return 2000 + y, true
	}
	return 1900 + y, true
}

// readDate reads the date that ls prints, at the beginning of s:
//
//	Jan  2 03:04             6月 3日 2003年        2026-01-02 03:04
//	Jan  2  2026             2. Jan 03:04         2026-01-02 03:04:05.678 +0100
//	Jan  2 03:04:05 2026     2 Jan 2026           01-02 03:04, 01-02 2026
//
// The rest begins with the blank that parts it from the name.
func (l *reading) readDate(s string) (d date, rest string, ok bool) {
	first, rest := word(s)
	if strings.IndexByte(first, '-') > 0 {
		return l.readISO(first, rest)
	}
	second, rest := word(rest)
	third, rest := word(rest)
	m, okM := month(first)
	dd, okD := number(plainDigits(second), 2)
	if !okM {
		m, okM = month(second)
		dd, okD = number(strings.TrimSuffix(first, "."), 2)
	}
	if !okM || !okD {
		return date{}, "", false
	}
	d, rest, ok = l.yearOrClock(m, dd, third, rest)
	return d, rest, ok
}

// yearOrClock finishes a date with a word that is a year or a time of day. A
// time with seconds may have the year behind it (BSD ls -lT).
func (l *reading) yearOrClock(m, d int, w, rest string) (date, string, bool) {
	if c, ok := readClock(w); ok {
		if year, behind := word(rest); c.precision == second && len(year) == 4 && behind != "" {
			if y, ok := number(year, 4); ok {
				t, ok := on(y, m, d, c, l.location)
				return t, behind, ok
			}
		}
		t, ok := l.latest(m, d, c)
		return t, rest, ok
	}
	digits := plainDigits(w)
	y, ok := number(digits, 4)
	if !ok || len(digits) != 4 {
		return date{}, "", false
	}
	t, ok := on(y, m, d, midnight, l.location)
	return t, rest, ok
}

// readISO reads a date that begins with "2026-01-02" or "01-02".
func (l *reading) readISO(first, rest string) (date, string, bool) {
	w, rest := word(rest)
	a, b, _ := strings.Cut(first, "-")
	b, c, full := strings.Cut(b, "-")
	if !full {
		m, okM := number(a, 2)
		d, okD := number(b, 2)
		if !okM || !okD {
			return date{}, "", false
		}
		return l.yearOrClock(m, d, w, rest)
	}
	y, okY := number(a, 4)
	m, okM := number(b, 2)
	d, okD := number(c, 2)
	at, okC := readClock(w)
	if !okY || !okM || !okD || !okC || len(a) != 4 {
		return date{}, "", false
	}
	zone := l.location
	if w, behind := word(rest); at.precision <= second && behind != "" {
		t, err := time.Parse("-0700", w) // which takes +2400, as RFC 3339 does not
		if _, ahead := t.Zone(); err == nil && -24*60*60 < ahead && ahead < 24*60*60 {
			zone, rest = t.Location(), behind
		}
	}
	t, ok := on(y, m, d, at, zone)
	return t, rest, ok
}

// plainDigits takes off what East Asian locales put behind a number: 月, 日
// and 年 in whatever charset, at most four bytes.
func plainDigits(s string) string {
	i := 0
	for i < len(s) && s[i] >= '0' && s[i] <= '9' {
		i++
	}
	if len(s)-i > 4 || !highBytes(s[i:]) {
		return s
	}
	return s[:i]
}

// highBytes reports whether s has no ASCII, or is the 年 of Shift-JIS, the only
// one of these signs with an ASCII byte in it.
func highBytes(s string) bool {
	if s == "\x94N" {
		return true
	}
	for i := range len(s) {
		if s[i] < 0x80 {
			return false
		}
	}
	return true
}

// month reads the name of a month: three letters in English, the abbreviations
// of other locales, and a number with a sign behind it (6月).
func month(s string) (int, bool) {
	if len(s) == 3 {
		for m := range 12 {
			if strings.EqualFold(s, monthNames[3*m:3*m+3]) {
				return m + 1, true
			}
		}
	}
	if len(s) < 3 || len(s) > 12 {
		return 0, false
	}
	if digits := plainDigits(s); len(digits) < len(s) {
		return number(digits, 2)
	}
	s = strings.TrimSuffix(s, ".")
	if utf8.ValidString(s) { // ToLower would spoil Latin-1
		s = strings.ToLower(s)
	}
	m, ok := foreignMonths[s]
	return m, ok
}

// foreignMonths are the months that servers print in locales of Europe where
// they differ from English, in UTF-8 and, where that has other bytes, Latin-1.
var foreignMonths = map[string]int{
	"janv": 1, "ene": 1, "gen": 1, "янв": 1,
	"févr": 2, "fév": 2, "f\xe9vr": 2, "f\xe9v": 2, "fev": 2, "фев": 2,
	"mär": 3, "märz": 3, "mrz": 3, "m\xe4r": 3, "m\xe4rz": 3, "mars": 3, "mrt": 3, "мар": 3,
	"avr": 4, "avril": 4, "abr": 4, "апр": 4,
	"mai": 5, "mag": 5, "mei": 5, "maj": 5, "май": 5, "мая": 5,
	"juni": 6, "june": 6, "juin": 6, "giu": 6, "июн": 6,
	"juli": 7, "july": 7, "juil": 7, "lug": 7, "июл": 7,
	"août": 8, "aoû": 8, "ao\xfbt": 8, "ao\xfb": 8, "ago": 8, "авг": 8,
	"sept": 9, "set": 9, "сен": 9, "сент": 9,
	"okt": 10, "ott": 10, "out": 10, "окт": 10,
	"ноя": 11, "нояб": 11,
	"dez": 12, "déc": 12, "d\xe9c": 12, "dic": 12, "des": 12, "дек": 12,
}

// dateOrder is the order of the numbers in a date.
type dateOrder uint8

const (
	yearMonthDay dateOrder = iota
	monthDayYear
	dayMonthYear
)

// numericDate reads three numbers parted by sep. A number of one digit is
// taken, a year has two or four.
func numericDate(s, sep string, order dateOrder, c clock, zone *time.Location) (date, bool) {
	a, b, _ := strings.Cut(s, sep)
	b, d, ok := strings.Cut(b, sep)
	if !ok {
		return date{}, false
	}
	switch order {
	case monthDayYear:
		a, b, d = d, a, b
	case dayMonthYear:
		a, d = d, a
	}
	y, okY := fullYear(a)
	m, okM := number(b, 2)
	dd, okD := number(d, 2)
	if !okY || !okM || !okD {
		return date{}, false
	}
	return on(y, m, dd, c, zone)
}
