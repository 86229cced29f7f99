package main

import (
	"fmt"
	"os"
	"path"
	"strings"

	"github.com/spf13/cobra"
)

func mvCommand() *cobra.Command {
	v := &clientFlags{}
	return clientCommand(cobra.Command{
		Use:   "mv [flags] URL NEW",
		Short: "Rename a file on a server, or move it there",
		Long: `Renames. NEW is a name in the same directory, or a URL on the same server; one
that ends in a slash is a directory, in which the name stays. What happens if
NEW is there already is up to the server.`,
		Example: `  towpath mv ftp://alice@ftp.example.org/a.txt b.txt
  towpath mv ftp://alice@ftp.example.org/a.txt ftp://alice@ftp.example.org/old/`,
		Args: wantsTwo,
	}, v, func(c *cobra.Command, args []string) error {
		s, ctx, err := v.visit(c.Context(), os.Stderr)
		if err != nil {
			return err
		}
		defer s.close()
		isURL := strings.Contains(args[1], "://") || v.guest != nil
		urls, err := s.parse(args[:1])
		if isURL {
			urls, err = s.parse(args)
		}
		if err != nil {
			return err
		}
		from, err := named(urls[0], "mv")
		if err != nil {
			return err
		}
		var to string
		switch {
		case !isURL && (strings.Contains(args[1], "/") || args[1] == "" || args[1] == "." || args[1] == ".."):
			return misuse("%q is no name; write one without slashes, or a URL", args[1])
		case !isURL:
			to = args[1]
			if dir := path.Dir(from); dir != "." {
				to = path.Join(dir, to)
			}
		default:
			a, b := urls[0], urls[1]
			if a.Scheme != b.Scheme || a.Addr() != b.Addr() || b.User != "" && a.User != b.User {
				return misuse("%v and %v are not on the same server by the same login; get and put carry files from one to another", a, b)
			}
			if b.IsDir() {
				b = b.Join(path.Base(from))
			}
			to = remotePath(b)
		}
		remote, err := s.client(ctx, urls[0])
		if err != nil {
			return err
		}
		return remote.Rename(ctx, from, to)
	})
}

func wantsTwo(c *cobra.Command, args []string) error {
	if len(args) != 2 {
		return fmt.Errorf("mv wants a URL and the new name, and got %d arguments", len(args))
	}
	return nil
}
