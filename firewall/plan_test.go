package firewall

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

func TestPlanRefuses(t *testing.T) {
	t.Parallel()
	ok := Server{Control: []uint16{21}, Passive: Ports{50000, 50100}}
	for _, tt := range []struct {
		name string
		side Side
		make func(*Server)
		want string
	}{
		{"side", "middle", func(*Server) {}, `side "middle"`},
		{"no control port", AtServer, func(s *Server) { s.Control = nil }, "no port for control connections"},
		{"port 0", AtServer, func(s *Server) { s.Control = []uint16{0} }, "port 0"},
		{"twice", AtServer, func(s *Server) { s.Implicit = []uint16{21} }, "port 21 for control connections is there twice"},
		{"control in the range", AtServer, func(s *Server) { s.Control = []uint16{50050} }, "port 50050 for control connections lies in the passive range 50000-50100"},
		{"range turned round", AtServer, func(s *Server) { s.Passive = Ports{50100, 50000} }, "passive range 50100-50000"},
		{"inside", AtServer, func(s *Server) { s.Inside = []netip.Addr{netip.IPv4Unspecified()} }, "address 0.0.0.0"},
		{"clients", AtServer, func(s *Server) { s.Clients = []netip.Prefix{netip.MustParsePrefix("10.1.2.3/8")} }, "clients 10.1.2.3/8: not a network; write 10.0.0.0/8"},
		{"external alone", AtRouter, func(s *Server) { s.External = []netip.Addr{netip.MustParseAddr("203.0.113.7")} }, "external address 203.0.113.7: say which inside address"},
		{"router for anybody", AtRouter, func(*Server) {}, "open these ports of every host behind it; name it by --inside"},
		{"client for everybody", AtClient, func(s *Server) { s.Active, s.ActivePort = true, 20 }, "let everybody in, to all ports from 1024 on"},
		{"two families", AtServer, func(s *Server) {
			s.Inside = []netip.Addr{netip.MustParseAddr("192.0.2.1")}
			s.Clients = []netip.Prefix{netip.MustParsePrefix("2001:db8::/32")}
		}, "clients [2001:db8::/32] cannot reach [192.0.2.1]"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := ok
			tt.make(&s)
			if _, err := s.Plan(tt.side); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want %s", err, tt.want)
			}
		})
	}
}

func TestPinholeCheck(t *testing.T) {
	t.Parallel()
	a, b, six := netip.MustParseAddr("192.0.2.9"), netip.MustParseAddrPort("192.0.2.1:50000"), netip.MustParseAddrPort("[2001:db8::1]:50000")
	for _, tt := range []struct {
		hole Pinhole
		want string
	}{
		{Pinhole{From: a, To: b, Life: time.Second}, ""},
		{Pinhole{From: netip.MustParseAddr("::ffff:192.0.2.9"), To: b, Life: time.Second}, ""},
		{Pinhole{From: netip.Addr{}, To: b, Life: time.Second}, "not a host"},
		{Pinhole{From: a, To: netip.MustParseAddrPort("0.0.0.0:1"), Life: time.Second}, "not a host"},
		{Pinhole{From: a, To: six, Life: time.Second}, "one is IPv4, the other IPv6"},
		{Pinhole{From: netip.MustParseAddr("fe80::1%eth0"), To: six, Life: time.Second}, "zones"},
		{Pinhole{From: a, To: netip.AddrPortFrom(b.Addr(), 0), Life: time.Second}, "port 0"},
		{Pinhole{From: a, To: b, Life: 0}, "life 0s"},
		{Pinhole{From: a, To: b, Life: MaxLife + 1}, "life 1h0m0"},
		{Pinhole{From: a, Via: b, To: six, As: six, Life: time.Second}, ""},
		{Pinhole{From: a, Via: six, To: b, Life: time.Second}, "192.0.2.9 to 2001:db8::1: one is IPv4"},
		{Pinhole{From: a, Via: b, To: six, As: b, Life: time.Second}, "to 2001:db8::1 as 192.0.2.1: one is IPv4"},
		{Pinhole{From: a, Via: netip.AddrPortFrom(b.Addr(), 0), To: b, Life: time.Second}, "via 192.0.2.1:0: port 0"},
		{Pinhole{From: a, Via: netip.MustParseAddrPort("0.0.0.0:1"), To: b, Life: time.Second}, "via 0.0.0.0:1: not a host"},
		{Pinhole{From: a, To: b, As: netip.MustParseAddrPort("0.0.0.0:1"), Life: time.Second}, "as 0.0.0.0:1: not a host"},
		{Pinhole{From: a, To: b, Control: [2]Flow{{}, {b, b}}, Life: time.Second}, ""},
		{Pinhole{From: a, To: b, Control: [2]Flow{{From: b}}, Life: time.Second}, "both ends"},
	} {
		err := tt.hole.Check()
		if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%v: error %v, want %q", tt.hole, err, tt.want)
		}
	}
}

func ExamplePinhole_String() {
	fmt.Println(Pinhole{
		From: netip.MustParseAddr("203.0.113.9"),
		Via:  netip.MustParseAddrPort("203.0.113.1:50000"),
		To:   netip.MustParseAddrPort("10.0.0.5:6000"),
		As:   netip.MustParseAddrPort("10.0.0.1:0"),
		Life: 20 * time.Second,
	})
	// Output: 203.0.113.9 via 203.0.113.1:50000 to 10.0.0.5:6000 as 10.0.0.1 within 20s
}

func FuzzParsePorts(f *testing.F) {
	for _, s := range []string{"21", "50000-50100", "50100-50000", "0", "1-65535", "1-65536", "-", "any", "+1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p, err := ParsePorts(s)
		if err != nil {
			return
		}
		if back, err := ParsePorts(FormatPorts(p)); err != nil || back != p || p.Len() < 1 {
			t.Errorf("%q is %v, which is %v, %v", s, p, back, err)
		}
	})
}

func FuzzParseWildcard(f *testing.F) {
	for _, s := range []string{"10.0.0.0 0.255.255.255", "192.0.2.1 0", "192.0.2.1 0.0.0.0", "0.0.0.0 255.255.255.255", "10.0.0.0 0.255.0.255", "10.0.0.1 0.0.0.255", "10.0.0.0", "2001:db8:: 0"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p, err := ParseWildcard(s)
		if err != nil {
			return
		}
		if back, err := ParseWildcard(FormatWildcard(p)); err != nil || back != p {
			t.Errorf("%q is %v, which is %v, %v", s, p, back, err)
		}
	})
}

// TestWildcard goes through every length of a mask.
func TestWildcard(t *testing.T) {
	t.Parallel()
	for bits := range 33 {
		p := netip.PrefixFrom(netip.MustParseAddr("203.0.113.255"), bits).Masked()
		if back, err := ParseWildcard(FormatWildcard(p)); err != nil || back != p {
			t.Errorf("%v is %q, which is %v, %v", p, FormatWildcard(p), back, err)
		}
	}
	for _, tt := range []struct{ net, want string }{
		{"0.0.0.0/0", "0.0.0.0 255.255.255.255"},
		{"10.0.0.0/8", "10.0.0.0 0.255.255.255"},
		{"172.16.0.0/12", "172.16.0.0 0.15.255.255"},
		{"192.0.2.128/25", "192.0.2.128 0.0.0.127"},
		{"192.0.2.1/32", "192.0.2.1 0.0.0.0"},
	} {
		if got := FormatWildcard(netip.MustParsePrefix(tt.net)); got != tt.want {
			t.Errorf("%s is %q, want %q", tt.net, got, tt.want)
		}
	}
	for _, bad := range []string{"10.0.0.0 0.255.0.255", "10.0.0.1 0.0.0.255", "10.0.0.0", "2001:db8:: 0"} {
		if p, err := ParseWildcard(bad); err == nil {
			t.Errorf("%q is %v, want an error", bad, p)
		}
	}
}

// FuzzFormats writes the rules of any server for every filter: a plan that is
// sound is written, or refused with a reason, and names every port.
func FuzzFormats(f *testing.F) {
	f.Add(uint16(21), uint16(990), uint16(50000), uint8(5), uint16(20), "192.0.2.1", "203.0.113.7", "10.0.0.0/8", "2001:db8::/32")
	f.Add(uint16(2121), uint16(0), uint16(0), uint8(0), uint16(0), "", "", "", "")
	f.Add(uint16(21), uint16(0), uint16(65530), uint8(20), uint16(0), "2001:db8::1", "2001:db8::7", "2001:db8::/32", "")
	f.Fuzz(func(t *testing.T, control, implicit, low uint16, many uint8, active uint16, inside, external, net1, net2 string) {
		s := Server{Control: []uint16{control}, Active: active != 1, ActivePort: active}
		if implicit != 0 {
			s.Implicit = []uint16{implicit}
		}
		if low != 0 {
			s.Passive = Ports{low, low + uint16(many)}
		}
		if a, err := netip.ParseAddr(inside); err == nil {
			s.Inside = []netip.Addr{a}
		}
		if a, err := netip.ParseAddr(external); err == nil {
			s.External = []netip.Addr{a}
		}
		for _, text := range []string{net1, net2} {
			if p, err := netip.ParsePrefix(text); err == nil {
				s.Clients = append(s.Clients, p)
			}
		}
		for _, side := range Sides {
			set, err := s.Plan(side)
			if err != nil {
				continue
			}
			for _, format := range Formats {
				if !slices.Contains(format.Sides, side) {
					continue
				}
				var b strings.Builder
				if err := format.Write(&b, set); err != nil {
					if side != AtRouter {
						t.Errorf("%s, %s: %v", format.Name, side, err)
					}
					continue
				}
				for _, r := range set.Rules {
					for _, family := range families {
						one, ok := r.in(family)
						if ok && one.Name != "active" && !strings.Contains(b.String(), strconv.Itoa(int(one.To.Ports.High))) {
							t.Errorf("%s, %s: %v is not in\n%s", format.Name, side, one, b.String())
						}
					}
				}
			}
		}
	})
}
