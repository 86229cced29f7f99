package main

import (
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"net"
	"net/netip"
	"slices"

	"towpath/internal/config"
)

// socksLogin says whether somebody may use SOCKS; a reload may have changed who.
func (g *gatewayService) socksLogin(name, password string) bool {
	said, ok := sha256.Sum256([]byte(password)), 0
	for _, text := range g.flags.Load().socksUsers {
		u := must(config.ParseUser(text))
		want := sha256.Sum256([]byte(u.Password)) // of one length, whatever was said
		if u.Name == name {
			ok |= subtle.ConstantTimeCompare(said[:], want[:])
		}
	}
	return ok == 1
}

// guarded says what is wrong with a SOCKS listener that the Internet reaches:
// whoever finds it could go wherever --allow leads.
func (v *gatewayFlags) guarded(at net.Addr) error {
	p, err := v.policy()
	if err != nil || len(v.socksUsers) > 0 || p.Closed() {
		return err
	}
	t, ok := at.(*net.TCPAddr)
	if !ok {
		return nil
	}
	own := t.AddrPort().Addr().Unmap()
	if own.IsUnspecified() {
		all, err := net.InterfaceAddrs()
		if err != nil {
			return fmt.Errorf("--socks: whether %v can be reached from outside is not known: %w", at, err)
		}
		i := slices.IndexFunc(all, func(a net.Addr) bool {
			n, err := netip.ParsePrefix(a.String())
			return err == nil && config.IsPublic(n.Addr())
		})
		if i < 0 {
			return nil
		}
		own = netip.MustParsePrefix(all[i].String()).Addr()
	}
	if !config.IsPublic(own) {
		return nil
	}
	return fmt.Errorf("--socks %v: %v is a public address, and anybody there could go where --allow leads; ask for a login (--socks-user NAME:PASSWORD), "+
		"let only your networks in (--rule 'allow from=192.168.0.0/16' --rule deny), or listen on an inner address (--socks 192.168.0.1:1080)", at, own)
}
