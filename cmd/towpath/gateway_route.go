package main

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"

	"towpath/gateway"
	"towpath/gateway/backends"
	"towpath/gateway/doors"
	"towpath/gateway/policy"
)

// route gives the options who is reached, and who may.
func (g *gatewayService) route(v *gatewayFlags, o *gateway.Options) error {
	common := gateway.Server{TLS: must(gateway.ParseServerTLS(v.serverTLS)), Proxy: v.proxyOut}
	var err error
	if common.Config, err = g.serverTLS(v); err != nil {
		return err
	}
	if v.proxyOut != 0 {
		o.Announce = doors.Announce
	}
	if len(v.proxyIn) > 0 {
		o.Accepted = doors.Accepted(must(prefixes(v.proxyIn)))
	}
	if g.socks != nil {
		o.Accepted = g.socks.Accepted(o.Accepted)
	}
	switch {
	case v.transparent:
		o.Route = &backends.Original{Ourselves: backends.Ourselves(g.addresses()...), Server: common}
	case v.explicit || v.socks != "":
		targets, err := v.targets()
		if err != nil {
			return err
		}
		o.Route = &backends.Forward{Allow: targets, Ourselves: backends.Ourselves(g.addresses()...), Server: common}
	default:
		set, err := v.servers(common)
		if err != nil {
			return err
		}
		if g.pool == nil {
			g.pool, err = backends.NewPool(set, g.log)
		} else {
			err = g.pool.Set(set)
		}
		if err != nil {
			return err
		}
		o.Route = g.pool
	}
	return g.police(v, o)
}

// addresses are those that the gateway listens at.
func (g *gatewayService) addresses() []netip.AddrPort {
	var all []netip.AddrPort
	for _, l := range g.listeners {
		if a, ok := l.Addr().(*net.TCPAddr); ok {
			all = append(all, a.AddrPort())
		}
	}
	return all
}

func (v *gatewayFlags) targets() (policy.Targets, error) {
	var all policy.Targets
	for _, text := range v.allow {
		t, err := policy.ParseTarget(text)
		if err != nil {
			return nil, fmt.Errorf("--allow %w", err)
		}
		all = append(all, t)
	}
	return all, nil
}

// servers are those of --to.
func (v *gatewayFlags) servers(common gateway.Server) (backends.Options, error) {
	o := backends.Options{Health: backends.Health{Interval: v.health.Std()}}
	var err error
	if o.Balance, err = backends.ParseBalance(v.balance); err != nil {
		return o, fmt.Errorf("--balance %w", err)
	}
	o.Health.User, o.Health.Password, _ = strings.Cut(v.healthUser, ":")
	for _, text := range v.to {
		s, err := backends.ParseServer(text, common)
		if err != nil {
			return o, fmt.Errorf("--to %w", err)
		}
		if s.Max == 0 {
			s.Max = v.maxServer
		}
		o.Servers = append(o.Servers, s)
	}
	return o, nil
}

// policy are the rules.
func (v *gatewayFlags) policy() (*policy.Policy, error) {
	p := &policy.Policy{}
	texts := v.rules
	if v.readOnly {
		texts = append([]string{"deny name=read-only do=write,delete,admin"}, texts...)
	}
	for _, text := range texts {
		r, err := policy.ParseRule(text)
		if err != nil {
			return nil, fmt.Errorf("--rule %w", err)
		}
		p.Rules = append(p.Rules, r)
	}
	return p, nil
}

// police gives the options what clients may do, and how much of it.
func (g *gatewayService) police(v *gatewayFlags, o *gateway.Options) error {
	p, err := v.policy()
	if err != nil {
		return err
	}
	if p.Sighted() && must(gateway.ParseClientTLS(v.tls)) == gateway.PassTLS {
		return errors.New("rules about users, commands, paths or sizes cannot be held under TLS that is passed through; say --tls refuse, or --tls terminate with a certificate")
	}
	g.guard.Set(p, policy.Limits{
		Sessions: v.max, PerClient: v.maxClient, PerUser: v.maxUser,
		LoginsPerMinute: v.logins, Rate: int64(v.rate), UserRate: int64(v.userRate),
	})
	o.Admit, o.Route = g.guard.Admit, g.guard.Router(o.Route)
	if len(p.Rules) > 0 || v.logins > 0 || v.maxUser > 0 {
		o.Allow = g.guard.Allow
	}
	if len(p.Rules) > 0 || v.rate > 0 || v.userRate > 0 {
		o.Limit, o.Size = g.guard.Limit, g.guard.Size
	}
	return nil
}
