package main

import "github.com/spf13/cobra"

// What doctor says by its exit status, beside 0.
const (
	doctorFindings = 1
	doctorUnknown  = 2
)

// doctorCommand makes "towpath doctor": what stands between a server and its
// clients.
func doctorCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Say which modes a network lets work, and what it must let through",
		Args:  cobra.NoArgs,
		RunE:  func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	cmd.AddCommand(doctorDecodeCommand(), doctorPredictCommand(), doctorRulesCommand())
	return cmd
}
