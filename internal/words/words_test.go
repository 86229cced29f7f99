package words

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode"
)

var parameter = regexp.MustCompile(`\{[a-z]+\}`)

// parameters of a text, each once.
func parameters(text string) []string {
	return slices.Compact(slices.Sorted(slices.Values(parameter.FindAllString(text, -1))))
}

// Every message is there in every language, with the same parameters, and each
// stands in one table alone.
func TestComplete(t *testing.T) {
	t.Parallel()
	n := 0
	for _, table := range tables {
		n += len(table)
	}
	if n != len(messages) || n == 0 {
		t.Errorf("%d messages in the tables, %d in all", n, len(messages))
	}
	for name, m := range messages {
		want := parameters(m.en)
		for _, l := range Langs {
			text := m.in(l)
			if text == "" && name != "sentence.gap" {
				t.Errorf("%s: nothing in %v", name, l)
			}
			if got := parameters(text); !slices.Equal(got, want) {
				t.Errorf("%s in %v has %v, in English %v", name, l, got, want)
			}
			if rest := parameter.ReplaceAllString(text, ""); strings.ContainsAny(rest, "{}") {
				t.Errorf("%s in %v has a brace that is no parameter: %s", name, l, text)
			}
		}
	}
}

// Letters that are written so in one of the three scripts alone. A text that
// holds one of another script was put into the wrong place.
const (
	onlySimplified  = "务户连网络让给请应该发达关闭开启设证书绝绍运进这来时间传输数据库单应选择错误没"
	onlyTraditional = "務戶連網絡讓給請應該發達關閉開啟設證書進這來時間傳輸數據庫單選擇錯誤沒壓"
)

// Who mixes up two columns of a table hears of it.
func TestScripts(t *testing.T) {
	t.Parallel()
	in := func(letters, others string) string { // those that the others do not have
		return strings.Map(func(r rune) rune {
			if strings.ContainsRune(others, r) {
				return -1
			}
			return r
		}, letters)
	}
	simplified, traditional := in(onlySimplified, onlyTraditional), in(onlyTraditional, onlySimplified)
	for name, m := range messages {
		if strings.ContainsAny(m.hans, traditional) {
			t.Errorf("%s: traditional letters in %s", name, m.hans)
		}
		if strings.ContainsAny(m.hant, simplified) {
			t.Errorf("%s: simplified letters in %s", name, m.hant)
		}
		for _, text := range []string{m.en, m.hans, m.hant} {
			if strings.ContainsFunc(text, func(r rune) bool { return unicode.In(r, unicode.Hiragana, unicode.Katakana) }) {
				t.Errorf("%s: kana in %s", name, text)
			}
		}
		if strings.ContainsFunc(m.en, func(r rune) bool { return unicode.Is(unicode.Han, r) }) {
			t.Errorf("%s: %s is not English", name, m.en)
		}
		letters := parameter.ReplaceAllString(m.en, "")
		if strings.Count(letters, " ") > 3 { // a sentence, not a name
			for _, text := range []string{m.hans, m.hant} {
				if !strings.ContainsFunc(text, func(r rune) bool { return unicode.Is(unicode.Han, r) }) {
					t.Errorf("%s: %s is not translated", name, text)
				}
			}
			if !strings.ContainsFunc(m.ja, func(r rune) bool { return unicode.In(r, unicode.Hiragana, unicode.Katakana) }) {
				t.Errorf("%s: %s is not Japanese", name, m.ja)
			}
		}
	}
}

// Whoever says a message gives it the parameters that it has, and each message
// is said by somebody.
func TestSaid(t *testing.T) {
	t.Parallel()
	said := map[string]bool{}
	var families []string // names of which only the beginning is written out
	root := filepath.Join("..", "..")
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && path != root && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata"):
			return fs.SkipDir
		case d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") || filepath.Dir(path) == ".":
			return nil
		}
		set := token.NewFileSet()
		f, err := parser.ParseFile(set, path, nil, 0)
		if err != nil {
			return err
		}
		ast.Inspect(f, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.BasicLit: // also in tables, and in what calls Say
				if s, err := strconv.Unquote(n.Value); n.Kind == token.STRING && err == nil {
					said[s] = true
					for _, m := range regexp.MustCompile(`\.Say "([^"]+)"`).FindAllStringSubmatch(s, -1) {
						said[m[1]] = true // in a template
					}
					if strings.HasSuffix(s, ".") && strings.Count(s, " ") == 0 {
						families = append(families, s)
					}
				}
			case *ast.CallExpr:
				checkCall(t, set, n)
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, m := range messages {
		family := slices.ContainsFunc(families, func(f string) bool { return strings.HasPrefix(name, f) })
		numbered := said[strings.TrimSuffix(strings.TrimSuffix(name, ".one"), ".many")]
		if !said[name] && !family && !numbered {
			t.Errorf("nobody says %s: %s", name, m.en)
		}
	}
}

// checkCall looks at a call of words.Say that names its message, or of a method
// say, which hands its arguments on.
func checkCall(t *testing.T, set *token.FileSet, c *ast.CallExpr) {
	t.Helper()
	f, ok := c.Fun.(*ast.SelectorExpr)
	if !ok || len(c.Args) == 0 {
		return
	}
	p, ok := f.X.(*ast.Ident)
	if !ok || f.Sel.Name != "say" && (f.Sel.Name != "Say" || p.Name != "words") {
		return
	}
	var texts []string // the name, and those of the parameters
	for i, a := range c.Args {
		if i > 0 && i%2 == 0 {
			continue // a value
		}
		lit, ok := a.(*ast.BasicLit)
		if !ok {
			return
		}
		s, err := strconv.Unquote(lit.Value)
		if err != nil {
			return
		}
		texts = append(texts, s)
	}
	at := set.Position(c.Pos())
	m, ok := messages[texts[0]]
	if !ok {
		if f.Sel.Name == "Say" { // other things are said too, as to a server
			t.Errorf("%v says %q, which there is not", at, texts[0])
		}
		return
	}
	var given []string
	for _, p := range texts[1:] {
		given = append(given, "{"+p+"}")
	}
	slices.Sort(given)
	if want := parameters(m.en); !slices.Equal(given, want) || len(c.Args)%2 == 0 {
		t.Errorf("%v says %s with %v, want %v", at, texts[0], given, want)
	}
}

// A value that looks like a parameter stays as it is.
func TestSay(t *testing.T) {
	t.Parallel()
	modes := []string{"PORT", "EPRT", "EPSV"}
	p := Say("verdict.one", "clause", Say("clause.works.many", "modes", And(modes)))
	for l, want := range map[Lang]string{
		English:     "PORT, EPRT and EPSV work.",
		Simplified:  "PORT、EPRT 和 EPSV 可用。",
		Traditional: "PORT、EPRT 和 EPSV 可用。",
		Japanese:    "PORT、EPRT と EPSV は使えます。",
	} {
		if got := p.In(l); got != want {
			t.Errorf("%v: %q, want %q", l, got, want)
		}
	}
	got := Say("cause.announcement-eaten", "hop", "{hop}").String()
	if !strings.Contains(got, "ALG on {hop} takes") {
		t.Error(got)
	}
	if got := (Phrase{}).In(Japanese); got != "" {
		t.Errorf("nothing is %q", got)
	}
	if got := List(English, []string{"one"}); got != "one" {
		t.Error(got)
	}
	if got := Sentences(English, Say("server"), Phrase{}, Say("client")); got != "server client" {
		t.Error(got)
	}
}

func TestLocale(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		environ string
		want    Lang
	}{
		{"", English},
		{"LANG=C", English},
		{"LANG=POSIX", English},
		{"LANG=C.UTF-8", English},
		{"LANG=fr_FR.UTF-8", English},
		{"LANG=zh_CN.UTF-8", Simplified},
		{"LANG=zh_SG.utf8", Simplified},
		{"LANG=zh_TW.UTF-8", Traditional},
		{"LANG=zh_HK.UTF-8", Traditional},
		{"LANG=zh_MO", Traditional},
		{"LANG=ja_JP.UTF-8@something", Japanese},
		{"LANG=ja_JP.eucJP", English},
		{"LANG=zh_CN.GB18030", English},
		{"LANG=ja_JP.UTF-8 LC_MESSAGES=zh_TW.UTF-8", Traditional},
		{"LANG=ja_JP.UTF-8 LC_MESSAGES=zh_TW.UTF-8 LC_ALL=C.UTF-8", English},
		{"LANG=ja_JP.UTF-8 LC_ALL=", Japanese},
	} {
		if got := Locale(strings.Fields(c.environ)); got != c.want {
			t.Errorf("%s: %v, want %v", c.environ, got, c.want)
		}
	}
}

func TestParseLang(t *testing.T) {
	t.Parallel()
	for _, l := range Langs {
		if got, err := ParseLang(l.String()); got != l || err != nil {
			t.Errorf("%v: %v, %v", l, got, err)
		}
	}
	for s, want := range map[string]Lang{"zh": Simplified, "zh-TW": Traditional, "zh_HK": Traditional, "ja-JP": Japanese, "EN": English, "zh-hant": Traditional} {
		if got, err := ParseLang(s); got != want || err != nil {
			t.Errorf("%s: %v, %v; want %v", s, got, err, want)
		}
	}
	for _, s := range []string{"", "fr", "klingon!", "C"} {
		if l, err := ParseLang(s); err == nil {
			t.Errorf("%q is taken for %v", s, l)
		} else if !strings.Contains(err.Error(), "want en, zh-Hans, zh-Hant or ja") {
			t.Errorf("%q: %v", s, err)
		}
	}
}
