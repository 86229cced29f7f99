// Package view shows the story of captured sessions: as text, as a ladder, as a
// page, as JSON, and as a diagram for a ticket.
//
// It draws from what package explain has found, and finds nothing itself. All
// that came out of a capture may be hostile, and is made harmless here.
package view

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/dustin/go-humanize"

	"towpath/explain"
	"towpath/internal/columns"
	"towpath/internal/words"
)

// View is a story in a language.
type View struct {
	// All shows what is left out else: the steps of every session, and all of
	// them.
	All bool
	// Chosen says that the story holds those sessions only that were asked for.
	Chosen bool

	story   *explain.Story
	lang    words.Lang
	byID    map[int]*explain.Session
	told    []*explain.Session
	between map[int]*explain.Translation // by the ID of either session
	gone    Digest                       // of the sessions that are not in the story
}

// New makes the view of a story.
func New(s *explain.Story, l words.Lang) *View {
	v := &View{lang: l}
	v.take(s.In(l))
	return v
}

// take makes s the story that is viewed.
func (v *View) take(s *explain.Story) {
	v.story, v.byID, v.between = s, make(map[int]*explain.Session, len(s.Sessions)), map[int]*explain.Translation{}
	for _, x := range s.Sessions {
		v.byID[x.ID] = x
	}
	for i := range s.Translations {
		for _, id := range s.Translations[i].Sessions {
			v.between[id] = &s.Translations[i]
		}
	}
	v.told = make([]*explain.Session, 0, len(s.Sessions))
	for _, x := range s.Sessions {
		if near, _, _ := v.pair(x); near.ID == x.ID {
			v.told = append(v.told, x)
		}
	}
}

// Story is what is viewed, in the language of the view.
func (v *View) Story() *explain.Story { return v.story }

// Only is the same view of some of the sessions.
func (v *View) Only(ids ...int) *View {
	some, c := *v.story, *v
	some.Sessions, c.gone = nil, Digest{}
	for _, id := range ids {
		for _, s := range v.Sides(id) {
			if !slices.Contains(some.Sessions, s) {
				some.Sessions = append(some.Sessions, s)
			}
		}
	}
	c.take(&some)
	return &c
}

// Sides are a session and, if it was captured on two sides, that of the other.
func (v *View) Sides(id int) []*explain.Session {
	s := v.Session(id)
	if s == nil {
		return nil
	}
	near, far, _ := v.pair(s)
	if far == nil {
		return []*explain.Session{near}
	}
	return []*explain.Session{near, far}
}

// Terms is what a session can be found by.
func (v *View) Terms(s *explain.Session) string {
	all := []string{s.User, s.Client.String(), s.Server.String(), string(s.Verdict)}
	for _, t := range s.Transfers {
		all = append(all, t.Verb, t.Path, t.AnnouncedBy, string(t.Verdict))
	}
	for _, f := range s.Findings {
		all = append(all, f.ID)
	}
	return strings.Join(all, " ")
}

// Session returns the session with that ID, nil if there is none.
func (v *View) Session(id int) *explain.Session { return v.byID[id] }

// Told are the sessions that are told on their own: of a pair, that of the
// client's side.
func (v *View) Told() []*explain.Session { return slices.Clip(v.told) }

// pair returns a session as it was seen on the client's side and on the
// server's, and what was between them. Far is nil if only one side was captured.
func (v *View) pair(s *explain.Session) (near, far *explain.Session, between *explain.Translation) {
	twin := v.byID[s.Twin]
	if twin == nil {
		return s, nil, nil
	}
	near, far = s, twin
	if near.Capture > far.Capture || near.Capture == far.Capture && near.ID > far.ID {
		near, far = far, near
	}
	t := v.between[s.ID]
	if t == nil || len(t.Sessions) != 2 || v.between[twin.ID] != t {
		return near, far, nil
	}
	if t.Sessions[0] == far.ID {
		near, far = far, near
	}
	return near, far, t
}

// WriteJSON writes the story as one object; docs/explain.schema.json says what
// is in it.
func (v *View) WriteJSON(w io.Writer) error {
	// One session at a time: encoding/json holds what it writes, twice over,
	// until it is whole.
	frame := *v.story
	frame.Sessions = []*explain.Session{}
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(frame); err != nil {
		return err
	}
	const none = "\n  \"sessions\": [" // with a newline before it, it stands in no string
	text := indent(nil, columns.JSON(b.Bytes()), 0)
	before, after, _ := strings.Cut(string(text), none)
	out := bufio.NewWriter(w)
	out.WriteString(before + none)
	for i, s := range v.story.Sessions {
		b.Reset()
		if err := encoder.Encode(s); err != nil {
			return err
		}
		if i > 0 {
			out.WriteByte(',')
		}
		out.WriteString("\n    ")
		text = indent(text[:0], bytes.TrimSuffix(columns.JSON(b.Bytes()), []byte("\n")), 2)
		out.Write(text)
	}
	if len(v.story.Sessions) > 0 {
		out.WriteString("\n  ")
	}
	out.WriteString(after)
	return out.Flush() // which has the error of each write
}

// indent appends what an encoder wrote, laid out by two blanks, to b. It does
// what json.Indent does, which looks a third time whether it is valid, and took
// a quarter of all the time.
func indent(b, compact []byte, depth int) []byte {
	newline := func() {
		b = append(b, '\n')
		for range depth {
			b = append(b, "  "...)
		}
	}
	for i := 0; i < len(compact); i++ {
		switch c := compact[i]; c {
		case '"':
			from := i
			for i++; compact[i] != '"'; i++ {
				if compact[i] == '\\' {
					i++
				}
			}
			b = append(b, compact[from:i+1]...)
		case '{', '[':
			b = append(b, c)
			if end := compact[i+1]; end == '}' || end == ']' {
				b = append(b, end)
				i++
				continue
			}
			depth++
			newline()
		case '}', ']':
			depth--
			newline()
			b = append(b, c)
		case ',':
			b = append(b, c)
			newline()
		case ':':
			b = append(b, ": "...)
		default:
			b = append(b, c)
		}
	}
	return b
}

func (v *View) say(name string, args ...any) string { return words.Say(name, args...).In(v.lang) }

// counted says a number of things, as English wants it.
func (v *View) counted(name string, n int) string {
	number := ".many"
	if n == 1 {
		number = ".one"
	}
	return v.say(name+number, "n", n)
}

// Count says how many sessions there are.
func (v *View) Count(sessions int) string { return v.counted("view.sessions", sessions) }

// verdicts in the order in which they are told.
var verdicts = []explain.Verdict{explain.Worked, explain.Failed, explain.NotCaptured, explain.Unknown}

// mark is a sign for a verdict.
func mark(d explain.Verdict) string {
	switch d {
	case explain.Worked:
		return "✓"
	case explain.Failed:
		return "✗"
	case explain.NotCaptured:
		return "·"
	}
	return "?"
}

// Verdict is all in one sentence.
func (v *View) Verdict() string {
	sessions := v.Told()
	if len(sessions) == 0 {
		if v.Chosen {
			return v.say("view.none.chosen")
		}
		return v.say("view.none")
	}
	count, ended, transfers := v.gone.moved, v.gone.ended, v.gone.transfers
	for _, s := range sessions {
		transfers += len(s.Transfers)
		ended[rank(s.Verdict)]++
		for _, t := range s.Transfers {
			count[rank(t.Verdict)]++
		}
	}
	if transfers == 0 {
		count = ended
	}
	var parts []string
	for _, d := range verdicts {
		if n := count[rank(d)]; n > 0 {
			name := "view.count." + string(d)
			if d == explain.Unknown && transfers > 0 && v.gone.moved[rank(d)] == 0 {
				name += unknown(sessions)
			}
			parts = append(parts, v.say(name, "n", n))
		}
	}
	if n := v.gone.lone + lone(sessions); n > 0 && transfers > 0 {
		parts = append(parts, v.counted("view.lone", n))
	}
	list := strings.Join(parts, v.say("list.comma"))
	if transfers == 0 {
		return v.say("view.verdict.sessions", "sessions", v.counted("view.sessions", v.count()), "list", list)
	}
	return v.say("view.verdict", "sessions", v.counted("view.sessions", v.count()), "transfers", v.counted("view.transfers", transfers), "list", list)
}

// unknown is why nothing can be told of transfers, if it is the same for all of
// them: they are under TLS, or the capture ends before they do.
func unknown(sessions []*explain.Session) string {
	why := ""
	for _, s := range sessions {
		for _, t := range s.Transfers {
			this := ""
			switch {
			case t.Verdict != explain.Unknown:
				continue
			case s.TLS && t.Verb == "":
				this = ".tls"
			case t.Verb != "" && t.Code < 200:
				this = ".open"
			}
			if this == "" || why != "" && why != this {
				return ""
			}
			why = this
		}
	}
	return why
}

// count is how many sessions there are, with those that were let go.
func (v *View) count() int { return len(v.told) + v.gone.sessions }

// lone counts sessions that failed although no transfer of theirs did: nobody was
// let in, say.
func lone(sessions []*explain.Session) int {
	n := 0
	for _, s := range sessions {
		if alone(s) {
			n++
		}
	}
	return n
}

func alone(s *explain.Session) bool {
	return s.Verdict == explain.Failed && !slices.ContainsFunc(s.Transfers, func(t *explain.Transfer) bool { return t.Verdict == explain.Failed })
}

// Reasons are the findings that say why something failed, each once, most
// frequent first, and behind them what else is to be known at once.
func (v *View) Reasons() []explain.Finding {
	var all []explain.Finding
	times, seen := map[string]int{}, map[string]bool{}
	maps.Copy(times, v.gone.ails)
	for _, s := range v.Told() {
		if _, far, _ := v.pair(s); !telling(s) && (far == nil || !telling(far)) {
			continue // as most
		}
		for _, f := range v.findings(s) {
			if !reason(f.Finding) {
				continue
			}
			if times[f.ID]++; !seen[f.ID] {
				seen[f.ID] = true
				all = append(all, f.Finding)
			}
		}
	}
	slices.SortStableFunc(all, func(a, b explain.Finding) int {
		return cmp.Or(severity(a.Severity)-severity(b.Severity), times[b.ID]-times[a.ID])
	})
	return all
}

// reason says whether a finding belongs to the verdict: an error, and of the
// others that of an attack, and that of what cannot be told from this side.
func reason(f explain.Finding) bool {
	return f.Severity == explain.Error || f.ID == "brute-force" || f.ID == "bounce" || f.ID == "no-connection"
}

// telling says whether a session has a finding that is a reason.
func telling(s *explain.Session) bool { return slices.ContainsFunc(s.Findings, reason) }

// severity puts what matters most first.
func severity(s explain.Severity) int {
	switch s {
	case explain.Error:
		return 0
	case explain.Warning:
		return 1
	}
	return 2
}

// sign stands before what was found.
func sign(s explain.Severity) string {
	return [...]string{"✗", "!", "·"}[severity(s)]
}

// Reason is the finding that says why a session failed, as either side saw it.
func (v *View) Reason(s *explain.Session) (explain.Finding, bool) {
	for _, side := range v.Sides(s.ID) {
		for _, f := range side.Findings {
			if f.Severity == explain.Error {
				return f, true
			}
		}
	}
	return explain.Finding{}, false
}

func erred(s *explain.Session) bool {
	return slices.ContainsFunc(s.Findings, func(f explain.Finding) bool { return f.Severity == explain.Error })
}

// Works says whether nothing failed.
func (v *View) Works() bool {
	return v.gone.failed == 0 && !slices.ContainsFunc(v.story.Sessions, func(s *explain.Session) bool { return s.Verdict == explain.Failed })
}

// finding is one with the name of the capture that its packets are of, if that is
// not the one of the session.
type finding struct {
	explain.Finding
	of string
}

// findings are those of a session on both sides, errors first. What is said of
// several transfers in the same words is said once, and advice is given once.
func (v *View) findings(s *explain.Session) []finding {
	var all []finding
	for _, f := range s.Findings {
		all = append(all, finding{f, ""})
	}
	if _, far, _ := v.pair(s); far != nil && far.ID != s.ID {
		for _, f := range far.Findings {
			if !slices.ContainsFunc(s.Findings, func(g explain.Finding) bool { return g.ID == f.ID }) {
				all = append(all, finding{f, v.story.Captures[far.Capture].File})
			}
		}
	}
	return distinct(all)
}

// distinct puts errors first, and joins what is said twice.
func distinct(all []finding) []finding {
	if slices.ContainsFunc(all, func(f finding) bool { return explains(f.ID) }) {
		// That a NAT is between has been said, and more.
		all = slices.DeleteFunc(all, func(f finding) bool { return f.ID == "foreign" })
	}
	slices.SortStableFunc(all, func(a, b finding) int { return severity(a.Severity) - severity(b.Severity) })
	var few []finding
	said := map[[2]string]int{}
	advised := map[string]bool{}
	for _, f := range all {
		k := [2]string{f.ID, f.Text}
		if i, ok := said[k]; ok {
			few[i].Packets = slices.Compact(slices.Sorted(slices.Values(slices.Concat(few[i].Packets, f.Packets))))
			continue
		}
		if advised[f.Advice] {
			f.Advice = ""
		}
		said[k], advised[f.Advice] = len(few), true
		few = append(few, f)
	}
	return few
}

// explains says whether a finding tells why an address is another than expected.
func explains(id string) bool {
	switch id {
	case "inside-address", "not-forwarded", "alg-untouched", "alg-rewrote":
		return true
	}
	return false
}

// packets says where the evidence of a finding is.
func (v *View) packets(f finding) string {
	const most = 8
	if len(f.Packets) == 0 {
		return ""
	}
	var all []string
	for _, p := range f.Packets[:min(len(f.Packets), most)] {
		all = append(all, fmt.Sprint(p))
	}
	if len(f.Packets) > most {
		all = append(all, "…")
	}
	name := "view.packet"
	if len(f.Packets) > 1 {
		name = "view.packets"
	}
	list := strings.Join(all, ", ")
	if f.of != "" {
		list = v.say("view.list-of", "list", list, "file", columns.Shown(filepath.Base(f.of)))
	}
	return v.say(name, "list", list)
}

// who is the client of a session, for people.
func who(s *explain.Session) string { return cmp.Or(columns.Shown(s.User), "-") }

// what a transfer moves.
func (v *View) what(t *explain.Transfer) string {
	if t.Verb == "" && t.Protected {
		return v.say("view.hidden-command")
	}
	return cmp.Or(strings.TrimSpace(columns.Shown(t.Verb+" "+t.Path)), v.say("view.no-command"))
}

// how a transfer came about: "passive, EPSV".
func (v *View) how(t *explain.Transfer) string {
	if t.Mode == "" {
		return ""
	}
	text := v.say("view.mode." + t.Mode)
	if t.AnnouncedBy != "" {
		text += " " + columns.Shown(t.AnnouncedBy)
	}
	if t.Sum != "" {
		text += " (" + t.Sum + ")"
	}
	return text
}

// way is who connected to whom, or should have.
func way(t *explain.Transfer) string {
	switch {
	case t.From.IsValid() && t.To.IsValid():
		return fmt.Sprintf("%v → %v", t.From, t.To)
	case t.Announced.IsValid():
		return fmt.Sprintf("→ %v", t.Announced)
	}
	return ""
}

// moved is how much a transfer moved, and how fast.
func (v *View) moved(t *explain.Transfer) string {
	if t.Connection == nil || !t.Connection.Established() {
		return ""
	}
	text := v.say("view.bytes", "n", humanize.Comma(t.Bytes))
	if r := t.Rate(); r > 0 {
		text += fmt.Sprintf(", %s/s", humanize.Bytes(uint64(r)))
	}
	if t.Coding != "" {
		text += v.say("view.coded", "mode", t.Coding)
	}
	if t.Decoded != nil {
		text += v.say("view.decoded", "n", humanize.Comma(*t.Decoded))
	} else if !t.Complete && t.Bytes > 0 && !t.Protected {
		text += v.say("view.incomplete")
	}
	return text
}

// reply is how it ended: the code and the first line.
func reply(t *explain.Transfer) string {
	if t.Code == 0 {
		return ""
	}
	first, _, more := strings.Cut(t.Reply, "\n")
	if more {
		first += " …"
	}
	return columns.Shown(strings.TrimSpace(fmt.Sprintf("%d %s", t.Code, strings.TrimPrefix(first, fmt.Sprint(t.Code)+" "))))
}

// seconds since a time, as a ladder has it in its margin.
func seconds(at, start explain.Instant) string {
	if at.IsZero() || start.IsZero() {
		return ""
	}
	return fmt.Sprintf("%.3f", at.Sub(start).Seconds())
}
