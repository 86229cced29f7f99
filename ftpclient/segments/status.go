package segments

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// Suffix is what the name of a status file has behind that of its file.
const Suffix = ".segments"

// status is what is noted beside a file that is not whole: of what it is a copy,
// and which bytes of it have come.
//
// It is written to another file that takes its place, so that it is there whole
// whenever the process ends, and always behind the bytes that it speaks of: what
// the kernel has taken outlives the process. A machine that loses its power may
// have kept the status and lost the bytes; only a digest (Verify) finds that.
type status struct {
	source string // address and name
	size   int64
	time   time.Time // zero: the server has not told
	done   []span    // merged
}

const statusVersion = "towpath segments 1"

// format writes
//
//	towpath segments 1
//	source "ftp.example.org:21 pub/sea.iso"
//	size 1073741824
//	time 20260102150405
//	done 0 33554432
//	sum 9f86d081884c7d65…
func (s status) format() []byte {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\nsource %q\nsize %d\n", statusVersion, s.source, s.size)
	if !s.time.IsZero() {
		fmt.Fprintf(&b, "time %s\n", s.time.UTC().Format(statusTime))
	}
	for _, d := range s.done {
		fmt.Fprintf(&b, "done %d %d\n", d.from, d.to)
	}
	fmt.Fprintf(&b, "sum %x\n", sha256.Sum256([]byte(b.String())))
	return []byte(b.String())
}

const statusTime = "20060102150405.999999999"

// parseStatus is the inverse of [status.format]. It takes nothing else than what
// that has written.
func parseStatus(text []byte) (s status, err error) {
	body, sum, ok := strings.Cut(string(text), "\nsum ")
	body += "\n"
	if want := fmt.Sprintf("%x\n", sha256.Sum256([]byte(body))); !ok || sum != want {
		return s, errors.New("its checksum is not that of its lines")
	}
	lines := strings.Split(strings.TrimSuffix(body, "\n"), "\n")
	if lines[0] != statusVersion {
		return s, fmt.Errorf("its first line is %q, want %q", lines[0], statusVersion)
	}
	for _, line := range lines[1:] {
		key, value, _ := strings.Cut(line, " ")
		switch key {
		case "source":
			s.source, err = strconv.Unquote(value)
		case "size":
			s.size, err = strconv.ParseInt(value, 10, 64)
		case "time":
			s.time, err = time.Parse(statusTime, value)
		case "done":
			var d span
			from, to, _ := strings.Cut(value, " ")
			if d.from, err = strconv.ParseInt(from, 10, 64); err == nil {
				d.to, err = strconv.ParseInt(to, 10, 64)
			}
			s.done = append(s.done, d)
		default:
			err = errors.New("unknown")
		}
		if err != nil {
			return s, fmt.Errorf("line %q: %w", line, err)
		}
	}
	at := int64(-1)
	for _, d := range s.done {
		if d.from <= at || d.to <= d.from || d.to > s.size {
			return s, fmt.Errorf("bytes %d to %d of %d are out of order", d.from, d.to, s.size)
		}
		at = d.to
	}
	if string(s.format()) != string(text) {
		return s, errors.New("its lines are not as they are written")
	}
	return s, nil
}

// save writes the status beside the file at path.
func (s status) save(path string) error {
	next := path + Suffix + ".new"
	err := os.WriteFile(next, s.format(), 0o666)
	if err == nil {
		err = os.Rename(next, path+Suffix)
	}
	if err != nil {
		return fmt.Errorf("note what has come: %w", err)
	}
	return nil
}

// load reads the status beside the file at path, and compares it with the file.
func load(path string) (status, error) {
	text, err := os.ReadFile(path + Suffix)
	if err != nil {
		return status{}, err
	}
	s, err := parseStatus(text)
	if err != nil {
		return s, fmt.Errorf("%s is damaged: %w", path+Suffix, err)
	}
	info, err := os.Stat(path)
	if err != nil {
		return s, err
	}
	if n := len(s.done); n > 0 && info.Size() < s.done[n-1].to {
		return s, fmt.Errorf("%s has %d bytes, and its status speaks of %d", path, info.Size(), s.done[n-1].to)
	}
	return s, nil
}

// Begun tells whether an earlier [Get] into path has left a status beside it. The
// file may have holes then, and its size says nothing.
func Begun(path string) bool {
	_, err := os.Lstat(path + Suffix)
	return err == nil
}

// Forget removes the status beside path. Who writes to path by other means calls
// it between making the file empty and the first byte.
func Forget(path string) error {
	err := os.Remove(path + Suffix)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}
