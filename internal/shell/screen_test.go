package shell

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
)

func TestComplete(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		line  string
		names []string
		want  string
		left  int
	}{
		{"get ", nil, "get ", 0},
		{"get a", []string{"a b.txt"}, `get a\ b.txt `, 0},
		{"cd p", []string{"pub/"}, "cd pub/", 0},
		{"get ", []string{"two words.iso", "two wolves.iso"}, `get two\ wo`, 2},
		{"get 日", []string{"日本.txt", "日本.txt"}, "get 日本.txt ", 0},
		{"get ", []string{"日", "旦"}, "get ", 2}, // the first bytes are the same
		{`get "a b`, []string{"a b c"}, `get a\ b\ c `, 0},
		{"get ", []string{"\x1b[2J"}, `get "\x1b"\[2J `, 0},
	} {
		c := Completion{Start: Unfinished(tt.line).Words[1].Start, Names: tt.names}
		got, left := c.Complete(tt.line)
		if got != tt.want || len(left) != tt.left {
			t.Errorf("%q with %q: %q and %q, want %q", tt.line, tt.names, got, left, tt.want)
		}
	}
}

func TestColumns(t *testing.T) {
	t.Parallel()
	got := inColumns([]string{"pub/a", "pub/日本", "pub/c", "pub/\x1b"}, 14)
	if want := "a     c\n日本  \\x1b"; got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestWrap(t *testing.T) {
	t.Parallel()
	for line, want := range map[string][]string{
		"":        {""},
		"abcd":    {"abcd"},
		"abcde":   {"abcd", "e"},
		"日本語":     {"日本", "語"},
		"a日本b":    {"a日", "本b"},
		"abcd日本x": {"abcd", "日本", "x"},
	} {
		if got := wrap(line, 4); !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %q, want %q", line, got, want)
		}
	}
}

// What comes from a server cannot move the cursor.
func TestLineWriter(t *testing.T) {
	t.Parallel()
	var got []string
	w := &LineWriter{print: func(s string) { got = append(got, s) }}
	for _, p := range []string{"a", "b\nc\r\nd\x1b[2J", "\u202ee", "\tf"} {
		if n, err := io.WriteString(w, p); n != len(p) || err != nil {
			t.Fatal(n, err)
		}
	}
	w.Flush()
	w.Flush()
	if want := []string{"ab\nc", "d\\x1b[2J\ufffde    f"}; !reflect.DeepEqual(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

// However low the screen is, the line to edit is on it.
func TestLowScreen(t *testing.T) {
	t.Parallel()
	s := &Screen{}
	e := newEditor(s)
	e.prompt, e.waits = "here> ", true
	e.Update(rowsMsg{1, []string{"1", "2", "3", "4", "5", "6", "7", "8", "9"}})
	for height, want := range map[int]string{1: "", 2: "… and 9 more", 4: "1\n2\n… and 7 more", 24: "1\n2\n3\n4\n5\n6\n7\n… and 2 more"} {
		e.Update(tea.WindowSizeMsg{Width: 80, Height: height})
		if line, got, _ := strings.Cut(e.View().Content, "\n"); !strings.HasPrefix(line, "here>") || got != want {
			t.Errorf("on %d rows: %q, want %q", height, got, want)
		}
	}
}

// Lines that are pasted are commands of their own, and a password ends with its
// line.
func TestPaste(t *testing.T) {
	t.Parallel()
	s := &Screen{lines: make(chan entered, 3), o: ScreenOptions{History: func() []string { return []string{"cd first", "ls second"} }}}
	e := newEditor(s)
	e.waits = true
	e.Update(tea.PasteMsg{Content: "rm "})
	e.Update(tea.PasteMsg{Content: "a\r\n\nls -l\rpw"})
	for _, want := range []string{"rm a", "", "ls -l"} {
		if got := <-s.lines; got.line != want {
			t.Errorf("%q was entered, want %q", got.line, want)
		}
	}
	if got := e.input.Value(); got != "pw" {
		t.Errorf("%q is left", got)
	}
	if _, cmd := e.Update(tea.PasteMsg{Content: "\n\n\n\n"}); cmd == nil || len(s.lines) > 0 || e.input.Value() != "pw" {
		t.Errorf("%d of too many lines were entered", len(s.lines))
	}
	e.Update(tea.KeyPressMsg{Code: 'r', Mod: tea.ModCtrl})
	e.Update(tea.PasteMsg{Content: "fir"})
	if e.search != "fir" || e.found != "cd first" {
		t.Errorf("%q finds %q", e.search, e.found)
	}
	e.Update(tea.KeyPressMsg{Code: 'g', Mod: tea.ModCtrl})
	answer := make(chan entered, 1)
	e.Update(askMsg{"Password: ", true, answer})
	e.Update(tea.PasteMsg{Content: "sesame\n"})
	e.Update(tea.KeyPressMsg{Code: tea.KeyEnter})
	if got := <-answer; got.line != "sesame" {
		t.Errorf("the password is %q", got.line)
	}
}

// Nor does what a completion says of an error move the cursor.
func TestHint(t *testing.T) {
	t.Parallel()
	s := &Screen{queue: make(chan tea.Msg, 9)}
	s.height.Store(24)
	s.width.Store(80)
	e := newEditor(s)
	e.Update(tea.PasteMsg{Content: "lcd x"})
	_, cmd := e.Update(completeMsg{"lcd x", Completion{Start: 4, Hint: "open a\x1b[2J\u202e: no\nmore"}})
	if cmd == nil {
		t.Fatal("nothing is said")
	}
	cmd()
	if got := fmt.Sprintf("%+v", <-s.queue); !strings.Contains(got, "open a\\x1b[2J\ufffd: no\nmore") {
		t.Errorf("%q", got)
	}
}

// Of a question about a long name both ends are seen.
func TestLongQuestion(t *testing.T) {
	t.Parallel()
	s := &Screen{}
	e := newEditor(s)
	e.Update(tea.WindowSizeMsg{Width: 40, Height: 24})
	e.Update(askMsg{"delete " + strings.Repeat("x", 5000) + "? [y/N] ", false, make(chan entered, 1)})
	e.Update(tea.KeyPressMsg{Code: 'y', Text: "y"})
	if got := strings.TrimRight(e.View().Content, " "); got != "delete xxxxxxxxx…xxxxxxx? [y/N] y" {
		t.Errorf("%q", got)
	}
}

// output collects what a screen draws, and tells when something is there.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
	more chan struct{}
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.text.Write(p)
	select {
	case o.more <- struct{}{}:
	default:
	}
	return len(p), nil
}

// until waits until text has been drawn, and forgets all up to there.
func (o *output) until(t *testing.T, text string) {
	t.Helper()
	deadline := time.After(time.Minute)
	for {
		o.mu.Lock()
		all := o.text.String()
		if i := strings.Index(all, text); i >= 0 {
			o.text.Next(i + len(text))
			o.mu.Unlock()
			return
		}
		o.mu.Unlock()
		select {
		case <-o.more:
		case <-deadline:
			t.Fatalf("%q was never drawn, but %q", text, all[:min(len(all), 600)])
		}
	}
}

// A screen without a terminal: its input and output are pipes.
func TestScreen(t *testing.T) {
	t.Parallel()
	in, keys := io.Pipe()
	out := &output{more: make(chan struct{}, 1)}
	interrupted := make(chan struct{}, 1)
	s := NewScreen(ScreenOptions{
		In: in, Out: out, Width: 80, Height: 24, Env: []string{"TERM=xterm"},
		History: func() []string { return []string{"cd first", "ls second"} },
		Complete: func(_ context.Context, line string) Completion {
			return Completion{Start: Unfinished(line).Words[1].Start, Names: []string{"日本 .txt"}}
		},
		Interrupt: func() { interrupted <- struct{}{} },
	})
	press := func(text string) {
		t.Helper()
		if _, err := io.WriteString(keys, text); err != nil {
			t.Fatal(err)
		}
	}
	read := func(text, want string) {
		t.Helper()
		press(text)
		if got, err := s.ReadLine(t.Context(), "here> "); err != nil || got != want {
			t.Errorf("%q is the line %q, %v, want %q", text, got, err, want)
		}
	}
	const up, down = "\x1b[A", "\x1b[B"
	read("pwd\r", "pwd")
	out.until(t, "here> pwd")
	read(up+up+"\r", "cd first")
	read("draft"+up+down+"\r", "draft")
	read("x\x12fir\r", "cd first") // Ctrl-R

	// Typed ahead; a completion comes when it comes.
	press("get \t")
	out.until(t, `日本\ .txt`)
	read("\r", `get 日本\ .txt `)

	// Ctrl-C stops a command, or clears a line.
	out.until(t, "…") // nobody waits for a line
	press("\x03")
	<-interrupted
	line := make(chan string)
	go func() {
		l, err := s.ReadLine(t.Context(), "again> ")
		if err != nil {
			t.Error(err)
		}
		line <- l
	}()
	out.until(t, "again>")
	press("Z")
	out.until(t, "Z")
	press("\x03")
	out.until(t, "^C")
	press("ls\r")
	if l := <-line; l != "ls" {
		t.Errorf("the line is %q, want ls", l)
	}

	// An answer that is not to be seen, and one that is refused.
	answers := make(chan string)
	ask := func(question string) {
		a, err := s.Ask(t.Context(), question, true)
		if err != nil {
			a = err.Error()
		}
		answers <- a
	}
	go ask("Password: ")
	out.until(t, "Password:")
	press("sesame\r")
	if a := <-answers; a != "sesame" {
		t.Errorf("answer %q", a)
	}
	go ask("Sure? ")
	out.until(t, "Sure?")
	press("\x03")
	if a := <-answers; a != ErrInterrupted.Error() {
		t.Errorf("answer %q", a)
	}

	// Rows stand under the line, output above.
	s.Rows(1, []string{"big.iso  10%"})
	out.until(t, "big.iso")
	s.Rows(2, []string{"other", "sum of all"})
	out.until(t, "[2]")
	s.Rows(1, nil)
	s.Rows(2, nil)
	w := s.Writer()
	if _, err := io.WriteString(w, "evil\x1b[2J\n"); err != nil {
		t.Fatal(err)
	}
	out.until(t, `evil\x1b[2J`)

	press("\x04") // while nobody waits for a line, Ctrl-D is nothing
	press("ahead")
	out.until(t, "ahead") // so it was looked at
	eof := make(chan error)
	go func() {
		_, err := s.ReadLine(t.Context(), "\u202elast> ")
		eof <- err
	}()
	out.until(t, "\ufffdlast>")
	press("\x15\x04") // in a line that is empty again, it is the end
	if err := <-eof; !errors.Is(err, io.EOF) {
		t.Errorf("the end is %v", err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	out.mu.Lock()
	defer out.mu.Unlock()
	if strings.Contains(out.text.String(), "sesame") {
		t.Error("the password was shown")
	}
}
