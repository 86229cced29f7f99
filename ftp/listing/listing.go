// Package listing writes and reads directory listings: what LIST and MLSD send
// over a data connection, in every dialect that servers speak.
//
// It is pure: bytes in, values out. It opens no connection, resolves no path
// and converts no charset; names are the bytes that the server sent.
//
// # Writing
//
// [AppendMLSx] (RFC 3659), [AppendUnix] (ls -l) and [AppendDOS] (IIS) append one
// line with its CRLF and allocate nothing. One entry is always one line: bytes
// below 0x20 and 0x7F in a name or link target are written as \xNN. The
// backslash itself is not escaped, so such a name reads well and cannot be asked
// for; a server that refuses control bytes in new names never sends one.
//
// # Reading
//
// [Read] yields the entries of a listing one at a time, and finds out by itself
// what dialect each line is in. A line is read whole or refused whole: what it
// cannot read comes out as a [*LineError] in its place, and reading goes on. It
// skips in silence only what is known to be no entry: blank lines, "total 12",
// and the headings and footers of VMS and MVS.
//
// The names are the server's word. They may hold "/", be ".." or come twice;
// whoever writes to a disk by them must look first.
//
// # Choices
//
// Where servers are vague, or other readers disagree, this one takes the
// following view:
//
//   - A device, FIFO or socket is a [File]: it has a name that RETR may try.
//     What it is stands in Mode. Its "major, minor" is no size: Size is -1.
//   - A date without year is the latest such date that is not more than a day
//     after now, for clocks differ. 29 February goes back to a leap year.
//   - A date without time is midnight; Precision says that it is a day. A year
//     of two digits is 1970 to 2069.
//   - In ls -l one blank parts date and name; all others belong to the name.
//     The owner ends at the first double blank, else at the first blank; the
//     group is what is left before the size, and may hold blanks.
//   - The arrow of a symbolic link is the one behind which as many bytes stand
//     as the size says, else the first.
//   - A DOS or OS/2 directory has size 0, as nothing else is said of it.
//   - VMS sizes are blocks of 512 bytes as used (not as allocated). The version
//     is taken off the name into Version; ".DIR" stays in the name.
//   - MVS data sets and members have no size in bytes: Size is -1. The date of
//     a data set is the day it was last referred to, as none other is given.
//   - A Mac's 18446744073709551615 is -1 seen without its sign: not known.
package listing

import (
	"io/fs"
	"time"
)

// Entry is one line of a listing: a file, directory or link, and what is known
// of it. Size must be set to -1 when it is not known; for every other field the
// zero value says so.
type Entry struct {
	// Name is the file's name in bytes as on the wire. MLST and MLSD may give
	// a path.
	Name string
	Type Type
	// Size is in bytes, -1 when not known. What a server says here of a
	// directory has no meaning.
	Size int64
	// Time is the time of last modification. AppendUnix and AppendDOS show it
	// in its own location, AppendMLSx in UTC.
	Time time.Time
	// Precision is how exact a reader found Time to be: a day, a minute, a
	// second, or less. Writers ignore it.
	Precision time.Duration
	// Created is the time of creation.
	Created time.Time
	// Mode holds permission bits, ModeSetuid, ModeSetgid, ModeSticky, and the
	// type bits of a device, FIFO or socket. Whether a directory or link is
	// meant is for Type alone to say. After reading it counts only when Stated
	// has FactMode.
	Mode fs.FileMode
	// Perm is what the current user may do, RFC 3659 7.5.5. After reading it
	// counts only when Stated has FactPerm.
	Perm  Perm
	Owner string
	Group string
	// Links is the number of hard links.
	Links int
	// Target is where a symbolic link leads.
	Target string
	// Unique names the file behind the name. When it is empty and Inode is
	// not zero, AppendMLSx makes one out of Device and Inode.
	Unique        string
	Device, Inode uint64
	// MediaType is a MIME type.
	MediaType string
	// Version is the VMS version of the file, from 1.
	Version int
	// Stated has the facts that a reader found in the line. Writers ignore it.
	Stated Facts
}

// Type says what can be done with an entry.
type Type uint8

const (
	// Other is of a kind not said or not known (a migrated MVS data set, an
	// MLSx line without type).
	Other Type = iota
	// File can be read or written, even when Mode says it is a device.
	File
	// Dir can be listed.
	Dir
	// Link is a symbolic link that nobody followed.
	Link
	// CDir is the directory that is being listed, PDir one above it (MLSx).
	CDir
	PDir
)

var typeNames = [...]string{"other", "file", "dir", "link", "cdir", "pdir"}

// String returns "other", "file", "dir", "link", "cdir" or "pdir".
func (t Type) String() string {
	if int(t) < len(typeNames) {
		return typeNames[t]
	}
	return typeNames[Other]
}

// IsDir reports whether t is Dir, CDir or PDir.
func (t Type) IsDir() bool { return t == Dir || t == CDir || t == PDir }

// Perm is a set of the permissions of RFC 3659 7.5.5.
type Perm uint16

const (
	PermAppend Perm = 1 << iota // a: APPE to this file
	PermCreate                  // c: STOR or STOU into this directory
	PermDelete                  // d: DELE or RMD this
	PermEnter                   // e: CWD into this directory
	PermRename                  // f: RNFR this
	PermList                    // l: LIST, NLST, MLSD this directory
	PermMake                    // m: MKD in this directory
	PermPurge                   // p: delete what is in this directory
	PermRead                    // r: RETR this file
	PermWrite                   // w: STOR over this file
)

const permLetters = "acdeflmprw"

// ParsePerm reads the value of a perm fact, "adfrw". Letters are taken in any
// case; those that RFC 3659 does not know are ignored, as it asks for.
func ParsePerm(s string) Perm {
	var p Perm
	for i := range len(s) {
		for j := range len(permLetters) {
			if s[i]|0x20 == permLetters[j] {
				p |= 1 << j
			}
		}
	}
	return p
}

// String is the inverse of [ParsePerm].
func (p Perm) String() string { return string(p.append(nil)) }

func (p Perm) append(b []byte) []byte {
	for j := range len(permLetters) {
		if p&(1<<j) != 0 {
			b = append(b, permLetters[j])
		}
	}
	return b
}

// appendName writes a name or link target so that it cannot end the line.
func appendName(b []byte, s string) []byte {
	const hex = "0123456789ABCDEF"
	from := 0
	for i := range len(s) {
		if c := s[i]; c < ' ' || c == 0x7f {
			b = append(b, s[from:i]...)
			b = append(b, '\\', 'x', hex[c>>4], hex[c&15])
			from = i + 1
		}
	}
	return append(b, s[from:]...)
}

// appendWord writes s as one word: a byte that could end the word, the fact or
// the line becomes '_'.
func appendWord(b []byte, s string) []byte {
	for i := range len(s) {
		c := s[i]
		if c <= ' ' || c == 0x7f || c == ';' {
			c = '_'
		}
		b = append(b, c)
	}
	return b
}

// appendPadded writes v in decimal, right-aligned to width by pad.
func appendPadded(b []byte, v int64, width int, pad byte) []byte {
	var digits [20]byte
	i := len(digits)
	for u := uint64(max(v, 0)); u > 0 || i == len(digits); u /= 10 {
		i--
		digits[i] = byte('0' + u%10)
	}
	for n := len(digits) - i; n < width; n++ {
		b = append(b, pad)
	}
	return append(b, digits[i:]...)
}

// append2 writes v, 0 to 99, with two digits.
func append2(b []byte, v int) []byte { return append(b, byte('0'+v/10), byte('0'+v%10)) }

// append4 writes v, 0 to 9999, with four digits.
func append4(b []byte, v int) []byte { return append2(append2(b, v/100), v%100) }
