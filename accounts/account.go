// Package accounts says who may log in to a file server and what they may do.
//
// Its one idea is the [Account], found by name in a [Store] and let in through
// one door, the [Authenticator], which tells a stranger nothing: not whether a
// name exists, not whether an account is blocked, and not by the time it takes.
//
// It speaks no FTP and touches no files of users. How accounts are kept
// belongs to accounts/userfile and its sisters; joining an account to a
// session belongs to whoever runs the server.
package accounts

import (
	"errors"
	"fmt"
	"net/netip"
	"path"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Account is one who may log in. Its zero value may not: without a password
// hash nobody enters. Values of zero put no limit unless a field says
// otherwise.
type Account struct {
	// Name is what USER says. See [CheckName].
	Name string
	// Hash is the password hash, see [Check]. Empty: no login.
	Hash string
	// AnyPassword lets in whoever knows the name: an anonymous account. It may
	// have no Hash and no rights but [ReadOnly].
	AnyPassword bool
	// State tells whether the account may be used.
	State State
	// Home is the directory that the user sees as "/". Empty: as the server
	// chooses.
	Home string
	// Rights say what may be done where. Empty: [ReadOnly] everywhere.
	Rights Rules
	// Privilege is a level for whoever asks for one; higher is more.
	Privilege int
	// AccessLimit is how many sessions the account may have at once.
	AccessLimit int
	// IdleTimeout ends a session that does nothing. 0: as the server says.
	IdleTimeout time.Duration
	// Networks are those from which the account may be used. Empty: all.
	Networks []netip.Prefix
	// RequireTLS refuses logins and data in clear text.
	RequireTLS bool
	// Quota limits what the account may store.
	Quota Quota
	// UploadRate and DownloadRate limit a session, in bytes per second.
	UploadRate, DownloadRate int64
	// Charset names the character set of file names on the wire, for clients
	// that do not speak UTF-8. Empty: UTF-8.
	Charset string
	// Greeting is shown after the login; lines are parted by \n.
	Greeting string
	// Comment is for those who keep the accounts.
	Comment string
}

// State tells whether an account may be used.
type State int

// The states.
const (
	Active State = iota
	Blocked
)

// ParseState reads "active" or "block".
func ParseState(s string) (State, error) {
	switch s {
	case "active":
		return Active, nil
	case "block":
		return Blocked, nil
	}
	return 0, fmt.Errorf(`state %q: want "active" or "block"`, s)
}

// String is the inverse of [ParseState].
func (s State) String() string {
	switch s {
	case Active:
		return "active"
	case Blocked:
		return "block"
	}
	return fmt.Sprintf("State(%d)", int(s))
}

// maxName is the longest name, in bytes: a name may become a directory, and
// file systems end there.
const maxName = 255

// CheckName tells what is wrong with the name of an account. A name may become
// part of a path, so it has no slashes, braces or control characters, is
// neither "." nor "..", and neither begins nor ends with a blank.
func CheckName(name string) error {
	switch {
	case name == "":
		return errors.New("account name is empty")
	case len(name) > maxName:
		return fmt.Errorf("account name %.20q… has %d bytes: want at most %d", name, len(name), maxName)
	case !utf8.ValidString(name):
		return fmt.Errorf("account name %q is not UTF-8", name)
	case name == "." || name == "..":
		return fmt.Errorf("account name %q means a directory", name)
	case strings.TrimSpace(name) != name:
		return fmt.Errorf("account name %q begins or ends with a blank", name)
	}
	for _, r := range name {
		if unicode.IsControl(r) || strings.ContainsRune(`/\{}`, r) {
			return fmt.Errorf(`account name %q has %q in it: want no / \ { } and no control characters`, name, r)
		}
	}
	return nil
}

// Check tells the first thing that is wrong with a, naming the value and what
// would be right.
func (a *Account) Check() error {
	if err := CheckName(a.Name); err != nil {
		return err
	}
	if a.AnyPassword && a.Hash != "" {
		return fmt.Errorf("account %q takes any password and yet has one: want only one of the two", a.Name)
	}
	if a.Hash != "" {
		if err := CheckHash(a.Hash); err != nil {
			return fmt.Errorf("account %q: %w", a.Name, err)
		}
	}
	if a.State != Active && a.State != Blocked {
		return fmt.Errorf("account %q: %v is no state", a.Name, a.State)
	}
	if err := a.Rights.Check(); err != nil {
		return fmt.Errorf("account %q: %w", a.Name, err)
	}
	if a.AnyPassword {
		for _, rule := range a.Rights {
			if more := rule.Rights &^ ReadOnly; more != 0 {
				return fmt.Errorf("account %q takes any password and may %v in %s: want readonly", a.Name, more, rule.Path)
			}
		}
	}
	for _, n := range []struct {
		what  string
		value int64
	}{
		{"privilege", int64(a.Privilege)},
		{"access limit", int64(a.AccessLimit)},
		{"idle time-out", int64(a.IdleTimeout)},
		{"quota of bytes", a.Quota.Bytes},
		{"quota of files", a.Quota.Files},
		{"upload rate", a.UploadRate},
		{"download rate", a.DownloadRate},
	} {
		if n.value < 0 {
			return fmt.Errorf("account %q: %s %d: want 0 or more", a.Name, n.what, n.value)
		}
	}
	for _, network := range a.Networks {
		if !network.IsValid() || network != network.Masked() {
			return fmt.Errorf("account %q: %v is no network", a.Name, network)
		}
	}
	for what, s := range map[string]string{"home": a.Home, "charset": a.Charset, "greeting": a.Greeting, "comment": a.Comment} {
		if !utf8.ValidString(s) || strings.ContainsRune(s, 0) {
			return fmt.Errorf("account %q: %s %q is not text", a.Name, what, s)
		}
	}
	return nil
}

// Clone returns a copy that shares nothing with a.
func (a *Account) Clone() *Account {
	c := *a
	c.Rights = slices.Clone(a.Rights)
	c.Networks = slices.Clone(a.Networks)
	return &c
}

// admits tells why the account may not be used by one who comes from peer, or
// "" if it may.
func (a *Account) admits(peer netip.Addr, tls bool) string {
	peer = peer.Unmap().WithZone("")
	switch {
	case a.State != Active:
		return "the account is blocked"
	case a.RequireTLS && !tls:
		return "the account requires TLS"
	case len(a.Networks) > 0 && !slices.ContainsFunc(a.Networks, func(n netip.Prefix) bool { return n.Contains(peer) }):
		return "the account may not be used from " + peer.String()
	}
	return ""
}

// ParseNetwork reads a network as "192.0.2.0/24", or one address as
// "192.0.2.7".
func ParseNetwork(s string) (netip.Prefix, error) {
	if addr, err := netip.ParseAddr(s); err == nil && addr.Zone() == "" {
		addr = addr.Unmap()
		return netip.PrefixFrom(addr, addr.BitLen()), nil
	}
	n, err := netip.ParsePrefix(s)
	if err != nil || n.Addr().Is4In6() {
		return netip.Prefix{}, fmt.Errorf("network %q: want an address or a network such as 192.0.2.0/24 or 2001:db8::/32", s)
	}
	if n != n.Masked() {
		return netip.Prefix{}, fmt.Errorf("network %q has bits behind its length: want %v or %v", s, n.Masked(), n.Addr())
	}
	return n, nil
}

// FormatNetwork is the inverse of [ParseNetwork].
func FormatNetwork(n netip.Prefix) string {
	if n.IsSingleIP() {
		return n.Addr().String()
	}
	return n.String()
}

// Rules say what may be done by path. The rule with the longest path that
// holds a path counts, alone; a path that none holds allows nothing. No rules
// at all mean [ReadOnly] everywhere.
//
// Paths are those the user sees and are compared byte by byte: on a disk that
// does not tell "Secret" from "secret", a rule that takes rights away from one
// of them does not take them from the other.
type Rules []Rule

// Rule gives rights to a path and all beneath it.
type Rule struct {
	// Path is absolute and clean, as "/incoming".
	Path   string
	Rights Rights
}

// At says what may be done with name, a path as the user sees it.
func (rules Rules) At(name string) Rights {
	if len(rules) == 0 {
		return ReadOnly
	}
	name = path.Clean("/" + name)
	var best Rule
	for _, r := range rules {
		if len(r.Path) > len(best.Path) && r.holds(name) {
			best = r
		}
	}
	return best.Rights
}

func (r Rule) holds(name string) bool {
	rest, ok := strings.CutPrefix(name, r.Path)
	return ok && (rest == "" || rest[0] == '/' || r.Path == "/")
}

// Check tells the first thing that is wrong with the rules.
func (rules Rules) Check() error {
	seen := make(map[string]bool, len(rules))
	for _, r := range rules {
		switch {
		case !utf8.ValidString(r.Path) || strings.ContainsFunc(r.Path, unicode.IsControl):
			return fmt.Errorf("rights for %q: the path has control characters or is not UTF-8", r.Path)
		case r.Path != path.Clean("/"+r.Path):
			return fmt.Errorf("rights for %q: want an absolute path as the user sees it, such as %q", r.Path, path.Clean("/"+r.Path))
		case seen[r.Path]:
			return fmt.Errorf("rights for %q are given twice", r.Path)
		case r.Rights&^(All|Admin) != 0:
			return fmt.Errorf("rights for %q: %#x are no rights", r.Path, uint16(r.Rights))
		}
		seen[r.Path] = true
	}
	return nil
}
