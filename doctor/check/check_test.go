package check_test

import (
	"os"
	"strings"
	"testing"

	"towpath/doctor/check"
)

func Example() {
	r := check.Report{
		Subject: "ftp.example.org:21",
		Verdict: "EPSV works, PASV fails.",
		Checks: []check.Check{
			{Name: "control-port", Answer: check.Yes, Evidence: "connected to 192.0.2.1:21"},
			{Name: "pasv", Answer: check.No, Evidence: "227 names 192.168.1.5, which is private", Hint: "tell the server its external address"},
			{Name: "clock", Evidence: "the server has no MDTM", Minor: true},
		},
	}
	if err := r.WriteText(os.Stdout, false); err != nil {
		panic(err)
	}
	// Output:
	// ftp.example.org:21: EPSV works, PASV fails.
	//
	// ✗ pasv: 227 names 192.168.1.5, which is private
	//   → tell the server its external address
	// ? clock: the server has no MDTM
	//
	// EPSV works, PASV fails.
}

// One no makes the report a no, and what is not known makes it no no; what is
// minor makes it neither.
func TestAnswer(t *testing.T) {
	t.Parallel()
	yes, no, unknown := check.Check{Answer: check.Yes}, check.Check{Answer: check.No}, check.Check{}
	minor := func(c check.Check) check.Check { c.Minor = true; return c }
	for _, c := range []struct {
		checks []check.Check
		want   check.Answer
		status int
	}{
		{[]check.Check{yes}, check.Yes, 0},
		{[]check.Check{yes, unknown}, check.Unknown, 2},
		{[]check.Check{unknown, no, yes}, check.No, 1},
		{[]check.Check{yes, minor(no), minor(unknown)}, check.Yes, 0},
	} {
		r := check.Report{Checks: c.checks}
		if r.Answer() != c.want || r.Status() != c.status {
			t.Errorf("%v: %v and %d, want %v and %d", c.checks, r.Answer(), r.Status(), c.want, c.status)
		}
	}
}

// All is told when it is asked for; without a finding the verdict stands alone.
func TestWriteText(t *testing.T) {
	t.Parallel()
	r := check.Report{Subject: "a", Verdict: "All is well.", Checks: []check.Check{{Name: "port", Answer: check.Yes, Evidence: "21"}}}
	for all, want := range map[bool]string{
		false: "a: All is well.\n",
		true:  "a: All is well.\n\n✓ port: 21\n\nAll is well.\n",
	} {
		var b strings.Builder
		if err := r.WriteText(&b, all); err != nil || b.String() != want {
			t.Errorf("%q, %v; want %q", b.String(), err, want)
		}
	}
}

// What a server said stays one line, and does not colour the terminal.
func TestHostile(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	c := check.Check{Name: "banner", Evidence: "220 \x1b[31mred\u202e\r\nbye"}
	if err := c.WriteText(&b); err != nil {
		t.Fatal(err)
	}
	if got, want := b.String(), "? banner: 220 \\x1b[31mred\ufffd\\x0d\\x0abye\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// Programs read the names and the answers.
func TestWriteJSON(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	r := check.Report{Subject: "a", Verdict: "b", Checks: []check.Check{{Name: "c", Answer: check.No, Hint: "d > e"}}}
	if err := r.WriteJSON(&b); err != nil {
		t.Fatal(err)
	}
	want := `{
  "subject": "a",
  "verdict": "b",
  "checks": [
    {
      "name": "c",
      "answer": "no",
      "hint": "d > e"
    }
  ]
}
`
	if b.String() != want {
		t.Errorf("%s", b.String())
	}
}
