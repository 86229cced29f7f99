package gateway_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"testing"
	"time"

	"towpath/gateway/gatewaytest"
)

var (
	loopback = netip.MustParseAddr("127.0.0.1")
	second   = netip.MustParseAddr("127.0.0.2")
)

func listenAt(a netip.Addr) func(uint16) (net.Listener, error) {
	return func(port uint16) (net.Listener, error) {
		return net.Listen("tcp", netip.AddrPortFrom(a, port).String())
	}
}

func dialBy(from netip.Addr) func(context.Context, netip.AddrPort) (net.Conn, error) {
	return func(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
		d := net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(from, 0))}
		return d.DialContext(ctx, "tcp", to.String())
	}
}

// stage is one on loopback: front is what is called, l where the server listens.
func stage(front string, l net.Listener) *gatewaytest.Stage {
	s := &gatewaytest.Stage{
		Dial: func(ctx context.Context) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "tcp", front)
		},
		Accept:   func(context.Context) (net.Conn, error) { return l.Accept() },
		AtClient: listenAt(loopback), AtServer: listenAt(loopback),
		FromClient: dialBy(loopback), FromServer: dialBy(loopback),
		Patience: 300 * time.Millisecond,
	}
	if other, err := listenAt(second)(0); err == nil { // not every system has it
		_ = other.Close()
		s.FromStranger, s.Other = dialBy(second), second
		s.AtOther = func() (net.Listener, error) { return listenAt(second)(0) }
	}
	return s
}

// TestChecks plays every attack against the gateway. The number in the name is
// that of the check.
func TestChecks(t *testing.T) {
	t.Parallel()
	for _, a := range gatewaytest.Attacks {
		t.Run(fmt.Sprintf("%02d %s", a.Number, a.Name), func(t *testing.T) {
			t.Parallel()
			l, err := listenAt(loopback)(0)
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			g := serve(t, l.Addr().String())
			err = a.Play(t.Context(), stage(g.addr, l))
			if errors.Is(err, gatewaytest.ErrNoStage) {
				t.Skip(err)
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
}

// What only relays bytes withstands little. This shows that the attacks are
// ones: on loopback every address that is announced leads somewhere.
func TestAttacksFoolARelay(t *testing.T) {
	t.Parallel()
	can := map[int]bool{1: true, 2: true, 7: true, 8: true, 9: true, 10: true}
	for _, a := range gatewaytest.Attacks {
		if !can[a.Number] {
			continue
		}
		t.Run(fmt.Sprintf("%02d %s", a.Number, a.Name), func(t *testing.T) {
			t.Parallel()
			l, err := listenAt(loopback)(0)
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			front, err := listenAt(loopback)(0)
			if err != nil {
				t.Fatal(err)
			}
			defer front.Close()
			go func() {
				for {
					c, err := front.Accept()
					if err != nil {
						return
					}
					s, err := net.Dial("tcp", l.Addr().String())
					if err != nil {
						_ = c.Close()
						continue
					}
					go func() { _, _ = io.Copy(s, c); _ = s.Close() }()
					go func() { _, _ = io.Copy(c, s); _ = c.Close() }()
				}
			}()
			err = a.Play(t.Context(), stage(front.Addr().String(), l))
			if errors.Is(err, gatewaytest.ErrNoStage) {
				t.Skip(err)
			}
			if !errors.Is(err, gatewaytest.ErrFooled) {
				t.Errorf("%v, want to be fooled", err)
			}
		})
	}
}
