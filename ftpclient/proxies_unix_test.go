//go:build unix

package ftpclient_test

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"towpath/ftpclient"
	"towpath/ftpserver"
	"towpath/ftptest"
	"towpath/internal/strangers"
)

// outside is from where the proxies of these tests reach the servers. Those
// refuse a data connection that comes from another address than the control
// connection, as one that went past the proxy would.
const outside = "127.0.0.2"

// conduits are proxies by name, ours and those of others, and the modes to go
// through them by.
var conduits = []struct {
	name  string
	modes []ftpclient.Mode
	start func(t *testing.T) func(*ftpclient.Options)
}{
	{"SOCKS5", []ftpclient.Mode{ftpclient.EPSV, ftpclient.EPRT}, func(t *testing.T) func(*ftpclient.Options) {
		return through(t, "socks5://"+(&relay{out: netip.MustParseAddr(outside)}).start(t).addr)
	}},
	{"CONNECT", []ftpclient.Mode{ftpclient.EPSV}, func(t *testing.T) func(*ftpclient.Options) {
		return through(t, "http://"+(&relay{out: netip.MustParseAddr(outside), web: true}).start(t).addr)
	}},
	{"microsocks", []ftpclient.Mode{ftpclient.PASV}, func(t *testing.T) func(*ftpclient.Options) {
		s := strangers.Host(t, "microsocks", false, func(_ testing.TB, s *strangers.Server) []string {
			return []string{s.Binary, "-i", s.IP, "-p", fmt.Sprint(s.Port), "-b", outside, "-u", "alice", "-P", "secret"}
		})
		return through(t, "socks5://alice:secret@"+s.Addr())
	}},
	{"Dante", []ftpclient.Mode{ftpclient.PASV, ftpclient.PORT}, func(t *testing.T) func(*ftpclient.Options) {
		s := strangers.Host(t, "danted", false, func(t testing.TB, s *strangers.Server) []string {
			return []string{s.Binary, "-N", "1", "-p", filepath.Join(s.Dir, "pid"), "-f", s.Write(t, "danted.conf", fmt.Sprintf(`logoutput: stderr
internal: %s port = %d
external: %s
clientmethod: none
socksmethod: none
client pass { from: 0.0.0.0/0 to: 0.0.0.0/0 }
socks pass { from: 0.0.0.0/0 to: 0.0.0.0/0 command: connect bind }
socks pass { from: 0.0.0.0/0 to: 0.0.0.0/0 command: bindreply }
`, s.IP, s.Port, outside))}
		})
		return through(t, "socks5://"+s.Addr())
	}},
	{"tinyproxy", []ftpclient.Mode{ftpclient.PASV}, func(t *testing.T) func(*ftpclient.Options) {
		s := strangers.Host(t, "tinyproxy", false, func(t testing.TB, s *strangers.Server) []string {
			return []string{s.Binary, "-d", "-c", s.Write(t, "tinyproxy.conf", fmt.Sprintf(`Port %d
Listen %s
Bind %s
Timeout 60
BasicAuth alice secret
LogLevel Error
`, s.Port, s.IP, outside))}
		})
		return through(t, "http://alice:secret@"+s.Addr())
	}},
	{"mod_proxy", []ftpclient.Mode{ftpclient.EPSV, ftpclient.PORT}, gateOfProFTPD},
}

// gateOfProFTPD is a proxy that speaks FTP itself, and TLS with its clients.
func gateOfProFTPD(t *testing.T) func(*ftpclient.Options) {
	s := strangers.Host(t, "proftpd", false, func(t testing.TB, s *strangers.Server) []string {
		me := strangers.Runner(t)
		group, err := user.LookupGroupId(me.Gid)
		if err != nil {
			t.Skip(err)
		}
		modules := filepath.Join(filepath.Dir(s.Binary), "../lib/proftpd")
		for _, m := range []string{"mod_tls", "mod_proxy"} {
			if !strangers.HasFile(filepath.Join(modules, m+".so")) {
				t.Skipf("%s has no %s.so (as root on Debian: tools/peers.sh install)", modules, m)
			}
		}
		if err := os.Mkdir(filepath.Join(s.Dir, "tables"), 0o700); err != nil {
			t.Fatal(err)
		}
		return []string{s.Binary, "-n", "-q", "-c", s.Write(t, "proftpd.conf", fmt.Sprintf(`ModulePath %s
LoadModule mod_tls.c
LoadModule mod_proxy.c
ServerType standalone
ServerName gate
Port %d
DefaultAddress %s
SocketBindTight on
UseIPv6 off
UseReverseDNS off
PidFile %s/pid
ScoreboardFile none
DelayEngine off
<IfModule mod_ctrls.c>
ControlsEngine off
</IfModule>
SystemLog %s
TransferLog none
WtmpLog off
User %s
Group %s
AuthOrder mod_auth_file.c
RequireValidShell off
TLSEngine on
TLSProtocol TLSv1.2 TLSv1.3
TLSECCertificateFile %s
TLSECCertificateKeyFile %s
TLSVerifyClient off
ProxyEngine on
ProxyRole forward
ProxyForwardMethod user@host
ProxySourceAddress %s
ProxyTables %s/tables
ProxyTLSEngine off
<Class all>
  From 127.0.0.0/8
  ProxyForwardEnabled on
</Class>
`, modules, s.Port, s.IP, s.Dir, filepath.Join(s.Dir, strangers.SystemLog), me.Username, group.Name, s.Cert, s.Key, outside, s.Dir))}
	})
	return func(o *ftpclient.Options) { o.Gate = &ftpclient.Gate{Addr: s.Addr()} }
}

// TestProxiesStrangers reaches the servers of others, and ours, through each
// proxy, in passive mode and where it can take connections in active mode, in
// clear text and over TLS.
func TestProxiesStrangers(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", net.JoinHostPort(outside, "0"))
	if err != nil {
		t.Skipf("the proxies need another address of this machine: %v", err)
	}
	_ = l.Close()
	for _, peer := range strangers.Peers {
		t.Run(peer.Name, func(t *testing.T) {
			t.Parallel()
			s := peer.Start(t)
			throughAll(t, s.Addr(), encounter{user: peer.User, password: peer.Password, resumes: peer.Resumes})
		})
	}
	t.Run("Towpath", func(t *testing.T) {
		t.Parallel()
		s := ftptest.Serve(t, nil, ftptest.TLS, func(o *ftpserver.Options) { o.Binding = ftpserver.BindRequire })
		throughAll(t, s.Addr, encounter{user: ftptest.User, password: ftptest.Password, resumes: true})
	})
}

// throughAll moves a file both ways through every proxy.
func throughAll(t *testing.T, addr string, e encounter) {
	as := func(o *ftpclient.Options) { o.User, o.Password = e.user, e.password }
	first := login(t, addr, as)
	hasTLS := strings.Contains(first.Features().Param("AUTH"), "TLS")
	_ = first.Close() // never fails
	data := noise(200_000)
	for _, conduit := range conduits {
		t.Run(conduit.name, func(t *testing.T) {
			way := conduit.start(t)
			for _, m := range conduit.modes {
				for name, security := range map[string]ftpclient.Security{"clear": ftpclient.Plain, "TLS": ftpclient.Explicit} {
					t.Run(m.String()+" "+name, func(t *testing.T) {
						if security != ftpclient.Plain && !hasTLS {
							t.Skip("this server runs without TLS here")
						}
						c := login(t, addr, as, mode(m), way, told(t), func(o *ftpclient.Options) { o.TLS = security })
						file := strings.Join([]string{conduit.name, m.String(), name}, "-")
						ctx := testContext(t)
						if n, err := c.Put(ctx, file, bytes.NewReader(data)); err != nil || n != int64(len(data)) {
							t.Fatalf("put %d bytes, %v", n, err)
						}
						names, err := c.Names(ctx, "")
						if err = errors.Join(err, holds(ctx, c, file, data)); err != nil || !slices.Contains(names, file) {
							t.Errorf("names are %q, %v", names, err)
						}
						for _, a := range c.Attempts() {
							if a.Err != nil || e.resumes && security != ftpclient.Plain && !a.Resumed {
								t.Errorf("%v, resumed %v", a, a.Resumed)
							}
						}
					})
				}
			}
		})
	}
}
