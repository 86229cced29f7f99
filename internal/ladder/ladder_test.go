package ladder_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"towpath/internal/columns"
	"towpath/internal/ladder"
)

func ExampleDrawing_Text() {
	d := ladder.Drawing{
		Columns: []ladder.Column{{Title: "client", Under: "10.45.1.44"}, {Title: "server", Under: "10.166.2.33"}},
		Rungs: []ladder.Rung{
			{Mark: "4", Path: []int{0, 1}, Text: "PASV"},
			{Mark: "5", Path: []int{1, 0}, Text: "227 Entering Passive Mode (10,166,2,33,195,80)."},
			{Mark: "6", Path: []int{0, 1}, Text: "SYN to port 50000", Kind: ladder.Data, Lost: true},
			{Path: []int{0}, Text: "Nobody answers."},
			{Mark: "20001-20003", Path: []int{1, 0}, Text: "closed"},
		},
	}
	fmt.Print(d.Text(72))
	// Output:
	//       client                                                      server
	//     10.45.1.44                                               10.166.2.33
	//       4  |---------------------------- PASV -------------------------->|
	//       5  |<----- 227 Entering Passive Mode (10,166,2,33,195,80). ------|
	//       6  |--------------------- SYN to port 50000 -------------------->X
	//          | * Nobody answers.                                           |
	// 20001-20003                                                            |
	//          |<-------------------------- closed --------------------------|
}

func ExampleDrawing_Mermaid() {
	d := ladder.Drawing{
		Columns: []ladder.Column{{Title: "client"}, {Title: "server"}},
		Rungs: []ladder.Rung{
			{Mark: "4", Path: []int{0, 1}, Text: "RETR a;b#c.txt"},
			{Mark: "5", Path: []int{1, 0}, Text: "425 No.", Became: "425 Nothing."},
			{Path: []int{0, 1}, Text: "refused", Kind: ladder.Note},
		},
	}
	fmt.Print(d.Mermaid())
	// Output:
	// sequenceDiagram
	//     participant c0 as client
	//     participant c1 as server
	//     c0->>c1: 4: RETR a#59;b#35;c.txt
	//     c1->>c0: 5: 425 No. → 425 Nothing.
	//     Note over c0,c1: refused
}

// Mermaid 11 takes the last semicolon from what it believes to be a style, and
// then drops all behind the code that it ended.
func TestMermaidStyle(t *testing.T) {
	t.Parallel()
	d := ladder.Drawing{Columns: []ladder.Column{{Title: "client"}, {Title: "server"}}}
	for _, text := range []string{"RETR style:a'b.css", "RETR classDef:a#b", "RETR $$x$$"} {
		d.Rungs = append(d.Rungs, ladder.Rung{Mark: "7", Path: []int{0, 1}, Text: text})
	}
	got := d.Mermaid()
	if regexp.MustCompile(`(style|classDef).*:\S*#.*;`).MatchString(got) || strings.Contains(got, "$") || !strings.Contains(got, "RETR style#58;a#39;b.css\n") {
		t.Error(got)
	}
}

// GitHub and GitLab show no diagram of more than 50,000 characters.
func TestMermaidSize(t *testing.T) {
	t.Parallel()
	d := ladder.Drawing{Columns: []ladder.Column{{Title: "client"}, {Title: "server"}}}
	for i := range 300 {
		d.Rungs = append(d.Rungs, ladder.Rung{Mark: fmt.Sprint(i), Path: []int{0, 1}, Text: "RETR " + strings.Repeat("名", 32<<10)})
	}
	if n := utf8.RuneCountInString(d.Mermaid()); n > 50_000 {
		t.Errorf("%d characters", n)
	}
}

// Whatever is said, nothing stands beyond the width, nothing leaves its line, and
// nothing reaches a page or a terminal as more than text.
func FuzzText(f *testing.F) {
	for _, s := range []string{"", "PASV", "名前がとても長いファイル.txt", "\x1b[2J\r\n\x00", "a\u0301\u202e", strings.Repeat("x", 300), "<script>&\"'", "%%{init}%%; end"} {
		f.Add(s, s, uint8(72), uint8(3), false)
		f.Add(s, "RETR 日本", uint8(0), uint8(7), true)
	}
	f.Fuzz(func(t *testing.T, text, became string, width, shape uint8, lost bool) {
		d := ladder.Drawing{
			Columns: []ladder.Column{{Title: "client", Under: text}, {Title: "NAT", Under: became}, {Title: text, Inner: true}, {Title: "server"}},
			Rungs:   []ladder.Rung{{Mark: text[:min(len(text), int(shape))], Text: text, Became: became, Lost: lost, Kind: ladder.Kind(shape % 3)}},
		}
		for _, p := range [][]int{nil, {0}, {3}, {0, 1}, {3, 2}, {0, 1, 2, 3}, {3, 2, 1, 0}, {1, 2}} {
			d.Rungs[0].Path = p
			wide := max(int(width), 40)
			for line := range strings.Lines(d.Text(int(width))) {
				line = strings.TrimSuffix(line, "\n")
				if w := columns.Width(line); w > wide {
					t.Errorf("%d columns of %d: %q", w, wide, line)
				}
				plain(t, line)
			}
			for line := range strings.Lines(d.Mermaid()) {
				line = strings.TrimSuffix(line, "\n")
				plain(t, line)
				if strings.ContainsAny(line, "<\"") || strings.Count(line, "%") > 0 {
					t.Errorf("Mermaid: %q", line)
				}
			}
			if n := strings.Count(d.Mermaid(), "\n"); n != 6 {
				t.Errorf("%d lines of Mermaid", n)
			}
			svg := string(d.SVG())
			if strings.Contains(svg, "<script") || !utf8.ValidString(svg) {
				t.Error(svg)
			}
		}
	})
}

func plain(t *testing.T, line string) {
	t.Helper()
	if !utf8.ValidString(line) || strings.ContainsFunc(line, func(r rune) bool { return unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) }) {
		t.Errorf("not harmless: %q", line)
	}
}
