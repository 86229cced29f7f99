package main

import (
	"context"
	"errors"
	"strings"

	"github.com/spf13/cobra"

	"towpath/ftp"
	"towpath/ftpclient"
)

func mkdirCommand() *cobra.Command {
	v := &clientFlags{}
	parents := false
	c := clientCommand(cobra.Command{
		Use:   "mkdir [flags] URL...",
		Short: "Make directories on a server",
		Example: `  towpath mkdir ftp://alice@ftp.example.org/new
  towpath mkdir --parents ftp://alice@ftp.example.org/2026/11/21`,
		Args: wants(1, "a URL"),
	}, v, func(c *cobra.Command, args []string) error {
		return v.each(c, args, func(ctx context.Context, c *ftpclient.Client, name string) error {
			if parents {
				return c.MkdirAll(ctx, name)
			}
			err := c.Mkdir(ctx, name)
			if e, ok := errors.AsType[*ftp.Error](err); ok && e.Reply.Code == 550 && strings.Contains(strings.Trim(name, "/"), "/") {
				return &hint{err, "--parents makes those above, if they are missing"}
			}
			return err
		})
	})
	c.Flags().BoolVar(&parents, "parents", false, "make those above, too, and find no fault in what is there (-p is passive mode)")
	return c
}
