package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"towpath/internal/columns"
	"towpath/internal/config"
	"towpath/internal/config/foreign"
)

// What "towpath config check" says by its exit status, beside 0.
const (
	configFindings = 1
	configUnknown  = 2
)

// configCommand makes "towpath config": settings are checked, shown, listed,
// and taken over from other servers.
func configCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "config",
		Short: "Check and show settings, or take them over from another server",
		Long: `Check and show settings, or take them over from another server.

Settings come from a file (TOML), from the environment and from flags of serve;
a flag wins over a variable, a variable over the file. The file is that of
--config, of TOWPATH_CONFIG, towpath/towpath.toml in your configuration directory,
or /etc/towpath/towpath.toml and then /etc/towpath/conf.d/*.toml.`,
		Args: verbs,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	cmd.AddCommand(configCheckCommand(), configShowCommand(), configKeysCommand(),
		configExampleCommand(), configImportCommand())
	return cmd
}

// loadConfig reads settings as serve would, from the file that args may name.
func loadConfig(args []string) (*config.Settings, error) {
	src := config.Sources{Environ: os.Environ()}
	if len(args) > 0 {
		src.File = args[0]
	}
	s, err := config.Load(src)
	return s, notOurs(err)
}

// notOurs adds to an error of loading settings that the file is one of another
// server, if it is, and what takes it over.
func notOurs(err error) error {
	e, ok := errors.AsType[*config.Error](err)
	if !ok || e.Origin.From != config.FromFile || filepath.Ext(e.Origin.Name) == ".toml" {
		return err
	}
	m, none := foreign.Read(e.Origin.Name, "")
	if none != nil {
		return err
	}
	return errors.Join(err, fmt.Errorf("%s looks like a configuration of %s; this takes it over: towpath config import %[1]s -o towpath.toml",
		e.Origin.Name, m.Server))
}

func configCheckCommand() *cobra.Command {
	var asJSON, ofGateway bool
	cmd := &cobra.Command{
		Use:   "check [FILE]",
		Short: "Say what is wrong with the settings, or looks so",
		Long: `Say what is wrong with the settings, or looks so.

The exit status is 0 when all is well (hints do not count), 1 when something was
found, and 2 when the settings could not be read.

With --json it writes an array of objects with severity (hint, warning or error),
key, problem and advice, and as far as they are known origin, file, line and
column, and the value that was refused. A value that was refused keeps the others
from being judged together.`,
		Example: `  towpath config check
  towpath config check /etc/towpath/towpath.toml
  towpath config check --gateway /etc/towpath/gateway.toml`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			read, findings, err := checked(args, ofGateway)
			if err != nil {
				// A value that was refused is a finding; a file that cannot be
				// read leaves nothing to judge.
				status := configUnknown
				if _, told := errors.AsType[*config.Error](err); told {
					status = configFindings
				}
				if asJSON {
					keys := "towpath config keys"
					if ofGateway {
						keys += " --gateway"
					}
					if werr := writeJSONFindings(cmd.OutOrStdout(), config.Refusals(err, keys)); werr != nil {
						return werr
					}
					err = errors.New("") // it has all been told
				}
				return exit(status, err)
			}
			worst := config.Hint
			for _, f := range findings {
				worst = max(worst, f.Severity)
			}
			if asJSON {
				err = writeJSONFindings(cmd.OutOrStdout(), findings)
			} else {
				err = writeFindings(cmd.OutOrStdout(), read, findings)
			}
			if err != nil {
				return err
			}
			if worst > config.Hint {
				return exit(configFindings, errors.New("")) // it has all been told
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "write the findings as a JSON array")
	bindGatewayFile(cmd, &ofGateway)
	return cmd
}

// bindGatewayFile makes a verb be about the settings of the gateway.
func bindGatewayFile(cmd *cobra.Command, is *bool) {
	cmd.Flags().BoolVar(is, "gateway", false, "for the file of towpath gateway (default "+gatewayFile+"), and not that of serve")
}

// checked finds out what is wrong with settings, and says which files those are.
func checked(args []string, ofGateway bool) (read []string, found []config.Finding, err error) {
	if ofGateway {
		s, err := loadGateway(args)
		if err != nil {
			return nil, nil, err
		}
		return []string{s.file}, s.check(), nil
	}
	s, err := loadConfig(args)
	if err != nil {
		return nil, nil, err
	}
	return s.Read, s.Check(), nil
}

// writeJSONFindings writes an array, of nothing when nothing was found.
func writeJSONFindings(w io.Writer, findings []config.Finding) error {
	var b bytes.Buffer
	if err := json.NewEncoder(&b).Encode(append([]config.Finding{}, findings...)); err != nil {
		return err
	}
	_, err := w.Write(columns.JSON(b.Bytes()))
	return err
}

// writeFindings writes a verdict first, then each finding with what to do.
func writeFindings(w io.Writer, read []string, findings []config.Finding) error {
	from := "defaults alone"
	if len(read) > 0 {
		from = strings.Join(read, ", ")
	}
	var count [config.Wrong + 1]int
	for _, f := range findings {
		count[f.Severity]++
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %d errors, %d warnings, %d hints\n", from, count[config.Wrong], count[config.Warning], count[config.Hint])
	for severity := config.Wrong; severity >= config.Hint; severity-- {
		for _, f := range findings {
			if f.Severity == severity {
				fmt.Fprintf(&b, "%v: %s (%s): %s\n    %s\n", f.Severity, f.Key, f.Origin, f.Problem, f.Advice)
			}
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func configShowCommand() *cobra.Command {
	var show config.Show
	var ofGateway bool
	cmd := &cobra.Command{
		Use:   "show [FILE]",
		Short: "Write the settings as TOML, and where they come from",
		Long: `Write the settings as TOML: those that were set, or with --effective all of
them. Passwords are hidden.`,
		Example: `  towpath config show --effective --origin
  TOWPATH_PASSIVE__PORTS=50000-50100 towpath config show --origin`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if ofGateway {
				s, err := loadGateway(args)
				if err != nil {
					return exit(exitConfig, err)
				}
				return s.show(cmd.OutOrStdout(), show)
			}
			s, err := loadConfig(args)
			if err != nil {
				return exit(exitConfig, err)
			}
			return s.Write(cmd.OutOrStdout(), show)
		},
	}
	cmd.Flags().BoolVar(&show.Effective, "effective", false, "write also what nobody set")
	cmd.Flags().BoolVar(&show.Origin, "origin", false, "write behind each setting where it comes from")
	bindGatewayFile(cmd, &ofGateway)
	return cmd
}

func configKeysCommand() *cobra.Command {
	var ofGateway bool
	cmd := &cobra.Command{
		Use:     "keys [WORD]",
		Short:   "List all keys with flag, variable, default and meaning",
		Long:    "List all keys with flag, variable, default and meaning; with WORD those that name it.",
		Example: "  towpath config keys passive",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			word := strings.ToLower(strings.Join(args, ""))
			if ofGateway {
				return writeGatewayKeys(cmd.OutOrStdout(), word)
			}
			c := config.Default()
			w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
			for _, k := range c.Keys() {
				if !strings.Contains(strings.ToLower(k.Name+" "+k.Doc), word) {
					continue
				}
				flag := "-"
				if k.Flag != "" {
					flag = "--" + k.Flag
				}
				line := k.Line(k.Shown())
				fmt.Fprintf(w, "%s\t%s\t%s\tdefault %s\n  %s\n", k.Name, flag, k.Env(), line[strings.Index(line, "= ")+2:], k.Doc)
			}
			return w.Flush()
		},
	}
	bindGatewayFile(cmd, &ofGateway)
	return cmd
}

func configExampleCommand() *cobra.Command {
	var ofGateway bool
	cmd := &cobra.Command{
		Use:     "example",
		Short:   "Write a file with every key, its meaning and its default",
		Example: "  towpath config example > towpath.toml",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if ofGateway {
				return writeGatewayExample(cmd.OutOrStdout())
			}
			return config.WriteExample(cmd.OutOrStdout())
		},
	}
	bindGatewayFile(cmd, &ofGateway)
	return cmd
}

func configImportCommand() *cobra.Command {
	var from, out string
	cmd := &cobra.Command{
		Use:   "import FILE",
		Short: "Take over the configuration of vsftpd, ProFTPD or Pure-FTPd",
		Long: `Take over the configuration of vsftpd, ProFTPD or Pure-FTPd.

The settings are written as TOML, each below the line that it comes from. What
has no counterpart, and what looks wrong, is told with the reason. FILE can be
Pure-FTPd's directory /etc/pure-ftpd/conf, or a text with its command line.
Accounts are not taken over.`,
		Example: `  towpath config import /etc/vsftpd.conf
  towpath config import /etc/proftpd/proftpd.conf -o /etc/towpath/towpath.toml`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			m, err := foreign.Read(args[0], foreign.Server(from))
			if errors.Is(err, foreign.ErrUnknown) {
				err = fmt.Errorf("%w; say --from vsftpd, proftpd or pureftpd", err)
			}
			if err != nil {
				return exit(exitConfig, err)
			}
			if out == "" {
				err = m.WriteTOML(cmd.OutOrStdout())
			} else {
				err = writeImport(out, m)
			}
			if err != nil {
				return err
			}
			return m.WriteNotes(cmd.ErrOrStderr(), "")
		},
	}
	cmd.Flags().StringVar(&from, "from", "", "whose configuration it is: vsftpd, proftpd or pureftpd (found out when not given)")
	cmd.Flags().StringVarP(&out, "output", "o", "", "write to `FILE`, which must not be there yet, instead of standard output")
	return cmd
}

// writeImport makes a new file. One that is there is never overwritten: it may
// have been edited by hand.
func writeImport(name string, m *foreign.Import) (err error) {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	defer func() {
		err = errors.Join(err, f.Close())
	}()
	return m.WriteTOML(f)
}
