package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spf13/pflag"

	"towpath/firewall"
	"towpath/gateway"
	"towpath/gateway/backends"
	"towpath/gateway/doors"
	"towpath/gateway/policy"
	"towpath/internal/config"
	"towpath/internal/control"
	"towpath/internal/sandbox"
	"towpath/internal/systemd"
)

// gatewayService is a running "towpath gateway".
type gatewayService struct {
	log       *slog.Logger
	logFile   *logFile
	gateway   *gateway.Gateway
	listeners []listener
	record    *logFile // nil: nobody wants it
	plane     plane
	pool      *backends.Pool // of --to; a reload does not forget its sessions
	guard     policy.Guard
	checks    sync.WaitGroup // of the servers of pool; endChecks ends them, if there are any
	endChecks context.CancelFunc
	socks     *doors.SOCKS // nil without --socks

	// control is where an administrator asks; nil if nobody can.
	control     net.Listener
	controlPath string
	answers     sync.WaitGroup
	began       time.Time
	draining    atomic.Bool

	selfSigned  *tls.Certificate
	fingerprint string
	flags       atomic.Pointer[gatewayFlags]
}

// runGateway runs a gateway until ctx ends. load is called again for each SIGHUP.
func runGateway(ctx context.Context, load func() (*gatewayFlags, error), out io.Writer) (err error) {
	again := make(chan os.Signal, 1)
	if len(reloadSignals) > 0 {
		signal.Notify(again, reloadSignals...)
		defer signal.Stop(again)
	}
	v, err := load()
	if err != nil {
		return exit(exitUsage, err)
	}
	g := &gatewayService{began: time.Now()}
	defer func() { err = errors.Join(err, g.close()) }()
	if err := g.open(ctx, v); err != nil {
		return err
	}
	notifier, err := systemd.NewNotifier()
	if err != nil {
		return exit(exitUsage, err)
	}
	defer notifier.Close()
	g.greet(out, v)
	ended := g.run()
	if g.pool != nil {
		var ctx context.Context
		ctx, g.endChecks = context.WithCancel(context.Background())
		g.checks.Go(func() { g.pool.Run(ctx) })
	}
	if g.control != nil {
		g.answers.Go(func() {
			if err := control.Serve(g.control, g.answer); err != nil {
				g.log.Error("nobody can ask this gateway any more", "err", err)
			}
		})
	}
	watch, stop := context.WithCancel(ctx)
	defer stop()
	go func() {
		if err := notifier.Watch(watch, func() bool { return true }); err != nil {
			g.log.Warn("watchdog", "err", err)
		}
	}()
	g.told(notifier.Ready(v.purpose()))
	for {
		select {
		case <-again:
			g.told(notifier.Reloading())
			g.reload(load)
			g.told(notifier.Ready(g.flags.Load().purpose()))
		case err := <-ended:
			return exit(exitUnavailable, err)
		case <-ctx.Done():
			g.told(notifier.Stopping("waiting for transfers to end"))
			g.drain()
			return nil
		}
	}
}

// told reports that the service manager could not be told.
func (g *gatewayService) told(err error) {
	if err != nil {
		g.log.Warn("the service manager was not told", "err", err)
	}
}

// purpose is one line about what is done.
func (v *gatewayFlags) purpose() string {
	switch {
	case v.transparent:
		return "gateway for redirected connections"
	case v.explicit || v.socks != "":
		return "gateway to where clients ask for"
	}
	return "gateway before " + strings.Join(v.to, ", ")
}

// open builds all, binds the ports, and gives up what is not needed then.
func (g *gatewayService) open(ctx context.Context, v *gatewayFlags) error {
	if v.user != "" || v.group != "" {
		if _, err := sandbox.Lookup(v.user, v.group); err != nil {
			return exit(exitConfig, fmt.Errorf("--user-id, --group-id: %w", err))
		}
	}
	if err := g.openLogs(v); err != nil {
		return exit(exitUnavailable, err)
	}
	if err := g.openPlane(ctx, v); err != nil {
		return exit(exitUnavailable, err)
	}
	if err := g.listen(v); err != nil {
		return exit(exitUnavailable, err)
	}
	if err := g.redirect(v); err != nil {
		return exit(exitUnavailable, err)
	}
	o, err := g.options(v)
	if err == nil {
		g.gateway, err = gateway.New(o)
	}
	if err != nil {
		return exit(exitConfig, err)
	}
	g.flags.Store(v)
	if err := g.openControl(v); err != nil {
		return exit(exitUnavailable, err)
	}
	if err := g.confine(v); err != nil {
		return exit(exitUnavailable, err)
	}
	return nil
}

// confine gives up what is not needed once ports are bound and rules are made.
// Each pinhole changes what stands in the kernel, and the end takes it away.
func (g *gatewayService) confine(v *gatewayFlags) error {
	plan := sandbox.Plan{User: v.user, Group: v.group, Rules: len(g.plane.closers) > 0}
	if v.sandbox {
		files := v.confined()
		plan.Read, plan.Write = files.Read, files.Write
		if g.control != nil {
			plan.Write = append(plan.Write, filepath.Dir(g.controlPath)) // to take it away at the end
		}
	}
	if plan.User == "" && plan.Group == "" && !v.sandbox {
		return nil
	}
	if err := g.handOver(v); err != nil {
		return err
	}
	report, err := sandbox.Enter(plan)
	if err != nil {
		return err
	}
	g.log.Info("privileges", "report", report)
	return nil
}

// handOver gives what is written while the gateway runs to the user that it is
// about to become, and the socket on which it is asked.
func (g *gatewayService) handOver(v *gatewayFlags) error {
	if v.user == "" || os.Geteuid() != 0 {
		return nil
	}
	id, err := sandbox.Lookup(v.user, v.group)
	if err != nil {
		return err
	}
	files := []string{v.log.file, v.record, v.transcript, g.controlPath}
	if v.control == "" && g.controlPath != "" {
		files = append(files, filepath.Dir(g.controlPath)) // made for it
	}
	var errs []error
	for _, f := range files {
		if f != "" {
			errs = append(errs, os.Lchown(f, id.UID, id.GID))
		}
	}
	return errors.Join(errs...)
}

// openLogs opens what is written while it runs.
func (g *gatewayService) openLogs(v *gatewayFlags) error {
	var out io.Writer = os.Stderr
	if v.log.file != "" {
		f, err := openLogFile(v.log.file)
		if err != nil {
			return fmt.Errorf("--log-file: %w", err)
		}
		g.logFile, out = f, f
	}
	c := config.Log{Format: "text", Level: v.log.level}
	if v.log.json {
		c.Format = "json"
	}
	g.log = slog.New(handler(out, c))
	if v.record != "" {
		f, err := openLogFile(v.record)
		if err != nil {
			return fmt.Errorf("--record: %w", err)
		}
		g.record = f
	}
	if v.transcript != "" {
		if err := os.MkdirAll(v.transcript, 0o750); err != nil {
			return fmt.Errorf("--transcript: %w", err)
		}
	}
	return nil
}

// account writes down what became of a session, in one line.
func (g *gatewayService) account(r *gateway.Record) {
	line, err := json.Marshal(r)
	if err == nil {
		_, err = g.record.Write(append(line, '\n'))
	}
	if err != nil {
		g.log.Error("the record of a session was lost", "session", r.Session, "err", err)
	}
}

// confined is what the process still needs of the files.
func (v *gatewayFlags) confined() sandbox.Plan {
	var p sandbox.Plan
	for _, f := range []string{v.log.file, v.record} {
		if f != "" {
			p.Write = append(p.Write, filepath.Dir(f))
		}
	}
	if v.transcript != "" {
		p.Write = append(p.Write, v.transcript)
	}
	p.Read = slices.DeleteFunc([]string{v.config, v.cert, v.key, v.clientCA, v.serverCA, v.ownCert, v.ownKey}, isEmpty)
	if runtime.GOOS == "linux" {
		p.Read = append(p.Read, "/proc/self") // without any, files would not be confined
	}
	return p
}

// options makes of the flags what the gateway runs on.
func (g *gatewayService) options(v *gatewayFlags) (gateway.Options, error) {
	o := gateway.Options{
		Opener: g.plane.opener, Redirect: g.plane.redirect,
		Log: g.log, AllowForeign: must(prefixes(v.foreign)),
		IdleTimeout: v.idle.Std(), BlindTimeout: v.blindIdle.Std(),
	}
	o.ServerMode = must(gateway.ParseMode(v.serverMode))
	o.ClientTLS = must(gateway.ParseClientTLS(v.tls))
	if v.ports != "" {
		o.Ports = must(firewall.ParsePorts(v.ports))
	}
	if v.external != "" {
		a := must(netip.ParseAddr(v.external))
		o.External = func(gateway.Visitor) netip.Addr { return a }
	}
	if g.record != nil {
		o.Ended = g.account
	}
	if v.transcript != "" {
		o.Transcript = transcriptsIn(v.transcript, g.log)
	}
	var err error
	if o.TLS, err = g.clientTLS(v); err != nil {
		return o, err
	}
	if err := g.route(v, &o); err != nil {
		return o, err
	}
	return o, nil
}

// must is for what check has looked at.
func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// listen binds the addresses, or takes the sockets of the service manager in
// their place.
func (g *gatewayService) listen(v *gatewayFlags) error {
	sockets, err := systemd.Sockets()
	if err != nil {
		return err
	}
	var errs []error
	take := func(l net.Listener, implicit, socks bool) {
		if v.redirect == "tproxy" && !socks {
			if err := forOthers(l); err != nil {
				errs = append(errs, fmt.Errorf("--redirect tproxy: %w", err), l.Close())
				return
			}
		}
		if socks {
			if err := v.guarded(l.Addr()); err != nil {
				errs = append(errs, err, l.Close())
				return
			}
		}
		g.listeners = append(g.listeners, listener{g.door(v, l, socks), implicit, socks})
	}
	for _, s := range sockets {
		name := strings.ToLower(s.Name)
		take(s.Listener, isImplicit(name), strings.Contains(name, "socks"))
	}
	if len(sockets) > 0 {
		return errors.Join(errs...)
	}
	bind := func(addr string, implicit, socks bool) {
		l, err := bindControl(addr)
		if err != nil {
			errs = append(errs, err)
			return
		}
		take(l, implicit, socks)
	}
	for _, a := range v.listen {
		bind(a, false, false)
	}
	if v.implicit != "" {
		bind(v.implicit, true, false)
	}
	if v.socks != "" {
		bind(v.socks, false, true)
	}
	return errors.Join(errs...)
}

// forOthers lets a listener take connections to hosts that are not this one.
func forOthers(l net.Listener) error {
	t, ok := l.(*net.TCPListener)
	if !ok {
		return fmt.Errorf("%v is no TCP socket", l.Addr())
	}
	network := "tcp6"
	if t.Addr().(*net.TCPAddr).IP.To4() != nil {
		network = "tcp4"
	}
	raw, err := t.SyscallConn()
	if err != nil {
		return err
	}
	return firewall.Transparent(network, "", raw)
}

// isImplicit says by the name of a socket whether TLS is spoken from the first
// byte.
func isImplicit(name string) bool {
	return strings.Contains(name, "ftps") || strings.Contains(name, "implicit")
}

// door puts before a listener what clients have to pass: the line of a
// balancer, the request of SOCKS, the question where they wanted to go.
func (g *gatewayService) door(v *gatewayFlags, l net.Listener, socks bool) net.Listener {
	if len(v.proxyIn) > 0 {
		l = doors.Balanced(l, must(prefixes(v.proxyIn)), g.log)
	}
	if v.transparent {
		l = doors.Redirected(l, g.log)
	}
	if socks {
		ports := firewall.Ports{Low: 49152, High: 65535}
		if v.ports != "" {
			ports = must(firewall.ParsePorts(v.ports))
		}
		g.socks = &doors.SOCKS{Log: g.log, Data: func(p uint16) bool { return ports.Low <= p && p <= ports.High }}
		if len(v.socksUsers) > 0 {
			g.socks.Login = g.socksLogin
		}
		l = g.socks.Listen(l)
	}
	return l
}

// run serves on all listeners; what ends before it is told to is an error.
func (g *gatewayService) run() <-chan error {
	ended := make(chan error, len(g.listeners))
	for _, l := range g.listeners {
		go func() {
			serve := g.gateway.Serve
			if l.implicit {
				serve = g.gateway.ServeTLS
			}
			if err := serve(l.Listener); !errors.Is(err, gateway.ErrClosed) {
				ended <- fmt.Errorf("%v: %w", l.Addr(), err)
			}
		}()
	}
	return ended
}

// drain ends the gateway as SIGTERM asks for.
func (g *gatewayService) drain() {
	g.draining.Store(true)
	within := g.flags.Load().drain.Std()
	g.log.Info("shutting down", "within", within)
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	if err := g.gateway.Shutdown(ctx); err != nil {
		g.log.Warn("sessions were cut", "err", err)
	}
}

// reload reads the configuration again. When anything is wrong the old one stays.
func (g *gatewayService) reload(load func() (*gatewayFlags, error)) {
	for _, f := range []*logFile{g.logFile, g.record} {
		if f == nil {
			continue
		}
		if err := f.reopen(); err != nil {
			g.log.Error("a log cannot be opened again", "err", err)
		}
	}
	v, err := load()
	var o gateway.Options
	if err == nil {
		o, err = g.options(v)
	}
	if err == nil {
		err = g.gateway.Reload(o)
	}
	if err != nil {
		g.log.Error("the new configuration is not used; the old one stays", "err", err)
		return
	}
	if late := g.flags.Load().onlyAtStart(v); len(late) > 0 {
		g.log.Warn("some of the new configuration waits for the next start", "keys", late)
	}
	g.flags.Store(v)
	g.log.Info("configuration read again")
}

// onlyAtStart are the keys that next has changed and that count when the gateway
// starts: ports, rules, planes and files stay as they were opened.
func (v *gatewayFlags) onlyAtStart(next *gatewayFlags) []string {
	var changed []string
	for _, key := range []string{
		"listen", "implicit", "socks", "transparent", "install-rules", "redirect", "dialled", "from", "except", "data", "table",
		"control", "log-json", "log-level", "log-file", "record", "sandbox", "user-id", "group-id", "proxy-protocol-in",
	} {
		if flagText(v, key) != flagText(next, key) {
			changed = append(changed, key)
		}
	}
	return changed
}

// flagText is the value of one of the flags.
func flagText(v *gatewayFlags, name string) string {
	f := pflag.NewFlagSet("gateway", pflag.ContinueOnError)
	var now gatewayFlags
	now.bind(f) // which sets defaults
	now = *v
	return f.Lookup(name).Value.String()
}

func (g *gatewayService) close() error {
	var errs []error
	if g.control != nil {
		errs = append(errs, g.control.Close())
		g.answers.Wait()
	}
	if g.endChecks != nil {
		g.endChecks()
		g.checks.Wait()
	}
	if g.gateway != nil {
		errs = append(errs, g.gateway.Close())
	}
	for _, l := range g.listeners {
		_ = l.Close() // closed already if it was served
	}
	errs = append(errs, g.plane.close())
	for _, f := range []*logFile{g.record, g.logFile} {
		if f != nil {
			errs = append(errs, f.Close())
		}
	}
	return errors.Join(errs...)
}
