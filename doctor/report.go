package doctor

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"towpath/internal/columns"
	"towpath/internal/words"
	"towpath/topology"
)

// Report is what is predicted for a network.
type Report struct {
	Network string    `json:"network"`
	Title   string    `json:"title,omitempty"`
	Verdict string    `json:"verdict"`
	Cases   []Verdict `json:"cases"`
	// Remark says where the network goes against what is commonly told.
	Remark string `json:"remark,omitempty"`

	net  *topology.Network
	lang words.Lang
}

// NewReport gathers verdicts, as those of [Predict].
func NewReport(n *topology.Network, cases []Verdict) *Report {
	r := &Report{Network: n.Name, Title: n.Title, Cases: cases, net: n}
	r.tell()
	return r
}

// In returns the report in a language. Names that programs read stay as they
// are, and so does what the network calls itself and its machines.
func (r *Report) In(l words.Lang) *Report {
	told := *r
	told.lang, told.Cases = l, slices.Clone(r.Cases)
	for i, v := range told.Cases {
		told.Cases[i] = v.in(l)
	}
	told.tell()
	return &told
}

// tell says what there is to say about all cases.
func (r *Report) tell() {
	r.Verdict = r.sentence().In(r.lang)
	r.Remark = r.thumb().In(r.lang)
}

// Works says whether all modes do.
func (r *Report) Works() bool {
	return !slices.ContainsFunc(r.Cases, func(v Verdict) bool { return !v.Works })
}

// sentence is the verdict on all modes together.
func (r *Report) sentence() words.Phrase {
	var good, bad []Mode
	for _, v := range r.Cases {
		if v.Works {
			good = append(good, v.Mode)
		} else {
			bad = append(bad, v.Mode)
		}
	}
	works := clause("clause.works", good)
	fails := clause("clause.fails", bad)
	switch {
	case len(r.Cases) == 0:
		return words.Say("verdict.none")
	case len(bad) == 0:
		return words.Say("verdict.one", "clause", works)
	case len(good) == 0 && r.Cases[0].Connection == "control" && r.Cases[0].outcome.control:
		return words.Say("verdict.no-session", "why", r.Cases[0].why)
	case len(good) == 0:
		return words.Say("verdict.one", "clause", fails)
	}
	return words.Say("verdict.two", "works", works, "fails", fails)
}

// clause says something of modes, in the number that English wants.
func clause(name string, modes []Mode) words.Phrase {
	number := ".many"
	if len(modes) == 1 {
		number = ".one"
	}
	return words.Say(name+number, "modes", words.And(modes))
}

// thumb compares the network with a rule of thumb: source NAT needs an ALG for
// active mode only, destination NAT for passive mode only.
func (r *Report) thumb() words.Phrase {
	for _, v := range r.Cases {
		if v.Works || v.outcome.control {
			continue
		}
		l := v.outcome.link
		source, destination := l.near.src.Addr() != l.far.src.Addr(), l.near.dst.Addr() != l.far.dst.Addr()
		switch {
		case source && !destination && !v.Mode.active() && v.Cause == CauseFirewall:
			return words.Say("thumb.source.firewall", "hop", v.Hop)
		case source && !destination && !v.Mode.active() && v.Cause == CauseStranger:
			return words.Say("thumb.source.stranger")
		case destination && !source && v.Mode.active() && v.Cause == CauseFirewall:
			return words.Say("thumb.destination.firewall", "hop", v.Hop)
		case destination && !source && v.Mode.active() && v.Cause == CauseStrays:
			return words.Say("thumb.destination.strays")
		}
	}
	return words.Phrase{}
}

// WriteJSON writes the report as one object.
func (r *Report) WriteJSON(w io.Writer) error {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	if err := e.Encode(r); err != nil {
		return err
	}
	_, err := w.Write(columns.JSON(b.Bytes()))
	return err
}

// group is verdicts that differ by their verb alone.
type group struct {
	verbs []Mode
	Verdict
}

// groups puts PORT and EPRT together, and PASV and EPSV, where they fail alike.
func (r *Report) groups() []group {
	var all []group
	for _, v := range r.Cases {
		i := slices.IndexFunc(all, func(g group) bool {
			return g.Mode.active() == v.Mode.active() && g.Hop == v.Hop && g.Seen == v.Seen && g.Cause == v.Cause
		})
		switch {
		case v.Works:
		case i < 0:
			all = append(all, group{[]Mode{v.Mode}, v})
		default:
			all[i].verbs = append(all[i].verbs, v.Mode)
		}
	}
	return all
}

// width is how many columns a report takes at most.
const width = 79

// WriteText writes the report for people: the verdict first and last.
func (r *Report) WriteText(w io.Writer) error {
	var b strings.Builder
	say := func(name string, args ...any) string { return words.Say(name, args...).In(r.lang) }
	wrap := func(first, others, text string) { columns.Wrap(&b, first, others, text, width) }
	fmt.Fprintf(&b, "%s: %s\n", r.Network, columns.Shown(r.Title)) // as a file has it
	wrap("", "", r.Verdict)
	b.WriteByte('\n')
	rows := [][]string{{say("head.mode"), say("head.result"), say("head.where"), say("head.seen"), say("head.cause")}}
	for _, v := range r.Cases {
		row := []string{string(v.Mode), say("cell.works")}
		if !v.Works {
			row = []string{string(v.Mode), say("cell.fails"), v.Hop, say("label." + string(v.Seen)), say("label." + string(v.Cause))}
		}
		rows = append(rows, row)
	}
	columns.Table(&b, rows)
	for _, g := range r.groups() {
		b.WriteByte('\n')
		wrap("", "  ", say("report.group", "modes", words.And(g.verbs), "seen", g.Seen.phrase()))
		wrap("  ", "  ", g.Why)
		if len(g.Repairs) == 0 {
			wrap("  ", "  ", say("report.no-repair"))
		} else {
			wrap("  ", "  ", say("report.repairs"))
		}
		for i, repair := range g.Repairs {
			wrap(fmt.Sprintf("  %d. ", i+1), "     ", repair.Full())
		}
		for _, u := range g.Useless {
			wrap("  "+say("report.useless"), "    ", u.Full())
		}
	}
	if r.Remark != "" {
		b.WriteByte('\n')
		wrap("", "", r.Remark)
	}
	b.WriteByte('\n')
	wrap("", "", r.Verdict)
	_, err := io.WriteString(w, b.String())
	return err
}
