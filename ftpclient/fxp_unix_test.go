//go:build unix

package ftpclient_test

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"towpath/ftpclient"
	"towpath/ftptest"
	"towpath/internal/strangers"
)

// exchanger is a server that was told to exchange files with others.
type exchanger struct {
	addr string
	as   func(*ftpclient.Options)
	sscn bool // over TLS it can take the part of the client
}

// exchangers are the servers by name. ProFTPD looks at the certificate of the
// other. As a client that sends it forgets, under TLS 1.3, the tickets that lie
// unread when it closes: the reset takes the end of the file with it.
var exchangers = []struct {
	name  string
	start func(t *testing.T, ip string) exchanger
}{
	{"vsftpd", func(t *testing.T, ip string) exchanger {
		return loosened(t, ip, "vsftpd", func(_ *strangers.Server, conf string) string {
			return conf + "port_promiscuous=YES\npasv_promiscuous=YES\nrequire_ssl_reuse=NO\n"
		})
	}},
	{"ProFTPD", func(t *testing.T, ip string) exchanger { return looseProFTPD(t, ip, "TLSv1.2") }},
	{"Pure-FTPd", func(t *testing.T, ip string) exchanger {
		return loosened(t, ip, "Pure-FTPd", func(*strangers.Server, string) string { return "-w" })
	}},
	{"Towpath", func(t *testing.T, ip string) exchanger {
		return exchanger{addr: serveAt(t, ip, nil, friendly, ftptest.TLS).Addr, as: func(*ftpclient.Options) {}}
	}},
}

func looseProFTPD(t *testing.T, ip, protocol string) exchanger {
	t.Helper()
	e := loosened(t, ip, "ProFTPD", func(s *strangers.Server, conf string) string {
		return strings.NewReplacer(
			"AllowOverwrite on\n", "AllowOverwrite on\nAllowForeignAddress on\n",
			"TLSProtocol TLSv1.2 TLSv1.3\n", "TLSOptions NoSessionReuseRequired\nTLSCACertificateFile "+s.Cert+"\nTLSProtocol "+protocol+"\n",
		).Replace(conf)
	})
	e.sscn = true
	return e
}

// loosened starts a server of others with another configuration; one that has
// none gets what change makes as one more argument.
func loosened(t *testing.T, ip, name string, change func(s *strangers.Server, conf string) string) exchanger {
	t.Helper()
	for _, peer := range strangers.Peers {
		if peer.Name != name {
			continue
		}
		s := strangers.HostAt(t, ip, peer.Program, peer.AsRoot, func(t testing.TB, s *strangers.Server) []string {
			argv := peer.Command(t, s)
			conf, err := filepath.Glob(filepath.Join(s.Dir, "*.conf"))
			if err != nil || len(conf) == 0 {
				return append(argv, change(s, ""))
			}
			text, err := os.ReadFile(conf[0])
			if err != nil {
				t.Fatal(err)
			}
			s.Write(t, filepath.Base(conf[0]), change(s, string(text)))
			return argv
		})
		return exchanger{addr: s.Addr(), as: func(o *ftpclient.Options) { o.User, o.Password = peer.User, peer.Password }}
	}
	t.Fatalf("there is no %s", name)
	return exchanger{}
}

// TestFXPStrangers has every server send a file to every other, in clear text,
// over TLS, and over IPv6. Over TLS one of the two must know SSCN; without, that
// is said before anything is asked of either.
func TestFXPStrangers(t *testing.T) {
	t.Parallel()
	big := noise(3 << 20)
	for i, source := range exchangers {
		for j, target := range exchangers {
			t.Run(source.name+" to "+target.name, func(t *testing.T) {
				t.Parallel()
				a, b := source.start(t, fmt.Sprintf("127.0.%d.2", 10+i)), target.start(t, fmt.Sprintf("127.0.%d.3", 10+j))
				for name, security := range map[string]ftpclient.Security{"clear": ftpclient.Plain, "TLS": ftpclient.Explicit} {
					t.Run(name, func(t *testing.T) {
						as := func(o *ftpclient.Options) { o.TLS = security }
						from, to := login(t, a.addr, a.as, as, told(t)), login(t, b.addr, b.as, as, told(t))
						if security == ftpclient.Plain || a.sscn || b.sscn {
							exchange(t, from, to, big)
							return
						}
						if err := ftpclient.FXP(testContext(t), from, "none", to, "copy"); !errors.Is(err, ftpclient.ErrFXP) || !strings.Contains(err.Error(), "SSCN") {
							t.Errorf("got %v", err)
						}
						atRest(t, from, to)
					})
				}
			})
		}
	}
	t.Run("IPv6", func(t *testing.T) {
		t.Parallel()
		l, err := net.Listen("tcp", "[::1]:0")
		if err != nil {
			t.Skipf("no IPv6 here: %v", err)
		}
		_ = l.Close()
		for i, source := range exchangers {
			target := exchangers[(i+1)%len(exchangers)]
			t.Run(source.name+" to "+target.name, func(t *testing.T) {
				t.Parallel()
				a, b := source.start(t, "::1"), target.start(t, "::1")
				exchange(t, login(t, a.addr, a.as, told(t)), login(t, b.addr, b.as, told(t)), big)
			})
		}
	})
}

// exchange sends data from one to the other, twice.
func exchange(t *testing.T, from, to *ftpclient.Client, data []byte) {
	t.Helper()
	ctx := testContext(t)
	if _, err := from.Put(ctx, "source", bytes.NewReader(data)); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"copy", "another"} {
		if err := ftpclient.FXP(ctx, from, "source", to, name); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if err := holds(ctx, to, name, data); err != nil {
			t.Error(err)
		}
	}
	atRest(t, from, to)
}

// What breaks because the source closes too early is no copy, and no reason to
// give up: it can still go through us.
func TestFXPClosesEarly(t *testing.T) {
	t.Parallel()
	a := looseProFTPD(t, "127.0.14.2", "TLSv1.3")
	target := serveAt(t, "127.0.14.3", nil, friendly, ftptest.TLS)
	from, to := login(t, a.addr, a.as, explicit), login(t, target.Addr, explicit)
	big := noise(3 << 20)
	ctx := testContext(t)
	if _, err := from.Put(ctx, "source", bytes.NewReader(big)); err != nil {
		t.Fatal(err)
	}
	for i := range 5 {
		name := fmt.Sprint("copy", i)
		err := ftpclient.FXP(ctx, from, "source", to, name)
		if err == nil && target.File(name) != string(big) {
			t.Error("what is not whole is called so")
		}
		if err != nil && !errors.Is(err, ftpclient.ErrFXP) {
			t.Error(err)
		}
	}
	atRest(t, from, to)
}
