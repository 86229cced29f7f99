package main

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"towpath/firewall"
	"towpath/ftpserver"
	"towpath/internal/config"
	"towpath/internal/config/foreign"
)

// ruleFacts is what "doctor rules" is told beside the settings of the server.
type ruleFacts struct {
	side, format, mode string
	inside, clients    []string
}

func doctorRulesCommand() *cobra.Command {
	var facts ruleFacts
	var list bool
	cmd := &cobra.Command{
		Use:   "rules",
		Short: "Write what a firewall must let through, in its own language",
		Long: `Writes what a firewall must let through for a server, ready to be pasted, with
the reason above each rule and how all of it is removed.

The ports are those of the server's configuration, which is found as serve finds
it, or is that of another server (--config /etc/vsftpd.conf); flags win over it.
--side says where the firewall stands: on the server, on
a router before it, or on the client. A router must be told the address of the
server by --inside, and by --external the one that it translates (NAT) to that;
so must a client that lets active mode in. Nothing is changed on this machine.`,
		Example: `  towpath doctor rules --for ufw --passive-ports 50000-50100
  towpath doctor rules --config /etc/towpath/towpath.toml --clients 10.0.0.0/8
  towpath doctor rules --config /etc/vsftpd.conf --for iptables
  towpath doctor rules --for ios --side router --external 203.0.113.7 --inside 192.168.1.5
  towpath doctor rules --list`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if list {
				return listFormats(c.OutOrStdout())
			}
			src := config.Sources{Environ: os.Environ(), Flags: c.Flags()}
			if name, theirs := foreignFile(c.Flags()); theirs {
				m, err := foreign.Read(name, "")
				if err != nil {
					return exit(exitConfig, err)
				}
				for _, line := range m.Wrong("listen", "passive.", "active.", "tls.") {
					fmt.Fprintf(c.ErrOrStderr(), "towpath: %s\n", line)
				}
				base := m.Config()
				src = config.Sources{Base: &base, Flags: c.Flags()}
			}
			settings, err := config.Load(src)
			if err != nil {
				return exit(exitConfig, err)
			}
			return writeRules(c.OutOrStdout(), c.ErrOrStderr(), settings, facts)
		},
	}
	config.BindFlags(cmd.Flags(), "listen", "passive.enable", "passive.ports", "passive.external",
		"active.enable", "active.port", "tls.implicit")
	f := cmd.Flags()
	f.StringVar(&facts.format, "for", "nftables", "write for this `FIREWALL`; --list shows which there are. --format is the same")
	f.StringVar(&facts.side, "side", string(firewall.AtServer), "where the firewall stands: on the server, on a router before it, or on the client (`server|router|client`)")
	f.StringVar(&facts.mode, "mode", "", "which modes to let through: `active|passive|both`; else those that the configuration allows")
	f.StringArrayVar(&facts.inside, "inside", nil, "the server's own `ADDRESS`, else that of --listen, else none; may be repeated. --server is the same")
	f.StringArrayVar(&facts.clients, "clients", nil, "let only clients of this network in, as `CIDR`; may be repeated")
	f.BoolVar(&list, "list", false, "list the firewalls that can be written for")
	complete(cmd, "for", formats())
	f.SetNormalizeFunc(func(_ *pflag.FlagSet, name string) pflag.NormalizedName {
		switch name {
		case "format":
			name = "for"
		case "server":
			name = "inside"
		}
		return pflag.NormalizedName(name)
	})
	return cmd
}

func listFormats(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, f := range firewall.Formats {
		sides := make([]string, len(f.Sides))
		for i, s := range f.Sides {
			sides[i] = string(s)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\n", f.Name, f.Title, strings.Join(sides, ", "))
	}
	return w.Flush()
}

// writeRules writes the rules for a server with these settings.
func writeRules(out, notes io.Writer, settings *config.Settings, facts ruleFacts) error {
	format, err := firewall.FormatNamed(facts.format)
	if err != nil {
		return fmt.Errorf("--for: %w", err)
	}
	side := firewall.Side(facts.side)
	server, err := rulesServer(settings, side, facts)
	if err != nil {
		return err
	}
	if settings.Passive.Ports == (ftpserver.PortRange{}) && !server.Passive.Any() {
		fmt.Fprintf(notes, "towpath: passive.ports is any, so %v must all be open; --passive-ports 50000-50100 makes it fewer\n", server.Passive)
	}
	set, err := server.Plan(side)
	if err != nil {
		return err
	}
	return format.Write(out, set)
}

// rulesServer joins the settings with what was said beside them.
func rulesServer(settings *config.Settings, side firewall.Side, facts ruleFacts) (firewall.Server, error) {
	s := firewall.Server{Active: settings.Active.Enable, ActivePort: uint16(settings.Active.Port)}
	passive := settings.Passive.Enable
	switch facts.mode {
	case "":
	case "active":
		s.Active, passive = true, false
	case "passive":
		s.Active, passive = false, true
	case "both":
		s.Active, passive = true, true
	default:
		return s, fmt.Errorf("--mode %s: not known; write active, passive or both", facts.mode)
	}
	if passive {
		r := settings.Passive.Ports
		if r == (ftpserver.PortRange{}) {
			r = ftpserver.DynamicPorts
		}
		s.Passive = firewall.Ports{Low: r.Low, High: r.High}
	}
	implicit := []string{settings.TLS.Implicit}
	if settings.TLS.Implicit == "" {
		implicit = nil
	}
	everywhere := false
	for _, l := range []struct {
		addresses []string
		ports     *[]uint16
	}{{settings.Listen, &s.Control}, {implicit, &s.Implicit}} {
		for _, at := range l.addresses {
			host, number, err := net.SplitHostPort(at)
			if err != nil {
				return s, err
			}
			port, err := strconv.ParseUint(number, 10, 16)
			if err != nil {
				return s, err
			}
			if !slices.Contains(*l.ports, uint16(port)) { // two addresses can have one port
				*l.ports = append(*l.ports, uint16(port))
			}
			if a, err := netip.ParseAddr(host); err == nil && !a.IsUnspecified() {
				s.Inside = append(s.Inside, a.Unmap().WithZone(""))
			} else {
				everywhere = true
			}
		}
	}
	if everywhere {
		s.Inside = nil
	}
	if len(facts.inside) > 0 {
		s.Inside = nil
	}
	for _, text := range facts.inside {
		a, err := netip.ParseAddr(text)
		if err != nil {
			return s, fmt.Errorf("--inside %s: not an IP address", text)
		}
		s.Inside = append(s.Inside, a)
	}
	slices.SortFunc(s.Inside, netip.Addr.Compare)
	s.Inside = slices.Compact(s.Inside)
	for _, text := range facts.clients {
		net, err := parseNetwork(text)
		if err != nil {
			return s, fmt.Errorf("--clients %w", err)
		}
		s.Clients = append(s.Clients, net)
	}
	if side == firewall.AtServer {
		return s, nil // its filter sees no address but its own
	}
	for _, t := range settings.Passive.External {
		if len(t.Clients) > 0 {
			continue // those are told another address because no NAT is between
		}
		a, err := netip.ParseAddr(t.Address)
		if err != nil {
			return s, fmt.Errorf("the external address is %s, and rules need a number; name it by --external", t.Address)
		}
		if a = a.Unmap(); !slices.Contains(s.Inside, a) && !slices.Contains(s.External, a) {
			s.External = append(s.External, a)
		}
	}
	if side == firewall.AtRouter && len(s.External) > 0 && len(s.Inside) == 0 {
		return s, fmt.Errorf("external address %v: name by --inside the address that it leads to", s.External[0])
	}
	return s, nil
}

// parseNetwork reads a network, or one host.
func parseNetwork(s string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(s); err == nil && a.Zone() == "" {
		return netip.PrefixFrom(a.Unmap(), a.Unmap().BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return p, fmt.Errorf("%s: not a network; write it as 10.0.0.0/8 or 2001:db8::/32", s)
	}
	return p, nil
}
