package main

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
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

// TestPutKilled kills a put, in one piece and in segments, wherever it is, and
// goes on with it: what has arrived is not sent again.
func TestPutKilled(t *testing.T) {
	t.Parallel()
	srv, from := t.TempDir(), filepath.Join(t.TempDir(), "sea.iso")
	whole := []byte(content(12 << 20))
	if err := os.WriteFile(from, whole, 0o600); err != nil {
		t.Fatal(err)
	}
	s := serveDir(t, srv)
	for round := range 8 {
		t.Run(fmt.Sprint(round), func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(srv, fmt.Sprint(round))
			if err := os.Mkdir(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			put := func(more ...string) *process {
				return start(t, command(t, "towpath", append([]string{
					"put", "-c", "--segments", fmt.Sprint(1 + round%2*2), "--retry", "5", "--silent", from,
					fmt.Sprintf("ftp://%s@%s/%d/sea.iso", user, s.addr, round),
				}, more...)...))
			}
			for range 2 {
				before := weight(t, dir)
				p := put("--limit-rate", "8M")
				for enough := before + rand.Int64N(3<<20); weight(t, dir) <= enough; {
					select {
					case <-p.done:
						t.Fatalf("it ended by itself: %v", p.ProcessState)
					case <-time.After(5 * time.Millisecond): // nothing tells when another process writes a file
					}
				}
				_ = p.Process.Kill() // it is there, as was seen
				<-p.done
			}
			p := put("--trace")
			select {
			case <-p.done:
			case <-time.After(time.Minute):
				t.Fatal("it does not end")
			}
			if got, err := os.ReadFile(filepath.Join(dir, "sea.iso")); p.ProcessState.ExitCode() != 0 || !bytes.Equal(got, whole) {
				t.Errorf("it ends with %d, and the file has %d bytes, %v: not those that were sent", p.ProcessState.ExitCode(), len(got), err)
			}
			if log := p.log.text(); !strings.Contains(log, "REST ") {
				t.Errorf("it did not go on where it was:\n%s", log)
			}
			if left := weight(t, dir); left != int64(len(whole)) {
				t.Errorf("the directory holds %d bytes, and the file has %d", left, len(whole))
			}
		})
	}
}

// weight is how many bytes the files in a directory have, also those that the
// server does not show.
func weight(t *testing.T, dir string) (n int64) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if info, err := e.Info(); err == nil { // it may have got its name meanwhile
			n += info.Size()
		}
	}
	return n
}

// content is n bytes that are found nowhere else.
func content(n int) string {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{byte(n)}).Read(b) // never fails
	return string(b)
}
