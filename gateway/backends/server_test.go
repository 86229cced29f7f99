package backends

import (
	"net/netip"
	"reflect"
	"strings"
	"testing"

	"towpath/gateway"
)

func TestParseServer(t *testing.T) {
	t.Parallel()
	common := gateway.Server{TLS: gateway.ImplicitTLS, Proxy: 1}
	for _, tt := range []struct {
		in   string
		want Server
	}{
		{"10.0.0.5", Server{Server: gateway.Server{Name: "10.0.0.5:990", Addr: "10.0.0.5:990", TLS: gateway.ImplicitTLS, Proxy: 1}, Weight: 1}},
		{"ftp.example.org tls=clear", Server{Server: gateway.Server{Name: "ftp.example.org:21", Addr: "ftp.example.org:21", TLS: gateway.ClearTLS, Proxy: 1}, Weight: 1}},
		{
			" [2001:db8::1]:2121  name=web1 weight=2 max=100 drain hosts=*.example.de,b users=boss* tls=explicit proxy=2 as=10.0.0.1",
			Server{
				Server: gateway.Server{Name: "web1", Addr: "[2001:db8::1]:2121", TLS: gateway.ExplicitTLS, Proxy: 2, As: netip.MustParseAddr("10.0.0.1")},
				Weight: 2, Max: 100, Drain: true, Hosts: []string{"*.example.de", "b"}, Users: []string{"boss*"},
			},
		},
	} {
		got, err := ParseServer(tt.in, common)
		if err != nil || !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%q:\n got %+v, %v\nwant %+v", tt.in, got, err, tt.want)
		}
	}
	for _, tt := range []struct{ in, want string }{
		{"", "write HOST or HOST:PORT"},
		{"10.0.0.300", "not a server"},
		{"a b", "not understood"},
		{"a drain=yes", "not understood"},
		{"a weight=", "not understood"},
		{"a weight=0", "write a number from 1"},
		{"a weight=1 weight=2", "said twice"},
		{"a size=1", "write one of name, weight"},
		{"a proxy=3", "write 1 or 2"},
		{"a hosts=x,,y", "an empty name"},
		{"a tls=yes", "want one of"},
		{"a as=0.0.0.0", "not an address"},
	} {
		if _, err := ParseServer(tt.in, gateway.Server{}); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%q: %v; want %q", tt.in, err, tt.want)
		}
	}
}

func FuzzServer(f *testing.F) {
	for _, s := range []string{"a", "10.0.0.5:2121 weight=3 drain", "[::1]:21 hosts=a,b users=c tls=implicit proxy=1 as=::2 name=x max=7"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := ParseServer(text, gateway.Server{})
		if err != nil {
			return
		}
		again, err := ParseServer(FormatServer(s), gateway.Server{})
		if err != nil || !reflect.DeepEqual(again, s) {
			t.Fatalf("%q became %q, and that %+v, %v; was %+v", text, FormatServer(s), again, err, s)
		}
	})
}
