package shell

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"charm.land/bubbles/v2/textinput"
	tea "charm.land/bubbletea/v2"
	"charm.land/lipgloss/v2"
	"golang.org/x/term"

	"towpath/internal/columns"
)

// ErrInterrupted: a question was answered by Ctrl-C.
var ErrInterrupted = errors.New("interrupted")

// ScreenOptions say what a screen is made of. Only In and Out must be set.
type ScreenOptions struct {
	In  io.Reader
	Out io.Writer
	Env []string
	// History are the lines that were entered before, oldest first.
	History func() []string
	// Complete tells what the end of a line can become. It is given CompleteTime,
	// default 2 seconds.
	Complete     func(ctx context.Context, line string) Completion
	CompleteTime time.Duration
	// Width and Height are the size of what is no terminal.
	Width, Height int
	// Interrupt and Background are told of Ctrl-C and Ctrl-Z while no line is
	// being waited for.
	Interrupt, Background func()
}

// Screen is a terminal with a line to edit, and under it the rows of what moves.
// All that is written appears above them. Its methods are safe for concurrent
// use.
type Screen struct {
	o       ScreenOptions
	program *tea.Program
	lines   chan entered
	queue   chan tea.Msg // to the program
	done    chan struct{}
	err     error
	width   atomic.Int32
	height  atomic.Int32

	asking sync.Mutex // one question at a time
}

// entered is a line, or the end of all lines.
type entered struct {
	line string
	err  error
}

// NewScreen takes the terminal. Close gives it back.
func NewScreen(o ScreenOptions) *Screen {
	if o.CompleteTime == 0 {
		o.CompleteTime = 2 * time.Second
	}
	s := &Screen{o: o, lines: make(chan entered, 256), done: make(chan struct{}), queue: make(chan tea.Msg, 1024)}
	s.width.Store(80)
	s.height.Store(24)
	options := []tea.ProgramOption{tea.WithInput(o.In), tea.WithOutput(o.Out), tea.WithoutSignalHandler()}
	if o.Env != nil {
		options = append(options, tea.WithEnvironment(o.Env))
	}
	if o.Width > 0 {
		options = append(options, tea.WithWindowSize(o.Width, o.Height))
	}
	s.program = tea.NewProgram(newEditor(s), options...)
	go func() {
		defer close(s.done)
		_, s.err = s.program.Run()
	}()
	go func() {
		for {
			select {
			case msg := <-s.queue:
				s.program.Send(msg)
			case <-s.done:
				return
			}
		}
	}()
	return s
}

// Close gives the terminal back, when all that was written before is shown.
func (s *Screen) Close() error {
	s.send(leaveMsg{})
	s.send(tea.Quit())
	<-s.done
	return s.err
}

// ReadLine waits for a line. io.EOF is the end of all: Ctrl-D.
func (s *Screen) ReadLine(ctx context.Context, prompt string) (string, error) {
	prompt = columns.Shown(prompt) // it names a directory of the server
	s.send(promptMsg{prompt, true})
	defer s.send(promptMsg{prompt, false})
	select {
	case l := <-s.lines:
		if l.err == nil {
			s.print(prompt + columns.Shown(l.line))
		}
		return l.line, l.err
	case <-s.done:
		return "", errors.Join(io.EOF, s.err)
	case <-ctx.Done():
		return "", context.Cause(ctx)
	}
}

// Ask asks a question; what is typed is not shown if it is hidden. It is kept
// out of the history.
func (s *Screen) Ask(ctx context.Context, question string, hidden bool) (string, error) {
	s.asking.Lock()
	defer s.asking.Unlock()
	answer := make(chan entered, 1)
	s.send(askMsg{columns.ShownLines(question), hidden, answer})
	defer s.send(askMsg{})
	select {
	case a := <-answer:
		if a.err == nil && hidden {
			s.print(columns.ShownLines(question))
		} else if a.err == nil {
			s.print(columns.ShownLines(question) + columns.Shown(a.line))
		}
		return a.line, a.err
	case <-s.done:
		return "", io.EOF
	case <-ctx.Done():
		return "", context.Cause(ctx)
	}
}

// Lend gives the terminal to a program until it ends.
func (s *Screen) Lend(c *exec.Cmd) error {
	ended := make(chan error, 1)
	s.send(tea.ExecProcess(c, func(err error) tea.Msg {
		ended <- err
		return nil
	})())
	select {
	case err := <-ended:
		return err
	case <-s.done:
		return io.EOF
	}
}

// Rows shows rows under the line: those of a job, or none.
func (s *Screen) Rows(job int, rows []string) {
	if len(rows) == 0 {
		s.send(rowsMsg{job, nil})
		return
	}
	select {
	case s.queue <- rowsMsg{job, rows}:
	default: // the next frame will do
	}
}

// send passes a message on, in order, and waits only if very many wait already:
// jobs do not stand still while the terminal is lent.
func (s *Screen) send(msg tea.Msg) {
	select {
	case s.queue <- msg:
	case <-s.done:
	}
}

// Width is how many columns there are.
func (s *Screen) Width() int { return int(s.width.Load()) }

// RowWidth is how many columns rows may have: the number of their job may have
// to stand before them.
func (s *Screen) RowWidth() int { return max(s.Width()-len("[10] "), 1) }

// Writer returns a writer that shows whole lines above the line to edit, with
// all control characters escaped. Flush shows the rest.
func (s *Screen) Writer() *LineWriter { return &LineWriter{print: s.print} }

// print shows text above. The program scrolls what it is given at once, so that
// must not be higher than the screen, nor any line wider.
func (s *Screen) print(text string) {
	width := max(int(s.width.Load())-1, 10)
	most := max(int(s.height.Load())/2, 1)
	var lines []string
	for line := range strings.SplitSeq(text, "\n") {
		lines = append(lines, wrap(line, width)...)
	}
	for part := range slices.Chunk(lines, most) {
		part := strings.Join(part, "\n")
		if part == "" {
			part = " " // nothing at all would not be shown
		}
		s.send(tea.Println(part)())
	}
}

// wrap cuts a line into pieces of so many columns.
func wrap(line string, width int) []string {
	if len(line) <= width || lipgloss.Width(line) <= width {
		return []string{line}
	}
	var pieces []string
	start, used := 0, 0
	for i, r := range line {
		w := lipgloss.Width(string(r))
		if used+w > width {
			pieces = append(pieces, line[start:i])
			start, used = i, 0
		}
		used += w
	}
	return append(pieces, line[start:])
}

// LineWriter passes on whole lines.
type LineWriter struct {
	print func(string)
	mu    sync.Mutex
	rest  []byte
}

// Write shows the lines in p that are whole.
func (w *LineWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.rest = append(w.rest, p...)
	const longest = 64 << 10
	end := strings.LastIndexByte(string(w.rest), '\n')
	switch {
	case end >= 0:
		w.print(columns.ShownLines(string(w.rest[:end])))
		w.rest = append([]byte(nil), w.rest[end+1:]...)
	case len(w.rest) > longest:
		w.print(columns.ShownLines(string(w.rest)))
		w.rest = nil
	}
	return len(p), nil
}

// Flush shows a line that has no end.
func (w *LineWriter) Flush() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.rest) > 0 {
		w.print(columns.ShownLines(string(w.rest)))
		w.rest = nil
	}
}

// Messages of the screen to its editor.
type (
	promptMsg struct {
		prompt string
		waits  bool
	}
	askMsg struct {
		question string
		hidden   bool
		answer   chan entered
	}
	rowsMsg struct {
		job  int
		rows []string
	}
	completeMsg struct {
		line string
		Completion
	}
	leaveMsg struct{}
)

// editor is the model of the program: one line, and rows.
type editor struct {
	screen *Screen
	input  textinput.Model
	prompt string
	waits  bool // for a line; else a command runs in the foreground
	ask    askMsg
	rows   map[int][]string

	back  int    // in the history, 0: the line that is being written
	draft string // that line

	searching bool
	search    string // what Ctrl-R looks for
	found     string

	completing bool // an answer is awaited
	tabs       int  // in a row
	leaving    bool
}

func newEditor(s *Screen) *editor {
	e := &editor{screen: s, input: textinput.New(), rows: map[int][]string{}}
	e.input.Prompt = ""
	styles := e.input.Styles()
	styles.Focused, styles.Blurred = textinput.StyleState{}, textinput.StyleState{}
	e.input.SetStyles(styles)
	e.input.SetVirtualCursor(false)
	e.input.Focus()
	return e
}

func (e *editor) history() []string {
	if e.screen.o.History == nil {
		return nil
	}
	return e.screen.o.History()
}

func (e *editor) Init() tea.Cmd { return nil }

func (e *editor) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		if msg.Width > 0 && msg.Height > 0 { // what is no terminal has no size
			e.screen.width.Store(int32(msg.Width))
			e.screen.height.Store(int32(msg.Height))
		}
		return e, nil
	case promptMsg:
		e.prompt, e.waits = msg.prompt, msg.waits
		return e, nil
	case askMsg:
		if e.ask.answer == nil && msg.answer != nil {
			e.draft = e.input.Value()
		} else if msg.answer == nil {
			e.set(e.draft)
			e.draft = ""
		}
		e.ask = msg
		e.input.EchoMode = textinput.EchoNormal
		if msg.answer != nil {
			e.set("")
			if msg.hidden {
				e.input.EchoMode = textinput.EchoNone
			}
		}
		return e, nil
	case rowsMsg:
		e.rows[msg.job] = msg.rows
		if len(msg.rows) == 0 {
			delete(e.rows, msg.job)
		}
		return e, nil
	case leaveMsg:
		e.leaving = true
		e.rows = nil
		return e, nil
	case completeMsg:
		return e, e.completed(msg)
	case tea.PasteMsg:
		return e.paste(msg.Content)
	case tea.KeyPressMsg:
		if e.ask.answer != nil {
			return e.question(msg)
		}
		if e.searching {
			return e.find(msg)
		}
		return e.key(msg)
	}
	var cmd tea.Cmd
	e.input, cmd = e.input.Update(msg)
	return e, cmd
}

// set puts text into the line.
func (e *editor) set(text string) {
	e.input.SetValue(text)
	e.input.CursorEnd()
}

// question is a key while a question is open.
func (e *editor) question(key tea.KeyPressMsg) (tea.Model, tea.Cmd) {
	switch key.String() {
	case "enter":
		e.answer(entered{line: e.input.Value()})
	case "ctrl+c", "ctrl+d", "esc":
		e.answer(entered{err: ErrInterrupted})
	default:
		var cmd tea.Cmd
		e.input, cmd = e.input.Update(key)
		return e, cmd
	}
	return e, nil
}

// answer gives an answer away, once.
func (e *editor) answer(a entered) {
	select {
	case e.ask.answer <- a:
	default: // a second Enter before the question is gone
	}
	e.set("")
}

// key is a key of the line.
func (e *editor) key(key tea.KeyPressMsg) (tea.Model, tea.Cmd) {
	name := key.String()
	if name != "tab" {
		e.tabs = 0
	}
	switch name {
	case "enter":
		line := e.input.Value()
		e.set("")
		e.back = 0
		e.enter(entered{line: line})
	case "ctrl+c":
		if !e.waits {
			if e.screen.o.Interrupt != nil {
				go e.screen.o.Interrupt()
			}
			return e, nil
		}
		text := e.prompt + columns.Shown(e.input.Value()) + "^C"
		e.set("")
		e.back = 0
		return e, tea.Println(text)
	case "ctrl+d":
		if e.input.Value() == "" && e.waits {
			e.enter(entered{err: io.EOF})
			return e, nil
		}
		return e.pass(key)
	case "ctrl+z":
		if !e.waits && e.screen.o.Background != nil {
			go e.screen.o.Background()
		}
	case "ctrl+l":
		return e, tea.ClearScreen
	case "up", "ctrl+p":
		e.recall(e.back + 1)
	case "down", "ctrl+n":
		e.recall(e.back - 1)
	case "ctrl+r":
		e.searching, e.search, e.found = true, "", ""
		e.back = 0
	case "tab":
		return e, e.tab()
	default:
		return e.pass(key)
	}
	return e, nil
}

func (e *editor) pass(key tea.KeyPressMsg) (tea.Model, tea.Cmd) {
	var cmd tea.Cmd
	e.input, cmd = e.input.Update(key)
	return e, cmd
}

// paste takes text as if it were typed: each line that ends is entered. The
// input would make one command of them all, whose verb takes the others for names.
func (e *editor) paste(text string) (tea.Model, tea.Cmd) {
	lines := strings.Split(strings.ReplaceAll(strings.ReplaceAll(text, "\r\n", "\n"), "\r", "\n"), "\n")
	if e.ask.answer != nil || e.searching {
		lines = lines[:1]
	}
	if n := len(lines) - 1; n > cap(e.screen.lines)-len(e.screen.lines) {
		return e, tea.Println(fmt.Sprintf("%d lines are too many at once; towpath shell < FILE takes them", n))
	}
	var commands []tea.Cmd
	for i, line := range lines {
		if i > 0 {
			e.key(tea.KeyPressMsg{Code: tea.KeyEnter}) // which wants nothing done
		}
		if e.searching {
			return e.find(tea.KeyPressMsg{Text: line})
		}
		var cmd tea.Cmd
		e.input, cmd = e.input.Update(tea.PasteMsg{Content: line})
		commands = append(commands, cmd)
	}
	return e, tea.Batch(commands...)
}

func (e *editor) enter(l entered) {
	select {
	case e.screen.lines <- l:
	default: // nobody has typed so far ahead
	}
}

// recall puts a line of the history into the line.
func (e *editor) recall(back int) {
	all := e.history()
	if back < 0 || back > len(all) {
		return
	}
	if e.back == 0 {
		e.draft = e.input.Value()
	}
	e.back = back
	if back == 0 {
		e.set(e.draft)
		return
	}
	e.set(all[len(all)-back])
}

// find is a key of a search backwards through the history.
func (e *editor) find(key tea.KeyPressMsg) (tea.Model, tea.Cmd) {
	all := e.history()
	from := max(len(all)-e.back, 0)
	switch key.String() {
	case "ctrl+r": // the one before
	case "backspace":
		r := []rune(e.search)
		e.search = string(r[:max(len(r)-1, 0)])
		from = len(all)
	case "ctrl+c", "ctrl+g":
		e.searching = false
		e.back = 0
		return e, nil
	default:
		if key.Text == "" { // any other key takes what was found, and does its work
			e.searching = false
			if e.found != "" {
				e.set(e.found)
			}
			return e.key(key)
		}
		e.search += key.Text
		from = min(from+1, len(all)) // what is shown may still be the one
	}
	for i := from - 1; i >= 0; i-- {
		if strings.Contains(all[i], e.search) {
			e.back, e.found = len(all)-i, all[i]
			break
		}
	}
	return e, nil
}

// tab asks for a completion of what is before the cursor.
func (e *editor) tab() tea.Cmd {
	e.tabs++
	if e.screen.o.Complete == nil || e.completing {
		return nil
	}
	line := e.before()
	e.completing = true
	return func() tea.Msg {
		ctx, cancel := context.WithTimeout(context.Background(), e.screen.o.CompleteTime)
		defer cancel()
		return completeMsg{line, e.screen.o.Complete(ctx, line)}
	}
}

// before is the line up to the cursor.
func (e *editor) before() string {
	r := []rune(e.input.Value())
	return string(r[:min(e.input.Position(), len(r))])
}

// completed takes a completion, unless the line has changed meanwhile.
func (e *editor) completed(msg completeMsg) tea.Cmd {
	e.completing = false
	if e.before() != msg.line {
		return nil
	}
	line, names := msg.Complete(msg.line)
	after := strings.TrimPrefix(e.input.Value(), msg.line)
	if line != msg.line {
		e.tabs = 0
		e.input.SetValue(line + after)
		e.input.SetCursor(len([]rune(line)))
	}
	var text []string
	if len(names) > 0 && (e.tabs >= 2 || line == msg.line && msg.Hint != "") {
		text = append(text, inColumns(names, e.screen.Width()))
	}
	if msg.Hint != "" {
		text = append(text, columns.ShownLines(msg.Hint)) // an error may name a file
	}
	if len(text) == 0 {
		return nil
	}
	shown := e.prompt + columns.Shown(e.input.Value()) + "\n" + strings.Join(text, "\n")
	return func() tea.Msg { e.screen.print(shown); return nil }
}

// mostNames are shown of those that are possible.
const mostNames = 200

// inColumns sets names in columns, without the directory that all of them share.
func inColumns(names []string, width int) string {
	total := len(names)
	cut := strings.LastIndexByte(commonPrefix(names), '/') + 1
	widest := 0
	var shown []string
	for _, n := range names[:min(total, mostNames)] {
		n = columns.Shown(n[cut:])
		shown = append(shown, n)
		widest = max(widest, lipgloss.Width(n))
	}
	per := max(1, (width-1)/(widest+2))
	rows := (len(shown) + per - 1) / per
	lines := make([]string, rows)
	for i, n := range shown {
		line := &lines[i%rows]
		*line += n
		if i+rows < len(shown) {
			*line += strings.Repeat(" ", widest+2-lipgloss.Width(n))
		}
	}
	if total > len(shown) {
		lines = append(lines, "… and more; write a further letter")
	}
	return strings.Join(lines, "\n")
}

// mostRows are shown under the line.
const mostRows = 7

// View draws the line, and the rows under it.
func (e *editor) View() tea.View {
	if e.leaving {
		return tea.NewView("")
	}
	prompt := e.prompt
	text := ""
	switch {
	case e.ask.answer != nil:
		prompt = e.ask.question
	case e.searching:
		prompt, text = "(search) "+columns.Shown(e.search)+": ", columns.Shown(e.found)
	case !e.waits:
		prompt = "… "
	}
	width := e.screen.Width()
	if limit := width / 2; lipgloss.Width(prompt) > limit && e.ask.answer == nil && !e.searching {
		prompt = "…" + columns.End(prompt, limit-1)
	}
	// A question is about a name at most, and ends in what can be answered.
	if limit := width - 8; lipgloss.Width(prompt) > limit && e.ask.answer != nil {
		prompt = columns.Fit(prompt, limit)
	}
	e.input.SetWidth(max(width-lipgloss.Width(prompt)-2, 4))
	v := tea.NewView("")
	if !e.searching {
		text = e.input.View()
		if v.Cursor = e.input.Cursor(); v.Cursor != nil {
			v.Cursor.X += lipgloss.Width(prompt)
			v.Cursor.Y = 0
		}
	} else {
		v.Cursor = tea.NewCursor(lipgloss.Width(prompt), 0)
	}
	lines := append([]string{prompt + text}, e.bars()...)
	v.Content = strings.Join(lines, "\n")
	return v
}

// bars are the rows of the jobs: all of one alone, and of several the last of
// each, which is the one that has all its files.
func (e *editor) bars() []string {
	numbers := make([]int, 0, len(e.rows))
	for n := range e.rows {
		numbers = append(numbers, n)
	}
	slices.Sort(numbers)
	var rows []string
	for _, n := range numbers {
		all := e.rows[n]
		if len(numbers) > 1 {
			all = []string{fmt.Sprintf("[%d] %s", n, all[len(all)-1])}
		}
		rows = append(rows, all...)
	}
	// What is higher than the screen would push the line out of it.
	room := max(min(int(e.screen.height.Load())-1, mostRows+1), 0)
	if more := len(rows) - room; more > 0 && room > 0 {
		rows = append(rows[:room-1], fmt.Sprintf("… and %d more", more+1))
	}
	return rows[:min(len(rows), room)]
}

// Terminal reports whether a file can hold a screen.
func Terminal(f *os.File) bool { return term.IsTerminal(int(f.Fd())) && os.Getenv("TERM") != "dumb" }
