package firewall

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Probe tries each plane in the network namespace of the process, in tables of
// its own that touch no connection but one to itself, and takes all back. The
// ports are those of control connections.
func Probe(ctx context.Context, ports ...uint16) Planes {
	name := fmt.Sprintf("towpath_probe_%d", os.Getpid())
	nowhere := Redirection{Table: name, To: 1, Interfaces: []string{"towpath-probe"}} // no such interface
	redirect, through := nowhere, nowhere
	through.Transparent = true
	p := Planes{
		Conntrack:   missing(probeConntrack(ctx, name)),
		Netfilter:   missing(probeNetfilter(ctx, name)),
		Redirect:    missing(probeTable(redirect)),
		Transparent: missing(errors.Join(probeTable(through), probeTransparent(ctx))),
	}
	s, err := ReadStanding(0)
	if err != nil {
		p.Standing = err
		return p
	}
	for _, port := range ports {
		if s.Helped(In, port) == Admitted || s.Helped(Out, port) == Admitted {
			p.Helped = append(p.Helped, port)
		}
	}
	return p
}

func probeNetfilter(ctx context.Context, name string) error {
	n, err := OpenNetfilter(NetfilterOptions{Table: name})
	if err != nil {
		return err
	}
	hole, err := n.Open(ctx, Pinhole{
		From: netip.MustParseAddr("192.0.2.1"), Via: netip.MustParseAddrPort("192.0.2.2:1"), // RFC 5737: nobody's
		To: netip.MustParseAddrPort("192.0.2.3:1"), As: netip.MustParseAddrPort("192.0.2.4:0"), Life: time.Second,
	})
	if err == nil {
		err = hole.Close()
	}
	return errors.Join(err, n.Close())
}

// ownPatience is how long a connection of this host to itself may take. A start
// that waits as long as TCP does, minutes, looks like one that hangs.
const ownPatience = 3 * time.Second

// probeConntrack has a real control connection, for nothing less takes
// expectations.
func probeConntrack(ctx context.Context, name string) error {
	var config net.ListenConfig
	l, err := config.Listen(ctx, "tcp4", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer func() { _ = l.Close() }() // it only had to listen
	at := l.Addr().(*net.TCPAddr).AddrPort()
	c, err := OpenConntrack(ConntrackOptions{Table: name, Ports: []uint16{at.Port()}})
	if err != nil {
		return err
	}
	err = func() error {
		d := net.Dialer{Timeout: ownPatience}
		control, err := d.DialContext(ctx, "tcp4", at.String())
		if e, ok := errors.AsType[net.Error](err); ok && e.Timeout() {
			return fmt.Errorf("a control connection of its own: a filter here drops what this host says to itself; the rule \"iif lo accept\" lets it in: %w", err)
		}
		if err != nil {
			return fmt.Errorf("a control connection of its own: %w", err)
		}
		defer func() { _ = control.Close() }() // nothing was said
		from := control.LocalAddr().(*net.TCPAddr).AddrPort()
		hole, err := c.Open(ctx, Pinhole{
			From: from.Addr(), Via: netip.AddrPortFrom(at.Addr(), 1), To: netip.AddrPortFrom(at.Addr(), 2),
			Control: [2]Flow{{}, {from, at}}, Life: time.Second,
		})
		if err != nil {
			return err
		}
		return hole.Close()
	}()
	return errors.Join(err, c.Close())
}

// probeTable makes the table of a redirection; its routes are not tried, which
// others would see.
func probeTable(r Redirection) error {
	r, err := r.withDefaults()
	if err != nil {
		return err
	}
	own, err := r.table().own(0)
	if err != nil {
		return err
	}
	return own.Close()
}

func probeTransparent(ctx context.Context) error {
	l, err := (&net.ListenConfig{Control: Transparent}).Listen(ctx, "tcp4", "127.0.0.1:0")
	if err != nil {
		return err
	}
	return l.Close()
}

// missing says in words what an error of the kernel means.
func missing(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES):
		if contained() {
			return fmt.Errorf("%w; in a container: run it with --cap-add NET_ADMIN", err)
		}
		return fmt.Errorf("%w; run it as root, or with CAP_NET_ADMIN", err)
	case errors.Is(err, unix.EPROTONOSUPPORT):
		return fmt.Errorf("%w; the kernel has no nftables (module nf_tables)", err)
	case errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EOPNOTSUPP):
		return fmt.Errorf("%w; the kernel lacks a part of it (modules nf_conntrack_netlink, nft_ct, nft_nat, nft_redir, nft_tproxy, nft_socket)", err)
	}
	return err
}

// contained says whether the process runs in a container, by what the programs
// leave there that make them.
func contained() bool {
	for _, name := range []string{"/.dockerenv", "/run/.containerenv"} {
		if _, err := os.Stat(name); err == nil {
			return true
		}
	}
	return os.Getenv("container") != "" || os.Getenv("KUBERNETES_SERVICE_HOST") != ""
}
