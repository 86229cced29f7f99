package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"towpath/accounts"
	"towpath/accounts/userfile"
	"towpath/internal/columns"
)

// How account ends where other verbs do not, by sysexits(3).
const (
	exitData    = 65 // a password that cannot be used
	exitNoInput = 66 // no accounts file
	exitNoUser  = 67 // no such account
	exitCreate  = 73 // the account or the file cannot be made
	exitIO      = 74 // reading or writing failed
	exitDenied  = 77 // no permission
)

// accountFailure gives an error the code that belongs to it.
func accountFailure(err error) error {
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*exitError](err); ok {
		return err
	}
	code := exitUsage
	switch {
	case errors.Is(err, accounts.ErrNotFound):
		code = exitNoUser
	case errors.Is(err, accounts.ErrExists):
		code = exitCreate
	case errors.Is(err, userfile.ErrShape):
		code = exitConfig
	case errors.Is(err, fs.ErrPermission):
		code = exitDenied
	case errors.Is(err, fs.ErrNotExist):
		code = exitNoInput
	default:
		if _, ok := errors.AsType[*userfile.Error](err); ok {
			code = exitConfig
		} else if _, ok := errors.AsType[*fs.PathError](err); ok {
			code = exitIO
		}
	}
	return exit(code, err)
}

// accountCommand is "towpath account": the keeper of the accounts file.
func accountCommand() *cobra.Command {
	var v accountVerbs
	c := &cobra.Command{
		Use:   "account",
		Short: "Add, change and list the accounts of a server",
		Long: `Add, change and list the accounts in an accounts file, the one that
"towpath serve --accounts FILE" reads. A running server takes up changes
within a second; sessions that are logged in keep what they have.

The file is TOML and may be edited by hand as well: this command changes the
text of one account and leaves comments and order alone. Its place is, in this
order: --accounts, $TOWPATH_ACCOUNTS, towpath/accounts.toml in the user's
configuration directory, /etc/towpath/accounts.toml.

Exit codes: 0 done, 64 wrong usage, 65 unusable password, 66 no accounts file,
67 no such account, 73 account exists or file cannot be made, 74 I/O error,
77 no permission, 78 the accounts file is wrong.`,
		Example: `  towpath account add alice --home /srv/ftp/alice --rights all
  pwgen 20 1 | towpath account add printer --password-stdin --rights write
  towpath account add anonymous --any-password --home /srv/ftp/public
  towpath account passwd alice
  towpath account list --json`,
		Args: accountArgs(0),
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.PersistentFlags().StringVar(&v.file, "accounts", "", "accounts `FILE` (default $TOWPATH_ACCOUNTS or as above)")
	_ = c.MarkPersistentFlagFilename("accounts", "toml") // the flag is there
	c.AddCommand(v.add(), v.passwd(), v.set(), v.list(), v.show(), v.block(), v.unblock(), v.rm())
	c.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return exit(exitUsage, err) })
	return c
}

// accountVerbs holds what the verbs share.
type accountVerbs struct{ file string }

// accountsPath returns where the accounts file is: the first of flag,
// $TOWPATH_ACCOUNTS, and the places that have one. Where none has, root is
// given the one in /etc and others their own.
func accountsPath(flag string) string {
	if path := cmp.Or(flag, os.Getenv("TOWPATH_ACCOUNTS")); path != "" {
		return path
	}
	system := "/etc/towpath/accounts.toml"
	dir, err := os.UserConfigDir()
	if err != nil {
		return system
	}
	own := filepath.Join(dir, "towpath", "accounts.toml")
	if _, err := os.Stat(own); err == nil {
		return own
	}
	if _, err := os.Stat(system); err == nil || os.Geteuid() == 0 {
		return system
	}
	return own
}

// open opens the accounts file; make allows a new one.
func (v *accountVerbs) open(c *cobra.Command, create bool) (*userfile.File, error) {
	path := accountsPath(v.file)
	log := slog.New(slog.NewTextHandler(c.ErrOrStderr(), &slog.HandlerOptions{Level: slog.LevelWarn}))
	f, err := userfile.Open(path, log)
	if !errors.Is(err, fs.ErrNotExist) {
		return f, accountFailure(err)
	}
	if !create {
		return nil, exit(exitNoInput, fmt.Errorf(`%w: "towpath account add" makes one`, err))
	}
	f, err = userfile.Create(path, log)
	if err != nil && !errors.Is(err, fs.ErrPermission) {
		err = exit(exitCreate, err)
	}
	return f, accountFailure(err)
}

func (v *accountVerbs) add() *cobra.Command {
	var p accountPassword
	c := &cobra.Command{
		Use:   "add NAME",
		Short: "Add an account",
		Long: `Add an account. Its password is asked for on the terminal, twice, unless a
flag says where it comes from. What no flag says is as [defaults] in the file
says. The file is made if there is none.`,
		Example: `  towpath account add alice
  towpath account add bob --rights all --quota-bytes 10GiB --access-limit 4
  towpath account add scanner --generate --home /srv/scans --rights write \
      --allow 192.0.2.0/24 --charset shift-jis
  towpath account add carol --rights /=readonly --rights /incoming=list,write,mkdir`,
		Args: accountArgs(1, "NAME"),
	}
	p.register(c)
	c.Flags().BoolVar(&p.any, "any-password", false, "let in whoever knows the name, read-only")
	c.Flags().BoolVar(&p.none, "no-password", false, "let in nobody until \"account passwd\"")
	c.MarkFlagsMutuallyExclusive(append(p.names(), "any-password", "no-password")...)
	settings := registerAccountSettings(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		name := args[0]
		if err := accounts.CheckName(name); err != nil {
			return exit(exitUsage, err)
		}
		f, err := v.open(c, true)
		if err != nil {
			return err
		}
		if _, err := f.Find(c.Context(), name); err == nil {
			return accountFailure(fmt.Errorf("%w: %q in %s", accounts.ErrExists, name, f.Path()))
		}
		a := f.Template(name)
		if p.any {
			a.AnyPassword, a.Rights = true, nil
		}
		if err := settings.apply(a); err != nil {
			return accountFailure(err)
		}
		if err := a.Check(); err != nil { // before anybody types a password
			return accountFailure(err)
		}
		generated := ""
		if !p.any && !p.none {
			if a.Hash, generated, err = p.hash(c, name); err != nil {
				return err
			}
		}
		if err := f.Add(c.Context(), a); err != nil {
			return accountFailure(err)
		}
		fmt.Fprintf(c.OutOrStdout(), "added %s to %s\n", name, f.Path())
		tellPassword(c, generated)
		return nil
	}
	return c
}

func (v *accountVerbs) passwd() *cobra.Command {
	var p accountPassword
	c := &cobra.Command{
		Use:   "passwd NAME",
		Short: "Change the password of an account",
		Example: `  towpath account passwd alice
  towpath account passwd alice --password-stdin < secret
  towpath account passwd alice --generate`,
		Args:              accountArgs(1, "NAME"),
		ValidArgsFunction: v.names,
	}
	p.register(c)
	c.MarkFlagsMutuallyExclusive(p.names()...)
	c.RunE = func(c *cobra.Command, args []string) error {
		f, err := v.open(c, false)
		if err != nil {
			return err
		}
		a, err := f.Find(c.Context(), args[0])
		if err != nil {
			return accountFailure(err)
		}
		if a.AnyPassword {
			return exit(exitData, fmt.Errorf("account %q takes any password", a.Name))
		}
		hash, generated, err := p.hash(c, args[0])
		if err != nil {
			return err
		}
		err = f.Update(c.Context(), args[0], func(a *accounts.Account) error {
			a.Hash = hash
			return nil
		})
		if err != nil {
			return accountFailure(err)
		}
		fmt.Fprintf(c.OutOrStdout(), "changed the password of %s\n", args[0])
		tellPassword(c, generated)
		return nil
	}
	return c
}

func (v *accountVerbs) set() *cobra.Command {
	c := &cobra.Command{
		Use:   "set NAME",
		Short: "Change what an account may do",
		Example: `  towpath account set alice --quota-bytes 20GiB
  towpath account set alice --allow 192.0.2.0/24 --allow 2001:db8::/32
  towpath account set alice --allow "" # from everywhere`,
		Args:              accountArgs(1, "NAME"),
		ValidArgsFunction: v.names,
	}
	settings := registerAccountSettings(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		if !settings.given() {
			return exit(exitUsage, errors.New("nothing to set: want a flag such as --home or --rights"))
		}
		return v.update(c, args[0], "changed %s\n", settings.apply)
	}
	return c
}

func (v *accountVerbs) block() *cobra.Command {
	return &cobra.Command{
		Use:               "block NAME",
		Short:             "Let an account in no more",
		Long:              "Let an account in no more, and keep it. Sessions that are logged in go on.",
		Args:              accountArgs(1, "NAME"),
		ValidArgsFunction: v.names,
		RunE: func(c *cobra.Command, args []string) error {
			return v.update(c, args[0], "blocked %s\n", func(a *accounts.Account) error {
				a.State = accounts.Blocked
				return nil
			})
		},
	}
}

func (v *accountVerbs) unblock() *cobra.Command {
	return &cobra.Command{
		Use:               "unblock NAME",
		Short:             "Let a blocked account in again",
		Args:              accountArgs(1, "NAME"),
		ValidArgsFunction: v.names,
		RunE: func(c *cobra.Command, args []string) error {
			return v.update(c, args[0], "unblocked %s\n", func(a *accounts.Account) error {
				a.State = accounts.Active
				return nil
			})
		},
	}
}

func (v *accountVerbs) update(c *cobra.Command, name, done string, change func(*accounts.Account) error) error {
	f, err := v.open(c, false)
	if err != nil {
		return err
	}
	if err := f.Update(c.Context(), name, change); err != nil {
		return accountFailure(err)
	}
	fmt.Fprintf(c.OutOrStdout(), done, name)
	return nil
}

func (v *accountVerbs) rm() *cobra.Command {
	return &cobra.Command{
		Use:               "rm NAME",
		Aliases:           []string{"remove"},
		Short:             "Remove an account",
		Long:              "Remove an account, with the comment right above it in the file. Its files stay.",
		Args:              accountArgs(1, "NAME"),
		ValidArgsFunction: v.names,
		RunE: func(c *cobra.Command, args []string) error {
			f, err := v.open(c, false)
			if err != nil {
				return err
			}
			if err := f.Remove(c.Context(), args[0]); err != nil {
				return accountFailure(err)
			}
			fmt.Fprintf(c.OutOrStdout(), "removed %s\n", args[0])
			return nil
		},
	}
}

func (v *accountVerbs) list() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:     "list",
		Aliases: []string{"ls"},
		Short:   "List the accounts",
		Args:    accountArgs(0),
		RunE: func(c *cobra.Command, _ []string) error {
			f, err := v.open(c, false)
			if err != nil {
				return err
			}
			views := []accountView{}
			for a, err := range f.List(c.Context()) {
				if err != nil {
					return accountFailure(err)
				}
				views = append(views, viewOf(a))
			}
			if asJSON {
				return writeAccountJSON(c.OutOrStdout(), views)
			}
			rows := [][]string{{"NAME", "STATE", "PASSWORD", "SESSIONS", "QUOTA", "RIGHTS", "HOME"}}
			for _, a := range views {
				rows = append(rows, []string{
					columns.Shown(a.Name), a.State, a.Password, accountLimit(int64(a.AccessLimit), accountNumber),
					accountLimit(a.QuotaBytes, accounts.FormatSize), columns.Shown(a.rights), columns.Shown(cmp.Or(a.Home, "-")),
				})
			}
			return writeTable(c.OutOrStdout(), rows)
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "write JSON, an array of accounts")
	return c
}

func (v *accountVerbs) show() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:               "show NAME",
		Short:             "Show one account, with what [defaults] gives it",
		Args:              accountArgs(1, "NAME"),
		ValidArgsFunction: v.names,
		RunE: func(c *cobra.Command, args []string) error {
			f, err := v.open(c, false)
			if err != nil {
				return err
			}
			a, err := f.Find(c.Context(), args[0])
			if err != nil {
				return accountFailure(err)
			}
			view := viewOf(a)
			if asJSON {
				return writeAccountJSON(c.OutOrStdout(), view)
			}
			return view.write(c.OutOrStdout())
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "write JSON, one account")
	return c
}

// names completes the name of an account.
func (v *accountVerbs) names(c *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	f, err := userfile.Open(accountsPath(v.file), nil)
	if err != nil || len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var names []string
	for a, err := range f.List(context.Background()) {
		if err == nil {
			names = append(names, a.Name)
		}
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

// accountArgs wants so many arguments, and names them when they are not there.
func accountArgs(n int, what ...string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		switch {
		case len(args) > n && n == 0 && c.HasSubCommands():
			return exit(exitUsage, fmt.Errorf("%s %q: there is no such verb; see %s --help", c.CommandPath(), args[0], c.CommandPath()))
		case len(args) > n:
			return exit(exitUsage, fmt.Errorf("%s: %q is too much; usage: %s", c.CommandPath(), args[n], c.UseLine()))
		case len(args) < n:
			return exit(exitUsage, fmt.Errorf("%s: %s is missing; usage: %s", c.CommandPath(), what[len(args)], c.UseLine()))
		}
		return nil
	}
}
