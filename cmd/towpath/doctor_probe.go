package main

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"towpath/doctor/check"
	"towpath/doctor/probe"
	"towpath/ftpclient"
	"towpath/internal/ftpurl"
)

// doctorProbeCommand makes "towpath doctor URL", which looks at a live server.
func doctorProbeCommand() *cobra.Command {
	v := &clientFlags{taken: "v"} // which shows all there
	var idle seconds
	var all bool
	cmd := clientCommand(cobra.Command{
		Use:   "doctor [flags] URL",
		Short: "Say which modes work with a server or in a network, and what must be let through",
		Long: `Look at a live server: try each mode of FTP, in clear text and over TLS, and say
which work from here, why others do not, and what repairs them.

The verdict stands first and last, between them what is wrong or could not be
seen; -v shows all. It logs in as get does, lists the directory of the URL in
each mode, and writes nothing on the server. With ftpes://, ftps:// or
--tls=require nothing is tried in clear text.

The exit status is 0 if all that matters is well, 1 if something is not, and 2
if that cannot be told.`,
		Example: `  towpath doctor ftp://ftp.example.org/
  towpath doctor -v ftpes://alice@ftp.example.org/pub/
  towpath doctor --json ftp://ftp.example.org/
  towpath doctor --idle 2m ftp://ftp.example.org/
  towpath doctor decode '227 Entering Passive Mode (10,0,0,5,195,80).'
  towpath doctor predict --nat client
  towpath doctor rules --for ufw --passive-ports 50000-50100`,
		Args: cobra.MaximumNArgs(1),
	}, v, func(c *cobra.Command, args []string) error {
		if len(args) == 0 {
			return c.Help()
		}
		return v.examine(c, args[0], time.Duration(idle), all)
	})
	f := cmd.Flags()
	f.Var(&idle, "idle", "leave a session silent for this `TIME` as well, and see whether a NAT forgets it")
	f.BoolVarP(&all, "verbose", "v", false, "show what is well, too")
	return cmd
}

// examine looks at the server of a URL.
func (v *clientFlags) examine(c *cobra.Command, arg string, idle time.Duration, all bool) error {
	if !strings.Contains(arg, "://") {
		return misuse("%q is neither a verb of doctor nor a URL; want one such as ftp://HOST/", arg)
	}
	lang, err := spoken(c)
	if err != nil {
		return err
	}
	s, ctx, err := v.visit(c.Context(), os.Stderr)
	if err != nil {
		return exit(doctorUnknown, err)
	}
	defer s.close()
	urls, err := s.parse([]string{arg})
	if err != nil {
		return exit(doctorUnknown, err)
	}
	u := urls[0]
	o, try, err := s.plan(ctx, u)
	if err != nil {
		return exit(doctorUnknown, err)
	}
	if try {
		o.TLS = ftpclient.Plain // both are looked at then
	}
	t := probe.Target{Addr: u.Addr(), Dir: u.Path, Options: o, Idle: idle, Lang: lang}
	if !v.silent && !v.json {
		t.End = func(c check.Check) { fmt.Fprintf(s.notes, "  %s %s\n", c.Answer.Mark(), cmp.Or(c.Title, c.Name)) }
	}
	r, err := probe.Run(ctx, t)
	if err != nil {
		return exit(doctorUnknown, err)
	}
	r.Subject = ftpurl.Format(ftpurl.URL{Scheme: u.Scheme, Host: u.Host, Port: u.Port, Path: u.Path})
	if v.json {
		err = r.WriteJSON(c.OutOrStdout())
	} else {
		err = r.WriteText(c.OutOrStdout(), all)
	}
	if status := r.Status(); err == nil && status != 0 {
		err = exit(status, errors.New("")) // it has all been told
	}
	return err
}
