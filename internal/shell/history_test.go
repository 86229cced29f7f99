package shell

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"testing"
)

func TestHistory(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "towpath", "history")
	keep := func(line string) string { return strings.ReplaceAll(line, "secret", "") }
	h, err := OpenHistory(path, keep)
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range []string{"ls", "ls", " cd pub ", "secret", "open x\ny", ""} {
		if err := h.Add(l); err != nil {
			t.Fatal(err)
		}
	}
	want := []string{"ls", "cd pub", "open x y"}
	if got := h.Lines(); !reflect.DeepEqual(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	again, err := OpenHistory(path, keep)
	if err != nil || !reflect.DeepEqual(again.Lines(), want) {
		t.Errorf("read again: %q, %v", again.Lines(), err)
	}
	info, err := os.Stat(path)
	if err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v; want a file of mode 0600", info, err)
	}
	if err := again.Clear(); err != nil || len(again.Lines()) != 0 {
		t.Errorf("cleared: %q, %v", again.Lines(), err)
	}
	if text, err := os.ReadFile(path); err != nil || len(text) != 0 {
		t.Errorf("the file has %q, %v", text, err)
	}
}

// A line that was pasted may be long; the history goes on behind it.
func TestHistoryLong(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "history")
	keep := func(line string) string { return line }
	h, err := OpenHistory(path, keep)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"ls", "mget " + strings.Repeat("name ", 20_000) + "last", "pwd"}
	for _, l := range want {
		if err := h.Add(l); err != nil {
			t.Fatal(err)
		}
	}
	if again, err := OpenHistory(path, keep); err != nil || !reflect.DeepEqual(again.Lines(), want) {
		t.Errorf("%d lines of %d, %v", len(again.Lines()), len(want), err)
	}
}

// A history does not grow for ever: when it is opened the older half goes.
func TestHistoryTrim(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "history")
	var b strings.Builder
	for i := range 2*historyLines + 1 {
		fmt.Fprintf(&b, "get %d\n", i)
	}
	if err := os.WriteFile(path, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		h, err := OpenHistory(path, strings.TrimSpace)
		if err != nil || len(h.Lines()) != historyLines || h.Lines()[historyLines-1] != fmt.Sprintf("get %d", 2*historyLines) {
			t.Fatalf("%d lines, %v", len(h.Lines()), err)
		}
	}
}
