package lab

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/google/nftables"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"towpath/topology"
)

// world is a network that has been built.
type world struct {
	net      *topology.Network
	hosts    map[string]*host
	switches []*host
}

// build makes hosts, cables, addresses, routes and rules of a network on paper.
func build(n *topology.Network) (w *world, err error) {
	w = &world{net: n, hosts: map[string]*host{}}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("build %s: %w", n.Name, err), w.close())
		}
	}()
	for _, node := range n.Nodes() {
		h, err := newHost(node.Name)
		if err != nil {
			return w, err
		}
		w.hosts[node.Name] = h
		if err := h.behave(n.IsRouter(node.Name)); err != nil {
			return w, err
		}
	}
	for _, l := range n.Links {
		if err := w.lay(l); err != nil {
			return w, err
		}
	}
	for _, node := range n.Nodes() {
		h := w.hosts[node.Name]
		for _, i := range node.Interfaces {
			for _, a := range i.Addresses {
				if err := h.address(i.Name, a); err != nil {
					return w, err
				}
			}
		}
		for _, r := range node.Routes {
			if err := h.route(r); err != nil {
				return w, err
			}
		}
		if node.Idle > 0 {
			if err := h.sysctl("netfilter/nf_conntrack_tcp_timeout_established", strconv.Itoa(whole(time.Duration(node.Idle)))); err != nil {
				return w, err
			}
		}
		if !node.Stateful() {
			continue
		}
		var c *nftables.Conn
		if err := h.do(func() (err error) { c, err = nftables.New(nftables.AsLasting()); return err }); err != nil {
			return w, err
		}
		install(c, node)
		if err := errors.Join(c.Flush(), c.CloseLasting()); err != nil {
			return w, fmt.Errorf("rules of %s: %w", node.Name, err)
		}
	}
	return w, nil
}

func (w *world) close() error {
	var err error
	for _, h := range w.hosts {
		err = errors.Join(err, h.close())
	}
	for _, h := range w.switches {
		err = errors.Join(err, h.close())
	}
	return err
}

// lay joins all interfaces that stand on a link: two by a cable, more by a
// switch.
func (w *world) lay(l topology.Link) error {
	type end struct {
		host *host
		name string
	}
	var ends []end
	for _, node := range w.net.Nodes() {
		for _, i := range node.Interfaces {
			if i.Link == l.Name {
				ends = append(ends, end{w.hosts[node.Name], i.Name})
			}
		}
	}
	if len(ends) == 2 {
		return wire(ends[0].host, ends[0].name, ends[1].host, ends[1].name)
	}
	s, err := newHost(l.Name)
	if err != nil {
		return err
	}
	w.switches = append(w.switches, s)
	var ports []string
	for i, e := range ends {
		port := fmt.Sprintf("port%d", i)
		if err := wire(e.host, e.name, s, port); err != nil {
			return err
		}
		ports = append(ports, port)
	}
	return s.bridge(ports...)
}

// behave switches off what a distribution may have switched on, and what tells
// hosts of shorter ways; routers pass on.
func (h *host) behave(router bool) error {
	type set struct{ name, value string }
	all := []set{
		{"ipv4/conf/all/rp_filter", "0"},
		{"ipv4/conf/default/rp_filter", "0"},
		{"ipv4/conf/all/send_redirects", "0"},
		{"ipv4/conf/default/send_redirects", "0"},
		{"ipv4/conf/all/accept_redirects", "0"},
		{"ipv4/conf/default/accept_redirects", "0"},
		// Else a router asks for no neighbours until it knows that nobody else
		// has its address on the link, for a second or two.
		{"ipv6/conf/all/accept_dad", "0"},
		{"ipv6/conf/default/accept_dad", "0"},
		{"ipv6/conf/default/dad_transmits", "0"},
	}
	if router {
		all = append(all, set{"ipv4/ip_forward", "1"}, set{"ipv6/conf/all/forwarding", "1"})
	}
	for _, s := range all {
		if err := h.sysctl(s.name, s.value); err != nil {
			return err
		}
	}
	return nil
}

// route adds a route.
func (h *host) route(r topology.Route) error {
	to := &netlink.Route{Dst: ipNet(r.To)}
	switch r.Kind {
	case topology.Blackhole:
		to.Type = unix.RTN_BLACKHOLE
	case topology.Unreachable:
		to.Type = unix.RTN_UNREACHABLE
	default:
		to.Gw = net.IP(r.Via.AsSlice())
	}
	if err := h.nl.RouteReplace(to); err != nil {
		return fmt.Errorf("host %s: route to %v: %w", h.name, r.To, err)
	}
	return nil
}
