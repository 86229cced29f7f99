package gateway

import (
	"net"
	"net/netip"
)

// arrived is what a connection tells of its client. Doors (package
// gateway/doors) yield connections that know more than their two ends.
func arrived(c net.Conn) Visitor {
	v := Visitor{Client: endpoint(c.RemoteAddr()), Local: endpoint(c.LocalAddr())}
	if d, ok := c.(interface{ Original() netip.AddrPort }); ok {
		v.Original = d.Original()
	}
	if d, ok := c.(interface{ Reached() netip.AddrPort }); ok {
		v.Reached = d.Reached()
	}
	if d, ok := c.(interface{ Wanted() string }); ok {
		v.Wanted = d.Wanted()
	}
	return v
}

// endpoint is one end of a TCP connection, with IPv4 as IPv4.
func endpoint(a net.Addr) netip.AddrPort {
	t, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	ap := t.AddrPort()
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}

// called is where the client called, as he sees it.
func (v *Visitor) called() netip.AddrPort {
	if v.Reached.IsValid() {
		return v.Reached
	}
	return v.Local
}
