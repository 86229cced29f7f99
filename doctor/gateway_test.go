package doctor_test

import (
	"net/netip"
	"strings"
	"testing"

	"towpath/doctor"
	"towpath/topology"
)

func lookup(t *testing.T, name string) *topology.Network {
	t.Helper()
	n, err := topology.Lookup(name)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// A gateway that no forward leads on from, dialled by its own address, or that
// leads to another which leads back, comes to no server.
func TestGatewayToItself(t *testing.T) {
	t.Parallel()
	alone := lookup(t, "client-inside-gateway")
	alone.Session.To = netip.MustParseAddrPort("44.1.1.1:21")
	two := lookup(t, "double-nat")
	for i, to := range []string{"100.64.0.1", "100.64.0.2"} {
		r := &two.Routers[i]
		r.Firewall, r.ALG = nil, &topology.ALG{Kind: topology.Gateway, Ports: topology.Port(21)}
		r.Forwards = []topology.Forward{{Address: two.Session.To.Addr(), Ports: topology.Port(21), To: []netip.Addr{netip.MustParseAddr(to)}}}
	}
	two.Routers[1].Forwards[0].Address = netip.MustParseAddr("100.64.0.1")
	for _, n := range []*topology.Network{alone, two} {
		if err := n.Validate(); err != nil {
			t.Fatal(err)
		}
		for _, v := range doctor.Predict(n) {
			if v.Works || v.Connection != "control" || v.Cause != doctor.CauseNotForwarded {
				t.Errorf("%s %s: %+v", n.Name, v.Mode, v)
			}
		}
	}
	if v := doctor.PredictMode(alone, doctor.EPSV); len(v.Repairs) == 0 {
		t.Errorf("%s: no repair, want a forward to the server", v.Why)
	}
}

// Of what passes a gateway the one end says and the other hears; what a gateway
// hears is not told.
func TestSaidThroughGateway(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		network         string
		mode            doctor.Mode
		said, heard, to string
	}{
		{"client-inside-gateway", doctor.PORT, "44.1.1.44:32768", "33.1.1.1:40003", "33.1.1.1:40003"},
		{"client-inside-gateway", doctor.PASV, "33.1.1.33:32768", "33.1.1.33:40003", "33.1.1.33:40003"},
		{"server-inside-gateway", doctor.EPSV, "32768", "40003", "44.1.1.1:40003"},
		{"server-guarded-gateway-passive", doctor.PORT, "44.1.1.44:50010", "44.1.1.44:50010", "44.1.1.44:50010"},
		{"server-guarded-gateway-active", doctor.PASV, "33.1.1.33:40003", "33.1.1.33:40003", "33.1.1.33:40003"},
	} {
		v := doctor.PredictMode(lookup(t, c.network), c.mode)
		if !v.Works || v.Said != c.said || v.Heard != c.heard || v.To != c.to {
			t.Errorf("%s %s: said %s, heard %s, to %s; want %s, %s, %s", c.network, c.mode, v.Said, v.Heard, v.To, c.said, c.heard, c.to)
		}
	}
}

// An ALG that is deaf tells of the port that it hears nothing of, which a forward
// may have changed on the way.
func TestOtherPortThere(t *testing.T) {
	t.Parallel()
	n := lookup(t, "server-inside")
	n.Routers[0].Forwards[0].Port = 2121
	s := n.Node("server")
	s.Server.Port = 2121
	s.ALG = &topology.ALG{Kind: topology.Kernel, Ports: topology.Port(21)}
	if err := n.Validate(); err != nil {
		t.Fatal(err)
	}
	v := doctor.PredictMode(n, doctor.EPSV)
	if v.ALG != doctor.OtherPort || !strings.Contains(v.Why, "on 2121") {
		t.Errorf("%s: %s", v.ALG, v.Why)
	}
}
