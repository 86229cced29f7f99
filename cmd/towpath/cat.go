package main

import (
	"os"

	"github.com/spf13/cobra"

	"towpath/ftpclient"
	"towpath/internal/ftpurl"
)

func catCommand() *cobra.Command {
	v := &clientFlags{}
	return clientCommand(cobra.Command{
		Use:   "cat [flags] URL...",
		Short: "Write files of a server to standard output",
		Example: `  towpath cat ftp://ftp.example.org/README
  towpath cat 'ftp://alice@ftp.example.org/log.txt;type=a' | tail`,
		Args: wants(1, "the URL of a file"),
	}, v, func(c *cobra.Command, args []string) error {
		s, ctx, err := v.visit(c.Context(), os.Stderr)
		if err != nil {
			return err
		}
		defer s.close()
		urls, err := s.parse(args)
		if err != nil {
			return err
		}
		for _, u := range urls {
			if u.IsDir() {
				return misuse("%v is a directory; ls lists it", u)
			}
		}
		for _, u := range urls {
			remote, err := s.client(ctx, u)
			if err == nil {
				var options []ftpclient.GetOption
				if u.Type == ftpurl.ASCII {
					options = append(options, ftpclient.Text())
				}
				_, err = remote.Get(ctx, u.Path, c.OutOrStdout(), options...)
			}
			s.fail(err)
		}
		return s.result()
	})
}
