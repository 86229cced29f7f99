package main

import (
	"net"

	"github.com/spf13/cobra"
)

func gatewayPlanCommand() *cobra.Command {
	var v gatewayFlags
	c := &cobra.Command{
		Use:   "plan",
		Short: "Print the rules that the gateway would put into the kernel",
		Long: `Prints, for the same flags as those of the gateway, the tables of nftables that
it would make, and what a firewall of your own must let through. Nothing is
changed.`,
		Example: `  towpath gateway plan --to 10.0.0.5
  towpath gateway plan --transparent --install-rules --from 192.168.0.0/16`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			now, err := v.load(c.Flags())
			if err != nil {
				return exit(exitUsage, err)
			}
			return now.plan(c.OutOrStdout())
		},
	}
	v.bind(c.Flags())
	return c
}

// portOf is the port of an address to listen on.
func portOf(addr string) string {
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return addr
	}
	return port
}
