package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/term"

	"towpath/doctor"
	catalogue "towpath/internal/words" // words are those of the shell here
	"towpath/lab"
	"towpath/topology"
)

// labFlags are those of lab run and lab report.
type labFlags struct {
	lab  lab.Lab
	mode string
	alg  string
	jobs int
	json bool
}

func labCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "lab",
		Short: "Build networks for real, and hold predictions against them",
		Long: `Builds networks out of Linux network namespaces, runs FTP sessions in them, and
compares what happens with what doctor predict says.

It needs no root and calls no other program to build; the kernel must allow user
namespaces. When it ends, however it ends, nothing is left behind.`,
		Example: `  towpath lab list
  towpath lab run server-inside-stateful
  towpath lab run all --server vsftpd --client curl
  towpath lab report /tmp/report client-inside
  towpath lab shell client-inside`,
		Args: verbs,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	cmd.PersistentFlags().String(langFlag, "", "speak this `LANGUAGE`: en, zh-Hans, zh-Hant or ja (default: that of the locale)")
	cmd.AddCommand(labListCommand(), labRunCommand(), labReportCommand(), labAttackCommand(), labShellCommand())
	return cmd
}

func labListCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "list",
		Short:   "List the networks of the catalogue",
		Example: `  towpath lab list`,
		Args:    cobra.NoArgs,
		RunE:    func(c *cobra.Command, _ []string) error { return listNetworks(c.OutOrStdout()) },
	}
}

func (v *labFlags) bind(f *pflag.FlagSet) {
	f.StringVar(&v.lab.Server, "server", "", "another `PROGRAM` as server: "+strings.Join(lab.Servers, ", ")+" (default our own)")
	f.StringVar(&v.lab.Client, "client", "", "another `PROGRAM` as client: "+strings.Join(lab.Clients, ", ")+" (default our own)")
	f.StringArrayVar(&v.lab.Programs, "programs", nil, "look for them in this `DIRECTORY` too; may be repeated")
	f.StringVar(&v.alg, "alg", "", "`gateway`: put our gateway in the place of each ALG of the kernel, and leave out networks that have none")
	f.StringVar(&v.lab.Plane, "data", "user", "what carries clear data through gateways: `"+strings.Join(lab.Planes, "|")+"`")
	f.StringVar(&v.mode, "mode", "all", "run `port|eprt|pasv|epsv|all`")
	f.DurationVar(&v.lab.Patience, "patience", 1500*time.Millisecond, "`TIME` that servers wait for a data connection; clients wait twice as long")
	f.IntVarP(&v.jobs, "jobs", "j", 16, "run `N` cases at once")
}

func labRunCommand() *cobra.Command {
	var v labFlags
	cmd := &cobra.Command{
		Use:   "run {NETWORK... | all}",
		Short: "Run sessions in networks, and compare them with the prediction",
		Long: `Builds each NETWORK, a name of the catalogue or a file in TOML, runs a session
in it for each mode, and prints one table of what was predicted and what was
observed: whether it works, and if not, what the client sees and the machine at
which the packet was seen last that should have gone on.

Exit codes: 0 all as predicted, 1 not all, 2 it could not be run.`,
		Example: `  towpath lab run client-inside
  towpath lab run all --json
  towpath lab run docker-bridge --mode pasv --captures /tmp/packets
  towpath lab run all --server vsftpd --client curl
  towpath lab run all --alg gateway`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return inLab(func() error {
				lang, err := spoken(c)
				if err != nil {
					return err
				}
				r, err := v.run(c.Context(), c.ErrOrStderr(), args, lang)
				if err != nil {
					return err
				}
				write := r.WriteText
				if v.json {
					write = r.WriteJSON
				}
				if err := write(c.OutOrStdout()); err != nil {
					return err
				}
				return asPredicted(r)
			})
		},
	}
	v.bind(cmd.Flags())
	cmd.ValidArgsFunction = networks
	cmd.Flags().StringVar(&v.lab.Captures, "captures", "", "keep what passed each machine in `DIRECTORY`, as pcapng")
	cmd.Flags().BoolVar(&v.json, "json", false, "write JSON")
	return cmd
}

func labReportCommand() *cobra.Command {
	var v labFlags
	cmd := &cobra.Command{
		Use:   "report DIRECTORY [NETWORK...]",
		Short: "Run sessions, and write a page with a ladder of each",
		Long: `Does what run does, for all networks of the catalogue if none is named, and
writes DIRECTORY/index.html: a table, and for each case the prediction, a ladder
of its packets from machine to machine, the dialogue, and links to the recordings
(pcapng), which lie beside it, and to the story that towpath explain finds in them.`,
		Example: `  towpath lab report /tmp/report server-inside server-inside-alg
  towpath lab report /tmp/report`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return inLab(func() error {
				lang, err := spoken(c)
				if err != nil {
					return err
				}
				dir, names := args[0], args[1:]
				if len(names) == 0 {
					names = []string{"all"}
				}
				if err := os.MkdirAll(dir, 0o777); err != nil {
					return err
				}
				v.lab.Captures = filepath.Join(dir, "captures")
				r, err := v.run(c.Context(), c.ErrOrStderr(), names, lang)
				if err != nil {
					return err
				}
				at := filepath.Join(dir, "index.html")
				if err := writeNew(at, func(w io.Writer) error { return r.WriteHTML(w, dir) }); err != nil {
					return err
				}
				fmt.Fprintf(c.OutOrStdout(), "%s\n%s\n", r.Verdict(), at)
				return asPredicted(r)
			})
		},
	}
	v.bind(cmd.Flags())
	return cmd
}

func labAttackCommand() *cobra.Command {
	var l lab.Lab
	var jobs int
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "attack",
		Short: "Attack a gateway, and the helper of the kernel in its place",
		Long: `Plays attacks on what repairs FTP, each in a network of its own and with real
connections: a page of the web that posts PORT, announcements that nobody asked
for, ports and addresses of others, openings that outlive their session. They are
played on the helper of the kernel and on a gateway in its place.

Exit codes: 0 if the gateway withstands all, 1 if not, 2 if they could not be
played.`,
		Example: `  towpath lab attack
  towpath lab attack --data nftables --json`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return inLab(func() error {
				if err := l.Check(); err != nil {
					return err
				}
				all, err := l.Attack(c.Context(), jobs)
				if err != nil {
					return err
				}
				write := lab.WriteOnslaughts
				if asJSON {
					write = lab.WriteOnslaughtsJSON
				}
				if err := write(c.OutOrStdout(), all); err != nil {
					return err
				}
				for _, o := range all {
					if o.Fell["gateway"] != "" || o.Failed["gateway"] != "" {
						return exit(doctorFindings, errors.New("")) // it has all been told
					}
				}
				return nil
			})
		},
	}
	cmd.Flags().StringVar(&l.Plane, "data", "user", "what carries clear data through the gateway: `"+strings.Join(lab.Planes, "|")+"`")
	cmd.Flags().IntVarP(&jobs, "jobs", "j", 16, "play so many at once")
	cmd.Flags().BoolVar(&asJSON, "json", false, "write JSON")
	return cmd
}

func labShellCommand() *cobra.Command {
	var l lab.Lab
	cmd := &cobra.Command{
		Use:   "shell NETWORK [MACHINE]",
		Short: "Open a shell on a machine of a network",
		Long: `Builds NETWORK, starts its servers (any name and password will do; the file is
sea.bin), and opens your shell on MACHINE, that of the client if none is named.
The network is gone when you leave.`,
		Example: `  towpath lab shell client-inside
  towpath lab shell server-inside router`,
		Args: cobra.RangeArgs(1, 2),
		RunE: func(c *cobra.Command, args []string) error {
			return inLab(func() error {
				if err := l.Check(); err != nil {
					return err
				}
				n, err := readNetwork(args[0])
				if err != nil {
					return err
				}
				at := ""
				if len(args) > 1 {
					at = args[1]
				}
				fmt.Fprintf(c.ErrOrStderr(), "The server is at %v, as the client dials it; try: towpath get -o /dev/null ftp://u:p@%v/sea.bin\n", n.Session.To, n.Session.To)
				code := 0
				err = l.Shell(c.Context(), n, at, func(s *os.ProcessState) { code = s.ExitCode() })
				if err == nil && code != 0 {
					err = exit(code, errors.New("")) // the shell's own
				}
				return err
			})
		},
	}
	cmd.Flags().StringVar(&l.Server, "server", "", "another `PROGRAM` as server: "+strings.Join(lab.Servers, ", ")+" (default our own)")
	return cmd
}

// inLab runs f inside the namespaces of the lab.
func inLab(f func() error) error {
	code, entered, err := lab.Enter()
	switch {
	case err != nil:
		return exit(doctorUnknown, err)
	case !entered && code != 0:
		return exit(code, errors.New("")) // told inside
	case !entered:
		return nil
	}
	err = f()
	if _, ok := errors.AsType[*exitError](err); err != nil && !ok {
		err = exit(doctorUnknown, err)
	}
	return err
}

func asPredicted(r *lab.Report) error {
	if _, differ, _ := r.Count(); differ > 0 {
		return exit(doctorFindings, errors.New("")) // it has all been told
	}
	return nil
}

// run runs all cases of the networks, several at a time. What cannot be run at
// all ends it.
func (v *labFlags) run(ctx context.Context, notes io.Writer, names []string, lang catalogue.Lang) (*lab.Report, error) {
	if err := v.lab.Check(); err != nil {
		return nil, err
	}
	if v.jobs < 1 {
		return nil, fmt.Errorf("--jobs %d: want 1 or more", v.jobs)
	}
	modes := doctor.Modes
	if m := doctor.Mode(strings.ToUpper(v.mode)); m != "ALL" {
		if !slices.Contains(doctor.Modes, m) {
			return nil, fmt.Errorf("--mode %q: want port, eprt, pasv, epsv or all", v.mode)
		}
		modes = []doctor.Mode{m}
	}
	var networks []*topology.Network
	for _, name := range names {
		if name == "all" {
			networks = append(networks, topology.Catalogue()...)
			continue
		}
		n, err := readNetwork(name)
		if err != nil {
			return nil, err
		}
		networks = append(networks, n)
	}
	if v.alg == "gateway" {
		var twins []*topology.Network
		for _, n := range networks {
			if twin := n.WithGateway(); twin != nil {
				twins = append(twins, twin)
			}
		}
		if networks = twins; len(networks) == 0 {
			return nil, fmt.Errorf("--alg gateway: none of the networks has an ALG of the kernel that a gateway could stand for")
		}
	} else if v.alg != "" {
		return nil, fmt.Errorf("--alg %q: want gateway, or nothing for what the network has", v.alg)
	}
	called := map[string]bool{}
	for _, n := range networks {
		if called[n.Name] && v.lab.Captures != "" {
			return nil, fmt.Errorf("two networks are called %s, and the recordings of both would be in one place; want one of them alone", n.Name)
		}
		called[n.Name] = true
	}
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var (
		mu      sync.Mutex
		cases   []lab.Result
		running sync.WaitGroup
		slots   = make(chan struct{}, v.jobs)
	)
	terminal := isTerminal(notes)
	for _, n := range networks {
		for _, m := range modes {
			if n.Session.To.Addr().Is6() && (m == doctor.PORT || m == doctor.PASV) {
				continue // they have no room for its addresses
			}
			slots <- struct{}{}
			if ctx.Err() != nil { // one could not be run at all
				<-slots
				continue
			}
			running.Go(func() {
				defer func() { <-slots }()
				c, err := v.lab.Case(ctx, n, m)
				mu.Lock()
				defer mu.Unlock()
				if err != nil {
					stop(err)
					return
				}
				cases = append(cases, c)
				if terminal {
					fmt.Fprintf(notes, "\r%d cases run ", len(cases))
				}
			})
		}
	}
	running.Wait()
	if terminal {
		fmt.Fprint(notes, "\r\x1b[K")
	}
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	return lab.NewReport(&v.lab, cases).In(lang), nil
}

// isTerminal says whether what is read or written is a terminal.
func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}
