package ftpurl

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParse(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		in     string
		want   URL
		format string // "" if as in
	}{
		{"ftp://h/", URL{Host: "h"}, ""},
		{"ftp://h", URL{Host: "h"}, "ftp://h/"},
		{"FTP://Ftp.Example.ORG/", URL{Host: "ftp.example.org"}, "ftp://ftp.example.org/"},
		{"ftps://h/", URL{Scheme: FTPS, Host: "h"}, ""},
		{"ftpes://h:2121/", URL{Scheme: FTPES, Host: "h", Port: 2121}, ""},
		{"ftp://h:/", URL{Host: "h"}, "ftp://h/"},

		// RFC 1738 3.2.2: where the login leads to, and absolute.
		{"ftp://h/etc/motd", URL{Host: "h", Path: "etc/motd"}, ""},
		{"ftp://h/%2Fetc/motd", URL{Host: "h", Path: "/etc/motd"}, ""},
		{"ftp://h/%2fetc/motd", URL{Host: "h", Path: "/etc/motd"}, "ftp://h/%2Fetc/motd"},
		{"ftp://h//etc/motd", URL{Host: "h", Path: "/etc/motd"}, "ftp://h/%2Fetc/motd"},
		{"ftp://h/%2F", URL{Host: "h", Path: "/"}, ""},
		{"ftp://h/%2F/etc", URL{Host: "h", Path: "//etc"}, ""},
		{"ftp://h/a/", URL{Host: "h", Path: "a/"}, ""},
		{"ftp://h/../a", URL{Host: "h", Path: "../a"}, ""},

		{"ftp://h/a;type=a", URL{Host: "h", Path: "a", Type: ASCII}, ""},
		{"ftp://h/a;TYPE=I", URL{Host: "h", Path: "a", Type: Image}, "ftp://h/a;type=i"},
		{"ftp://h/;type=d", URL{Host: "h", Type: Directory}, ""},
		{"ftp://h/a%3Btype=a", URL{Host: "h", Path: "a;type=a"}, ""},
		{"ftp://h/LOGIN.COM;1", URL{Host: "h", Path: "LOGIN.COM;1"}, "ftp://h/LOGIN.COM%3B1"},

		{"ftp://alice@h/", URL{User: "alice", Host: "h"}, ""},
		{"ftp://alice:@h/", URL{User: "alice", HasPassword: true, Host: "h"}, ""},
		{"ftp://alice:se%3Acr%40t@h/", URL{User: "alice", Password: "se:cr@t", HasPassword: true, Host: "h"}, ""},
		{"ftp://a@b.org:x@h/", URL{User: "a@b.org", Password: "x", HasPassword: true, Host: "h"}, "ftp://a%40b.org:x@h/"},
		{"ftp://a:x:y@h/", URL{User: "a", Password: "x:y", HasPassword: true, Host: "h"}, "ftp://a:x%3Ay@h/"},
		{"ftp://h/a@b:c", URL{Host: "h", Path: "a@b:c"}, ""},

		{"ftp://[::1]/", URL{Host: "::1"}, ""},
		{"ftp://[2001:DB8::1]:2121/x", URL{Host: "2001:db8::1", Port: 2121, Path: "x"}, "ftp://[2001:db8::1]:2121/x"},
		{"ftp://[fe80::1%25eth0]/", URL{Host: "fe80::1%eth0"}, ""},
		{"ftp://[fe80::1%eth0]/", URL{Host: "fe80::1%eth0"}, "ftp://[fe80::1%25eth0]/"},
		{"ftp://192.0.2.1/", URL{Host: "192.0.2.1"}, ""},
		{"ftp://München.example/", URL{Host: "xn--mnchen-3ya.example"}, "ftp://xn--mnchen-3ya.example/"},
		{"ftp://海.example:2121/", URL{Host: "xn--90w.example", Port: 2121}, "ftp://xn--90w.example:2121/"},

		{"ftp://h/a b/海.txt", URL{Host: "h", Path: "a b/海.txt"}, "ftp://h/a%20b/%E6%B5%B7.txt"},
		{"ftp://h/what?.txt", URL{Host: "h", Path: "what?.txt"}, "ftp://h/what%3F.txt"},
		{"ftp://h/100%25%FF", URL{Host: "h", Path: "100%\xff"}, ""},
		{"ftp://h/%09", URL{Host: "h", Path: "\t"}, ""},
	} {
		got, err := Parse(tt.in)
		if err != nil {
			t.Error(err)
			continue
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s: -want +got\n%s", tt.in, diff)
		}
		want := tt.format
		if want == "" {
			want = tt.in
		}
		if f := Format(got); f != want {
			t.Errorf("%s is formatted as %s, want %s", tt.in, f, want)
		}
	}
}

// Each error names what is wrong and what would be right.
func TestParseError(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ in, want string }{
		{"", "no scheme; write ftp://HOST/PATH"},
		{"ftp.example.org/x", "no scheme; write ftp://HOST/PATH"},
		{"ftp:/h/x", "no scheme"},
		{"h/x://y", "no scheme"},
		{"http://h/x", `scheme "http"; want ftp, ftps or ftpes`},
		{"sftp://h/x", "sftp:// is the file transfer of SSH"},
		{"ftp:///x", "no host"},
		{"ftp://alice@/x", "no host"},
		{"ftp://@h/x", "no user before the @"},
		{"ftp://:secret@h/x", "no user before the @"},
		{"ftp://h:0/", `port "0"; want a number from 1 to 65535`},
		{"ftp://h:65536/", `port "65536"; want`},
		{"ftp://h:pub/x", `port "pub"; want a number from 1 to 65535 (a slash comes before the path)`},
		{"ftp://h:+21/", `port "+21"`},
		{"ftp://::1/", `host "::1": write [::1]`},
		{"ftp://[::1/", "no ] behind the address"},
		{"ftp://[::1]2121/", "want :PORT or nothing behind the ]"},
		{"ftp://[192.0.2.1]/", "not an IPv6 address"},
		{"ftp://[x]/", "not an IPv6 address"},
		{"ftp://a b/", `' ' cannot be in a host name`},
		{"ftp://a%2Fb/", `'/' cannot be in a host name`},
		{"ftp://-ü-.example/", "no name of a host"},
		{"ftp://ü%2Fb/", "no name of a host"},
		{"ftp://h/100%", `"%" is not a percent sign and two hexadecimal digits; the sign itself is %25`},
		{"ftp://h/%zz", `"%zz" is not`},
		{"ftp://h/a%0D%0ADELE b", "%0D: NUL, CR and LF cannot be in a command line"},
		{"ftp://h/a%00", "%00: NUL"},
		{"ftp://a%0Ab@h/", "user: %0A"},
		{"ftp://h/a\r\nDELE b", "byte 0x0D; write %0D"},
		{"ftp://h/a#b", "write %23"},
		{"ftp://h/a;type=x", ";type=x; want a (text)"},
		{"ftp://h/a;type=", ";type=; want"},
	} {
		_, err := Parse(tt.in)
		if _, ok := errors.AsType[*Error](err); !ok || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%q: %v, want %q", tt.in, err, tt.want)
		}
	}
}

// No password is shown, be the URL right or wrong.
func TestNoPassword(t *testing.T) {
	t.Parallel()
	for _, in := range []string{
		"ftp://alice:secret@h/x",
		"ftp://alice:%73ecret@h/x",
		"ftp://alice:x@secret@h/x",
		"ftp://alice:secret%@h/x",
		"ftp://alice:secret%0A@h/x",
		"ftp://alice:se/secret@h/x",
		"ftp://alice:secret/more@h/x",
		"ftp://alice:secret@h:x/x",
		"ftp://alice:secret@[h/x",
		"ftp://alice:secret\n@h/x",
		"ftp://alice:#secret@h/x",
		"http://alice:secret@h/x",
		"alice:secret@h",
	} {
		u, err := Parse(in)
		for _, shown := range []string{
			fmt.Sprint(err), fmt.Sprint(u), fmt.Sprintf("%+v %#v %q", u, u, u), u.Redacted(), u.LogValue().String(), Redact(in),
		} {
			if strings.Contains(shown, "secret") {
				t.Errorf("%q is shown as %s", in, shown)
			}
		}
	}
}

func TestAddr(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"ftp://h/":        "h:21",
		"ftpes://h/":      "h:21",
		"ftps://h/":       "h:990",
		"ftps://h:21/":    "h:21",
		"ftp://[::1]/":    "[::1]:21",
		"ftp://[::1]:90/": "[::1]:90",
	} {
		u, err := Parse(in)
		if err != nil {
			t.Error(err)
		}
		if got := u.Addr(); got != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
	}
}

func TestNames(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		path, base, joined string
		dir                bool
	}{
		{"", "", "x", true},
		{"/", "", "/x", true},
		{"a", "a", "a/x", false},
		{"/a/b", "b", "/a/b/x", false},
		{"a/b/", "b", "a/b/x", true},
		{"..", "..", "../x", false},
	} {
		u := URL{Host: "h", Path: tt.path}
		if u.Base() != tt.base || u.IsDir() != tt.dir || u.Join("x").Path != tt.joined {
			t.Errorf("%q: base %q, dir %t, joined %q; want %q, %t, %q", tt.path, u.Base(), u.IsDir(), u.Join("x").Path, tt.base, tt.dir, tt.joined)
		}
	}
}

// What is read is written so that it is read again, in ASCII; and a command
// line can hold each part.
func FuzzParse(f *testing.F) {
	for _, s := range []string{
		"ftp://h/", "ftps://alice:se%3Acret@[fe80::1%25eth0]:990/%2Fa/b;type=a", "ftpes://h//x?y;1", "ftp://a@b:c@h:/%FF",
		"ftps://[fe80::1% 0]:010/", "ftp://[fe80::1%25é]/",
		"ftp://münchen.example/", "ftp://ＦＴＰ。example/", "ftp://\u00ad/",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		u, err := Parse(s)
		if err != nil {
			if u != (URL{}) {
				t.Errorf("%q: %v, and yet %v", s, err, u)
			}
			return
		}
		if strings.ContainsAny(u.User+u.Password+u.Host+u.Path, "\r\n\x00") {
			t.Errorf("%q: a line end in %#v", s, u)
		}
		text := Format(u)
		for i := range len(text) {
			if text[i] <= ' ' || text[i] >= 0x7f {
				t.Fatalf("%q is formatted as %q, want printable ASCII", s, text)
			}
		}
		again, err := Parse(text)
		if err != nil {
			t.Fatalf("%q is formatted as %q: %v", s, text, err)
		}
		if diff := cmp.Diff(u, again); diff != "" {
			t.Errorf("%q is formatted as %q: -once +again\n%s", s, text, diff)
		}
	})
}
