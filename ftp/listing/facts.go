package listing

import (
	"fmt"
	"strings"
)

// Facts is a set of the facts that MLST and MLSD can give (RFC 3659 7.5).
type Facts uint16

const (
	FactType      Facts = 1 << iota // type
	FactSize                        // size, never of a directory
	FactModify                      // modify
	FactCreate                      // create
	FactPerm                        // perm
	FactUnique                      // unique
	FactMode                        // unix.mode
	FactOwner                       // unix.owner
	FactGroup                       // unix.group
	FactMediaType                   // media-type
)

// DefaultFacts is what a server sends before any OPTS MLST.
const DefaultFacts = FactType | FactSize | FactModify | FactPerm

// AllFacts is every fact that this package can write.
const AllFacts = 1<<10 - 1

// factNames is in the order of the bits.
var factNames = [...]string{
	"type", "size", "modify", "create", "perm", "unique",
	"unix.mode", "unix.owner", "unix.group", "media-type",
}

// factOf returns the fact of that name in any case, or 0.
func factOf(name string) Facts {
	for i, n := range factNames {
		if strings.EqualFold(n, name) {
			return 1 << i
		}
	}
	return 0
}

// ParseFacts reads the list of OPTS MLST, "type;size;modify;" (RFC 3659 7.9).
// Names are taken in any case, and those not known are left out, as the RFC
// asks for. The last ";" may be missing. An empty list is no facts at all.
func ParseFacts(s string) (Facts, error) {
	offered, _, err := parseFacts(s, false)
	return offered, err
}

// String is the inverse of [ParseFacts].
func (f Facts) String() string { return formatFacts(f, 0) }

// OptsReply returns the text of the 200 that answers OPTS MLST: "MLST OPTS"
// and the facts that are now selected, "MLST OPTS type;size;".
func (f Facts) OptsReply() string { return strings.TrimSuffix("MLST OPTS "+f.String(), " ") }

// ParseFeature reads the facts of the MLST line of a FEAT reply,
// "type*;size*;modify*;unique;". Those with a star are selected.
func ParseFeature(s string) (offered, selected Facts, err error) {
	return parseFacts(s, true)
}

// FormatFeature is the inverse of [ParseFeature]; what is selected and not
// offered is left out.
func FormatFeature(offered, selected Facts) string { return formatFacts(offered, selected) }

func parseFacts(s string, stars bool) (all, starred Facts, err error) {
	for item := range strings.SplitSeq(strings.TrimSuffix(s, ";"), ";") {
		name := item
		if stars {
			name = strings.TrimSuffix(item, "*")
		}
		if strings.ContainsAny(name, " *=\t\r\n") || name == "" && s != "" {
			return 0, 0, fmt.Errorf("fact list %q: %q is no fact name; want a list like %q", s, item, "type;size;modify;")
		}
		fact := factOf(name)
		all |= fact
		if name != item {
			starred |= fact
		}
	}
	return all, starred, nil
}

func formatFacts(all, starred Facts) string {
	var b strings.Builder
	for i, n := range factNames {
		fact := Facts(1) << i
		if all&fact == 0 {
			continue
		}
		b.WriteString(n)
		if starred&fact != 0 {
			b.WriteByte('*')
		}
		b.WriteByte(';')
	}
	return b.String()
}
