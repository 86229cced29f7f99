package doctor_test

import (
	"testing"

	"towpath/doctor"
	"towpath/topology"
)

// textbooks are all networks of the kind that flags draw, also those that
// nobody has measured: NAT before one end and a firewall before the other.
func textbooks() []topology.Textbook {
	var all []topology.Textbook
	for _, nat := range []topology.End{topology.Neither, topology.AtClient, topology.AtServer} {
		for _, at := range []topology.End{topology.AtClient, topology.AtServer} {
			for _, fw := range []topology.Strength{topology.Open, topology.StatefulFirewall, topology.Strict} {
				for _, client := range []topology.ClientKind{topology.Plain, topology.Curl} {
					all = append(all, topology.Textbook{NAT: nat, At: at, Firewall: fw, Client: client})
				}
			}
		}
	}
	return all
}

func predict(t *testing.T, b topology.Textbook) map[doctor.Mode]doctor.Verdict {
	t.Helper()
	n, err := b.Network()
	if err != nil {
		t.Fatal(err)
	}
	all := map[doctor.Mode]doctor.Verdict{}
	for _, v := range doctor.Predict(n) {
		all[v.Mode] = v
	}
	return all
}

// What must hold in every textbook, measured or not.
func TestLaws(t *testing.T) {
	t.Parallel()
	for _, b := range textbooks() {
		off := predict(t, b)
		with := func(change func(*topology.Textbook)) map[doctor.Mode]doctor.Verdict {
			c := b
			change(&c)
			return predict(t, c)
		}
		alg := with(func(b *topology.Textbook) { b.ALG = true })
		tls := with(func(b *topology.Textbook) { b.TLS = true })
		blind := with(func(b *topology.Textbook) { b.ALG, b.TLS = true, true })
		open := with(func(b *topology.Textbook) { b.Firewall = topology.Open })
		for _, m := range doctor.Modes {
			switch {
			case !alg[m].Works:
				t.Errorf("%+v %s: fails with an ALG on each router: %s", b, m, alg[m].Why)
			case tls[m].Works != off[m].Works || tls[m].Seen != off[m].Seen:
				t.Errorf("%+v %s: TLS alone changes it", b, m)
			case blind[m].Works != off[m].Works || blind[m].Seen != off[m].Seen:
				t.Errorf("%+v %s: an ALG that is blind changes it", b, m)
			case off[m].Works && !open[m].Works:
				t.Errorf("%+v %s: fails when the firewall is opened", b, m)
			}
		}
		if off[doctor.PORT].Seen != off[doctor.EPRT].Seen {
			t.Errorf("%+v: PORT and EPRT differ", b)
		}
		if b.Client == topology.Curl && off[doctor.PASV].Seen != off[doctor.EPSV].Seen {
			t.Errorf("%+v: PASV and EPSV differ for a client that takes the address from neither", b)
		}
	}
}

// What the helper of the kernel repairs, a gateway in its place repairs too, and
// it reads what is cut or encrypted besides.
func TestGatewayForKernel(t *testing.T) {
	t.Parallel()
	twins := 0
	for _, n := range topology.Catalogue() {
		twin := n.WithGateway()
		if twin == nil {
			continue
		}
		twins++
		if err := twin.Validate(); err != nil {
			t.Error(err)
		}
		for _, v := range doctor.Predict(n) {
			if w := doctor.PredictMode(twin, v.Mode); v.Works && !w.Works {
				t.Errorf("%s %s works with the kernel's helper, and not with a gateway: %s", n.Name, v.Mode, w.Why)
			}
		}
	}
	if twins < 15 {
		t.Errorf("%d networks have a helper, want more", twins)
	}
}
