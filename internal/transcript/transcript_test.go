package transcript

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"towpath/ftp"
)

func TestParse(t *testing.T) {
	t.Parallel()
	got, err := Parse(`
		# A name with a backslash, and a blank at its end.

		C: CWD C:\\new\x20
		S: 250
	C:
	D: 0\r\n\x00\t\xFF
		D:  two blanks, one is text`)
	if err != nil {
		t.Fatal(err)
	}
	want := []Line{
		{Client, `CWD C:\new `, 4},
		{Server, "250", 5},
		{Client, "", 6},
		{Data, "0\r\n\x00\t\xff", 7},
		{Data, " two blanks, one is text", 8},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ text, want string }{
		{"C: NOOP\nX: what", `line 2: "X: what": want C:, S:, D: or #`},
		{"c: NOOP", `line 1: "c: NOOP": want C:, S:, D: or #`},
		{"C", `line 1: "C": want`},
		{`C: CWD C:\dir`, `line 1: "\\dir": want`},
		{`D: \x4`, `line 1: "\\x4": want`},
		{`D: \xZZ`, `line 1: "\\xZZ": want two hexadecimal digits`},
		{`D: \`, `line 1: "\\": want`},
	} {
		lines, err := Parse(c.text)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("Parse(%q) = %v, %v; want error with %q", c.text, lines, err, c.want)
		}
	}
}

func TestFormatKeepsBlanksAtTheEnd(t *testing.T) {
	t.Parallel()
	got := Format([]Line{{Who: Client, Text: "STOR a "}, {Who: Data}, {Who: Server, Text: "226 é\x85"}})
	want := "C: STOR a\\x20\nD:\nS: 226 é\\x85\n"
	if got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestScript(t *testing.T) {
	t.Parallel()
	got, err := Script(`
		S: 220-Ahoy
		S: 221 is not the end
		S: 220-nor this
		S: 220
		C: FEAT
		S: 211-Features:
		S:  SIZE
		S: 211 End
		D: 01
		D: 23\n
		S: 226`)
	if err != nil {
		t.Fatal(err)
	}
	want := []Step{
		{Who: Server, Reply: ftp.Reply{Code: 220, Lines: []string{"Ahoy", "221 is not the end", "nor this", ""}}, Number: 2},
		{Who: Client, Text: "FEAT", Number: 6},
		{Who: Server, Reply: ftp.Reply{Code: 211, Lines: []string{"Features:", " SIZE", "End"}}, Number: 7},
		{Who: Data, Text: "0123\n", Number: 10},
		{Who: Server, Reply: ftp.Reply{Code: 226, Lines: []string{""}}, Number: 12},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestScriptRefuses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ text, want string }{
		{"S: hello", `line 1: S: "hello": want a reply`},
		{"S: 20", `S: "20": want a reply`},
		{"S: 2000", `S: "2000": want a reply`},
		{"S: +20 x", `want a reply`},
		{"S: 099", `want a reply`},
		{"C: FEAT\nS: 211-Features:\nS:  SIZE", `line 2: S: "211-Features:": the reply has no last line, which begins with "211 "`},
		{"S: 211-Features:\nC: NOOP\nS: 211 End", `no last line`},
		{"Z", "want C:"},
	} {
		steps, err := Script(c.text)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("Script(%q) = %v, %v; want error with %q", c.text, steps, err, c.want)
		}
	}
}

func TestMatch(t *testing.T) {
	t.Parallel()
	features := ftp.Reply{Code: 211, Lines: []string{"Features:", " MLST size*;type*;", " SIZE", "End"}}
	passive := ftp.Reply{Code: 227, Lines: []string{"Entering Passive Mode (127,0,0,1,195,80)."}}
	for _, c := range []struct {
		script string
		got    ftp.Reply
		want   string // part of the error, empty if it must match
	}{
		{"S: 211", features, ""},
		{"S: 211 ", features, ""},
		{"S: 211  SIZE", features, ""},
		{"S: 211 End", features, ""},
		{"S: 211-Feat\nS:  MLST size\nS: 211 End", features, ""},
		{"S: 211-\nS:  MLST*type*;\nS: 211", features, ""},
		{"S: 211-\nS:  SIZE\nS:  MLST\nS: 211", features, `want " MLST" in it`},
		{"S: 211-\nS:  SIZE\nS:  SIZE\nS: 211", features, `want " SIZE" in it`},
		{"S: 211 SIZE", features, `want "SIZE" in it`},
		{"S: 227 Entering Passive Mode (127,0,0,1,*).", passive, ""},
		{"S: 227 *(127*)", passive, ""},
		{"S: 227 *(10,*)", passive, `want "*(10,*)" in it`},
		{"S: 226", passive, "want 226"},
	} {
		steps, err := Script(c.script)
		if err != nil {
			t.Fatal(err)
		}
		err = Match(steps[0].Reply, c.got)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%q: %v, want %q", c.script, err, c.want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("C: USER a\nS: 331\n# x\n\n D: \\x00\\r\\n")
	f.Add("S: 211-a\r\nS:  \\\\\r\nS: 211 \xff\x85 \n")
	f.Fuzz(func(t *testing.T, text string) {
		lines, err := Parse(text)
		if err != nil {
			return
		}
		for i := range lines {
			if !strings.Contains("CSD", lines[i].Who.String()) {
				t.Fatalf("line of %q", lines[i].Who)
			}
			lines[i].Number = i + 1 // Format leaves comments and blank lines out
		}
		formatted := Format(lines)
		again, err := Parse(formatted)
		if err != nil {
			t.Fatalf("Parse(Format): %v in %q", err, formatted)
		}
		if d := cmp.Diff(lines, again); d != "" {
			t.Fatalf("%q: %s", formatted, d)
		}
		_, _ = Script(text) // for the panics it must not have; its errors are for people
	})
}
