package doctor

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

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

	net *topology.Network
}

// NewReport gathers verdicts, as those of [Predict].
func NewReport(n *topology.Network, cases []Verdict) *Report {
	r := &Report{Network: n.Name, Title: n.Title, Cases: cases, net: n}
	r.Verdict = r.sentence()
	r.Remark = r.thumb()
	return r
}

// Works says whether all modes do.
func (r *Report) Works() bool {
	return !slices.ContainsFunc(r.Cases, func(v Verdict) bool { return !v.Works })
}

// sentence is the verdict on all modes together.
func (r *Report) sentence() string {
	var good, bad []string
	for _, v := range r.Cases {
		if v.Works {
			good = append(good, string(v.Mode))
		} else {
			bad = append(bad, string(v.Mode))
		}
	}
	switch {
	case len(r.Cases) == 0:
		return "Nothing was asked."
	case len(bad) == 0:
		return and(good) + " " + verb("works", good) + "."
	case len(good) == 0 && r.Cases[0].Connection == "control" && r.Cases[0].outcome.control:
		return "There is no session: " + strings.ToLower(r.Cases[0].Why[:1]) + r.Cases[0].Why[1:]
	case len(good) == 0:
		return and(bad) + " " + verb("fails", bad) + "."
	}
	return and(good) + " " + verb("works", good) + ", " + and(bad) + " " + verb("fails", bad) + "."
}

func and(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:len(words)-1], ", ") + " and " + words[len(words)-1]
}

// verb puts a verb into the number of its subject.
func verb(singular string, subject []string) string {
	if len(subject) == 1 {
		return singular
	}
	return strings.TrimSuffix(singular, "s")
}

// thumb compares the network with a rule of thumb: source NAT needs an ALG for
// active mode only, destination NAT for passive mode only.
func (r *Report) thumb() string {
	const rule = "“Source NAT needs an ALG for active mode, destination NAT for passive mode” is half the truth: "
	for _, v := range r.Cases {
		if v.Works || v.outcome.control {
			continue
		}
		l := v.outcome.link
		source, destination := l.near.src.Addr() != l.far.src.Addr(), l.near.dst.Addr() != l.far.dst.Addr()
		switch {
		case source && !destination && !v.Mode.active() && v.Cause == CauseFirewall:
			return rule + "here the client is behind source NAT and passive mode fails too, since the firewall on " + v.Hop + " lets out no connection to the port that the server chooses."
		case source && !destination && !v.Mode.active() && v.Cause == CauseStranger:
			return rule + "here the client is behind source NAT and passive mode fails too, since its two connections do not come from one address."
		case destination && !source && v.Mode.active() && v.Cause == CauseFirewall:
			return rule + "here the server is behind destination NAT and active mode fails too, since the firewall on " + v.Hop + " stops the connection that the server opens."
		case destination && !source && v.Mode.active() && v.Cause == CauseStrays:
			return rule + "here the server is behind destination NAT and active mode fails too, since nobody translates the connections that the server opens."
		}
	}
	return ""
}

// WriteJSON writes the report as one object.
func (r *Report) WriteJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(r)
}

// group is verdicts that differ by their verb alone.
type group struct {
	verbs []string
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
			all = append(all, group{[]string{string(v.Mode)}, v})
		default:
			all[i].verbs = append(all[i].verbs, string(v.Mode))
		}
	}
	return all
}

// WriteText writes the report for people: the verdict first and last.
func (r *Report) WriteText(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s\n%s\n\n", r.Network, r.Title, r.Verdict)
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "MODE\tRESULT\tWHERE\tSEEN\tCAUSE")
	for _, v := range r.Cases {
		if v.Works {
			fmt.Fprintf(t, "%s\tworks\t\t\t\n", v.Mode)
		} else {
			fmt.Fprintf(t, "%s\tfails\t%s\t%s\t%s\n", v.Mode, v.Hop, v.Seen, v.Cause)
		}
	}
	if err := t.Flush(); err != nil {
		return err
	}
	table := b.String()
	b.Reset()
	for line := range strings.Lines(table) {
		b.WriteString(strings.TrimRight(line, " \n") + "\n")
	}
	for _, g := range r.groups() {
		fmt.Fprintf(&b, "\n%s: %s\n", and(g.verbs), g.Seen.Text())
		wrap(&b, "  ", "  ", g.Why)
		if len(g.Repairs) == 0 {
			fmt.Fprintln(&b, "  No repair was found.")
		} else {
			fmt.Fprintln(&b, "  Any one of these repairs it; each was tried on this network:")
		}
		for i, repair := range g.Repairs {
			text := repair.String()
			if repair.Result != "" {
				text += ". " + repair.Result
			}
			wrap(&b, fmt.Sprintf("  %d. ", i+1), "     ", text)
		}
		for _, u := range g.Useless {
			wrap(&b, "  Does not help: ", "    ", u.String()+". "+u.Result)
		}
	}
	if r.Remark != "" {
		b.WriteByte('\n')
		wrap(&b, "", "", r.Remark)
	}
	fmt.Fprintf(&b, "\n%s\n", r.Verdict)
	_, err := io.WriteString(w, b.String())
	return err
}

// wrap breaks a text into lines of at most 80 letters.
func wrap(b *strings.Builder, first, others, text string) {
	line := first
	empty := true
	for word := range strings.FieldsSeq(text) {
		if !empty && len([]rune(line))+len([]rune(word)) >= 80 {
			b.WriteString(strings.TrimRight(line, " ") + "\n")
			line = others
		}
		line += word + " "
		empty = false
	}
	b.WriteString(strings.TrimRight(line, " ") + "\n")
}
