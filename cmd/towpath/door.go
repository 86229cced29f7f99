package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path"
	"sync"

	"towpath/accounts"
	"towpath/ftpserver"
	"towpath/internal/charset"
	"towpath/internal/config"
	"towpath/storage"
	"towpath/storage/disk"
)

// door joins accounts to the server: it turns an account into a user with a
// tree, rights and limits.
type door struct {
	auth     *accounts.Authenticator
	sessions *accounts.Sessions
	meters   *accounts.Meters
	trees    *trees
	config   *config.Config
	tree     disk.Options
	reach    func(dir string) error // see service.reach
	looked   sync.Map               // homes that reach has looked at
	log      *slog.Logger
}

func newDoor(svc *service, s *config.Settings, store accounts.Store) *door {
	when, err := disk.ParseSync(s.Files.Sync)
	if err != nil {
		panic(err) // the settings were checked
	}
	return &door{
		auth:     accounts.NewAuthenticator(store, accounts.AuthOptions{}),
		sessions: &svc.sessions,
		meters:   &svc.trees.meters,
		trees:    svc.trees,
		config:   &s.Config,
		reach:    svc.reach,
		log:      svc.log,
		tree:     disk.Options{ReadOnly: s.ReadOnly, Sync: when, Mode: 0o666 &^ fs.FileMode(s.Files.Umask)},
	}
}

// login is ftpserver.Options.Login.
func (d *door) login(ctx context.Context, l ftpserver.Login) (*ftpserver.User, error) {
	a, err := d.auth.Verify(ctx, accounts.Attempt{
		Name: l.Name, Password: l.Password, Peer: l.Peer.Addr(), TLS: l.TLS != nil,
	})
	var leave func()
	if err == nil {
		leave, err = d.sessions.Enter(a.Name, a.AccessLimit)
	}
	switch {
	case errors.Is(err, accounts.ErrTooMany):
		return nil, fmt.Errorf("%w: %w", ftpserver.ErrTooMany, err)
	case errors.Is(err, accounts.ErrRefused):
		return nil, fmt.Errorf("%w: %w", ftpserver.ErrRefused, err)
	case err != nil:
		return nil, err
	}
	u, err := d.user(ctx, a)
	if err != nil {
		leave()
		return nil, err
	}
	closed := u.Closed
	u.Closed = func() { closed(); leave() }
	return u, nil
}

// user makes the user of an account that was let in.
func (d *door) user(ctx context.Context, a *accounts.Account) (*ftpserver.User, error) {
	home := a.Home
	if home == "" {
		home = d.config.Root
	}
	root, release, err := d.trees.open(home, d.tree)
	if err != nil {
		return nil, fmt.Errorf("home of %s: %w", a.Name, err)
	}
	// Not refused: what one may write to and not read is a letter box.
	if _, known := d.looked.LoadOrStore(home, true); !known {
		if err := d.reach(home); errors.Is(err, fs.ErrPermission) {
			d.log.Warn("home cannot be read", "user", a.Name, "err", err)
		}
	}
	u := &ftpserver.User{
		Name: a.Name, Root: root, Closed: release,
		Rights:       rightsOf(a.Rights, d.config.ReadOnly),
		Greeting:     a.Greeting,
		RequireTLS:   a.RequireTLS,
		IdleTimeout:  a.IdleTimeout,
		DownloadRate: or(a.DownloadRate, int64(d.config.Limits.DownloadRate)),
		UploadRate:   or(a.UploadRate, int64(d.config.Limits.UploadRate)),
	}
	if name := or(a.Charset, d.config.Files.Charset); name != "" && name != "utf-8" {
		c, err := charset.Lookup(name)
		if err != nil {
			release()
			return nil, err
		}
		u.Charset = c
	}
	if a.Quota != (accounts.Quota{}) {
		meter, closeMeter, err := d.meters.Open(a.Name, a.Quota, func() (int64, int64, error) {
			return usage(ctx, root)
		})
		if err != nil {
			release()
			return nil, err
		}
		u.Quota = quota{meter}
		u.Closed = func() { closeMeter(); release() }
	}
	return u, nil
}

// or is a, or b where a says nothing.
func or[T comparable](a, b T) T {
	var zero T
	if a == zero {
		return b
	}
	return a
}

// rightsOf translates the rules of an account. The bits are the same on both
// sides (a test holds them together).
func rightsOf(rules accounts.Rules, readOnly bool) func(string) ftpserver.Rights {
	mask := ftpserver.All | ftpserver.Admin
	if readOnly {
		mask = ftpserver.ReadOnly | ftpserver.Admin
	}
	if len(rules) == 1 && rules[0].Path == "/" {
		same := ftpserver.Rights(rules[0].Rights) & mask
		return func(string) ftpserver.Rights { return same }
	}
	return func(p string) ftpserver.Rights { return ftpserver.Rights(rules.At(p)) & mask }
}

// quota is a meter in the words of the server.
type quota struct{ *accounts.Meter }

func (q quota) Take(bytes, files int64) error {
	err := q.Meter.Take(bytes, files)
	if errors.Is(err, accounts.ErrQuota) {
		return fmt.Errorf("%w: %w", ftpserver.ErrQuota, err)
	}
	return err
}

// usage adds up what lies in a tree, with the parts that are kept of cut uploads:
// else they would be room without limit, taken anew with each login. What other
// users of this machine have closed to the server (lost+found, what is mounted
// there by FUSE) is not the user's.
func usage(ctx context.Context, root storage.FS) (bytes, files int64, err error) {
	type place struct {
		dir     string
		foreign bool // it belongs to another user of this machine
	}
	for todo := []place{{dir: "/"}}; len(todo) > 0; {
		at := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		kept, err := storage.Kept(ctx, root, at.dir)
		bytes += kept
		for fi, lerr := range root.List(ctx, at.dir) {
			if lerr != nil {
				if errors.Is(lerr, fs.ErrPermission) && storage.OfEntry(lerr, at.dir) {
					continue
				}
				err = lerr
				break
			}
			if !fi.IsDir() {
				bytes += fi.Size()
				files++
				continue
			}
			u, ok := fi.Sys().(*storage.Unix)
			if ok && u.Target != "" {
				continue // a link: it counts where it leads
			}
			todo = append(todo, place{path.Join(at.dir, fi.Name()), ok && int64(u.UID) != int64(os.Geteuid())})
		}
		if err != nil && !(at.foreign && errors.Is(err, fs.ErrPermission)) && !(at.dir != "/" && errors.Is(err, fs.ErrNotExist)) {
			return 0, 0, err
		}
	}
	return bytes, files, nil
}
