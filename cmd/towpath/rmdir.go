package main

import (
	"context"

	"github.com/spf13/cobra"

	"towpath/ftpclient"
)

func rmdirCommand() *cobra.Command {
	v := &clientFlags{}
	return clientCommand(cobra.Command{
		Use:     "rmdir [flags] URL...",
		Short:   "Remove empty directories on a server",
		Example: `  towpath rmdir ftp://alice@ftp.example.org/old`,
		Args:    wants(1, "a URL"),
	}, v, func(c *cobra.Command, args []string) error {
		return v.each(c, args, func(ctx context.Context, c *ftpclient.Client, name string) error { return c.Rmdir(ctx, name) })
	})
}
