package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"towpath/doctor"
	"towpath/topology"
)

// prediction is the flags of doctor predict.
type prediction struct {
	nat, firewall, at, alg, tls, mode, client string
	json, list, toml                          bool
	svg, html                                 string
}

func doctorPredictCommand() *cobra.Command {
	var p prediction
	cmd := &cobra.Command{
		Use:   "predict [NETWORK]",
		Short: "Predict on paper which modes work",
		Long: `Predict on paper which modes work.

NETWORK is a name of the catalogue (--list shows it) or a file in TOML (--toml
writes one to begin with). Without it the flags draw one: a client 44.1.1.44, a
server 33.1.1.33, and a router between them that translates and filters.

Each packet of a session goes through the network hop by hop: the control
connection, the announcement, and the data connection that it announces. What
fails is told with the hop, with what the user sees, and with the smallest
changes that repair it; each was tried on the changed network.`,
		Example: `  towpath doctor predict --nat client
  towpath doctor predict --nat server --firewall strict --alg on --tls on
  towpath doctor predict --nat client --firewall strict --alg gateway --tls on
  towpath doctor predict docker-bridge --mode pasv --client curl
  towpath doctor predict --list
  towpath doctor predict double-nat --toml > network.toml
  towpath doctor predict network.toml --json
  towpath doctor predict server-inside --svg network.svg --html network.html
  towpath doctor predict server-inside --lang zh-Hans`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return p.run(cmd, args)
		},
	}
	f := cmd.Flags()
	f.StringVar(&p.nat, "nat", "none", "the end behind address translation: `none|client|server` (client: source NAT, server: destination NAT)")
	f.StringVar(&p.firewall, "firewall", "open", "what the firewall lets through: `open|stateful|strict` (strict: port 21 alone, both ways)")
	f.StringVar(&p.at, "firewall-at", "", "the end that the firewall guards: `client|server` (default: that of --nat, else server)")
	f.StringVar(&p.alg, "alg", "off", "who reads announcements on the routers: `off|on|gateway` (on: the kernel's FTP helper; gateway: one that ends TLS too)")
	f.StringVar(&p.tls, "tls", "off", "AUTH TLS: `on|off`")
	f.StringVar(&p.mode, "mode", "all", "send `port|eprt|pasv|epsv|all`")
	f.StringVar(&p.client, "client", "plain", "what the client is like: `plain|curl`; plain believes the address in a 227, curl goes where the control connection went")
	f.BoolVar(&p.json, "json", false, "write JSON")
	f.BoolVar(&p.list, "list", false, "list the catalogue")
	f.BoolVar(&p.toml, "toml", false, "write the network itself, as TOML")
	f.StringVar(&p.svg, "svg", "", "draw the network with the connections on it into `FILE`")
	f.StringVar(&p.html, "html", "", "write drawing and words into `FILE`")
	cmd.ValidArgsFunction = networks
	return cmd
}

func (p *prediction) run(cmd *cobra.Command, args []string) error {
	if p.list {
		return listNetworks(cmd.OutOrStdout())
	}
	n, err := p.network(cmd, args)
	if err != nil {
		return exit(doctorUnknown, err)
	}
	if p.toml {
		text, err := n.Format()
		if err != nil {
			return exit(doctorUnknown, err)
		}
		_, err = cmd.OutOrStdout().Write(text)
		return err
	}
	var cases []doctor.Verdict
	switch mode := doctor.Mode(strings.ToUpper(p.mode)); {
	case mode == "ALL":
		cases = doctor.Predict(n)
	case slices.Contains(doctor.Modes, mode):
		cases = []doctor.Verdict{doctor.PredictMode(n, mode)}
	default:
		return exit(doctorUnknown, fmt.Errorf("--mode %q: want port, eprt, pasv, epsv or all", p.mode))
	}
	lang, err := spoken(cmd)
	if err != nil {
		return err
	}
	r := doctor.NewReport(n, cases).In(lang)
	for _, out := range []struct {
		name  string
		write func(io.Writer) error
	}{{p.svg, r.WriteSVG}, {p.html, r.WriteHTML}} {
		if out.name == "" {
			continue
		}
		if err := writeNew(out.name, out.write); err != nil {
			return exit(doctorUnknown, err)
		}
	}
	write := r.WriteText
	if p.json {
		write = r.WriteJSON
	}
	if err := write(cmd.OutOrStdout()); err != nil {
		return err
	}
	if !r.Works() {
		return exit(doctorFindings, errors.New("")) // it has all been told
	}
	return nil
}

// writeNew writes a file, in place of one that was there.
func writeNew(name string, write func(io.Writer) error) (err error) {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	defer func() {
		err = errors.Join(err, f.Close())
	}()
	return write(f)
}

func listNetworks(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, n := range topology.Catalogue() {
		fmt.Fprintf(t, "%s\t%s\n", n.Name, n.Title)
	}
	return t.Flush()
}

// network reads, looks up or draws the network that is asked about.
func (p *prediction) network(cmd *cobra.Command, args []string) (*topology.Network, error) {
	tls, err := isOn("tls", p.tls)
	if err != nil {
		return nil, err
	}
	gateway := p.alg == "gateway"
	alg := gateway
	if !gateway {
		if alg, err = isOn("alg", p.alg); err != nil {
			return nil, fmt.Errorf("%w, or gateway", err)
		}
	}
	client := topology.ClientKind(p.client)
	if client != topology.Plain && client != topology.Curl {
		return nil, fmt.Errorf("--client %q: want plain or curl", p.client)
	}
	if len(args) == 0 {
		n, err := topology.Textbook{
			NAT: topology.End(p.nat), Firewall: topology.Strength(p.firewall), At: topology.End(p.at),
			ALG: alg, TLS: tls, Client: client,
		}.Network()
		if err == nil && gateway {
			n = n.WithGateway()
		}
		return n, err
	}
	for _, name := range []string{"nat", "firewall", "firewall-at", "alg"} {
		if cmd.Flags().Changed(name) {
			return nil, fmt.Errorf("--%s draws a network, and %s is one already; want the one or the other", name, args[0])
		}
	}
	n, err := readNetwork(args[0])
	if err != nil {
		return nil, err
	}
	if cmd.Flags().Changed("tls") {
		n.Session.TLS = tls
		n.Session.ClearAgain = n.Session.ClearAgain && tls
	}
	if cmd.Flags().Changed("client") {
		n.Node(n.Session.From).Client.Kind = client
	}
	return n, nil
}

func isOn(flag, value string) (bool, error) {
	switch value {
	case "on":
		return true, nil
	case "off":
		return false, nil
	}
	return false, fmt.Errorf("--%s %q: want on or off", flag, value)
}

// readNetwork takes a name of the catalogue, or else a file.
func readNetwork(name string) (*topology.Network, error) {
	if filepath.Ext(name) == "" && filepath.Base(name) == name {
		return topology.Lookup(name)
	}
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	n, err := topology.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return n, nil
}
