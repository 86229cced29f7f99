package listing

import "strings"

// os400 reads IBM i in naming format 0, and Unix lines, which it prints in
// format 1:
//
//	PEP              4019 04/03/18 18:58:16 *STMF      einladung.zip
//	PEP             36864 04/03/24 14:06:34 *DIR       dir1/
//	QPGMR                                   *MEM       RPGUNITC1.FILE/RUCALLTST.MBR
//
// The order of the date is the job's: dots put the day first; with slashes it
// is the year, until a date makes sense in another order only, which then
// holds for the lines below.
func (l *reading) os400(s string) (Entry, bool) {
	if l.only == OS400 { // else Unix has its own turn
		if e, ok := l.unix(s); ok {
			return e, true
		}
	}
	e := Entry{Type: File, Size: -1}
	owner, rest := word(s)
	if owner == "" || s[0] == ' ' {
		return Entry{}, false
	}
	e.Owner = owner
	object, rest := word(rest)
	if !strings.HasPrefix(object, "*") {
		var ok bool
		if e.Size, ok = readSize(object); !ok {
			return Entry{}, false
		}
		day, behind := word(rest)
		at, behind := word(behind)
		c, ok := readClock(at)
		if !ok {
			return Entry{}, false
		}
		d, ok := l.jobDate(day, c)
		if !ok {
			return Entry{}, false
		}
		e.Time, e.Precision = d.Time, d.precision
		object, rest = word(behind)
		if object == "*MEM" {
			return Entry{}, false
		}
	} else if object != "*MEM" {
		return Entry{}, false // only a member goes without size and date
	}
	e.Name = strings.TrimLeft(rest, " ")
	switch object {
	case "*DIR", "*DDIR", "*LIB", "*FLR":
		e.Type = Dir
	case "*SYMLNK":
		e.Type = Link
	}
	if !strings.HasPrefix(object, "*") || len(object) < 2 {
		return Entry{}, false
	}
	if n, slash := strings.CutSuffix(e.Name, "/"); slash {
		e.Name, e.Type = n, Dir
	}
	return e, e.Name != ""
}

// jobDate reads a date of two-digit or four-digit year in the job's order.
func (l *reading) jobDate(s string, c clock) (date, bool) {
	if strings.Contains(s, ".") {
		return numericDate(s, ".", dayMonthYear, c, l.location)
	}
	sep := "/"
	if strings.Contains(s, "-") {
		sep = "-"
	}
	if d, ok := numericDate(s, sep, l.order, c, l.location); ok {
		return d, true
	}
	for _, order := range [...]dateOrder{yearMonthDay, monthDayYear, dayMonthYear} {
		if d, ok := numericDate(s, sep, order, c, l.location); ok {
			l.order = order
			return d, true
		}
	}
	return date{}, false
}
