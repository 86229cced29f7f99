package main

import (
	"os"
	"path/filepath"
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
