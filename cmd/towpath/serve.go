package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"time"

	"github.com/spf13/cobra"

	"towpath/ftpserver"
	"towpath/internal/config"
	"towpath/internal/systemd"
)

func serveCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "serve [DIR]",
		Short: "Serve a directory over FTP and FTPS",
		Long: `Serves DIR, or the current directory, until it is interrupted.

Without --user, --accounts or --anonymous it makes up a password and shows it.
Every flag has a key in the configuration file ("towpath config keys" lists
them), and every key a variable: passive.ports is TOWPATH_PASSIVE__PORTS.
Flags win over variables, and variables over files.

SIGTERM lets transfers end, SIGHUP reads the configuration and the accounts
again; when something in them is wrong, the old ones stay.`,
		Example: `  towpath serve
  towpath serve /srv/ftp --user alice:secret --passive-ports 50000-50100
  towpath serve /srv/ftp --anonymous --read-only --listen :21
  towpath serve --external 203.0.113.7 --external 10.0.0.0/8=10.0.0.5 --passive-ports 50000-50100
  towpath serve --tls-self-signed --require-tls --implicit :990`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 1 {
				return fmt.Errorf("serve takes one directory at most; %q are %d (homes of several users belong into an accounts file)", args, len(args))
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			dir := ""
			if len(args) == 1 {
				dir = args[0]
			}
			load := func() (*config.Settings, error) {
				s, err := config.Load(config.Sources{Environ: os.Environ(), Flags: c.Flags(), Dir: dir})
				return s, notOurs(err)
			}
			return serve(c.Context(), load, c.OutOrStdout())
		},
	}
	config.BindFlags(c.Flags())
	return c
}

// serve runs a server until ctx ends. load reads the settings; it is called
// again for each SIGHUP.
func serve(ctx context.Context, load func() (*config.Settings, error), out io.Writer) (err error) {
	again := make(chan os.Signal, 1)
	if len(reloadSignals) > 0 { // none would mean all
		signal.Notify(again, reloadSignals...) // before anybody knows that we are there
		defer signal.Stop(again)
	}
	settings, err := load()
	if err != nil {
		return exit(exitConfig, err)
	}
	svc, err := newService(settings)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, svc.close()) }()
	notifier, err := systemd.NewNotifier()
	if err != nil {
		return exit(exitUsage, err)
	}
	defer notifier.Close()
	if err := svc.listen(); err != nil {
		return exit(exitUnavailable, err)
	}
	if err := svc.confine(); err != nil {
		return exit(exitUnavailable, err)
	}
	svc.greet(out)
	debug.FreeOSMemory() // hashing a password takes 19 MiB, which an idle server need not keep
	ended := svc.run()
	watch, stopWatch := context.WithCancel(ctx)
	defer stopWatch()
	go func() {
		if err := notifier.Watch(watch, func() bool { return true }); err != nil {
			svc.log.Warn("watchdog", "err", err)
		}
	}()
	svc.notify(notifier.Ready("serving " + svc.now.Load().Root))
	go svc.sweepUntil(watch)

	for {
		select {
		case <-again:
			svc.notify(notifier.Reloading())
			svc.reload(load)
			svc.notify(notifier.Ready("serving " + svc.now.Load().Root))
		case err := <-ended:
			return exit(exitUnavailable, err)
		case <-ctx.Done():
			svc.notify(notifier.Stopping("waiting for transfers to end"))
			return svc.drain()
		}
	}
}

// notify reports that the service manager could not be told.
func (svc *service) notify(err error) {
	if err != nil {
		svc.log.Warn("the service manager was not told", "err", err)
	}
}

// run serves on all listeners; what ends before it is told to is an error.
func (svc *service) run() <-chan error {
	ended := make(chan error, len(svc.listeners))
	for _, l := range svc.listeners {
		go func() {
			serve := svc.server.Serve
			if l.implicit {
				serve = svc.server.ServeTLS
			}
			if err := serve(l.Listener); !errors.Is(err, ftpserver.ErrClosed) {
				ended <- fmt.Errorf("%v: %w", l.Addr(), err)
			}
		}()
	}
	return ended
}

// drain ends the server as SIGTERM asks for: nobody new, transfers to their
// end, and what is not done in time is cut.
func (svc *service) drain() error {
	within := svc.now.Load().Life.DrainTimeout.Std()
	svc.log.Info("shutting down", "within", within)
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	if err := svc.server.Shutdown(ctx); err != nil {
		svc.log.Warn("sessions were cut", "err", err)
	}
	return nil
}

// sweepUntil removes what cut uploads have left, once it is too old to be
// resumed.
func (svc *service) sweepUntil(ctx context.Context) {
	tick := time.NewTicker(time.Hour)
	defer tick.Stop()
	for {
		now := svc.now.Load()
		if age := now.Files.PartialAge.Std(); age > 0 && !now.ReadOnly {
			removed, err := sweep(ctx, now.homes(), age)
			if removed > 0 {
				svc.log.Info("old unfinished uploads removed", "files", removed, "age", age)
			}
			if err != nil && ctx.Err() == nil {
				svc.log.Warn("old unfinished uploads could not all be removed", "err", err)
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}
