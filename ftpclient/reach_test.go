package ftpclient_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"

	"towpath/ftp"
	"towpath/ftpclient"
	"towpath/ftpclient/proxy"
	"towpath/ftptest"
)

// TestLearnAddress: behind a NAT the server tells from where it sees us.
func TestLearnAddress(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, stat, want, err string }{
		{"told", " Connected to 203.0.113.9", "203.0.113.9", ""},
		{"not told", " It is fine.", "", "names none"},
		{"its own", " Connected to 127.0.0.1:21", "127.0.0.1", ""}, // and ours: no NAT
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			v := play(t, &villain{content: "abc", on: map[string]func(*peer, string){
				"STAT": func(p *peer, _ string) { p.say("211-Status:", test.stat, "211 End") },
				"EPRT": func(p *peer, arg string) {
					a, err := ftp.ParseEPRT(arg)
					if err != nil || a.Addr().String() != test.want {
						t.Errorf("EPRT %s, %v; want %s", arg, err, test.want)
					}
					p.target = fmt.Sprintf("127.0.0.1:%d", a.Port()) // as the NAT would
					p.say("200 Fine.")
				},
			}})
			c := visit(t, v, mode(ftpclient.EPRT), func(o *ftpclient.Options) { o.LearnAddress = true })
			for range 2 {
				got, err := fetch(t, c)
				if test.err == "" && (got != "abc" || err != nil) {
					t.Errorf("got %q, %v", got, err)
				}
				if test.err != "" && (!errors.Is(err, ftpclient.ErrAddress) || !strings.Contains(err.Error(), test.err)) {
					t.Errorf("%v, want %q", err, test.err)
				}
			}
		})
	}
	t.Run("our server", func(t *testing.T) {
		t.Parallel()
		s := ftptest.Serve(t, ftptest.Files{"f": "abc"})
		c := login(t, s.Addr, mode(ftpclient.Active), func(o *ftpclient.Options) { o.LearnAddress = true })
		if got, err := fetch(t, c); got != "abc" || err != nil {
			t.Errorf("got %q, %v", got, err)
		}
	})
}

// resolver knows one name with an address of each family.
func resolver(t *testing.T, addresses ...string) *net.Resolver {
	t.Helper()
	return &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		ours, theirs := net.Pipe()
		go func() {
			defer ours.Close()
			for {
				var size [2]byte // as over TCP (RFC 1035 4.2.2)
				if _, err := io.ReadFull(ours, size[:]); err != nil {
					return
				}
				q := make([]byte, binary.BigEndian.Uint16(size[:]))
				if _, err := io.ReadFull(ours, q); err != nil {
					return
				}
				end := 12
				for q[end] != 0 {
					end += int(q[end]) + 1
				}
				question := q[12 : end+5]
				r := append([]byte{q[0], q[1], 0x81, 0x80, 0, 1, 0, 0, 0, 0, 0, 0}, question...)
				for _, text := range addresses {
					a := netip.MustParseAddr(text)
					kind := byte(1)
					if a.Is6() {
						kind = 28
					}
					if question[len(question)-3] == kind {
						b := a.AsSlice()
						r = append(r, 0xc0, 12, 0, kind, 0, 1, 0, 0, 0, 60, 0, byte(len(b)))
						r = append(r, b...)
						r[7]++
					}
				}
				if _, err := ours.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(r))), r...)); err != nil {
					return
				}
			}
		}()
		return theirs, nil
	}}
}

// TestTwoAddresses: a name has an address of each family, of which one is dead.
// The other is reached, by ourselves and through a proxy, and data connections
// go to it as well.
func TestTwoAddresses(t *testing.T) {
	t.Parallel()
	s := ftptest.Serve(t, ftptest.Files{"f": "abc"}) // on 127.0.0.1
	_, port, _ := net.SplitHostPort(s.Addr)
	names := resolver(t, "::1", "127.0.0.1")
	for name, d := range map[string]ftpclient.ContextDialer{
		"straight":      &net.Dialer{Resolver: names},
		"through SOCKS": &proxy.SOCKS5{Addr: (&relay{}).start(t).addr, Resolver: names},
	} {
		c := login(t, net.JoinHostPort("ftp.example.org", port), func(o *ftpclient.Options) { o.Dialer = d })
		if got, err := fetch(t, c); got != "abc" || err != nil {
			t.Errorf("%s: got %q, %v", name, got, err)
		}
		for _, a := range c.Attempts() {
			if a.Err != nil || !strings.HasPrefix(a.Target, "127.0.0.1:") {
				t.Errorf("%s: %v; want the address that the control connection has", name, a)
			}
		}
	}
	// A name without any, and one whose addresses are dead.
	for _, d := range []*net.Dialer{{Resolver: resolver(t)}, {Resolver: names}} {
		_, err := ftpclient.Dial(testContext(t), net.JoinHostPort("ftp.example.org", deadPort(t)), ftpclient.Options{Dialer: d})
		if err == nil || !strings.HasPrefix(err.Error(), "dial ftp.example.org:") || strings.Count(err.Error(), "dial") != 1 {
			t.Errorf("%v", err)
		}
	}
}
