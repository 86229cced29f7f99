package listing

import (
	"io/fs"
	"math"
	"strings"
)

// vmsBlock is the size of a disk block in bytes.
const vmsBlock = 512

// vms reads OpenVMS:
//
//	DATA.DIR;1      1/9      2-JUN-1998 07:32:04  [GROUP,OWNER]    (RWE,RWE,RE,)
//	CORE.DIR;1      1        8-SEP-1996 16:09     [SYSTEM]         (RWE,RWE,RE,RE)
//	LOGIN.COM;4     %RMS-E-PRV, insufficient privilege or file protection violation
//
// Sizes are blocks used and, behind a slash, allocated. The bracket of a long
// owner may not be closed. Of a file that the server cannot look into there is
// a name only.
func (l *reading) vms(s string) (Entry, bool) {
	e := Entry{Type: File, Size: -1}
	rest, ok := e.cutVersion(s)
	if !ok {
		return Entry{}, false
	}
	w, rest := word(rest)
	if strings.HasPrefix(w, "%") && len(w) > 1 {
		return e, true
	}
	used, allocated, slash := strings.Cut(w, "/")
	blocks, ok := readSize(used)
	if !ok || slash && !isDigits(allocated) || blocks < 0 || blocks > math.MaxInt64/vmsBlock {
		return Entry{}, false
	}
	e.Size = blocks * vmsBlock
	day, rest := word(rest)
	at, rest := word(rest)
	c, ok := readClock(at)
	if !ok {
		return Entry{}, false
	}
	d, ok := l.vmsDate(day, c)
	if !ok {
		return Entry{}, false
	}
	e.Time, e.Precision = d.Time, d.precision
	rest = strings.TrimSpace(rest)
	if strings.HasPrefix(rest, "[") {
		if rest, ok = e.setUIC(rest[1:]); !ok {
			return Entry{}, false
		}
	}
	if rest != "" && !e.setProtection(rest) {
		return Entry{}, false
	}
	return e, true
}

// cutVersion sets name, version and type from "NAME.TYPE;1". A blank in the
// name has a '^' before it.
func (e *Entry) cutVersion(s string) (rest string, ok bool) {
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '^':
			i++
		case ' ', '\t':
			return "", false
		case ';':
			end := i + 1
			for end < len(s) && s[end] >= '0' && s[end] <= '9' {
				end++
			}
			version, ok := number(s[i+1:end], 9)
			if !ok || i == 0 || end < len(s) && s[end] != ' ' {
				return "", false
			}
			e.Name, e.Version = s[:i], version
			if n := len(e.Name) - len(".DIR"); n >= 0 && strings.EqualFold(e.Name[n:], ".DIR") {
				e.Type = Dir
			}
			return s[end:], true
		}
	}
	return "", false
}

// vmsDate reads "2-JUN-1998".
func (l *reading) vmsDate(s string, c clock) (date, bool) {
	ds, rest, _ := strings.Cut(s, "-")
	ms, ys, _ := strings.Cut(rest, "-")
	d, okD := number(ds, 2)
	m, okM := month(ms)
	y, okY := number(ys, 4)
	if !okD || !okM || !okY || len(ys) != 4 {
		return date{}, false
	}
	return on(y, m, d, c, l.location)
}

// setUIC reads "GROUP,OWNER]" or "OWNER]". A long one has no bracket at its
// end; the protection begins the rest.
func (e *Entry) setUIC(s string) (rest string, ok bool) {
	end := strings.IndexAny(s, "](")
	if end < 0 {
		return "", false
	}
	uic := strings.TrimRight(s[:end], " ")
	rest = strings.TrimLeft(s[end:], "] ")
	for i := range len(uic) {
		switch c := uic[i]; {
		case c|0x20 >= 'a' && c|0x20 <= 'z', c >= '0' && c <= '9':
		case c == '_' || c == '$' || c == ',':
		default:
			return "", false
		}
	}
	group, owner, both := strings.Cut(uic, ",")
	if !both {
		owner, group = group, ""
	}
	e.Owner, e.Group = owner, group
	return rest, true
}

// setProtection reads "(system,owner,group,world)", each of R, W, E, D and some
// more. R, W and E of the last three are the bits of a Unix mode.
func (e *Entry) setProtection(s string) bool {
	inner, open := strings.CutPrefix(strings.TrimSpace(s), "(")
	inner, closed := strings.CutSuffix(inner, ")")
	classes := strings.Split(inner, ",")
	if !open || !closed || len(classes) != 4 {
		return false
	}
	var mode fs.FileMode
	for _, class := range classes {
		mode <<= 3
		for i := range len(class) {
			switch class[i] | 0x20 {
			case 'r':
				mode |= 4
			case 'w':
				mode |= 2
			case 'e':
				mode |= 1
			case 'd', 'c', 'l', 'p':
			default:
				return false
			}
		}
	}
	e.Mode = mode & 0o777 // without the system's
	e.Stated |= FactMode
	return true
}

// vmsNameOnly reports whether s is the first half of a broken entry: a name
// and version, and nothing else.
func vmsNameOnly(s string) bool {
	var e Entry
	rest, ok := e.cutVersion(s)
	return ok && strings.TrimSpace(rest) == ""
}

// vmsNoise reports whether s is the heading or the footing of a listing:
// "Directory USER1:[TEMP]", "Total of 14 files, 27/36 blocks.", "Grand total of
// 2 directories, 14 files".
func vmsNoise(s string) bool {
	first, rest := word(s)
	second, rest := word(rest)
	switch {
	case strings.EqualFold(first, "directory"):
		return strings.Contains(second, "[")
	case strings.EqualFold(first, "grand"):
		return strings.EqualFold(second, "total")
	case strings.EqualFold(first, "total"):
		if strings.EqualFold(second, "of") {
			second, rest = word(rest)
		}
		unit, _ := word(rest)
		return isDigits(second) && strings.HasPrefix(strings.ToLower(unit), "file")
	}
	return false
}
