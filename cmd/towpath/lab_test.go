package main

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	catalogue "towpath/internal/words"
)

// Recordings of two networks of one name would be written into the same files.
func TestLabTwice(t *testing.T) {
	t.Parallel()
	v := labFlags{mode: "epsv", jobs: 2}
	v.lab.Captures = t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // nothing is run
	if _, err := v.run(ctx, io.Discard, []string{"hairpin", "all"}, catalogue.English); err == nil || !strings.Contains(err.Error(), "two networks are called hairpin") {
		t.Errorf("%v, want that one is named twice", err)
	}
}

// What ends a run of the lab ends it, however many cases are left.
func TestLabEnds(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancelCause(t.Context())
	no := errors.New("a program is missing")
	cancel(no)
	v := labFlags{mode: "all", jobs: 2}
	if _, err := v.run(ctx, io.Discard, []string{"all"}, catalogue.English); !errors.Is(err, no) {
		t.Errorf("%v, want %v", err, no)
	}
}
