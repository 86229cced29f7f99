package ftpclient

import (
	"net/netip"
	"strings"
	"testing"

	"towpath/ftp"
)

func TestFindClient(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ lines, want string }{
		"vsftpd":        {"FTP server status:\n     Connected to ::ffff:203.0.113.7\n     Logged in as alice\nEnd of status", "203.0.113.7"},
		"ProFTPD":       {"Status of 'x'\n Connected from 203.0.113.7 (203.0.113.7)\n Logged in as alice\nEnd of status", "203.0.113.7"},
		"ProFTPD, name": {"Status of 'x'\n Connected from nat.example.org (2001:db8::7)\nEnd of status", "2001:db8::7"},
		"BSD":           {" ftp FTP server status:\n     Connected to nat.example.org (203.0.113.7)\n     Logged in as alice\nEnd of status", "203.0.113.7"},
		"Towpath":       {"Status\n Connected from 203.0.113.7:40001, session 12\nEnd", "203.0.113.7"},
		"Towpath, IPv6": {"Status\n Connected from [2001:db8::7]:40001, session 12\nEnd", "2001:db8::7"},
		"pyftpdlib":     {"FTP server status:\n Connected to: 192.0.2.1:21\n Waiting for username.\nEnd of status.", ""},
		"a name only":   {"Connected to nat.example.org\nEnd", ""},
		"nowhere":       {"Connected to 0.0.0.0\nConnected to 224.0.0.1", ""},
		"nothing":       {"Fine.", ""},
	} {
		a, ok := findClient(ftp.Reply{Code: 211, Lines: strings.Split(test.lines, "\n")})
		want, _ := netip.ParseAddr(test.want)
		if a != want || ok != want.IsValid() {
			t.Errorf("%s: %v, %v, want %q", name, a, ok, test.want)
		}
	}
}

func FuzzFindClient(f *testing.F) {
	f.Add(" Connected from nat.example.org (203.0.113.7)\nEnd")
	f.Add("connected to ::ffff:203.0.113.7.")
	f.Fuzz(func(t *testing.T, text string) {
		a, ok := findClient(ftp.Reply{Code: 211, Lines: strings.Split(text, "\n")})
		if ok != a.IsValid() || ok && (a.IsUnspecified() || a.IsMulticast() || a.Is4In6() || a.Zone() != "") {
			t.Fatalf("%q: %v, %v", text, a, ok)
		}
		// What was found is found again where it is said in either way.
		for _, again := range []string{"Connected to " + a.String(), "Connected from x (" + a.String() + ")"} {
			if b, found := findClient(ftp.Reply{Lines: []string{again}}); ok && (!found || a != b) {
				t.Fatalf("%q: %v", again, b)
			}
		}
	})
}
