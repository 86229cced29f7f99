// Package sandbox takes from the process what it no longer needs once its
// listeners are open: the rights of root, the hope to gain new ones, and all
// files but those it serves.
//
// It does not decide what is needed; the caller says so in a [Plan]. It binds
// no ports, and what the service manager can do from outside (system call
// filters, private /tmp) is left to the units in deploy/systemd.
package sandbox

import (
	"fmt"
	"log/slog"
)

// Plan says what the process keeps. The zero value keeps the user, forbids new
// privileges, and leaves the files alone.
type Plan struct {
	// User and Group, by name or number, are whom the process becomes. Group
	// defaults to the primary group of User. Both empty: it stays who it is.
	User, Group string
	// LowPorts keeps the right to bind ports below 1024 under another user.
	// Active mode from port 20 needs it: each data connection is bound to that
	// port anew. Linux only.
	LowPorts bool
	// Rules keeps the right to change the rules and routes of the network
	// namespace under another user (CAP_NET_ADMIN): each pinhole is such a
	// change. Linux only.
	Rules bool
	// Files is how many descriptors are wanted; 0 means what the limits allow.
	Files uint64
	// Write are directories whose files may be read, written, renamed and
	// removed; Read are files and directories that may be read. Together they
	// are all that remains visible, beside what the system's own look-ups need
	// (/etc, the resolver's directory, time zones). For a file its directory counts, and the one a
	// symbolic link leads to: programs replace files by renaming.
	//
	// Both empty: files are not confined. Rules can never be widened later; a
	// tree that a reload adds must lie below one that is named here.
	Write, Read []string
}

// Report says what [Enter] did.
type Report struct {
	// User is who the process now is, "joe(1000):staff(50)", or empty when it
	// stays who it was.
	User            string
	LowPorts, Rules bool
	// NoNewPrivileges: no program that is started from here gains any.
	NoNewPrivileges bool
	// Files is how many descriptors can be open, 0 where there is no limit.
	Files uint64
	// Confined tells whether only the planned files are visible, Confinement
	// says how, or why not.
	Confined    bool
	Confinement string
}

// LogValue shows the report as attributes.
func (r Report) LogValue() slog.Value {
	user := r.User
	if user == "" {
		user = "unchanged"
	}
	return slog.GroupValue(
		slog.String("user", user),
		slog.Bool("low_ports", r.LowPorts),
		slog.Bool("rules", r.Rules),
		slog.Bool("no_new_privileges", r.NoNewPrivileges),
		slog.Uint64("files", r.Files),
		slog.Bool("confined", r.Confined),
		slog.String("confinement", r.Confinement),
	)
}

// Enter carries out a plan, in the order that works: descriptors while root,
// then the user, and the files last, because from then on nothing else of the
// system can be reached. It is called once, when all listeners are open.
//
// After an error the process may be half way and must end.
func Enter(p Plan) (Report, error) {
	var r Report
	var err error
	if r.Files, err = raiseFiles(p.Files); err != nil {
		return r, err
	}
	if p.User != "" || p.Group != "" {
		id, err := Lookup(p.User, p.Group)
		if err != nil {
			return r, err
		}
		if err := become(id, p.LowPorts, p.Rules); err != nil {
			return r, fmt.Errorf("become user %v: %w", id, err)
		}
		r.User, r.LowPorts, r.Rules = id.String(), p.LowPorts, p.Rules
	}
	if r.NoNewPrivileges, err = forbidPrivileges(); err != nil {
		return r, err
	}
	if len(p.Write)+len(p.Read) == 0 {
		r.Confinement = "not asked for"
		return r, nil
	}
	r.Confined, r.Confinement, err = confine(p.Write, p.Read)
	return r, err
}
