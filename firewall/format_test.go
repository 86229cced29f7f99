package firewall

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files anew")

// cases are servers that between them have all that a rule can have.
var cases = []struct {
	name   string
	server Server
}{
	{"everybody", Server{
		Control: []uint16{21}, Passive: Ports{50000, 50004}, Active: true, ActivePort: 20,
	}},
	{"some", Server{
		Control: []uint16{21, 2121}, Implicit: []uint16{990}, Passive: Ports{50000, 50004}, Active: true,
		Inside:  []netip.Addr{netip.MustParseAddr("192.0.2.10"), netip.MustParseAddr("2001:db8::10")},
		Clients: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("198.51.100.7/32"), netip.MustParsePrefix("2001:db8:c::/48")},
	}},
	{"nat", Server{
		Control: []uint16{2121}, Passive: Ports{50000, 50004}, Active: true, ActivePort: 20,
		Inside:   []netip.Addr{netip.MustParseAddr("192.168.1.5"), netip.MustParseAddr("2001:db8::10")},
		External: []netip.Addr{netip.MustParseAddr("203.0.113.7")},
	}},
	{"nat, active from any port", Server{
		Control: []uint16{21}, Active: true,
		Inside:   []netip.Addr{netip.MustParseAddr("192.168.1.5")},
		External: []netip.Addr{netip.MustParseAddr("203.0.113.7")},
	}},
}

// sidesOf are those of sides that a server has rules for: one that names no
// address has none that would open other machines.
func sidesOf(s Server, sides []Side) []Side {
	if len(s.Inside) > 0 {
		return sides
	}
	return slices.DeleteFunc(slices.Clone(sides), func(side Side) bool { return side != AtServer })
}

// TestGolden compares what every format writes for every case and side with
// testdata/FORMAT.
func TestGolden(t *testing.T) {
	t.Parallel()
	for _, f := range Formats {
		t.Run(f.Name, func(t *testing.T) {
			t.Parallel()
			var got bytes.Buffer
			for _, c := range cases {
				for _, side := range sidesOf(c.server, f.Sides) {
					set, err := c.server.Plan(side)
					if err != nil {
						t.Fatal(err)
					}
					fmt.Fprintf(&got, "-- %s, %s --\n", c.name, side)
					if err := f.Write(&got, set); err != nil {
						fmt.Fprintf(&got, "error: %v\n", err)
					}
				}
			}
			golden := filepath.Join("testdata", f.Name)
			if *update {
				if err := os.WriteFile(golden, got.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got.String()); diff != "" {
				t.Errorf("-update writes it anew: -golden +got\n%s", diff)
			}
		})
	}
}

// TestFormatsOfSides finds that every format refuses the sides that it does
// not name, and says which it can do.
func TestFormatsOfSides(t *testing.T) {
	t.Parallel()
	for _, f := range Formats {
		for _, side := range Sides {
			set, err := cases[1].server.Plan(side)
			if err != nil {
				t.Fatal(err)
			}
			err = f.Write(&bytes.Buffer{}, set)
			if !slices.Contains(f.Sides, side) && (err == nil || !strings.Contains(err.Error(), string(f.Sides[0]))) {
				t.Errorf("%s at %s: error %v, want one that names %s", f.Name, side, err, f.Sides[0])
			}
		}
	}
	if _, err := FormatNamed("ipfw"); err == nil || !strings.Contains(err.Error(), "nftables, iptables") {
		t.Errorf("ipfw: error %v, want the list of formats", err)
	}
	if f, err := FormatNamed("vrp"); err != nil || f.Name != "vrp" {
		t.Errorf("vrp: %v, %v", f.Name, err)
	}
}

// TestSinglePorts finds the warning where ranges become lists.
func TestSinglePorts(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		format string
		side   Side
	}{{"kubernetes", AtServer}, {"ios", AtRouter}, {"vrp", AtRouter}} {
		for _, last := range []uint16{50099, 50100} {
			s := cases[2].server
			s.Passive = Ports{50000, last}
			set, err := s.Plan(tt.side)
			if err != nil {
				t.Fatal(err)
			}
			f, err := FormatNamed(tt.format)
			if err != nil {
				t.Fatal(err)
			}
			var b strings.Builder
			if err := f.Write(&b, set); err != nil {
				t.Fatal(err)
			}
			if warned, want := strings.Contains(b.String(), "CAUTION"), last == 50100; warned != want {
				t.Errorf("%s with %v: warned %v, want %v", tt.format, s.Passive, warned, want)
			}
			if !strings.Contains(b.String(), fmt.Sprint(last)) {
				t.Errorf("%s with %v does not name %d", tt.format, s.Passive, last)
			}
		}
	}
}

// TestJSON reads the data back.
func TestJSON(t *testing.T) {
	t.Parallel()
	f, err := FormatNamed("json")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range cases {
		for _, side := range sidesOf(c.server, Sides) {
			set, err := c.server.Plan(side)
			if err != nil {
				t.Fatal(err)
			}
			var b bytes.Buffer
			if err := f.Write(&b, set); err != nil {
				t.Fatal(err)
			}
			var back RuleSet
			if err := json.Unmarshal(b.Bytes(), &back); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(*set, back, cmp.Comparer(func(a, b netip.Addr) bool { return a == b }), cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); diff != "" {
				t.Errorf("%s, %s: -plan +read\n%s", c.name, side, diff)
			}
		}
	}
}

// TestCompose has Docker read what is written for Compose.
func TestCompose(t *testing.T) {
	t.Parallel()
	program, err := exec.LookPath("docker")
	if err != nil {
		t.Skip("docker is not installed: the list of ports is compared and not read")
	}
	if out, err := exec.Command(program, "compose", "version").CombinedOutput(); err != nil {
		t.Skipf("docker has no compose: %v\n%s", err, out)
	}
	for _, c := range cases {
		set, err := c.server.Plan(AtServer)
		if err != nil {
			t.Fatal(err)
		}
		f, err := FormatNamed("compose")
		if err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		if err := f.Write(&b, set); err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(t.TempDir(), "compose.yaml")
		if err := os.WriteFile(file, b.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.Command(program, "compose", "-f", file, "config", "--quiet").CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", c.name, err, out)
		}
	}
}
