package lab

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"time"

	"towpath/doctor"
	"towpath/ftpclient"
	"towpath/topology"
)

var modes = map[doctor.Mode]ftpclient.Mode{
	doctor.PORT: ftpclient.PORT, doctor.EPRT: ftpclient.EPRT, doctor.PASV: ftpclient.PASV, doctor.EPSV: ftpclient.EPSV,
}

// Case predicts what becomes of a mode in a network, runs it, and holds one
// against the other.
func (l *Lab) Case(ctx context.Context, n *topology.Network, mode doctor.Mode) (Result, error) {
	r := Result{Network: n.Name, Mode: mode, TLS: n.Session.TLS, Predicted: doctor.PredictMode(n, mode), net: n}
	if reason := l.cannot(n, mode); reason != "" {
		r.Skipped = reason
		return r, nil
	}
	var err error
	r.Observed, err = l.run(ctx, narrowed(n, r.Predicted), mode)
	if err == nil {
		r.Disagreement = r.Observed.disagreement(r.Predicted, l.loosely(r.Predicted.Seen))
		r.Unexplained = r.Observed.unexplained(r.Predicted, l)
	}
	return r, err
}

func (l *Lab) patience() time.Duration {
	if l.Patience == 0 {
		return 1500 * time.Millisecond
	}
	return l.Patience
}

// patient says whether the server waits for an active connection as long as the
// kernel does: the kernel is made less patient then, and the client more.
func (l *Lab) patient() bool { return l.Server == "proftpd" || l.Server == "pureftpd" }

// loosely says whether the programs fail in ways that differ from the one that is
// predicted: ProFTPD takes a private address in PORT for the client's own,
// tnftp refuses a 227 with another address, lftp connects again to a server that
// has closed on it. And Pure-FTPd and our own server, when a stranger has come,
// go on waiting for the client; ours says it so that our client understands.
func (l *Lab) loosely(predicted doctor.Seen) bool {
	stranger := l.Server == "pureftpd" || l.Server == "" && l.Client != ""
	return l.Server == "proftpd" || l.Client == "lftp" || l.Client == "tnftp" || stranger && predicted == doctor.SeenStranger
}

// narrowed leaves those ports to the listener with which it fails, and the first
// turn to the server with which it does, where chance decides: the prediction is
// about them.
func narrowed(n *topology.Network, v doctor.Verdict) *topology.Network {
	if v.Turn > 0 {
		n = n.Clone()
		for i := range n.Routers {
			for j := range n.Routers[i].Forwards {
				to := n.Routers[i].Forwards[j].To
				first := v.Turn % len(to)
				n.Routers[i].Forwards[j].To = slices.Concat(to[first:], to[:first])
			}
		}
	}
	if v.Ports == "" {
		return n
	}
	works, err := topology.ParsePorts(v.Ports)
	if err != nil {
		panic("lab: " + err.Error()) // doctor has written it
	}
	n = n.Clone()
	narrow := func(p *topology.Ports) {
		all := topology.Ephemeral
		if len(*p) > 0 {
			all = (*p)[0]
		}
		for port := int(all.Low); port <= int(all.High); port++ {
			if !works.Contains(uint16(port)) {
				high := port
				for high < int(all.High) && !works.Contains(uint16(high+1)) {
					high++
				}
				*p = topology.Range(uint16(port), uint16(high))
				return
			}
		}
	}
	if modes[v.Mode].Passive() {
		for i := range n.Hosts {
			if s := n.Hosts[i].Server; s != nil {
				narrow(&s.Passive)
			}
		}
	} else {
		narrow(&n.Node(n.Session.From).Client.Active)
	}
	return n
}

// run builds the network, runs one session in it that fetches a file in the
// given mode, and says what happened.
func (l *Lab) run(ctx context.Context, n *topology.Network, mode doctor.Mode) (o Observation, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("%s, %v: %w", n.Name, mode, err)
		}
	}()
	dir := l.Captures
	if dir == "" {
		if dir, err = os.MkdirTemp(scratch(), "case"); err != nil {
			return o, err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	} else {
		dir = filepath.Join(dir, n.Name, string(mode))
		if err := os.MkdirAll(dir, 0o777); err != nil {
			return o, err
		}
		o.Captures = dir
	}
	w, err := build(n)
	if err != nil {
		return o, err
	}
	defer func() { err = errors.Join(err, w.close()) }()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ends, err := l.serveAll(ctx, w)
	defer ends()
	if err != nil {
		return o, err
	}
	var recorders []*recorder
	stop := func() error {
		var err error
		for _, r := range recorders {
			err = errors.Join(err, r.stop())
			o.Lost += r.lost
		}
		recorders = nil
		return err
	}
	defer func() { err = errors.Join(err, stop()) }()
	for _, node := range n.Nodes() {
		var names []string
		for _, i := range node.Interfaces {
			names = append(names, i.Name)
		}
		r, err := w.hosts[node.Name].record(filepath.Join(dir, node.Name+".pcapng"), names...)
		if err != nil {
			return o, err
		}
		recorders = append(recorders, r)
	}
	client, err := l.fetch(ctx, w, mode)
	if err != nil {
		return o, err
	}
	if err := stop(); err != nil {
		return o, err
	}
	sightings, err := look(dir, n)
	if err != nil {
		return o, err
	}
	o.sightings = sightings
	o.conclude(&client, mode, l.patience(), n)
	o.Explained, err = told(ctx, dir, n)
	return o, err
}

// serveAll starts the servers, and the gateways before them.
func (l *Lab) serveAll(ctx context.Context, w *world) (stop func(), err error) {
	var stops []func()
	stop = func() {
		for _, s := range slices.Backward(stops) {
			s()
		}
	}
	for _, node := range w.net.Nodes() {
		var one func()
		switch {
		case node.Server != nil:
			one, err = l.serve(ctx, w, node)
		case node.ALG != nil && node.ALG.Kind == topology.Gateway:
			one, err = w.hosts[node.Name].perform(ctx, "gateway", l.gatewayOn(w.net, node))
		default:
			continue
		}
		if err != nil {
			return stop, fmt.Errorf("%s: %w", node.Name, err)
		}
		stops = append(stops, one)
	}
	return stop, nil
}

// perform starts a part that says when it is ready, and goes on until it is
// stopped.
func (h *host) perform(ctx context.Context, part string, order any) (stop func(), err error) {
	cmd, err := cast(ctx, part, order)
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := h.start(cmd); err != nil {
		return nil, err
	}
	if err := waitReady(part, out); err != nil {
		kill(cmd)
		return nil, err
	}
	return func() { kill(cmd) }, nil
}

// serve starts the server of a host.
func (l *Lab) serve(ctx context.Context, w *world, node *topology.Node) (stop func(), err error) {
	s := node.Server
	order := serverOrder{
		Port: s.ControlPort(), Passive: topology.Ephemeral, External: s.External, DataPort: s.DataPort, Foreign: s.AllowForeign,
		IPv6: node.Interfaces[0].Addresses[0].Addr().Is6(), TLS: w.net.Session.TLS, Lines: w.net.Session.Lines, Size: fileSize(w.net.Session), Patience: l.patience(),
	}
	if len(s.Passive) > 0 {
		order.Passive = s.Passive[0]
	}
	if t := time.Duration(w.net.Session.Transfer); t > 0 {
		order.Rate = int64(float64(order.Size) / t.Seconds())
	}
	if l.Server != "" {
		return l.serveBy(ctx, w.hosts[node.Name], order)
	}
	return w.hosts[node.Name].perform(ctx, "server", order)
}

// serveBy starts a server of others. Its files are in a directory of its own,
// where anybody may look.
func (l *Lab) serveBy(ctx context.Context, h *host, order serverOrder) (stop func(), err error) {
	program, err := l.find(l.Server)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(scratch(), "case")
	if err != nil {
		return nil, err
	}
	clean := func() { _ = os.RemoveAll(dir) } // what is left is small
	if err := os.Chmod(dir, 0o755); err != nil {
		clean()
		return nil, err
	}
	cmd, err := servers[l.Server](order, dir, program)
	if err != nil {
		clean()
		return nil, err
	}
	libraries(cmd)
	if l.patient() {
		if err := h.sysctl("ipv4/tcp_syn_retries", "1"); err != nil {
			clean()
			return nil, err
		}
	}
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err = h.start(cmd); err == nil {
		err = h.awaitPort(ctx, order.Port)
		if err != nil {
			kill(cmd)
			err = fmt.Errorf("%w; it said %q", err, said.String())
		}
	}
	if err != nil {
		clean()
		return nil, fmt.Errorf("%s on %s: %w", l.Server, h.name, err)
	}
	return func() { kill(cmd); clean() }, nil
}

// fetch runs the client.
func (l *Lab) fetch(ctx context.Context, w *world, mode doctor.Mode) (r clientReport, err error) {
	s := w.net.Session
	node := w.net.Node(s.From)
	c := node.Client
	if c == nil {
		c = &topology.Client{}
	}
	order := clientOrder{
		To: s.To, Mode: modes[mode], TLS: s.TLS, ClearAgain: s.ClearAgain, External: c.External, Local: ownAddress(node, s.To.Addr()),
		Lines: s.Lines, KeepAlive: time.Duration(s.KeepAlive), Transfer: time.Duration(s.Transfer), Patience: l.patience(),
		Foreign: c.Kind != topology.Curl,
	}
	if l.patient() {
		order.Patience *= 2
	}
	if !modes[mode].Passive() {
		order.Foreign = !c.Wary
	}
	if len(c.Active) > 0 {
		order.Active = c.Active[0]
	}
	if l.Client != "" {
		return l.fetchBy(ctx, w.hosts[node.Name], order, mode)
	}
	cmd, err := cast(ctx, "client", order)
	if err != nil {
		return r, err
	}
	var out bytes.Buffer
	cmd.Stdout = &out
	if err := w.hosts[node.Name].start(cmd); err != nil {
		return r, fmt.Errorf("client on %s: %w", node.Name, err)
	}
	if err := cmd.Wait(); err != nil {
		return r, fmt.Errorf("client on %s: %w", node.Name, err)
	}
	return r, json.Unmarshal(out.Bytes(), &r)
}

// ownAddress is the first address of a host that is of the family of another.
func ownAddress(node *topology.Node, like netip.Addr) netip.Addr {
	for _, i := range node.Interfaces {
		for _, a := range i.Addresses {
			if a.Addr().Is4() == like.Is4() {
				return a.Addr()
			}
		}
	}
	return netip.Addr{}
}
