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

// capturesDir finds captures that are not ours to give away.
func capturesDir(t *testing.T) string {
	t.Helper()
	for _, dir := range []string{os.Getenv("TOWPATH_CAPTURES"), "/work/shared/captures"} {
		if _, err := os.Stat(filepath.Join(dir, "INDEX.md")); dir != "" && err == nil {
			return dir
		}
	}
	t.Skip("the captures are not here; set TOWPATH_CAPTURES to their directory")
	return ""
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
			if f.Text == "" || strings.Contains(f.Text, "{") && !strings.Contains(f.Text, "}") {
				t.Errorf("session %d: finding %s says %q", x.ID, f.ID, f.Text)
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

// Captures of others, and both sides of NATs, are told as their index says. Those
// whose licence lets us give them away lie in package capture; the others are
// read where they are.
func TestCaptures(t *testing.T) {
	t.Parallel()
	dir := capturesDir(t)
	want, err := os.ReadFile(filepath.Join("testdata", "captures.golden"))
	if err != nil && !*update {
		t.Fatal(err)
	}
	var got strings.Builder
	files, err := filepath.Glob(filepath.Join(dir, "*.*cap*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		s := tell(t, Options{}, f)
		if filepath.Base(f) == "zeek-cwd-navigation.pcap" {
			checkNavigation(t, s)
			continue
		}
		fmt.Fprintf(&got, "== %s\n%s", filepath.Base(f), brief(s))
	}
	near, err := filepath.Glob(filepath.Join(dir, "nat-pairs", "*-client.pcap"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range near {
		name := strings.TrimSuffix(f, "-client.pcap")
		fmt.Fprintf(&got, "== %s\n%s", filepath.Base(name), brief(tell(t, Options{}, f, name+"-server.pcap")))
	}
	if *update {
		if err := os.WriteFile(filepath.Join("testdata", "captures.golden"), []byte(got.String()), 0o666); err != nil {
			t.Fatal(err)
		}
		return
	}
	if len(files) != 31 || len(near) != 10 {
		t.Skipf("%d captures and %d pairs are here, want 31 and 10", len(files), len(near))
	}
	diff(t, string(want), got.String())
}

// diff shows the first lines in which two texts differ.
func diff(t *testing.T, want, got string) {
	t.Helper()
	a, b := strings.Split(want, "\n"), strings.Split(got, "\n")
	about := ""
	for i := range max(len(a), len(b)) {
		x, y := "", ""
		if i < len(a) {
			x = a[i]
		}
		if i < len(b) {
			y = b[i]
		}
		if strings.HasPrefix(x, "== ") {
			about = x
		}
		if x != y {
			t.Errorf("%s, line %d: got\n%s\nwant\n%s", about, i+1, y, x)
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
