package main

import (
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/spf13/cobra"

	"towpath/firewall"
)

func gatewayKernelCommand() *cobra.Command {
	var ports []uint
	var install, remove bool
	c := &cobra.Command{
		Use:   "kernel",
		Short: "Have the kernel's own FTP helper read control connections again",
		Long: `For those who want no more than nf_conntrack_ftp back: since Linux 6.0 it reads
no connection unless a rule assigns it. Prints that rule for nftables, what a
firewall of your own must let through, and what the helper cannot do.

--install puts the rule into the kernel, where it stays until --remove or the
next start of the machine. Do not use it together with a gateway on one port.`,
		Example: `  towpath gateway kernel
  towpath gateway kernel --ports 21,2121 > helper.nft
  towpath gateway kernel --install`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			h := firewall.Helper{}
			for _, p := range ports {
				if p < 1 || p > 65535 {
					return exit(exitUsage, fmt.Errorf("--ports %d: want 1 to 65535", p))
				}
				h.Ports = append(h.Ports, uint16(p))
			}
			var err error
			switch {
			case install && remove:
				return exit(exitUsage, errors.New("--install and --remove exclude each other"))
			case install:
				err = h.Install()
			case remove:
				err = h.Remove()
			}
			if err != nil {
				return exit(exitUnavailable, err)
			}
			if remove {
				return nil
			}
			return planHelper(c.OutOrStdout(), h)
		},
	}
	c.Flags().UintSliceVar(&ports, "ports", []uint{21}, "read control connections to these `PORTS`")
	c.Flags().BoolVar(&install, "install", false, "put the rule into the kernel, and print it")
	c.Flags().BoolVar(&remove, "remove", false, "take the rule out of the kernel")
	return c
}

// planHelper writes the rule, and under it what to expect.
func planHelper(w io.Writer, h firewall.Helper) error {
	if err := h.Plan(w); err != nil {
		return err
	}
	lines := slices.Concat([]string{"", "What the helper cannot do:"}, firewall.HelperLimits)
	for _, line := range lines {
		if line != "" {
			line = "# " + line
		}
		if _, err := fmt.Fprintln(w, line); err != nil {
			return err
		}
	}
	return nil
}
