package lab

import (
	"fmt"
	"html/template"
	"net/netip"
	"slices"
	"strings"
	"time"

	draw "towpath/internal/ladder"
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

// drawLadder draws rungs: a column for each machine, in the order in which the
// first packets met them.
func drawLadder(rungs []rung, n *topology.Network) template.HTML {
	names := []string{n.Session.From}
	for _, r := range rungs {
		for _, name := range r.path {
			if !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	// Servers stand at the far end.
	slices.SortStableFunc(names, func(a, b string) int { return rank(n, a) - rank(n, b) })
	var d draw.Drawing
	for _, name := range names {
		d.Columns = append(d.Columns, draw.Column{Title: name})
	}
	for _, r := range rungs {
		to := draw.Rung{Mark: fmt.Sprintf("%.3f s", r.at.Seconds()), Text: r.text, Became: r.became, Lost: r.lost}
		if r.data {
			to.Kind = draw.Data
		}
		for _, name := range r.path {
			to.Path = append(to.Path, slices.Index(names, name))
		}
		if r.lost {
			to.Text += "  (ends at " + r.path[len(r.path)-1] + ")"
		}
		d.Rungs = append(d.Rungs, to)
	}
	return d.SVG()
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
