//go:build unix

package sole

import (
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// A process that is being started has the descriptor, too, and holds nothing by it.
func TestInherited(t *testing.T) {
	t.Parallel()
	at := filepath.Join(t.TempDir(), "x.part")
	h := must(t)(Make(Anywhere, at, 0o600))
	child, err := unix.Dup(int(h.f.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Close(child) }() // nothing was written
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	must(t)(Take(Anywhere, at))
}
