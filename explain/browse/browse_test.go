package browse

import (
	"bytes"
	"context"
	"flag"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	tea "charm.land/bubbletea/v2"
	"github.com/google/go-cmp/cmp"

	"towpath/capture"
	"towpath/explain"
	"towpath/internal/columns"
	"towpath/internal/words"
)

var update = flag.Bool("update", false, "write the files in testdata anew")

var files = []string{
	filepath.Join("..", "..", "capture", "testdata", "zeek-ipv4.pcap"),
	filepath.Join("..", "..", "capture", "testdata", "sv-active-loopback.pcap"),
}

func open(i int) (capture.Source, error) { return capture.Open(files[i]) }

func story(t *testing.T, names ...string) *explain.Story {
	t.Helper()
	s, err := explain.Explain(t.Context(), names, explain.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// player presses keys, and looks at the screen.
type player struct {
	t *testing.T
	b *browser
}

func play(t *testing.T) *player {
	t.Helper()
	b := newBrowser(story(t, files...), Options{Open: open})
	b.Update(tea.WindowSizeMsg{Width: 90, Height: 20})
	return &player{t, b}
}

// keys presses keys, named as bubbletea does, or letters.
func (p *player) keys(names ...string) {
	p.t.Helper()
	codes := map[string]rune{
		"enter": tea.KeyEnter, "esc": tea.KeyEscape, "up": tea.KeyUp, "down": tea.KeyDown, "home": tea.KeyHome, "end": tea.KeyEnd,
		"pgup": tea.KeyPgUp, "pgdown": tea.KeyPgDown, "backspace": tea.KeyBackspace,
	}
	for _, n := range names {
		k := tea.KeyPressMsg{Code: codes[n]}
		switch {
		case n == "space":
			k = tea.KeyPressMsg{Code: tea.KeySpace, Text: " "}
		case k.Code == 0:
			k = tea.KeyPressMsg{Code: []rune(n)[0], Text: n}
		}
		_, cmd := p.b.Update(k)
		if cmd == nil {
			continue
		}
		if msg := cmd(); msg != nil {
			p.b.Update(msg)
		}
	}
}

// frame is the screen, with a mark before the lines that the cursor is on.
func (p *player) frame() string {
	p.t.Helper()
	lines, marked := p.b.frame()
	if len(lines) != p.b.height {
		p.t.Errorf("%d lines on a screen of %d", len(lines), p.b.height)
	}
	for i, l := range lines {
		if w := columns.Width(l); w > p.b.width {
			p.t.Errorf("%d columns on a screen of %d: %q", w, p.b.width, l)
		}
		sign := " "
		for _, m := range marked {
			if m == i {
				sign = ">"
			}
		}
		lines[i] = strings.TrimRight(sign+l, " ")
	}
	return strings.Join(lines, "\n") + "\n"
}

func (p *player) golden(name string) {
	p.t.Helper()
	got := p.frame()
	at := filepath.Join("testdata", name+".txt")
	if *update {
		if err := os.MkdirAll("testdata", 0o777); err != nil {
			p.t.Fatal(err)
		}
		if err := os.WriteFile(at, []byte(got), 0o666); err != nil {
			p.t.Fatal(err)
		}
	}
	want, err := os.ReadFile(at)
	if err != nil {
		p.t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		p.t.Errorf("%s (go test ./explain/browse -update writes it anew): -want +got\n%s", at, diff)
	}
}

func (p *player) shows(want string) {
	p.t.Helper()
	if got := p.frame(); !strings.Contains(got, want) {
		p.t.Errorf("want %q on\n%s", want, got)
	}
}

// From the list down to the bytes, and back.
func TestScreens(t *testing.T) {
	t.Parallel()
	p := play(t)
	p.golden("list")
	p.keys("enter")
	p.golden("ladder")
	p.keys("/", "2", "2", "7", "enter")
	p.shows(">     20  |<")
	p.keys("enter")
	p.golden("raw")
	p.keys("esc", "n")
	p.shows("221,91")
	p.keys("end", "enter", "esc", "home", "pgdown", "pgup", "up")
	p.shows(">    1-3")
	p.keys("esc")
	p.golden("list")
}

// Several sessions are one ladder.
func TestCombined(t *testing.T) {
	t.Parallel()
	p := play(t)
	p.keys("space", "space")
	p.shows(">[*]")
	p.keys("enter")
	p.golden("combined")
	p.keys("q")
	p.keys("esc", "a", "a", "enter")
	p.golden("combined")
}

// What failed is found at once, with the cause above its ladder.
func TestFailure(t *testing.T) {
	t.Parallel()
	captures := filepath.Join("..", "testdata", "captures")
	s := story(t, filepath.Join(captures, "zeek-retr.pcap"), filepath.Join(captures, "sv-too-long-command-first.pcap"))
	p := &player{t, newBrowser(s, Options{})}
	p.shows(">[ ] ✗  2  refused  user")
	p.keys("enter")
	p.shows("✗ The server refuses RETR")
	p.keys("x")
	p.shows("550")
	p.keys("esc", "up", "x")
	p.shows(">[ ] ✗  2  refused  user")
	p.keys("enter", "enter", "x")
	p.shows("Nothing failed here.")
}

// Any screen has room for something, and all keys can be read on a narrow one.
func TestSizes(t *testing.T) {
	t.Parallel()
	p := play(t)
	for _, size := range [][2]int{{40, 12}, {1, 1}, {7, 3}, {200, 2}, {80, 24}} {
		p.b.Update(tea.WindowSizeMsg{Width: size[0], Height: size[1]})
		p.frame()
		p.keys("enter")
		p.frame()
		p.keys("enter", "end")
		p.frame()
		p.keys("s", "x", "esc", "esc", "esc")
	}
	p.b.Update(tea.WindowSizeMsg{Width: 40, Height: 12})
	p.shows("q quit")
	// What is asked for has its place, and shows what is being written.
	p.keys("enter")
	for _, size := range [][2]int{{20, 5}, {30, 2}} {
		p.b.Update(tea.WindowSizeMsg{Width: size[0], Height: size[1]})
		p.keys("/")
		p.shows("\n Search")
		p.b.Update(tea.PasteMsg{Content: "a name that is longer than the line.txt"})
		p.shows("line.txt\n")
		p.keys("enter")
		p.shows("\n a name that is long")
	}
}

// A crowd has one ladder too: no column for each of its addresses, and not of all.
func TestCrowd(t *testing.T) {
	t.Parallel()
	s := story(t, files[0])
	for i := range 600 {
		x := *s.Sessions[0]
		x.ID = i + 2
		x.Client = netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), 40000)
		s.Sessions = append(s.Sessions, &x)
	}
	p := &player{t, newBrowser(s, Options{})}
	p.keys("a", "enter")
	p.shows("The first 500 of 601 are drawn together.")
	p.shows("500 addresses")
	p.shows("500 sessions:  1 anonymous  2 anonymous")
	p.keys("end")
	p.shows("500: The client closes")
}

func TestFilter(t *testing.T) {
	t.Parallel()
	p := play(t)
	p.keys("f", "1", "2", "7", ".", "x", "backspace", "enter")
	p.shows("[127.: 1]")
	p.keys("f", "n", "o", "n", "e", "enter")
	p.shows("[127.none: 0]")
	p.keys("enter", "space", "down", "n", "s") // nothing is there for them
	p.shows("[127.none: 0]")
	p.keys("esc")
	p.golden("list")
	p.keys("space", "f", "1", "2", "7", "enter", "a") // what is hidden is not asked
	p.shows("[*] ✓  2")
	p.keys("esc", "a", "a")
	p.golden("list")
	p.keys("/", "\u202e", "enter")
	p.shows("� is not found.")
}

// A password is no more shown in its bytes than in words.
func TestSecret(t *testing.T) {
	t.Parallel()
	p := play(t)
	p.keys("enter", "/", "P", "A", "S", "S", " ", "enter", "enter")
	p.shows("--show-secrets")
	p.b.options.ShowSecrets = true
	p.keys("esc", "enter")
	p.shows("PASS test")
}

// Nor in the bytes of what was sent along with it, or said about it.
func TestSecretPackets(t *testing.T) {
	t.Parallel()
	b := &browser{}
	s := &explain.Session{Commands: []explain.Command{
		{Packet: 4, Verb: "USER", Arg: "anna", Code: 331, Replied: explain.Mark{Packet: 7}}, // PASS may begin in packet 4
		{Packet: 5, Verb: "PASS", Arg: "****", Code: 230, Reply: "**** is known", Replied: explain.Mark{Packet: 8}},
		{Packet: 9, Verb: "SYST", Code: 215, Replied: explain.Mark{Packet: 10}},
		{Packet: 11, Verb: "****", Code: 500, Replied: explain.Mark{Packet: 12}},
	}}
	want := map[int]bool{4: true, 5: true, 8: true, 11: true}
	if diff := cmp.Diff(want, b.secret(s)); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	b.options.ShowSecrets = true
	if got := b.secret(s); len(got) > 0 {
		t.Errorf("%v is hidden, though it is asked for", got)
	}
}

func TestSave(t *testing.T) {
	t.Parallel()
	p := play(t)
	dir := t.TempDir()
	save := func(name string) string {
		t.Helper()
		p.keys("s")
		p.b.input = nil
		p.b.Update(tea.PasteMsg{Content: filepath.Join(dir, name) + "\n"})
		p.keys("enter")
		return p.b.note
	}
	if got, want := save("one.pcapng"), "packets saved as"; !strings.Contains(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	again := story(t, filepath.Join(dir, "one.pcapng"))
	if len(again.Sessions) != 1 || len(again.Sessions[0].Transfers) != 4 || again.Verdict() != explain.Worked {
		t.Errorf("the packets that were saved tell another story: %+v", again.Sessions)
	}
	if got, want := save("one.pcapng"), "exists"; !strings.Contains(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if got, want := save("one.txt"), "Saved as"; !strings.Contains(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	p.b.options.Open = func(int) (capture.Source, error) { return nil, os.ErrPermission }
	if got, want := save("half.pcapng"), "permission"; !strings.Contains(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if _, err := os.Stat(filepath.Join(dir, "half.pcapng")); err == nil {
		t.Error("a file without its packets was left")
	}
	p.b.options.Open = nil // as of standard input
	if got, want := save("none.pcapng"), "cannot be read again"; !strings.Contains(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if _, err := os.Stat(filepath.Join(dir, "none.pcapng")); err == nil {
		t.Error("an empty file was left")
	}
	text, err := os.ReadFile(filepath.Join(dir, "one.txt"))
	if err != nil || !strings.Contains(string(text), "RETR robots.txt") {
		t.Errorf("%s, %v", text, err)
	}
}

// Stories that grow keep their place.
func TestGrowing(t *testing.T) {
	t.Parallel()
	b := newBrowser(story(t, files[1]), Options{Open: open})
	p := &player{t, b}
	p.keys("enter", "enter", "esc", "esc")
	b.Update(storyMsg{story(t, files[1], files[0])})
	p.keys("down", "enter")
	b.Update(storyMsg{&explain.Story{}}) // and one that is empty harms nobody
	p.frame()
	p.keys("down", "enter", "esc", "esc")
	p.shows("There is no FTP session")
}

// Sessions may get other numbers while a story grows; place and choice stay.
func TestRenumbered(t *testing.T) {
	t.Parallel()
	some := func(users ...string) *explain.Story {
		s := &explain.Story{}
		for i, u := range users {
			x := *story(t, files[1]).Sessions[0]
			x.ID, x.User, x.Client = i+1, u, netip.AddrPortFrom(x.Client.Addr(), uint16(u[0]))
			s.Sessions = append(s.Sessions, &x)
		}
		return s
	}
	b := newBrowser(some("anna", "berta", "carla"), Options{})
	b.Update(tea.WindowSizeMsg{Width: 90, Height: 20})
	p := &player{t, b}
	p.keys("down", "space")
	b.Update(storyMsg{some("berta", "carla", "dora")})
	p.shows(">[ ] ✓  2  carla")
	p.shows(" [*] ✓  1  berta")
	p.keys("enter")
	p.shows("Session 1: berta")
	b.Update(storyMsg{some("anna", "berta", "carla", "dora")})
	p.shows("Session 2: berta")
	b.Update(storyMsg{some("anna")})
	p.shows(">[ ] ✓  1  anna")
}

// The languages have room for their keys.
func TestLanguages(t *testing.T) {
	t.Parallel()
	for _, l := range words.Langs {
		for _, name := range []string{"browse.keys.list", "browse.keys.ladder", "browse.keys.raw"} {
			for width, most := range map[int]int{80: 2, 40: 4} {
				lines := inLines(words.Say(name).In(l), width)
				for _, line := range lines {
					if w := columns.Width(line); w > width {
						t.Errorf("%s in %v takes %d columns of %d", name, l, w, width)
					}
				}
				if len(lines) > most {
					t.Errorf("%s in %v takes %d lines of %d columns", name, l, len(lines), width)
				}
			}
		}
	}
}

// drawn is a terminal that tells when something is on it.
type drawn struct {
	mu   sync.Mutex
	text bytes.Buffer
	want string
	seen chan struct{}
}

func (d *drawn) Write(p []byte) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.text.Write(p)
	if d.want != "" && strings.Contains(d.text.String(), d.want) {
		d.want = ""
		close(d.seen)
	}
	return len(p), nil
}

// The program runs on what is no terminal, takes news, and ends.
func TestRun(t *testing.T) {
	t.Parallel()
	for _, way := range []string{"key", "context"} {
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		in, keys := io.Pipe()
		defer keys.Close() //nolint:errcheck // a pipe in memory
		out := &drawn{want: "127.0.0.1", seen: make(chan struct{})}
		news := make(chan *explain.Story)
		ended := make(chan error, 1)
		var guard sync.Mutex
		go func() {
			ended <- run(ctx, &explain.Story{}, Options{In: in, Out: out, Live: news, Guard: &guard},
				tea.WithWindowSize(90, 20), tea.WithEnvironment([]string{"TERM=xterm"}))
		}()
		news <- story(t, files[1])
		<-out.seen
		if way == "key" {
			if _, err := io.WriteString(keys, "q"); err != nil {
				t.Fatal(err)
			}
		} else {
			stop()
		}
		if err := <-ended; err != nil {
			t.Errorf("%s: %v", way, err)
		}
	}
}
