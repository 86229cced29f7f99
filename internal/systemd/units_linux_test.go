package systemd_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// units copies the units of deploy/systemd and returns their names. The copy
// starts a program that is there, and points to no manual, since both are
// looked for.
func units(t *testing.T) []string {
	t.Helper()
	var files []string
	for _, kind := range []string{"service", "socket"} {
		found, err := filepath.Glob("../../deploy/systemd/*." + kind)
		if err != nil || len(found) == 0 {
			t.Fatalf("units: %q, %v", found, err)
		}
		files = append(files, found...)
	}
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	var copies []string
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		unit := strings.ReplaceAll(string(text), "/usr/bin/towpath", program)
		unit = strings.ReplaceAll(unit, "Documentation=man:", "#")
		name := filepath.Join(dir, filepath.Base(f))
		if err := os.WriteFile(name, []byte(unit), 0o600); err != nil {
			t.Fatal(err)
		}
		copies = append(copies, name)
	}
	return copies
}

// analyze runs systemd-analyze, which says nothing when all is well.
func analyze(t *testing.T, args ...string) {
	t.Helper()
	program, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("systemd-analyze is not installed: units are not checked")
	}
	out, err := exec.CommandContext(t.Context(), program, args...).CombinedOutput()
	if err != nil || args[0] == "verify" && len(out) > 0 {
		t.Errorf("systemd-analyze %q: %v\n%s", args, err, out)
	}
}

func TestUnitsAreUnderstood(t *testing.T) {
	t.Parallel()
	analyze(t, append([]string{"verify"}, units(t)...)...)
}

// TestUnitIsTight: an exposure of 1.8 is what a program on the network can
// have at best; a bare unit has 9.6.
func TestUnitIsTight(t *testing.T) {
	t.Parallel()
	for _, u := range units(t) {
		if strings.HasSuffix(u, ".service") {
			analyze(t, "security", "--offline=true", "--threshold=18", u)
		}
	}
}

// TestLogrotate has logrotate read its snippet, and say what it would do.
func TestLogrotate(t *testing.T) {
	t.Parallel()
	program, err := exec.LookPath("logrotate")
	if err != nil {
		t.Skip("logrotate is not installed: its snippet is not checked")
	}
	text, err := os.ReadFile("../../deploy/systemd/towpath.logrotate")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	log := filepath.Join(dir, "xfer.log")
	if err := os.WriteFile(log, []byte("x\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	// The user of the snippet may not be there where tests run.
	snippet := strings.NewReplacer("/var/log/towpath", dir, " towpath towpath", "").Replace(string(text))
	conf := filepath.Join(dir, "conf")
	if err := os.WriteFile(conf, []byte(snippet), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), program, "--debug", "--state", filepath.Join(dir, "state"), conf).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "considering log "+log) || strings.Contains(string(out), "error:") {
		t.Errorf("logrotate: %v\n%s", err, out)
	}
}
