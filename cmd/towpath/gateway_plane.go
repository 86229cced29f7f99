package main

import (
	"errors"
	"fmt"
	"io"

	"towpath/firewall"
)

// plane is what carries clear data, and opens the way for data connections.
type plane struct {
	// opener is nil if the process carries all data. name is what records call
	// it.
	opener firewall.Opener
	name   string
	// redirect opens the way to us for data connections of redirected clients.
	redirect firewall.Opener
	// notes are for the operator.
	notes   []string
	closers []io.Closer
}

// openPlane looks at what the kernel lets us do, and takes what the flags want.
func (g *gatewayService) openPlane(v *gatewayFlags) error {
	if v.data == "user" && !v.transparent {
		return nil
	}
	n, err := firewall.OpenNetfilter(firewall.NetfilterOptions{})
	switch {
	case err == nil:
		g.plane.closers = append(g.plane.closers, n)
	case v.data == "kernel":
		return fmt.Errorf("--data kernel: %w", err)
	case v.transparent:
		g.plane.notes = append(g.plane.notes, fmt.Sprintf("rules in the kernel: %v", err),
			"redirected clients are told the address of this machine, and EPSV is refused")
		return nil
	default:
		g.plane.notes = append(g.plane.notes, fmt.Sprintf("the kernel cannot: %v", err))
		return nil
	}
	if v.transparent {
		g.plane.redirect = n
	}
	if v.data != "user" {
		g.plane.opener, g.plane.name = n, "nftables"
	}
	g.plane.notes = append(g.plane.notes, "a firewall here that drops must have the rule: "+firewall.NetfilterOptions{}.Rule())
	return nil
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
		if err := (firewall.NetfilterOptions{}).Plan(w); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(w, `
# For a firewall of your own that drops, in its chains input and forward:
#   %s
# and in input, for control and data connections that end at the gateway:
#   tcp dport { %s } accept
`, firewall.NetfilterOptions{}.Rule(), v.inputPorts())
	return err
}

// inputPorts are those that the gateway is reached at, as nft writes them.
func (v *gatewayFlags) inputPorts() string {
	var text string
	for _, a := range append(v.listen, v.implicit, v.socks) {
		if a != "" {
			text += portOf(a) + ", "
		}
	}
	return text + v.portRange()
}
