// Package netrc reads .netrc files, in which FTP clients have found logins since
// 4.2BSD: who to be on which host, by which password.
//
// It finds the file, reads it and looks up in it. It writes none, asks nobody,
// and runs no macros.
package netrc

import (
	"log/slog"
	"strings"
)

// File is what a .netrc file says.
type File struct {
	// Entries are in the order of the file.
	Entries []Entry
}

// Entry is the login of one machine.
type Entry struct {
	// Machine is the host it is for. It is "" for the default, which is for
	// all hosts that have no entry of their own.
	Machine string
	// Login, Password and Account are "" where the file does not say them.
	Login, Password, Account string
	// HasPassword tells an empty password from none.
	HasPassword bool
	// Macros are the macdefs that follow. The one named "init" is for the
	// start of an interactive session.
	Macros []Macro
}

// Macro is a macdef: lines for an interactive client.
type Macro struct {
	Name  string
	Lines []string
}

// Lookup finds the login for a host. If user is not "" then only an entry for
// that user will do, or one that names none. The first entry of the machine
// wins, and only if it has none that will do the first default: so a default
// counts for the rest wherever it stands. Case does not count in host names.
func (f *File) Lookup(host, user string) (Entry, bool) {
	if f == nil {
		return Entry{}, false
	}
	host = strings.TrimSuffix(host, ".")
	for _, machine := range []string{host, ""} {
		for _, e := range f.Entries {
			if strings.EqualFold(e.Machine, machine) && (user == "" || e.Login == "" || e.Login == user) {
				return e, true
			}
		}
	}
	return Entry{}, false
}

// secret reports whether the entry has a password that somebody else should not
// read.
func (e Entry) secret() bool {
	return e.Account != "" || e.Password != "" && e.Login != "anonymous" && e.Login != "ftp"
}

// String returns the entry for people and logs: without password and account.
func (e Entry) String() string {
	s := "default"
	if e.Machine != "" {
		s = "machine " + quote(e.Machine)
	}
	if e.Login != "" {
		s += " login " + quote(e.Login)
	}
	if e.HasPassword {
		s += " password ****"
	}
	if e.Account != "" {
		s += " account ****"
	}
	return s
}

// GoString keeps the password out of %#v, too.
func (e Entry) GoString() string { return "netrc.Entry(" + e.String() + ")" }

// LogValue makes a logged entry hide its password.
func (e Entry) LogValue() slog.Value { return slog.StringValue(e.String()) }
