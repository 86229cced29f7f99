package shell

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
)

// historyLines is how many lines are kept.
const historyLines = 2000

// History is the lines that were entered, oldest first, in a file that only its
// owner can read.
type History struct {
	path string
	keep func(string) string

	mu    sync.Mutex
	lines []string
}

// OpenHistory reads the history at path, which need not be there; "" keeps none
// beyond this process. Each line passes through keep first, which takes the
// secrets out and returns "" for what is not to be kept.
func OpenHistory(path string, keep func(string) string) (*History, error) {
	h := &History{path: path, keep: keep}
	if path == "" {
		return h, nil
	}
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return h, nil
	}
	if err != nil {
		return h, fmt.Errorf("history: %w", err)
	}
	for line := range strings.Lines(string(text)) {
		h.lines = append(h.lines, strings.TrimRight(line, "\r\n"))
	}
	if len(h.lines) > 2*historyLines { // grown by many sessions: keep the newer half
		h.lines = slices.Clone(h.lines[len(h.lines)-historyLines:])
		if err := h.rewrite(); err != nil {
			return h, fmt.Errorf("history: %w", err)
		}
	}
	return h, nil
}

// Lines returns the history, oldest first.
func (h *History) Lines() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.lines[:len(h.lines):len(h.lines)]
}

// Add adds a line, unless it is the last one again. It is written at once, so
// that several shells keep one history.
func (h *History) Add(line string) error {
	line = strings.Map(func(r rune) rune {
		if r == '\n' || r == '\r' {
			return ' '
		}
		return r
	}, h.keep(strings.TrimSpace(line)))
	h.mu.Lock()
	defer h.mu.Unlock()
	if line == "" || len(h.lines) > 0 && h.lines[len(h.lines)-1] == line {
		return nil
	}
	h.lines = append(h.lines, line)
	if h.path == "" {
		return nil
	}
	if err := h.write(os.O_APPEND, line+"\n"); err != nil {
		return fmt.Errorf("history: %w", err)
	}
	return nil
}

// Clear forgets all.
func (h *History) Clear() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.lines = nil
	if h.path == "" {
		return nil
	}
	return h.rewrite()
}

func (h *History) rewrite() error {
	text := strings.Join(h.lines, "\n")
	if text != "" {
		text += "\n"
	}
	return h.write(os.O_TRUNC, text)
}

func (h *History) write(how int, text string) error {
	if err := os.MkdirAll(filepath.Dir(h.path), 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(h.path, os.O_WRONLY|os.O_CREATE|how, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Close())
}
