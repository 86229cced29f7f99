// Package serverside looks at an FTP server from its own side: at its
// settings, and at the machine that it runs on. What stands between it and its
// clients elsewhere it cannot see, and does not claim to.
//
// It changes nothing: it binds addresses for a moment to see whether they are
// free, and reads the rules of the kernel where it may.
package serverside

import (
	"context"
	"net/netip"
	"slices"
	"strings"

	"towpath/doctor/check"
	"towpath/internal/config"
	"towpath/internal/config/foreign"
	"towpath/internal/words"
)

// Subject is the server that is looked at.
type Subject struct {
	// Name stands in the report: a file, most often.
	Name string
	// Server is whose settings they are, "" for ours.
	Server foreign.Server
	Config config.Config
	// Wrong is what the settings themselves say wrong, a line each.
	Wrong []string
}

// Ours is a server with settings of Towpath; err is what [config.Load] said of
// them.
func Ours(s *config.Settings, err error) Subject {
	o := Subject{Name: strings.Join(s.Read, ", "), Config: s.Config}
	if o.Name == "" {
		o.Name = "towpath serve"
	}
	if err != nil {
		o.Wrong = strings.Split(strings.TrimSpace(err.Error()), "\n")
	}
	return o
}

// Theirs is a server with settings of another program.
func Theirs(name string, m *foreign.Import) Subject {
	s := Subject{Name: name, Server: m.Server, Config: m.Config()}
	keys := []string{"listen", "passive.enable", "passive.ports", "active.", "tls."}
	for _, t := range s.Config.Passive.External {
		if _, err := netip.ParseAddr(t.Address); err != nil { // an address is looked at by told-address
			keys = append(keys, "passive.external")
		}
	}
	s.Wrong = m.Wrong(keys...)
	return s
}

// Options say how to look. The zero value looks at everything.
type Options struct {
	Lang words.Lang
	// Cheap asks nobody and reads no rules: it looks at the settings, the
	// interfaces and the certificates.
	Cheap bool
}

// Look looks at the server on that machine.
func Look(ctx context.Context, s Subject, m Machine, o Options) *check.Report {
	l := &look{Subject: s, Machine: m, lang: o.Lang, cheap: o.Cheap, report: &check.Report{Subject: s.Name}}
	if !o.Cheap {
		l.rules, l.unread = m.Rules()
	}
	for _, row := range table {
		if o.Cheap && !row.cheap {
			continue
		}
		l.name = row.name
		row.run(ctx, l)
	}
	l.report.Verdict = l.verdict()
	return l.report
}

// table is all that is looked at. A check is put so that yes is well.
var table = []struct {
	name  string
	cheap bool
	run   func(context.Context, *look)
}{
	{"settings", true, settings},
	{"listen-address", true, listenAddress},
	{"listen-free", false, listenFree},
	{"passive-range", true, passiveRange},
	{"passive-free", false, passiveFree},
	{"told-address", true, toldAddress},
	{"firewall-control", false, firewallControl},
	{"firewall-passive", false, firewallPassive},
	{"helper-external", false, helperExternal},
	{"helper-port", false, helperPort},
	{"certificate", true, certificate},
}

// look is what is known so far.
type look struct {
	Subject
	Machine
	lang   words.Lang
	cheap  bool
	name   string // of the check that is made
	report *check.Report
	rules  Rules
	unread error // why there are no rules
}

// found adds a check. A hint is for what is not well.
func (l *look) found(a check.Answer, minor bool, evidence, hint words.Phrase) {
	c := check.Check{Name: l.name, Answer: a, Minor: minor, Evidence: evidence.In(l.lang)}
	if l.lang != words.English {
		c.Title = words.Say("check." + l.name).In(l.lang)
	}
	if a != check.Yes {
		c.Hint = hint.In(l.lang)
	}
	l.report.Checks = append(l.report.Checks, c)
}

func (l *look) yes(evidence words.Phrase) { l.found(check.Yes, false, evidence, words.Phrase{}) }

func (l *look) no(evidence, hint words.Phrase) { l.found(check.No, false, evidence, hint) }

func (l *look) unknown(evidence, hint words.Phrase) { l.found(check.Unknown, false, evidence, hint) }

// verdict puts all of it in a sentence or two.
func (l *look) verdict() string {
	var bad, open []string
	for _, c := range l.report.Checks {
		name := c.Name
		if c.Title != "" {
			name = c.Title
		}
		switch {
		case c.Minor:
		case c.Answer == check.No && !slices.Contains(bad, name):
			bad = append(bad, name)
		case c.Answer == check.Unknown && !slices.Contains(open, name):
			open = append(open, name)
		}
	}
	var all []words.Phrase
	if len(bad) > 0 {
		all = append(all, words.Say("server.verdict.bad", "names", words.And(bad)))
	}
	switch {
	case len(open) > 0:
		all = append(all, words.Say("server.verdict.open", "names", words.And(open)))
	case len(bad) == 0:
		all = append(all, words.Say("server.verdict.good"))
	}
	return words.Sentences(l.lang, all...)
}

// key is how the server calls one of our settings.
func (l *look) key(ours string) string {
	if names, ok := keys[ours]; ok {
		if name := names[l.Server]; name != "" {
			return name
		}
	}
	return ours
}

// keys are what other servers call our settings, and our flags.
var keys = map[string]map[foreign.Server]string{
	"listen":              {"": "--listen", foreign.Vsftpd: "listen_address, listen_port", foreign.ProFTPD: "DefaultAddress, Port", foreign.PureFTPd: "Bind"},
	"passive.enable":      {"": "passive.enable", foreign.Vsftpd: "pasv_enable"},
	"passive.ports":       {"": "--passive-ports", foreign.Vsftpd: "pasv_min_port, pasv_max_port", foreign.ProFTPD: "PassivePorts", foreign.PureFTPd: "PassivePortRange"},
	"passive.external":    {"": "--external", foreign.Vsftpd: "pasv_address", foreign.ProFTPD: "MasqueradeAddress", foreign.PureFTPd: "ForcePassiveIP"},
	"limits.max_sessions": {"": "limits.max_sessions", foreign.Vsftpd: "max_clients", foreign.ProFTPD: "MaxInstances", foreign.PureFTPd: "MaxClientsNumber"},
	"tls.cert":            {"": "--tls-cert", foreign.Vsftpd: "rsa_cert_file", foreign.ProFTPD: "TLSRSACertificateFile", foreign.PureFTPd: "CertFile"},
}

// settings tells what was wrong with them when they were read.
func settings(_ context.Context, l *look) {
	for _, w := range l.Wrong {
		l.no(words.Say("server.settings.wrong", "error", w), words.Say("server.settings.hint"))
	}
	if len(l.Wrong) == 0 {
		l.yes(words.Say("server.settings"))
	}
}
