// Command towpath serves FTP, and fetches and carries files by it: one binary,
// one verb for each thing that it does.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"towpath/internal/columns"
	"towpath/internal/config"
)

// The exit codes of daemons and their tools, from sysexits(3).
const (
	exitUsage       = 64 // the command line is wrong
	exitUnavailable = 69 // an address is taken, a file cannot be opened
	exitConfig      = 78 // the configuration is wrong
)

// exitError is an error that ends the process with a code of its own.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string { return e.err.Error() }
func (e *exitError) Unwrap() error { return e.err }

func exit(code int, err error) error { return &exitError{code, err} }

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // whoever asks a second time does not want to wait
	root := rootCommand()
	if strings.TrimSuffix(filepath.Base(os.Args[0]), ".exe") == "pftp" {
		root.SetArgs(append([]string{"shell"}, os.Args[1:]...))
	}
	if len(os.Args) > 1 && strings.HasPrefix(os.Args[1], cobra.ShellCompRequestCmd) { // Tab was pressed
		completeChoices(root)
	}
	if c, err := root.ExecuteContextC(ctx); err != nil {
		code := exitUsage
		if e, ok := errors.AsType[*exitError](err); ok {
			code = e.code
		}
		if text := err.Error(); text != "" {
			fmt.Fprintln(os.Stderr, columns.ShownLines("towpath: "+text+flagMeant(c, err)))
		}
		os.Exit(code)
	}
}

func rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "towpath",
		Short: "Serve FTP, and fetch and carry files by it",
		Long: `Towpath is an FTP suite in one binary.

  towpath get ftp://ftp.example.org/pub/sea.iso
  towpath ls -l ftps://alice@ftp.example.org/
  towpath mirror ftp://ftp.example.org/pub/ pub
  towpath shell ftp://alice@ftp.example.org/
  towpath serve                      serve the current directory, with a password made up for you
  towpath serve /srv/ftp --anonymous --read-only
  towpath account add alice          keep accounts in a file
  towpath config check               look at a configuration before it counts
  towpath config import vsftpd.conf  take over the settings of another server
  towpath gateway --to 10.0.0.5      stand before a server behind NAT, and repair what NAT breaks
  towpath doctor ftp://alice@ftp.example.org/   which modes work, and why others do not
  towpath doctor rules               what a firewall must let through
  towpath explain client.pcap server.pcap       what happened in captured sessions, and why transfers failed
  towpath lab run docker-bridge      a network built for real, beside what was predicted`,
		Version:       version(),
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          verbs,
		RunE:          func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	root.AddGroup(&cobra.Group{ID: clientGroup, Title: "The client:"}, &cobra.Group{ID: serverGroup, Title: "The server:"},
		&cobra.Group{ID: networkGroup, Title: "The network between them:"})
	for _, c := range []*cobra.Command{serveCommand(), accountCommand(), configCommand()} {
		c.GroupID = serverGroup
		root.AddCommand(c)
	}
	for _, c := range []*cobra.Command{gatewayCommand(), doctorCommand(), explainCommand(), labCommand()} {
		c.GroupID = networkGroup
		root.AddCommand(c)
	}
	root.AddCommand(getCommand(), putCommand(), lsCommand(), catCommand(), rmCommand(), mvCommand(), cpCommand(),
		mirrorCommand(), mkdirCommand(), rmdirCommand(), chmodCommand(), duCommand(), findCommand(), shellCommand(), bookmarkCommand(), versionCommand())
	return root
}

// verbs takes no arguments: what is left over was meant as the name of a verb.
func verbs(c *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	var known []string
	for _, v := range c.Commands() {
		if v.IsAvailableCommand() {
			known = append(known, v.Name())
		}
	}
	return fmt.Errorf("unknown command %q for %q%s", args[0], c.CommandPath(), meant(c, config.Nearest(args[0], known)))
}

// flagMeant says what flag of c may have been meant, if err is about one that it
// does not have.
func flagMeant(c *cobra.Command, err error) string {
	none, ok := errors.AsType[*pflag.NotExistError](err)
	if !ok {
		return ""
	}
	best := ""
	if none.GetSpecifiedShortnames() == "" {
		var known []string
		c.Flags().VisitAll(func(f *pflag.Flag) {
			if !f.Hidden {
				known = append(known, f.Name)
			}
		})
		if best = config.Nearest(none.GetSpecifiedName(), known); best != "" {
			best = "--" + best
		}
	}
	return meant(c, best)
}

// meant is what is said behind a word that c does not know.
func meant(c *cobra.Command, best string) string {
	if best == "" {
		return "; see " + c.CommandPath() + " --help"
	}
	return "; did you mean " + best + "?"
}

// serverGroup is what help shows the verbs of the server together by.
const serverGroup = "server"

// networkGroup is what help shows together that looks at what is between them.
const networkGroup = "network"

func versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			_, err := fmt.Fprintln(c.OutOrStdout(), "towpath "+version())
			return err
		},
	}
}

// version is what the build knows of itself.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" {
		return "(unknown)"
	}
	return info.Main.Version
}
