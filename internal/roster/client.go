package roster

import "net/netip"

// Client is whom an address is counted as where limits hold for clients: itself,
// and in IPv6 its /64, all of which one customer has. All hosts of a link share
// the one /64 of link-local addresses, so there each is one.
func Client(a netip.Addr) netip.Addr {
	a = a.Unmap().WithZone("")
	if !a.Is6() || a.IsLinkLocalUnicast() {
		return a
	}
	p, _ := a.Prefix(64) // 64 bits are never too many
	return p.Addr()
}
