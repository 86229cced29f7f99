package doctor_test

import (
	"bufio"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"towpath/doctor"
	"towpath/topology"
)

// signatures are how the failures of testdata/matrix.txt look.
var signatures = map[string]doctor.Seen{
	"E1": doctor.SeenIllegal, "E2": doctor.SeenTimeout, "E3": doctor.SeenRefused, "E4": doctor.SeenLate425,
}

// TestMatrix holds predictions against what real programs showed in networks of
// real machines.
func TestMatrix(t *testing.T) {
	t.Parallel()
	f, err := os.Open("testdata/matrix.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rows := 0
	for lines := bufio.NewScanner(f); lines.Scan(); {
		row := strings.Fields(lines.Text())
		if len(row) != 8 || row[0] == "#" {
			continue
		}
		rows++
		n, err := topology.Textbook{
			NAT: topology.End(row[0]), Firewall: topology.Strength(row[1]), At: topology.End(row[2]),
			ALG: row[3] == "on", TLS: row[4] == "on", Client: topology.ClientKind(row[6]),
		}.Network()
		if err != nil {
			t.Fatal(err)
		}
		v := doctor.PredictMode(n, doctor.Mode(row[5]))
		if v.Works != (row[7] == "ok") || v.Seen != signatures[row[7]] {
			t.Errorf("%s: works %v, seen %q at %s: %s", lines.Text(), v.Works, v.Seen, v.Hop, v.Why)
		}
		if !v.Works && (v.Hop == "" || v.Cause == "" || v.Why == "" || len(v.Repairs) == 0) {
			t.Errorf("%s: %+v, want hop, cause, words and repairs", lines.Text(), v)
		}
	}
	if rows != 216 {
		t.Errorf("%d rows, want 216", rows)
	}
}

var update = flag.Bool("update", false, "write the golden files anew")

// TestCatalogue keeps what is predicted for every network of the catalogue, and
// the repairs. The file is read by hand when it changes.
func TestCatalogue(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	for _, n := range topology.Catalogue() {
		fmt.Fprintf(&b, "%s: %s\n", n.Name, n.Title)
		for _, v := range doctor.Predict(n) {
			if v.Works {
				fmt.Fprintf(&b, "  %s works\n", v.Mode)
				continue
			}
			fmt.Fprintf(&b, "  %s fails at %s: %s (%s, %s)\n    %s\n", v.Mode, v.Hop, v.Cause, v.Connection, v.Seen, v.Why)
			for _, r := range v.Repairs {
				fmt.Fprintf(&b, "    + %s\n", r)
			}
			for _, r := range v.Useless {
				fmt.Fprintf(&b, "    - %s\n", r)
			}
		}
	}
	const name = "testdata/catalogue.txt"
	if *update {
		if err := os.WriteFile(name, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), b.String()); diff != "" {
		t.Errorf("-update would change it: -file +predicted\n%s", diff)
	}
}

// TestFurtherCases holds predictions against what was measured beside the
// matrix, by the names of the networks in the catalogue.
func TestFurtherCases(t *testing.T) {
	t.Parallel()
	f, err := os.Open("testdata/further.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rows := 0
	for lines := bufio.NewScanner(f); lines.Scan(); {
		row := strings.SplitN(lines.Text(), " ", 4) // what is seen is in words
		if len(row) != 4 || row[0] == "#" {
			continue
		}
		rows++
		n, err := topology.Lookup(row[0])
		if err != nil {
			t.Fatal(err)
		}
		n.Node(n.Session.From).Client.Kind = topology.ClientKind(row[1])
		v := doctor.PredictMode(n, doctor.Mode(row[2]))
		seen := string(v.Seen)
		if v.Works {
			seen = "ok"
		}
		if seen != row[3] {
			t.Errorf("%s: %s: %s", lines.Text(), seen, v.Why)
		}
	}
	if rows != 25 {
		t.Errorf("%d rows, want 25", rows)
	}
}

// What a wary client does, and what cannot be said over IPv6.
func TestClients(t *testing.T) {
	t.Parallel()
	n, err := topology.Lookup("no-nat")
	if err != nil {
		t.Fatal(err)
	}
	n.Node("client").Client.Wary = true
	if v := doctor.PredictMode(n, doctor.PORT); !v.Works {
		t.Errorf("a wary client and its own server: %+v", v)
	}
	n.Routers[0].SourceNAT = []topology.SourceNAT{{Out: "outside", From: netip.MustParsePrefix("33.1.1.0/24")}}
	if v := doctor.PredictMode(n, doctor.PORT); v.Seen != doctor.SeenWary || v.Hop != "client" {
		t.Errorf("a wary client and a stranger: %+v", v)
	}
	if n, err = topology.Lookup("ipv6"); err != nil {
		t.Fatal(err)
	}
	if got := doctor.Predict(n); len(got) != 2 {
		t.Errorf("%d verdicts over IPv6, want EPRT and EPSV", len(got))
	}
	if v := doctor.PredictMode(n, doctor.PASV); v.Cause != doctor.CauseFamily || len(v.Repairs) != 1 || v.Repairs[0].String() != "use EPRT or EPSV" {
		t.Errorf("PASV over IPv6: %+v", v)
	}
}

// Whatever network can be read, there is a verdict on it.
func FuzzPredict(f *testing.F) {
	for _, n := range topology.Catalogue() {
		text, err := n.Format()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		n, err := topology.Parse(data)
		if err != nil {
			return
		}
		for _, v := range doctor.Predict(n) {
			if v.Works == (v.Cause != "") || v.Works == (v.Why != "") {
				t.Errorf("%+v: want a cause if and only if it fails", v)
			}
		}
	})
}
