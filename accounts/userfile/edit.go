package userfile

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"towpath/accounts"
)

// The edits below change the text of one account and leave all other bytes of
// the file, with their comments and order, as they are. What they made is read
// again and compared before it counts; text that cannot be edited in place is
// written anew for this account, and if that fails too nothing is changed.

// ErrShape is told for files that are sound but too artful to edit.
var ErrShape = errors.New("the file is written in a way that cannot be edited for this account: change it by hand")

// add returns text with a table for a new account at its end.
func add(text []byte, a *accounts.Account) ([]byte, error) {
	book, err := Parse(text)
	if err != nil {
		return nil, err
	}
	if book.find(a.Name) != nil {
		return nil, fmt.Errorf("%w: %q", accounts.ErrExists, a.Name)
	}
	next := appendBlock(text, book, a)
	return next, proof(next, append(book.Accounts(), a))
}

// update returns text with the account of a's name changed to a.
func update(text []byte, a *accounts.Account) ([]byte, error) {
	book, err := Parse(text)
	if err != nil {
		return nil, err
	}
	old := book.find(a.Name)
	if old == nil {
		return nil, fmt.Errorf("%w: %q", accounts.ErrNotFound, a.Name)
	}
	want := book.Accounts()
	for i := range want {
		if want[i].Name == a.Name {
			want[i] = a
		}
	}
	if next, ok := setKeys(text, old, a); ok && proof(next, want) == nil {
		return next, nil
	}
	next := appendBlock(cut(text, a.Name), book, a)
	return next, proof(next, want)
}

// remove returns text without the account called name.
func remove(text []byte, name string) ([]byte, error) {
	book, err := Parse(text)
	if err != nil {
		return nil, err
	}
	if book.find(name) == nil {
		return nil, fmt.Errorf("%w: %q", accounts.ErrNotFound, name)
	}
	next := cut(text, name)
	return next, proof(next, slices.DeleteFunc(book.Accounts(), func(a *accounts.Account) bool { return a.Name == name }))
}

func (b *Book) find(name string) *accounts.Account {
	for _, u := range b.users {
		if u.account.Name == name {
			return u.account
		}
	}
	return nil
}

// proof tells whether text says what is wanted, in whatever order.
func proof(text []byte, want []*accounts.Account) error {
	book, err := Parse(text)
	if err != nil {
		return fmt.Errorf("%w (%w)", ErrShape, err)
	}
	if len(book.users) != len(want) {
		return ErrShape
	}
	for _, a := range want {
		if got := book.find(a.Name); got == nil || !same(got, a) {
			return ErrShape
		}
	}
	return nil
}

// same tells whether two accounts are written alike.
func same(a, b *accounts.Account) bool {
	return !slices.ContainsFunc(keys, func(k key) bool { return k.write(a) != k.write(b) })
}

// appendBlock writes a table with all that is not so by default.
func appendBlock(text []byte, book *Book, a *accounts.Account) []byte {
	eol := lineEnd(text)
	var b bytes.Buffer
	b.Write(text)
	if len(text) > 0 {
		if text[len(text)-1] != '\n' {
			b.WriteString(eol)
		}
		if !bytes.HasSuffix(b.Bytes(), []byte("\n"+eol)) {
			b.WriteString(eol)
		}
	}
	b.WriteString(header(a.Name) + eol)
	standard := book.template(a.Name, a.AnyPassword)
	standard.AnyPassword = false
	for _, k := range keys {
		if v := k.write(a); v != k.write(standard) {
			b.WriteString(k.name + " = " + v + eol)
		}
	}
	return b.Bytes()
}

func lineEnd(text []byte) string {
	if bytes.Contains(text, []byte("\r\n")) {
		return "\r\n"
	}
	return "\n"
}

// edit puts text in the place of the bytes from start to end.
type edit struct {
	start, end int
	text       string
}

// apply makes edits that do not overlap.
func apply(text []byte, edits []edit) []byte {
	slices.SortStableFunc(edits, func(a, b edit) int { return cmp.Compare(a.start, b.start) })
	var b bytes.Buffer
	at := 0
	for _, e := range edits {
		if e.start < at {
			e.start = at
		}
		b.Write(text[at:e.start])
		b.WriteString(e.text)
		at = max(at, e.end)
	}
	b.Write(text[at:])
	return b.Bytes()
}

// setKeys writes the values that differ into the table of the account. It
// cannot if a new key has no [user.NAME] to stand under.
func setKeys(text []byte, old, a *accounts.Account) ([]byte, bool) {
	entries, _ := outline(text)
	eol := lineEnd(text)
	var edits []edit
	// New keys go behind the last key of the table, or behind its header.
	behind := -1
	for i, e := range entries {
		if e.header && len(e.path) == 2 && under(e.path, "user", a.Name) {
			behind = e.end
			for _, next := range entries[i+1:] {
				if next.header {
					break
				}
				behind = next.end
			}
		}
	}
	var lines strings.Builder
	for _, k := range keys {
		v := k.write(a)
		if v == k.write(old) {
			continue
		}
		placed := false
		for _, e := range entries {
			if !under(e.path, "user", a.Name, k.name) {
				continue
			}
			if !e.header && len(e.path) == 3 {
				edits = append(edits, edit{e.value, e.end, v})
				placed = true
			} else { // [user.NAME.rights] and what is in it
				edits = append(edits, edit{lineStart(text, e.start), nextLine(text, e.end), ""})
			}
		}
		if !placed {
			if behind < 0 {
				return nil, false
			}
			lines.WriteString(k.name + " = " + v + eol)
		}
	}
	if lines.Len() > 0 {
		at, block := nextLine(text, behind), lines.String()
		if at == len(text) && text[at-1] != '\n' {
			block = eol + block
		}
		edits = append(edits, edit{at, at, block})
	}
	return apply(text, edits), true
}

// cut takes out all that is said of an account: its tables and the comment
// right above them, or the lines that name it in other tables.
func cut(text []byte, name string) []byte {
	entries, _ := outline(text)
	var edits []edit
	for i, e := range entries {
		if !under(e.path, "user", name) {
			continue
		}
		start, end := lineStart(text, e.start), nextLine(text, e.end)
		if e.header {
			start = commentAbove(text, start)
		}
		if last := i+1 == len(entries) || entries[i+1].header; last {
			end = tail(text, end)
		} else if under(entries[i+1].path, "user", name) {
			end = max(end, lineStart(text, entries[i+1].start)) // comments between its keys
		}
		edits = append(edits, edit{start, end, ""})
	}
	return apply(text, edits)
}

// commentAbove returns where the lines of comment begin that stand right above
// start. A comment on top of the file speaks of all of it.
func commentAbove(text []byte, start int) int {
	at := start
	for at > 0 {
		above := lineStart(text, at-1)
		if !isComment(text[above:at]) {
			return at
		}
		at = above
	}
	return start
}

// tail returns the end of the comment that follows the last key of a table, up
// to a blank line, which it takes along. A comment that runs on into the next
// header belongs to that.
func tail(text []byte, end int) int {
	at := end
	for at < len(text) && isComment(text[at:nextLine(text, at)]) {
		at = nextLine(text, at)
	}
	switch {
	case at == len(text):
		return at
	case len(bytes.TrimSpace(text[at:nextLine(text, at)])) == 0:
		return nextLine(text, at)
	}
	return end
}

func isComment(line []byte) bool {
	return bytes.HasPrefix(bytes.TrimLeft(line, " \t"), []byte("#"))
}

func lineStart(text []byte, at int) int { return bytes.LastIndexByte(text[:at], '\n') + 1 }

func nextLine(text []byte, at int) int {
	if i := bytes.IndexByte(text[at:], '\n'); i >= 0 {
		return at + i + 1
	}
	return len(text)
}
