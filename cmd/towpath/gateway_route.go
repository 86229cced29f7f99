package main

import (
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
	o := backends.Options{Health: backends.Health{Interval: v.health}}
	var err error
	if o.Balance, err = backends.ParseBalance(v.balance); err != nil {
		return o, fmt.Errorf("--balance %w", err)
	}
	o.Health.User, o.Health.Password, _ = strings.Cut(v.healthUser, ":")
	port := uint16(21)
	if common.TLS == gateway.ImplicitTLS {
		port = 990
	}
	for _, text := range v.to {
		where, err := backends.ParseWhere(text)
		if err != nil {
			return o, fmt.Errorf("--to %w", err)
		}
		if _, _, err := net.SplitHostPort(text); err != nil {
			where.Port = port
		}
		s := backends.Server{Server: common, Max: v.maxServer}
		s.Name, s.Addr = where.String(), where.String()
		o.Servers = append(o.Servers, s)
	}
	return o, nil
}

// police gives the options what clients may do, and how much of it.
func (g *gatewayService) police(v *gatewayFlags, o *gateway.Options) error {
	p := &policy.Policy{}
	texts := v.rules
	if v.readOnly {
		texts = append([]string{"deny name=read-only do=write,delete,admin"}, texts...)
	}
	for _, text := range texts {
		r, err := policy.ParseRule(text)
		if err != nil {
			return fmt.Errorf("--rule %w", err)
		}
		p.Rules = append(p.Rules, r)
	}
	g.meter.Set(policy.Limits{Sessions: v.max, PerClient: v.maxClient, LoginsPerMinute: v.logins, Rate: v.rate})
	o.Admit = func(w gateway.Visitor) (func(), error) { return g.meter.Enter(w.Client.Addr()) }
	if len(p.Rules) > 0 {
		o.Allow = func(r gateway.Request) error {
			s := policy.Session{Client: r.Visitor.Client.Addr(), User: r.Visitor.User, TLS: r.Visitor.TLS, Host: r.Visitor.Host}
			if r.Server != nil {
				s.Server = r.Server.String()
			}
			return p.Command(s, r.Command, r.Dir).Err()
		}
	}
	return nil
}
