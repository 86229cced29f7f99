package doors

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"time"

	"github.com/pires/go-proxyproto"
)

// Balanced is a door for clients who come by way of load balancers. From those
// networks that are trusted every connection must begin with a header of the PROXY
// protocol, version 1 or 2; the client is whom it names. Others are taken as they
// are: a header from them is nothing but an odd command.
func Balanced(l net.Listener, trusted []netip.Prefix, log *slog.Logger) net.Listener {
	return newLobby(l, log, func(c *Conn) (*Conn, error) {
		if !within(trusted, addrPort(c.RemoteAddr()).Addr()) {
			return c, nil
		}
		client, reached, err := readHeader(c)
		if err != nil {
			return nil, err
		}
		c.client, c.reached = client, reached
		return c, nil
	})
}

// Accepted reads the header in front of a data connection, and returns the true
// peer; that is who seems to be if the connection is not from a balancer. It reads
// not a byte beyond the header. It fits gateway.Options.Accepted.
func Accepted(trusted []netip.Prefix) func(context.Context, *net.TCPConn) (netip.AddrPort, error) {
	return func(ctx context.Context, c *net.TCPConn) (netip.AddrPort, error) {
		peer := addrPort(c.RemoteAddr())
		if !within(trusted, peer.Addr()) {
			return peer, nil
		}
		by, ok := ctx.Deadline()
		if most := time.Now().Add(patience); !ok || by.After(most) {
			by = most
		}
		if err := c.SetReadDeadline(by); err != nil {
			return peer, err
		}
		defer context.AfterFunc(ctx, func() {
			_ = c.SetReadDeadline(time.Unix(1, 0)) // wakes up who reads
		})()
		client, _, err := readHeader(c)
		if err != nil {
			return peer, err
		}
		if client.IsValid() {
			peer = client
		}
		return peer, c.SetReadDeadline(time.Time{})
	}
}

// Announce tells a server by a header of the PROXY protocol, version 1 or 2, who
// the client is and at which address of ours he called. A client that is not valid
// means that the gateway itself calls, to see whether the server works.
func Announce(to io.Writer, version int, client, local netip.AddrPort) error {
	if version != 1 && version != 2 {
		return fmt.Errorf("PROXY protocol version %d: want 1 or 2", version)
	}
	h := &proxyproto.Header{Version: byte(version), Command: proxyproto.LOCAL, TransportProtocol: proxyproto.UNSPEC}
	if client.IsValid() && local.IsValid() {
		src, dst := client.Addr().Unmap().WithZone(""), local.Addr().Unmap().WithZone("")
		h.Command, h.TransportProtocol = proxyproto.PROXY, proxyproto.TCPv4
		if src.Is6() || dst.Is6() { // one family for both: IPv4 is written inside IPv6
			h.TransportProtocol = proxyproto.TCPv6
		}
		h.SourceAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(src, client.Port()))
		h.DestinationAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(dst, local.Port()))
	}
	b, err := h.Format()
	if err == nil {
		_, err = to.Write(b) // in one piece: some receivers want it so
	}
	if err != nil {
		return fmt.Errorf("PROXY header for %v: %w", client, err)
	}
	return nil
}

const (
	// maxLine is the longest header of version 1, maxBlock what follows the fixed
	// part of version 2 at most: addresses and what balancers like to add.
	maxLine  = 107
	maxBlock = 2048
	fixed    = 16
)

var errHeader = errors.New("no header of the PROXY protocol, which a trusted balancer must send")

// readHeader reads a header and not a byte more: what follows is the client's. Who
// is who stays invalid if the balancer speaks for itself (LOCAL, UNKNOWN).
func readHeader(r io.Reader) (client, reached netip.AddrPort, err error) {
	// The shortest header of either version is longer than this.
	b := make([]byte, len(proxyproto.SIGV2), maxLine)
	if n, err := io.ReadAtLeast(r, b, 1); err != nil {
		return client, reached, fmt.Errorf("%w: %w", errHeader, err)
	} else if b[0] != proxyproto.SIGV1[0] && b[0] != proxyproto.SIGV2[0] {
		return client, reached, errHeader
	} else if _, err := io.ReadFull(r, b[n:]); err != nil {
		return client, reached, fmt.Errorf("%w: %w", errHeader, err)
	}
	switch {
	case bytes.Equal(b, proxyproto.SIGV2):
		b = b[:fixed]
		if _, err := io.ReadFull(r, b[len(proxyproto.SIGV2):]); err != nil {
			return client, reached, fmt.Errorf("PROXY header is cut: %w", err)
		}
		size := binary.BigEndian.Uint16(b[fixed-2:])
		if size > maxBlock {
			return client, reached, fmt.Errorf("PROXY header of %d bytes: want %d at most", size, maxBlock)
		}
		b = append(b, make([]byte, size)...)
		if _, err := io.ReadFull(r, b[fixed:]); err != nil {
			return client, reached, fmt.Errorf("PROXY header is cut: %w", err)
		}
	case bytes.HasPrefix(b, proxyproto.SIGV1):
		for b[len(b)-1] != '\n' {
			if len(b) == maxLine {
				return client, reached, fmt.Errorf("PROXY header: no end of line within %d bytes", maxLine)
			}
			b = b[:len(b)+1]
			if _, err := io.ReadFull(r, b[len(b)-1:]); err != nil {
				return client, reached, fmt.Errorf("PROXY header is cut: %w", err)
			}
		}
		if bytes.IndexByte(b, '\n') != len(b)-1 {
			return client, reached, errHeader
		}
	default:
		return client, reached, errHeader
	}
	h, err := proxyproto.Read(bufio.NewReaderSize(bytes.NewReader(b), len(b)))
	if err != nil {
		return client, reached, fmt.Errorf("PROXY header: %w", err)
	}
	if h.Command == proxyproto.LOCAL {
		return client, reached, nil
	}
	src, dst, ok := h.TCPAddrs()
	if !ok {
		return client, reached, errors.New("PROXY header: not of a TCP connection")
	}
	return addrPort(src), addrPort(dst), nil
}

// within tells whether an address is in one of the networks.
func within(nets []netip.Prefix, a netip.Addr) bool {
	for _, n := range nets {
		if n.Contains(a) {
			return true
		}
	}
	return false
}

// addrPort is the address of one end of a TCP connection, with IPv4 as IPv4.
func addrPort(a net.Addr) netip.AddrPort {
	t, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	ap := t.AddrPort()
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}
