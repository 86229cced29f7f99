package main

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"

	"towpath/accounts"
	"towpath/accounts/userfile"
	"towpath/ftpserver"
	"towpath/internal/certs"
	"towpath/internal/config"
	"towpath/internal/sandbox"
	"towpath/internal/systemd"
)

// service is a running "towpath serve": the server, and what it stands on.
type service struct {
	log        *slog.Logger
	logs       *logs
	server     *ftpserver.Server
	listeners  []listener
	trees      *trees
	sessions   accounts.Sessions // of each account; a reload does not forget them
	password   string            // made up, "" if somebody was named
	selfSigned *tls.Certificate  // made at the start, nil if not asked for yet
	confined   bool              // files outside of what was served at the start are out of reach

	now atomic.Pointer[setup]
}

// setup is what a reload exchanges as a whole, or leaves as it is.
type setup struct {
	*config.Settings
	options ftpserver.Options
	file    *userfile.File // nil: no accounts file
	cert    string         // fingerprint of the first certificate, "" without TLS
}

// listener is an address that clients can reach.
type listener struct {
	net.Listener
	implicit bool
	socks    bool // of a gateway: SOCKS comes first
}

// newService builds all that can be built before ports are bound.
func newService(s *config.Settings) (*service, error) {
	if s.Life.User != "" || s.Life.Group != "" {
		if _, err := sandbox.Lookup(s.Life.User, s.Life.Group); err != nil {
			return nil, exit(exitConfig, fmt.Errorf("life.user, life.group: %w", err))
		}
	}
	l, err := openLogs(&s.Config)
	if err != nil {
		return nil, exit(exitUnavailable, err)
	}
	svc := &service{log: l.slog, logs: l, trees: newTrees()}
	if len(s.Users) == 0 && s.Accounts == "" && !s.Anonymous {
		svc.password = strings.ToLower(rand.Text()[:12])
	}
	now, err := svc.build(s)
	if err == nil {
		svc.server, err = ftpserver.New(now.options)
	}
	if err != nil {
		return nil, errors.Join(exit(exitConfig, err), l.close())
	}
	svc.now.Store(now)
	umask(now.Files.Umask)
	return svc, nil
}

// build makes of the settings what the server runs on. It changes nothing that
// is in use.
func (svc *service) build(s *config.Settings) (*setup, error) {
	o, err := s.ServerOptions()
	if err != nil {
		return nil, err
	}
	if err := svc.reach(s.Root); err != nil {
		return nil, fmt.Errorf("the directory to serve: %w", err)
	}
	now := &setup{Settings: s}
	door, err := svc.door(now)
	if err != nil {
		return nil, err
	}
	o.Login = door.login
	o.Log = svc.log
	if most := sessionsFor(descriptors()); most < o.MaxSessions {
		svc.log.Warn("the limit of open files allows fewer sessions than limits.max_sessions (LimitNOFILE= in a unit, ulimit -n in a shell)",
			"files", descriptors(), "max_sessions", o.MaxSessions, "sessions", most)
		o.MaxSessions = most
	}
	o.Events = svc.logs.event
	if s.Log.Transcripts != "" {
		if err := os.MkdirAll(s.Log.Transcripts, 0o750); err != nil {
			return nil, fmt.Errorf("log.transcripts: %w", err)
		}
		o.Transcript = transcriptsIn(s.Log.Transcripts, svc.log)
	}
	if err := svc.secure(now, &o); err != nil {
		return nil, err
	}
	now.options = o
	return now, nil
}

// sessionsFor is how many sessions can be let in with so many descriptors (0:
// any number) when a part of them is kept for files, data connections and what
// the process itself has open. Whom nothing is left for hears 421 at once; a
// server that has run out can neither take nor refuse him.
func sessionsFor(files int) int {
	if files == 0 {
		return math.MaxInt
	}
	return max(1, files-max(32, files/4))
}

// reach tells why dir cannot be served, or nil.
func (svc *service) reach(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return svc.hint(err)
	}
	defer f.Close()
	fi, err := f.Stat()
	if err == nil && !fi.IsDir() {
		err = fmt.Errorf("%s is not a directory", dir)
	}
	return err
}

// hint adds to an error what the confinement may have to do with it: it cannot
// be widened while the process runs.
func (svc *service) hint(err error) error {
	if svc.confined && errors.Is(err, os.ErrPermission) {
		return fmt.Errorf("%w (the process reaches only what it served when it started: restart it, or set life.sandbox = false)", err)
	}
	return err
}

// secure gives the server its certificates.
func (svc *service) secure(now *setup, o *ftpserver.Options) error {
	t := now.TLS
	var base *tls.Config
	switch {
	case t.Cert != "":
		pairs := []certs.Pair{{Cert: t.Cert, Key: t.Key}}
		for _, h := range t.Hosts {
			pairs = append(pairs, certs.Pair{Cert: h.Cert, Key: h.Key})
		}
		source, err := certs.Open(svc.log, pairs...)
		if err != nil {
			return fmt.Errorf("tls: %w", err)
		}
		base = source.Config()
		now.cert = certs.Fingerprint(source.Certificates()[0])
		if len(t.Hosts) > 0 {
			o.HostTLS = func(host string) (*tls.Config, error) {
				cert, err := source.ForHost(host)
				if err != nil {
					return nil, err
				}
				c := base.Clone()
				c.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return cert, nil }
				return c, nil
			}
		}
	case t.SelfSigned:
		if svc.selfSigned == nil {
			cert, err := certs.SelfSigned(stateDirectory())
			if err != nil {
				return fmt.Errorf("tls.self_signed: %w", err)
			}
			svc.selfSigned = cert
		}
		base = &tls.Config{Certificates: []tls.Certificate{*svc.selfSigned}, MinVersion: tls.VersionTLS12}
		now.cert = certs.Fingerprint(svc.selfSigned)
	default:
		return nil
	}
	if t.MinVersion == "1.3" {
		base.MinVersion = tls.VersionTLS13
	}
	if t.ClientCA != "" {
		pool, err := certs.Authorities(t.ClientCA)
		if err != nil {
			return fmt.Errorf("tls.client_ca: %w", err)
		}
		base.ClientCAs, base.ClientAuth = pool, tls.VerifyClientCertIfGiven
		if t.ClientAuth == "require" {
			base.ClientAuth = tls.RequireAndVerifyClientCert
		}
	}
	o.TLS = base
	return nil
}

// stateDirectory is the one that the service manager made for us, "" if none.
func stateDirectory() string {
	first, _, _ := strings.Cut(os.Getenv("STATE_DIRECTORY"), ":")
	return first
}

// door opens the accounts that the settings name.
func (svc *service) door(now *setup) (*door, error) {
	var stores []accounts.Store
	all := accounts.Rules{{Path: "/", Rights: accounts.All}}
	users := now.Users
	if svc.password != "" {
		users = []config.User{{Name: madeUpUser, Password: svc.password}}
	}
	var named []*accounts.Account
	for _, u := range users {
		hash, err := accounts.Hash(u.Password)
		if err != nil {
			return nil, fmt.Errorf("user %s: %w", u.Name, err)
		}
		named = append(named, &accounts.Account{Name: u.Name, Hash: hash, Rights: all})
	}
	if now.Anonymous {
		for _, name := range []string{"anonymous", "ftp"} {
			named = append(named, &accounts.Account{Name: name, AnyPassword: true})
		}
	}
	if len(named) > 0 {
		m, err := accounts.NewMemory(named...)
		if err != nil {
			return nil, err
		}
		stores = append(stores, m)
	}
	if now.Accounts != "" {
		f, err := userfile.Open(now.Accounts, svc.log)
		if err != nil {
			return nil, fmt.Errorf("accounts: %w", svc.hint(err))
		}
		now.file = f
		stores = append(stores, f)
	}
	return newDoor(svc, now.Settings, accounts.Join(stores...)), nil
}

// madeUpUser is who may log in when nobody was named.
const madeUpUser = "towpath"

// listen binds the addresses, or takes the sockets of the service manager in
// their place.
func (svc *service) listen() error {
	sockets, err := systemd.Sockets()
	if err != nil {
		return err
	}
	now := svc.now.Load()
	for _, s := range sockets {
		implicit := isImplicit(strings.ToLower(s.Name))
		svc.listeners = append(svc.listeners, listener{Listener: s.Listener, implicit: implicit})
		if implicit && now.options.TLS == nil {
			return fmt.Errorf("socket %q of the service manager wants TLS, and there is no certificate; set tls.cert and tls.key, or tls.self_signed = true", s.Name)
		}
	}
	if len(sockets) > 0 {
		return nil
	}
	var errs []error
	for _, addr := range now.Listen {
		errs = append(errs, svc.bind(addr, false))
	}
	if addr := now.TLS.Implicit; addr != "" {
		errs = append(errs, svc.bind(addr, true))
	}
	return errors.Join(errs...)
}

func (svc *service) bind(addr string, implicit bool) error {
	l, err := bindControl(addr)
	if err == nil {
		svc.listeners = append(svc.listeners, listener{Listener: l, implicit: implicit})
	}
	return err
}

// bindControl listens for control connections.
func bindControl(addr string) (net.Listener, error) {
	// Keep-alive is set by the server, for each connection.
	lc := net.ListenConfig{KeepAlive: -1}
	// What MPTCP brings, FTP cannot use, and its sockets move files slower.
	lc.SetMultipathTCP(false)
	l, err := lc.Listen(context.Background(), config.ListenNetwork(addr), addr)
	if errors.Is(err, os.ErrPermission) {
		err = fmt.Errorf("%w; ports below 1024 need root, CAP_NET_BIND_SERVICE or a systemd socket (or choose another: --listen :2121)", err)
	}
	return l, err
}

// confine gives up what is not needed once the ports are bound.
func (svc *service) confine() error {
	now := svc.now.Load()
	plan := sandbox.Plan{
		User: now.Life.User, Group: now.Life.Group,
		LowPorts: now.Active.Enable && now.Active.Port > 0 && now.Active.Port < 1024,
	}
	if now.Life.Sandbox {
		plan.Write, plan.Read = now.written(), now.read()
	}
	if err := svc.handOver(); err != nil {
		return err
	}
	report, err := sandbox.Enter(plan)
	if err != nil && plan.User != "" {
		return fmt.Errorf("becoming user %s: %w", plan.User, err)
	}
	if err != nil {
		return err
	}
	svc.confined = report.Confined
	svc.log.Info("privileges", "report", report)
	if err := svc.reach(now.Root); err != nil {
		return fmt.Errorf("the directory to serve, as the user that the process has become: %w", err)
	}
	return nil
}

// handOver gives the logs to the user that the process is about to become, so
// that they can be opened again.
func (svc *service) handOver() error {
	now := svc.now.Load()
	if now.Life.User == "" || os.Geteuid() != 0 {
		return nil
	}
	id, err := sandbox.Lookup(now.Life.User, now.Life.Group)
	if err != nil {
		return err
	}
	var errs []error
	for _, f := range append(now.logFiles(), now.Log.Transcripts) {
		if f != "" {
			errs = append(errs, os.Lchown(f, id.UID, id.GID))
		}
	}
	return errors.Join(errs...)
}

func (now *setup) logFiles() []string {
	return slices.DeleteFunc([]string{now.Log.File, now.Log.XferLog, now.Log.Vsftpd}, isEmpty)
}

func isEmpty(s string) bool { return s == "" }

// written are the directories that are changed: the homes, the places of homes
// that are still to be made, and those of logs and state.
func (now *setup) written() []string {
	dirs := now.homes()
	if now.file != nil {
		// Where the homes of accounts will be that are still to come.
		if a := now.file.Template("x"); a != nil && a.Home != "" {
			dirs = append(dirs, filepath.Dir(a.Home))
		}
	}
	for i, d := range dirs {
		if _, err := os.Stat(d); errors.Is(err, os.ErrNotExist) {
			// It is made when its user first comes. Not below the root of the
			// host, though: that would open everything.
			if dirs[i] = filepath.Dir(d); dirs[i] == filepath.Dir(dirs[i]) {
				dirs[i] = ""
			}
		}
	}
	for _, f := range now.logFiles() {
		dirs = append(dirs, filepath.Dir(f))
	}
	dirs = append(dirs, now.Log.Transcripts, stateDirectory())
	return slices.DeleteFunc(dirs, func(d string) bool {
		_, err := os.Stat(d)
		return err != nil // what is not there cannot be named to the kernel
	})
}

// read are the files that are read again while the server runs.
func (now *setup) read() []string {
	files := []string{now.Accounts, now.TLS.Cert, now.TLS.Key, now.TLS.ClientCA, now.BannerFile}
	for _, h := range now.TLS.Hosts {
		files = append(files, h.Cert, h.Key)
	}
	return slices.DeleteFunc(append(files, now.Read...), isEmpty)
}

// homes are the directories that accounts serve.
func (now *setup) homes() []string {
	dirs := []string{now.Root}
	if now.file == nil {
		return dirs
	}
	for a, err := range now.file.List(context.Background()) {
		if err == nil && a.Home != "" {
			dirs = append(dirs, a.Home)
		}
	}
	slices.Sort(dirs)
	return slices.Compact(dirs)
}

// reload reads the settings again. When anything is wrong the old ones stay.
func (svc *service) reload(load func() (*config.Settings, error)) {
	svc.logs.reopen()
	var next *setup
	s, err := load()
	if err == nil {
		next, err = svc.build(s)
	}
	if err == nil {
		err = svc.server.Reload(next.options)
	}
	if err != nil {
		svc.log.Error("the new configuration is not used; the old one stays", "err", err)
		return
	}
	umask(next.Files.Umask)
	old := svc.now.Swap(next)
	if fixed(old) != fixed(next) {
		svc.log.Warn("some of what changed counts only after a restart: addresses to listen on, logs but for transcripts, user, group and sandbox")
	}
	svc.log.Info("configuration read again", "files", next.Read)
}

// fixed is what a reload does not change, as a text to compare.
func fixed(now *setup) string {
	l := now.Log
	l.Transcripts = ""
	return fmt.Sprint(now.Listen, now.TLS.Implicit, l, now.Life.User, now.Life.Group, now.Life.Sandbox)
}

func (svc *service) close() error {
	err := svc.server.Close()
	for _, l := range svc.listeners {
		_ = l.Close() // closed already if it was served
	}
	return errors.Join(err, svc.trees.close(), svc.logs.close())
}
