package progress

import (
	"fmt"
	"strings"

	"towpath/internal/columns"
)

// lines shows a line at intervals: for logs and pipes. What ends before the
// first interval is over says nothing but its failures.
type lines struct {
	p     *Progress
	wrote bool
}

func (l *lines) started(*File) string { return "" }

func (l *lines) done(f *File) string {
	if f.err == nil {
		return ""
	}
	return failure(f) + "\n"
}

func (l *lines) note(text string) string { return text }

func (l *lines) tick() string {
	t := l.p.total()
	if t.files == 0 {
		return ""
	}
	l.wrote = true
	var parts []string
	add := func(format string, a ...any) { parts = append(parts, fmt.Sprintf(format, a...)) }
	if t.files == 1 && len(l.p.files) > 0 {
		add("%s", columns.Shown(l.p.files[0].name))
	} else {
		add("%d of %d files", t.done, t.files)
	}
	if t.failed > 0 {
		add("%d failed", t.failed)
	}
	if t.size >= 0 {
		add("%s of %s", share(t.at, t.size), bytes(float64(t.size)))
	} else {
		add("%s", bytes(float64(t.at)))
	}
	add("%s/s", bytes(t.rate))
	if d := left(t.at, t.size, t.rate); d >= 0 {
		add("%s left", clock(d))
	}
	add("%s gone", clock(t.took))
	return strings.Join(parts, ", ") + "\n"
}

func (l *lines) close() string {
	if !l.wrote {
		return ""
	}
	t := l.p.total()
	text := fmt.Sprintf("%d of %d files", t.done, t.files)
	if t.failed > 0 {
		text += fmt.Sprintf(", %d failed", t.failed)
	}
	text += fmt.Sprintf(", %s in %s", bytes(float64(t.moved)), clock(t.took))
	if s := t.took.Seconds(); s > 0 {
		text += ", " + bytes(float64(t.moved)/s) + "/s"
	}
	return text + "\n"
}
