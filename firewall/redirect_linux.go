package firewall

import (
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"

	route "github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// Install puts the rules into the kernel. It needs CAP_NET_ADMIN in its network
// namespace. Closing takes them away, and connections that were taken go on.
//
// The table goes with the process, however it ends. The routes of a transparent
// redirection stay when it is killed: they are for packets with a mark that only
// the table gives. The next Install with the same numbers takes them over, or
// away if it is not transparent. Two redirections share them if they have the same
// numbers; while a table of another process stands whose name ends as that of
// this one does, they are left to it.
func (r Redirection) Install() (io.Closer, error) {
	r, err := r.withDefaults()
	if err != nil {
		return nil, err
	}
	own, err := r.table().own(r.NetNS)
	if err != nil {
		return nil, err
	}
	done := &redirected{own: own}
	if err := done.lead(r); err != nil {
		return nil, errors.Join(err, done.Close())
	}
	return done, nil
}

// redirected is a redirection in the kernel.
type redirected struct {
	own    *ownTable
	handle *route.Handle
	rules  []*route.Rule
	routes []*route.Route
}

// lead has the kernel take marked packets for its own, whatever their
// destination, if the redirection is transparent; if not, no more.
func (d *redirected) lead(r Redirection) (err error) {
	if r.NetNS != 0 {
		d.handle, err = route.NewHandleAt(netns.NsHandle(r.NetNS))
	} else {
		d.handle, err = route.NewHandle()
	}
	if err != nil {
		return fmt.Errorf("netlink socket for routes: %w", err)
	}
	lo, err := d.handle.LinkByName("lo")
	switch {
	case err == nil:
	case !r.Transparent:
		return nil
	default:
		return fmt.Errorf("interface lo: %w", err)
	}
	if !r.Transparent {
		if other, err := d.own.sibling(); other != "" || err != nil {
			return err
		}
	}
	for _, f := range families {
		rule := route.NewRule()
		rule.Family, rule.Mark, rule.Mask, rule.Table = unix.AF_INET, r.Mark, &r.Mark, r.Routes
		all := &net.IPNet{IP: net.IPv4zero.To4(), Mask: net.CIDRMask(0, 32)}
		if f == v6 {
			rule.Family, all = unix.AF_INET6, &net.IPNet{IP: net.IPv6zero, Mask: net.CIDRMask(0, 128)}
		}
		local := &route.Route{
			LinkIndex: lo.Attrs().Index, Dst: all, Table: r.Routes, Type: unix.RTN_LOCAL, Scope: unix.RT_SCOPE_HOST, Family: rule.Family,
		}
		if !r.Transparent {
			_, _ = d.handle.RuleDel(rule), d.handle.RouteDel(local) // of one who was killed; most likely there are none
			continue
		}
		if err := d.handle.RouteReplace(local); err != nil {
			if f == v6 && (errors.Is(err, unix.EAFNOSUPPORT) || errors.Is(err, unix.EACCES) || errors.Is(err, unix.EOPNOTSUPP)) {
				continue // a host without IPv6
			}
			return fmt.Errorf("route local default dev lo table %d: %w", r.Routes, err)
		}
		d.routes = append(d.routes, local)
		// Of one who was killed, or who shares it. The kernel would take a second one.
		there, err := d.handle.RuleListFiltered(rule.Family, rule, route.RT_FILTER_MARK|route.RT_FILTER_MASK|route.RT_FILTER_TABLE)
		if err == nil && len(there) == 0 {
			err = d.handle.RuleAdd(rule)
		}
		if err != nil {
			return fmt.Errorf("rule fwmark %#x lookup %d: %w", r.Mark, r.Routes, err)
		}
		d.rules = append(d.rules, rule)
	}
	return nil
}

// Close takes the rules away, and the routes.
func (d *redirected) Close() error {
	var errs []error
	if d.handle != nil {
		other, err := d.own.sibling()
		if other != "" || err != nil {
			d.rules, d.routes = nil, nil
		}
		errs = append(errs, err)
		for _, rule := range d.rules {
			errs = append(errs, d.handle.RuleDel(rule))
		}
		for _, r := range d.routes {
			errs = append(errs, d.handle.RouteDel(r))
		}
		d.handle.Close()
		d.handle, d.rules, d.routes = nil, nil, nil
	}
	if d.own != nil {
		errs = append(errs, d.own.Close())
		d.own = nil
	}
	return errors.Join(errs...)
}

// Transparent is the Control of a [net.ListenConfig] or [net.Dialer] whose
// sockets take connections to any address, or call from any. It needs
// CAP_NET_ADMIN.
func Transparent(network, _ string, c syscall.RawConn) error {
	level, option := unix.IPPROTO_IP, unix.IP_TRANSPARENT
	if network == "tcp6" { // for both families, if the socket is
		level, option = unix.IPPROTO_IPV6, unix.IPV6_TRANSPARENT
	}
	var serr error
	err := c.Control(func(fd uintptr) { serr = unix.SetsockoptInt(int(fd), level, option, 1) })
	if err := errors.Join(err, serr); errors.Is(err, unix.EPERM) {
		return fmt.Errorf("transparent socket: it needs CAP_NET_ADMIN: %w", err)
	} else if err != nil {
		return fmt.Errorf("transparent socket: %w", err)
	}
	return nil
}
