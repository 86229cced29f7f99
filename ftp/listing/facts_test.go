package listing

import (
	"strings"
	"testing"
)

func TestParseFacts(t *testing.T) {
	tests := []struct {
		in   string
		want Facts
		fail bool
	}{
		{in: ""},
		{in: ";", fail: true},
		{in: "type;size;modify;", want: FactType | FactSize | FactModify},
		{in: "Type;SIZE;UNIX.Mode;", want: FactType | FactSize | FactMode},
		{in: "size", want: FactSize},
		{in: "size;win32.ea;charset;", want: FactSize},
		{in: "type size", fail: true},
		{in: "type;;size;", fail: true},
		{in: "type*;", fail: true},
		{in: "type=file;", fail: true},
		{in: "type;\r\n", fail: true},
	}
	for _, tt := range tests {
		got, err := ParseFacts(tt.in)
		if got != tt.want || (err != nil) != tt.fail {
			t.Errorf("ParseFacts(%q) = %v, %v; want %v", tt.in, got, err, tt.want)
		}
		if err != nil && !strings.Contains(err.Error(), "type;size;modify;") {
			t.Errorf("ParseFacts(%q): %q does not say what is right", tt.in, err)
		}
	}
}

func TestFactsReplies(t *testing.T) {
	tests := []struct{ got, want string }{
		{Facts(0).OptsReply(), "MLST OPTS"},
		{(FactModify | FactType).OptsReply(), "MLST OPTS type;modify;"},
		{FormatFeature(AllFacts, DefaultFacts), "type*;size*;modify*;create;perm*;unique;unix.mode;unix.owner;unix.group;media-type;"},
		{FormatFeature(DefaultFacts, FactType|FactUnique), "type*;size;modify;perm;"},
	}
	for _, tt := range tests {
		if tt.got != tt.want {
			t.Errorf("got %q, want %q", tt.got, tt.want)
		}
	}
}

func FuzzParseFacts(f *testing.F) {
	for _, s := range []string{"", "type;size;", "Type*;perm;unix.mode*;", "a b", ";;"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if facts, err := ParseFacts(s); err == nil {
			if again, err := ParseFacts(facts.String()); err != nil || again != facts {
				t.Errorf("%q: %v comes back as %v, %v", s, facts, again, err)
			}
		}
		if offered, selected, err := ParseFeature(s); err == nil {
			o, sel, err := ParseFeature(FormatFeature(offered, selected))
			if err != nil || o != offered || sel != selected {
				t.Errorf("%q: %v, %v come back as %v, %v, %v", s, offered, selected, o, sel, err)
			}
		}
	})
}

func FuzzParsePerm(f *testing.F) {
	f.Add("adfrw")
	f.Add("flcdmpe")
	f.Add("XYZ A")
	f.Fuzz(func(t *testing.T, s string) {
		p := ParsePerm(s)
		if again := ParsePerm(p.String()); again != p {
			t.Errorf("%q: %v comes back as %v", s, p, again)
		}
	})
}
