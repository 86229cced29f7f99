package transcript

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"towpath/ftp"
)

func TestWriterHidesSecretsAndKeepsTime(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	now := time.Date(2026, 3, 1, 12, 0, 0, 5e6, time.FixedZone("", 3600))
	w := NewWriter(&b, func() time.Time { return now })
	for _, err := range []error{
		w.Comment("session 7\nfrom 192.0.2.1\n\x1b"),
		w.Reply(ftp.Reply{Code: 220, Lines: []string{"Ahoy", "220 inside", "over\r\n226 it"}}),
		w.Reply(ftp.Reply{Code: 120}),
		w.Reply(ftp.Reply{Code: 220, Lines: []string{"", ""}}),
		w.Command(ftp.Command{Verb: "PASS", Arg: "secret"}),
		w.Command(ftp.Command{Verb: "CWD", Arg: `a\b` + "\x00"}),
		w.Data(nil),
		w.Data([]byte("sea\r\n\x00")),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	want := `# session 7
# from 192.0.2.1
# \x1B
# 2026-03-01T11:00:00.005Z
S: 220-Ahoy
S:  220 inside
S: 220 over\r\n226 it
# 2026-03-01T11:00:00.005Z
S: 120
# 2026-03-01T11:00:00.005Z
S: 220-
S: 220
# 2026-03-01T11:00:00.005Z
C: PASS ****
# 2026-03-01T11:00:00.005Z
C: CWD a\\b\x00
D:
D: sea\r\n\x00
`
	if d := cmp.Diff(strings.ToLower(want), strings.ToLower(b.String())); d != "" { // the case of \xNN is ftp's to choose
		t.Error(d)
	}
}

// failing takes n writes.
type failing struct {
	n    int
	kept bytes.Buffer
}

var errFull = errors.New("full")

func (f *failing) Write(p []byte) (int, error) {
	if f.n--; f.n < 0 {
		return 0, errFull
	}
	return f.kept.Write(p)
}

func TestWriterStopsAtAnError(t *testing.T) {
	t.Parallel()
	f := &failing{n: 1}
	w := NewWriter(f, nil)
	if err := w.Reply(ftp.Reply{Code: 211, Lines: []string{"a", "b", "c"}}); err != nil {
		t.Fatal(err)
	}
	if err := w.Data([]byte("x")); !errors.Is(err, errFull) {
		t.Errorf("got %v, want %v", err, errFull)
	}
	f.n = 5
	if err := w.Comment("x"); !errors.Is(err, errFull) {
		t.Errorf("after an error: got %v, want %v", err, errFull)
	}
	if got, want := f.kept.String(), "S: 211-a\nS: b\nS: 211 c\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// What was recorded is read back as it was said.
func FuzzWriter(f *testing.F) {
	f.Add("NOOP", `a\b`, uint16(211), "End", []byte("01\r\n"))
	f.Add("STOR", "sea.txt ", uint16(100), "one\n211 two\n300 three\n", bytes.Repeat([]byte("x"), 3000))
	f.Fuzz(func(t *testing.T, verb, arg string, code uint16, text string, data []byte) {
		command, err := ftp.ParseCommand(verb + " " + arg)
		if err != nil || strings.Contains(command.String(), "****") {
			return
		}
		reply := ftp.NewReply(100+int(code)%500, text)
		var b strings.Builder
		w := NewWriter(&b, time.Now)
		if err := errors.Join(w.Command(command), w.Reply(reply), w.Data(data)); err != nil {
			t.Fatal(err)
		}
		steps, err := Script(b.String())
		if err != nil {
			t.Fatalf("%v in %q", err, b.String())
		}
		if len(steps) != 3 {
			t.Fatalf("%d steps in %q", len(steps), b.String())
		}
		again, err := ftp.ParseCommand(steps[0].Text)
		if err != nil || again != command {
			t.Errorf("command %q, %v; want %q", again, err, command)
		}
		for i, l := range reply.Lines {
			if 0 < i && i < len(reply.Lines)-1 && codeLike(l) {
				reply.Lines[i] = " " + l // as it has to go on the wire
			}
		}
		if d := cmp.Diff(reply, steps[1].Reply); d != "" {
			t.Errorf("reply: %s", d)
		}
		if steps[2].Text != string(data) {
			t.Errorf("data %q, want %q", steps[2].Text, data)
		}
	})
}
