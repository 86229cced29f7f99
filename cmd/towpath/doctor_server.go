package main

import (
	"errors"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"towpath/doctor/check"
	"towpath/doctor/serverside"
	"towpath/internal/config"
	"towpath/internal/config/foreign"
)

func doctorServerCommand() *cobra.Command {
	var all, asJSON bool
	cmd := &cobra.Command{
		Use:   "server",
		Short: "Look at a server from its own side",
		Long: `Look at a server from its own side: at its settings, and at the machine that it
runs on. Run it there, as root to know all of it.

--config names settings of Towpath, which else are found as serve finds them, or
those of another server: vsftpd.conf, proftpd.conf, or what Pure-FTPd has. It
looks at the addresses that the server listens on, those that clients are told,
the range of passive mode, who has these ports, what the rules of nftables and
iptables let in, the FTP helper of the kernel, and certificates. Nothing is
changed.

The exit status is 0 when all is well, 1 when something was found, and 2 when
something that matters could not be told.`,
		Example: `  towpath doctor server
  towpath doctor server --config /etc/vsftpd.conf
  towpath doctor server --config /etc/proftpd/proftpd.conf --json
  towpath doctor server --external 203.0.113.7 --passive-ports 50000-50100 -v`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			lang, err := spoken(c)
			if err != nil {
				return err
			}
			s, err := serverSubject(c)
			if err != nil {
				return exit(doctorUnknown, err)
			}
			r := serverside.Look(c.Context(), s, serverside.This(), serverside.Options{Lang: lang})
			if asJSON {
				err = r.WriteJSON(c.OutOrStdout())
			} else {
				err = r.WriteText(c.OutOrStdout(), all)
			}
			if err != nil {
				return err
			}
			return reportStatus(r)
		},
	}
	config.BindFlags(cmd.Flags(), "listen", "passive.ports", "passive.external", "tls.implicit", "tls.cert", "tls.key")
	cmd.Flags().BoolVarP(&all, "verbose", "v", false, "show also what is well")
	cmd.Flags().BoolVar(&asJSON, "json", false, "write JSON")
	return cmd
}

// reportStatus makes the exit status that a report of checks asks for.
func reportStatus(r *check.Report) error {
	if s := r.Status(); s != 0 {
		return exit(s, errors.New("")) // it has all been told
	}
	return nil
}

// foreignFile is what --config names if that is no file of ours but one of another
// server: its name does not end as ours do.
func foreignFile(f *pflag.FlagSet) (string, bool) {
	name := f.Lookup(config.ConfigFlag)
	return name.Value.String(), name.Changed && filepath.Ext(name.Value.String()) != ".toml"
}

// serverSubject reads the settings, ours or those of another server.
func serverSubject(c *cobra.Command) (serverside.Subject, error) {
	if name, theirs := foreignFile(c.Flags()); theirs {
		m, err := foreign.Read(name, "")
		if err != nil {
			return serverside.Subject{}, err
		}
		return serverside.Theirs(name, m), nil
	}
	settings, err := config.Load(config.Sources{Environ: os.Environ(), Flags: c.Flags()})
	if _, told := errors.AsType[*config.Error](err); err != nil && !told {
		return serverside.Subject{}, err
	}
	return serverside.Ours(settings, err), nil
}
