package listing

import (
	"strconv"
	"strings"
	"time"
)

// eplf reads Bernstein's format: facts that each end in a comma, a tab, the
// name. Unknown facts are left out, as the format asks for.
//
//	+i8388621.48594,m825718503,r,s280,up644,	djb.html
func (l *reading) eplf(s string) (Entry, bool) {
	facts, name, ok := strings.Cut(s, "\t")
	facts, plus := strings.CutPrefix(facts, "+")
	if !ok || !plus || name == "" {
		return Entry{}, false
	}
	e := Entry{Name: name, Size: -1}
	for f := range strings.SplitSeq(facts, ",") {
		if f == "" {
			continue
		}
		kind, value := f[0], f[1:]
		ok := true
		switch {
		case f == "/":
			e.Type = Dir
		case f == "r" && e.Type != Dir:
			e.Type = File
		case kind == 's':
			e.Size, ok = readSize(value)
		case kind == 'm':
			e.Time, ok = readUnixTime(value)
			e.Precision = second
		case kind == 'i':
			e.Unique = value
		case strings.HasPrefix(f, "up"):
			m, err := strconv.ParseUint(f[2:], 8, 12)
			e.Mode, ok = fileMode(uint32(m)), err == nil
			e.Stated |= FactMode
		}
		if !ok {
			return Entry{}, false
		}
	}
	return e, true
}

// readUnixTime reads seconds since 1970, up to the year 9999.
func readUnixTime(s string) (time.Time, bool) {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 0 || n > 253402300799 {
		return time.Time{}, false
	}
	return time.Unix(n, 0).UTC(), true
}
