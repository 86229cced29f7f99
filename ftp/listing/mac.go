package listing

import (
	"math/bits"
	"strconv"
)

// mac reads NetPresenz and its kin, which print the resource fork and the data
// fork of a file in place of links and owner; the size is their sum:
//
//	-rw-r--r--    54149       27826    81975 Jul 22  2010 09.jpg
//	drwxr-xr-x               folder        0 Jan  4 14:51 Steak
//
// Three numbers with another sum are a Unix line without a group.
func (l *reading) mac(s string) (Entry, bool) {
	e, rest, ok := readMode(s)
	if !ok {
		return Entry{}, false
	}
	first, behind := word(rest)
	if e.Type == Dir && first == "folder" {
		rest = behind
	} else {
		second, behind := word(behind)
		third, _ := word(behind)
		if !isSum(first, second, third) {
			return Entry{}, false
		}
		rest = behind
	}
	before, rest, ok := l.sizeAndDate(&e, rest)
	if !ok || before != "" {
		return Entry{}, false
	}
	e.Name, ok = name(rest)
	return e, ok
}

// isSum reports whether a and b are numbers that add up to sum.
func isSum(a, b, sum string) bool {
	if !isDigits(a) || !isDigits(b) || !isDigits(sum) {
		return false
	}
	x, errX := strconv.ParseUint(a, 10, 64)
	y, errY := strconv.ParseUint(b, 10, 64)
	z, errZ := strconv.ParseUint(sum, 10, 64)
	total, carry := bits.Add64(x, y, 0)
	return errX == nil && errY == nil && errZ == nil && carry == 0 && total == z
}
