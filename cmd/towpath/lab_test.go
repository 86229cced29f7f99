package main

import (
	"context"
	"errors"
	"io"
	"testing"

	catalogue "towpath/internal/words"
)

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
