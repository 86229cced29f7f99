// Package check is the shape of what the doctor finds by looking at something
// real, a live server or the settings of one: small named checks, and a report
// of them with the verdict first and last.
//
// It looks at nothing itself.
package check

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"towpath/internal/columns"
)

// Answer is what a check found. The zero value is [Unknown]: what was not
// looked at is never a no.
type Answer int

// The answers.
const (
	Unknown Answer = iota
	Yes
	No
)

var answers = [...]string{"unknown", "yes", "no"}

// String gives "unknown", "yes" or "no".
func (a Answer) String() string { return answers[a] }

// MarshalText implements [encoding.TextMarshaler].
func (a Answer) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

// Mark is one letter for an answer.
func (a Answer) Mark() string { return [...]string{"?", "✓", "✗"}[a] }

// Check is one thing that was looked at. It is put so that yes is well.
type Check struct {
	// Name is stable, as "passive-range".
	Name string `json:"name"`
	// Title stands in place of Name where people read it, in their language.
	Title  string `json:"title,omitempty"`
	Answer Answer `json:"answer"`
	// Minor is true if nothing depends on it: a no is told, and a report
	// without other findings is a good one.
	Minor bool `json:"minor,omitempty"`
	// Evidence says what was seen: the line, the address, the error.
	Evidence string `json:"evidence,omitempty"`
	// Hint says what to do, for a no or an unknown.
	Hint string `json:"hint,omitempty"`
}

// Report is checks with a verdict on them.
type Report struct {
	// Subject is what was looked at: an address, a file.
	Subject string  `json:"subject"`
	Verdict string  `json:"verdict"`
	Checks  []Check `json:"checks"`
}

// Answer joins the checks: no if one that matters is, else unknown if one that
// matters is, else yes.
func (r *Report) Answer() Answer {
	all := Yes
	for _, c := range r.Checks {
		switch {
		case c.Minor:
		case c.Answer == No:
			return No
		case c.Answer == Unknown:
			all = Unknown
		}
	}
	return all
}

// Status is the exit status that says it: 0 for yes, 1 for no, 2 for unknown.
func (r *Report) Status() int {
	return map[Answer]int{Yes: 0, No: 1, Unknown: 2}[r.Answer()]
}

// Count is how many checks have an answer.
func (r *Report) Count(a Answer) int {
	n := 0
	for _, c := range r.Checks {
		if c.Answer == a {
			n++
		}
	}
	return n
}

// Width is how many columns a report takes at most.
const Width = 80

// WriteText writes the check for people. What came from elsewhere, as the line
// of a server, cannot order the terminal about.
func (c Check) WriteText(w io.Writer) error {
	var b strings.Builder
	c.write(&b)
	_, err := io.WriteString(w, b.String())
	return err
}

func (c Check) write(b *strings.Builder) {
	text := cmp.Or(c.Title, c.Name)
	if c.Evidence != "" {
		text += ": " + columns.Shown(c.Evidence)
	}
	columns.Wrap(b, c.Answer.Mark()+" ", "  ", text, Width)
	if c.Hint != "" && c.Answer != Yes {
		columns.Wrap(b, "  → ", "    ", columns.Shown(c.Hint), Width)
	}
}

// WriteText writes the report for people: the verdict first and last, between
// them what is not yes, or all checks.
func (r *Report) WriteText(w io.Writer, all bool) error {
	var b strings.Builder
	columns.Wrap(&b, "", "", columns.Shown(r.Subject+": "+r.Verdict), Width)
	shown := 0
	for _, c := range r.Checks {
		if !all && c.Answer == Yes {
			continue
		}
		if shown++; shown == 1 {
			b.WriteByte('\n')
		}
		c.write(&b)
	}
	if shown > 0 {
		fmt.Fprintln(&b)
		columns.Wrap(&b, "", "", columns.Shown(r.Verdict), Width)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// WriteJSON writes the report as one object.
func (r *Report) WriteJSON(w io.Writer) error {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	if err := e.Encode(r); err != nil {
		return err
	}
	_, err := w.Write(columns.JSON(b.Bytes()))
	return err
}
