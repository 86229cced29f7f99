package explain

import (
	"slices"
	"strings"

	"towpath/internal/words"
)

// found adds a finding. What stands behind a point in its name is a way to say
// it, and no part of the ID. That of an error is the cause of its transfer.
func (t *talk) found(d *deal, transfer int, name string, how Severity, packets []int, args ...any) {
	id, _, _ := strings.Cut(name, ".")
	at := len(t.evidence)
	for _, n := range packets {
		if n != 0 && (len(t.evidence) == at || t.evidence[len(t.evidence)-1] != n) { // 0 was not captured
			t.evidence = append(t.evidence, n)
		}
	}
	from := len(t.args)
	t.args = append(t.args, args...)
	t.Findings = append(t.Findings, Finding{})
	f := &t.Findings[len(t.Findings)-1]
	f.ID, f.Severity, f.Transfer, f.name = id, how, transfer, name
	f.Packets, f.args = slices.Clip(t.evidence[at:]), slices.Clip(t.args[from:])
	if !t.terse {
		*f = f.In(words.English)
	}
	if d != nil && how == Error {
		d.transfer.Cause = id
	}
}

// In returns the finding in a language.
func (f Finding) In(l words.Lang) Finding {
	if f.name == "" {
		return f
	}
	said := f.name
	if !words.Has("found." + said) {
		said = f.ID // only the advice has a way of its own
	}
	f.Text, f.Advice = words.Say("found."+said, f.args...).In(l), ""
	for _, name := range [...]string{f.name, f.ID} {
		if words.Has("advice." + name) {
			f.Advice = words.Say("advice." + name).In(l)
			break
		}
	}
	return f
}

// dropped is what a firewall is found by that says nothing. What helps is at the
// other end when the server connects: its passive ports are none of it.
func dropped(opener string) string {
	if opener == "server" {
		return "firewall.active"
	}
	return "firewall"
}

// who is client or server, in no language yet.
func who(end string) words.Phrase {
	if !words.Has(end) {
		return words.Phrase{}
	}
	return words.Say(end)
}
