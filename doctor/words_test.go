package doctor_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"unicode"

	"towpath/doctor"
	"towpath/internal/columns"
	"towpath/internal/words"
	"towpath/topology"
)

// In every language each network of the catalogue is told in full, the table
// is in line, no line is too long, and what programs read is the same.
func TestLanguages(t *testing.T) {
	t.Parallel()
	for _, n := range topology.Catalogue() {
		english := doctor.NewReport(n, doctor.Predict(n))
		for _, l := range words.Langs {
			r := english.In(l)
			var b strings.Builder
			if err := r.WriteText(&b); err != nil {
				t.Fatal(err)
			}
			text := b.String()
			if strings.ContainsAny(text, "{}") {
				t.Errorf("%s in %v has a parameter that was not given:\n%s", n.Name, l, text)
			}
			if han := strings.ContainsFunc(text, func(r rune) bool { return unicode.Is(unicode.Han, r) }); han != (l != words.English) {
				t.Errorf("%s in %v:\n%s", n.Name, l, text)
			}
			inLine(t, text)
			if !slices.EqualFunc(english.Cases, r.Cases, alike) {
				t.Errorf("%s in %v tells programs something else", n.Name, l)
			}
			// And back again: nothing is lost on the way.
			var first, again strings.Builder
			if err := english.WriteText(&first); err != nil {
				t.Fatal(err)
			}
			if err := r.In(words.English).WriteText(&again); err != nil || first.String() != again.String() {
				t.Errorf("%s from %v back into English:\n%s%v", n.Name, l, again.String(), err)
			}
		}
	}
}

// alike compares two verdicts but for their sentences.
func alike(a, b doctor.Verdict) bool {
	bare := func(v doctor.Verdict) string {
		v.Why = ""
		for _, all := range []*[]doctor.Repair{&v.Repairs, &v.Useless} {
			*all = slices.Clone(*all)
			for i, r := range *all {
				r.Result, r.Changes = "", slices.Clone(r.Changes)
				for j := range r.Changes {
					r.Changes[j].Text = ""
				}
				(*all)[i] = r
			}
		}
		text, err := json.Marshal(v)
		if err != nil {
			return err.Error()
		}
		return string(text)
	}
	return bare(a) == bare(b)
}

// inLine finds the second column of the table at one place in all rows.
func inLine(t *testing.T, text string) {
	t.Helper()
	_, table, _ := strings.Cut(text, "\n\n")
	table, _, _ = strings.Cut(table, "\n\n")
	at := 0
	for line := range strings.Lines(table) {
		first, rest, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "  ")
		begin := columns.Width(first) + 2 + len(rest) - len(strings.TrimLeft(rest, " "))
		if at == 0 {
			at = begin
		}
		if begin != at {
			t.Errorf("the second column begins at %d and at %d:\n%s", at, begin, table)
		}
	}
	if at == 0 {
		t.Errorf("no table in:\n%s", text)
	}
	for line := range strings.Lines(strings.Replace(text, table, "", 1)) {
		if i := strings.Index(line, ": "); columns.Width(strings.TrimSuffix(line, "\n")) > 79 && i < 0 {
			t.Errorf("%d columns: %s", columns.Width(line), line)
		}
	}
}

// All that a verdict can name has words.
func TestWords(t *testing.T) {
	t.Parallel()
	for _, s := range []doctor.Seen{
		doctor.SeenTimeout, doctor.SeenRefused, doctor.SeenUnreachable, doctor.SeenIllegal, doctor.SeenLate425,
		doctor.SeenEarly425, doctor.SeenStranger, doctor.SeenWary, doctor.SeenNo226, doctor.SeenStall, doctor.SeenFamily,
	} {
		if !words.Has("seen."+string(s)) || !words.Has("label."+string(s)) {
			t.Errorf("%s has no words", s)
		} else if got := words.Say("label." + string(s)).String(); got != string(s) {
			t.Errorf("%s is labelled %s", s, got)
		}
	}
	for _, c := range []doctor.Cause{
		doctor.CauseFirewall, doctor.CauseInside, doctor.CauseMismatch, doctor.CauseNotForwarded, doctor.CauseStrays,
		doctor.CauseStranger, doctor.CauseOtherServer, doctor.CauseForgotten, doctor.CauseStall, doctor.CauseFamily,
		doctor.CauseRoute, doctor.CauseClosed,
	} {
		if !words.Has("cause."+string(c)) || !words.Has("label."+string(c)) {
			t.Errorf("%s has no words", c)
		} else if got := words.Say("label." + string(c)).String(); got != string(c) {
			t.Errorf("%s is labelled %s", c, got)
		}
	}
}
