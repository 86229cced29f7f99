package view

import (
	"slices"

	"towpath/explain"
	"towpath/internal/words"
)

// Digest counts sessions as they end, and keeps those that a text shows of
// many, so that the others can be let go: its Told is for [explain.Options].
// The zero value is ready. A view that was given it with [View.With] writes the
// same text as if all sessions were in its story.
type Digest struct {
	sessions, transfers, lone, failed int
	// How often there is each verdict, on a transfer and on a session.
	moved, ended tally
	// How many sessions each reason ails.
	ails map[string]int
	// What is kept, as it stands in the story: the first of each rank, and the
	// first with each reason.
	ranks   [4][]*explain.Session
	reasons map[string]*explain.Session
}

// tally counts verdicts, each at its rank.
type tally [4]int

// Told takes a session, and says whether it is to be kept.
func (d *Digest) Told(s *explain.Session) (keep bool) {
	keep = among(&d.ranks[rank(s.Verdict)], s, mostRows)
	if d.reasons == nil {
		d.reasons, d.ails = map[string]*explain.Session{}, map[string]int{}
	}
	for _, f := range s.Findings {
		if !reason(f) {
			continue
		}
		if e := d.reasons[f.ID]; e == nil || s.Before(e) {
			d.reasons[f.ID], keep = s, true
		}
	}
	if keep {
		return true
	}
	d.sessions++
	d.transfers += len(s.Transfers)
	d.ended[rank(s.Verdict)]++
	for _, t := range s.Transfers {
		d.moved[rank(t.Verdict)]++
	}
	if alone(s) {
		d.lone++
	}
	if s.Verdict == explain.Failed {
		d.failed++
	}
	if telling(s) {
		for _, f := range new(View).findings(s.In(words.English)) {
			if reason(f.Finding) {
				d.ails[f.ID]++
			}
		}
	}
	return false
}

// among says whether s is one of the first sessions so far, which are so many
// at most.
func among(first *[]*explain.Session, s *explain.Session, most int) bool {
	all := *first
	at := len(all)
	for at > 0 && s.Before(all[at-1]) {
		at--
	}
	if at == most {
		return false
	}
	if len(all) == most {
		all = all[:most-1]
	}
	*first = slices.Insert(all, at, s)
	return true
}

// With adds what a digest has counted.
func (v *View) With(d *Digest) *View {
	v.gone = *d
	return v
}
