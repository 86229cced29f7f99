package view

import (
	"fmt"
	"io"
	"strings"

	"towpath/explain"
	"towpath/internal/columns"
	"towpath/internal/words"
)

// Ticker tells a story that still grows: each step once, when it is there.
type Ticker struct {
	lang words.Lang
	told map[sighting]bool
	ends map[*explain.Session]int // packets that a session had when it was told
}

// sighting is a step that was told.
type sighting struct {
	session *explain.Session
	packet  int
	kind    explain.StepKind
	speaker string
}

// NewTicker makes one.
func NewTicker(l words.Lang) *Ticker {
	return &Ticker{lang: l, told: map[sighting]bool{}, ends: map[*explain.Session]int{}}
}

// Write writes what is new.
func (t *Ticker) Write(w io.Writer, s *explain.Story) error {
	var b strings.Builder
	for _, x := range s.Sessions {
		steps := x.Steps()
		if t.ends[x] == len(steps) {
			continue
		}
		t.ends[x] = len(steps)
		if len(t.told) > 1<<20 {
			clear(t.told) // they would fill memory; what still runs is told again
		}
		for _, st := range steps {
			if st.Kind == explain.StepBytes && open(x, st.Transfer) {
				continue // there will be more
			}
			k := sighting{x, st.Packet, st.Kind, st.Speaker}
			if t.told[k] {
				continue
			}
			t.told[k] = true
			head := fmt.Sprintf("%s  %v → %v  ", st.Time.Format("15:04:05.000"), st.From, st.To)
			text := columns.Shown(brief(st.Line))
			says := columns.Shown(st.Says.In(t.lang))
			if text != "" && says != "" {
				text += "  "
			}
			b.WriteString(head + text + says + "\n")
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// open says whether the connection of a transfer has not ended.
func open(s *explain.Session, transfer int) bool {
	if transfer < 0 || transfer >= len(s.Transfers) {
		return false
	}
	c := s.Transfers[transfer].Connection
	return c != nil && len(c.Ends) == 0
}
