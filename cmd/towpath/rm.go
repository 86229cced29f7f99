package main

import (
	"context"
	"errors"
	"io/fs"

	"github.com/spf13/cobra"

	"towpath/ftp/listing"
	"towpath/ftpclient"
)

func rmCommand() *cobra.Command {
	v := &clientFlags{}
	var r remover
	c := clientCommand(cobra.Command{
		Use:   "rm [flags] URL...",
		Short: "Remove files on a server",
		Long: `Removes files, and with -r directories with all that is in them. Links are
removed and not followed.`,
		Example: `  towpath rm ftp://alice@ftp.example.org/old.txt
  towpath rm -r ftp://alice@ftp.example.org/old/`,
		Args: wants(1, "a URL"),
	}, v, func(c *cobra.Command, args []string) error { return v.each(c, args, r.remove) })
	c.Flags().BoolVarP(&r.recursive, "recursive", "r", false, "remove directories with all that is in them")
	c.Flags().BoolVarP(&r.force, "force", "f", false, "find no fault in what is not there")
	return c
}

type remover struct{ recursive, force bool }

func (r *remover) remove(ctx context.Context, c *ftpclient.Client, name string) error {
	if r.recursive {
		if !r.force { // RemoveAll finds no fault in what is not there
			if _, err := c.Stat(ctx, name); err != nil {
				return err
			}
		}
		return c.RemoveAll(ctx, name)
	}
	err := c.Remove(ctx, name)
	if err == nil || ctx.Err() != nil {
		return err
	}
	e, serr := c.Stat(ctx, name)
	switch {
	case serr == nil && e.Type == listing.Dir:
		return &hint{err, "it is a directory; rmdir removes an empty one, rm -r one with all that is in it"}
	case r.force && (errors.Is(err, fs.ErrNotExist) || errors.Is(serr, fs.ErrNotExist)):
		return nil
	}
	return err
}
