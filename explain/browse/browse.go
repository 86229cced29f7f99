// Package browse shows a story in a terminal, screen by screen: a list of
// sessions, the ladder of one or of several together, and the packets of a rung.
// The keys stand in the bottom line.
//
// It shows what package view draws, and reads packets again from the captures
// where they are wanted.
package browse

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"
	"sync"

	tea "charm.land/bubbletea/v2"

	"towpath/capture"
	"towpath/explain"
	"towpath/explain/view"
	"towpath/internal/columns"
	"towpath/internal/ladder"
	"towpath/internal/words"
)

// Options say what a browser works with. In and Out must be set.
type Options struct {
	In   io.Reader
	Out  io.Writer
	Lang words.Lang
	// ShowSecrets shows packets in which a password is.
	ShowSecrets bool
	// Live gives a new story whenever more is known. Nil if nothing comes.
	Live <-chan *explain.Story
	// Guard is held while a story is read, for one that still grows. It may be
	// nil.
	Guard sync.Locker
	// Open opens a capture of the story again, by its index, to show and to save
	// packets. If nil there are none to show.
	Open func(int) (capture.Source, error)
}

// Run shows a story until its reader has seen enough, or ctx ends.
func Run(ctx context.Context, s *explain.Story, o Options) error {
	return run(ctx, s, o)
}

func run(ctx context.Context, s *explain.Story, o Options, more ...tea.ProgramOption) error {
	b := newBrowser(s, o)
	p := tea.NewProgram(b, append(more, tea.WithContext(ctx), tea.WithInput(o.In), tea.WithOutput(o.Out))...)
	done := make(chan struct{})
	defer close(done)
	if o.Live != nil {
		go func() {
			for {
				select {
				case s, ok := <-o.Live:
					if !ok {
						return
					}
					p.Send(storyMsg{s})
				case <-done:
					return
				}
			}
		}()
	}
	_, err := p.Run()
	if errors.Is(err, tea.ErrProgramKilled) && ctx.Err() != nil {
		err = nil // asked to end
	}
	return err
}

// storyMsg brings a story in place of the one before.
type storyMsg struct{ story *explain.Story }

// screen is what is shown.
type screen int

const (
	list screen = iota
	rungs
	raw
)

// asked is what the bottom line asks for.
type asked int

const (
	nothing asked = iota
	filter
	search
	save
)

// browser is the model of the program.
type browser struct {
	view          *view.View
	options       Options
	width, height int

	at       screen
	sessions []*explain.Session // those that the filter lets through
	table    []string           // its head, and a line for each of them
	chosen   map[int]bool       // by ID
	cursor   [3]int             // on each screen
	top      [3]int             // the first row that is shown there

	ids     []int // of the ladder
	drawing *ladder.Drawing
	rungs   []view.Rung
	bytes   []string // lines of the raw screen

	asks   asked
	input  []rune
	filter string
	search string
	note   string // what became of the last key
}

func newBrowser(s *explain.Story, o Options) *browser {
	b := &browser{options: o, width: 80, height: 24, chosen: map[int]bool{}}
	b.take(s)
	// Who opens it wants to know what failed.
	b.cursor[list] = max(slices.IndexFunc(b.sessions, failed), 0)
	return b
}

func failed(s *explain.Session) bool { return s.Verdict == explain.Failed }

// identity is what a session is known by in a story that grows.
type identity struct {
	capture        int
	client, server netip.AddrPort
	started        explain.Instant
}

func identityOf(s *explain.Session) identity {
	return identity{s.Capture, s.Client, s.Server, s.Started}
}

// renumber gives the sessions that place and choice are about the numbers that
// they have in s. It returns that of the one under the cursor of the list.
func (b *browser) renumber(s *explain.Story) (id int) {
	if b.view == nil {
		return 0
	}
	numbers := make(map[identity]int, len(s.Sessions))
	for _, x := range s.Sessions {
		numbers[identityOf(x)] = x.ID
	}
	number := func(id int) int {
		if x := b.view.Session(id); x != nil {
			return numbers[identityOf(x)]
		}
		return 0
	}
	for i, id := range b.ids {
		b.ids[i] = number(id)
	}
	chosen := map[int]bool{}
	for id := range b.chosen {
		chosen[number(id)] = true
	}
	delete(chosen, 0) // those that are no more
	b.chosen = chosen
	if len(b.sessions) > 0 {
		id = number(b.sessions[b.cursor[list]].ID)
	}
	return id
}

// take shows a story, and keeps place and choice.
func (b *browser) take(s *explain.Story) {
	id := b.renumber(s)
	if b.options.Guard != nil {
		// The next story may number its sessions otherwise.
		still := *s
		still.Sessions = make([]*explain.Session, len(s.Sessions))
		for i, x := range s.Sessions {
			y := *x
			still.Sessions[i] = &y
		}
		s = &still
	}
	b.view = view.New(s, b.options.Lang)
	b.sieve()
	if i := slices.IndexFunc(b.sessions, func(s *explain.Session) bool { return s.ID == id }); i >= 0 {
		b.cursor[list] = i
	}
	b.ids = slices.DeleteFunc(b.ids, func(id int) bool { return b.view.Session(id) == nil })
	if len(b.ids) == 0 {
		b.at = list
	}
	if b.at != list {
		b.drawing, b.rungs = b.view.Ladder(b.ids...)
		b.cursor[rungs] = min(b.cursor[rungs], max(len(b.rungs)-1, 0))
	}
}

// sieve leaves the sessions in which each word of the filter is found.
func (b *browser) sieve() {
	b.sessions = nil
	for _, s := range b.view.Told() {
		text := strings.ToLower(b.view.Terms(s))
		found := true
		for word := range strings.FieldsSeq(strings.ToLower(b.filter)) {
			found = found && strings.Contains(text, word)
		}
		if found {
			b.sessions = append(b.sessions, s)
		}
	}
	b.cursor[list] = min(b.cursor[list], max(len(b.sessions)-1, 0))
	var table strings.Builder
	columns.Table(&table, b.view.Rows(b.sessions))
	b.table = strings.Split(strings.TrimSuffix(table.String(), "\n"), "\n")
}

func (b *browser) say(name string, args ...any) string {
	return words.Say(name, args...).In(b.options.Lang)
}

func (b *browser) Init() tea.Cmd { return nil }

// hold keeps the story as it is until it is let go.
func (b *browser) hold() func() {
	if b.options.Guard == nil {
		return func() {}
	}
	b.options.Guard.Lock()
	return b.options.Guard.Unlock
}

func (b *browser) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	defer b.hold()()
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		if msg.Width > 0 && msg.Height > 0 {
			b.width, b.height = msg.Width, msg.Height
		}
	case storyMsg:
		b.take(msg.story)
	case savedMsg:
		b.note = msg.text
	case tea.PasteMsg:
		if b.asks != nothing {
			b.input = append(b.input, []rune(strings.Map(printable, msg.Content))...)
		}
	case tea.KeyPressMsg:
		b.note = ""
		if b.asks != nothing {
			return b, b.answer(msg)
		}
		return b, b.key(msg.String())
	}
	return b, nil
}

func printable(r rune) rune {
	if r < ' ' || r == 0x7f {
		return -1
	}
	return r
}

// rows is how many things the screen lists.
func (b *browser) rows() int {
	switch b.at {
	case rungs:
		return len(b.rungs)
	case raw:
		return len(b.bytes)
	}
	return len(b.sessions)
}

// key does what a key means.
func (b *browser) key(name string) tea.Cmd {
	move := func(n int) { b.cursor[b.at] = max(min(b.cursor[b.at]+n, b.rows()-1), 0) }
	page := max(b.height-4, 1)
	switch name {
	case "ctrl+c", "q":
		return tea.Quit
	case "up", "k":
		move(-1)
	case "down", "j":
		move(1)
	case "pgup", "ctrl+b":
		move(-page)
	case "pgdown", "ctrl+f":
		move(page)
	case "home", "g":
		move(-b.rows())
	case "end", "G":
		move(b.rows())
	case "esc", "backspace", "left", "h":
		switch {
		case b.at > list:
			b.at--
		case b.filter != "":
			b.filter = ""
			b.sieve()
		}
	case "enter", "right", "l":
		b.enter()
	case "space":
		if b.at == list && len(b.sessions) > 0 {
			id := b.sessions[b.cursor[list]].ID
			if b.chosen[id] {
				delete(b.chosen, id)
			} else {
				b.chosen[id] = true
			}
			move(1)
		}
	case "a":
		if b.at == list {
			// Those that the filter hides count for nothing.
			all := slices.ContainsFunc(b.sessions, func(s *explain.Session) bool { return !b.chosen[s.ID] })
			clear(b.chosen)
			for _, s := range b.sessions {
				if all {
					b.chosen[s.ID] = true
				}
			}
		}
	case "f":
		if b.at == list {
			b.asks, b.input = filter, []rune(b.filter)
		}
	case "/":
		b.asks, b.input = search, nil
	case "n":
		b.find(1)
	case "N":
		b.find(-1)
	case "x":
		b.failure()
	case "s":
		if len(b.sessions) > 0 {
			b.asks, b.input = save, []rune("sessions.pcapng")
		}
	}
	return nil
}

// picked are the IDs of the sessions that a key is about: those that are
// chosen, else that under the cursor.
func (b *browser) picked() []int {
	if b.at != list {
		return b.ids
	}
	var ids []int
	for _, s := range b.sessions {
		if b.chosen[s.ID] {
			ids = append(ids, s.ID)
		}
	}
	if len(ids) == 0 && len(b.sessions) > 0 {
		ids = []int{b.sessions[b.cursor[list]].ID}
	}
	return ids
}

// mostTogether are drawn as one ladder at most.
const mostTogether = 500

// enter goes one screen deeper.
func (b *browser) enter() {
	switch {
	case b.at == list && len(b.sessions) > 0:
		b.ids = b.picked()
		if n := len(b.ids); n > mostTogether {
			b.ids = b.ids[:mostTogether]
			b.note = b.say("browse.together", "n", mostTogether, "all", n)
		}
		b.drawing, b.rungs = b.view.Ladder(b.ids...)
		b.at = rungs
	case b.at == rungs && len(b.rungs) > 0:
		b.bytes = b.raw(&b.rungs[b.cursor[rungs]])
		b.at = raw
	default:
		return
	}
	b.cursor[b.at], b.top[b.at] = 0, 0
}

// answer is a key while the bottom line asks for something.
func (b *browser) answer(key tea.KeyPressMsg) tea.Cmd {
	switch key.String() {
	case "ctrl+c", "esc":
		b.asks = nothing
	case "backspace":
		b.input = b.input[:max(len(b.input)-1, 0)]
	case "ctrl+u":
		b.input = nil
	case "enter":
		what, text := b.asks, string(b.input)
		b.asks = nothing
		switch what {
		case filter:
			b.filter = text
			b.sieve()
		case search:
			b.search = text
			b.find(1)
		case save:
			return b.save(text)
		}
	default:
		b.input = append(b.input, []rune(strings.Map(printable, key.Text))...)
	}
	return nil
}

// failure goes to the next session that failed, or to the next rung that says of
// something that it went wrong.
func (b *browser) failure() {
	n := b.rows()
	for i := 1; i <= n; i++ {
		at := (b.cursor[b.at] + i) % n
		if b.at == list && failed(b.sessions[at]) || b.at == rungs && b.drawing.Rungs[at].Bad {
			b.cursor[b.at] = at
			return
		}
	}
	b.note = b.say("browse.no-failure")
}

// find goes to the next thing that holds what is searched for.
func (b *browser) find(step int) {
	n := b.rows()
	if b.search == "" || n == 0 {
		return
	}
	want := strings.ToLower(b.search)
	for i := 1; i <= n; i++ {
		at := ((b.cursor[b.at]+i*step)%n + n) % n
		var text string
		switch b.at {
		case list:
			text = b.view.Terms(b.sessions[at])
		case rungs:
			text = b.drawing.Rungs[at].Text + " " + b.drawing.Rungs[at].Became + " " + b.rungs[at].Step.Says.In(b.options.Lang)
		case raw:
			text = b.bytes[at]
		}
		if strings.Contains(strings.ToLower(text), want) {
			b.cursor[b.at] = at
			return
		}
	}
	b.note = b.say("browse.not-found", "text", columns.Shown(b.search))
}

// savedMsg says what became of a save.
type savedMsg struct{ text string }

// asPackets says whether packets are to be written into a file of that name.
func asPackets(name string) bool {
	return strings.HasSuffix(name, ".pcapng") || strings.HasSuffix(name, ".pcap")
}

// save keeps the sessions that are meant in a file: their packets if its name
// is that of a capture, else their story as text.
func (b *browser) save(name string) tea.Cmd {
	if name == "" {
		return nil
	}
	ids := b.picked()
	return func() tea.Msg {
		defer b.hold()()
		n, err := b.keep(name, ids)
		switch {
		case err != nil:
			return savedMsg{columns.Shown(err.Error())}
		case asPackets(name):
			return savedMsg{b.say("browse.saved.packets", "n", n, "file", columns.Shown(name))}
		}
		return savedMsg{b.say("browse.saved", "file", columns.Shown(name))}
	}
}

// View draws the screen.
func (b *browser) View() tea.View {
	defer b.hold()()
	lines, marked := b.frame()
	for i := range lines {
		if slices.Contains(marked, i) {
			lines[i] = "\x1b[7m" + columns.Fit(lines[i], b.width) + "\x1b[m"
		}
	}
	v := tea.NewView(strings.Join(lines, "\n"))
	v.AltScreen = true
	if b.asks != nothing {
		v.Cursor = tea.NewCursor(min(columns.Width(lines[len(lines)-1]), b.width-1), len(lines)-1)
	}
	return v
}

// frame are the lines of the screen, as many as it has, and those of them that
// the cursor is on. Only rows that are seen are drawn: there may be many.
func (b *browser) frame() (lines []string, marked []int) {
	head, row := b.body()
	foot := b.bottom()
	if b.note != "" {
		foot = append([]string{b.note}, foot...)
	}
	if b.asks != nothing || b.note != "" { // what is said now matters more
		head = head[:min(len(head), max(b.height-2, 0))]
	}
	room := max(b.height-len(head)-len(foot), 1)
	at, top := b.cursor[b.at], &b.top[b.at]
	// The first row that can stand on top with the cursor still in sight.
	first := min(at, b.rows()-1)
	for used := 0; first >= 0; first-- {
		if used += len(row(first)); used > room && first < at {
			break
		}
	}
	*top = max(min(*top, at), first+1, 0)
	lines = head
	for i := *top; i < b.rows() && len(lines) < len(head)+room; i++ {
		for _, l := range row(i) {
			if len(lines) == len(head)+room {
				break
			}
			if i == at {
				marked = append(marked, len(lines))
			}
			lines = append(lines, l)
		}
	}
	for len(lines) < len(head)+room {
		lines = append(lines, "")
	}
	lines = append(lines, foot...)
	lines = lines[:min(len(lines), b.height)] // of a very small screen
	for i, l := range lines {
		lines[i] = strings.TrimRight(clip(l, b.width), " ")
	}
	return lines, marked
}

// clip cuts what is beyond the right edge.
func clip(s string, n int) string {
	used := 0
	for i, r := range s {
		if used += columns.Of(r); used > n {
			return s[:i]
		}
	}
	return s
}

// body are the lines that stay on top of the screen, and those of each row.
func (b *browser) body() (head []string, row func(int) []string) {
	switch b.at {
	case rungs:
		head = append(b.above(), b.drawing.Head(b.width)...)
		return head, func(i int) []string { return b.drawing.Lines(i, b.width) }
	case raw:
		r := b.rungs[b.cursor[rungs]]
		return []string{columns.Shown(r.Step.Says.In(b.options.Lang)), ""}, func(i int) []string { return b.bytes[i : i+1] }
	}
	head = []string{b.view.Verdict(), "    " + b.table[0]}
	if b.filter != "" {
		head[0] += "  " + b.say("browse.filtered", "text", columns.Shown(b.filter), "n", len(b.sessions))
	}
	return head, func(i int) []string {
		box := "[ ] "
		if b.chosen[b.sessions[i].ID] {
			box = "[*] "
		}
		return []string{box + b.table[i+1]}
	}
}

// above are the lines over a ladder: of which session it is, and why that failed.
func (b *browser) above() []string {
	if n := len(b.ids); n > 1 {
		text := b.view.Count(n) + ":"
		for _, id := range b.ids[:min(n, b.width)] { // more have no room
			if s := b.view.Session(id); s != nil {
				text += fmt.Sprintf("  %d %s", id, cmp.Or(columns.Shown(s.User), "-"))
			}
		}
		return []string{ellipsis(text, b.width)}
	}
	s := b.view.Session(b.ids[0])
	lines := []string{ellipsis(b.view.Title(s), b.width)}
	if why, ok := b.view.Reason(s); ok {
		var text strings.Builder
		columns.Wrap(&text, "✗ ", "  ", columns.Shown(why.Text), b.width)
		all := strings.Split(strings.TrimSuffix(text.String(), "\n"), "\n")
		if most := max(b.height/6, 1); len(all) > most {
			all = all[:most]
			all[most-1] = ellipsis(all[most-1]+" …", b.width)
		}
		lines = append(lines, all...)
	}
	return lines
}

// ellipsis is clip that shows that something is missing.
func ellipsis(s string, n int) string {
	if columns.Width(s) <= n {
		return s
	}
	return strings.TrimRight(strings.TrimSuffix(clip(s, n-1), "…"), " ") + "…"
}

// bottom are the last lines: the keys, or what is asked for.
func (b *browser) bottom() []string {
	if b.asks != nothing {
		names := [...]string{filter: "browse.ask.filter", search: "browse.ask.search", save: "browse.ask.save"}
		question := b.say(names[b.asks]) + " "
		// The end is what is being written.
		return []string{question + columns.End(columns.Shown(string(b.input)), max(b.width-columns.Width(question)-1, 0))}
	}
	return inLines(b.say([...]string{list: "browse.keys.list", rungs: "browse.keys.ladder", raw: "browse.keys.raw"}[b.at]), b.width)
}

// inLines breaks keys into as many lines as they need; each is parted from the
// next by two blanks.
func inLines(keys string, width int) []string {
	var lines []string
	for key := range strings.SplitSeq(keys, "  ") {
		if n := len(lines); n > 0 && columns.Width(lines[n-1])+2+columns.Width(key) <= width {
			lines[n-1] += "  " + key
			continue
		}
		lines = append(lines, key)
	}
	return lines
}
