package lab

import (
	"fmt"
	"html"
	"net/netip"
	"slices"
	"strings"
	"time"

	"towpath/topology"
)

// rung is one packet on its way from machine to machine.
type rung struct {
	at     time.Duration // since the first
	path   []string      // the machines that saw it
	text   string        // what it is or says where it was sent
	became string        // what it says at the end, if that differs
	data   bool          // of a data connection
	lost   bool          // it did not reach a host
}

// most is how many rungs a ladder has at most.
const most = 80

// ladder tells from sightings which packets went how far: commands, replies, and
// beginnings and ends of connections. Packets that only acknowledge, or carry on
// with a file, are left out.
func ladder(all []sighting, n *topology.Network) []rung {
	if len(all) == 0 {
		return nil
	}
	control := map[uint16]bool{n.Session.To.Port(): true}
	for _, h := range n.Hosts {
		if h.Server != nil {
			control[h.Server.ControlPort()] = true
		}
	}
	type journey struct {
		rung
		last sighting
	}
	var journeys []*journey
	open := map[string]*journey{}
	refused := map[netip.AddrPort]bool{} // by a RST from there
	begun := map[[2]uint16]bool{}        // data connections that have carried something
	for _, s := range all {
		isControl := control[s.src.Port()] || control[s.dst.Port()]
		text, kind := spell(s, isControl)
		if kind == "" {
			continue
		}
		// Ports stay what they are on their way, mostly; addresses do not.
		if s.rst {
			refused[s.src] = true
		}
		key := fmt.Sprint(kind, s.src.Port(), "-", isControl, s.length > 0)
		if j := open[key]; j != nil && goesOn(j.path, s.node) {
			if j.path[len(j.path)-1] != s.node {
				j.path = append(j.path, s.node)
			}
			j.last = s
			if text != j.text && isControl && s.length > 0 {
				j.became = text
			}
			continue
		}
		if kind == "bytes" {
			c := [2]uint16{s.src.Port(), s.dst.Port()}
			if begun[c] {
				continue
			}
			begun[c] = true
		}
		j := &journey{rung: rung{at: s.at.Sub(all[0].at), path: []string{s.node}, text: text, data: !isControl}, last: s}
		open[key] = j
		journeys = append(journeys, j)
	}
	var rungs []rung
	for _, j := range journeys {
		j.lost = n.IsRouter(j.path[len(j.path)-1]) && !refused[j.last.dst]
		rungs = append(rungs, j.rung)
	}
	return rungs[:min(len(rungs), most)]
}

// goesOn says whether a packet that came along path may be seen at node next: a
// machine that it has left does not see it again.
func goesOn(path []string, node string) bool {
	return path[len(path)-1] == node || !slices.Contains(path, node)
}

// spell says what a segment is; kind is empty for one that says nothing new.
func spell(s sighting, control bool) (text, kind string) {
	switch {
	case s.rst:
		return fmt.Sprintf("RST %v > %v", s.src, s.dst), "rst"
	case s.syn && s.ack:
		return fmt.Sprintf("SYN+ACK %v > %v", s.src, s.dst), "synack"
	case s.syn:
		return fmt.Sprintf("SYN %v > %v", s.src, s.dst), "syn"
	case s.length > 0 && control:
		line, _, _ := strings.Cut(s.payload, "\r\n")
		if line != "" && (line[0] < ' ' || line[0] > '~') {
			return fmt.Sprintf("TLS, %d bytes", s.length), fmt.Sprint("tls", s.length)
		}
		if verb, _, secret := strings.Cut(line, " "); secret && verb == "PASS" {
			line = "PASS ****"
		}
		word, _, _ := strings.Cut(line, " ")
		return line, "line" + word
	case s.length > 0:
		return "bytes of the file", "bytes"
	case s.fin:
		return fmt.Sprintf("FIN %v > %v", s.src, s.dst), "fin"
	}
	return "", ""
}

// The measures of a ladder.
const (
	columnWidth = 250
	timeWidth   = 70
	rungHeight  = 30
	headHeight  = 40
)

// drawLadder draws rungs as SVG: a column for each machine, in the order in
// which the first packets met them.
func drawLadder(rungs []rung, n *topology.Network) string {
	columns := []string{n.Session.From}
	for _, r := range rungs {
		for _, name := range r.path {
			if !slices.Contains(columns, name) {
				columns = append(columns, name)
			}
		}
	}
	// Servers stand at the far end.
	slices.SortStableFunc(columns, func(a, b string) int { return rank(n, a) - rank(n, b) })
	x := func(name string) int { return timeWidth + columnWidth/2 + columnWidth*slices.Index(columns, name) }
	width, height := timeWidth+columnWidth*len(columns), headHeight+rungHeight*len(rungs)+10
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d">`+"\n", width, height, width, height)
	for _, c := range columns {
		fmt.Fprintf(&b, `<text x="%d" y="20" text-anchor="middle" font-weight="600">%s</text><path class="life" d="M%d 30V%d"/>`+"\n", x(c), html.EscapeString(c), x(c), height)
	}
	for i, r := range rungs {
		y := headHeight + rungHeight*i + 20
		class := "control"
		if r.data {
			class = "data"
		}
		if r.lost {
			class = "lost"
		}
		fmt.Fprintf(&b, `<text x="4" y="%d" class="time">%.3f s</text>`+"\n", y, r.at.Seconds())
		left := x(r.path[0])
		for k := 1; k < len(r.path); k++ {
			from, to := x(r.path[k-1]), x(r.path[k])
			left = min(left, to)
			fmt.Fprintf(&b, `<path class="%s" d="M%d %dH%d" marker-end="url(#%s)"/>`+"\n", class, from, y, to, class)
		}
		end := x(r.path[len(r.path)-1])
		if r.lost {
			fmt.Fprintf(&b, `<path class="lost" d="M%d %dl10 10m0 -10l-10 10"/>`+"\n", end-5, y-5)
		}
		text := r.text
		if r.became != "" {
			text += "  →  " + r.became
		}
		if r.lost {
			text += "  (ends at " + r.path[len(r.path)-1] + ")"
		}
		fmt.Fprintf(&b, `<text class="%s-text" x="%d" y="%d">%s</text>`+"\n", class, left+6, y-4, html.EscapeString(clip(text, 110)))
	}
	b.WriteString("</svg>\n")
	return b.String()
}

// rank puts clients left, routers in the middle, servers right.
func rank(n *topology.Network, name string) int {
	node := n.Node(name)
	switch {
	case name == n.Session.From:
		return 0
	case node != nil && node.Server != nil:
		return 2
	}
	return 1
}

func clip(s string, length int) string {
	if r := []rune(s); len(r) > length {
		return string(r[:length-1]) + "…"
	}
	return s
}
