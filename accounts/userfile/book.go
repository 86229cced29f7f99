package userfile

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"

	"towpath/accounts"
)

// Book is what an accounts file says.
type Book struct {
	defaults section
	users    []section // in the order of the file
}

// section is what one table says: [defaults], or the [user.NAME] of one account.
type section struct {
	// account has the values given and, for a user, the defaults for the rest.
	account *accounts.Account
	// given tells which keys the table has.
	given map[string]bool
}

// Error tells what is wrong with an accounts file, and where.
type Error struct {
	// File is the path of the file, or "".
	File string
	// Line and Column count from 1, columns in bytes.
	Line, Column int
	// Key is the key in question, as "user.alice.home", or "".
	Key string
	Err error
}

func (e *Error) Error() string {
	s := fmt.Sprintf("%d:%d: ", e.Line, e.Column)
	if e.File != "" {
		s = e.File + ":" + s
	}
	if e.Key != "" {
		s += e.Key + ": "
	}
	return s + e.Err.Error()
}

func (e *Error) Unwrap() error { return e.Err }

// Parse reads an accounts file. It tells all that is wrong with it: the error
// is one [*Error], or several joined in the order of their lines.
func Parse(data []byte) (*Book, error) {
	var doc map[string]any
	if err := toml.Unmarshal(data, &doc); err != nil {
		if at, ok := errors.AsType[*toml.DecodeError](err); ok {
			line, column := at.Position()
			return nil, &Error{
				Line: line, Column: column, Key: strings.Join(at.Key(), "."),
				Err: errors.New(strings.TrimPrefix(at.Error(), "toml: ")),
			}
		}
		return nil, &Error{Line: 1, Column: 1, Err: err}
	}
	r := reader{data: data}
	r.entries, r.spots = outline(data)
	book := r.book(doc)
	if len(r.problems) > 0 {
		slices.SortStableFunc(r.problems, func(a, b *Error) int {
			return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
		})
		errs := make([]error, len(r.problems))
		for i, p := range r.problems {
			errs[i] = p
		}
		if len(errs) == 1 {
			return nil, errs[0]
		}
		return nil, errors.Join(errs...)
	}
	return book, nil
}

// Format is the inverse of [Parse]. It writes no comments.
func (b *Book) Format() []byte {
	var out bytes.Buffer
	if len(b.defaults.given) > 0 {
		out.WriteString("[defaults]\n")
		b.defaults.format(&out)
	}
	for _, u := range b.users {
		if out.Len() > 0 {
			out.WriteByte('\n')
		}
		out.WriteString(header(u.account.Name) + "\n")
		u.format(&out)
	}
	return out.Bytes()
}

func (s section) format(out *bytes.Buffer) {
	for _, k := range keys {
		if s.given[k.name] {
			fmt.Fprintf(out, "%s = %s\n", k.name, k.write(s.account))
		}
	}
}

func header(name string) string { return "[user." + quoteKey(name) + "]" }

// Accounts lists the accounts in the order of the file.
func (b *Book) Accounts() []*accounts.Account {
	list := make([]*accounts.Account, len(b.users))
	for i, u := range b.users {
		list[i] = u.account
	}
	return list
}

// Template returns what an account called name is by default: what it would
// be if the file had an empty table for it.
func (b *Book) Template(name string) *accounts.Account {
	return b.template(name, false)
}

// template leaves the default rights to those who have a password.
func (b *Book) template(name string, anyPassword bool) *accounts.Account {
	a := b.defaults.account.Clone()
	a.Name = name
	a.Home = strings.ReplaceAll(a.Home, "{user}", name)
	if anyPassword {
		a.AnyPassword, a.Rights = true, nil
	}
	return a
}

// reader collects what is wrong while it reads.
type reader struct {
	data     []byte
	entries  []entry
	spots    map[string]spot
	problems []*Error
}

func (r *reader) book(doc map[string]any) *Book {
	b := &Book{defaults: section{account: &accounts.Account{}}}
	for name, v := range doc {
		switch name {
		case "defaults":
			if table, ok := r.table(v, name); ok {
				b.defaults = r.section(&accounts.Account{}, table, name)
			}
		case "user":
			continue // the defaults must be known first
		default:
			r.report(errors.New("this key is not known: want [defaults] or [user.NAME]"), true, name)
		}
	}
	users, ok := r.table(doc["user"], "user")
	if !ok {
		return b
	}
	for _, name := range r.names(users) {
		table, ok := r.table(users[name], "user", name)
		if !ok {
			continue
		}
		before := len(r.problems)
		anyPassword, _ := table["any_password"].(bool)
		s := r.section(b.template(name, anyPassword), table, "user", name)
		s.account.Home = strings.ReplaceAll(s.account.Home, "{user}", name)
		if len(r.problems) == before { // else the account is not what was meant
			r.report(s.account.Check(), true, "user", name)
		}
		b.users = append(b.users, s)
	}
	return b
}

// names lists the users in the order of the file.
func (r *reader) names(users map[string]any) []string {
	names := make([]string, 0, len(users))
	for name := range users {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int {
		return cmp.Or(cmp.Compare(r.spot("user", a).key, r.spot("user", b).key), strings.Compare(a, b))
	})
	return names
}

// table reports v if it is not a table. What is not there is an empty one.
func (r *reader) table(v any, path ...string) (map[string]any, bool) {
	if v == nil {
		return nil, true
	}
	table, ok := v.(map[string]any)
	if !ok {
		want := "[defaults]"
		if path[0] == "user" {
			want = "[user.NAME]"
		}
		r.report(errors.New("this is not a table: want "+want), true, path...)
	}
	return table, ok
}

// section reads a table into a, which has the defaults.
func (r *reader) section(a *accounts.Account, table map[string]any, path ...string) section {
	s := section{account: a, given: make(map[string]bool)}
	for name := range table {
		i := slices.IndexFunc(keys, func(k key) bool { return k.name == name })
		switch at := append(path[:len(path):len(path)], name); {
		case i < 0:
			r.report(fmt.Errorf("this key is not known: want one of %s", known(path[0] == "defaults")), true, at...)
		case keys[i].personal && path[0] == "defaults":
			r.report(errors.New("this key belongs to [user.NAME], not to all accounts"), true, at...)
		default:
			s.given[name] = true
			r.report(keys[i].read(a, table[name]), false, at...)
		}
	}
	return s
}

func known(defaults bool) string {
	var names []string
	for _, k := range keys {
		if !defaults || !k.personal {
			names = append(names, k.name)
		}
	}
	return strings.Join(names, ", ")
}

// report notes err, if there is one, at the key or the value of path.
func (r *reader) report(err error, atKey bool, path ...string) {
	if err == nil {
		return
	}
	s := r.spot(path...)
	offset := s.value
	if atKey {
		offset = s.key
	}
	before := r.data[:min(offset, len(r.data))]
	quoted := make([]string, len(path))
	for i, p := range path {
		quoted[i] = quoteKey(p)
	}
	r.problems = append(r.problems, &Error{
		Line:   bytes.Count(before, []byte("\n")) + 1,
		Column: len(before) - bytes.LastIndexByte(before, '\n'),
		Key:    strings.Join(quoted, "."),
		Err:    err,
	})
}

// spot returns where path stands, or where the first key beneath it does: the
// table of a dotted key has no place of its own.
func (r *reader) spot(path ...string) spot {
	if s, ok := r.spots[joined(path)]; ok {
		return s
	}
	for _, e := range r.entries {
		if under(e.path, path...) {
			return spot{e.key, e.key}
		}
	}
	return spot{}
}
