package explain

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// findCapture finds a capture: of those that we may give away, or else where the
// variable TOWPATH_CAPTURES says.
func findCapture(name string) (string, bool) {
	more := os.Getenv("TOWPATH_CAPTURES")
	for _, dir := range []string{filepath.Join("testdata", "captures"), filepath.Join("..", "capture", "testdata"), more, filepath.Join(more, "nat-pairs")} {
		file := filepath.Join(dir, name)
		if _, err := os.Stat(file); err == nil {
			return file, true
		}
	}
	return "", false
}

// needCapture is findCapture for a test that can do nothing without.
func needCapture(t *testing.T, name string) string {
	t.Helper()
	file, ok := findCapture(name)
	if !ok {
		t.Skipf("%s is not here; TOWPATH_CAPTURES can name a directory that has it", name)
	}
	return file
}

// brief tells what matters of a story in a few lines, for tests.
func brief(s *Story) string {
	var b strings.Builder
	for _, x := range s.Sessions {
		fmt.Fprintf(&b, "%v > %v user=%s commands=%d %s", x.Client, x.Server, x.User, len(x.Commands), x.Verdict)
		if x.TLS {
			b.WriteString(" tls")
		}
		b.WriteByte('\n')
		for _, y := range x.Transfers {
			fmt.Fprintf(&b, "  %s %s %s %s", strings.TrimSpace(y.Verb+" "+y.Path), y.AnnouncedBy, y.Verdict, y.Opener)
			if y.Connection != nil {
				fmt.Fprintf(&b, " %v > %v %d bytes", y.From, y.To, y.Bytes)
			}
			if y.Complete {
				b.WriteString(" whole " + y.SHA256[:min(8, len(y.SHA256))])
			}
			if y.Code != 0 {
				fmt.Fprintf(&b, " %d", y.Code)
			}
			if y.Inferred {
				b.WriteString(" inferred")
			}
			b.WriteByte('\n')
		}
		for _, f := range x.Findings {
			fmt.Fprintf(&b, "  %s %s %v\n", f.Severity, f.ID, f.Packets)
		}
	}
	for _, n := range s.Translations {
		fmt.Fprintf(&b, "%s %v = %v %s %v\n", n.Kind, n.Inside.Addr(), n.Outside.Addr(), n.Payload, n.Sessions)
		for _, w := range n.Rewrites {
			fmt.Fprintf(&b, "  %s | %s %+d %s\n", w.Said, w.Heard, w.Shift, w.Payload)
		}
	}
	return b.String()
}

func tell(t *testing.T, o Options, files ...string) *Story {
	t.Helper()
	o.Hash = true
	s, err := Explain(t.Context(), files, o)
	if err != nil {
		t.Fatal(err)
	}
	checkStory(t, s)
	return s
}

// checkStory holds a story to what is always true of one.
func checkStory(t *testing.T, s *Story) {
	t.Helper()
	for _, x := range s.Sessions {
		packets := s.Captures[x.Capture].Packets
		ids := []string{}
		for _, f := range x.Findings {
			ids = append(ids, f.ID)
			if f.Text == "" {
				t.Errorf("session %d: finding %s says nothing", x.ID, f.ID)
			}
			for _, n := range f.Packets {
				if n < 1 || n > packets {
					t.Errorf("session %d: finding %s names packet %d of %d", x.ID, f.ID, n, packets)
				}
			}
			if f.Transfer >= len(x.Transfers) {
				t.Errorf("session %d: finding %s is about transfer %d of %d", x.ID, f.ID, f.Transfer, len(x.Transfers))
			}
		}
		for i, y := range x.Transfers {
			if y.Cause != "" && !slices.Contains(ids, y.Cause) {
				t.Errorf("session %d, transfer %d: cause %q is not among the findings %v", x.ID, i, y.Cause, ids)
			}
			if y.Verdict == "" || y.Verdict == Failed && y.Cause == "" {
				t.Errorf("session %d, transfer %d: verdict %q, cause %q", x.ID, i, y.Verdict, y.Cause)
			}
		}
		last := 0
		for _, step := range x.Steps() {
			if step.Packet < last || step.Says.Name() == "" {
				t.Errorf("session %d: step %+v behind packet %d", x.ID, step, last)
			}
			last = step.Packet
		}
	}
}

// Captures of others, and both sides of NATs, are told as they are known to be.
// Where a pair is meant, the name is that of the two without their sides.
func TestCaptures(t *testing.T) {
	t.Parallel()
	golden := filepath.Join("testdata", "captures.golden")
	b, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, want := range strings.Split(strings.TrimPrefix(string(b), "== "), "\n== ") {
		name, want, _ := strings.Cut(want, "\n")
		got = append(got, name+"\n"+want)
		text := &got[len(got)-1]
		t.Run(name, func(t *testing.T) {
			if !*update {
				t.Parallel()
			}
			var files []string
			if strings.Contains(name, ".") {
				files = []string{needCapture(t, name)}
			} else {
				files = []string{needCapture(t, name+"-client.pcap"), needCapture(t, name+"-server.pcap")}
			}
			told := strings.TrimSuffix(brief(tell(t, Options{}, files...)), "\n")
			if *update {
				*text = name + "\n" + told
				return
			}
			diff(t, strings.TrimSuffix(want, "\n"), told)
		})
	}
	if *update {
		if err := os.WriteFile(golden, []byte("== "+strings.Join(got, "\n== ")+"\n"), 0o666); err != nil {
			t.Fatal(err)
		}
	}
}

// A long session of which the control connection alone was captured, on one side
// of a NAT.
func TestNavigation(t *testing.T) {
	t.Parallel()
	checkNavigation(t, tell(t, Options{}, needCapture(t, "zeek-cwd-navigation.pcap")))
}

// diff shows the first lines in which two texts differ.
func diff(t *testing.T, want, got string) {
	t.Helper()
	a, b := strings.Split(want, "\n"), strings.Split(got, "\n")
	for i := range max(len(a), len(b)) {
		x, y := "", ""
		if i < len(a) {
			x = a[i]
		}
		if i < len(b) {
			y = b[i]
		}
		if x != y {
			t.Errorf("line %d: got\n%s\nwant\n%s", i+1, y, x)
			return
		}
	}
}

var update = flag.Bool("update", false, "write the golden files anew")

// checkNavigation holds the long session to its numbers.
func checkNavigation(t *testing.T, s *Story) {
	t.Helper()
	x := s.Sessions[0]
	said, files := 0, 0
	for _, c := range x.Commands {
		if c.Packet != 0 {
			said++
		}
	}
	for _, y := range x.Transfers {
		if y.Verb == "RETR" {
			files++
		}
		if y.Verdict != NotCaptured && y.Verdict != Unknown || y.Connection != nil || y.AnnouncedBy == "PASV" && y.Announced.Addr().String() != "205.167.25.101" {
			t.Errorf("%+v: want no connection in the capture, and 205.167.25.101 announced", y)
		}
	}
	if said != 3440 || files != 686 {
		t.Errorf("%d commands, %d RETR; want 3440 and 686", said, files)
	}
	if !slices.ContainsFunc(x.Findings, func(f Finding) bool { return f.ID == "foreign" }) {
		t.Errorf("want foreign among %+v", x.Findings)
	}
}
