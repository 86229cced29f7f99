package doctor

import (
	"fmt"
	"html/template"
	"io"
	"net/netip"
	"slices"
	"strings"
	"sync"

	"towpath/internal/words"
	"towpath/topology"
)

// The measures of a drawing.
const (
	columnWidth = 230
	boxWidth    = 190
	laneHeight  = 134
	margin      = 20
	labelWidth  = 90
)

// drawing is a network with its machines side by side, and below them a lane
// for each mode in which its connections are drawn.
type drawing struct {
	strings.Builder
	r       *Report
	columns []string
	boxes   int // height of the boxes
}

// WriteSVG draws the network, and for each mode the announcement, which goes
// over the control connection, and the way of the data connection to its end.
func (r *Report) WriteSVG(w io.Writer) error {
	d := &drawing{r: r, columns: r.columns()}
	for _, c := range d.columns {
		d.boxes = max(d.boxes, 30+16*len(r.facts(r.net.Node(c)))+10)
	}
	width := labelWidth + columnWidth*len(d.columns) + margin
	top := margin + 30
	height := top + d.boxes + 26 + laneHeight*len(r.Cases) + margin
	fmt.Fprintf(d, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" role="img" aria-labelledby="title desc">
<title id="title">%s</title>
<desc id="desc">%s</desc>
`, width, height, width, height, esc(r.Network+": "+r.Title), esc(r.Verdict))
	d.WriteString(style)
	fmt.Fprintf(d, `<rect class="paper" width="%d" height="%d"/>`+"\n", width, height)
	d.text(margin, margin+8, "head", r.Verdict)
	d.links(top)
	for i, c := range d.columns {
		d.box(i, top, c)
		fmt.Fprintf(d, `<path class="life" d="M%d %dV%d"/>`+"\n", d.x(i), top+d.boxes, height-margin)
	}
	for i, v := range r.Cases {
		d.lane(top+d.boxes+26+i*laneHeight, v)
	}
	d.WriteString("</svg>\n")
	_, err := io.WriteString(w, d.String())
	return err
}

const style = `<style>
text { font: 13px ui-sans-serif, system-ui, "Segoe UI", "DejaVu Sans", sans-serif; fill: #3b4754; }
.small { font-size: 11.5px; fill: #5b6770; }
.name { font-weight: 600; fill: #1f2933; }
.head { font-size: 15px; font-weight: 600; fill: #1f2933; }
.middle { text-anchor: middle; }
.good { fill: #1b6e3c; } .bad { fill: #b3261e; }
.paper { fill: #ffffff; }
.host { fill: #e6edf8; stroke: #7b8794; } .router { fill: #f7efe0; stroke: #7b8794; }
.wire { stroke: #7b8794; stroke-width: 3; fill: none; }
.life { stroke: #cbd2d9; stroke-dasharray: 3 4; fill: none; }
.rule { stroke: #e4e7eb; fill: none; }
.control { stroke: #7b8794; } .works { stroke: #1b6e3c; } .fails { stroke: #b3261e; } .strays { stroke: #b3261e; stroke-dasharray: 6 4; }
.control, .works, .fails, .strays { stroke-width: 2; fill: none; }
.halo { paint-order: stroke; stroke: #ffffff; stroke-width: 4px; stroke-linejoin: round; }
</style>
<defs>
<marker id="control" viewBox="0 0 8 8" refX="7.5" refY="4" markerWidth="7" markerHeight="7" orient="auto"><path d="M0 0 8 4 0 8z" fill="#7b8794"/></marker>
<marker id="works" viewBox="0 0 8 8" refX="7.5" refY="4" markerWidth="7" markerHeight="7" orient="auto"><path d="M0 0 8 4 0 8z" fill="#1b6e3c"/></marker>
<marker id="fails" viewBox="0 0 8 8" refX="7.5" refY="4" markerWidth="7" markerHeight="7" orient="auto"><path d="M0 0 8 4 0 8z" fill="#b3261e"/></marker>
</defs>
`

func esc(s string) string { return template.HTMLEscapeString(s) }

// columns orders the machines from client to server as the control connection
// passes them; who else was met stands beside the one that was before him.
func (r *Report) columns() []string {
	var all []string
	if len(r.Cases) == 0 {
		return append(all, r.net.Session.From)
	}
	for _, s := range r.Cases[0].outcome.link.steps {
		if !slices.Contains(all, s.Node) {
			all = append(all, s.Node)
		}
	}
	server := r.Cases[0].outcome.link.at.Name
	for _, v := range r.Cases {
		for _, path := range [][]Step{v.Path, v.Answer} {
			for i, s := range path {
				if slices.Contains(all, s.Node) {
					continue
				}
				at := slices.Index(all, path[max(i-1, 0)].Node)
				if i == 0 || all[at] != server {
					at++ // behind, as seen from the client; what the server meets stands before it
				}
				all = slices.Insert(all, at, s.Node)
			}
		}
	}
	return all
}

// facts are the lines in the box of a machine.
func (r *Report) facts(m *topology.Node) []string {
	var all []string
	say := func(name string, args ...any) { all = append(all, words.Say(name, args...).In(r.lang)) }
	for _, i := range m.Interfaces {
		for _, a := range i.Addresses {
			all = append(all, a.String())
		}
	}
	for _, f := range m.Forwards {
		to := f.To[0].String()
		if len(f.To) > 1 {
			to += " …"
		}
		if len(f.Ports) > 0 {
			say("draw.forwards", "ports", f.Ports, "to", to)
		} else {
			say("draw.forwards-all", "to", to)
		}
	}
	if len(m.SourceNAT) > 0 {
		say("draw.source-nat", "out", m.SourceNAT[0].Out)
	}
	if len(m.Firewall) > 0 {
		say("draw.firewall")
	}
	if m.ALG != nil {
		say("draw.alg", "kind", m.ALG.Kind, "ports", m.ALG.Ports)
	}
	for _, route := range m.Routes {
		if route.Kind != "" {
			all = append(all, fmt.Sprintf("%v: %s", route.To, route.Kind))
		}
	}
	if m.Idle > 0 {
		say("draw.forgets", "idle", m.Idle)
	}
	if s := m.Server; s != nil {
		line := words.Say("draw.server").In(r.lang)
		if len(s.Passive) > 0 {
			line += ", " + s.Passive.String()
		}
		all = append(all, line)
		if s.External.IsValid() {
			say("draw.tells", "address", s.External)
		}
	}
	if m.Client != nil {
		line := words.Say("draw.client").In(r.lang)
		if r.net.Session.TLS {
			line += ", TLS"
		}
		all = append(all, line)
	}
	return all
}

// x is the middle of a column.
func (d *drawing) x(column int) int { return labelWidth + columnWidth*column + columnWidth/2 }

func (d *drawing) at(node string) int { return d.x(slices.Index(d.columns, node)) }

func (d *drawing) say(name string, args ...any) string { return words.Say(name, args...).In(d.r.lang) }

func (d *drawing) text(x, y int, class, s string) {
	fmt.Fprintf(d, `<text x="%d" y="%d" class="%s">%s</text>`+"\n", x, y, class, esc(s))
}

// links draws the wires between neighbours.
func (d *drawing) links(top int) {
	y := top + 22
	for _, l := range d.r.net.Links {
		low, high := -1, -1
		for i, c := range d.columns {
			if slices.ContainsFunc(d.r.net.Node(c).Interfaces, func(f topology.Interface) bool { return f.Link == l.Name }) {
				if low < 0 {
					low = i
				}
				high = i
			}
		}
		if low < 0 || low == high {
			continue
		}
		fmt.Fprintf(d, `<path class="wire" d="M%d %dH%d"><title>%s</title></path>`+"\n", d.x(low), y, d.x(high), esc(l.Name))
	}
}

func (d *drawing) box(i, top int, name string) {
	n := d.r.net
	class := "host"
	if n.IsRouter(name) {
		class = "router"
	}
	x := d.x(i)
	fmt.Fprintf(d, `<rect class="%s" x="%d" y="%d" width="%d" height="%d" rx="6"/>`+"\n", class, x-boxWidth/2, top, boxWidth, d.boxes)
	d.text(x, top+21, "name middle", name)
	for k, line := range d.r.facts(n.Node(name)) {
		d.text(x, top+41+16*k, "small middle", line)
	}
}

// lane draws one mode.
func (d *drawing) lane(y int, v Verdict) {
	fmt.Fprintf(d, `<path class="rule" d="M%d %dH%d"/>`+"\n", margin, y, labelWidth+columnWidth*len(d.columns))
	d.text(margin, y+34, "name", string(v.Mode))
	word, class := "cell.works", "good"
	if !v.Works {
		word, class = "cell.fails", "bad"
	}
	d.text(margin, y+52, class, d.say(word))
	o := v.outcome
	client, server := d.r.net.Session.From, o.link.at.Name
	if o.said != nil {
		from, to := client, server
		verb := string(v.Mode)
		if !v.Mode.active() {
			from, to = server, client
			verb = map[Mode]string{PASV: "227", EPSV: "229"}[v.Mode]
		}
		label := verb + " " + v.Said
		if v.Heard != v.Said {
			label = d.say("draw.heard", "said", label, "heard", v.Heard)
		}
		class := "control"
		if v.Seen == SeenStall || v.Seen == SeenIllegal {
			class, to = "fails", v.Hop
		}
		d.arrow(from, to, y+34, class, label)
		if class == "fails" {
			d.cross(to, y+34)
		}
	}
	last := y + 78
	switch {
	case v.Seen == SeenStall || v.Seen == SeenIllegal || v.Seen == SeenFamily:
	case v.Seen == SeenNo226:
		d.path(v.Path, last, "fails", d.say("draw.226"))
	case v.Works:
		d.path(v.Path, last, "works", d.say("draw.data", "to", v.To))
	default:
		label := d.say("draw.data", "to", v.To)
		if o.control {
			label = d.say("draw.control", "to", o.dialled)
		}
		if len(v.Answer) == 0 {
			d.path(v.Path, last, "fails", label)
			break
		}
		d.path(v.Path, last, "works", label)
		d.path(v.Answer, last+26, "strays", "")
	}
	if !v.Works {
		d.text(labelWidth+columnWidth/2-boxWidth/2, y+124, "small bad", words.Sentences(d.r.lang,
			words.Say("draw.at", "cause", v.Cause, "hop", v.Hop, "seen", words.Say("label."+string(v.Seen))), v.Seen.phrase()))
	}
}

// arrow draws one from machine to machine.
func (d *drawing) arrow(from, to string, y int, class, label string) {
	head := class
	if head == "strays" {
		head = "fails"
	}
	a, b := d.at(from), d.at(to)
	fmt.Fprintf(d, `<path class="%s" d="M%d %dH%d" marker-end="url(#%s)"/>`+"\n", class, a, y, b, head)
	if label != "" {
		d.text((a+b)/2, y-7, "small middle halo", label)
	}
}

// path draws the hops of a packet; the last of what fails ends in a cross.
func (d *drawing) path(steps []Step, y int, class, label string) {
	if len(steps) == 0 {
		return
	}
	for i := 1; i < len(steps); i++ {
		d.arrow(steps[i-1].Node, steps[i].Node, y, class, "")
	}
	for _, s := range steps {
		below := y
		for _, now := range []struct {
			word string
			addr netip.AddrPort
		}{{"draw.now-from", s.NowFrom}, {"draw.now-to", s.NowTo}} {
			if now.addr.IsValid() {
				below += 15
				d.text(d.at(s.Node), below, "small middle halo", d.say(now.word, "address", now.addr))
			}
		}
		if below > y {
			fmt.Fprintf(d, `<circle cx="%d" cy="%d" r="4" class="%s"/>`+"\n", d.at(s.Node), y, class)
		}
	}
	end := steps[len(steps)-1].Node
	if class == "strays" || class == "fails" {
		d.cross(end, y)
	}
	if label != "" {
		d.text((d.at(steps[0].Node)+d.at(end))/2, y-7, "small middle halo", label)
	}
}

// cross marks where a packet ended.
func (d *drawing) cross(node string, y int) {
	x := d.at(node)
	fmt.Fprintf(d, `<path class="fails" d="M%d %dl12 12m0 -12l-12 12"/>`+"\n", x-6, y-6)
}

var page = sync.OnceValue(func() *template.Template {
	return template.Must(template.New("page").Parse(`<!doctype html>
<html lang="{{.Lang}}">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{.Network}}: {{call .Say "page.title"}}</title>
<style>
body { font: 16px/1.5 ui-sans-serif, system-ui, "Segoe UI", sans-serif; color: #1f2933; max-width: 75rem; margin: 2rem auto; padding: 0 1rem; }
figure { margin: 1rem 0; overflow-x: auto; }
table { border-collapse: collapse; } th, td { text-align: left; padding: .25rem 1rem .25rem 0; border-bottom: 1px solid #e4e7eb; }
.good { color: #1b6e3c; } .bad { color: #b3261e; }
p.verdict { font-weight: 600; }
</style>
<h1>{{.Network}}: {{.Title}}</h1>
<p class="verdict">{{.Verdict}}</p>
<figure>{{.Drawing}}</figure>
<table>
<tr><th>{{call .Say "head.mode"}}<th>{{call .Say "head.result"}}<th>{{call .Say "head.where"}}<th>{{call .Say "head.seen"}}<th>{{call .Say "head.cause"}}
{{range .Cases}}<tr><td>{{.Mode}}{{if .Works}}<td class="good">{{call $.Say "cell.works"}}<td><td><td>{{else}}<td class="bad">{{call $.Say "cell.fails"}}<td>{{.Hop}}<td>{{call $.Label .Seen}}<td>{{call $.Label .Cause}}{{end}}
{{end}}</table>
{{range .Groups}}<h2>{{.Verbs}}</h2>
<p>{{.Told}} {{.Why}}</p>
{{if .Repairs}}<p>{{call $.Say "report.repairs"}}</p>
<ol>{{range .Repairs}}<li>{{.Full}}{{end}}</ol>{{else}}<p>{{call $.Say "report.no-repair"}}</p>{{end}}
{{if .Useless}}<p>{{call $.Say "report.useless-all"}}</p>
<ul>{{range .Useless}}<li>{{.Full}}{{end}}</ul>{{end}}
{{end}}{{with .Remark}}<p>{{.}}</p>{{end}}
<p class="verdict">{{.Verdict}}</p>
</html>
`))
})

// WriteHTML writes one page: the verdict, the drawing, and all that is to be
// said, in the language of the report; the drawing speaks English. It needs no
// other file.
func (r *Report) WriteHTML(w io.Writer) error {
	var svg strings.Builder
	if err := r.WriteSVG(&svg); err != nil {
		return err
	}
	type told struct {
		Verdict
		Verbs, Told string
	}
	var groups []told
	for _, g := range r.groups() {
		groups = append(groups, told{g.Verdict, words.List(r.lang, g.verbs), g.Seen.phrase().In(r.lang)})
	}
	say := func(name string) string { return words.Say(name).In(r.lang) }
	return page().Execute(w, map[string]any{
		"Network": r.Network, "Title": r.Title, "Verdict": r.Verdict, "Cases": r.Cases, "Groups": groups,
		"Remark": r.Remark, "Drawing": template.HTML(svg.String()), // ours, its words escaped
		"Lang": r.lang, "Say": say, "Label": func(id any) string { return say(fmt.Sprint("label.", id)) },
	})
}
