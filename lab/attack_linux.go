package lab

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync"

	"towpath/gateway/gatewaytest"
	"towpath/topology"
)

// Attack plays all attacks of gatewaytest on a gateway, and on the helper of the
// kernel in its place, jobs at once. Each has a network of its own: a server
// behind destination NAT and a strict firewall, and a stranger on either side.
func (l *Lab) Attack(ctx context.Context, jobs int) ([]Onslaught, error) {
	all := make([]Onslaught, len(gatewaytest.Attacks))
	var (
		mu      sync.Mutex
		running sync.WaitGroup
		slots   = make(chan struct{}, max(1, jobs))
		broken  error
	)
	for i, a := range gatewaytest.Attacks {
		all[i] = Onslaught{Check: a.Number, Name: a.Name, Fell: map[string]string{}, Failed: map[string]string{}}
		for _, d := range Defenders {
			slots <- struct{}{}
			running.Go(func() {
				defer func() { <-slots }()
				played, err := l.attack(ctx, a, d)
				mu.Lock()
				defer mu.Unlock()
				switch {
				case err != nil:
					broken = errors.Join(broken, err)
				case errors.Is(played, gatewaytest.ErrFooled):
					_, got, _ := strings.Cut(played.Error(), gatewaytest.ErrFooled.Error()+": ")
					all[i].Fell[d] = got
				case played != nil:
					all[i].Failed[d] = played.Error()
				}
			})
		}
	}
	running.Wait()
	return all, broken
}

// battlefield is where attacks are played.
func battlefield(defender string) (*topology.Network, error) {
	n, err := topology.Lookup("server-inside-strict-alg")
	if err != nil {
		return nil, err
	}
	for name, like := range map[string]string{"stranger": "client", "other": "server"} {
		own := n.Node(like)
		at := own.Interfaces[0]
		a := at.Addresses[0]
		b := a.Addr().AsSlice()
		b[len(b)-1] += 11
		beside, _ := netip.AddrFromSlice(b) // as long as it was
		n.Hosts = append(n.Hosts, topology.Node{Name: name, Routes: own.Routes, Interfaces: []topology.Interface{
			{Name: at.Name, Link: at.Link, Addresses: []netip.Prefix{netip.PrefixFrom(beside, a.Bits())}},
		}})
	}
	if defender == "gateway" {
		n = n.WithGateway()
	}
	return n, n.Validate()
}

// attack plays one attack. played is what became of it, err why there was no
// stage for it.
func (l *Lab) attack(ctx context.Context, a gatewaytest.Attack, defender string) (played, err error) {
	n, err := battlefield(defender)
	if err != nil {
		return nil, err
	}
	w, err := build(n)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, w.close()) }()
	server := w.hosts["server"]
	control, err := server.listen(n.Node("server").Server.ControlPort())
	if err != nil {
		return nil, err
	}
	defer control.Close()
	if defender == "gateway" {
		stop, err := w.hosts["router"].perform(ctx, "gateway", l.gatewayOn(n, n.Node("router")))
		if err != nil {
			return nil, fmt.Errorf("gateway: %w", err)
		}
		defer stop()
	}
	client, stranger, other := w.hosts["client"], w.hosts["stranger"], w.hosts["other"]
	return a.Play(ctx, &gatewaytest.Stage{
		Dial:     func(ctx context.Context) (net.Conn, error) { return client.dial(ctx, n.Session.To) },
		Accept:   accept(control),
		AtClient: client.listen, AtServer: server.listen,
		FromClient: client.dial, FromServer: server.dial, FromStranger: stranger.dial,
		Other:   n.Node("other").Interfaces[0].Addresses[0].Addr(),
		AtOther: func() (net.Listener, error) { return other.listen(0) },
	}), nil
}

// accept takes the next connection, as long as ctx lasts.
func accept(l net.Listener) func(context.Context) (net.Conn, error) {
	return func(ctx context.Context) (net.Conn, error) {
		defer context.AfterFunc(ctx, func() { _ = l.Close() })() // wakes it up
		return l.Accept()
	}
}

// listen listens on a port of the host, 0 for any.
func (h *host) listen(port uint16) (l net.Listener, err error) {
	err = h.do(func() (err error) {
		l, err = net.Listen("tcp", net.JoinHostPort("", strconv.Itoa(int(port))))
		return err
	})
	return l, err
}

// dial connects from the host.
func (h *host) dial(ctx context.Context, to netip.AddrPort) (c net.Conn, err error) {
	err = h.do(func() (err error) {
		c, err = (&net.Dialer{}).DialContext(ctx, "tcp", to.String())
		return err
	})
	return c, err
}
