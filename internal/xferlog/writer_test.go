package xferlog

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"towpath/ftpserver"
)

// numbered writes the session's number as a line.
func numbered(b []byte, e ftpserver.Event) []byte {
	return fmt.Appendf(b, "line %d\n", e.(ftpserver.SessionEvent).Session)
}

func line(n int) ftpserver.Event { return ftpserver.SessionEvent{Session: uint64(n)} }

// disk is a file that can be slow and full.
type disk struct {
	gate chan struct{} // if not nil, each write waits for it
	room int           // bytes that fit; negative: no end
	bytes.Buffer
	closed bool
}

var errFull = errors.New("no space left")

func (d *disk) Write(p []byte) (int, error) {
	if d.gate != nil {
		<-d.gate
	}
	if d.room >= 0 && len(p) > d.room {
		n, _ := d.Buffer.Write(p[:d.room])
		d.room = 0
		return n, errFull
	}
	if d.room >= 0 {
		d.room -= len(p)
	}
	return d.Buffer.Write(p)
}

func (d *disk) Close() error { d.closed = true; return nil }

// onto starts a Writer on disks, one after the other as it is reopened.
func onto(t *testing.T, disks ...*disk) (*Writer, *bytes.Buffer) {
	t.Helper()
	var logged bytes.Buffer
	w, err := start("x.log", numbered, slog.New(slog.NewTextHandler(&logged, nil)), func() (io.WriteCloser, error) {
		if len(disks) == 0 {
			return nil, errors.New("no more disks")
		}
		d := disks[0]
		disks = disks[1:]
		return d, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return w, &logged
}

func TestWriterRotates(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "x.log")
	if err := os.WriteFile(name, []byte("line 0\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	w, err := Open(name, numbered, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	w.Event(line(1))
	if err := os.Rename(name, name+".1"); err != nil {
		t.Fatal(err)
	}
	w.Event(line(2))
	if err := w.Reopen(); err != nil {
		t.Fatal(err)
	}
	w.Event(line(3))
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	w.Event(line(4)) // after Close
	if err := w.Close(); err != nil {
		t.Errorf("second close: %v", err)
	}
	if err := w.Reopen(); !errors.Is(err, os.ErrClosed) {
		t.Errorf("reopen after close: %v", err)
	}
	for file, want := range map[string]string{name + ".1": "line 0\nline 1\nline 2\n", name: "line 3\n"} {
		if got, err := os.ReadFile(file); err != nil || string(got) != want {
			t.Errorf("%s holds %q (%v), want %q", file, got, err, want)
		}
	}
}

func TestOpenSaysWhichFile(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "nowhere", "x.log")
	if _, err := Open(name, numbered, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), name) {
		t.Error(err)
	}
}

func TestReopenKeepsTheOldFile(t *testing.T) {
	t.Parallel()
	d := &disk{room: -1}
	w, _ := onto(t, d)
	if err := w.Reopen(); err == nil || d.closed {
		t.Fatalf("error %v, old file closed %v", err, d.closed)
	}
	w.Event(line(1))
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if got := d.String(); got != "line 1\n" || !d.closed {
		t.Errorf("%q, closed %v", got, d.closed)
	}
}

// TestFullDisk: lines wait, in order and whole, and the fault is told once.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := &disk{room: 10}
		w, logged := onto(t, d)
		for n := range 5 {
			w.Event(line(n))
			synctest.Wait()
		}
		if got := strings.Count(logged.String(), "log file cannot be written"); got != 1 {
			t.Errorf("told %d times:\n%s", got, logged)
		}
		d.room = -1
		w.Event(line(5))
		synctest.Wait()
		if want := "line 0\nline 1\nline 2\nline 3\nline 4\nline 5\n"; d.String() != want {
			t.Errorf("%q, want %q", d.String(), want)
		}
		if !strings.Contains(logged.String(), `msg="log file is written again" file=x.log lost=0`) {
			t.Errorf("logged\n%s", logged)
		}
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	})
}

// TestHalfALine: the new file does not begin with the rest of a line whose
// beginning is in the old one.
func TestHalfALine(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		old, fresh := &disk{room: 10}, &disk{room: -1}
		w, logged := onto(t, old, fresh)
		for n := range 3 {
			w.Event(line(n))
			synctest.Wait()
		}
		if err := w.Reopen(); err != nil {
			t.Fatal(err)
		}
		w.Event(line(3))
		synctest.Wait()
		if old.String() != "line 0\nlin" || !old.closed {
			t.Errorf("old file %q, closed %v", old.String(), old.closed)
		}
		if fresh.String() != "line 2\nline 3\n" {
			t.Errorf("new file %q", fresh.String())
		}
		if !strings.Contains(logged.String(), "lost=1") {
			t.Errorf("logged\n%s", logged)
		}
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	})
}

// TestSlowDisk: a disk that hangs holds up no session, and costs lines only
// when the backlog is full.
func TestSlowDisk(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := &disk{room: -1, gate: make(chan struct{})}
		w, logged := onto(t, d)
		w.Event(line(0))
		synctest.Wait() // the writer now hangs in the write of line 0
		const length = len("line 100000\n")
		fit := backlog / length
		for n := range fit + 100 {
			w.Event(line(100000 + n)) // would block the bubble for ever if it waited
		}
		close(d.gate)
		synctest.Wait()
		if got := strings.Count(d.String(), "\n"); got != 1+fit {
			t.Errorf("%d lines written, want %d", got, 1+fit)
		}
		if got := logged.String(); strings.Count(got, "lines are lost") != 1 || !strings.Contains(got, "lost=100") {
			t.Errorf("logged\n%s", got)
		}
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	})
}

func TestCloseSaysWhatWasNotWritten(t *testing.T) {
	t.Parallel()
	d := &disk{room: 3}
	w, _ := onto(t, d)
	w.Event(line(1))
	if err := w.Close(); !errors.Is(err, errFull) || !d.closed {
		t.Errorf("error %v, closed %v", err, d.closed)
	}
}

// TestManySessions writes from many sides while the file is rotated: each line
// comes out once and whole.
func TestManySessions(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	name := filepath.Join(dir, "x.log")
	w, err := Open(name, numbered, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	const sessions, each = 8, 200
	var wg sync.WaitGroup
	for s := range sessions {
		wg.Go(func() {
			for n := range each {
				w.Event(line(s*each + n))
			}
		})
	}
	for n := range 5 {
		if err := os.Rename(name, fmt.Sprintf("%s.%d", name, n)); err != nil {
			t.Fatal(err)
		}
		if err := w.Reopen(); err != nil {
			t.Fatal(err)
		}
	}
	wg.Wait()
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(name + "*")
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]int{}
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for l := range strings.Lines(string(text)) {
			seen[l]++
		}
	}
	for n := range sessions * each {
		if got := seen[fmt.Sprintf("line %d\n", n)]; got != 1 {
			t.Fatalf("line %d was written %d times", n, got)
		}
	}
	if len(seen) != sessions*each {
		t.Errorf("%d different lines, want %d", len(seen), sessions*each)
	}
}
