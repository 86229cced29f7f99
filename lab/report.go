package lab

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"towpath/doctor"
	"towpath/explain"
	"towpath/explain/view"
	"towpath/internal/columns"
	draw "towpath/internal/ladder"
	"towpath/internal/words"
	"towpath/topology"
)

// Report is what the lab has shown, case by case.
type Report struct {
	// Server and Client are the programs, "towpath" for our own.
	Server string   `json:"server"`
	Client string   `json:"client"`
	Cases  []Result `json:"cases"`

	lang words.Lang
}

// NewReport makes the report on what a lab has run.
func NewReport(l *Lab, cases []Result) *Report {
	r := &Report{Server: cmp.Or(l.Server, "towpath"), Client: cmp.Or(l.Client, "towpath"), Cases: cases}
	r.sort()
	return r
}

// In returns the report in another language.
func (r *Report) In(l words.Lang) *Report {
	c := *r
	c.lang = l
	return &c
}

// sort puts the cases into the order of the catalogue, other networks behind it.
func (r *Report) sort() {
	order := map[string]int{}
	for i, n := range topology.Catalogue() {
		order[n.Name] = i + 1
	}
	slices.SortStableFunc(r.Cases, func(a, b Result) int {
		x, y := order[a.Network], order[b.Network]
		if x == 0 || y == 0 {
			x, y = y, x
		}
		return cmp.Or(x-y, cmp.Compare(a.Network, b.Network), slices.Index(doctor.Modes, a.Mode)-slices.Index(doctor.Modes, b.Mode))
	})
}

// Count says how many cases went as predicted, how many did not, and how many
// were not run.
func (r *Report) Count() (agree, differ, skipped int) {
	for _, c := range r.Cases {
		switch {
		case c.Skipped != "":
			skipped++
		case c.Disagreement != "":
			differ++
		default:
			agree++
		}
	}
	return agree, differ, skipped
}

// Explained says of how many failures that were predicted the recordings tell
// the cause, and how many there are.
func (r *Report) Explained() (told, failures int) {
	for _, c := range r.Cases {
		if c.Skipped != "" || c.Disagreement != "" || c.Predicted.Works {
			continue
		}
		failures++
		if c.Unexplained == "" {
			told++
		}
	}
	return told, failures
}

// Verdict is one sentence about all.
func (r *Report) Verdict() string {
	agree, differ, skipped := r.Count()
	text := words.Say("lab.verdict", "agree", agree, "run", agree+differ).In(r.lang)
	if told, failures := r.Explained(); failures > 0 {
		text += words.Say("lab.verdict.explained", "told", told, "failures", failures).In(r.lang)
	}
	if skipped > 0 {
		text += words.Say("lab.verdict.skipped", "skipped", skipped).In(r.lang)
	}
	return text + words.Say("lab.programs", "server", r.Server, "client", r.Client).In(r.lang)
}

func (r *Report) say(name string) string { return words.Say(name).In(r.lang) }

// outcome says how it went, in a few words.
func (r *Report) outcome(works bool, seen doctor.Seen, hop string) string {
	switch {
	case works:
		return r.say("cell.works")
	case !words.Has("label." + string(seen)): // a program's own words
		return string(seen)
	}
	return words.Say("lab.at", "seen", words.Say("label."+string(seen)), "hop", hop).In(r.lang)
}

// both are prediction and observation.
func (r *Report) both(c *Result) (predicted, observed string) {
	predicted = r.outcome(c.Predicted.Works, c.Predicted.Seen, c.Predicted.Hop)
	if c.Skipped != "" {
		return predicted, r.say("lab.not-run")
	}
	return predicted, r.outcome(c.Observed.Works, c.Observed.Seen, c.Observed.Hop)
}

// WriteText writes one table, and behind it what did not go as predicted or was
// not run.
func (r *Report) WriteText(w io.Writer) error {
	rows := [][]string{{r.say("lab.network"), r.say("head.mode"), "TLS", r.say("lab.predicted"), r.say("lab.observed"), ""}}
	for _, c := range r.Cases {
		tls, mark := "", ""
		if c.TLS {
			tls = "TLS"
		}
		if c.Disagreement != "" {
			mark = "<- " + r.say("lab.differs")
		}
		predicted, observed := r.both(&c)
		rows = append(rows, []string{c.Network, string(c.Mode), tls, predicted, observed, mark})
	}
	var b strings.Builder
	columns.Table(&b, rows)
	for _, c := range r.Cases {
		switch {
		case c.Skipped != "":
			fmt.Fprintf(&b, "%s: %s %s: %s\n", r.say("lab.not-run"), c.Network, c.Mode, c.Skipped)
		case c.Disagreement != "":
			fmt.Fprintf(&b, "%s: %s %s: %s; %s\n", r.say("lab.differs"), c.Network, c.Mode, c.Disagreement, c.Observed.Said)
		case c.Unexplained != "":
			fmt.Fprintf(&b, "%s: %s %s: %s\n", r.say("lab.unexplained"), c.Network, c.Mode, c.Unexplained)
		}
	}
	b.WriteString(r.Verdict() + "\n")
	_, err := io.WriteString(w, b.String())
	return err
}

// WriteJSON writes the report as one object.
func (r *Report) WriteJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(struct {
		Verdict string `json:"verdict"`
		*Report
	}{r.Verdict(), r})
}

// explain writes the story that the recordings of client and server tell, beside
// them.
func (r *Report) explain(c *Result) error {
	var files []string
	for _, h := range c.net.Hosts {
		if h.Name != c.net.Session.From && h.Server == nil {
			continue
		}
		at := filepath.Join(c.Observed.Captures, h.Name+".pcapng")
		if _, err := os.Stat(at); err == nil {
			files = append(files, at)
		}
	}
	story, err := explain.Explain(context.Background(), files, explain.Options{})
	if err != nil {
		return err
	}
	f, err := os.Create(filepath.Join(c.Observed.Captures, "story.html"))
	if err != nil {
		return err
	}
	return errors.Join(view.New(story, r.lang).WriteHTML(f), f.Close())
}

// WriteHTML writes a page with a ladder for each case. Recordings are linked by
// their path below dir, where the page is to lie, and so is the story that they
// tell.
func (r *Report) WriteHTML(w io.Writer, dir string) error {
	type capture struct{ Name, Path string }
	type shown struct {
		Result
		Title, Predicted, Observed, Told, Why string
		Ladder                                template.HTML
		Captures                              []capture
	}
	var cases []shown
	for _, c := range r.Cases {
		s := shown{Result: c, Title: c.net.Title}
		s.Predicted, s.Observed = r.both(&c)
		s.Told = words.Say("lab.told", "predicted", s.Predicted, "observed", s.Observed).In(r.lang)
		s.Why = doctor.NewReport(c.net, []doctor.Verdict{c.Predicted}).In(r.lang).Cases[0].Why
		if c.Skipped == "" {
			s.Ladder = drawLadder(ladder(c.Observed.sightings, c.net), c.net)
		}
		if c.Observed.Captures != "" {
			if err := r.explain(&c); err != nil {
				return err
			}
			entries, err := os.ReadDir(c.Observed.Captures)
			if err != nil {
				return err
			}
			for _, e := range entries {
				at := filepath.Join(c.Observed.Captures, e.Name())
				if below, err := filepath.Rel(dir, at); err == nil {
					at = below
				}
				s.Captures = append(s.Captures, capture{strings.TrimSuffix(e.Name(), ".pcapng"), filepath.ToSlash(at)})
			}
		}
		cases = append(cases, s)
	}
	return page().Execute(w, map[string]any{"Lang": r.lang.String(), "Verdict": r.Verdict(), "Cases": cases, "Say": r.say, "Style": draw.Style, "Markers": draw.Markers})
}

var page = sync.OnceValue(func() *template.Template {
	return template.Must(template.New("lab").Parse(`<!doctype html>
<html lang="{{.Lang}}">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{call .Say "lab.title"}}</title>
<style>
body { font: 16px/1.5 ui-sans-serif, system-ui, "Segoe UI", "DejaVu Sans", sans-serif; color: #1f2933; max-width: 80rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; width: 100%; } th, td { text-align: left; padding: .2rem .8rem .2rem 0; border-bottom: 1px solid #e4e7eb; }
th { position: sticky; top: 0; background: #fff; }
.good { color: #1b6e3c; } .bad { color: #b3261e; font-weight: 600; } .quiet { color: #5b6770; }
.verdict { font-weight: 600; }
section { border-top: 1px solid #e4e7eb; margin-top: 1.5rem; } h2 { font-size: 1.1rem; margin-bottom: 0; }
figure { margin: .5rem 0; } pre { font-size: .85rem; overflow-x: auto; }
{{.Style}}</style>
{{.Markers}}<h1>{{call .Say "lab.title"}}</h1>
<p class="verdict">{{.Verdict}}</p>
<table>
<tr><th>{{call .Say "lab.network"}}<th>{{call .Say "head.mode"}}<th>{{call .Say "lab.predicted"}}<th>{{call .Say "lab.observed"}}
{{range $i, $c := .Cases}}<tr><td><a href="#case{{$i}}">{{.Network}}</a><td>{{.Mode}}{{if .TLS}} TLS{{end}}<td>{{$c.Predicted}}<td class="{{if .Skipped}}quiet{{else if .Disagreement}}bad{{else}}good{{end}}">{{$c.Observed}}
{{end}}</table>
{{range $i, $c := .Cases}}<section id="case{{$i}}">
<h2>{{.Network}}, {{.Mode}}{{if .TLS}}, TLS{{end}}</h2>
<p>{{.Title}}. {{.Told}}{{with .Skipped}} ({{.}}){{end}}
{{with .Why}}<br>{{.}}{{end}}{{with .Disagreement}}<br><span class="bad">{{.}}</span>{{end}}{{with .Unexplained}}<br><span class="bad">{{call $.Say "lab.unexplained"}}: {{.}}</span>{{end}}</p>
{{with .Ladder}}<figure>{{.}}</figure>{{end}}
{{with $c.Result.Observed.Dialogue}}<details><summary>{{call $.Say "lab.dialogue"}}</summary><pre>{{range .}}{{.}}
{{end}}</pre></details>{{end}}
{{with .Captures}}<p class="quiet">{{call $.Say "lab.recordings"}} {{range .}}<a href="{{.Path}}">{{.Name}}</a> {{end}}</p>{{end}}
</section>
{{end}}
<p class="verdict">{{.Verdict}}</p>
</html>
`))
})
