package view

import (
	"cmp"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"
	"time"

	"towpath/explain"
	"towpath/internal/columns"
	"towpath/internal/ladder"
)

// A Rung is one of a ladder with what it was drawn from.
type Rung struct {
	// Session is the ID of the session as it was seen first, Step what happened
	// there.
	Session int
	Step    explain.Step
	// Twin is the same on the other side of what is between, nil if it was not
	// seen there.
	Twin *explain.Step
	// Packets are those that are folded into it.
	Packets []int

	at    explain.Instant
	path  []int
	start explain.Instant
}

// Ladder draws sessions, one or several in one drawing, and says what each rung
// is. Of a session that was captured on two sides both are drawn.
func (v *View) Ladder(ids ...int) (*ladder.Drawing, []Rung) {
	var d ladder.Drawing
	var rungs []Rung
	if len(ids) == 1 {
		s := v.Session(ids[0])
		if s == nil {
			return &d, nil
		}
		near, far, between := v.pair(s)
		if far == nil {
			d.Columns = []ladder.Column{
				{Title: v.say("client"), Under: near.Client.String()},
				{Title: v.say("server"), Under: near.Server.String()},
			}
			rungs = v.alone(near, 0, 1)
		} else {
			d.Columns = v.sides(near, far, between)
			rungs = v.both(near, far, len(d.Columns))
		}
	} else {
		sessions := []*explain.Session{}
		for _, id := range ids {
			if s := v.Session(id); s != nil {
				sessions = append(sessions, s)
			}
		}
		place := v.places(&d, sessions)
		for _, s := range sessions {
			from, to := place(s)
			rungs = append(rungs, v.alone(s, from, to)...)
		}
		slices.SortStableFunc(rungs, func(a, b Rung) int { return cmp.Compare(a.at, b.at) })
	}
	many := len(ids) > 1
	arrived := map[[2]int]bool{} // connections that were refused: their SYN was not lost
	for _, r := range rungs {
		if r.Step.Says.Name() == "step.refused" {
			arrived[[2]int{r.Session, r.Step.Transfer}] = true
		}
	}
	rungs = fold(rungs)
	for i := range rungs {
		r := &rungs[i]
		d.Rungs = append(d.Rungs, v.rung(r, many, arrived[[2]int{r.Session, r.Step.Transfer}]))
	}
	return &d, rungs
}

// mostPlaces have a column each.
const mostPlaces = 6

// places gives a drawing of several sessions a column for each address, and
// returns what says between which two a session is. Clients stand on the left.
// Where there is no room for all, clients share a column, and so do servers.
func (v *View) places(d *ladder.Drawing, sessions []*explain.Session) func(*explain.Session) (client, server int) {
	var clients, servers []netip.Addr
	add := func(all *[]netip.Addr, a netip.Addr) {
		if !slices.Contains(*all, a) {
			*all = append(*all, a)
		}
	}
	for _, s := range sessions {
		add(&clients, s.Client.Addr())
	}
	for _, s := range sessions {
		// A machine that serves as well has its column, unless it speaks to itself.
		if s.Client.Addr() == s.Server.Addr() || !slices.Contains(clients, s.Server.Addr()) {
			add(&servers, s.Server.Addr())
		}
	}
	if len(clients)+len(servers) > mostPlaces {
		under := func(all []netip.Addr) string {
			if len(all) == 1 {
				return all[0].String()
			}
			return v.say("view.addresses", "n", len(all))
		}
		d.Columns = []ladder.Column{{Title: v.say("client"), Under: under(clients)}, {Title: v.say("server"), Under: under(servers)}}
		return func(*explain.Session) (client, server int) { return 0, 1 }
	}
	for _, a := range clients {
		d.Columns = append(d.Columns, ladder.Column{Title: v.say("client"), Under: a.String()})
	}
	for _, a := range servers {
		d.Columns = append(d.Columns, ladder.Column{Title: v.say("server"), Under: a.String()})
	}
	return func(s *explain.Session) (client, server int) {
		client = slices.Index(clients, s.Client.Addr())
		if i := slices.Index(servers, s.Server.Addr()); i >= 0 {
			return client, len(clients) + i
		}
		return client, slices.Index(clients, s.Server.Addr())
	}
}

// sides are the columns for a session that was captured on both sides.
func (v *View) sides(near, far *explain.Session, between *explain.Translation) []ladder.Column {
	client := ladder.Column{Title: v.say("client"), Under: near.Client.Addr().String()}
	server := ladder.Column{Title: v.say("server"), Under: far.Server.Addr().String()}
	if between == nil {
		return []ladder.Column{client, {Title: v.say("view.between")}, server}
	}
	left, right := ladder.Column{Title: v.say("view.inside")}, ladder.Column{Title: v.say("view.outside"), Inner: true}
	if between.Kind == "dnat" {
		left.Title, right.Title = right.Title, left.Title
	}
	if near.Server != far.Server {
		left.Under = near.Server.Addr().String()
	}
	if near.Client != far.Client {
		right.Under = far.Client.Addr().String()
	}
	return []ladder.Column{client, left, right, server}
}

// ahead is by how much the clock of a session's capture is ahead.
func (v *View) ahead(s *explain.Session) time.Duration {
	if s.Capture < 0 || s.Capture >= len(v.story.Captures) {
		return 0
	}
	return v.story.Captures[s.Capture].Ahead
}

// alone are the rungs of a session between two columns.
func (v *View) alone(s *explain.Session, client, server int) []Rung {
	var all []Rung
	for _, st := range s.Steps() {
		r := Rung{Session: s.ID, Step: st, at: st.Time.Add(-v.ahead(s)), path: []int{client, server}}
		r.start = s.Started.Add(-v.ahead(s))
		switch st.Speaker {
		case "server":
			r.path = []int{server, client}
		case "":
			r.path = []int{client}
		}
		all = append(all, r)
	}
	return all
}

// both are the rungs of a session as both sides saw it. Steps of one kind come
// in one order on both sides, so the first here is the first there.
func (v *View) both(near, far *explain.Session, sides int) []Rung {
	last := sides - 1
	all := v.alone(near, 0, 1)
	waiting := map[string][]int{} // rungs that the other side has not been found for
	for i := range all {
		k := key(&all[i].Step)
		waiting[k] = append(waiting[k], i)
	}
	after := -1
	extra := map[int][]Rung{} // behind that rung
	for _, r := range v.alone(far, last-1, last) {
		k := key(&r.Step)
		if w := waiting[k]; len(w) > 0 {
			after = w[0]
			waiting[k] = w[1:]
			all[after].Twin = &r.Step
			all[after].path = through(r.Step.Speaker, sides)
			continue
		}
		r.start = all[max(after, 0)].start
		extra[after] = append(extra[after], r)
	}
	merged := extra[-1]
	for i, r := range all {
		merged = append(append(merged, r), extra[i]...)
	}
	return merged
}

func through(speaker string, sides int) []int {
	var path []int
	for i := range sides {
		path = append(path, i)
	}
	if speaker == "server" {
		slices.Reverse(path)
	}
	return path
}

// key is what two sightings of one thing have in common.
func key(s *explain.Step) string {
	word, _, _ := strings.Cut(s.Line, " ")
	return fmt.Sprint(s.Kind, s.Speaker, s.Transfer, s.Says.Name(), word)
}

// fold makes one rung of a handshake that came to its end, one of what closes a
// connection, and one of all that was tried again.
func fold(rungs []Rung) []Rung {
	var all []Rung
	for _, r := range rungs {
		r.Packets = []int{r.Step.Packet}
		if n := len(all); n > 0 && r.Step.Packet != 0 {
			before := &all[n-1]
			s := &before.Step
			same := s.Kind == r.Step.Kind && s.Transfer == r.Step.Transfer && before.Session == r.Session && (before.Twin == nil) == (r.Twin == nil)
			whole := (s.Kind == explain.StepHandshake || s.Kind == explain.StepEnd) && !s.Bad && !r.Step.Bad
			again := s.Says.Name() == "step.syn.again" && r.Step.Says.Name() == "step.syn.again"
			if same && (whole || again) {
				before.Packets = append(before.Packets, r.Packets...)
				continue
			}
		}
		all = append(all, r)
	}
	return all
}

// rung draws one.
func (v *View) rung(r *Rung, many, arrived bool) ladder.Rung {
	s := &r.Step
	to := ladder.Rung{Path: r.path, Text: v.label(r), Bad: s.Bad}
	to.Lost = s.Bad && strings.HasPrefix(s.Says.Name(), "step.syn.") && !arrived
	switch {
	case s.Packet == 0:
		to.Kind = ladder.Note
	case s.Transfer >= 0 && s.Kind != explain.StepCommand && s.Kind != explain.StepReply:
		to.Kind = ladder.Data
	}
	if s.Packet != 0 {
		to.Mark = fmt.Sprint(s.Packet)
		if n := len(r.Packets); n > 1 && r.Packets[n-1] > s.Packet {
			to.Mark += fmt.Sprint("-", r.Packets[n-1])
		}
	}
	if r.Twin != nil && r.Twin.Packet != s.Packet {
		to.Mark = fmt.Sprintf("%d/%d", s.Packet, r.Twin.Packet)
	}
	if t := r.Twin; t != nil {
		switch {
		case s.Line != "" && t.Line != s.Line:
			to.Became = brief(t.Line)
		case connects(r) && (t.From != s.From || t.To != s.To):
			to.Became = v.say("view.connected", "from", t.From, "to", t.To)
		}
		if to.Became != "" && s.Speaker == "server" { // the far side heard it first
			to.Text, to.Became = to.Became, to.Text
		}
	}
	if many {
		to.Text = fmt.Sprintf("%d: %s", r.Session, to.Text)
	}
	return to
}

// connects says whether a rung is a whole handshake.
func connects(r *Rung) bool {
	return r.Step.Kind == explain.StepHandshake && len(r.Packets) > 1 && !r.Step.Bad
}

// label is what a rung says: the line that was spoken, or else what happened.
func (v *View) label(r *Rung) string {
	s := &r.Step
	switch {
	case s.Line != "":
		return brief(s.Line)
	case connects(r):
		return v.say("view.connected", "from", s.From, "to", s.To)
	case s.Kind == explain.StepEnd && len(r.Packets) > 1:
		return v.say("view.closed")
	}
	text := s.Says.In(v.lang)
	if n := len(r.Packets); n > 1 {
		text += fmt.Sprintf(" ×%d", n)
	}
	return text
}

// brief is the first line of what was said, or of it that which says something:
// some servers begin a reply with a code alone.
func brief(line string) string {
	first, rest, more := strings.Cut(line, "\n")
	if !more {
		return first
	}
	if len(first) <= len("230-") {
		for next := range strings.SplitSeq(rest, "\n") {
			if next = strings.TrimSpace(next); next != "" {
				first = strings.TrimRight(first, " -") + " " + next
				break
			}
		}
	}
	return first + " …"
}

// ladderWidth is how many columns a ladder takes in text.
const ladderWidth = 72

// mostRungs are drawn of a session unless all are wanted.
const mostRungs = 300

// shorten leaves out the middle of a long ladder.
func (v *View) shorten(d *ladder.Drawing) {
	if v.All || len(d.Rungs) <= mostRungs {
		return
	}
	const tail = 50
	left := len(d.Rungs) - mostRungs
	gap := ladder.Rung{Kind: ladder.Note, Path: []int{0, len(d.Columns) - 1}, Text: v.say("view.left-out", "n", left)}
	d.Rungs = slices.Concat(d.Rungs[:mostRungs-tail], []ladder.Rung{gap}, d.Rungs[len(d.Rungs)-tail:])
}

// WriteLadder writes a ladder of each session that is told.
func (v *View) WriteLadder(w io.Writer) error {
	var b strings.Builder
	v.verdict(&b, ladderWidth)
	for _, s := range v.shown() {
		d, _ := v.Ladder(s.ID)
		v.shorten(d)
		b.WriteByte('\n')
		columns.Wrap(&b, "", "  ", v.Title(s), ladderWidth)
		b.WriteByte('\n')
		b.WriteString(d.Text(ladderWidth))
		if err := flush(w, &b); err != nil {
			return err
		}
	}
	v.remaining(&b)
	return flush(w, &b)
}

// WriteMermaid writes a sequence diagram of each session that is told, as
// Markdown holds them.
func (v *View) WriteMermaid(w io.Writer) error {
	var b strings.Builder
	for i, s := range v.shown() {
		d, _ := v.Ladder(s.ID)
		v.shorten(d)
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(markdown(columns.Shown(v.Title(s))) + "\n\n```mermaid\n" + d.Mermaid() + "```\n")
		if err := flush(w, &b); err != nil {
			return err
		}
	}
	return nil
}

// markdown makes a text safe for a line of Markdown: whoever chose the name of a
// user sets no pictures, links or HTML into a ticket.
func markdown(s string) string {
	var b strings.Builder
	for i, r := range s {
		if strings.ContainsRune("\\`*_~[]<>&!|#@", r) || r == ':' && strings.HasPrefix(s[i:], "://") {
			b.WriteByte('\\')
		}
		b.WriteRune(r)
	}
	return b.String()
}
