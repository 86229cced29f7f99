package explain

import (
	"net/netip"
	"path"
	"slices"
	"time"
)

// Options say what to tell. The zero value tells all but secrets, and extracts
// nothing.
type Options struct {
	// ShowSecrets shows passwords and whatever else may hide one. They are ****
	// otherwise.
	ShowSecrets bool
	// Extract is the directory into which files are written. If empty none are.
	Extract string
	// Hash fills in [Transfer.SHA256]. It is also filled in for what is
	// extracted.
	Hash bool
	// Filter chooses sessions. The zero value takes all.
	Filter Filter
	// MaxSessions is how many sessions are told; what comes behind is counted
	// and said. Default 1,000,000.
	MaxSessions int
	// Told, if it is set, is called with each session soon after nothing that
	// may still come changes what is told of it. If the answer is to let it
	// go, the session is not in the [Story], and is the Teller's again: nothing
	// of it may be kept. So a capture of many sessions is told in little memory.
	//
	// The ID of a session is final in the Story only; before, [Session.Before]
	// tells the order. Told is not called for sessions that others may say
	// more about: those that did not come about, were refused a login, are
	// under TLS, or pass a NAT and are captured on both of its sides. These are
	// always in the Story. Sessions of different captures are paired only if
	// both are kept. With Extract all are kept, and Told is not called.
	Told func(*Session) (keep bool)
}

// Filter chooses sessions: those for which all its fields hold. A field that is
// zero holds always.
type Filter struct {
	// Host is an address at either end, Port a port at either end; that of a
	// data connection counts too.
	Host netip.Prefix
	Port uint16
	// User is a name, File a pattern for paths as path.Match has it.
	User, File string
	// Since and Until are the times between which something must have happened.
	Since, Until time.Time
}

// takes says whether a session is chosen.
func (f *Filter) takes(s *Session) bool {
	if *f == (Filter{}) {
		return true
	}
	if f.User != "" && s.User != f.User {
		return false
	}
	if !f.Since.IsZero() && s.Ended.Time().Before(f.Since) || !f.Until.IsZero() && s.Started.Time().After(f.Until) {
		return false
	}
	ends := []netip.AddrPort{s.Client, s.Server}
	file := f.File == ""
	for _, x := range s.Transfers {
		ends = append(ends, x.From, x.To)
		if !file {
			whole, _ := path.Match(f.File, x.Path)
			base, _ := path.Match(f.File, path.Base(x.Path))
			file = whole || base
		}
	}
	return file &&
		(!f.Host.IsValid() || slices.ContainsFunc(ends, func(a netip.AddrPort) bool { return f.Host.Contains(a.Addr()) })) &&
		(f.Port == 0 || slices.ContainsFunc(ends, func(a netip.AddrPort) bool { return a.Port() == f.Port }))
}
