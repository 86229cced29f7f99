// Package doctor says which modes of FTP work in a network, and why others do
// not.
//
// [Predict] sends the packets of a session through a network on paper: the
// control connection, the announcement on it, the data connection that the
// announcement brings about, and the reply at the end. It keeps no table of
// answers: each machine routes, tracks, translates, filters and reads as Linux
// does. What it proposes as a repair it has tried on the changed network.
//
// It sends nothing over a real one.
package doctor

import (
	"slices"

	"towpath/internal/words"
	"towpath/topology"
)

// Verdict is what becomes of one mode in a network.
type Verdict struct {
	Mode   Mode                `json:"mode"`
	Client topology.ClientKind `json:"client"`
	TLS    bool                `json:"tls"`
	Works  bool                `json:"works"`
	// Connection is the one that fails: "control", or "data".
	Connection string `json:"connection,omitempty"`
	// Hop is the machine where it fails.
	Hop   string `json:"hop,omitempty"`
	Seen  Seen   `json:"seen,omitempty"`
	Cause Cause  `json:"cause,omitempty"`
	// Why says what happens there, in sentences.
	Why string `json:"why,omitempty"`
	// ALG is why a helper on the way did nothing, of the last one if several.
	ALG Deaf `json:"alg,omitempty"`
	// Ports are those with which it works, if the ports that are chosen decide.
	Ports string `json:"ports,omitempty"`
	// Turn is which of the several addresses of forwards comes first in the
	// session that fails, counted from 0.
	Turn int `json:"turn,omitempty"`
	// Opener is who opens the data connection, To the address it is opened to.
	Opener string `json:"opener,omitempty"`
	To     string `json:"to,omitempty"`
	// Said is the address in the announcement as it was sent, Heard as it came
	// to the other end. A 229 has a port alone.
	Said  string `json:"said,omitempty"`
	Heard string `json:"heard,omitempty"`
	// Path is how far the packet came that should have gone on; of what works,
	// the first packet of the data connection.
	Path []Step `json:"path,omitempty"`
	// Answer is how far the answer came, where that is what strays.
	Answer []Step `json:"answer,omitempty"`
	// Repairs are the smallest changes that make it work, each of them tried.
	Repairs []Repair `json:"repairs"`
	// Useless are remedies that are often told, and were tried and do not help.
	Useless []Repair `json:"useless,omitempty"`

	outcome *outcome
	why     []words.Phrase // what Why says
}

// in returns the verdict with its sentences in a language.
func (v Verdict) in(l words.Lang) Verdict {
	v.Why = words.Sentences(l, v.why...)
	v.Repairs, v.Useless = slices.Clone(v.Repairs), slices.Clone(v.Useless)
	for _, all := range [][]Repair{v.Repairs, v.Useless} {
		for i, r := range all {
			all[i] = r.in(l)
		}
	}
	return v
}

// Predict returns a verdict for each mode. In a network of IPv6 there are two:
// PORT and PASV have no room for its addresses. The network must be valid
// ([topology.Network.Validate]), as those of [topology.Parse] and
// [topology.Lookup] are.
func Predict(n *topology.Network) []Verdict {
	var all []Verdict
	for _, m := range Modes {
		if m.family() == 0 || n.Session.To.Addr().Is4() {
			all = append(all, PredictMode(n, m))
		}
	}
	return all
}

// PredictMode is [Predict] for one mode.
func PredictMode(n *topology.Network, m Mode) Verdict {
	v := judge(n, m)
	v.Repairs = []Repair{}
	if !v.Works {
		v.Repairs = append(v.Repairs, repairs(n, v)...)
		v.Useless = useless(n, v)
	}
	return v
}

// judge plays the session for each part of the range that its port can come
// from, and for each server that can get it. One that fails makes the verdict:
// who chooses by chance will come to it.
func judge(n *topology.Network, m Mode) Verdict {
	var bad, good *outcome
	var works topology.Ports
	turn := 0
	for ; bad == nil && turn < turns(n); turn++ {
		works = nil
		for _, r := range regions(n, listeners(n, m, turn)) {
			o := run(n, m, r.Low, turn)
			if o.works {
				works = append(works, r)
				good = o
				continue
			}
			if bad == nil {
				bad = o
			}
		}
	}
	v := Verdict{Mode: m, Client: topology.Plain, TLS: n.Session.TLS, Works: bad == nil}
	if c := n.Node(n.Session.From).Client; c.Kind != "" {
		v.Client = c.Kind
	}
	o := bad
	if v.Works {
		o = good
	}
	v.outcome, v.Path = o, o.steps
	if o.dialled.IsValid() && !o.control {
		v.To = o.dialled.String()
	}
	if o.said != nil {
		v.Said, v.Heard = o.said.text(), o.told.text()
	}
	v.Opener = "client"
	if m.active() {
		v.Opener = "server"
	}
	if v.Works {
		return v
	}
	v.Turn = turn - 1
	if v.Connection = "data"; o.cause == CauseStrays {
		v.Answer = o.fate.steps
	}
	if o.control || o.seen == SeenNo226 || o.seen == SeenStall {
		v.Connection = "control"
	}
	v.Hop, v.Seen, v.Cause = o.hop, o.seen, o.cause
	if len(works) > 0 {
		v.Ports = join(works).String()
	}
	v.why = []words.Phrase{o.why(n, m)}
	if o.told != nil {
		for _, r := range o.told.remarks {
			v.ALG = r.why
			v.why = append(v.why, r.phrase(n))
		}
	}
	if v.Ports != "" {
		v.why = append(v.why, words.Say("why.some-ports", "ports", v.Ports))
	}
	v.Why = words.Sentences(words.English, v.why...)
	return v
}

// turns is how many addresses forwards have at most: each can come first.
func turns(n *topology.Network) int {
	most := 1
	for _, m := range n.Routers {
		for _, f := range m.Forwards {
			most = max(most, len(f.To))
		}
	}
	return most
}

// listeners are the ports that the listener of a mode chooses from.
func listeners(n *topology.Network, m Mode, turn int) topology.PortRange {
	var p topology.Ports
	if m.active() {
		p = n.Node(n.Session.From).Client.Active
	} else if s := n.Node(serving(n, turn)); s != nil {
		p = s.Server.Passive
	}
	if len(p) == 0 {
		return topology.Ephemeral
	}
	return p[0]
}

// serving names the host that the control connection comes to, or "" if it
// comes to none.
func serving(n *topology.Network, turn int) string {
	if o := run(n, EPSV, topology.Ephemeral.Low, turn); o.link.ok {
		return o.link.at.Name
	}
	return ""
}

// join makes one range of those that touch.
func join(p topology.Ports) topology.Ports {
	var all topology.Ports
	for _, r := range p {
		if i := len(all) - 1; i >= 0 && all[i].High+1 == r.Low {
			all[i].High = r.High
			continue
		}
		all = append(all, r)
	}
	return all
}
