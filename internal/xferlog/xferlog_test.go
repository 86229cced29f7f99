package xferlog_test

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"towpath/ftpserver"
	"towpath/internal/xferlog"
)

// at is the time of the events below, in the zone of the machine: logs are local.
var at = time.Date(2026, 11, 1, 4, 0, 0, 0, time.Local)

func peer(s string) netip.AddrPort { return netip.AddrPortFrom(netip.MustParseAddr(s), 40000) }

func TestXferlog(t *testing.T) {
	t.Parallel()
	whole := ftpserver.TransferEvent{
		Session: 7, Start: at, Duration: 2500 * time.Millisecond, Peer: peer("192.0.2.1"),
		User: "joe", Verb: "RETR", Path: "/pub/sea.txt", Bytes: 123,
	}
	with := func(change func(e *ftpserver.TransferEvent)) ftpserver.TransferEvent {
		e := whole
		change(&e)
		return e
	}
	for _, tt := range []struct {
		name string
		e    ftpserver.Event
		want string
	}{
		{"download", whole, "Sun Nov  1 04:00:02 2026 3 192.0.2.1 123 /pub/sea.txt b _ o r joe ftp 0 * c"},
		{"upload", with(func(e *ftpserver.TransferEvent) { e.Verb = "STOR"; e.ASCII = true }), "Sun Nov  1 04:00:02 2026 3 192.0.2.1 123 /pub/sea.txt a _ i r joe ftp 0 * c"},
		{"appended", with(func(e *ftpserver.TransferEvent) { e.Verb = "APPE" }), "Sun Nov  1 04:00:02 2026 3 192.0.2.1 123 /pub/sea.txt b _ i r joe ftp 0 * c"},
		{"cut", with(func(e *ftpserver.TransferEvent) { e.Err = errors.New("x") }), "Sun Nov  1 04:00:02 2026 3 192.0.2.1 123 /pub/sea.txt b _ o r joe ftp 0 * i"},
		{"quick", with(func(e *ftpserver.TransferEvent) { e.Duration = 0 }), "Sun Nov  1 04:00:00 2026 1 192.0.2.1 123 /pub/sea.txt b _ o r joe ftp 0 * c"},
		{"anonymous", with(func(e *ftpserver.TransferEvent) { e.User = "Anonymous" }), "Sun Nov  1 04:00:02 2026 3 192.0.2.1 123 /pub/sea.txt b _ o a Anonymous ftp 0 * c"},
		{"IPv6", with(func(e *ftpserver.TransferEvent) { e.Peer = peer("fe80::1%eth0") }), "Sun Nov  1 04:00:02 2026 3 fe80::1 123 /pub/sea.txt b _ o r joe ftp 0 * c"},
		{"IPv4 in IPv6", with(func(e *ftpserver.TransferEvent) { e.Peer = peer("::ffff:192.0.2.1") }), "Sun Nov  1 04:00:02 2026 3 192.0.2.1 123 /pub/sea.txt b _ o r joe ftp 0 * c"},
		{
			"names that would end fields and lines",
			with(func(e *ftpserver.TransferEvent) {
				e.Path = "/a b\tc\r\nd\x00e\x7f\u0085\u2028\u202e\u00a0\xff灯"
				e.User = "jo e\n"
			}),
			"Sun Nov  1 04:00:02 2026 3 192.0.2.1 123 /a_b_c__d_e______灯 b _ o r jo_e_ ftp 0 * c",
		},
		{"no names", with(func(e *ftpserver.TransferEvent) { e.Path = ""; e.User = ""; e.Peer = netip.AddrPort{} }), "Sun Nov  1 04:00:02 2026 3 ? 123 ? b _ o r ? ftp 0 * c"},
		{"login", ftpserver.LoginEvent{Time: at}, ""},
		{"session", ftpserver.SessionEvent{Time: at}, ""},
	} {
		want := tt.want
		if want != "" {
			want += "\n"
		}
		if got := string(xferlog.Xferlog(nil, tt.e)); got != want {
			t.Errorf("%s:\n%q, want\n%q", tt.name, got, want)
		}
	}
}

func TestParse(t *testing.T) {
	t.Parallel()
	zone := time.FixedZone("", 3600)
	for _, tt := range []struct {
		line string
		want xferlog.Entry
	}{
		{
			"Sat Nov 21 04:00:00 2026 1 192.0.2.1 123 /path b _ o r joe ftp 0 * c",
			xferlog.Entry{
				End: time.Date(2026, 11, 21, 4, 0, 0, 0, zone), Duration: time.Second, Host: "192.0.2.1", Bytes: 123, Path: "/path",
				Special: '_', Direction: 'o', Access: 'r', User: "joe", Service: "ftp", Ident: "*", Complete: true,
			},
		},
		{ // a name with blanks, as some servers write it
			"Sun Nov  1 04:00:00 2026 0 h.example 0 /a b  c b _ a C i a who@ ftp 1 ident i\r\n",
			xferlog.Entry{
				End: time.Date(2026, 11, 1, 4, 0, 0, 0, zone), Host: "h.example", Path: "/a b  c b _", ASCII: true,
				Special: 'C', Direction: 'i', Access: 'a', User: "who@", Service: "ftp", Ident: "ident",
			},
		},
	} {
		got, err := xferlog.Parse(tt.line, zone)
		if err != nil {
			t.Error(err)
		} else if d := cmp.Diff(tt.want, got); d != "" {
			t.Errorf("%q:\n%s", tt.line, d)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	const good = "Sat Nov 21 04:00:00 2026 1 192.0.2.1 123 /path b _ o r joe ftp 0 * c"
	for _, tt := range []struct{ line, want string }{
		{"", "too short"},
		{good[:24], "too short"},
		{strings.Replace(good, "Nov", "Nev", 1), "does not begin with a time"},
		{strings.Replace(good, " /path", "", 1), "has less than 14 fields"},
		{good[:40], "has less than 14 fields"},
		{strings.Replace(good, "2026 1", "2026 -1", 1), `duration is "-1", a number from 0 to 9223372036 is wanted`},
		{strings.Replace(good, "2026 1", "2026 9223372037", 1), `duration is "9223372037"`},
		{strings.Replace(good, "123", "9223372036854775808", 1), `size is "9223372036854775808"`},
		{strings.Replace(good, "123", "+1", 1), `size is "+1"`},
		{strings.Replace(good, "/path", "", 1), "path is empty"},
		{strings.Replace(good, "joe", "", 1), "user is empty"},
		{strings.Replace(good, " b ", " x ", 1), `type is "x", one of "ab" is wanted`},
		{strings.Replace(good, " _ ", " ?? ", 1), `special action is "??"`},
		{strings.Replace(good, " o ", " q ", 1), `direction is "q"`},
		{strings.Replace(good, " r ", " R ", 1), `access mode is "R"`},
		{strings.Replace(good, " 0 ", " 2 ", 1), `authentication is "2"`},
		{good[:len(good)-1], `completion is ""`},
	} {
		if _, err := xferlog.Parse(tt.line, time.UTC); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%q: %v, want an error that says %s", tt.line, err, tt.want)
		}
	}
}

// FuzzParse: what is read and written again is read as the same.
func FuzzParse(f *testing.F) {
	f.Add("Sat Nov 21 04:00:00 2026 1 192.0.2.1 123 /path b _ o r joe ftp 0 * c\n")
	f.Add("Sun Nov  1 04:00:00 2026 0 h.example 0 /a b  c b _ a C i a who@ ftp 1 ident i")
	f.Fuzz(func(t *testing.T, line string) {
		x, err := xferlog.Parse(line, time.UTC)
		if err != nil {
			return
		}
		once := string(x.AppendTo(nil))
		y, err := xferlog.Parse(once, time.UTC)
		if err != nil {
			t.Fatal(err)
		}
		if again := string(y.AppendTo(nil)); again != once {
			t.Fatalf("written %q, read and written again %q", once, again)
		}
		x.Host, x.Path, x.User, x.Service, x.Ident = y.Host, y.Path, y.User, y.Service, y.Ident // as cleaned
		if d := cmp.Diff(x, y); d != "" {
			t.Fatal(d)
		}
	})
}

// FuzzNames: no name that a client chooses makes two lines out of one, or
// moves a field; and the entry comes back with the name cleaned.
func FuzzNames(f *testing.F) {
	f.Add("/a b", "joe")
	f.Add("/x b _ o r root ftp 0 * c\nSat Nov 21 04:00:00 2026", "")
	f.Add(`/", "/y`, `x] OK LOGIN: Client "198.51.100.1`)
	f.Fuzz(func(t *testing.T, path, user string) {
		e := ftpserver.TransferEvent{Start: at, Duration: time.Second, Peer: peer("192.0.2.1"), Verb: "STOR", User: user, Path: path, Bytes: 1}
		line := string(xferlog.Xferlog(nil, e))
		x, err := xferlog.Parse(line, time.Local)
		if err != nil {
			t.Fatal(err)
		}
		if len(strings.Fields(line)) != 18 || strings.Count(line, "\n") != 1 || x.Bytes != 1 || x.Host != "192.0.2.1" || x.Direction != 'i' {
			t.Fatalf("%q", line)
		}
		for _, e := range []ftpserver.Event{e, ftpserver.LoginEvent{Time: at, Peer: peer("192.0.2.1"), User: user}} {
			if line := string(xferlog.Vsftpd(nil, e)); !vsftpdLine.MatchString(line) {
				t.Fatalf("%q", line)
			}
		}
	})
}
