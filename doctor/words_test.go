package doctor_test

import (
	"encoding/json"
	"errors"
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

// A line is read alike in every language, and told in it.
func TestDecodeLanguages(t *testing.T) {
	t.Parallel()
	for _, line := range []string{
		"PORT  192,168,10,160,192,245", "PORT 44,001,1,44,0,21", "EPRT !2!fe80::1!49397!", "EPRT |2|fd00::1|21|",
		"227 =127,0,0,1,195,80", "227 ok (0, 0, 0, 0, 195, 80)", "227 ok (100,64,1,1,195,80)", "227 ok (192,0,2,1,195,80)",
		"227 ok (0,1,1,1,195,80)", "227 ok (255,255,255,255,195,80)", "227 ok (224,0,0,1,195,80)",
		"229 ok (|||6446|).", "229 ok |||6446|", "229 ok (|1|33.1.1.33|6446|)", "192 245", "10,1,1,33,195,80",
	} {
		english, err := doctor.Decode(line)
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range words.Langs {
			a := english.In(l)
			var b strings.Builder
			if err := a.WriteText(&b); err != nil {
				t.Fatal(err)
			}
			for _, s := range append(told(a), b.String()) {
				if han := strings.ContainsFunc(s, func(r rune) bool { return unicode.Is(unicode.Han, r) || unicode.Is(unicode.Katakana, r) }); s == "" || han != (l != words.English) || strings.ContainsAny(s, "{}") {
					t.Errorf("%s in %v: %s", line, l, s)
				}
			}
			for s := range strings.Lines(b.String()) {
				if columns.Width(strings.TrimSuffix(s, "\n")) > 80 {
					t.Errorf("%s in %v is too wide: %s", line, l, s)
				}
			}
			again := a.In(words.English)
			if a.Address != english.Address || a.Port != english.Port || !slices.Equal(told(again), told(english)) {
				t.Errorf("%s in %v tells something else: %+v", line, l, a)
			}
			for i, r := range a.Remarks {
				if r.ID != english.Remarks[i].ID {
					t.Errorf("%s in %v: %s", line, l, r.ID)
				}
			}
		}
	}
	for _, line := range []string{"PASV", "hello", "0,0", "192 256", "PORT 1,2,3", "PORT 1,2,3,4,5,600", "PORT 300,2,3,4,5,6", "PORT", strings.Repeat("x", 5000)} {
		_, err := doctor.Decode(line)
		u, ok := errors.AsType[*doctor.Unreadable](err)
		if !ok {
			t.Errorf("%.60s: %v", line, err)
			continue
		}
		for _, l := range words.Langs {
			if s := u.In(l); (s == err.Error()) != (l == words.English) || strings.ContainsAny(s, "{}") {
				t.Errorf("%.60s in %v: %s", line, l, s)
			}
		}
	}
}

// told is all that an announcement says in sentences.
func told(a doctor.Announcement) []string {
	all := []string{a.Means}
	for _, r := range a.Remarks {
		all = append(all, r.Text)
	}
	return all
}
