package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"towpath/doctor"
	"towpath/topology"
)

// The network that the manual shows can be read, and is one where all works.
func TestManualNetwork(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile(filepath.Join(manDir, "towpath-doctor.1"))
	if err != nil {
		t.Fatal(err)
	}
	_, text, found := strings.Cut(string(page), ".Bd -literal -offset indent\nname = ")
	text, _, closed := strings.Cut(text, ".Ed\n")
	if !found || !closed {
		t.Fatal("the manual shows no network")
	}
	n, err := topology.Parse([]byte("name = " + text))
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range doctor.Predict(n) {
		if !v.Works {
			t.Errorf("%s: %s", v.Mode, v.Why)
		}
	}
}

// TestPredictMatrix has the command give, by its flags, each row of what real
// programs showed in networks of real machines.
func TestPredictMatrix(t *testing.T) {
	t.Parallel()
	failures := map[string]string{"ok": "ok", "E1": "500 at once", "E2": "time-out", "E3": "refused", "E4": "425 after a time"}
	rows := map[string]map[string]string{} // by flags: what is seen, by mode
	for _, row := range testRows(t, "matrix.txt", 8) {
		flags := strings.Join([]string{
			"--nat", row[0], "--firewall", row[1], "--firewall-at", row[2], "--alg", row[3], "--tls", row[4], "--client", row[6],
		}, " ")
		if rows[flags] == nil {
			rows[flags] = map[string]string{}
		}
		rows[flags][row[5]] = failures[row[7]]
	}
	compared := 0
	for _, flags := range slices.Sorted(maps.Keys(rows)) {
		args := strings.Fields(flags)
		if len(rows[flags]) == 1 { // curl goes its own way by PASV alone
			for mode := range rows[flags] {
				args = append(args, "--mode", strings.ToLower(mode))
			}
		}
		seen := predict(t, args...)
		for mode, want := range rows[flags] {
			compared++
			if seen[mode] != want {
				t.Errorf("%s: %s: %q, want %q", flags, mode, seen[mode], want)
			}
		}
	}
	if compared != 216 {
		t.Errorf("%d rows, want 216", compared)
	}
}

// TestPredictFurther does so with the cases beside the matrix, by name.
func TestPredictFurther(t *testing.T) {
	t.Parallel()
	rows := testRows(t, "further.txt", 4)
	for _, row := range rows {
		seen := predict(t, row[0], "--client", row[1], "--mode", strings.ToLower(row[2]))
		if len(seen) != 1 || seen[row[2]] != row[3] {
			t.Errorf("%q: %q", row, seen)
		}
	}
	if len(rows) != 25 {
		t.Errorf("%d rows, want 25", len(rows))
	}
}

// testRows reads the lines of a file of package doctor, each cut into n columns.
func testRows(t *testing.T, name string, n int) (rows [][]string) {
	t.Helper()
	f, err := os.Open(filepath.Join("../../doctor/testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		if row := strings.SplitN(lines.Text(), " ", n); row[0] != "#" {
			if len(row) != n {
				t.Fatalf("%s: %q has %d columns, want %d", name, row, len(row), n)
			}
			rows = append(rows, row)
		}
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return rows
}

// predict runs the command and tells what is seen by mode, "ok" of what works.
// Each verdict says why, the status is that of all, and what fails is repaired.
func predict(t *testing.T, args ...string) map[string]string {
	t.Helper()
	var out bytes.Buffer
	root := rootCommand()
	root.SetArgs(append([]string{"doctor", "predict", "--json", "--lang", "en"}, args...))
	root.SetOut(&out)
	err := root.ExecuteContext(t.Context())
	if e, ok := errors.AsType[*exitError](err); err != nil && (!ok || e.code != doctorFindings) {
		t.Fatalf("%q: %v", args, err)
	}
	var report struct {
		Cases []struct {
			Mode, Hop, Seen, Cause, Why string
			TLS, Works                  bool
			Repairs                     []json.RawMessage
		}
	}
	if err := json.Unmarshal(out.Bytes(), &report); err != nil {
		t.Fatalf("%q: %v in %s", args, err, out.Bytes())
	}
	seen := map[string]string{}
	fails := false
	for _, c := range report.Cases {
		seen[c.Mode] = c.Seen
		if i := slices.Index(args, "--tls"); i >= 0 && c.TLS != (args[i+1] == "on") {
			t.Errorf("%q: %s is told with TLS %v", args, c.Mode, c.TLS)
		}
		if c.Works {
			seen[c.Mode] = "ok" + c.Seen
			continue
		}
		fails = true
		if c.Hop == "" || c.Cause == "" || c.Why == "" || len(c.Repairs) == 0 {
			t.Errorf("%q: %+v, want hop, cause, words and repairs", args, c)
		}
	}
	if fails != (err != nil) {
		t.Errorf("%q: a mode fails: %v, and the status is %v", args, fails, err)
	}
	return seen
}
