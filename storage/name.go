package storage

import (
	"path"
	"strings"
)

// CheckName refuses (ErrName) what is not a name of any tree: one that is not
// absolute and clean, or holds NUL.
func CheckName(name string) error {
	if name == "" || name[0] != '/' || strings.IndexByte(name, 0) >= 0 || path.Clean(name) != name {
		return ErrName
	}
	return nil
}

// maxElement is the longest name of one file, in bytes, on most disks.
const maxElement = 255

// CheckNewName refuses (ErrName) what no file should be called from now on:
// beside what CheckName refuses, a last element with control bytes, which
// would break replies and listings, or of more than 255 bytes.
func CheckNewName(name string) error {
	if err := CheckName(name); err != nil {
		return err
	}
	base := name[strings.LastIndexByte(name, '/')+1:]
	if len(base) > maxElement || strings.ContainsFunc(base, isControl) {
		return ErrName
	}
	return nil
}

func isControl(r rune) bool { return r < ' ' || r == 0x7f }
