package ftpserver

import (
	"encoding/binary"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

var loopback = netip.MustParseAddr("127.0.0.1")

func TestAdmissionLimits(t *testing.T) {
	a := newAdmission(&Options{MaxSessions: 5, MaxPerAddress: 2, BanAfter: -1})
	for _, step := range []struct{ peer, refusal string }{
		{"192.0.2.1", ""},
		{"::ffff:192.0.2.1", ""},
		{"192.0.2.1", "from your address (2)"},
		{"2001:db8::1", ""},
		{"2001:db8::ffff:1", ""},
		{"2001:db8::2", "from your address (2)"},
		{"2001:db8:0:1::1", ""},
		{"198.51.100.1", "Too many sessions (5)"},
	} {
		leave, refusal := a.enter(netip.MustParseAddr(step.peer))
		if (refusal == "") != (step.refusal == "") || !strings.Contains(refusal, step.refusal) {
			t.Errorf("%s: refusal %q, want %q", step.peer, refusal, step.refusal)
		}
		if (leave == nil) != (refusal != "") {
			t.Errorf("%s: leave and refusal %q", step.peer, refusal)
		}
	}
}

func TestAdmissionLeave(t *testing.T) {
	a := newAdmission(&Options{MaxSessions: 1})
	for range 3 {
		leave, refusal := a.enter(loopback)
		if refusal != "" {
			t.Fatal(refusal)
		}
		leave()
		leave() // does nothing
	}
	if a.sessions != 0 || len(a.per) != 0 {
		t.Errorf("%d sessions of %d addresses remain", a.sessions, len(a.per))
	}
}

func TestAdmissionPassivePorts(t *testing.T) {
	for _, test := range []struct {
		o    Options
		want int
	}{
		{Options{MaxSessions: 100}, 100},
		{Options{MaxSessions: 100, PassivePorts: PortRange{Low: 2000, High: 2009}}, 10},
		{Options{MaxSessions: 5, PassivePorts: PortRange{Low: 2000, High: 2009}}, 5},
		{Options{MaxSessions: 100, PassivePorts: PortRange{Low: 2000, High: 2009}, NoPassive: true}, 100},
	} {
		a, n := newAdmission(&test.o), 0
		for ; n < 200; n++ {
			if _, refusal := a.enter(loopback); refusal != "" {
				if got := strings.Contains(refusal, "passive ports"); got != (test.want == 10) {
					t.Errorf("refusal %q", refusal)
				}
				break
			}
		}
		if n != test.want {
			t.Errorf("%d sessions admitted, want %d", n, test.want)
		}
	}
}

func admissionOptions() *Options {
	return &Options{
		MaxSessions: 10, FailureDelay: time.Second, MaxFailureDelay: 10 * time.Second,
		BanAfter: 20, BanFor: 10 * time.Minute,
	}
}

func TestFailureDelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAdmission(admissionOptions())
		fail := func(want time.Duration) {
			t.Helper()
			d := a.failed(loopback)
			if d != want {
				t.Errorf("delay %v, want %v", d, want)
			}
			time.Sleep(d)
		}
		for _, s := range []time.Duration{1, 2, 4, 8, 10, 10} {
			fail(s * time.Second)
		}
		a.succeeded(loopback)
		fail(time.Second)
		fail(2 * time.Second)
		time.Sleep(10 * time.Minute)
		fail(time.Second)
	})
}

// Sessions of one address that fail at the same moment wait in a line.
func TestFailureDelayIsOfTheAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAdmission(admissionOptions())
		for i, want := range []time.Duration{1, 3, 7, 15, 25} {
			if d := a.failed(loopback); d != want*time.Second {
				t.Errorf("session %d waits %v, want %vs", i, d, int64(want))
			}
		}
		if d := a.failed(netip.MustParseAddr("192.0.2.1")); d != time.Second {
			t.Errorf("another address waits %v", d)
		}
	})
}

func TestBan(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAdmission(admissionOptions())
		enter := func() string {
			leave, refusal := a.enter(loopback)
			if refusal == "" {
				leave()
			}
			return refusal
		}
		for i := range 20 {
			if r := enter(); r != "" {
				t.Fatalf("banned after %d failures: %s", i, r)
			}
			a.failed(loopback)
			a.succeeded(loopback) // an account of one's own does not help
		}
		if r := enter(); !strings.Contains(r, "failed logins") {
			t.Fatalf("after 20 failures: %q", r)
		}
		time.Sleep(10*time.Minute - 1)
		if enter() == "" {
			t.Error("let in before the ban is over")
		}
		time.Sleep(time.Nanosecond)
		if r := enter(); r != "" {
			t.Errorf("after the ban: %s", r)
		}
		for range 100 { // slower than 20 in 10 minutes: never banned
			a.failed(loopback)
			time.Sleep(32 * time.Second)
		}
		if r := enter(); r != "" {
			t.Errorf("slow failures: %s", r)
		}
	})
}

func TestBanNever(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, o := range []Options{
			{MaxSessions: 1, BanAfter: -1, BanFor: time.Hour, FailureDelay: -1},
			{MaxSessions: 1, BanAfter: 3, BanFor: -1, FailureDelay: -1},
		} {
			a := newAdmission(&o)
			for range 100 {
				if d := a.failed(loopback); d != 0 {
					t.Fatalf("delay %v, want none", d)
				}
			}
			if _, r := a.enter(loopback); r != "" {
				t.Error(r)
			}
		}
	})
}

// A flood of addresses cannot fill the memory, and those that fail now are
// remembered rather than those long gone.
func TestFailuresBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAdmission(admissionOptions())
		at := func(i int) netip.Addr {
			var b [4]byte
			binary.BigEndian.PutUint32(b[:], 10<<24+uint32(i))
			return netip.AddrFrom4(b)
		}
		for i := range maxRemembered + 100 {
			a.failed(at(i))
			a.failed(loopback)
		}
		if len(a.failures) != maxRemembered || a.recent.Len() != maxRemembered {
			t.Errorf("%d addresses remembered, %d in the list, want %d", len(a.failures), a.recent.Len(), maxRemembered)
		}
		if a.failures[at(0)] != nil || a.failures[at(maxRemembered)] == nil || a.failures[loopback] == nil {
			t.Error("the wrong ones were forgotten")
		}
		if n := len(a.failures[loopback].Value.(*failures).times); n > 20 {
			t.Errorf("%d times kept of one address", n)
		}
	})
}

func BenchmarkAdmission(b *testing.B) {
	a := newAdmission(admissionOptions())
	for b.Loop() {
		leave, _ := a.enter(loopback)
		leave()
	}
}

// Where bans are switched off, guessing still becomes slower with each failure.
func TestDelaysGrowWithoutBans(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAdmission(&Options{MaxSessions: 1, FailureDelay: time.Second, MaxFailureDelay: 5 * time.Second, BanAfter: -1, BanFor: -1})
		peer := netip.MustParseAddr("192.0.2.1")
		for i, want := range []time.Duration{time.Second, 2 * time.Second, 4 * time.Second, 5 * time.Second} {
			got := a.failed(peer)
			if got != want {
				t.Errorf("failure %d costs %v, want %v", i+1, got, want)
			}
			time.Sleep(got)
		}
		time.Sleep(10 * time.Minute)
		if got := a.failed(peer); got != time.Second || a.banned(peer) {
			t.Errorf("after a while a failure costs %v; banned: %t", got, a.banned(peer))
		}
	})
}

// The neighbours on a link are not one client, though they share a /64.
func TestAdmissionLinkLocal(t *testing.T) {
	a := newAdmission(&Options{MaxSessions: 5, MaxPerAddress: 1, BanAfter: 1, BanFor: time.Hour})
	one, other := netip.MustParseAddr("fe80::1%eth0"), netip.MustParseAddr("fe80::2%eth0")
	for _, peer := range []netip.Addr{one, other} {
		if _, refusal := a.enter(peer); refusal != "" {
			t.Errorf("%v: %s", peer, refusal)
		}
		if _, refusal := a.enter(peer); refusal == "" {
			t.Errorf("%v has two sessions", peer)
		}
	}
	a.failed(one)
	if !a.banned(one) || a.banned(other) {
		t.Errorf("banned: %t and %t, want the first alone", a.banned(one), a.banned(other))
	}
}
