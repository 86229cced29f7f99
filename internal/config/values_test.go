package config

import (
	"log/slog"
	"reflect"
	"strings"
	"testing"

	"towpath/ftpserver"
)

func TestPorts(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]ftpserver.PortRange{
		"50000-50100": {Low: 50000, High: 50100}, "2000": {Low: 2000, High: 2000}, "any": {}, "1-65535": {Low: 1, High: 65535},
	} {
		if r, err := ParsePorts(text); err != nil || r != want {
			t.Errorf("%s: %v, %v; want %v", text, r, err, want)
		}
	}
	for text, want := range map[string]string{
		"50100-50000": "50100-50000: the first port is greater than the last; write 50000-50100",
		"0-10":        `"0-10": not a range of ports; write two numbers from 1 to 65535 as 50000-50100, or any`,
		"1-65536":     `"1-65536": not a range of ports; write two numbers from 1 to 65535 as 50000-50100, or any`,
		"-5":          `"-5": not a range of ports; write two numbers from 1 to 65535 as 50000-50100, or any`,
		"":            `"": not a range of ports; write two numbers from 1 to 65535 as 50000-50100, or any`,
	} {
		if _, err := ParsePorts(text); err == nil || err.Error() != want {
			t.Errorf("%q: %v\nwant %s", text, err, want)
		}
	}
}

func TestExternal(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"203.0.113.300":         "not an address",
		"0.0.0.0":               "no client can connect there",
		"fe80::1%eth0":          "no client can connect there",
		"10.0.0.5/8=10.0.0.5":   "write 10.0.0.0/8",
		"=10.0.0.5":             "nothing before the =",
		"10.0.0.0/8=":           "not an address",
		"tls+clear=10.0.0.5":    "can be said once",
		"10.0.0.0/8+=10.0.0.5":  "nothing behind the +",
		"ten/8=10.0.0.5":        "not a network",
		"if:":                   "not an interface",
		"203.0.113.7:21":        "not an address",
		"-x.example.org":        "not an address",
		"203.0.113.7, 10.0.0.1": "not an address",
	} {
		if got, err := ParseExternal(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, %v; want %q", text, got, err, want)
		}
	}
}

func TestUserHidesItsPassword(t *testing.T) {
	t.Parallel()
	u, err := ParseUser("alice:se:cret")
	if err != nil || u != (User{"alice", "se:cret"}) {
		t.Fatal(u, err)
	}
	var b strings.Builder
	slog.New(slog.NewTextHandler(&b, nil)).Info("x", "user", u)
	if strings.Contains(b.String()+u.String(), "cret") {
		t.Errorf("%s%s shows the password", &b, u)
	}
	for _, bad := range []string{"secret", ":secret", "alice:", "alice:sec\nret"} {
		if _, err := ParseUser(bad); err == nil || strings.Contains(err.Error(), "ret") {
			t.Errorf("%q: %v; want an error without the password", bad, err)
		}
	}
}

func TestListenAddr(t *testing.T) {
	t.Parallel()
	for _, good := range []string{":21", "192.0.2.1:21", "[2001:db8::1]:21", "localhost:0", "[::]:2121"} {
		if err := listenAddr(good); err != nil {
			t.Error(err)
		}
	}
	for text, want := range map[string]string{
		"2121": "write :2121", "": "not an address", ":70000": `"70000" is not a port`, ":ftp": `"ftp" is not a port`,
		"192.0.2.300:21": "neither an IP address nor a host name", "::1:21": "not an address",
	} {
		if err := listenAddr(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v; want %q", text, err, want)
		}
	}
}

// roundTrip fuzzes a Parse and Format pair: what Parse takes, Format says in a
// form that Parse takes for the same, and that Format leaves as it is.
func roundTrip[T any](f *testing.F, parse func(string) (T, error), format func(T) string, seeds ...string) {
	for _, s := range seeds {
		f.Add(s)
		if _, err := parse(s); err != nil {
			f.Error(err)
		}
	}
	f.Fuzz(func(t *testing.T, s string) {
		v, err := parse(s)
		if err != nil {
			return
		}
		again, err := parse(format(v))
		if err != nil || !reflect.DeepEqual(v, again) || format(v) != format(again) {
			t.Errorf("%q is %#v, as text %q, and that is %#v, %v", s, v, format(v), again, err)
		}
	})
}

func FuzzPorts(f *testing.F) { roundTrip(f, ParsePorts, FormatPorts, "50000-50100", "20", "any") }

func FuzzMode(f *testing.F) { roundTrip(f, ParseMode, FormatMode, "022", "0", "777") }

func FuzzUser(f *testing.F) { roundTrip(f, ParseUser, FormatUser, "alice:secret", "bob:a:b", "[x]:,") }

func FuzzHostCert(f *testing.F) {
	roundTrip(f, ParseHostCert, FormatHostCert, "ftp.example.org=a.pem", "a=C:\\a.pem|C:\\a.key")
}

func FuzzExternal(f *testing.F) {
	roundTrip(f, ParseExternal, FormatExternal, "203.0.113.7", "ftp.example.org", "if:eth0", "auto", "2001:db8::1",
		"10.0.0.0/8=10.0.0.5", "10.0.0.0/8+fd00::/8=auto", "tls=203.0.113.8", "10.1.2.3+clear=10.0.0.6")
}
