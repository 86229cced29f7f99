package explain

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"towpath/capture"
)

// findCapture finds a capture: of those that we may give away, or else where the
// variable TOWPATH_CAPTURES says.
func findCapture(name string) (string, bool) {
	for _, dir := range captureDirs() {
		file := filepath.Join(dir, name)
		if _, err := os.Stat(file); err == nil {
			return file, true
		}
	}
	return "", false
}

// captureDirs are where captures lie.
func captureDirs() []string {
	dirs := []string{filepath.Join("testdata", "captures"), filepath.Join("..", "capture", "testdata")}
	if more := os.Getenv("TOWPATH_CAPTURES"); more != "" {
		dirs = append(dirs, more, filepath.Join(more, "nat-pairs"))
	}
	return dirs
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

// counts are what one capture holds, or the two of both sides of a NAT.
type counts struct {
	Sessions, Commands, Transfers int
	Data                          int // connections, those of the control dialogues aside
	Whole                         int // of them, from handshake to end, without a gap
	Verdict                       Verdict
	Cause                         string
}

// counted are all captures that we have. The same was counted by other means:
// tshark 4.0.17 shows as many lines of clients, and 72 connections beside the
// dialogues, of which 66 came about; "follow" has the bytes of each of the 64
// that are whole.
var counted = map[string]counts{
	"akumu-ftpConnect.pcapng":                {1, 3, 0, 0, 0, Worked, ""},
	"arkime-ftp.pcap":                        {1, 2, 0, 0, 0, Worked, ""},
	"ndpi-ftp-start-tls.pcap":                {1, 3, 1, 0, 0, Unknown, ""},
	"ndpi-ftp.pcap":                          {1, 16, 2, 2, 1, Worked, ""},
	"ndpi-ftp_failed.pcap":                   {1, 3, 0, 0, 0, Failed, "login-refused"},
	"samuelito-ftps.pcap":                    {1, 1, 3, 3, 3, Unknown, ""},
	"sanders-ftpclientdenied.pcap":           {1, 0, 0, 0, 0, Failed, "no-answer"},
	"sanders-tickedoffdeveloper.pcapng":      {1, 26, 4, 1, 1, NotCaptured, ""},
	"silvio-ftp.cap":                         {2, 4, 0, 0, 0, Worked, ""},
	"sv-active-loopback.pcap":                {1, 7, 1, 1, 1, Worked, ""},
	"sv-all-verbs-ipv4.pcap":                 {2, 48, 14, 14, 14, Worked, ""},
	"sv-bounce.pcap":                         {2, 6, 0, 0, 0, Worked, ""},
	"sv-download-passive.pcap":               {1, 12, 3, 3, 3, Worked, ""},
	"sv-eprt-v6-in-v4.pcap":                  {1, 3, 0, 0, 0, Worked, ""},
	"sv-epsv-control-only.pcap":              {1, 26, 4, 0, 0, NotCaptured, ""},
	"sv-malformed-port-null.pcap":            {1, 6, 2, 0, 0, Failed, "bad-announcement"},
	"sv-pipelined-02.pcap":                   {1, 5, 0, 0, 0, Worked, ""},
	"sv-too-long-command-first.pcap":         {1, 7, 1, 0, 0, Failed, "refused"},
	"sv-upload-active.pcap":                  {1, 12, 3, 3, 3, Worked, ""},
	"zeek-bigtransfer.pcap":                  {1, 12, 2, 2, 1, Worked, ""},
	"zeek-bruteforce.pcap":                   {30, 90, 0, 0, 0, Failed, "login-refused"},
	"zeek-fake-long-commands.pcap":           {1, 9, 1, 0, 0, NotCaptured, ""},
	"zeek-ftp-auth-tls.pcap":                 {1, 2, 0, 0, 0, Worked, ""},
	"zeek-ftp-invalid-reply-code.pcap":       {1, 4, 0, 0, 0, Worked, ""},
	"zeek-ftp-many-port-expected.pcap.gz":    {1, 500, 0, 0, 0, Worked, ""},
	"zeek-ftp-with-numbers-in-filename.pcap": {1, 13, 4, 4, 4, Worked, ""},
	"zeek-ipv4.pcap":                         {1, 15, 4, 4, 4, Worked, ""},
	"zeek-ipv6-multiline-reply.pcap":         {1, 11, 1, 0, 0, Failed, "refused"},
	"zeek-ipv6-violation.pcap":               {1, 2, 0, 0, 0, Failed, "session-cut"},
	"zeek-retr.pcap":                         {1, 10, 1, 1, 1, Worked, ""},
	"dnat-active-noalg":                      {4, 32, 4, 4, 4, Worked, ""},
	"dnat-epsv-alg":                          {4, 32, 4, 4, 4, Worked, ""},
	"dnat-epsv-noalg":                        {4, 22, 8, 4, 0, Failed, "not-forwarded"},
	"dnat-passive-alg":                       {4, 32, 4, 4, 4, Worked, ""},
	"dnat-passive-noalg":                     {4, 18, 4, 2, 0, Failed, "inside-address"},
	"snat-active-alg":                        {4, 32, 4, 4, 4, Worked, ""},
	"snat-active-noalg":                      {4, 22, 4, 0, 0, Failed, "address-mismatch"},
	"snat-eprt-alg":                          {4, 32, 4, 4, 4, Worked, ""},
	"snat-epsv-noalg":                        {4, 32, 4, 4, 4, Worked, ""},
	"snat-passive-alg":                       {4, 32, 4, 4, 4, Worked, ""},
	"zeek-cwd-navigation.pcap":               {1, 3440, 686, 0, 0, Unknown, ""},
}

// curled are the digests of what curl fetched and stored through NATs.
var curled = map[string]string{
	"RETR": "dd9053516a3103bcdbd7e89adc4cf746cbb9433c379f21fbf0842aeb6f24ea62",
	"STOR": "114baceea3028a8f93cfc5f5d1abcc101e733fbeb13dbb99659e9b0449823511",
}

// countConnections counts all of TCP in a capture.
func countConnections(t *testing.T, file string) int {
	t.Helper()
	src, err := capture.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close() //nolint:errcheck // it was read
	tracker := capture.NewTracker(ignorer{}, capture.Options{})
	for p, err := range src.Packets() {
		if err != nil {
			t.Fatal(err)
		}
		tracker.Packet(p)
	}
	tracker.Close()
	return int(tracker.Stats().Connections)
}

// ignorer wants to hear of no connection.
type ignorer struct{}

func (ignorer) Open(*capture.Conn) capture.Stream { return nil }

// Every capture holds what it is known to hold, each of its TCP connections is a
// dialogue or tied to a transfer, and no capture is left out.
func TestCounts(t *testing.T) {
	t.Parallel()
	for _, dir := range captureDirs() {
		files, err := filepath.Glob(filepath.Join(dir, "*.*cap*"))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			name := filepath.Base(file)
			pair, _, _ := strings.Cut(strings.Replace(name, "-server.pcap", "-client.pcap", 1), "-client.pcap")
			if counted[name] == (counts{}) && counted[pair] == (counts{}) {
				t.Errorf("%s is a capture that nobody has counted", file)
			}
		}
	}
	for name, want := range counted {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			files := []string{name}
			if !strings.Contains(name, ".") {
				files = []string{name + "-client.pcap", name + "-server.pcap"}
			}
			connections := 0
			for i, f := range files {
				files[i] = needCapture(t, f)
				connections += countConnections(t, files[i])
			}
			s := tell(t, Options{}, files...)
			got := counts{Sessions: len(s.Sessions), Verdict: s.Verdict(), Cause: s.Cause()}
			for _, x := range s.Sessions {
				for _, c := range x.Commands {
					if c.Packet != 0 {
						got.Commands++
					}
				}
				got.Transfers += len(x.Transfers)
				for _, y := range x.Transfers {
					if y.Connection == nil {
						continue
					}
					got.Data++
					if y.Complete {
						got.Whole++
					}
					if want := curled[y.Verb]; len(files) == 2 && y.Complete && y.SHA256 != want {
						t.Errorf("%s %s has the digest %s, want %s", y.Verb, y.Path, y.SHA256, want)
					}
				}
			}
			if got != want {
				t.Errorf("got  %+v\nwant %+v", got, want)
			}
			if got.Sessions+got.Data != connections {
				t.Errorf("%d dialogues and %d data connections of %d connections", got.Sessions, got.Data, connections)
			}
		})
	}
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
