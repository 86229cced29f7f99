package doors

import (
	"fmt"
	"log/slog"
	"net"
	"net/netip"
)

// Redirected is a door for clients whom a rule of the packet filter has led here:
// by REDIRECT or another destination NAT on this machine, or by TPROXY. Their
// [Conn.Original] is where they wanted to go. Who came straight has none.
func Redirected(l net.Listener, log *slog.Logger) net.Listener {
	own := addrPort(l.Addr())
	return &redirected{l, own, log}
}

type redirected struct {
	net.Listener
	own netip.AddrPort
	log *slog.Logger
}

// Accept implements [net.Listener].
func (r *redirected) Accept() (net.Conn, error) {
	for {
		raw, err := r.Listener.Accept()
		if err != nil {
			return nil, err
		}
		c, err := through(raw)
		if err == nil {
			err = r.find(c)
		}
		if err == nil {
			return c, nil
		}
		if r.log != nil {
			r.log.Warn("where a client wanted to go cannot be found out", "client", raw.RemoteAddr(), "err", err)
		}
		_ = raw.Close() // nobody can serve it
	}
}

// find learns where c wanted to go.
func (r *redirected) find(c *Conn) error {
	local := addrPort(c.LocalAddr())
	to, err := originalDestination(c.TCPConn, local.Addr().Is4())
	if err != nil {
		return err
	}
	if to.IsValid() && to != local {
		c.original = to
		return nil
	}
	// TPROXY changes nothing: our own end has the address that was wanted, and
	// perhaps a port where we do not listen at all.
	if local.Port() == r.own.Port() && ours(local.Addr()) {
		return nil
	}
	c.original = local
	if !ours(local.Addr()) {
		own, err := towards(addrPort(c.TCPConn.RemoteAddr()))
		if err != nil {
			return err
		}
		c.local = netip.AddrPortFrom(own, r.own.Port())
	}
	return nil
}

// towards is the address of ours by which we reach a host. Nothing is sent.
func towards(to netip.AddrPort) (netip.Addr, error) {
	u, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(to))
	if err != nil {
		return netip.Addr{}, fmt.Errorf("the way back to the client: %w", err)
	}
	own := u.LocalAddr().(*net.UDPAddr).AddrPort().Addr().Unmap()
	return own, u.Close()
}

// ours tells whether this host has an address. When that cannot be known it is
// taken for ours, and nobody is led there.
func ours(ip netip.Addr) bool {
	if ip.IsLoopback() {
		return true
	}
	all, err := net.InterfaceAddrs()
	if err != nil {
		return true
	}
	for _, a := range all {
		if n, ok := a.(*net.IPNet); ok {
			if own, ok := netip.AddrFromSlice(n.IP); ok && own.Unmap() == ip.WithZone("") {
				return true
			}
		}
	}
	return false
}
