package policy

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"towpath/ftp"
)

// rules reads a policy of one rule a line.
func rules(t testing.TB, deny bool, text string) *Policy {
	t.Helper()
	p := &Policy{Deny: deny}
	for line := range strings.SplitSeq(strings.TrimSpace(text), "\n") {
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		r, err := ParseRule(line)
		if err != nil {
			t.Fatal(err)
		}
		p.Rules = append(p.Rules, r)
	}
	return p
}

var anna = Session{
	Client: netip.MustParseAddr("10.1.2.3"), User: "anna", Server: "web1",
	Addr: netip.MustParseAddrPort("192.0.2.7:21"),
}

func TestCommand(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		deny  bool // what no rule matches
		rules string
		s     Session
		dir   string
		yes   string // commands that pass, parted by |
		no    string
	}{
		{
			name: "read-only route", rules: "deny do=write,delete,admin", s: anna, dir: "/",
			yes: "RETR a|LIST|SIZE a|CWD b|MDTM a|NOOP|QUIT|STAT|HASH a|TYPE I|PASV|ABOR",
			no:  "STOR a|APPE a|STOU|DELE a|RMD a|MKD a|RNFR a|RNTO b|SITE CHMOD 644 a|MFMT 20260101000000 a|MDTM 20260101000000 a|XPLODE|COMB a b",
		},
		{
			name: "only what is allowed", deny: true, rules: "allow do=read", s: anna, dir: "/",
			yes: "RETR a|LIST|NLST|MLSD|USER anna|PASS x|FEAT|CWD a|AUTH TLS|QUIT|ALLO 5",
			no:  "STOR a|DELE a|SITE HELP|XPLODE",
		},
		{
			name: "the first that matches", rules: "allow do=DELE path=/tmp\ndeny do=delete", s: anna, dir: "/tmp/x",
			yes: "DELE a|DELE /tmp/b", no: "DELE /a|RMD /tmp|DELE ../../a|DELE /tmp/../a",
		},
		{
			name: "a path denied", rules: "deny path=/secret", s: anna, dir: "/secretary",
			yes: "RETR a|RETR /secrets|CWD /|LIST|STAT",
			no:  `RETR /secret|RETR /secret/x|RETR ../secret/x|RETR /a/../secret/x|RETR //secret/x|CWD /secret|CWD ../SECRET|LIST -la /secret|STAT /secret|RETR \secret\x|RETR ..\secret|RETR c:\Secret|MFMT 20260101000000 /secret/x|RETR /Secret/x|LIST /s*|LIST -R /|SITE CHMOD 600 /secret/x|RETR ~/x`,
		},
		{
			name: "a path denied, the directory not known", rules: "deny path=/secret", s: anna, dir: "",
			yes: "RETR /a|CWD a|TYPE I|STAT", no: "RETR a|LIST|STOR a|XCRC a",
		},
		{
			name: "a path allowed, the directory not known", deny: true, rules: "allow path=/pub/**", s: anna, dir: "",
			yes: "RETR /pub/a|CWD a|LIST /pub", no: "RETR a|LIST|RETR /pub/../a|RETR /PUB/a|LIST /pub/*",
		},
		{
			name: "a tree is moved away with what it holds", rules: "deny do=write,delete path=/a/keep/x.txt", s: anna, dir: "/",
			yes: "RNFR /b|RMDA /ab|DELE /a/keep/y.txt", no: "RNFR /a|RNFR /a/keep|RMDA /|DELE /a/keep/x.txt|RNTO /a/keep/x.txt",
		},
		{
			name: "names anywhere", rules: "deny do=write path=*.exe", s: anna, dir: "/in",
			yes: "STOR a.txt|RETR a.exe", no: "STOR a.exe|STOR A.EXE|RNTO /x/y/b.exe",
		},
		{
			name: "an alternative holds a comma", rules: `deny path=/{a,b}`, s: anna, dir: "/", yes: "RETR c", no: "RETR a/x|RETR b",
		},
		{name: "networks", rules: "deny from=10.1.0.0/16", s: anna, dir: "/", no: "RETR a", yes: "QUIT"},
		{name: "other networks", rules: "deny from=10.2.0.0/16,2001:db8::/32", s: anna, dir: "/", yes: "RETR a"},
		{name: "users", rules: "deny user=bob,an*", s: anna, dir: "/", no: "RETR a"},
		{name: "TLS wanted", rules: "deny tls=no do=read,write", s: anna, dir: "/", no: "RETR a|STOR a", yes: "AUTH TLS"},
		{name: "servers", rules: "deny to=web1 do=write\ndeny to=192.0.2.0/24:2121 do=read", s: anna, dir: "/", no: "STOR a", yes: "RETR a"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := rules(t, tt.deny, tt.rules)
			for _, side := range []struct {
				lines string
				pass  bool
			}{{tt.yes, true}, {tt.no, false}} {
				for line := range strings.SplitSeq(side.lines, "|") {
					if line == "" {
						continue
					}
					c, err := ftp.ParseCommand(line)
					if err != nil {
						t.Fatal(err)
					}
					d := p.Command(tt.s, c, tt.dir)
					if d.Denied == side.pass {
						t.Errorf("%s: %s", line, d.Explain())
					}
					if err := d.Err(); (err != nil) != d.Denied || err != nil && !errors.Is(err, ErrDenied) {
						t.Errorf("%s: Err is %v", line, err)
					}
				}
			}
		})
	}
}

func TestReach(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		rules string
		deny  bool
		want  bool
	}{
		{"", false, true},
		{"", true, false},
		{"deny from=10.0.0.0/8", false, false},
		{"deny from=10.0.0.0/8 do=write", false, true},
		{"deny path=/x\nallow to=web1", true, true},
		{"allow to=web1 do=read", true, true},
		{"allow to=web2", true, false},
		{"allow to=192.0.2.7:21", true, true},
		{"allow to=192.0.2.7:22", true, false},
		{"allow user=bob\ndeny to=web*", false, false},
	} {
		p := rules(t, tt.deny, tt.rules)
		if d := p.Reach(anna); d.Denied == tt.want {
			t.Errorf("%q, else deny=%v: %s", tt.rules, tt.deny, d.Explain())
		}
	}
}

func TestSizes(t *testing.T) {
	t.Parallel()
	p := rules(t, false, "allow user=anna do=read,write size=10MiB\nallow do=read,write size=1MiB")
	for _, tt := range []struct {
		user, line string
		most       int64
		denied     bool
	}{
		{"anna", "STOR a", 10 << 20, false},
		{"bob", "STOR a", 1 << 20, false},
		{"bob", "RETR a", 1 << 20, false},
		{"bob", "DELE a", 0, false},
		{"bob", "ALLO 1048576", 1 << 20, false},
		{"bob", "ALLO 1048577 R 5", 1 << 20, true},
		{"bob", "ALLO many", 1 << 20, false},
	} {
		c, err := ftp.ParseCommand(tt.line)
		if err != nil {
			t.Fatal(err)
		}
		s := anna
		s.User = tt.user
		if d := p.Command(s, c, "/"); d.MaxSize != tt.most || d.Denied != tt.denied {
			t.Errorf("%s of %s: %+v; want at most %d, denied %v", tt.line, tt.user, d, tt.most, tt.denied)
		}
	}
}

// What a client is told holds the name of a rule, and the log the rule itself.
func TestDenied(t *testing.T) {
	t.Parallel()
	p := rules(t, false, `deny name="no deletes" user=anna do=delete path=/a`)
	c := ftp.Command{Verb: "DELE", Arg: "x"}
	d := p.Command(anna, c, "")
	const client = "DELE: not allowed by the policy of the gateway (no deletes); the gateway does not know the current directory; send PWD first, or write the path from / on"
	if got := d.Err().Error(); got != client {
		t.Errorf("the client is told %q", got)
	}
	if got := d.Explain(); !strings.Contains(got, `denied by the rule deny name="no deletes" user=anna do=delete path=/a`) {
		t.Errorf("the log is told %q", got)
	}
}

func TestParseRule(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ in, want string }{
		{"allow", "allow"},
		{"  deny   from=10.0.0.0/8,192.0.2.1 ", "deny from=10.0.0.0/8 from=192.0.2.1"},
		{`deny user="a,b" user=c\d`, `deny user="a,b" user=c\d`},
		{"allow do=read,write,DELE", "allow do=read,write,DELE"},
		{"allow do=list", "allow do=list"},
		{`deny path="/with blank/*" path=/{a,b}`, `deny path="/with blank/*" path=/{a,b}`},
		{"allow to=*.Example.org.:21,[2001:db8::/32]:2000-2100 size=2048KiB", "allow to=*.example.org:21 to=[2001:db8::/32]:2000-2100 size=2MiB"},
		{`allow name="say \"no\" \\ once" tls=no`, `allow name="say \"no\" \\ once" tls=no`},
	} {
		r, err := ParseRule(tt.in)
		if err != nil {
			t.Errorf("%q: %v", tt.in, err)
			continue
		}
		if got := r.String(); got != tt.want {
			t.Errorf("%q is written %q, want %q", tt.in, got, tt.want)
		}
	}
	for _, tt := range []struct{ in, want string }{
		{"", "begins with allow or deny"},
		{"permit", "begins with allow or deny"},
		{"deny from", "KEY=VALUE"},
		{"deny form=10.0.0.0/8", "form: not known; write one of name, from"},
		{"deny from=10.0.0.1/8", "write 10.0.0.0/8"},
		{"deny from=", "empty value"},
		{"deny do=remove", "neither a class"},
		{"deny path=a/b", "write /a/b"},
		{"deny path=/a[", "not a pattern"},
		{"deny size=5", "begins with allow"},
		{"allow do=delete size=5", "about none"},
		{"allow size=0", "greater than 0"},
		{"allow size=5 size=6", "said twice"},
		{"deny tls=on", "write yes or no"},
		{"deny to=10.0.0.300", "not a network"},
		{"deny to=a:0", "neither a port"},
		{`deny user="a`, "closing quote is missing"},
		{`deny user="a"b`, "blank must follow"},
		{"deny user=a\nb", "control character"},
	} {
		if r, err := ParseRule(tt.in); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%q: %v (%+v); want an error with %q", tt.in, err, r, tt.want)
		}
	}
}

func FuzzRule(f *testing.F) {
	for _, s := range []string{
		"allow", "deny name=x from=10.0.0.0/8 user=a* to=[2001:db8::1]:21-22 tls=yes do=read,SITE path=/a/** size=3MB",
		`deny user="a,b" path="/x y" name="\\\""`, "allow do=list,read to=*", "allow to=10.0.0.5:2121",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r, err := ParseRule(s)
		if err != nil {
			return
		}
		text := r.String()
		again, err := ParseRule(text)
		if err != nil {
			t.Fatalf("%q became %q, which is refused: %v", s, text, err)
		}
		if got := again.String(); got != text {
			t.Fatalf("%q became %q, and that %q", s, text, got)
		}
	})
}

// No pattern lets a denied path be reached by another spelling of it.
func FuzzDeniedPath(f *testing.F) {
	for _, s := range []string{"secret", "/a/../secret/x", "./secret", "//secret", `..\secret`, "SECRET/x", "~root/../secret", "se cret"} {
		f.Add(s, "/")
		f.Add(s, "/home/anna")
	}
	p := rules(f, false, "deny do=read path=/secret")
	f.Fuzz(func(t *testing.T, name, dir string) {
		c, err := ftp.ParseCommand("RETR " + name)
		if err != nil || c.Verb != "RETR" {
			return
		}
		d := p.Command(Session{}, c, dir)
		full, unsure := resolve(dir, c.Arg)
		if in := full == "/secret" || strings.HasPrefix(full, "/secret/"); (in || unsure != "") && c.Arg != "" && !d.Denied {
			t.Errorf("%q in %q passes", name, dir)
		}
	})
}

func TestTargets(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		allow, host, addr string
		ok                bool
	}{
		{"", "", "192.0.2.1:21", false},
		{"192.0.2.0/24", "", "192.0.2.1:21", true},
		{"192.0.2.0/24", "", "192.0.2.1:990", true},
		{"192.0.2.0/24", "", "192.0.2.1:22", false},
		{"192.0.2.0/24:2121", "", "192.0.2.1:2121", true},
		{"192.0.2.0/24:2121", "", "192.0.2.1:21", false},
		{"192.0.2.0/24", "", "[::ffff:192.0.2.1]:21", true},
		{"*.example.org", "ftp.Example.org.", "192.0.2.1:21", true},
		{"*.example.org", "example.org", "192.0.2.1:21", false},
		{"*.example.org", "", "192.0.2.1:21", false},
		// A name that anybody may give an address to.
		{"*.example.org", "x.example.org", "127.0.0.1:21", false},
		{"*.example.org", "x.example.org", "169.254.169.254:21", false},
		{"*", "x", "[::1]:21", false},
		{"0.0.0.0/0", "", "127.0.0.1:21", false},
		{"::/0", "", "[fe80::1]:21", false},
		{"0.0.0.0/0 127.0.0.0/8", "", "127.0.0.1:21", true},
		{"127.0.0.1:2121", "", "127.0.0.1:2121", true},
		{"localhost", "localhost", "127.0.0.1:21", true},
		{"169.254.169.254", "", "169.254.169.254:21", true},
		{"[fe80::/10]:21", "", "[fe80::1%eth0]:21", true},
		{"0.0.0.0/0", "", "0.0.0.0:21", false},
	} {
		var ts Targets
		for _, s := range strings.Fields(tt.allow) {
			x, err := ParseTarget(s)
			if err != nil {
				t.Fatal(err)
			}
			ts = append(ts, x)
		}
		err := ts.Check(tt.host, netip.MustParseAddrPort(tt.addr))
		if (err == nil) != tt.ok || err != nil && !errors.Is(err, ErrTarget) {
			t.Errorf("%s at %s with %q allowed: %v", tt.host, tt.addr, tt.allow, err)
		}
	}
}

func FuzzTarget(f *testing.F) {
	for _, s := range []string{"web1", "*.example.org:21", "10.0.0.0/8", "[2001:db8::/32]:21-22", "2001:db8::1", "a:1-0", "::1", "[web]:4"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		x, err := ParseTarget(s)
		if err != nil {
			return
		}
		again, err := ParseTarget(x.String())
		if err != nil || again != x {
			t.Fatalf("%q became %v, and that %v, %v", s, x, again, err)
		}
	})
}

func TestGlob(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		pattern, s string
		want       bool
	}{
		{"", "", true},
		{"*", "", true},
		{"a*b*c", "aXbYbZc", true},
		{"a*b*c", "aXbYbZ", false},
		{"?", "", false},
		{"a?", "ab", true},
		{"[a]", "a", false},
		{`d\*`, `d\u`, true},
		{"*a*a*a*a*a*a*a*a*b", strings.Repeat("a", 2000), false},
	} {
		if got := Glob(tt.pattern, tt.s); got != tt.want {
			t.Errorf("%q on %.20q: %v", tt.pattern, tt.s, got)
		}
	}
}

func ExamplePolicy_Command() {
	var p Policy
	for _, line := range []string{
		"allow user=upload do=write path=/in size=1GiB",
		"allow from=10.0.0.0/8",
		`deny name="read only from outside" do=write,delete,admin`,
	} {
		r, err := ParseRule(line)
		if err != nil {
			fmt.Println(err)
			return
		}
		p.Rules = append(p.Rules, r)
	}
	outside := Session{Client: netip.MustParseAddr("203.0.113.9"), User: "anna"}
	fmt.Println(p.Command(outside, ftp.Command{Verb: "RETR", Arg: "a.txt"}, "/").Err())
	fmt.Println(p.Command(outside, ftp.Command{Verb: "DELE", Arg: "a.txt"}, "/").Err())
	// Output:
	// <nil>
	// DELE: not allowed by the policy of the gateway (read only from outside)
}

// ALLO is refused only where no upload of that size would pass.
func TestAnnouncedSize(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		rules  string
		deny   bool
		denied bool
	}{
		{"", false, false},
		{"allow path=/in size=10", false, false}, // elsewhere nothing is bounded
		{"allow path=/in size=10", true, true},
		{"allow path=/in size=10\ndeny do=write", false, true},
		{"allow path=/in size=10\nallow path=/big size=1KiB\ndeny do=write", false, false},
		{"allow do=write size=10\nallow", false, true},
		{"deny do=ALLO", false, true},
	} {
		p := rules(t, tt.deny, tt.rules)
		if d := p.Command(anna, ftp.Command{Verb: "ALLO", Arg: "11"}, "/"); d.Denied != tt.denied {
			t.Errorf("%q, else deny=%v: %s", tt.rules, tt.deny, d.Explain())
		}
	}
}
