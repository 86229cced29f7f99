package main

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"towpath/ftpclient/segments"
)

// TestGetKilled kills a get of segments again and again, at any instant, and
// goes on with it until it is through.
func TestGetKilled(t *testing.T) {
	t.Parallel()
	srv := t.TempDir()
	whole := []byte(content(12 << 20))
	if err := os.WriteFile(filepath.Join(srv, "sea.iso"), whole, 0o644); err != nil {
		t.Fatal(err)
	}
	s := serveDir(t, srv)
	url := fmt.Sprintf("ftp://%s@%s/sea.iso", user, s.addr)
	for round := range 20 {
		t.Run(fmt.Sprint(round), func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			at := filepath.Join(dir, "sea.iso")
			get := func(more ...string) *process {
				return start(t, command(t, "towpath", append([]string{"get", "-c", "--segments", "3", "--silent", "-o", at, url}, more...)...))
			}
			for range 2 {
				before := status(at)
				p := get("--limit-rate", "8M")
				// Wherever it is then: some have just begun, some are through.
				for more := rand.IntN(3); more > 0; {
					select {
					case <-p.done:
						more = 0
					case <-time.After(5 * time.Millisecond): // nothing tells when another process writes a file
						if now := status(at); now != before {
							before = now
							more--
						}
					}
				}
				_ = p.Process.Kill() // it may have ended
				<-p.done
			}
			p := get()
			select {
			case <-p.done:
			case <-time.After(time.Minute):
				t.Fatal("it does not end")
			}
			if got, err := os.ReadFile(at); p.ProcessState.ExitCode() != 0 || !bytes.Equal(got, whole) {
				t.Errorf("it ends with %d, and the file has %d bytes, %v: not those of the server", p.ProcessState.ExitCode(), len(got), err)
			}
			left, err := filepath.Glob(at + ".*")
			if err != nil || len(left) > 0 {
				t.Errorf("%q are left, %v", left, err)
			}
		})
	}
}

// status is what a get of segments has noted, "" if nothing.
func status(at string) string {
	text, err := os.ReadFile(at + partial + segments.Suffix)
	if err != nil {
		return ""
	}
	return string(text)
}

// content is n bytes that are found nowhere else.
func content(n int) string {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{byte(n)}).Read(b) // never fails
	return string(b)
}
