// Command jlaffaye is a client over github.com/jlaffaye/ftp as most programs use
// it: one session, io.Copy, a walk for a tree.
//
//	jlaffaye get|put|mirror [-tls] ADDR USER PASSWORD REMOTE LOCAL
package main

import (
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"

	"github.com/jlaffaye/ftp"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) == 0 {
		return errors.New("usage: jlaffaye get|put|mirror [-tls] ADDR USER PASSWORD REMOTE LOCAL")
	}
	verb, flags := args[0], flag.NewFlagSet(args[0], flag.ExitOnError)
	secure := flags.Bool("tls", false, "explicit TLS; any certificate will do")
	if err := flags.Parse(args[1:]); err != nil {
		return err
	}
	if flags.NArg() != 5 {
		return fmt.Errorf("%d arguments, want ADDR USER PASSWORD REMOTE LOCAL", flags.NArg())
	}
	addr, remote, local := flags.Arg(0), flags.Arg(3), flags.Arg(4)
	var options []ftp.DialOption
	if *secure {
		host, _, err := net.SplitHostPort(addr)
		if err != nil {
			return err
		}
		options = append(options, ftp.DialWithExplicitTLS(&tls.Config{
			InsecureSkipVerify: true,
			ServerName:         host, // else no session is found again
			ClientSessionCache: tls.NewLRUClientSessionCache(1),
		}))
	}
	c, err := ftp.Dial(addr, options...)
	if err != nil {
		return err
	}
	if err := c.Login(flags.Arg(1), flags.Arg(2)); err != nil {
		return err
	}
	switch verb {
	case "get":
		err = get(c, remote, local)
	case "put":
		err = put(c, remote, local)
	case "mirror":
		err = mirror(c, remote, local)
	default:
		err = fmt.Errorf("%s: want get, put or mirror", verb)
	}
	return errors.Join(err, c.Quit())
}

func get(c *ftp.ServerConn, remote, local string) error {
	r, err := c.Retr(remote)
	if err != nil {
		return err
	}
	f, err := os.Create(local)
	if err != nil {
		return errors.Join(err, r.Close())
	}
	_, err = io.Copy(f, r)
	return errors.Join(err, r.Close(), f.Close())
}

func put(c *ftp.ServerConn, remote, local string) error {
	f, err := os.Open(local)
	if err != nil {
		return err
	}
	return errors.Join(c.Stor(remote, f), f.Close())
}

func mirror(c *ftp.ServerConn, remote, local string) error {
	var files []string // first all names: a session does one thing at a time
	w := c.Walk(remote)
	for w.Next() {
		if w.Stat().Type == ftp.EntryTypeFile {
			files = append(files, w.Path())
		}
	}
	if err := w.Err(); err != nil {
		return err
	}
	for _, name := range files {
		to := filepath.Join(local, strings.TrimPrefix(name, remote))
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			return err
		}
		if err := get(c, name, to); err != nil {
			return err
		}
	}
	return nil
}
