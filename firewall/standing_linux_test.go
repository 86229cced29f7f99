package firewall

import (
	"errors"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"towpath/internal/alone"
)

// What nft and iptables have loaded is read as the kernel reads it.
func TestStanding(t *testing.T) {
	if !alone.Inside(t) {
		return
	}
	const any4, any6 = "0.0.0.0", "::"
	for _, c := range []struct {
		name, program, rules string
		want                 map[string]Leave
		helped               Leave
		own                  bool // our own connections are helped
	}{
		{
			name: "nothing", program: "nft", rules: "",
			want:   map[string]Leave{any4 + ":21": Admitted, "[" + any6 + "]:21": Admitted},
			helped: Stopped,
		},
		{
			name: "a stateful filter", program: "nft",
			rules: `table inet filter {
				chain input {
					type filter hook input priority 0; policy drop;
					ct state established,related accept
					ct state invalid drop
					iifname "lo" accept
					ip protocol icmp accept
					tcp dport { 21, 22 } accept
					tcp dport 50000-50100 counter accept
					ip saddr 10.0.0.0/8 tcp dport 990 accept
				}
			}`,
			want: map[string]Leave{
				any4 + ":21": Admitted, any4 + ":23": Stopped, any4 + ":50000": Admitted, any4 + ":50100": Admitted,
				any4 + ":50101": Stopped, any4 + ":990": Unsure, "[" + any6 + "]:21": Admitted,
				"[" + any6 + "]:990": Stopped,
			},
			helped: Stopped,
		},
		{
			name: "maps, intervals, chains", program: "nft",
			rules: `table ip filter {
				set open { type inet_service; flags interval; elements = { 2121, 50000-50009 } }
				chain input {
					type filter hook input priority 0; policy accept;
					iif "lo" accept
					ct state vmap { established : accept, related : accept, invalid : drop }
					ip daddr 192.0.2.1 tcp dport 21 accept
					ip daddr != 192.0.2.1 tcp dport 21 jump others
					tcp dport vmap { 80 : accept, 81 : goto others }
					tcp dport @open accept
					reject with tcp reset
				}
				chain others {
					limit rate 10/minute accept
					tcp dport != 81 return
					drop
				}
			}`,
			want: map[string]Leave{
				"192.0.2.1:21": Admitted, "192.0.2.2:21": Unsure, any4 + ":80": Admitted, any4 + ":81": Unsure,
				any4 + ":2121": Admitted, any4 + ":50009": Admitted, any4 + ":50010": Stopped, any4 + ":82": Stopped,
				"[" + any6 + "]:82": Admitted,
			},
			helped: Stopped,
		},
		{
			name: "two filters, and one for packets that pass through", program: "nft",
			rules: `table ip a {
				chain input {
					type filter hook input priority 0; policy drop
					tcp dport 21-22 accept
				}
			}
			table ip b {
				chain early {
					type filter hook prerouting priority -300
					tcp dport 22 drop
				}
			}
			table ip c {
				chain forward {
					type filter hook forward priority 0; policy drop
				}
			}`,
			want:   map[string]Leave{any4 + ":21": Admitted, any4 + ":22": Stopped, any4 + ":23": Stopped},
			helped: Stopped,
		},
		{
			name: "a helper", program: "nft",
			rules: `table inet help {
				ct helper ftp { type "ftp" protocol tcp; }
				chain pre { type filter hook prerouting priority 0; tcp dport 21 ct helper set "ftp"; }
			}`,
			want:   map[string]Leave{any4 + ":21": Admitted},
			helped: Admitted,
		},
		{
			name: "a helper of clients", program: "nft",
			rules: `table inet help {
				ct helper ftp { type "ftp" protocol tcp; }
				chain out { type filter hook output priority 0; tcp dport 21 ct helper set "ftp"; }
			}`,
			want:   map[string]Leave{any4 + ":21": Admitted},
			helped: Stopped, own: true,
		},
		{
			name: "iptables", program: "iptables-nft-restore",
			rules: `*filter
:INPUT DROP [0:0]
-A INPUT -i lo -j ACCEPT
-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A INPUT -p tcp -m tcp --dport 21 -m comment --comment ftp -j ACCEPT
-A INPUT -p tcp -m tcp --dport 50000:50009 -j ACCEPT
-A INPUT -s 10.0.0.0/8 -p tcp -m tcp --dport 990 -j ACCEPT
-A INPUT -p tcp -j REJECT --reject-with tcp-reset
COMMIT
`,
			want: map[string]Leave{
				any4 + ":21": Admitted, any4 + ":50009": Admitted, any4 + ":50010": Stopped, any4 + ":990": Unsure,
				"[" + any6 + "]:990": Admitted,
			},
			helped: Stopped,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			program, err := exec.LookPath(c.program)
			if err != nil {
				t.Skipf("%s is not installed: the rules that it loads are not read", c.program)
			}
			flush, err := exec.LookPath("nft")
			if err != nil {
				t.Skip("nft is not installed: nothing takes the rules away again")
			}
			load(t, flush, "flush ruleset\n", "-f", "-")
			args := []string{"-f", "-"}
			if c.program != "nft" {
				args = nil
			}
			if c.rules != "" {
				load(t, program, c.rules, args...)
			}
			s, err := ReadStanding(0)
			if err != nil {
				t.Fatal(err)
			}
			for to, want := range c.want {
				if got, where := s.Input(netip.MustParseAddrPort(to)); got != want || (got == Admitted) != (where == "") {
					t.Errorf("to %s: %v by %q, want %v", to, got, where, want)
				}
			}
			if got := s.Helped(In, 21); got != c.helped {
				t.Errorf("helped: %v, want %v", got, c.helped)
			}
			if got := s.Helped(Out, 21); (got == Admitted) != c.own {
				t.Errorf("our own are helped: %v, want %v", got, c.own)
			}
			if c.helped == Admitted && s.Helped(In, 2121) != Stopped {
				t.Error("helped on port 2121")
			}
		})
	}
}

func load(t *testing.T, program, rules string, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program, args...)
	cmd.Stdin = strings.NewReader(rules)
	if out, err := cmd.CombinedOutput(); err != nil {
		if strings.Contains(string(out), "ct helper") || strings.Contains(string(out), "No such file or directory") && strings.Contains(rules, "ct helper") {
			t.Skipf("the kernel has no FTP helper: %s", out)
		}
		t.Fatalf("%s: %v\n%s", program, err, out)
	}
}

// Rules of ours are read as well as those of nft.
func TestStandingPinholes(t *testing.T) {
	if !alone.Inside(t) {
		return
	}
	n, err := OpenNetfilter(NetfilterOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	s, err := ReadStanding(0)
	if err != nil {
		t.Fatal(err)
	}
	if got, where := s.Input(netip.MustParseAddrPort("127.0.0.1:21")); got != Admitted {
		t.Errorf("%v by %s", got, where)
	}
}

// An ordinary user hears that he may not, and never that all is open.
func TestStandingNotPermitted(t *testing.T) {
	t.Parallel()
	s, err := ReadStanding(0)
	if os.Geteuid() == 0 && err == nil {
		t.Skip("root may read the rules")
	}
	if s != nil || !errors.Is(err, ErrNotPermitted) {
		t.Errorf("%v, %v", s, err)
	}
}

// A value is in an interval set between a begin and the end behind it.
func TestWithin(t *testing.T) {
	t.Parallel()
	if !within([]byte{0, 21, 0, 0, 0, 5, 0, 0}, []byte{0, 20, 0, 0, 0, 5, 0, 0}, []byte{0, 22, 0, 0, 0, 6, 0, 0}) {
		t.Error("not within")
	}
	// The second word is outside although the whole is between the ends.
	if within([]byte{0, 21, 0, 0, 0, 9, 0, 0}, []byte{0, 20, 0, 0, 0, 5, 0, 0}, []byte{0, 22, 0, 0, 0, 6, 0, 0}) {
		t.Error("within")
	}
	if !slices.Equal([]Leave{Unsure, Admitted, Stopped}, []Leave{0, 1, 2}) {
		t.Error("the zero value is not Unsure")
	}
}
