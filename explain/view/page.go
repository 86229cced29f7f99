package view

import (
	"bufio"
	"errors"
	"fmt"
	"html"
	"html/template"
	"io"
	"iter"
	"slices"
	"strings"
	"sync"
	"time"

	"towpath/explain"
	"towpath/internal/columns"
	"towpath/internal/ladder"
)

// A page stays such that a browser likes to open it.
const (
	mostDrawn  = 200    // sessions with a ladder
	mostOnPage = 20_000 // rungs of all of them
	mostLong   = 2000   // rungs of one
	mostListed = 5000   // sessions in the table
	mostBars   = 500
)

// The parts of a page, as its template has them.
type (
	pageSession struct {
		ID                   int
		Title, When, Verdict string
		Class                string
		Findings             []pageFinding
		Transfers            []pageTransfer
		Axis, Ladder         template.HTML
		Steps                []pageStep
	}
	pageFinding struct {
		explain.Finding
		Where string
	}
	pageTransfer struct{ Mark, Verdict, Class, What, How, Way, Moved, Reply string }
	pageStep     struct{ Packet, Time, Speaker, Line, Says, Class string }
	pageRow      struct {
		Class, Verdict string
		Drawn          bool
		Cells          []string
	}
)

// WriteHTML writes a page that needs nothing else: no network, no script. Its
// sessions are drawn while it is written, one after the other.
func (v *View) WriteHTML(w io.Writer) error {
	drawn := v.drawn()
	listed := v.few(v.Told(), mostListed)
	if len(listed) > mostRows {
		listed = byRank(listed)
	}
	sections := func(yield func(pageSession) bool) {
		for _, s := range v.Told() {
			if drawn[s.ID] && !yield(v.section(s)) {
				return
			}
		}
	}
	rows := func(yield func(pageRow) bool) {
		for _, s := range listed {
			if !yield(pageRow{string(s.Verdict), v.say("view.verdict." + string(s.Verdict)), drawn[s.ID], v.row(s)[1:]}) {
				return
			}
		}
	}
	reasons := v.Reasons()
	for i, f := range reasons {
		reasons[i].Text, reasons[i].Advice = columns.Shown(f.Text), columns.Shown(f.Advice)
	}
	more := ""
	switch n := len(v.Told()); {
	case len(listed) < n:
		more = v.say("view.left-out", "n", n-len(listed))
	case len(drawn) < n:
		more = v.counted("view.not-drawn", n-len(drawn))
	}
	var captures strings.Builder
	v.captures(&captures, 1<<20) // the page breaks its lines itself
	out := bufio.NewWriter(w)
	err := page().Execute(out, map[string]any{
		"Lang": v.lang.String(), "Verdict": v.Verdict(), "Works": v.Works(), "Reasons": reasons, "Captures": strings.TrimSpace(captures.String()),
		"Many": len(v.Told()) > 1, "Why": slices.ContainsFunc(listed, erred), "Sessions": iter.Seq[pageSession](sections), "Rows": iter.Seq[pageRow](rows), "More": more,
		"Say": func(name string) string { return v.say(name) }, "Style": ladder.Style, "Markers": ladder.Markers,
	})
	return errors.Join(err, out.Flush())
}

// drawn are the sessions that a page draws: all if a browser can bear them or
// they are wanted, else those that failed first.
func (v *View) drawn() map[int]bool {
	drawn := map[int]bool{}
	rungs := 0
	for _, s := range byRank(v.Told()) {
		// A command and its reply are two, a data connection is about six.
		rungs += min(2*len(s.Commands)+6*len(s.Transfers), mostLong)
		if !v.All && (len(drawn) == mostDrawn || rungs > mostOnPage) {
			break
		}
		drawn[s.ID] = true
	}
	return drawn
}

// section is what a page says of a session.
func (v *View) section(s *explain.Session) pageSession {
	to := pageSession{ID: s.ID, Title: v.Title(s), Verdict: mark(s.Verdict) + " " + v.say("view.verdict."+string(s.Verdict)), Class: string(s.Verdict)}
	if !s.Started.IsZero() {
		to.When = v.say("view.when", "start", s.Started.Format("2006-01-02 15:04:05"), "took", s.Ended.Sub(s.Started).Round(time.Millisecond))
	}
	for _, f := range v.findings(s) {
		f.Text, f.Advice = columns.Shown(f.Text), columns.Shown(f.Advice)
		to.Findings = append(to.Findings, pageFinding{f.Finding, v.packets(f)})
	}
	for _, t := range s.Transfers {
		to.Transfers = append(to.Transfers, pageTransfer{mark(t.Verdict), v.say("view.verdict." + string(t.Verdict)), string(t.Verdict), v.what(t), v.how(t), way(t), v.moved(t), reply(t)})
	}
	to.Axis = v.axis(s)
	d, _ := v.Ladder(s.ID)
	if n := len(d.Rungs); n > mostLong && !v.All {
		d.Rungs = append(d.Rungs[:mostLong], ladder.Rung{Kind: ladder.Note, Path: []int{0}, Text: v.say("view.left-out", "n", n-mostLong)})
	}
	to.Ladder = d.SVG()
	for i, st := range s.Steps() {
		if i == mostLong && !v.All {
			break
		}
		line := pageStep{Time: seconds(st.Time, s.Started), Line: columns.Shown(brief(st.Line)), Says: columns.Shown(st.Says.In(v.lang))}
		if st.Packet != 0 {
			line.Packet = fmt.Sprint(st.Packet)
		}
		if st.Speaker != "" {
			line.Speaker = v.say(st.Speaker)
		}
		if st.Bad {
			line.Class = "failed"
		}
		to.Steps = append(to.Steps, line)
	}
	return to
}

// The measures of the axis, in pixels.
const (
	axisWidth = 720
	barHeight = 22
	nameWidth = 260
)

// axis draws the transfers of a session on an axis of time: from the
// announcement, a thin line, to the connection, a bar, and its last reply.
func (v *View) axis(s *explain.Session) template.HTML {
	from, to := s.Started, s.Ended
	if !to.After(from) || len(s.Transfers) == 0 {
		return ""
	}
	x := func(at explain.Instant) int {
		return nameWidth + int(float64(axisWidth)*float64(at.Sub(from))/float64(to.Sub(from)))
	}
	transfers := s.Transfers[:min(len(s.Transfers), mostBars)]
	height := barHeight*len(transfers) + 34
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" class="ladder axis" viewBox="0 0 %d %d" width="%d" height="%d">`+"\n", nameWidth+axisWidth+20, height, nameWidth+axisWidth+20, height)
	for i := range 5 {
		at := from.Add(to.Sub(from) * time.Duration(i) / 4)
		anchor := "middle"
		if i == 4 {
			anchor = "end"
		}
		fmt.Fprintf(&b, `<path class="life" d="M%d 0V%d"/><text class="mark" x="%d" y="%d" text-anchor="%s">%s</text>`+"\n", x(at), height-22, x(at), height-6, anchor, since(at.Sub(from), to.Sub(from)))
	}
	for i, t := range transfers {
		y := barHeight*i + 6
		fmt.Fprintf(&b, `<text x="4" y="%d">%s %s</text>`+"\n", y+11, mark(t.Verdict), html.EscapeString(strings.TrimRight(columns.Fit(v.what(t), min(columns.Width(v.what(t)), 34)), " ")))
		var points []explain.Instant // all that is known of when it was
		for _, m := range []explain.Mark{t.Announcement, t.Asked} {
			if m.Packet != 0 {
				points = append(points, m.Time)
			}
		}
		if t.CommandAt >= 0 && t.CommandAt < len(s.Commands) && s.Commands[t.CommandAt].Replied.Packet != 0 {
			points = append(points, s.Commands[t.CommandAt].Replied.Time)
		}
		var first, last explain.Instant
		if c := t.Connection; c != nil {
			first, last = connected(c)
			points = append(points, first, last)
		}
		if len(points) == 0 {
			continue
		}
		slices.Sort(points)
		fmt.Fprintf(&b, `<path class="wait %s" d="M%d %dH%d"/>`+"\n", t.Verdict, x(points[0]), y+7, max(x(points[len(points)-1]), x(points[0])+2))
		if !first.IsZero() {
			fmt.Fprintf(&b, `<rect class="bar %s" x="%d" y="%d" width="%d" height="12" rx="2"><title>%s</title></rect>`+"\n", t.Verdict, x(first), y+1, max(x(last)-x(first), 3), html.EscapeString(way(t)+"; "+v.moved(t)+"; "+reply(t)))
		}
	}
	b.WriteString("</svg>\n")
	return template.HTML(b.String()) // ours, its words escaped
}

// since is a time on an axis of that length.
func since(d, length time.Duration) string {
	if length < 100*time.Millisecond {
		return fmt.Sprintf("%.2f ms", float64(d)/float64(time.Millisecond))
	}
	return fmt.Sprintf("%.3f s", d.Seconds())
}

// connected says from when to when a connection was seen.
func connected(c *explain.Connection) (first, last explain.Instant) {
	marks := append(slices.Clone(c.SYN), c.SYNACK, c.ACK, c.First, c.Last)
	for _, e := range c.Ends {
		marks = append(marks, e.Mark)
	}
	for _, m := range marks {
		if m.Packet == 0 {
			continue
		}
		if first.IsZero() || m.Time.Before(first) {
			first = m.Time
		}
		if m.Time.After(last) {
			last = m.Time
		}
	}
	return first, last
}

var page = sync.OnceValue(func() *template.Template {
	return template.Must(template.New("explain").Parse(`<!doctype html>
<html lang="{{.Lang}}">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>{{call .Say "view.title"}}</title>
<style>
:root { color-scheme: light dark; --ink: #1f2933; --paper: #fff; --quiet: #5b6770; --line: #cbd2d9; --wire: #7b8794; --data: #1b4f9c; --good: #1b6e3c; --bad: #b3261e; --odd: #8a5a00; }
@media (prefers-color-scheme: dark) { :root { --ink: #dde3ea; --paper: #16191d; --quiet: #9aa5b1; --line: #3b4754; --wire: #8a96a3; --data: #7fb0ff; --good: #6cc48c; --bad: #ff8a80; --odd: #e0b050; } }
@media print { :root { color-scheme: light; --ink: #000; --paper: #fff; --quiet: #444; --line: #bbb; --wire: #555; --data: #1b4f9c; --good: #1b6e3c; --bad: #b3261e; --odd: #8a5a00; } h2, h3 { break-after: avoid; } tr { break-inside: avoid; } body { font-size: 12px; margin: 0; max-width: none; } svg.axis { width: 100%; height: auto; } }
body { font: 16px/1.5 ui-sans-serif, system-ui, "Segoe UI", "DejaVu Sans", sans-serif; color: var(--ink); background: var(--paper); max-width: 80rem; margin: 2rem auto; padding: 0 1rem; overflow-wrap: anywhere; } a { color: var(--data); }
table { border-collapse: collapse; width: 100%; } th, td { text-align: left; padding: .2rem .8rem .2rem 0; border-bottom: 1px solid var(--line); vertical-align: top; overflow-wrap: break-word; }
table.steps { font-size: .9rem; } td.number, th.number { text-align: right; } td.number, td.address { white-space: nowrap; font-variant-numeric: tabular-nums; overflow-wrap: normal; } th { overflow-wrap: normal; }
.worked { color: var(--good); } .failed { color: var(--bad); font-weight: 600; } .unknown, .not-captured { color: var(--odd); }
.verdict { font-weight: 600; font-size: 1.1rem; } .quiet { color: var(--quiet); white-space: pre-line; } code { font-size: .9rem; }
section { border-top: 2px solid var(--line); margin-top: 2rem; } h2 { font-size: 1.15rem; margin-bottom: 0; } h3 { font-size: 1rem; margin: 1.2rem 0 .3rem; }
.finding { border-left: 4px solid var(--line); padding: .1rem 0 .1rem .8rem; margin: .6rem 0; } .finding.error { border-color: var(--bad); } .finding.warning { border-color: var(--odd); }
.finding p { margin: .1rem 0; } figure { margin: .5rem 0; } figure, .wide { overflow-x: auto; } td.name { overflow-wrap: anywhere; min-width: 8rem; }
svg .bar { fill: var(--wire); } svg .bar.worked { fill: var(--good); } svg .bar.failed { fill: var(--bad); } svg path.wait { stroke: var(--wire); stroke-width: 2; } svg path.wait.failed { stroke: var(--bad); }
summary { cursor: pointer; margin: .6rem 0; }
{{.Style}}</style>
{{.Markers}}<h1>{{call .Say "view.title"}}</h1>
<p class="verdict {{if not .Works}}failed{{end}}">{{.Verdict}}</p>
{{range .Reasons}}<div class="finding {{.Severity}}"><p><strong>{{.Text}}</strong></p>{{with .Advice}}<p>→ {{.}}</p>{{end}}</div>
{{end}}<p class="quiet">{{.Captures}}</p>
{{if .Many}}<div class="wide"><table>
<tr><th>{{call .Say "view.head.verdict"}}<th class="number">#{{if .Why}}<th>{{call .Say "view.head.cause"}}{{end}}<th>{{call .Say "view.head.user"}}<th>{{call .Say "view.head.client"}}<th>{{call .Say "view.head.server"}}<th class="number">{{call .Say "view.head.transfers"}}
{{range .Rows}}<tr><td class="{{.Class}}">{{.Verdict}}<td class="number">{{if .Drawn}}<a href="#session{{index .Cells 0}}">{{index .Cells 0}}</a>{{else}}{{index .Cells 0}}{{end}}{{if $.Why}}<td>{{index .Cells 1}}{{end}}<td>{{index .Cells 2}}<td class="address">{{index .Cells 3}}<td class="address">{{index .Cells 4}}<td class="number">{{index .Cells 5}}
{{end}}</table></div>
{{with .More}}<p class="quiet">{{.}}</p>
{{end}}{{end}}{{range .Sessions}}<section id="session{{.ID}}">
<h2>{{.Title}}</h2>
<p><span class="{{.Class}}">{{.Verdict}}</span>{{with .When}} <span class="quiet">{{.}}</span>{{end}}</p>
{{with .Findings}}<h3>{{call $.Say "view.findings"}}</h3>
{{range .}}<div class="finding {{.Severity}}"><p><code>{{.ID}}</code> {{.Text}} <span class="quiet">{{.Where}}</span></p>{{with .Advice}}<p>→ {{.}}</p>{{end}}</div>
{{end}}{{end}}{{with .Transfers}}<h3>{{call $.Say "view.transfers"}}</h3>
<div class="wide"><table>{{range .}}<tr><td class="{{.Class}}" title="{{.Verdict}}">{{.Mark}}<td class="name">{{.What}}<td>{{.How}}<td>{{.Way}}<td>{{.Moved}}<td class="name">{{.Reply}}
{{end}}</table></div>
{{end}}{{with .Axis}}<h3>{{call $.Say "view.axis"}}</h3>
<figure>{{.}}</figure>
{{end}}<h3>{{call $.Say "view.ladder"}}</h3>
<figure>{{.Ladder}}</figure>
<details><summary>{{call $.Say "view.steps"}}</summary>
<table class="steps">{{range .Steps}}<tr class="{{.Class}}"><td class="number">{{.Packet}}<td class="number">{{.Time}}<td>{{.Speaker}}<td>{{with .Line}}<code>{{.}}</code><br>{{end}}{{.Says}}
{{end}}</table></details>
</section>
{{end}}<p class="verdict {{if not .Works}}failed{{end}}">{{.Verdict}}</p>
</html>
`))
})
