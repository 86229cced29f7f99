package accounts

import (
	"fmt"
	"strings"
)

// Rights say what may be done with a path. They are bits.
type Rights uint16

// The rights, in the order of their words.
const (
	List   Rights = 1 << iota // see names and facts
	Read                      // download
	Write                     // make and replace files
	Append                    // add to files
	Delete                    // remove files
	Rename                    // rename files and directories
	Mkdir                     // make directories
	Rmdir                     // remove directories
	Chmod                     // change permissions
	Times                     // change times
	Copy                      // copy on the server, besides Read and Write
	Link                      // make symbolic links
	Admin                     // see the sessions of others; not among All

	ReadOnly = List | Read
	All      = List | Read | Write | Append | Delete | Rename | Mkdir | Rmdir | Chmod | Times | Copy | Link
)

// rightWords are the words of the rights, by bit.
var rightWords = [...]string{
	"list", "read", "write", "append", "delete", "rename", "mkdir", "rmdir",
	"chmod", "times", "copy", "link", "admin",
}

// ParseRights reads words as "list", parted by blanks or commas, and adds them
// up. The words readonly, all and none stand for several.
func ParseRights(s string) (Rights, error) {
	words := strings.FieldsFunc(s, func(r rune) bool { return r == ' ' || r == ',' })
	if len(words) == 0 {
		return 0, fmt.Errorf("rights %q: want none, readonly, all or words of: %s", s, strings.Join(rightWords[:], " "))
	}
	var sum Rights
	for _, w := range words {
		r, ok := right(w)
		if !ok {
			return 0, fmt.Errorf("right %q: want none, readonly, all or words of: %s", w, strings.Join(rightWords[:], " "))
		}
		sum |= r
	}
	return sum, nil
}

func right(word string) (Rights, bool) {
	switch word {
	case "none":
		return 0, true
	case "readonly":
		return ReadOnly, true
	case "all":
		return All, true
	}
	for bit, w := range rightWords {
		if w == word {
			return 1 << bit, true
		}
	}
	return 0, false
}

// Words returns the shortest words that [ParseRights] reads as r.
func (r Rights) Words() []string {
	switch {
	case r == 0:
		return []string{"none"}
	case r == ReadOnly:
		return []string{"readonly"}
	case r&All == All:
		return append([]string{"all"}, (r &^ All).each()...)
	}
	return r.each()
}

func (r Rights) each() []string {
	var words []string
	for bit, w := range rightWords {
		if r&(1<<bit) != 0 {
			words = append(words, w)
		}
	}
	return words
}

// String is the inverse of [ParseRights].
func (r Rights) String() string { return strings.Join(r.Words(), " ") }
