package docs

import (
	"cmp"
	"encoding/xml"
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "draw architecture.svg anew")

// TestPicture holds the picture to the imports in the tree. An arrow that
// follows from others is left out: who imports ftpserver need not show that he
// imports what ftpserver does.
func TestPicture(t *testing.T) {
	t.Parallel()
	direct := map[string][]string{}
	for room, paths := range imports(t) {
		if !outermost(room) {
			direct[room] = ours(paths)
		}
	}
	want := draw(reduce(direct))
	const name = "architecture.svg"
	if *update {
		if err := os.WriteFile(name, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Errorf("%s does not show the imports that there are; go test ./docs -run TestPicture -update draws it anew", name)
	}
	if err := xml.Unmarshal(got, new(struct{})); err != nil {
		t.Error(err)
	}
}

// reduce leaves out what can be reached on a longer way.
func reduce(direct map[string][]string) map[string][]string {
	reach := map[string]map[string]bool{}
	var from func(string) map[string]bool
	from = func(room string) map[string]bool {
		if r, ok := reach[room]; ok {
			return r
		}
		r := map[string]bool{}
		reach[room] = r
		for _, to := range direct[room] {
			r[to] = true
			maps.Copy(r, from(to))
		}
		return r
	}
	few := map[string][]string{}
	for room, all := range direct {
		few[room] = slices.DeleteFunc(slices.Clone(all), func(to string) bool {
			return slices.ContainsFunc(all, func(other string) bool { return other != to && from(other)[to] })
		})
	}
	return few
}

// spot is a room in the picture, or the place where an arrow passes a row.
type spot struct {
	room string // "" where an arrow passes
	row  int
	x    float64
	down []*spot
	up   []*spot
}

func (s *spot) width() float64 {
	if s.room == "" {
		return 14
	}
	return 7.9*float64(len(s.room)) + 22
}

const rowHeight, boxHeight = 92, 34

// draw puts each room above all that it imports.
func draw(arrows map[string][]string) string {
	rows, paths := arrange(arrows)
	width := 0.0
	for _, row := range rows {
		sum := 0.0
		for _, s := range row {
			sum += s.width() + 18
		}
		width = max(width, sum)
	}
	settle(rows, width)
	y := func(row int) float64 { return 110 + float64(len(rows)-1-row)*rowHeight }
	height := y(0) + boxHeight + 20

	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %.0f %.0f" role="img" aria-labelledby="title desc">
  <title id="title">The rooms of Towpath and who imports whom</title>
  <desc id="desc">Each arrow points from a package to one that it imports; arrows that follow from others are left out. cmd/towpath, at the top, imports all rooms that are not for tests alone. At the bottom stands what imports nothing of ours.</desc>
  <!-- Drawn by docs/picture_test.go. -->
  <style>
    text { font: 600 13px ui-monospace, "DejaVu Sans Mono", monospace; text-anchor: middle; fill: #1f2933; }
    rect { fill: #f2f5f7; stroke: #7b8794; } .paper { fill: #ffffff; stroke: none; }
    .pure { fill: #e3f0ea; } .seam { fill: #e6edf8; } .main { fill: #f7efe0; }
    .arrow { fill: none; stroke: #7b8794; stroke-width: 1.3; marker-end: url(#head); } #head path { fill: #7b8794; }
    @media (prefers-color-scheme: dark) {
      text { fill: #e6eaee; } rect { fill: #222a31; stroke: #8794a1; } .paper { fill: #161b20; }
      .pure { fill: #1d3a30; } .seam { fill: #1f3050; } .main { fill: #3c331f; }
      .arrow { stroke: #8794a1; } #head path { fill: #8794a1; }
    }
  </style>
  <defs><marker id="head" viewBox="0 0 8 8" refX="7.5" refY="4" markerWidth="7" markerHeight="7" orient="auto"><path d="M0 0 8 4 0 8z"/></marker></defs>
  <rect class="paper" width="%.0f" height="%.0f"/>
  <rect class="main" x="12" y="16" width="%.0f" height="44" rx="6"/><text x="%.0f" y="43">cmd/towpath</text>
`, width+24, height, width+24, height, width, width/2+12)
	for _, p := range paths {
		fmt.Fprintf(&b, `  <path class="arrow" d="M%.0f %.0f`, p[0].x+12, y(p[0].row)+boxHeight)
		for i := 1; i < len(p); i++ {
			fromY, toY := y(p[i-1].row)+boxHeight, y(p[i].row)
			middle := (fromY + toY) / 2
			fmt.Fprintf(&b, "C%.0f %.0f %.0f %.0f %.0f %.0f", p[i-1].x+12, middle, p[i].x+12, middle, p[i].x+12, toY)
			if i < len(p)-1 {
				fmt.Fprintf(&b, "V%.0f", toY+boxHeight)
			}
		}
		b.WriteString("\"/>\n")
	}
	for _, row := range rows {
		for _, s := range row {
			if s.room == "" {
				continue
			}
			fmt.Fprintf(&b, `  <rect%s x="%.0f" y="%.0f" width="%.0f" height="%d" rx="6"/><text x="%.0f" y="%.0f">%s</text>`+"\n",
				class(s.room), s.x+12-s.width()/2, y(s.row), s.width(), boxHeight, s.x+12, y(s.row)+22, s.room)
		}
	}
	b.WriteString("</svg>\n")
	return b.String()
}

func class(room string) string {
	switch {
	case slices.Contains(pure, room):
		return ` class="pure"`
	case room == "storage" || room == "accounts":
		return ` class="seam"`
	}
	return ""
}

// arrange sorts rooms into rows, and finds the way of each arrow through them.
func arrange(arrows map[string][]string) (rows [][]*spot, paths [][]*spot) {
	level := map[string]int{}
	var height func(string) int
	height = func(room string) int {
		if l, ok := level[room]; ok {
			return l
		}
		l := 0
		for _, to := range arrows[room] {
			l = max(l, height(to)+1)
		}
		level[room] = l
		return l
	}
	at := map[string]*spot{}
	for _, room := range slices.Sorted(maps.Keys(arrows)) {
		s := &spot{room: room, row: height(room)}
		for len(rows) <= s.row {
			rows = append(rows, nil)
		}
		rows[s.row] = append(rows[s.row], s)
		at[room] = s
	}
	for _, room := range slices.Sorted(maps.Keys(arrows)) {
		for _, to := range arrows[room] {
			path := []*spot{at[room]}
			for row := at[room].row - 1; row > at[to].row; row-- {
				s := &spot{row: row}
				rows[row] = append(rows[row], s)
				path = append(path, s)
			}
			path = append(path, at[to])
			for i := 1; i < len(path); i++ {
				path[i-1].down = append(path[i-1].down, path[i])
				path[i].up = append(path[i].up, path[i-1])
			}
			paths = append(paths, path)
		}
	}
	return rows, paths
}

// settle finds an x for each spot, so that arrows are short and cross little:
// each goes to the middle of its neighbours, again and again.
func settle(rows [][]*spot, width float64) {
	for _, row := range rows {
		pack(row, width)
	}
	for round := range 60 {
		for i := range rows {
			row := rows[i]
			if round%2 == 0 {
				row = rows[len(rows)-1-i]
			}
			for _, s := range row {
				near := s.up
				if round%2 == 1 {
					near = s.down
				}
				if len(near) == 0 {
					continue
				}
				sum := 0.0
				for _, n := range near {
					sum += n.x
				}
				s.x = (s.x + sum/float64(len(near))) / 2
			}
			slices.SortStableFunc(row, func(a, b *spot) int { return cmp.Compare(a.x, b.x) })
			part(row, width)
		}
	}
}

// pack lays a row out from left to right.
func pack(row []*spot, width float64) {
	sum := 0.0
	for _, s := range row {
		sum += s.width()
	}
	gap := (width - sum) / float64(len(row))
	x := 0.0
	for _, s := range row {
		s.x = x + gap/2 + s.width()/2
		x += gap + s.width()
	}
}

// part moves spots apart that overlap, and keeps them in the picture.
func part(row []*spot, width float64) {
	const gap = 14
	for range 40 {
		for i := 1; i < len(row); i++ {
			a, b := row[i-1], row[i]
			if over := a.x + a.width()/2 + gap - (b.x - b.width()/2); over > 0 {
				a.x -= over / 2
				b.x += over / 2
			}
		}
		for _, s := range row {
			s.x = min(max(s.x, s.width()/2), width-s.width()/2)
		}
	}
	// What the rounds have left over.
	for i := 1; i < len(row); i++ {
		row[i].x = max(row[i].x, row[i-1].x+row[i-1].width()/2+gap/2+row[i].width()/2)
	}
}
