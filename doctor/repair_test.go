package doctor_test

import (
	"net/netip"
	"strings"
	"testing"

	"towpath/doctor"
	"towpath/topology"
)

// A firewall sees the port behind the forward, and a repair of it opens that.
func TestForwardedControl(t *testing.T) {
	t.Parallel()
	n := lookup(t, "server-inside-strict")
	n.Session.To = netip.AddrPortFrom(n.Session.To.Addr(), 2121)
	r := &n.Routers[0]
	r.Forwards[0].Ports, r.Forwards[0].Port = topology.Port(2121), 21
	r.Firewall = []topology.Rule{{Do: topology.Drop}}
	if err := n.Validate(); err != nil {
		t.Fatal(err)
	}
	v := doctor.PredictMode(n, doctor.EPSV)
	if len(v.Repairs) == 0 || !strings.Contains(v.Repairs[0].String(), "ports 21 on router") {
		t.Errorf("%s: repairs %v, want one that opens port 21", v.Why, v.Repairs)
	}
}

// What one change of a repair costs is told, whichever comes behind it.
func TestPriceOfAll(t *testing.T) {
	t.Parallel()
	n := lookup(t, "client-inside-strict-alg-tls")
	n.Routers[0].StrictlyReplies = true
	n.Routers[0].ALG.Ports = topology.Port(21)
	dear := 0
	for _, v := range doctor.Predict(n) {
		for _, r := range v.Repairs {
			for i, c := range r.Changes {
				if c.ID != "clear-again" {
					continue
				}
				if dear++; r.Result == "" {
					t.Errorf("%s: %v, and %d of %d changes has a price", v.Mode, r, i+1, len(r.Changes))
				}
			}
		}
	}
	if dear == 0 {
		t.Error("no repair sends CCC")
	}
}
