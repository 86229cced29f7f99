package serverside_test

import (
	"context"
	"crypto/tls"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"towpath/doctor/check"
	"towpath/doctor/serverside"
	"towpath/firewall"
	"towpath/ftpserver"
	"towpath/internal/certs"
	"towpath/internal/columns"
	"towpath/internal/config"
	"towpath/internal/config/foreign"
	"towpath/internal/words"
)

// rules let in the ports that they hold, are not sure of those that are false
// in them, and stop the others.
type rules struct {
	ports  map[uint16]bool
	helped map[uint16]firewall.Leave
}

func (r rules) Input(to netip.AddrPort) (firewall.Leave, string) {
	let, named := r.ports[to.Port()]
	switch {
	case !named:
		return firewall.Stopped, "chain input of table filter"
	case !let:
		return firewall.Unsure, "chain input of table filter"
	}
	return firewall.Admitted, ""
}

func (r rules) Helped(_ firewall.Way, port uint16) firewall.Leave {
	if l, ok := r.helped[port]; ok {
		return l
	}
	return firewall.Stopped
}

// open lets everything in.
type open struct{ rules }

func (open) Input(netip.AddrPort) (firewall.Leave, string) { return firewall.Admitted, "" }

// oneStopped lets in what is of the other family than like.
type oneStopped struct {
	rules
	like netip.Addr
}

func (o oneStopped) Input(to netip.AddrPort) (firewall.Leave, string) {
	if to.Addr().Is6() == o.like.Is6() {
		return firewall.Stopped, "chain input of a table"
	}
	return firewall.Admitted, ""
}

// machine has a public address and lets everything in.
func machine() serverside.Machine {
	return serverside.Machine{
		Addresses: func() ([]netip.Addr, error) {
			return []netip.Addr{netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("44.1.1.1")}, nil
		},
		Resolve: func(_ context.Context, name string) ([]netip.Addr, error) {
			switch name {
			case "ftp.example.org":
				return []netip.Addr{netip.MustParseAddr("44.1.1.9")}, nil
			case "broken.example.org":
				return nil, errors.New("no name server answers")
			}
			return nil, &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
		},
		Bind:      func(context.Context, string) error { return nil },
		Greeting:  func(context.Context, string) (string, error) { return "", errors.New("refused") },
		Listening: func() ([]uint16, error) { return []uint16{22}, nil },
		Rules:     func() (serverside.Rules, error) { return open{}, nil },
		Helper:    func() (serverside.Helper, error) { return serverside.Helper{}, nil },
		Now:       func() time.Time { return now },
	}
}

var now = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

// inside is a machine with a private address.
func inside() ([]netip.Addr, error) {
	return []netip.Addr{netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("192.168.1.5")}, nil
}

// ports makes rules that let these in.
func ports(all ...uint16) rules {
	r := rules{ports: map[uint16]bool{}}
	for _, p := range all {
		r.ports[p] = true
	}
	return r
}

// set reads settings as a configuration file has them.
func set(t *testing.T, toml string) serverside.Subject {
	t.Helper()
	name := filepath.Join(t.TempDir(), "towpath.toml")
	if err := os.WriteFile(name, []byte(toml), 0o600); err != nil {
		t.Fatal(err)
	}
	s := serverside.Ours(config.Load(config.Sources{File: name}))
	s.Name = "towpath.toml"
	return s
}

const good = `
listen = ":21"
[passive]
ports = "50000-50100"
[tls]
self_signed = true
`

// Each row is one thing that is otherwise than in a server without fault, and
// what is found of it.
func TestLook(t *testing.T) {
	t.Parallel()
	pair := certificate(t)
	const passive = "listen = \":21\"\n[tls]\nself_signed = true\n[passive]\nports = \"50000-50100\"\n"
	for _, c := range []struct {
		name, toml string
		change     func(*serverside.Machine)
		check      string // "ANSWER NAME: EVIDENCE", the beginning of a line of -v
		want       check.Answer
	}{
		{name: "without fault", toml: good, check: "✓ told-address: clients are told the address that they have reached: 44.1.1.1", want: check.Yes},
		{name: "unknown key", toml: good + "[passiv]\nports = 1\n", check: "✗ settings: ", want: check.No},
		{
			name: "turned round", toml: "listen = \":21\"\n[passive]\nports = \"50100-50000\"\n",
			check: "✗ settings: ", want: check.No,
		},
		{
			name: "address of somebody else", toml: strings.Replace(good, ":21", "44.1.1.2:21", 1),
			check: "✗ listen-address: 44.1.1.2:21 is no address of this machine, which has 127.0.0.1 and 44.1.1.1", want: check.No,
		},
		{
			name: "interfaces unknown", toml: good,
			change: func(m *serverside.Machine) {
				m.Addresses = func() ([]netip.Addr, error) { return nil, errors.New("sandboxed") }
			},
			check: "? listen-address: the interfaces could not be read: sandboxed", want: check.Unknown,
		},
		{
			name: "the server itself runs", toml: good,
			change: func(m *serverside.Machine) {
				m.Bind = inUse
				m.Greeting = func(_ context.Context, addr string) (string, error) { return "220 " + addr + "\r\n", nil }
			},
			check: "✓ listen-free: an FTP server answers on :21: 220 localhost:21", want: check.Yes,
		},
		{
			name: "another program", toml: good,
			change: func(m *serverside.Machine) {
				m.Bind = inUse
				m.Greeting = func(context.Context, string) (string, error) { return "SSH-2.0-x\x1b[2J", nil }
			},
			check: `✗ listen-free: :21 is taken by a program that is no FTP server: SSH-2.0-x\x1b[2J`, want: check.No,
		},
		{
			name: "a silent program", toml: good,
			change: func(m *serverside.Machine) { m.Bind = inUse },
			check:  "? listen-free: :21 is taken by a program that says nothing", want: check.Unknown,
		},
		{
			name: "an ordinary user", toml: good,
			change: func(m *serverside.Machine) {
				m.Bind = func(context.Context, string) error { return &net.OpError{Op: "listen", Err: syscall.EACCES} }
			},
			check: "? listen-free: this user may not bind :21", want: check.Yes,
		},
		{name: "no range", toml: strings.Replace(good, `ports = "50000-50100"`, "", 1), check: "✗ passive-range: any port may be used", want: check.Yes},
		{
			name: "small range", toml: strings.Replace(good, "50100", "50004", 1),
			check: "✗ passive-range: 50000-50004: 5 ports for up to 10000 sessions", want: check.No,
		},
		{
			name: "few sessions", toml: strings.Replace(good, "50100", "50019", 1) + "[limits]\nmax_sessions = 20\n",
			check: "✓ passive-range: 50000-50019: 20 ports", want: check.Yes,
		},
		{
			name: "control port in the range", toml: strings.Replace(good, ":21", ":50007", 1),
			check: "✗ passive-range: 50000-50100 contains port 50007", want: check.No,
		},
		{
			name: "passive off", toml: "listen = \":21\"\n[tls]\nself_signed = true\n[passive]\nenable = false\n",
			check: "✗ passive-range: passive mode is switched off", want: check.No,
		},
		{
			name: "ports taken", toml: good,
			change: func(m *serverside.Machine) {
				m.Listening = func() ([]uint16, error) { return []uint16{22, 50001, 50002, 50101}, nil }
			},
			check: "? passive-free: on 2 ports of 50000-50100 somebody listens: 50001 and 50002", want: check.Yes,
		},
		{
			name: "all taken", toml: strings.Replace(good, "50100", "50009", 1) + "[limits]\nmax_sessions = 5\n",
			change: func(m *serverside.Machine) {
				m.Listening = func() (all []uint16, _ error) {
					for p := uint16(50000); p < 50010; p++ {
						all = append(all, p)
					}
					return all, nil
				}
			},
			check: "✗ passive-free: on all of 50000-50009 somebody listens", want: check.No,
		},
		{
			name: "behind a NAT, perhaps", toml: good,
			change: func(m *serverside.Machine) { m.Addresses = inside },
			check:  "? told-address: clients are told 192.168.1.5", want: check.Yes,
		},
		{
			name: "behind a NAT", toml: passive + "external = [\"44.1.1.1\"]\n",
			change: func(m *serverside.Machine) { m.Addresses = inside },
			check:  "✓ told-address: 44.1.1.1 is not of this machine: the NAT that has it must forward 50000-50100", want: check.Yes,
		},
		{name: "its own", toml: passive + "external = [\"44.1.1.1\"]\n", check: "✓ told-address: 44.1.1.1 is of this machine", want: check.Yes},
		{
			name: "private of somebody else", toml: passive + "external = [\"10.0.0.7\"]\n",
			check: "✗ told-address: 10.0.0.7 is private and not of this machine", want: check.No,
		},
		{
			name: "private, for some", toml: passive + "external = [\"10.0.0.0/8=10.0.0.7\", \"44.1.1.1\"]\n",
			check: "✓ told-address: 10.0.0.7 is private, and only some networks are told it", want: check.Yes,
		},
		{name: "loopback", toml: passive + "external = [\"127.0.0.1\"]\n", check: "✗ told-address: 127.0.0.1 leads no client here", want: check.No},
		{name: "an example", toml: passive + "external = [\"203.0.113.7\"]\n", check: "✗ told-address: 203.0.113.7 leads no client here: it is for examples", want: check.No},
		{name: "a name", toml: passive + "external = [\"ftp.example.org\"]\n", check: "✓ told-address: 44.1.1.9 is not of this machine", want: check.Yes},
		{name: "a name without address", toml: passive + "external = [\"nobody.example.org\"]\n", check: "✗ told-address: nobody.example.org has no address", want: check.No},
		{
			name: "a name server that is silent", toml: passive + "external = [\"broken.example.org\"]\n",
			check: "? told-address: broken.example.org could not be looked up: no name server answers", want: check.Unknown,
		},
		{
			name: "rules not to be read", toml: good,
			change: func(m *serverside.Machine) {
				m.Rules = func() (serverside.Rules, error) { return nil, firewall.ErrNotPermitted }
			},
			check: "? firewall-passive: the rules of this machine's firewall are not for this user to read", want: check.Unknown,
		},
		{
			name: "control port closed", toml: good,
			change: with(ports()),
			check:  "✗ firewall-control: chain input of table filter lets no new connection to 21 in", want: check.No,
		},
		{
			name: "part of the range closed", toml: strings.Replace(good, "50100", "50020", 1) + "[limits]\nmax_sessions = 5\n",
			change: with(ports(21, 50000, 50001, 50002, 50010)),
			check:  "✗ firewall-passive: chain input of table filter lets no new connection to 50003-50009, 50011-50020 in", want: check.No,
		},
		{
			name: "for some", toml: good,
			change: func(m *serverside.Machine) {
				r := ports(21)
				for p := uint16(50000); p <= 50100; p++ {
					r.ports[p] = p != 50050
				}
				with(r)(m)
			},
			check: "? firewall-passive: whether new connections to 50050 come in depends on who makes them", want: check.Yes,
		},
		{
			name: "helper in the place of rules", toml: "listen = \":21\"\n[passive]\nports = \"50000-50100\"\n",
			change: with(rules{ports(21).ports, map[uint16]firewall.Leave{21: firewall.Admitted}}),
			check:  "✓ firewall-passive: chain input of table filter lets 50000-50100 in for the FTP helper alone", want: check.Yes,
		},
		{
			name: "helper and TLS", toml: good,
			change: with(rules{ports(21).ports, map[uint16]firewall.Leave{21: firewall.Admitted}}),
			check:  "✗ firewall-passive: chain input of table filter lets 50000-50100 in for the FTP helper alone: passive mode works in clear", want: check.No,
		},
		{
			name: "helper and required TLS", toml: good + "require = true\n",
			change: with(rules{ports(21).ports, map[uint16]firewall.Leave{21: firewall.Admitted}}),
			check:  "✗ firewall-passive: chain input of table filter lets 50000-50100 in for the FTP helper alone, and TLS", want: check.No,
		},
		{
			name: "helper and external address", toml: "listen = \":21\"\n[passive]\nports = \"50000-50100\"\nexternal = [\"44.1.1.9\"]\n",
			change: with(rules{ports(21).ports, map[uint16]firewall.Leave{21: firewall.Admitted}}),
			check:  "✗ helper-external: --external makes 227 name 44.1.1.9, which is not the server's own", want: check.No,
		},
		{
			name: "helper and external address, TLS from the start besides",
			toml: "listen = \":21\"\n[tls]\nself_signed = true\nimplicit = \":990\"\n[passive]\nports = \"50000-50100\"\nexternal = [\"44.1.1.9\"]\n",
			change: func(m *serverside.Machine) {
				r := open{rules{helped: map[uint16]firewall.Leave{21: firewall.Admitted}}}
				with(r)(m)
			},
			check: "✗ helper-external: --external makes 227 name 44.1.1.9, which is not the server's own", want: check.Yes,
		},
		{
			name: "rules for a family that the machine has not", toml: good,
			change: with(oneStopped{like: netip.IPv6Unspecified()}),
			check:  "✓ firewall-control: the rules of this machine let 21 in", want: check.Yes,
		},
		{
			name: "both families", toml: good,
			change: func(m *serverside.Machine) {
				with(oneStopped{like: netip.IPv6Unspecified()})(m)
				m.Addresses = func() ([]netip.Addr, error) {
					return []netip.Addr{netip.MustParseAddr("44.1.1.1"), netip.MustParseAddr("2001:4860::1")}, nil
				}
			},
			check: "✗ firewall-control: chain input of a table lets no new connection to 21 in", want: check.No,
		},
		{
			name: "an address of IPv6 that takes both", toml: strings.Replace(good, ":21", "[::]:21", 1),
			change: with(oneStopped{like: netip.IPv4Unspecified()}),
			check:  "✗ firewall-control: chain input of a table lets no new connection to 21 in", want: check.No,
		},
		{
			name: "helper unsure", toml: passive + "external = [\"44.1.1.9\"]\n",
			change: with(rules{ports(21).ports, map[uint16]firewall.Leave{21: firewall.Unsure}}),
			check:  "? helper-external: --external makes 227 name 44.1.1.9; whether", want: check.Unknown,
		},
		{
			name: "helper on another port", toml: strings.Replace(good, ":21", ":2121", 1),
			change: with(open{rules{helped: map[uint16]firewall.Leave{21: firewall.Admitted}}}),
			check:  "✗ helper-port: this kernel's FTP helper is given port 21, and control connections come to port 2121", want: check.No,
		},
		{
			name: "another port", toml: strings.Replace(good, ":21", ":2121", 1),
			check: "? helper-port: control connections come to port 2121; helpers (ALG)", want: check.Yes,
		},
		{
			name: "a kernel of old", toml: strings.Replace(good, ":21", ":2121", 1),
			change: func(m *serverside.Machine) {
				m.Helper = func() (serverside.Helper, error) {
					return serverside.Helper{Loaded: true, Ports: []uint16{21, 2121}}, nil
				}
			},
			check: "✓ helper-port: this kernel's FTP helper reads port 2121 too", want: check.Yes,
		},
		{name: "clear text", toml: strings.Replace(good, "self_signed = true", "", 1), check: "✗ certificate: there is none", want: check.Yes},
		{
			name: "certificate", toml: certified(pair), check: "✓ certificate: ", want: check.Yes,
			change: at(func(c *certs.Pair) time.Time { return leaf(t, *c).Add(-90 * 24 * time.Hour) }, pair),
		},
		{
			name: "certificate that ends", toml: certified(pair), check: "✗ certificate: ", want: check.Yes,
			change: at(func(c *certs.Pair) time.Time { return leaf(t, *c).Add(-time.Hour) }, pair),
		},
		{
			name: "certificate that has ended", toml: certified(pair), check: "✗ certificate: ", want: check.No,
			change: at(func(c *certs.Pair) time.Time { return leaf(t, *c).Add(time.Hour) }, pair),
		},
		{
			name: "certificate to come", toml: certified(pair), check: "✗ certificate: ", want: check.No,
			change: at(func(*certs.Pair) time.Time { return time.Unix(0, 0) }, pair),
		},
		{name: "no file", toml: certified(certs.Pair{Cert: "/nowhere/cert.pem"}), check: "✗ certificate: ", want: check.No},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			m := machine()
			if c.change != nil {
				c.change(&m)
			}
			r := serverside.Look(t.Context(), set(t, c.toml), m, serverside.Options{})
			found := false
			var all strings.Builder
			for _, one := range r.Checks {
				line := one.Answer.Mark() + " " + one.Name + ": " + columns.Shown(one.Evidence)
				found = found || strings.HasPrefix(line, c.check)
				fmt.Fprintln(&all, line)
			}
			if !found {
				t.Errorf("nothing says %q:\n%s", c.check, &all)
			}
			if got := r.Answer(); got != c.want {
				t.Errorf("all together %v, want %v:\n%s", got, c.want, &all)
			}
		})
	}
}

func inUse(context.Context, string) error {
	return &net.OpError{Op: "listen", Err: os.NewSyscallError("bind", syscall.EADDRINUSE)}
}

func with(r serverside.Rules) func(*serverside.Machine) {
	return func(m *serverside.Machine) { m.Rules = func() (serverside.Rules, error) { return r, nil } }
}

func at(when func(*certs.Pair) time.Time, p certs.Pair) func(*serverside.Machine) {
	return func(m *serverside.Machine) { m.Now = func() time.Time { return when(&p) } }
}

// certificate makes one in two files.
func certificate(t *testing.T) certs.Pair {
	t.Helper()
	dir := t.TempDir()
	if _, err := certs.SelfSigned(dir, "ftp.example.org"); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(files) != 1 {
		t.Fatalf("%v, %v", files, err)
	}
	return certs.Pair{Cert: files[0], Key: files[0]}
}

// leaf is when a certificate ends.
func leaf(t *testing.T, p certs.Pair) time.Time {
	t.Helper()
	c, err := tls.LoadX509KeyPair(p.Cert, p.Key)
	if err != nil {
		t.Fatal(err)
	}
	return c.Leaf.NotAfter
}

func certified(p certs.Pair) string {
	return fmt.Sprintf("listen = \":21\"\n[passive]\nports = \"50000-50100\"\n[tls]\ncert = '%s'\nkey = '%s'\n", p.Cert, p.Key)
}

// A certificate that may not be read is not called wrong.
func TestSecretCertificate(t *testing.T) {
	t.Parallel()
	if os.Geteuid() == 0 {
		t.Skip("root may read every file")
	}
	name := filepath.Join(t.TempDir(), "cert.pem")
	if err := os.WriteFile(name, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE"}), 0); err != nil {
		t.Fatal(err)
	}
	r := serverside.Look(t.Context(), set(t, certified(certs.Pair{Cert: name})), machine(), serverside.Options{})
	for _, c := range r.Checks {
		if c.Name == "certificate" && c.Answer != check.Unknown {
			t.Errorf("%+v, want unknown: %v", c, fs.ErrPermission)
		}
	}
}

// The settings of other servers are looked at in their own words.
func TestForeign(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		text string
		want []string
	}{
		"vsftpd.conf": {
			"listen=YES\npasv_min_port=50100\npasv_max_port=50000\npasv_address=10.9.9.9\nmax_clients=300\n",
			[]string{
				"✗ settings: vsftpd.conf:3: pasv_max_port=50000: pasv_max_port=50000 is below",
				"✗ told-address: 10.9.9.9 is private and not of this machine",
				"→ Behind a NAT, tell clients its public address: pasv_address.",
			},
		},
		"vsftpd-2.conf": {
			"listen=YES\nlisten_port=2121\npasv_min_port=50000\npasv_max_port=50003\npasv_address=ftp.example.org\n",
			[]string{
				"✗ passive-range: 50000-50003: 4 ports for up to 2000 sessions (max_clients)",
				"is a name, and pasv_addr_resolve=NO",
				"? helper-port: control connections come to port 2121",
			},
		},
		"proftpd.conf": {
			"ServerName x\nPort 21\nPassivePorts 50100 50000\nMasqueradeAddress 127.0.0.1\n",
			[]string{
				"✗ settings: proftpd.conf:3: PassivePorts 50100 50000: the last port, 50000, is below the first",
				"✗ told-address: 127.0.0.1 leads no client here",
				"MasqueradeAddress.",
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(t.TempDir(), name)
			if err := os.WriteFile(file, []byte(c.text), 0o600); err != nil {
				t.Fatal(err)
			}
			m, err := foreign.Read(file, "")
			if err != nil {
				t.Fatal(err)
			}
			var b strings.Builder
			r := serverside.Look(t.Context(), serverside.Theirs(name, m), machine(), serverside.Options{})
			for i := range r.Checks {
				r.Checks[i].Evidence = strings.ReplaceAll(r.Checks[i].Evidence, file, name)
			}
			if err := r.WriteText(&b, false); err != nil {
				t.Fatal(err)
			}
			text := strings.Join(strings.Fields(b.String()), " ")
			for _, w := range c.want {
				if !strings.Contains(text, w) {
					t.Errorf("nothing says %q:\n%s", w, b.String())
				}
			}
		})
	}
}

// In every language the names stay, and every check has one for people.
func TestLanguages(t *testing.T) {
	t.Parallel()
	m := machine()
	m.Addresses = inside
	m.Rules = func() (serverside.Rules, error) { return nil, firewall.ErrNotPermitted }
	s := set(t, strings.Replace(good, ":21", ":2121", 1)+"[passiv]\n")
	english := serverside.Look(t.Context(), s, m, serverside.Options{})
	for _, l := range words.Langs[1:] {
		r := serverside.Look(t.Context(), s, m, serverside.Options{Lang: l})
		if len(r.Checks) != len(english.Checks) || r.Verdict == english.Verdict {
			t.Errorf("%v: %s", l, r.Verdict)
		}
		for i, c := range r.Checks {
			e := english.Checks[i]
			if c.Name != e.Name || c.Answer != e.Answer || c.Title == "" || c.Name != "settings" && c.Evidence == e.Evidence {
				t.Errorf("%v: %+v, in English %+v", l, c, e)
			}
			if strings.ContainsAny(c.Evidence+c.Hint, "{}") {
				t.Errorf("%v: %+v", l, c)
			}
		}
	}
}

// What serve shows when it starts asks nobody.
func TestCheap(t *testing.T) {
	t.Parallel()
	m := machine()
	m.Resolve, m.Bind, m.Greeting, m.Listening, m.Rules, m.Helper = nil, nil, nil, nil, nil, nil // asked, they would crash
	r := serverside.Look(t.Context(), set(t, good), m, serverside.Options{Cheap: true})
	if r.Answer() != check.Yes {
		t.Errorf("%+v", r)
	}
	s := set(t, good)
	s.Config.Passive.External = append(s.Config.Passive.External, ftpserver.Told{Address: "10.0.0.7"}, ftpserver.Told{Address: "ftp.example.org"})
	if r := serverside.Look(t.Context(), s, m, serverside.Options{Cheap: true}); r.Answer() != check.No {
		t.Errorf("%+v", r)
	}
}

// The machine that the test runs on can be asked.
func TestThis(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = c.Write([]byte("220 hello\r\n")) // who does not read it has not asked
			_ = c.Close()
		}
	}()
	s := set(t, strings.Replace(good, ":21", l.Addr().String(), 1))
	r := serverside.Look(t.Context(), s, serverside.This(), serverside.Options{})
	want := "an FTP server answers on " + l.Addr().String() + ": 220 hello"
	for _, c := range r.Checks {
		if c.Name == "listen-free" && (c.Answer != check.Yes || c.Evidence != want) {
			t.Errorf("%+v, want %s", c, want)
		}
	}
	if len(r.Checks) < 8 {
		t.Errorf("%+v", r.Checks)
	}
}
