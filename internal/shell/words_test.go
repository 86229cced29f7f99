package shell

import (
	"errors"
	"reflect"
	"strings"
	"testing"
)

func texts(c Command) []string {
	var t []string
	for _, w := range c.Words {
		t = append(t, w.Text)
	}
	return t
}

func TestParse(t *testing.T) {
	t.Parallel()
	for line, want := range map[string][]string{
		"":                             nil,
		"   ":                          nil,
		"ls":                           {"ls"},
		" get  a.txt\tb.txt ":          {"get|a.txt|b.txt"},
		`get "a b" 'c d' e\ f`:         {"get|a b|c d|e f"},
		`get "a\"b\\c\x1b" 'x\y'`:      {"get|a\"b\\c\x1b|x\\y"},
		`put ''`:                       {"put|"},
		"cd pub; ls -l ;; get x":       {"cd|pub", "ls|-l", "get|x"},
		"get a & get b &":              {"get|a&", "get|b&"},
		"ls # what is here; rm x":      {"ls"},
		"get a#b":                      {"get|a#b"},
		"get 日本.txt":                   {"get|日本.txt"},
		`get pre"mid dle"'po st'\ end`: {"get|premid dlepo st end"},
		"quote SITE HELP":              {"quote|SITE|HELP"},
		"rename a! b":                  {"rename|a!|b"},
		"echo; !ls -l | grep 'x' ; ps": {"echo", "!ls -l | grep 'x' ; ps"},
		"!":                            {"!"},
	} {
		commands, err := Parse(line)
		if err != nil {
			t.Errorf("%q: %v", line, err)
		}
		var got []string
		for _, c := range commands {
			text := strings.Join(texts(c), "|")
			if c.Escapes {
				text = "!" + c.Outside
			}
			if c.Background {
				text += "&"
			}
			got = append(got, text)
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %q, want %q", line, got, want)
		}
	}
}

func TestParsePattern(t *testing.T) {
	t.Parallel()
	for word, want := range map[string]string{
		"*.iso":      "*.iso",
		`\*.iso`:     "",
		`'*'.iso`:    "",
		`"a*"b*`:     `a\*b*`,
		"x?[a-c]":    "x?[a-c]",
		`*\\`:        `*\\`,
		"plain":      "",
		`"a b"/*.gz`: "a b/*.gz",
	} {
		c, err := Parse("get " + word)
		if err != nil || len(c) != 1 || len(c[0].Words) != 2 || c[0].Words[1].Pattern != want {
			t.Errorf("%s: %+v, %v, want pattern %q", word, c, err, want)
		}
	}
}

func TestParseErrors(t *testing.T) {
	t.Parallel()
	for line, at := range map[string]int{`get "a b`: 4, `get 'a`: 4, `get a\`: 5, "& ls": 0, "ls; &": 4} {
		_, err := Parse(line)
		if e, ok := errors.AsType[*SyntaxError](err); !ok || e.At != at {
			t.Errorf("%q: %v, want an error at %d", line, err, at)
		}
	}
}

func TestUnfinished(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		line  string
		words []string
		start int
	}{
		{"", []string{""}, 0},
		{"ge", []string{"ge"}, 0},
		{"get ", []string{"get", ""}, 4},
		{"cd pub; get a\\ b", []string{"get", "a b"}, 12},
		{`get "a b`, []string{"get", "a b"}, 4},
		{`get 'a b`, []string{"get", "a b"}, 4},
		{`get a\`, []string{"get", "a"}, 4},
		{"get x & pu", []string{"pu"}, 8},
		{"ls;", []string{""}, 3},
	} {
		c := Unfinished(tt.line)
		if got := texts(c); !reflect.DeepEqual(got, tt.words) || c.Words[len(c.Words)-1].Start != tt.start {
			t.Errorf("%q: %q at %d, want %q at %d", tt.line, got, c.Words[len(c.Words)-1].Start, tt.words, tt.start)
		}
	}
}

// What Quote writes, Parse reads as one word that means itself.
func FuzzQuote(f *testing.F) {
	for _, s := range []string{"", "a", "a b", "*", "it's", `say "x"`, "\x1b[2J", "\xff\xfe", "日本", "#x", "!x", "-x", "a;b&c", "\u202e", "\r\n", `\`, `""`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		q := Quote(s)
		c, err := Parse("get " + q)
		if err != nil || len(c) != 1 || c[0].Background || !reflect.DeepEqual(texts(c[0]), []string{"get", s}) || c[0].Words[1].Pattern != "" {
			t.Fatalf("%q is quoted %s, which reads as %+v, %v", s, q, c, err)
		}
		if strings.ContainsFunc(q, func(r rune) bool { return r < ' ' || r == 0x7f }) {
			t.Fatalf("%q is quoted %q, with control characters", s, q)
		}
		if u := Unfinished("get " + q); !reflect.DeepEqual(texts(u), []string{"get", s}) {
			t.Fatalf("%s is unfinished %+v", q, u)
		}
	})
}

// A line that can be read is written so that it reads the same.
func FuzzParse(f *testing.F) {
	for _, s := range []string{"ls", "get a b &", "cd 'x y'; !ls", `get "\x1b"*`, "a;b&c#d", `get [\]a]*`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, line string) {
		Unfinished(line)
		commands, err := Parse(line)
		if err != nil {
			return
		}
		for _, c := range commands {
			again, err := Parse(c.String())
			if err != nil || len(again) != 1 {
				t.Fatalf("%q has %q, which reads as %+v, %v", line, c.String(), again, err)
			}
			for i := range c.Words {
				c.Words[i].Start, again[0].Words[i].Start = 0, 0
			}
			if !reflect.DeepEqual(c, again[0]) {
				t.Fatalf("%q has %q, which reads as %+v, not %+v", line, c.String(), again[0], c)
			}
		}
	})
}
