package view

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"towpath/explain"
	"towpath/internal/columns"
)

// width is how many columns text takes at most.
const width = 80

// Of many sessions, and of long ones, not all is told unless it is asked for.
const (
	mostSessions = 5   // with their steps
	mostRows     = 40  // of a table: sessions, transfers, findings
	mostSteps    = 200 // of one session
)

// shown are the sessions that are told step by step: all if they are few, else
// the first of those that did not work, or else the first.
func (v *View) shown() []*explain.Session { return v.few(v.Told(), mostSessions) }

// few are sessions as they come if there are few of them or all are wanted, else
// so many of them, those that failed first.
func (v *View) few(all []*explain.Session, most int) []*explain.Session {
	if v.All || v.count() <= most {
		return all
	}
	return byRank(all)[:most]
}

// byRank puts what went wrong first.
func byRank(all []*explain.Session) []*explain.Session {
	all = slices.Clone(all)
	slices.SortStableFunc(all, func(a, b *explain.Session) int { return rank(a.Verdict) - rank(b.Verdict) })
	return all
}

// rank is how soon people want to hear of a verdict.
func rank(d explain.Verdict) int {
	switch d {
	case explain.Failed:
		return 0
	case explain.Unknown:
		return 1
	case explain.NotCaptured:
		return 2
	}
	return 3
}

// remaining says how many sessions are not shown.
func (v *View) remaining(b *strings.Builder) {
	if n := v.count() - len(v.shown()); n > 0 {
		b.WriteByte('\n')
		columns.Wrap(b, "", "", v.counted("view.more", n), width)
	}
}

// Title is the line above what is told of a session.
func (v *View) Title(s *explain.Session) string {
	_, far, between := v.pair(s)
	text := v.say("view.session", "id", s.ID, "user", who(s), "client", s.Client, "server", s.Server)
	switch {
	case between != nil:
		text += v.say("view.through."+between.Kind, "id", far.ID)
	case far != nil:
		text += v.say("view.seen-twice", "id", far.ID)
	}
	return text
}

// WriteText writes the story for people: the verdict first and last, between
// them what happened step by step.
func (v *View) WriteText(w io.Writer) error {
	var b strings.Builder
	v.captures(&b, width)
	v.verdict(&b, width)
	if v.count() > 1 {
		b.WriteByte('\n')
		v.table(&b)
	}
	for _, s := range v.shown() {
		v.session(&b, s)
		if err := flush(w, &b); err != nil {
			return err
		}
	}
	v.remaining(&b)
	switch n := v.count(); {
	case n > 1:
		b.WriteByte('\n')
		v.verdict(&b, width)
	case n == 1: // why stands right above
		b.WriteByte('\n')
		columns.Wrap(&b, "", "", v.Verdict(), width)
	}
	return flush(w, &b)
}

// WriteVerdict writes the verdict alone, with what it is for and what to do.
func (v *View) WriteVerdict(w io.Writer) error {
	var b strings.Builder
	v.verdict(&b, width)
	return flush(w, &b)
}

// verdict says what became of all, why, and what to do.
func (v *View) verdict(b *strings.Builder, width int) {
	columns.Wrap(b, "", "", v.Verdict(), width)
	v.reasons(b, width)
}

// flush writes what b holds. It is called behind each session: of many, one is
// held at a time.
func flush(w io.Writer, b *strings.Builder) error {
	_, err := io.WriteString(w, b.String())
	b.Reset()
	return err
}

// captures says what was read, and what is odd about it.
func (v *View) captures(b *strings.Builder, width int) {
	for _, c := range v.story.Captures {
		text := v.say("view.capture", "file", columns.Shown(c.File), "packets", v.counted("view.count.packets", c.Packets), "link", columns.Shown(c.Link))
		if c.Ahead != 0 {
			text += v.say("view.ahead", "by", c.Ahead.Round(time.Microsecond))
		}
		columns.Wrap(b, "", "  ", text, width)
		for _, n := range c.Notes {
			columns.Wrap(b, "  ! ", "    ", columns.Shown(n), width)
		}
	}
}

func (v *View) reasons(b *strings.Builder, width int) {
	for _, f := range v.Reasons() {
		columns.Wrap(b, sign(f.Severity)+" ", "  ", columns.Shown(f.Text), width)
		if f.Advice != "" {
			columns.Wrap(b, "  → ", "    ", columns.Shown(f.Advice), width)
		}
	}
}

// table has a row for each session.
func (v *View) table(b *strings.Builder) {
	all := v.Told()
	some := v.few(all, mostRows)
	columns.Table(b, v.Rows(some))
	if n := v.count() - len(some); n > 0 {
		b.WriteString(v.say("view.left-out", "n", n) + "\n")
	}
}

// Rows are the cells of a table of sessions, its heads first. There is a column
// for causes if any of them failed.
func (v *View) Rows(sessions []*explain.Session) [][]string {
	rows := make([][]string, 1, len(sessions)+1)
	rows[0] = []string{"", "#", v.say("view.head.cause"), v.say("view.head.user"), v.say("view.head.client"), v.say("view.head.server"), v.say("view.head.transfers")}
	why := false
	for _, s := range sessions {
		row := v.row(s)
		why = why || row[2] != ""
		rows = append(rows, row)
	}
	if !why {
		for i, row := range rows {
			rows[i] = slices.Delete(row, 2, 3)
		}
	}
	return rows
}

// row is a session in a table.
func (v *View) row(s *explain.Session) []string {
	good := 0
	for _, t := range s.Transfers {
		if t.Verdict == explain.Worked {
			good++
		}
	}
	moved := fmt.Sprint(len(s.Transfers))
	if good < len(s.Transfers) {
		moved = fmt.Sprintf("%d/%d", good, len(s.Transfers))
	}
	why, _ := v.Reason(s)
	return []string{mark(s.Verdict), fmt.Sprint(s.ID), why.ID, strings.TrimRight(columns.Fit(who(s), min(columns.Width(who(s)), 20)), " "), s.Client.String(), s.Server.String(), moved}
}

// session tells one step by step, then its transfers and what was found.
func (v *View) session(b *strings.Builder, s *explain.Session) {
	b.WriteByte('\n')
	columns.Wrap(b, "", "  ", v.Title(s), width)
	if !s.Started.IsZero() {
		columns.Wrap(b, "", "  ", v.say("view.when", "start", s.Started.Format("2006-01-02 15:04:05"), "took", s.Ended.Sub(s.Started).Round(time.Millisecond)), width)
	}
	b.WriteByte('\n')
	v.steps(b, s)
	if len(s.Transfers) > 0 {
		b.WriteByte('\n')
		v.transfers(b, s)
	}
	if all := v.findings(s); len(all) > 0 {
		b.WriteByte('\n')
		for i, f := range all {
			if i == mostRows && !v.All {
				b.WriteString(v.say("view.left-out", "n", len(all)-i) + "\n")
				break
			}
			v.finding(b, f)
		}
	}
}

// steps tells who said what, as text books do.
func (v *View) steps(b *strings.Builder, s *explain.Session) {
	all := s.Steps()
	wide := len(fmt.Sprint(lastPacket(all)))
	speakers := max(columns.Width(v.say("client")), columns.Width(v.say("server")))
	for i, st := range all {
		if !v.All && len(all) > mostSteps {
			const tail = 40
			if i == mostSteps-tail {
				b.WriteString(v.say("view.left-out", "n", len(all)-mostSteps) + "\n")
			}
			if i >= mostSteps-tail && i < len(all)-tail {
				continue
			}
		}
		packet := ""
		if st.Packet != 0 {
			packet = fmt.Sprint(st.Packet)
		}
		speaker := ""
		if st.Speaker != "" {
			speaker = v.say(st.Speaker)
		}
		head := columns.Right(packet, wide) + columns.Right(seconds(st.Time, s.Started), 9) + "  " + columns.Fit(speaker, speakers) + "  "
		rest := strings.Repeat(" ", columns.Width(head))
		for _, line := range v.sentences(st.Line, st.Says.In(v.lang)) {
			columns.Wrap(b, head, rest, line, width)
			head = rest
		}
	}
}

// mostLines are shown of a reply.
const mostLines = 3

// sentences are the lines that were spoken, and what they mean.
func (v *View) sentences(spoken, meaning string) []string {
	var all []string
	if spoken != "" {
		lines := strings.Split(spoken, "\n")
		for i, line := range lines {
			if left := len(lines) - i; i == mostLines-1 && left > 1 && !v.All {
				all = append(all, v.say("view.more-lines", "n", left))
				break
			}
			all = append(all, columns.Shown(line))
		}
	}
	if meaning != "" && meaning != spoken {
		all = append(all, columns.Shown(meaning))
	}
	return all
}

func lastPacket(all []explain.Step) int {
	n := 0
	for _, s := range all {
		n = max(n, s.Packet)
	}
	return n
}

// transfers says of each what moved how, who connected to whom, and how it ended.
func (v *View) transfers(b *strings.Builder, s *explain.Session) {
	for i, t := range s.Transfers {
		if i == mostRows && !v.All {
			b.WriteString(v.say("view.left-out", "n", len(s.Transfers)-i) + "\n")
			break
		}
		text := v.what(t) + ": " + strings.Join(slices.DeleteFunc([]string{v.how(t), way(t), v.moved(t), reply(t)}, func(s string) bool { return s == "" }), "; ")
		if t.Inferred {
			text += v.say("view.inferred")
		}
		if t.File != "" {
			text += v.say("view.extracted", "file", columns.Shown(t.File))
		}
		columns.Wrap(b, mark(t.Verdict)+" ", "  ", text, width)
	}
}

// finding is what was found, with its evidence and what to do.
func (v *View) finding(b *strings.Builder, f finding) {
	text := f.ID + ": " + columns.Shown(f.Text)
	if p := v.packets(f); p != "" {
		text += " " + p
	}
	columns.Wrap(b, sign(f.Severity)+" ", "  ", text, width)
	if f.Advice != "" {
		columns.Wrap(b, "  → ", "    ", columns.Shown(f.Advice), width)
	}
}

// WriteDialogue writes what client and server said in a session, line by line,
// in the form that transcripts have.
func (v *View) WriteDialogue(w io.Writer, id int) error {
	s := v.Session(id)
	if s == nil {
		return fmt.Errorf("there is no session %d; there are %d", id, len(v.story.Sessions))
	}
	var b strings.Builder
	for _, st := range s.Steps() {
		who := map[explain.StepKind]string{explain.StepCommand: "C: ", explain.StepReply: "S: "}[st.Kind]
		if who == "" {
			continue
		}
		for line := range strings.SplitSeq(st.Line, "\n") {
			b.WriteString(who + columns.Shown(line) + "\n")
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}
