package progress

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"

	"towpath/internal/columns"
)

// screen is a terminal of endless height: it does what it is told by painter,
// and fails the test for anything else.
type screen struct {
	t     *testing.T
	width int

	mu   sync.Mutex
	rows [][]rune // a wide letter is followed by a 0
	y, x int
}

var control = regexp.MustCompile(`^\x1b\[(\d*)([AKJm])`)

func (s *screen) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for text := string(b); text != ""; {
		if m := control.FindStringSubmatch(text); m != nil {
			text = text[len(m[0]):]
			n, _ := strconv.Atoi(m[1]) // nothing is 0
			s.control(m[2], n)
			continue
		}
		r := []rune(text)[0]
		text = text[len(string(r)):]
		s.letter(r)
	}
	return len(b), nil
}

func (s *screen) control(what string, n int) {
	switch what {
	case "A":
		if s.y -= n; s.y < 0 {
			s.t.Errorf("the cursor goes up out of the screen")
			s.y = 0
		}
	case "K":
		s.row()
		s.rows[s.y] = s.rows[s.y][:min(s.x, len(s.rows[s.y]))]
	case "J":
		s.row()
		s.rows[s.y] = s.rows[s.y][:min(s.x, len(s.rows[s.y]))]
		s.rows = s.rows[:s.y+1]
	}
}

func (s *screen) row() {
	for len(s.rows) <= s.y {
		s.rows = append(s.rows, nil)
	}
}

func (s *screen) letter(r rune) {
	s.row()
	switch {
	case r == '\r':
		s.x = 0
	case r == '\n':
		s.y++
		s.x = 0
		s.row()
	case r < ' ':
		s.t.Errorf("control character %q", r)
	default:
		row := &s.rows[s.y]
		for len(*row) < s.x+columns.Of(r) {
			*row = append(*row, ' ')
		}
		if columns.Of(r) == 0 {
			return
		}
		(*row)[s.x] = r
		if columns.Of(r) == 2 {
			(*row)[s.x+1] = 0
		}
		if s.x += columns.Of(r); s.x >= s.width {
			s.t.Errorf("row %d is full: some terminals begin another", s.y)
		}
	}
}

// String is what one sees, without blanks at the ends of rows.
func (s *screen) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var b strings.Builder
	for _, r := range s.rows {
		fmt.Fprintln(&b, strings.TrimRight(strings.ReplaceAll(string(r), "\x00", ""), " "))
	}
	return strings.TrimRight(b.String(), "\n") + "\n"
}
