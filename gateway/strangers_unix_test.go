//go:build unix

package gateway_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/pem"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"towpath/ftpclient"
	"towpath/ftptest"
	"towpath/gateway"
	"towpath/internal/strangers"
)

func TestMain(m *testing.M) { os.Exit(strangers.Main(m)) }

// patience is far more than any session of these tests takes.
const patience = time.Minute

// noise is data that no compression or pattern explains.
func noise(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{2}).Read(b) // never fails
	return b
}

// secured has TLS ended by the gateway, and begun anew towards the server.
func secured(addr string, security bool) []func(*gateway.Options) {
	if !security {
		return nil
	}
	return []func(*gateway.Options){terminate, towards(addr, gateway.ExplicitTLS)}
}

// account is who may log in, in the words of programs that know no anonymous.
func account(peer strangers.Peer) (user, password string) {
	if peer.User == "" {
		return "anonymous", "nobody@example.org"
	}
	return peer.User, peer.Password
}

// TestStrangers has our client work with the servers of others through the
// gateway, in every mode on either side, in clear text and with TLS on both.
// vsftpd and ProFTPD take no data connection that does not resume the TLS session
// of its control connection.
func TestStrangers(t *testing.T) {
	t.Parallel()
	data := noise(100_000)
	for _, peer := range strangers.Peers {
		t.Run(peer.Name, func(t *testing.T) {
			t.Parallel()
			s := peer.Start(t)
			if err := os.WriteFile(filepath.Join(s.Root, "sea.txt"), []byte("0123456789"), 0o644); err != nil {
				t.Fatal(err)
			}
			t.Run("sent ahead", func(t *testing.T) {
				t.Parallel()
				user, password := account(peer)
				for _, cut := range []string{"in one", "byte by byte"} {
					for _, verb := range []string{"EPSV", "PORT"} {
						if got := allAtOnce(t, serve(t, s.Addr()).addr, user, password, verb, "sea.txt", cuttings[cut]); got != "0123456789" {
							t.Errorf("%s, %s: %q", verb, cut, got)
						}
					}
				}
			})
			for _, security := range []bool{false, true} {
				for _, towards := range []gateway.Mode{gateway.SameMode, gateway.PassiveMode, gateway.ActiveMode} {
					t.Run(wayName(security, towards), func(t *testing.T) {
						t.Parallel()
						if security && !speaksTLS(t, s.Addr()) {
							t.Skip("this server runs without TLS here")
						}
						g := serve(t, s.Addr(), append(secured(s.Addr(), security), func(o *gateway.Options) { o.ServerMode = towards })...)
						for _, mode := range []ftpclient.Mode{ftpclient.PASV, ftpclient.EPSV, ftpclient.PORT} {
							name := fmt.Sprint(strings.ReplaceAll(wayName(security, towards), " ", "-"), "-", mode)
							throughGateway(t, g, peer, security, mode, name, data)
							if got, err := os.ReadFile(filepath.Join(s.Root, name)); err != nil || !bytes.Equal(got, data) {
								t.Errorf("%v: %d bytes arrived, %v", mode, len(got), err)
							}
							wantRecord(t, g.record(t), 3, security, towards, mode == ftpclient.PORT)
						}
					})
				}
			}
		})
	}
}

func wayName(security bool, towards gateway.Mode) string {
	if security {
		return "TLS " + towards.String()
	}
	return "clear " + towards.String()
}

// speaksTLS asks the server itself.
func speaksTLS(t *testing.T, addr string) bool {
	t.Helper()
	c := ftptest.Dial(t, addr)
	defer c.Close()
	c.Expect(220)
	c.Send("AUTH TLS")
	return c.Reply().Code == 234
}

// throughGateway moves a file to the server and back, and lists it.
func throughGateway(t *testing.T, g *stand, peer strangers.Peer, security bool, mode ftpclient.Mode, name string, data []byte) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	o := ftpclient.Options{User: peer.User, Password: peer.Password, Mode: mode, TLSConfig: ftptest.ClientTLS()}
	if security {
		o.TLS = ftpclient.Explicit
	}
	c, err := ftpclient.Dial(ctx, g.addr, o)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if n, err := c.Put(ctx, name, bytes.NewReader(data)); err != nil || n != int64(len(data)) {
		t.Errorf("%v: put %d bytes, %v", mode, n, err)
	}
	var got bytes.Buffer
	if _, err := c.Get(ctx, name, &got); err != nil || !bytes.Equal(got.Bytes(), data) {
		t.Errorf("%v: got %d other bytes, %v", mode, got.Len(), err)
	}
	if names, err := c.Names(ctx, ""); err != nil || !slices.Contains(names, name) {
		t.Errorf("%v: names are %q, %v", mode, names, err)
	}
	for _, a := range c.Attempts() {
		if a.Err != nil || a.Mode != mode {
			t.Errorf("%v: %+v", mode, a)
		}
	}
}

// wantRecord holds what the gateway wrote down of a session to what went on: so
// many transfers, all done, in these modes.
func wantRecord(t *testing.T, r *gateway.Record, transfers int, security bool, towards gateway.Mode, active bool) {
	t.Helper()
	if len(r.Data) != transfers || len(r.Alarms) != 0 || r.TLS != security || r.ServerTLS != security {
		t.Errorf("record %+v, want %d transfers", r, transfers)
	}
	client := "passive"
	if active {
		client = "active"
	}
	server := towards.String()
	if towards == gateway.SameMode {
		server = client
	}
	for _, d := range r.Data {
		if d.Why != "done" || d.Code != 226 || d.ClientMode != client || d.ServerMode != server || d.ClientTLS != security || d.ServerTLS != security {
			t.Errorf("data %+v, want %s to %s", d, client, server)
		}
	}
}

// TestStrangersKnowUs has servers of others demand a certificate of the gateway, of
// which the client knows nothing.
func TestStrangersKnowUs(t *testing.T) {
	t.Parallel()
	for _, peer := range strangers.Peers {
		demand := map[string]func(s *strangers.Server, conf, authority string) string{
			"vsftpd": func(_ *strangers.Server, conf, authority string) string {
				return conf + "require_cert=YES\nvalidate_cert=YES\nca_certs_file=" + authority + "\n"
			},
			"ProFTPD": func(_ *strangers.Server, conf, authority string) string {
				return strings.Replace(conf, "TLSVerifyClient off", "TLSRequired on\nTLSVerifyClient on\nTLSCACertificateFile "+authority, 1)
			},
		}[peer.Name]
		if demand == nil {
			continue // pyftpdlib and Pure-FTPd demand none of single clients
		}
		t.Run(peer.Name, func(t *testing.T) {
			t.Parallel()
			known, other := newAuthority(t), newAuthority(t)
			s := strangers.Host(t, peer.Program, peer.AsRoot, func(t testing.TB, s *strangers.Server) []string {
				argv := peer.Command(t, s)
				name := argv[len(argv)-1] // of the file with the settings
				conf, err := os.ReadFile(name)
				if err != nil {
					t.Fatal(err)
				}
				pem := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: known.Certificate.Certificate[0]})
				s.Write(t, filepath.Base(name), demand(s, string(conf), s.Write(t, "authority", string(pem))))
				return argv
			})
			if !speaksTLS(t, s.Addr()) {
				t.Skip("this server runs without TLS here")
			}
			g := serve(t, "", func(o *gateway.Options) {
				o.Route = to{Addr: s.Addr(), TLS: gateway.ExplicitTLS, Config: known.of(t, 0)}
			})
			data := noise(100_000)
			for _, mode := range []ftpclient.Mode{ftpclient.EPSV, ftpclient.PORT} {
				throughGateway(t, g, peer, false, mode, "known-"+mode.String(), data)
				if r := g.record(t); !r.ServerTLS || len(r.Data) != 3 || !r.Data[0].ServerTLS || r.Data[0].Why != "done" {
					t.Errorf("%+v", r)
				}
			}
			unknown := other.of(t, 0)
			unknown.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &unknown.Certificates[0], nil }
			g = serve(t, "", func(o *gateway.Options) {
				o.Route = to{Addr: s.Addr(), TLS: gateway.ExplicitTLS, Config: unknown}
			})
			ftptest.Dial(t, g.addr).Expect(421)
		})
	}
}

// errand is what a client of others shall do in the directory where it runs: put
// the file "up" as name, get it back as "down", and list.
type errand struct {
	host, port     string
	user, password string
	name           string
	active         bool
	cert           string // trusted; "" is clear text
}

// foreigners are clients of others, and how each is told its errand.
var foreigners = []struct {
	name string
	tls  bool
	// calls are its command lines, one session each, of which the last one
	// lists; typed is what is said to it.
	calls func(e errand) (calls [][]string, typed string)
}{
	{"curl", true, func(e errand) ([][]string, string) {
		base := []string{"curl", "--disable", "--silent", "--show-error", "--max-time", "30", "--noproxy", "*", "--user", e.user + ":" + e.password}
		if e.active {
			base = append(base, "--ftp-port", "-")
		}
		if e.cert != "" {
			base = append(base, "--ssl-reqd", "--cacert", e.cert)
		}
		url := "ftp://" + net.JoinHostPort(e.host, e.port) + "/"
		call := func(more ...string) []string { return slices.Concat(base, more) }
		return [][]string{call("--upload-file", "up", url+e.name), call("--output", "down", url+e.name), call(url)}, ""
	}},
	{"lftp", true, func(e errand) ([][]string, string) {
		// ProFTPD takes 3 s for an upload of 100 kB in MODE Z, without a gateway too.
		script := fmt.Sprintf("set ftp:use-mode-z no; set cmd:fail-exit yes; set net:max-retries 1; set net:timeout 30; set ftp:passive-mode %t; set ftp:auto-passive-mode no; ", !e.active)
		if e.cert == "" {
			script += "set ftp:ssl-allow no; "
		} else {
			script += "set ftp:ssl-force yes; set ftp:ssl-protect-list yes; set ftp:ssl-protect-data yes; set ssl:ca-file " + e.cert + "; "
		}
		script += fmt.Sprintf("open -u %s,%s ftp://%s; put up -o %[4]s; get %[4]s -o down; cls -1", e.user, e.password, net.JoinHostPort(e.host, e.port), e.name)
		return [][]string{{"lftp", "--norc", "-c", script}}, ""
	}},
	{"tnftp", false, func(e errand) ([][]string, string) {
		how := "-p"
		if e.active {
			how = "-A"
		}
		lines := []string{"user " + e.user + " " + e.password, "binary", "put up " + e.name, "get " + e.name + " down", "ls", "quit", ""}
		return [][]string{{"tnftp", "-n", "-i", "-v", how, e.host, e.port}}, strings.Join(lines, "\n")
	}},
}

// turns are the ways of foreigners: the gateway turns the mode round, or ends
// TLS and begins it. curl 7.88 knows no TLS in active mode.
var turns = []struct {
	name             string
	active, security bool
	towards          gateway.Mode
}{
	{"passive", false, false, gateway.ActiveMode},
	{"active", true, false, gateway.PassiveMode},
	{"TLS", false, true, gateway.SameMode},
}

// TestStrangersOnBothSides has the clients of others work with the servers of
// others through the gateway.
func TestStrangersOnBothSides(t *testing.T) {
	t.Parallel()
	data := noise(100_000)
	for _, peer := range strangers.Peers {
		t.Run(peer.Name, func(t *testing.T) {
			t.Parallel()
			s := peer.Start(t)
			for _, f := range foreigners {
				for _, way := range turns {
					t.Run(f.name+" "+way.name, func(t *testing.T) {
						t.Parallel()
						if _, err := exec.LookPath(f.name); err != nil {
							t.Skipf("%s is not installed (Debian: apt-get install %[1]s): %v", f.name, err)
						}
						if way.security && !f.tls {
							t.Skipf("%s speaks no TLS", f.name)
						}
						if way.security && !speaksTLS(t, s.Addr()) {
							t.Skip("this server runs without TLS here")
						}
						g := serve(t, s.Addr(), append(secured(s.Addr(), way.security), func(o *gateway.Options) { o.ServerMode = way.towards })...)
						dir := t.TempDir()
						if err := os.WriteFile(filepath.Join(dir, "up"), data, 0o600); err != nil {
							t.Fatal(err)
						}
						e := errand{name: f.name + "-" + way.name, active: way.active}
						e.user, e.password = account(peer)
						var err error
						if e.host, e.port, err = net.SplitHostPort(g.addr); err != nil {
							t.Fatal(err)
						}
						if way.security {
							e.cert = s.Cert
						}
						calls, typed := f.calls(e)
						var said string
						for _, argv := range calls {
							said = runIn(t, dir, argv, typed)
						}
						if !strings.Contains(said, e.name) {
							t.Errorf("listed\n%s", said)
						}
						for _, at := range []string{filepath.Join(s.Root, e.name), filepath.Join(dir, "down")} {
							if got, err := os.ReadFile(at); err != nil || !bytes.Equal(got, data) {
								t.Errorf("%s holds %d bytes, %v\n%s", filepath.Base(at), len(got), err, said)
							}
						}
						for range calls {
							wantRecord(t, g.record(t), 3/len(calls), way.security, way.towards, way.active)
						}
					})
				}
			}
		})
	}
}

// runIn runs a program that has no settings but these, and returns what it says.
func runIn(t *testing.T, dir string, argv []string, typed string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Dir = dir
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "LC_ALL=C.UTF-8", "TERM=dumb"}
	cmd.Stdin, cmd.WaitDelay = strings.NewReader(typed), time.Second
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("%q: %v\n%s", argv, err, out)
	}
	return string(out)
}
