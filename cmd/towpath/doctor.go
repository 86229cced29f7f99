package main

import "github.com/spf13/cobra"

// doctorCommand makes "towpath doctor": what stands between a server and its
// clients.
func doctorCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Say what the network must let through",
		Args:  cobra.NoArgs,
		RunE:  func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	cmd.AddCommand(doctorRulesCommand())
	return cmd
}
