package main

import (
	"context"
	"io/fs"
	"strconv"

	"github.com/spf13/cobra"

	"towpath/ftpclient"
)

func chmodCommand() *cobra.Command {
	v := &clientFlags{}
	return clientCommand(cobra.Command{
		Use:   "chmod [flags] MODE URL...",
		Short: "Change the permissions of files on a server",
		Long: `Sets permissions by SITE CHMOD, where the server has it. MODE is octal, 000 to
777.`,
		Example: `  towpath chmod 644 ftp://alice@ftp.example.org/a.txt ftp://alice@ftp.example.org/b.txt`,
		Args:    wants(2, "a mode such as 644, and a URL"),
	}, v, func(c *cobra.Command, args []string) error {
		mode, err := strconv.ParseUint(args[0], 8, 32)
		if err != nil || mode > 0o777 {
			return misuse("mode %q: want three octal digits, 000 to 777", args[0])
		}
		return v.each(c, args[1:], func(ctx context.Context, c *ftpclient.Client, name string) error {
			return c.Chmod(ctx, name, fs.FileMode(mode))
		})
	})
}
