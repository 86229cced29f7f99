package explain

import (
	"bufio"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// truth is a line of the manifest that genftp.py writes.
type truth struct {
	Client   string `json:"client"`
	User     string `json:"user"`
	Password string `json:"password"`
	Mode     string `json:"mode"`
	Verb     string `json:"verb"`
	File     string `json:"file"`
	Size     int64  `json:"size"`
	SHA256   string `json:"sha256"`
	From     []any  `json:"data_from"`
	To       []any  `json:"data_to"`
}

// Every file of every variant of the capture generator comes out right: whatever
// the link, the order, the loss or the cut of lines.
func TestGenerated(t *testing.T) {
	t.Parallel()
	script := filepath.Join("..", "bench", "genftp.py")
	if _, err := exec.LookPath("python3"); err != nil {
		t.Skip(err)
	}
	for _, variant := range []string{
		"--ooo 0.3 --dup 0.3",
		"--drop 0.05",
		"--split --pipeline --link qinq",
		"--lower --ctlport 2121 --split --ooo 0.2",
		"--frag --link vlan",
		"--ipv6 --link sll",
		"--link sll2 --format pcapns",
		"--link null",
		"--link raw --format pcapng --ipv6",
	} {
		t.Run(strings.ReplaceAll(variant, " ", ""), func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			file, manifest := filepath.Join(dir, "x.pcap"), filepath.Join(dir, "x.json")
			args := append([]string{script, file, "--manifest", manifest, "--sessions", "8", "--bytes", "240000"}, strings.Fields(variant)...)
			if out, err := exec.CommandContext(t.Context(), "python3", args...).CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			checkGenerated(t, tell(t, Options{}, file), manifest, strings.Contains(variant, "--drop"))
		})
	}
}

func checkGenerated(t *testing.T, s *Story, manifest string, lossy bool) {
	t.Helper()
	f, err := os.Open(manifest)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	found := map[string]*Session{}
	for _, x := range s.Sessions {
		found[x.User] = x
	}
	n := 0
	for lines := bufio.NewScanner(f); lines.Scan(); n++ {
		var want truth
		if err := json.Unmarshal(lines.Bytes(), &want); err != nil {
			t.Fatal(err)
		}
		x := found[want.User]
		if x == nil || len(x.Transfers) != 1 {
			t.Errorf("%s: want one transfer in %+v", want.User, x)
			continue
		}
		y := x.Transfers[0]
		from := want.From[0].(string) + " " + strconv.Itoa(int(want.From[1].(float64)))
		to := want.To[0].(string) + " " + strconv.Itoa(int(want.To[1].(float64)))
		got := [...]string{y.From.Addr().String() + " " + strconv.Itoa(int(y.From.Port())), y.To.Addr().String() + " " + strconv.Itoa(int(y.To.Port()))}
		if y.Verb != want.Verb || y.Path != want.File || !strings.EqualFold(y.AnnouncedBy, want.Mode) || y.Verdict != Worked || got != [...]string{from, to} {
			t.Errorf("%s: got %+v, want %+v", want.User, y, want)
		}
		switch {
		case y.Bytes != want.Size:
			t.Errorf("%s: %d bytes, want %d", want.User, y.Bytes, want.Size)
		case lossy && y.Complete != (y.Connection.Missing == 0):
			t.Errorf("%s: %d bytes are missing, and complete is %v", want.User, y.Connection.Missing, y.Complete)
		case y.Complete != (y.SHA256 == want.SHA256), !lossy && !y.Complete:
			t.Errorf("%s: complete is %v, digest %s, want %s", want.User, y.Complete, y.SHA256, want.SHA256)
		}
	}
	if n != len(s.Sessions) {
		t.Errorf("%d sessions, want %d", len(s.Sessions), n)
	}
}
