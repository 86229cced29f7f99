package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"towpath/firewall"
)

// plane is what carries clear data, and opens the way for data connections.
type plane struct {
	// opener is nil if the process carries all data. name is for the
	// operator.
	opener firewall.Opener
	name   string
	// redirect opens the way to us for data connections of redirected clients.
	redirect firewall.Opener
	// notes are for the operator.
	notes   []string
	closers []io.Closer
}

// openPlane looks at what the kernel lets us do, and takes what the flags want.
func (g *gatewayService) openPlane(ctx context.Context, v *gatewayFlags) error {
	if v.data == "user" && !v.transparent {
		return nil
	}
	n, err := firewall.OpenNetfilter(v.pinholes())
	switch {
	case err == nil:
		g.plane.closers = append(g.plane.closers, n)
	case errors.Is(err, firewall.ErrTaken):
		return fmt.Errorf("%w; end that, or give this gateway tables of its own (--table %s_two), or none (--data user)", err, firewall.DefaultTable)
	case v.data == "kernel":
		return fmt.Errorf("--data kernel: %w", err)
	case v.transparent:
		g.plane.note("rules in the kernel: %v", err)
		g.plane.note("redirected clients are told the address of this machine, and EPSV is refused")
		return nil
	default:
		g.plane.note("the kernel cannot: %v", err)
		return nil
	}
	if v.transparent {
		g.plane.redirect = n
	}
	if v.data != "user" {
		g.plane.opener, g.plane.name = n, "nftables"
		g.expect(ctx, v, n)
	}
	g.plane.note("a firewall here that drops must have the rule: %s", firewall.NetfilterOptions{}.Rule())
	return nil
}

// expect has data connections hang on their control connections if the kernel
// can do that: most firewalls let those in already. What cannot goes by n.
func (g *gatewayService) expect(ctx context.Context, v *gatewayFlags, n firewall.Opener) {
	can := firewall.Probe(ctx, v.controlPorts()...)
	for _, port := range can.Helped {
		g.plane.note("WARNING: the kernel's own FTP helper reads port %d as well, and changes addresses a second time: take its rule away (\"towpath gateway kernel --remove\", if that made it)", port)
	}
	if can.Conntrack == nil {
		c, err := firewall.OpenConntrack(v.expectations())
		if err == nil {
			if err := c.Sweep(); err != nil {
				g.plane.note("what a gateway before this one has opened stays for its seconds: %v", err)
			}
			g.plane.closers = append(g.plane.closers, c)
			g.plane.opener, g.plane.name = firewall.Either(c, n), "conntrack or nftables"
			g.plane.note("a firewall here that drops should have the rule: ct state established,related accept")
			return
		}
		can.Conntrack = err
	}
	g.plane.note("connection tracking takes no expectations: %v", can.Conntrack)
}

// redirect leads clients here, when somebody listens.
func (g *gatewayService) redirect(v *gatewayFlags) error {
	if !v.install {
		return nil
	}
	installed, err := v.redirection().Install()
	if err != nil {
		return fmt.Errorf("--install-rules: %w", err)
	}
	g.plane.closers = append(g.plane.closers, installed)
	return nil
}

func (p *plane) note(format string, args ...any) {
	p.notes = append(p.notes, fmt.Sprintf(format, args...))
}

// redirection is what --install-rules makes.
func (v *gatewayFlags) redirection() firewall.Redirection {
	to, err := strconv.ParseUint(portOf(v.listen[0]), 10, 16)
	if err != nil {
		to = 0 // which the redirection refuses, as it must refuse a port yet to be chosen
	}
	return firewall.Redirection{
		Table: v.table + "_redirect",
		Ports: must(v.dialledPorts()), To: uint16(to),
		Clients: must(prefixes(v.from)), Except: must(prefixes(v.except)), Transparent: v.redirect == "tproxy",
	}
}

// pinholes are for data connections.
func (v *gatewayFlags) pinholes() firewall.NetfilterOptions {
	return firewall.NetfilterOptions{Table: v.table}
}

// expectations are for control connections by all ports that the flags name.
func (v *gatewayFlags) expectations() firewall.ConntrackOptions {
	return firewall.ConntrackOptions{Table: v.table + "_control", Ports: v.controlPorts()}
}

// controlPorts are those that control connections go to, of clients and ours.
func (v *gatewayFlags) controlPorts() []uint16 {
	ports := []uint16{21}
	if v.transparent {
		ports = append(ports, must(v.dialledPorts())...)
	}
	for _, addr := range slices.Concat(v.listen, v.to) {
		where, _, _ := strings.Cut(strings.TrimSpace(addr), " ") // the rest of a server is about it
		if p, err := strconv.ParseUint(portOf(where), 10, 16); err == nil && p != 0 {
			ports = append(ports, uint16(p))
		}
	}
	slices.Sort(ports)
	return slices.Compact(ports)
}

// describe says what carries clear data.
func (p *plane) describe() string {
	if p.opener == nil {
		return "this process"
	}
	return "the kernel (" + p.name + "), and through this process under TLS, between modes, and between IPv4 and IPv6"
}

func (p *plane) close() error {
	var errs []error
	for _, c := range p.closers {
		errs = append(errs, c.Close())
	}
	return errors.Join(errs...)
}

// plan writes what would be put into the kernel, and what an administrator has
// to do himself.
func (v *gatewayFlags) plan(w io.Writer) error {
	if v.data != "user" || v.transparent {
		if _, err := fmt.Fprintln(w, "# Made by the gateway, and gone with it: openings for data connections."); err != nil {
			return err
		}
		if err := v.pinholes().Plan(w); err != nil {
			return err
		}
	}
	if v.data != "user" {
		if _, err := fmt.Fprintln(w, "\n# The same: so that data connections may belong to their control connections."); err != nil {
			return err
		}
		if err := v.expectations().Plan(w); err != nil {
			return err
		}
	}
	if v.install {
		if _, err := fmt.Fprintln(w, "\n# The same: what leads control connections here."); err != nil {
			return err
		}
		if err := v.redirection().Plan(w); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(w, `
# For a firewall of your own that drops, in its chains input and forward:
#   ct state established,related accept
#   %s
# and in input, for control and data connections that end at the gateway:
#   tcp dport { %s } accept
`, firewall.NetfilterOptions{}.Rule(), v.inputPorts())
	return err
}

// inputPorts are those that the gateway is reached at, as nft writes them.
func (v *gatewayFlags) inputPorts() string {
	var ports []string
	if v.redirect == "tproxy" { // packets still name the port that was dialled
		ports = append(ports, v.dialled...)
	}
	for _, a := range append(v.listen, v.implicit, v.socks) {
		if p := portOf(a); a != "" && !slices.Contains(ports, p) {
			ports = append(ports, p)
		}
	}
	return strings.Join(append(ports, v.portRange()), ", ")
}
