package doctor

import (
	"net/netip"
	"strconv"

	"towpath/topology"
)

// announcement is a PORT, EPRT, 227 or 229 on its way over the control
// connection.
type announcement struct {
	mode Mode
	// addr is what it names; its address is invalid in a 229.
	addr netip.AddrPort
	// clear is false if it is encrypted.
	clear bool
	lines topology.Lines
	// remarks are why helpers on the way did nothing.
	remarks []remark
	// helped names the machines that opened a pinhole for it.
	helped []string
}

// text is what stands in it.
func (a *announcement) text() string {
	if !a.addr.Addr().IsValid() {
		return strconv.Itoa(int(a.addr.Port()))
	}
	return a.addr.String()
}

// remark is why a helper did not help.
type remark struct {
	node string
	why  Deaf
	port uint16 // where the control connection went there
}

// Deaf is why an ALG on the way did nothing.
type Deaf string

// What makes an ALG do nothing.
const (
	Blind        Deaf = "alg-blind"         // the control connection is encrypted
	OtherPort    Deaf = "alg-other-port"    // it reads another port
	OtherAddress Deaf = "alg-other-address" // the address announced is not the sender's
	Missed       Deaf = "alg-missed"        // the announcement did not begin its segment
)

// read is what the kernel's ALG on m does with an announcement in a packet of a flow. If
// the packet does not go on it returns why.
func (m *machine) read(f *flow, dir way, says *announcement) reason {
	if says == nil || m.ALG == nil {
		return ""
	}
	deaf := func(d Deaf) reason {
		says.remarks = append(says.remarks, remark{m.Name, d, f.arrives[forth].dst.Port()})
		return ""
	}
	own := f.arrives[dir].src.Addr()
	switch {
	case m.ALG.Kind == topology.Gateway && (f.ends[forth] || f.ends[back]):
		return "" // it is an end of this connection, see gateway.go
	case !m.ALG.Ports.Contains(f.arrives[forth].dst.Port()):
		return deaf(OtherPort)
	case !says.clear:
		return deaf(Blind)
	case says.lines == topology.Split || says.lines == topology.BareLF:
		// nf_conntrack_ftp takes the beginning of an announcement for one that
		// is cut and drops the segment, again and again.
		return byALG
	case says.lines == topology.Joined:
		return deaf(Missed)
	case says.mode != EPSV && says.addr.Addr() != own:
		return deaf(OtherAddress) // its option "loose" is off, and so it should be
	}
	// The connection comes from whom this was said to, and goes where answers to
	// the one who said it go.
	other := f.arrives[1-dir]
	hole := &pinhole{from: other.src.Addr(), to: netip.AddrPortFrom(other.dst.Addr(), says.addr.Port())}
	if f.translated() {
		// As nf_nat_follow_master: it is translated as the control connection is.
		hole.becomes.from = f.arrives[dir].dst.Addr()
		hole.becomes.to = netip.AddrPortFrom(own, says.addr.Port())
		if says.mode != EPSV {
			says.addr = hole.to
		}
	}
	f.expects = hole
	says.helped = append(says.helped, m.Name)
	return ""
}
