package ladder

import (
	"fmt"
	"html"
	"html/template"
	"slices"
	"strings"

	"towpath/internal/columns"
)

// Style is what a page needs in its style sheet, and Markers once in its body,
// to show ladders. A page with other colours says so in the variables --ink,
// --paper, --quiet, --line, --wire, --data and --bad.
const (
	Style template.CSS = `
svg.ladder text { font: 12px ui-sans-serif, system-ui, "DejaVu Sans", sans-serif; fill: var(--ink, #3b4754); paint-order: stroke; stroke: var(--paper, #fff); stroke-width: 3px; }
svg.ladder .title { font-weight: 600; } svg.ladder .mark, svg.ladder .under { fill: var(--quiet, #5b6770); }
svg.ladder .bad-text { fill: var(--bad, #b3261e); } svg.ladder .data-text { fill: var(--data, #1b4f9c); } svg.ladder .note-text { font-style: italic; }
svg.ladder path { fill: none; } svg.ladder .life { stroke: var(--line, #cbd2d9); stroke-dasharray: 3 4; }
path.control { stroke: var(--wire, #7b8794); stroke-width: 1.5; } path.data { stroke: var(--data, #1b4f9c); stroke-width: 2; } path.bad { stroke: var(--bad, #b3261e); stroke-width: 2; }
path.inner { stroke-dasharray: 2 4; }
.ladder-scroll { overflow: auto; max-height: 85vh; margin: .5rem 0; }
.ladder-scroll svg { display: block; } .ladder-head { position: sticky; top: 0; background: var(--paper, #fff); z-index: 1; width: max-content; border-bottom: 1px solid var(--line, #e4e7eb); }
@media print { .ladder-scroll { overflow: visible; max-height: none; } .ladder-scroll svg, .ladder-head { width: 100%; height: auto; } }
`
	Markers template.HTML = `<svg width="0" height="0" style="position:absolute" aria-hidden="true"><defs>
<marker id="control" viewBox="0 0 8 8" refX="7.5" refY="4" markerWidth="6" markerHeight="6" orient="auto"><path d="M0 0 8 4 0 8z" style="fill:var(--wire,#7b8794)"/></marker>
<marker id="data" viewBox="0 0 8 8" refX="7.5" refY="4" markerWidth="6" markerHeight="6" orient="auto"><path d="M0 0 8 4 0 8z" style="fill:var(--data,#1b4f9c)"/></marker>
<marker id="bad" viewBox="0 0 8 8" refX="7.5" refY="4" markerWidth="6" markerHeight="6" orient="auto"><path d="M0 0 8 4 0 8z" style="fill:var(--bad,#b3261e)"/></marker>
</defs></svg>
`
)

// The measures of a ladder in SVG, in pixels.
const (
	wireWidth  = 250
	shortest   = 620 // between the outer columns, for words have to stand there
	innerWidth = 90
	markWidth  = 90
	rungHeight = 30
	headHeight = 44
)

// mostText is how many letters of a rung stand where lines do not break.
const mostText = 110

// SVG draws the ladder for a page with [Style] and [Markers]: the titles stay in
// sight while the rungs scroll below them.
func (d *Drawing) SVG() template.HTML {
	at := []int{}
	wires := 0
	for i, c := range d.Columns {
		if i > 0 && !c.Inner {
			wires++
		}
	}
	wire := max(wireWidth, shortest/max(wires, 1))
	x := markWidth + wireWidth/2
	for i, c := range d.Columns {
		switch {
		case i == 0:
		case c.Inner:
			x += innerWidth
		default:
			x += wire
		}
		at = append(at, x)
	}
	width, height := x+wireWidth/2, rungHeight*len(d.Rungs)+20
	var b strings.Builder
	b.WriteString(`<div class="ladder-scroll" tabindex="0"><div class="ladder-head">` + "\n")
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" class="ladder" viewBox="0 0 %d %d" width="%d" height="%d">`+"\n", width, headHeight, width, headHeight)
	for i, c := range d.Columns {
		anchor := "middle"
		if c.Inner {
			anchor = "start"
		} else if i+1 < len(d.Columns) && d.Columns[i+1].Inner {
			anchor = "end"
		}
		fmt.Fprintf(&b, `<text class="title" x="%d" y="18" text-anchor="%s">%s</text><text class="under" x="%d" y="36" text-anchor="%s">%s</text>`+"\n",
			at[i], anchor, escape(c.Title), at[i], anchor, escape(c.Under))
	}
	b.WriteString("</svg></div>\n")
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" class="ladder" viewBox="0 0 %d %d" width="%d" height="%d">`+"\n", width, height, width, height)
	for i := range d.Columns {
		fmt.Fprintf(&b, `<path class="life" d="M%d 0V%d"/>`+"\n", at[i], height)
	}
	for i, r := range d.Rungs {
		y := rungHeight*i + 24
		class := r.Kind.String()
		if r.Lost || r.Bad {
			class = "bad"
		}
		fmt.Fprintf(&b, `<text x="4" y="%d" class="mark">%s</text>`+"\n", y, escape(r.Mark))
		left := at[0]
		if len(r.Path) > 0 {
			left = at[slices.Min(r.Path)]
		}
		for k := 1; k < len(r.Path) && r.Kind != Note; k++ {
			from, to := r.Path[k-1], r.Path[k]
			marker, inner := fmt.Sprintf(` marker-end="url(#%s)"`, class), ""
			if d.within(from, to) {
				marker, inner = "", " inner"
			}
			fmt.Fprintf(&b, `<path class="%s%s" d="M%d %dH%d"%s/>`+"\n", class, inner, at[from], y, at[to], marker)
		}
		if r.Lost && len(r.Path) > 0 {
			end := at[r.Path[len(r.Path)-1]]
			fmt.Fprintf(&b, `<path class="bad" d="M%d %dl10 10m0 -10l-10 10"/>`+"\n", end-5, y-5)
		}
		text := r.Text
		if r.Became != "" {
			text += "  →  " + r.Became
		}
		fmt.Fprintf(&b, `<text class="%s-text" x="%d" y="%d">%s<title>%s</title></text>`+"\n", class, left+6, y-4, escape(clip(text, mostText)), escape(text))
	}
	b.WriteString("</svg></div>\n")
	return template.HTML(b.String()) // ours, its words escaped
}

func escape(s string) string { return html.EscapeString(columns.Shown(s)) }

func clip(s string, length int) string {
	if r := []rune(s); len(r) > length {
		return string(r[:length-1]) + "…"
	}
	return s
}
