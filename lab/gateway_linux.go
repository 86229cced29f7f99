package lab

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync/atomic"
	"time"

	"towpath/firewall"
	"towpath/gateway"
	"towpath/gateway/doors"
	"towpath/internal/certs"
	"towpath/topology"
)

// gatewayOrder is what a gateway has to do.
type gatewayOrder struct {
	Port uint16
	// To are the servers, in turn. None: each client goes where he wanted to,
	// and the node redirects him to us.
	To         []netip.AddrPort
	Terminate  bool
	ServerMode gateway.Mode
	KeepAlive  time.Duration
	Patience   time.Duration
	// Plane is what carries clear data, one of [Planes].
	Plane string
}

// gatewayPorts are those that gateways announce. An administrator opens them
// towards the gateway itself.
var gatewayPorts = firewall.Ports{Low: 61000, High: 64999}

// gatewayOn is the order for a node, by what is drawn there.
func (l *Lab) gatewayOn(n *topology.Network, node *topology.Node) gatewayOrder {
	o := gatewayOrder{
		Port: node.ALG.Ports[0].Low, Terminate: node.ALG.TerminateTLS, KeepAlive: time.Duration(n.Session.KeepAlive),
		Patience: l.patience(), Plane: l.Plane,
	}
	switch node.ALG.ServerMode {
	case topology.ServerPassive:
		o.ServerMode = gateway.PassiveMode
	case topology.ServerActive:
		o.ServerMode = gateway.ActiveMode
	}
	for _, f := range node.Forwards {
		if !byGateway(node, f) {
			continue
		}
		for _, to := range f.To {
			port := f.Port
			if port == 0 {
				port = f.Ports[0].Low
			}
			o.To = append(o.To, netip.AddrPortFrom(to, port))
		}
	}
	return o
}

// redirects says whether a node redirects control connections to a gateway, as
// those that no forward is for.
func redirects(node *topology.Node) bool {
	return node.ALG != nil && node.ALG.Kind == topology.Gateway &&
		!slices.ContainsFunc(node.Forwards, func(f topology.Forward) bool { return byGateway(node, f) })
}

// route is a [gateway.Router]: the servers in turn, or where the client wanted
// to go.
type route struct {
	gatewayOrder
	turn atomic.Uint64
}

func (r *route) Route(_ context.Context, v gateway.Visitor, tried []string) (*gateway.Seat, error) {
	to := v.Original
	if len(r.To) > 0 {
		to = r.To[int(r.turn.Add(1)-1)%len(r.To)]
	}
	if !to.IsValid() {
		return nil, errors.New("where this client wanted to go is not known")
	}
	if slices.Contains(tried, to.String()) {
		return nil, fmt.Errorf("%v has been tried", to)
	}
	return &gateway.Seat{Server: gateway.Server{
		Name: to.String(), Addr: to.String(),
		Config: &tls.Config{InsecureSkipVerify: true}, // both ends are ours
	}}, nil
}

// serve is a gateway until it is killed. It says "ready" when it listens.
func (o gatewayOrder) serve() error {
	set := gateway.Options{
		Route: &route{gatewayOrder: o}, ServerMode: o.ServerMode, Ports: gatewayPorts,
		ConnectTimeout: o.Patience, DataTimeout: o.Patience, KeepAlive: o.KeepAlive,
		Log: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError})),
	}
	if set.KeepAlive == 0 {
		set.KeepAlive = -1
	}
	if o.Terminate {
		c, err := certs.SelfSigned("", "lab")
		if err != nil {
			return err
		}
		set.ClientTLS, set.TLS = gateway.TerminateTLS, &tls.Config{Certificates: []tls.Certificate{*c}}
	}
	l, err := net.Listen("tcp", fmt.Sprintf(":%d", o.Port))
	if err != nil {
		return err
	}
	if o.Plane == "conntrack" {
		c, err := firewall.OpenConntrack(firewall.ConntrackOptions{Ports: o.controlPorts()})
		if err != nil {
			return err
		}
		defer c.Close()
		set.Opener = c
	}
	if len(o.To) == 0 || o.Plane == "nftables" {
		n, err := firewall.OpenNetfilter(firewall.NetfilterOptions{})
		if err != nil {
			return err
		}
		defer n.Close()
		if len(o.To) == 0 {
			set.Redirect = n
			l = doors.Redirected(l, set.Log)
		}
		if o.Plane == "nftables" {
			set.Opener = n
		}
	}
	g, err := gateway.New(set)
	if err != nil {
		return err
	}
	if _, err := fmt.Println("ready"); err != nil {
		return err
	}
	return g.Serve(l)
}

// controlPorts are those of control connections on both sides.
func (o gatewayOrder) controlPorts() []uint16 {
	all := []uint16{o.Port}
	for _, to := range o.To {
		all = append(all, to.Port())
	}
	return all
}
