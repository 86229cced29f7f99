package shell

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// Completion is what can stand at the end of a line.
type Completion struct {
	// Start is where the word begins that is completed.
	Start int
	// Names are what the word can become, unquoted. One that ends in a slash
	// can be gone on with.
	Names []string
	// Hint says why there are none, or not all.
	Hint string
}

// Complete returns the line with as much of the last word as is certain, and the
// names that are possible if that is not the whole.
func (c Completion) Complete(line string) (string, []string) {
	names := slices.Compact(slices.Sorted(slices.Values(c.Names)))
	switch len(names) {
	case 0:
		return line, nil
	case 1:
		line = line[:c.Start] + Quote(names[0])
		if !strings.HasSuffix(names[0], "/") {
			line += " "
		}
		return line, nil
	}
	if p := commonPrefix(names); p != "" {
		return line[:c.Start] + Quote(p), names
	}
	return line, names
}

// commonPrefix is what all names begin with, in whole characters.
func commonPrefix(names []string) string {
	p := names[0]
	for _, n := range names[1:] {
		i := 0
		for i < len(p) && i < len(n) && p[i] == n[i] {
			i++
		}
		p = p[:i]
	}
	for p != "" {
		r, n := utf8.DecodeLastRuneInString(p)
		if r != utf8.RuneError || n != 1 || len(p) < len(names[0]) && utf8.RuneStart(names[0][len(p)]) {
			break
		}
		p = p[:len(p)-1]
	}
	return p
}
