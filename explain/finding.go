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
	packets = slices.DeleteFunc(slices.Clone(packets), func(n int) bool { return n == 0 }) // not captured
	f := Finding{ID: id, Severity: how, Packets: packets, Transfer: transfer, text: words.Say("found."+name, args...)}
	if words.Has("advice." + name) {
		f.advice = words.Say("advice." + name)
	} else if words.Has("advice." + id) {
		f.advice = words.Say("advice." + id)
	}
	if f.Packets == nil {
		f.Packets = []int{}
	}
	t.Findings = append(t.Findings, f.In(words.English))
	if d != nil && how == Error {
		d.transfer.Cause = id
	}
}

// who is client or server, in no language yet.
func who(end string) words.Phrase {
	if !words.Has(end) {
		return words.Phrase{}
	}
	return words.Say(end)
}
