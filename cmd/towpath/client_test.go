package main

import (
	"crypto/tls"
	"crypto/x509"
	"net/netip"
	"strings"
	"testing"
	"time"

	"towpath/ftpclient"
	"towpath/internal/ftpurl"
)

func TestParseFTPPort(t *testing.T) {
	t.Parallel()
	v4, v6 := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")
	for _, tt := range []struct {
		in    string
		addr  netip.Addr
		ports ftpclient.PortRange
	}{
		{"-", netip.Addr{}, ftpclient.PortRange{}},
		{"-:50000-50010", netip.Addr{}, ftpclient.PortRange{Low: 50000, High: 50010}},
		{"192.0.2.1", v4, ftpclient.PortRange{}},
		{"192.0.2.1:50000-50010", v4, ftpclient.PortRange{Low: 50000, High: 50010}},
		{"2001:db8::1", v6, ftpclient.PortRange{}},
		{"[2001:db8::1]", v6, ftpclient.PortRange{}},
		{"[2001:db8::1]:50000-50010", v6, ftpclient.PortRange{Low: 50000, High: 50010}},
	} {
		addr, ports, err := parseFTPPort(tt.in)
		if err != nil || addr != tt.addr || ports != tt.ports {
			t.Errorf("%s: %v, %v, %v", tt.in, addr, ports, err)
		}
	}
	for _, in := range []string{"eth0", "192.0.2.1:x", "[::1", "[::1]x", "-:0-5", "192.0.2.300"} {
		if addr, ports, err := parseFTPPort(in); err == nil || !strings.Contains(err.Error(), in) {
			t.Errorf("%s: %v, %v, %v; want an error that names it", in, addr, ports, err)
		}
	}
}

func TestSeconds(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]time.Duration{"5": 5 * time.Second, "0.5": 500 * time.Millisecond, "1m30s": 90 * time.Second} {
		var s seconds
		if err := s.Set(in); err != nil || time.Duration(s) != want {
			t.Errorf("%s: %v, %v", in, time.Duration(s), err)
		}
	}
	for _, in := range []string{"", "0", "-1", "soon", "NaN", "Inf", "1e300"} {
		var s seconds
		if err := s.Set(in); err == nil {
			t.Errorf("%q is %v; want an error", in, time.Duration(s))
		}
	}
}

// The dialogue is shown with what it means.
func TestInterpreter(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	p := newInterpreter(&b)
	for line := range strings.Lines(strings.TrimSpace(`
C PASS ****
S 230 In.
C PORT 192,168,10,160,192,245
S 200 Fine.
C EPRT |2|2001:db8::1|49397|
C PASV
S 227 Entering Passive Mode (10,10,220,128,253,30).
C EPSV
S 229 Entering Extended Passive Mode (|||64798|)
S 227 of nobody (1,2,3,4,5,6)
C PASV
S 227 none
C RETR x
S 425 Nobody there.
`)) {
		p.line(line[0], strings.TrimSuffix(line[2:], "\n"))
	}
	const want = `> PASS ****
< 230 In.
> PORT 192,168,10,160,192,245
* we listen on 192.168.10.160 port 49397 (192*256+245); the server must connect there
< 200 Fine.
> EPRT |2|2001:db8::1|49397|
* we listen on 2001:db8::1 port 49397; the server must connect there
> PASV
< 227 Entering Passive Mode (10,10,220,128,253,30).
* the server listens on 10.10.220.128, a private address, port 64798 (253*256+30); we must connect there
> EPSV
< 229 Entering Extended Passive Mode (|||64798|)
* the server listens on port 64798 of the address that we talk to; we must connect there
< 227 of nobody (1,2,3,4,5,6)
> PASV
< 227 none
* 227 none: want six numbers from 0 to 255 parted by commas
> RETR x
< 425 Nobody there.
* the data connection did not come about
`
	if got := b.String(); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

// A certificate of another name is no matter of authorities.
func TestHintOfAnotherName(t *testing.T) {
	t.Parallel()
	err := &tls.CertificateVerificationError{Err: x509.HostnameError{Certificate: &x509.Certificate{DNSNames: []string{"ftp.example.org"}}, Host: "localhost"}}
	got := hinted(err, ftpurl.URL{}).Error()
	if !strings.Contains(got, "valid for ftp.example.org, not localhost; reach the server by a name that its certificate has") {
		t.Error(got)
	}
}
