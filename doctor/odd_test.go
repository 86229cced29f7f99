package doctor_test

import (
	"strings"
	"testing"

	"towpath/doctor"
	"towpath/topology"
)

// Networks that chance has drawn and the lab has built, where the prediction was
// another than what happened.
func TestOddNetworks(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, like string
		change     func(*topology.Network)
		mode       doctor.Mode
		seen       doctor.Seen
		cause      doctor.Cause
		hop        string
	}{
		{"PASV to a server of IPv6, past a gateway that is blind", "ipv4-client-ipv6-server", func(n *topology.Network) {
			n.Session.TLS = true
		}, doctor.PASV, doctor.SeenEarly425, doctor.CauseFamily, "server"},
		{"one of two servers is shut", "balancer-sticky", func(n *topology.Network) {
			n.Node("server-b").Firewall = []topology.Rule{{In: "eth0", Do: topology.Drop}}
		}, doctor.EPSV, doctor.SeenTimeout, doctor.CauseFirewall, "server-b"},
		{"a gateway whose server is shut", "ipv6-client-ipv4-server", func(n *topology.Network) {
			n.Node("server").Firewall = []topology.Rule{{Ports: topology.Port(21), Do: topology.Reset}}
		}, doctor.EPSV, doctor.SeenNoServer, doctor.CauseFirewall, "server"},
		// It saw no SYN, and takes the greeting for the first packet of a connection.
		{"a router on the way back alone that translates", "server-inside-client-guarded", func(n *topology.Network) {
			n.Node("internet").SourceNAT = []topology.SourceNAT{{Out: "outside"}}
		}, doctor.EPRT, doctor.SeenTimeout, doctor.CauseStrays, "client-router"},
		{"a refusal in the name of another", "hairpin", func(n *topology.Network) {
			n.Node("server").Firewall = []topology.Rule{{Ports: topology.Port(21), Do: topology.Reset}}
		}, doctor.EPSV, doctor.SeenTimeout, doctor.CauseFirewall, "server"},
	} {
		n := lookup(t, c.like)
		c.change(n)
		if err := n.Validate(); err != nil {
			t.Fatal(err)
		}
		v := doctor.PredictMode(n, c.mode)
		if v.Works || v.Seen != c.seen || v.Cause != c.cause || v.Hop != c.hop {
			t.Errorf("%s: works %v, seen %q at %s: %s %s", c.name, v.Works, v.Seen, v.Hop, v.Cause, v.Why)
		}
	}
}

// A gateway of several servers goes to another when one does not answer.
func TestGatewayTriesOthers(t *testing.T) {
	t.Parallel()
	for _, shut := range []string{"server", "server-b"} {
		n := lookup(t, "balancer-gateway")
		n.Node(shut).Firewall = []topology.Rule{{Do: topology.Drop}}
		for _, v := range doctor.Predict(n) {
			if !v.Works {
				t.Errorf("%s is shut, %s: %s", shut, v.Mode, v.Why)
			}
		}
	}
	n := lookup(t, "balancer-gateway")
	for _, shut := range []string{"server", "server-b"} {
		n.Node(shut).Firewall = []topology.Rule{{Do: topology.Drop}}
	}
	if v := doctor.PredictMode(n, doctor.EPSV); v.Seen != doctor.SeenNoServer {
		t.Errorf("both are shut: %+v", v)
	}
}

// What a gateway cannot reach is told of the gateway, not of the client.
func TestWhoConnects(t *testing.T) {
	t.Parallel()
	n := lookup(t, "ipv6-client-ipv4-server")
	n.Node("server").Firewall = []topology.Rule{{Ports: topology.Port(21), Do: topology.Drop}}
	v := doctor.PredictMode(n, doctor.EPSV)
	if !strings.HasPrefix(v.Why, "The router connects to 192.0.2.33:21,") {
		t.Error(v.Why)
	}
}

// It is well only if it is with each of the servers; the one with which it is
// not has the turn.
func TestEachServer(t *testing.T) {
	t.Parallel()
	n := lookup(t, "balancer-sticky")
	for _, shut := range []string{"server", "server-b"} {
		c := n.Clone()
		c.Node(shut).Firewall = []topology.Rule{{Do: topology.Drop}}
		v := doctor.PredictMode(c, doctor.EPSV)
		if v.Works || v.Hop != shut || (v.Turn == 1) != (shut == "server-b") {
			t.Errorf("%s is shut: works %v, fails at %q, turn %d", shut, v.Works, v.Hop, v.Turn)
		}
	}
	if v := doctor.PredictMode(n, doctor.EPSV); !v.Works {
		t.Errorf("none is shut: %s", v.Why)
	}
}
