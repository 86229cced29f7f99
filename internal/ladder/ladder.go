// Package ladder draws who said what to whom: a column for each place, a rung
// for each thing that was said, down the page as time goes on. The same drawing
// comes out as text for a terminal, as SVG, and as Mermaid for tickets.
//
// It knows nothing of packets or of FTP, and it trusts no text: what it is given
// may have come from anybody, and is made harmless for each kind of output.
package ladder

import (
	"fmt"
	"slices"
	"strings"

	"towpath/internal/columns"
)

// Drawing is a ladder.
type Drawing struct {
	Columns []Column
	Rungs   []Rung
}

// Column is a place where things are said and heard.
type Column struct {
	Title string
	// Under is what stands below the title, an address say.
	Under string
	// Inner is true for the far side of a machine whose near side is the column
	// before: what goes from the one to the other leaves no machine.
	Inner bool
}

// Kind says what a rung belongs to.
type Kind int

// The kinds.
const (
	Control Kind = iota // a line of the dialogue, or a packet of its connection
	Data                // a data connection
	Note                // no packet: a remark across the columns of its path
)

var kinds = [...]string{Control: "control", Data: "data", Note: "note"}

// String names the kind, as the classes of SVG do.
func (k Kind) String() string { return kinds[k] }

// Rung is one thing that was said, on its way from column to column.
type Rung struct {
	// Mark stands in the margin: a time, or the number of a packet.
	Mark string
	// Path are the numbers of the columns it went through, in this order.
	Path []int
	Text string
	// Became is what it said at the end of its way, "" if it was not changed.
	Became string
	Kind   Kind
	// Lost is true if it did not get to where it should.
	Lost bool
	// Bad is true if it tells of something that went wrong.
	Bad bool
}

// The measures of a ladder in text.
const (
	margin  = 9 // for marks
	fewest  = 40
	minDash = 2 // of an arrow on each side of its text
)

// place returns where the columns stand in a text of so many columns. Sides of
// one machine stand close together.
func (d *Drawing) place(width int) []int {
	const inner = 13
	wires, fixed := 0, 0
	for i, c := range d.Columns {
		switch {
		case i == 0:
		case c.Inner:
			fixed += inner
		default:
			wires++
		}
	}
	room := max(width-1-margin-fixed, wires*fewest/4)
	at := make([]int, len(d.Columns))
	x, done := margin, 0
	for i, c := range d.Columns {
		switch {
		case i == 0:
		case c.Inner:
			x += inner
		default:
			done++
			x += room*done/max(wires, 1) - room*(done-1)/max(wires, 1)
		}
		at[i] = x
	}
	return at
}

// Text draws the ladder in so many columns of a terminal, no less than 40. An
// arrow carries its text if there is room in it, else the text stands above.
func (d *Drawing) Text(width int) string {
	var b strings.Builder
	for _, l := range d.Head(width) {
		b.WriteString(l + "\n")
	}
	for i := range d.Rungs {
		for _, l := range d.Lines(i, width) {
			b.WriteString(l + "\n")
		}
	}
	return b.String()
}

// Head are the lines above the rungs: titles, and what stands below them.
func (d *Drawing) Head(width int) []string {
	width = max(width, fewest)
	at := d.place(width)
	titles := make([]string, len(d.Columns))
	unders := make([]string, len(d.Columns))
	any := false
	for i, c := range d.Columns {
		titles[i], unders[i] = columns.Shown(c.Title), columns.Shown(c.Under)
		any = any || c.Under != ""
	}
	lines := []string{headline(titles, at, width)}
	if any {
		lines = append(lines, headline(unders, at, width))
	}
	return lines
}

// headline sets a text over each column: in the middle of it where there is
// room, and never over another's.
func headline(texts []string, at []int, width int) string {
	row := newRow(width)
	for i, t := range texts {
		from, to := 0, width // between the neighbours
		if i > 0 {
			from = (at[i-1]+at[i])/2 + 1
		}
		if i+1 < len(at) {
			to = (at[i] + at[i+1]) / 2
		}
		if w := columns.Width(t); w > to-from {
			t = strings.TrimRight(columns.Fit(t, to-from), " ")
		}
		w := columns.Width(t)
		row.put(min(max(at[i]-w/2, from), to-w), t)
	}
	return row.String()
}

// Lines are those of rung i: one, or more if its text stands above it.
func (d *Drawing) Lines(i, width int) []string {
	width = max(width, fewest)
	at := d.place(width)
	r := d.Rungs[i]
	mark := columns.Right(columns.Shown(r.Mark), margin-2)
	if columns.Width(mark) > margin-2 { // it stands above
		blank := r
		blank.Mark = ""
		above := newRow(width)
		for _, x := range at {
			above.put(x, "|")
		}
		above.put(0, strings.TrimRight(columns.Fit(mark, min(columns.Width(mark), width/2)), " ")+" ")
		return append([]string{strings.TrimRight(above.String(), " ")}, d.lines(&blank, at, width)...)
	}
	return d.lines(&r, at, width)
}

// lines are those of a rung whose mark has its place in the margin.
func (d *Drawing) lines(r *Rung, at []int, width int) []string {
	text, became := columns.Shown(r.Text), columns.Shown(r.Became)
	mark := columns.Right(columns.Shown(r.Mark), margin-2)
	if len(r.Path) == 0 || r.Kind == Note || len(r.Path) == 1 && !r.Lost {
		from := margin
		if len(r.Path) > 0 {
			from = at[slices.Min(r.Path)]
		}
		return d.remark(mark, "* "+text, from, at, width)
	}
	row := newRow(width)
	for _, x := range at {
		row.put(x, "|")
	}
	first, last := r.Path[0], r.Path[len(r.Path)-1]
	wires := d.wires(r.Path)
	for _, w := range wires {
		d.line(row, at[w[0]], at[w[1]], '-')
	}
	for k := 1; k < len(r.Path); k++ {
		if a, b := r.Path[k-1], r.Path[k]; d.within(a, b) {
			d.line(row, at[a], at[b], '.')
		}
	}
	for _, w := range wires {
		if at[w[0]] < at[w[1]] {
			row.put(at[w[1]]-1, ">")
		} else {
			row.put(at[w[1]]+1, "<")
		}
	}
	if r.Lost {
		row.put(at[last], "X")
	}
	// The words: in the arrows if they fit, else above.
	var above []string
	fits := func(t string, w [2]int) bool {
		return columns.Width(t)+2+2*minDash+1 < abs(at[w[0]]-at[w[1]])
	}
	inside := func(t string, w [2]int) {
		lo, hi := min(at[w[0]], at[w[1]]), max(at[w[0]], at[w[1]])
		row.put(lo+(hi-lo-columns.Width(t)-2)/2+1, " "+t+" ")
	}
	switch {
	case len(wires) > 0 && fits(text, wires[0]) && (became == "" || fits(became, wires[len(wires)-1]) && len(wires) > 1):
		inside(text, wires[0])
		if became != "" {
			inside(became, wires[len(wires)-1])
		}
	default:
		from := min(at[first], at[last])
		above = d.remark(strings.Repeat(" ", margin-2), text, from, at, width)
		if became != "" {
			above = append(above, d.remark(strings.Repeat(" ", margin-2), "-> "+became, from, at, width)...)
		}
		above[0] = mark + above[0][len(mark):]
		mark = strings.Repeat(" ", margin-2)
	}
	return append(above, mark+strings.TrimRight(row.String()[margin-2:], " "))
}

// remark sets a text to the right of column from, in as many lines as it takes,
// with the columns that it leaves free.
func (d *Drawing) remark(mark, text string, from int, at []int, width int) []string {
	var b strings.Builder
	room := width - from - 2
	if room < fewest/2 { // at the far end there is no room
		from, room = margin, width-margin-2
	}
	columns.Wrap(&b, "", "", text, room)
	var lines []string
	for l := range strings.SplitSeq(strings.TrimSuffix(b.String(), "\n"), "\n") {
		for len(l) > 0 || len(lines) == 0 {
			part := cut(l, room)
			l = l[len(part):]
			row := newRow(width)
			for _, x := range at {
				row.put(x, "|")
			}
			end := from + 2 + columns.Width(part)
			row.put(from+1, " "+part+" ")
			for _, x := range at { // a column right behind the words stays
				if x == end {
					row.put(x, "|")
				}
			}
			lines = append(lines, strings.TrimRight(mark+row.String()[len(mark):], " "))
			mark = strings.Repeat(" ", margin-2)
			if part == "" {
				break
			}
		}
	}
	return lines
}

// cut returns the beginning of s that fits into n columns, a letter at least.
func cut(s string, n int) string {
	used := 0
	for i, r := range s {
		if used += columns.Of(r); used > n && i > 0 {
			return s[:i]
		}
	}
	return s
}

// within says whether two columns are sides of one machine.
func (d *Drawing) within(a, b int) bool {
	return abs(a-b) == 1 && d.Columns[max(a, b)].Inner
}

// wires are the parts of a path that lie between machines.
func (d *Drawing) wires(path []int) [][2]int {
	var all [][2]int
	for k := 1; k < len(path); k++ {
		if path[k-1] != path[k] && !d.within(path[k-1], path[k]) {
			all = append(all, [2]int{path[k-1], path[k]})
		}
	}
	return all
}

func (d *Drawing) line(row *row, a, b int, dash rune) {
	for x := min(a, b) + 1; x < max(a, b); x++ {
		row.put(x, string(dash))
	}
}

func abs(n int) int { return max(n, -n) }

// row is a line of a terminal, cell by cell. What a wide letter takes beside its
// own cell is 0.
type row struct{ cells []string }

func newRow(width int) *row {
	r := &row{make([]string, width)}
	for i := range r.cells {
		r.cells[i] = " "
	}
	return r
}

// put writes s from column x on; what is beyond the end is cut.
func (r *row) put(x int, s string) {
	for _, l := range s {
		w := columns.Of(l)
		switch {
		case w == 0:
			if x > 0 && x <= len(r.cells) {
				r.cells[x-1] += string(l)
			}
			continue
		case x < 0 || x+w > len(r.cells):
			return
		}
		r.clear(x)
		r.cells[x] = string(l)
		if w == 2 {
			r.clear(x + 1)
			r.cells[x+1] = ""
		}
		x += w
	}
}

// clear frees a cell, also where half of a wide letter is in it.
func (r *row) clear(x int) {
	if r.cells[x] == "" && x > 0 {
		r.cells[x-1] = " "
	}
	if x+1 < len(r.cells) && r.cells[x+1] == "" && columns.Width(r.cells[x]) == 2 {
		r.cells[x+1] = " "
	}
	r.cells[x] = " "
}

func (r *row) String() string { return strings.Join(r.cells, "") }

// Mermaid draws the ladder as a sequence diagram of Mermaid, which GitHub and
// GitLab show in a ticket. They show none of more than 50,000 characters, so long
// texts lose their ends.
func (d *Drawing) Mermaid() string {
	var b strings.Builder
	b.WriteString("sequenceDiagram\n")
	for i, c := range d.Columns {
		fmt.Fprintf(&b, "    participant c%d as %s\n", i, mermaid(strings.TrimSpace(c.Title+" "+c.Under)))
	}
	for _, r := range d.Rungs {
		text := r.Text
		if r.Became != "" {
			text += " → " + r.Became
		}
		if r.Mark != "" {
			text = r.Mark + ": " + text
		}
		text = clip(text, mostText)
		if len(r.Path) == 0 {
			r.Path = []int{0, len(d.Columns) - 1}
		}
		first, last := r.Path[0], r.Path[len(r.Path)-1]
		switch {
		case r.Kind == Note || first == last:
			fmt.Fprintf(&b, "    Note over c%d,c%d: %s\n", first, last, mermaid(text))
		case r.Lost:
			fmt.Fprintf(&b, "    c%d-xc%d: %s\n", first, last, mermaid(text))
		case r.Kind == Data:
			fmt.Fprintf(&b, "    c%d-->>c%d: %s\n", first, last, mermaid(text))
		default:
			fmt.Fprintf(&b, "    c%d->>c%d: %s\n", first, last, mermaid(text))
		}
	}
	return b.String()
}

// mermaid makes a text safe for a line of Mermaid, and for the page that it is
// shown in: what could end the line, begin a comment or be HTML or a formula
// becomes a code. Mermaid spoils codes that follow "style" or "classDef" and a
// colon, in any text.
func mermaid(s string) string {
	coded := "#;%<>&\"'`{}[]()\\$"
	if strings.Contains(s, "style") || strings.Contains(s, "classDef") {
		coded += ":"
	}
	var b strings.Builder
	for _, r := range columns.Shown(s) {
		if strings.ContainsRune(coded, r) {
			fmt.Fprintf(&b, "#%d;", r)
			continue
		}
		b.WriteRune(r)
	}
	return b.String()
}
