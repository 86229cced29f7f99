package main

import (
	"context"
	"os"

	"github.com/spf13/cobra"

	"towpath/ftpclient"
)

// each runs a verb that does one thing to each path that it is given, and goes
// on behind failures.
func (v *clientFlags) each(c *cobra.Command, args []string, do func(ctx context.Context, c *ftpclient.Client, name string) error) error {
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
		if _, err := named(u, c.Name()); err != nil {
			return err
		}
	}
	for _, u := range urls {
		remote, err := s.client(ctx, u)
		if err == nil {
			err = do(ctx, remote, remotePath(u))
		}
		s.fail(err)
		if ctx.Err() != nil {
			break
		}
	}
	return s.result()
}
