package progress

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"towpath/internal/columns"
)

// painter shows rows on a terminal: one for each of the busiest files, and one
// for all together. Each frame goes back over the one before.
type painter struct {
	p    *Progress
	rows int // of the frame that is there
}

// What a terminal is told (ECMA-48): up n lines, erase to the end of the line
// or of the screen, and colours.
const (
	eraseLine   = "\x1b[K"
	eraseScreen = "\x1b[J"
	red         = "\x1b[31m"
	green       = "\x1b[32m"
	plain       = "\x1b[m"
)

func (t *painter) started(*File) string { return "" } // the next frame has it

// done leaves a line for a failure, above the rows.
func (t *painter) done(f *File) string {
	if f.err == nil {
		return ""
	}
	return t.note(failure(f) + "\n")
}

func failure(f *File) string { return columns.Shown(f.name) + ": " + columns.Shown(f.err.Error()) }

func (t *painter) tick() string { return t.back() + t.frame() }

// note writes text in place of the rows, and the rows anew below it.
func (t *painter) note(text string) string {
	if text != "" && !strings.HasSuffix(text, "\n") {
		text += "\n"
	}
	return t.back() + strings.ReplaceAll(text, "\n", eraseLine+"\n") + t.frame()
}

func (t *painter) close() string { return t.back() + t.frame() }

// back goes to the beginning of the frame that is there.
func (t *painter) back() string {
	if t.rows == 0 {
		return ""
	}
	return fmt.Sprintf("\r\x1b[%dA", t.rows)
}

// frame writes the rows, and erases what is left of longer ones.
func (t *painter) frame() string {
	rows := t.p.rows()
	var b strings.Builder
	for _, r := range rows {
		b.WriteString(r + eraseLine + "\n")
	}
	if t.rows > len(rows) {
		b.WriteString(eraseScreen)
	}
	t.rows = len(rows)
	return b.String()
}

// row is what a row says.
type row struct {
	name     string
	share    string // "45%"
	at       string // "12.3 MiB"
	rate     string // "1.2 MiB/s"
	time     string // that is left, or that it took
	color    string
	fraction float64 // of the bar, -1: no bar
}

// rows are the rows of a frame. The total has none of its own where there is
// but one file.
func (p *Progress) rows() []string {
	var all []row
	for _, f := range p.busiest() {
		all = append(all, f.row())
	}
	if t := p.total(); t.files > 1 {
		all = append(all, t.row())
	}
	width := p.o.Width() - 1 // a full row makes some terminals begin another
	text := make([]string, len(all))
	for i, r := range all {
		text[i] = r.text(width, p.o.Color)
	}
	return text
}

// busiest are the files with the highest rates, and if there are fewer than
// rows, those that were done last, in the order in which they were begun: so
// rows do not jump about.
func (p *Progress) busiest() []*File {
	if len(p.files) <= p.o.Rows {
		return p.files
	}
	order := make([]int, len(p.files))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(i, j int) int {
		a, b := p.files[i], p.files[j]
		switch {
		case a.ended != b.ended && a.ended:
			return 1
		case a.ended != b.ended:
			return -1
		case a.ended:
			return j - i
		}
		return cmp.Compare(b.meter.rate, a.meter.rate)
	})
	order = order[:p.o.Rows]
	slices.Sort(order)
	busy := make([]*File, len(order))
	for i, at := range order {
		busy[i] = p.files[at]
	}
	return busy
}

func (f *File) row() row {
	at, size := f.at(), f.size.Load()
	r := row{name: columns.Shown(f.name), share: share(at, size), at: bytes(float64(at)), fraction: -1}
	if size > 0 {
		r.fraction = min(1, float64(at)/float64(size))
	}
	if !f.ended {
		r.rate = bytes(f.meter.rate) + "/s"
		r.time = clock(left(at, size, f.meter.rate))
		return r
	}
	r.time = clock(f.took)
	if s := f.took.Seconds(); s > 0 {
		r.rate = bytes(float64(f.moved.Load())/s) + "/s"
	}
	r.share, r.color = "done", green
	if f.err != nil {
		r.share, r.color = "fail", red
	}
	return r
}

func (t total) row() row {
	r := row{
		name:     fmt.Sprintf("%d of %d files, %s", t.done, t.files, clock(t.took)),
		share:    share(t.at, t.size),
		at:       bytes(float64(t.at)),
		rate:     bytes(t.rate) + "/s",
		time:     clock(left(t.at, t.size, t.rate)),
		fraction: -1,
	}
	if t.size > 0 {
		r.fraction = min(1, float64(t.at)/float64(t.size))
	}
	if t.failed > 0 {
		r.name = fmt.Sprintf("%d of %d, %d failed, %s", t.done, t.files, t.failed, clock(t.took))
		r.color = red
	}
	if t.done+t.failed == t.files {
		r.time = ""
		if s := t.took.Seconds(); s > 0 {
			r.rate = bytes(float64(t.moved)/s) + "/s"
		}
	}
	return r
}

// The widths of the columns behind the name. A narrow terminal goes without
// some of them, and the name has what is left.
const (
	barWidth   = 20
	shareWidth = 4
	atWidth    = 8
	rateWidth  = 10
	timeWidth  = 8
	nameWidth  = 16 // at least, while there is something else to go without
)

// text writes the row in width columns: name, bar, share, bytes, rate, time.
func (r row) text(width int, color bool) string {
	cells := []struct {
		text  string
		width int
		rank  int // the highest goes first
	}{
		{bar(r.fraction, barWidth), barWidth, 4},
		{columns.Right(r.share, shareWidth), shareWidth, 0},
		{columns.Right(r.at, atWidth), atWidth, 3},
		{columns.Right(r.rate, rateWidth), rateWidth, 2},
		{columns.Right(r.time, timeWidth), timeWidth, 1},
	}
	name := width
	for _, c := range cells {
		name -= 1 + c.width
	}
	for rank := 4; name < nameWidth && rank >= 0; rank-- {
		for i, c := range cells {
			if c.rank == rank && c.width > 0 {
				name += 1 + c.width
				cells[i].width = 0
			}
		}
	}
	var b strings.Builder
	b.WriteString(columns.Fit(r.name, max(0, name)))
	for i, c := range cells {
		if c.width == 0 {
			continue
		}
		b.WriteByte(' ')
		if i == 1 && color && r.color != "" {
			c.text = r.color + c.text + plain
		}
		b.WriteString(c.text)
	}
	return strings.TrimRight(b.String(), " ")
}

// bar draws a fraction, and nothing for -1.
func bar(fraction float64, width int) string {
	if fraction < 0 {
		return strings.Repeat(" ", width)
	}
	full := int(fraction * float64(width))
	return strings.Repeat("━", full) + strings.Repeat("─", width-full)
}
