package lab

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"

	"towpath/doctor"
	"towpath/explain"
	"towpath/topology"
)

// fileSize is the length of the file that is fetched. That of a slow transfer is
// more than a server sends at once (of half as much Pure-FTPd sends nothing for
// six seconds when a NOOP comes), and no more than that, since a recorder that is
// kept waiting loses what does not fit: a story with holes tells no cause.
func fileSize(s topology.Session) int64 {
	if s.Transfer > 0 {
		return 1 << 20
	}
	return 64 << 10
}

// clientReport is how a client fared.
type clientReport struct {
	LoggedIn bool
	Bytes    int64
	Done     bool // the server said that the transfer is complete
	// Err is why not, in the client's words; the others say what sort it is.
	Err      string
	Code     int    // of the reply that ended it, 0 if none did
	Command  string // that it was the reply to
	Refused  bool   // the other end said that it does not listen
	Nowhere  bool   // the network said that there is no way
	Reset    bool   // the other end took the connection, and cut it
	TimedOut bool
	// Impossible says that the address family has no such announcement.
	Impossible bool
	Took       time.Duration
	Dialogue   []string
}

// look reads the recordings of all machines, in the order of time.
func look(dir string, n *topology.Network) ([]sighting, error) {
	var all []sighting
	for _, node := range n.Nodes() {
		s, err := readCapture(filepath.Join(dir, node.Name+".pcapng"), node.Name)
		if err != nil {
			return nil, fmt.Errorf("recording of %s: %w", node.Name, err)
		}
		all = append(all, s...)
	}
	slices.SortStableFunc(all, func(a, b sighting) int { return a.at.Compare(b.at) })
	return all, nil
}

func readCapture(file, node string) ([]sighting, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	in, err := pcapgo.NewNgReader(f, pcapgo.NgReaderOptions{})
	if err != nil {
		return nil, err
	}
	var (
		all  []sighting
		eth  layers.Ethernet
		v4   layers.IPv4
		v6   layers.IPv6
		tcp  layers.TCP
		text gopacket.Payload
		have []gopacket.LayerType
	)
	parser := gopacket.NewDecodingLayerParser(layers.LayerTypeEthernet, &eth, &v4, &v6, &tcp, &text)
	parser.IgnoreUnsupported = true
	for {
		data, info, err := in.ReadPacketData()
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return nil, err
		}
		text = nil
		if err := parser.DecodeLayers(data, &have); err != nil || !slices.Contains(have, layers.LayerTypeTCP) {
			continue // ARP, neighbours
		}
		s := sighting{at: info.Timestamp, node: node, syn: tcp.SYN, ack: tcp.ACK, fin: tcp.FIN, rst: tcp.RST, length: len(text)}
		var src, dst netip.Addr
		if slices.Contains(have, layers.LayerTypeIPv4) {
			src, _ = netip.AddrFromSlice(v4.SrcIP)
			dst, _ = netip.AddrFromSlice(v4.DstIP)
		} else {
			src, _ = netip.AddrFromSlice(v6.SrcIP)
			dst, _ = netip.AddrFromSlice(v6.DstIP)
		}
		s.src, s.dst = netip.AddrPortFrom(src.Unmap(), uint16(tcp.SrcPort)), netip.AddrPortFrom(dst.Unmap(), uint16(tcp.DstPort))
		s.payload = string(text[:min(len(text), 512)])
		all = append(all, s)
	}
}

// conclude makes of what the client and the recorders saw what a user sees, and
// the hop.
func (o *Observation) conclude(r *clientReport, mode doctor.Mode, patience time.Duration, n *topology.Network) {
	all := o.sightings
	o.Works, o.Dialogue, o.Said = r.Done, r.Dialogue, r.Err
	if o.Works {
		return
	}
	control := map[uint16]bool{n.Session.To.Port(): true}
	for _, h := range n.Hosts {
		if h.Server != nil {
			control[h.Server.ControlPort()] = true
		}
	}
	// Of several data connections the first is the one that was asked about.
	var opener uint16
	data := func(s sighting) bool {
		if control[s.src.Port()] || control[s.dst.Port()] {
			return false
		}
		if opener == 0 && s.syn && !s.ack {
			opener = s.src.Port()
		}
		return s.src.Port() == opener || s.dst.Port() == opener
	}
	last := func(is func(sighting) bool) string {
		name := ""
		for _, s := range all {
			if is(s) {
				name = s.node
			}
		}
		return name
	}
	active := mode == doctor.PORT || mode == doctor.EPRT
	verb, announces := string(mode), string(mode)
	switch mode {
	case doctor.PASV:
		announces = "227 "
	case doctor.EPSV:
		announces = "229 "
	}
	server := last(func(s sighting) bool { return s.syn && !s.ack && !data(s) })
	gated := slices.ContainsFunc(n.Nodes(), func(m *topology.Node) bool { return m.ALG != nil && m.ALG.Kind == topology.Gateway })
	if gated && (r.Code == 425 || r.Code == 426 || r.Reset) { // it has come to the one end, and not to the other
		for _, s := range all {
			if s.syn && !s.ack && !control[s.src.Port()] && !control[s.dst.Port()] {
				opener = s.src.Port()
			}
		}
	}
	switch {
	case !r.LoggedIn && r.Code == 421:
		o.Seen, o.Hop = doctor.SeenNoServer, server
	case !r.LoggedIn:
		o.Seen = r.network()
		o.Hop = cmp.Or(
			last(func(s sighting) bool { return !data(s) && strings.HasPrefix(s.payload, "220") }),
			last(func(s sighting) bool { return !data(s) && s.syn && s.ack }), server)
	case r.Impossible:
		o.Seen, o.Hop = doctor.SeenFamily, n.Session.From
	case r.Bytes == fileSize(n.Session):
		o.Seen = doctor.SeenNo226
		o.Hop = last(func(s sighting) bool { return !data(s) && strings.HasPrefix(s.payload, "226") })
	case r.Command == verb && r.Code >= 500 || active && (r.Command == "PORT" || r.Command == "EPRT") && r.Code >= 500:
		// A gateway refuses in the words of our server. Under TLS nothing is seen.
		refused := func(s sighting) bool { return !data(s) && strings.HasPrefix(s.payload, r.Command+" ") }
		o.Seen, o.Hop = doctor.SeenIllegal, cmp.Or(last(refused), server)
	case r.unanswered(verb):
		o.Seen = doctor.SeenStall
		o.Hop = last(func(s sighting) bool { return strings.Contains(s.payload, announces) })
	case r.Reset && !gated || r.Code == 425 && strings.Contains(r.Err, "Bad IP"): // vsftpd says so
		o.Seen, o.Hop = doctor.SeenStranger, server
	default:
		o.Seen = r.network()
		if r.Code == 425 || gated && (r.Code == 426 || r.Reset) {
			o.Seen = doctor.SeenLate425
			if r.Took < patience {
				o.Seen = doctor.SeenEarly425
			}
		}
		o.Hop = last(func(s sighting) bool { return data(s) && s.syn && s.ack })
		if o.Hop == "" {
			o.Hop = cmp.Or(last(func(s sighting) bool { return data(s) && s.syn }), server)
		}
	}
}

// unanswered says whether a command was the last to be sent, and no reply came.
func (r *clientReport) unanswered(verb string) bool {
	for _, line := range slices.Backward(r.Dialogue) {
		if line == "C: QUIT" {
			continue
		}
		return strings.HasPrefix(line, "C: "+verb)
	}
	return false
}

// network is what the network itself said to the client.
func (r *clientReport) network() doctor.Seen {
	switch {
	case r.Refused:
		return doctor.SeenRefused
	case r.Nowhere:
		return doctor.SeenUnreachable
	case r.TimedOut:
		return doctor.SeenTimeout
	}
	return doctor.Seen(r.Err)
}

// disagreement says in what the observation differs from a prediction, or "".
// Loosely, only whether it works counts: some programs have ways of their own to
// fail.
func (o *Observation) disagreement(v doctor.Verdict, loosely bool) string {
	switch {
	case o.Works && v.Works || loosely && o.Works == v.Works:
		return ""
	case o.Works != v.Works:
		return fmt.Sprintf("predicted: %s, observed: %s", said(v.Works, v.Seen, v.Hop), said(o.Works, o.Seen, o.Hop))
	case o.Seen != v.Seen || o.Hop != v.Hop:
		return fmt.Sprintf("predicted: %s, observed: %s", said(false, v.Seen, v.Hop), said(false, o.Seen, o.Hop))
	}
	return ""
}

// told is the cause of failure in the story of all recordings of a case.
func told(ctx context.Context, dir string, n *topology.Network) (doctor.Cause, error) {
	var files []string
	for _, node := range n.Nodes() {
		files = append(files, filepath.Join(dir, node.Name+".pcapng"))
	}
	story, err := explain.Explain(ctx, files, explain.Options{})
	if err != nil {
		return "", err
	}
	return doctor.Cause(story.Cause()), nil
}

// unexplained says in what the story of the recordings differs from a
// prediction, or "". Two programs fail of an inside address before they come to
// what is predicted: tnftp shies at a 227 with another address than the server's,
// and ProFTPD does not refuse a PORT with one, but dials the NAT.
func (o *Observation) unexplained(v doctor.Verdict, l *Lab) string {
	own := o.Explained == doctor.CauseInside && (l.Client == "tnftp" && v.Mode == doctor.PASV && !v.Works ||
		l.Server == "proftpd" && v.Cause == doctor.CauseMismatch)
	if o.Explained == v.Cause || own {
		return ""
	}
	text := fmt.Sprintf("the recordings tell %q, want %q", o.Explained, v.Cause)
	if o.Lost > 0 {
		text += fmt.Sprintf("; they lack %d packets, since this machine was busy", o.Lost)
	}
	return text
}

func said(works bool, seen doctor.Seen, hop string) string {
	if works {
		return "works"
	}
	return fmt.Sprintf("%s at %s", seen, hop)
}
