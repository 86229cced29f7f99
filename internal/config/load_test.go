package config

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"

	"towpath/ftpserver"
)

// write makes a file in a directory of the test.
func write(t *testing.T, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// flags are those of serve after a command line.
func flags(t *testing.T, args ...string) *pflag.FlagSet {
	t.Helper()
	fs := pflag.NewFlagSet("serve", pflag.ContinueOnError)
	BindFlags(fs)
	if err := fs.Parse(args); err != nil {
		t.Fatal(err)
	}
	return fs
}

func TestFlagsOfServe(t *testing.T) {
	t.Parallel()
	fs := flags(t)
	for _, name := range strings.Fields(`listen user accounts anonymous read-only passive-ports external
		tls-cert tls-key tls-self-signed require-tls implicit idle-timeout stall-timeout login-timeout
		max-sessions max-per-address config log-format xferlog transcripts sync user-id group-id`) {
		if f := fs.Lookup(name); f == nil || f.Usage == "" {
			t.Errorf("--%s is not there, or without a word of help", name)
		}
	}
	if f := fs.Lookup("listen"); f.DefValue != ":2121" {
		t.Errorf("--listen is %q by default", f.DefValue)
	}
	if u := fs.FlagUsages(); strings.Contains(u, "****") || !strings.Contains(u, "--passive-ports A-B") {
		t.Errorf("usage:\n%s", u)
	}
}

func TestLaterSourcesWin(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := write(t, dir, "towpath.toml", `
listen = ":21"
root = "/file"
anonymous = true

[passive]
ports = "50000-50100"
external = [ "203.0.113.7", { clients = ["10.0.0.0/8"], address = "10.0.0.5", tls = true } ]

[limits]
max_sessions = 100
idle_timeout = "10m"
`)
	s, err := Load(Sources{
		Environ: []string{
			"PATH=/bin", "TOWPATH_CONFIG=" + file, "TOWPATH_PASSIVE__PORTS=40000-40100",
			"TOWPATH_LIMITS__MAX_SESSIONS=200", `TOWPATH_USER=["alice:a,b", "bob:c"]`, "TOWPATH_OTHER=x",
		},
		Flags: flags(t, "--max-sessions", "300", "--external", "10.0.0.0/8=10.0.0.6", "--external=203.0.113.8", "--read-only", "--active=false"),
		Dir:   "/argument",
	})
	if err != nil {
		t.Fatal(err)
	}
	want := Default()
	want.Listen = []string{":21"}
	want.Root = "/argument"
	want.Anonymous = true
	want.ReadOnly = true
	want.Users = []User{{"alice", "a,b"}, {"bob", "c"}}
	want.Active.Enable = false
	want.Passive.Ports = ftpserver.PortRange{Low: 40000, High: 40100}
	for _, e := range []string{"10.0.0.0/8=10.0.0.6", "203.0.113.8"} {
		told, err := ParseExternal(e)
		if err != nil {
			t.Fatal(err)
		}
		want.Passive.External = append(want.Passive.External, told)
	}
	want.Limits.MaxSessions = 300
	want.Limits.IdleTimeout = Duration(10 * time.Minute)
	compare := cmp.Comparer(func(a, b ftpserver.Told) bool { return FormatExternal(a) == FormatExternal(b) })
	if diff := cmp.Diff(want, s.Config, compare); diff != "" {
		t.Error(diff)
	}
	for key, origin := range map[string]string{
		"listen": file + ":2", "root": "argument DIR", "passive.ports": "TOWPATH_PASSIVE__PORTS",
		"limits.max_sessions": "--max-sessions", "limits.idle_timeout": file + ":12", "limits.stall_timeout": "default",
		"passive.external": "--external", "read_only": "--read-only", "user": "TOWPATH_USER",
	} {
		if got := s.Origin(key).String(); got != origin {
			t.Errorf("%s comes from %s; want %s", key, got, origin)
		}
	}
}

func TestBothFormsOfExternal(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		`passive.external = [ "203.0.113.7", { clients = ["10.0.0.0/8"], address = "10.0.0.5", tls = true } ]`,
		"[passive]\nexternal = [ '203.0.113.7', '10.0.0.0/8+tls=10.0.0.5' ]",
		"passive = { external = [ '203.0.113.7', { tls = true, clients = '10.0.0.0/8', address = '10.0.0.5' } ] }",
		"[[passive.external]]\naddress = '203.0.113.7'\n[[passive.external]]\nclients = ['10.0.0.0/8']\naddress = '10.0.0.5'\ntls = true\n",
	} {
		s := &Settings{Config: Default(), origins: map[string]Origin{}}
		if err := s.parse("t.toml", []byte(text)); err != nil {
			t.Errorf("%s:\n%v", text, err)
			continue
		}
		var got []string
		for _, told := range s.Passive.External {
			got = append(got, FormatExternal(told))
		}
		if diff := cmp.Diff([]string{"203.0.113.7", "10.0.0.0/8+tls=10.0.0.5"}, got); diff != "" {
			t.Errorf("%s:\n%s", text, diff)
		}
	}
}

// The settings that a file names are refused with their line; several mistakes
// are told at once.
func TestRefusals(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, text, want string }{
		{"unknown key", "[passive]\n\tprots = \"50000-50100\"\n", `
f.toml:2:2: passive.prots: unknown key; did you mean passive.ports?
  2 | 	prots = "50000-50100"
    | 	^`},
		{"key of a section at the top", "idle_timeout = \"5m\"", `
f.toml:1:1: idle_timeout: unknown key; did you mean limits.idle_timeout?
  1 | idle_timeout = "5m"
    | ^`},
		{"unknown section, told once", "[pasive]\nx = 1\ny = 2\n", `
f.toml:1:2: pasive: unknown key; did you mean passive?
  1 | [pasive]
    |  ^`},
		{"empty unknown section", "[zzz]\n", `
f.toml:1:2: zzz: unknown key; "towpath config keys" lists all
  1 | [zzz]
    |  ^`},
		{"unknown key within an inline table", "passive = { ports = \"any\", prots = 1 }", `
f.toml:1:28: passive.prots: unknown key; did you mean passive.ports?
  1 | passive = { ports = "any", prots = 1 }
    |                            ^`},
		{"quoted key with a dot", `"passive.ports" = "any"`, `
f.toml:1:1: passive.ports: unknown key; did you mean passive.ports?
  1 | "passive.ports" = "any"
    | ^`},
		{"section that is a value", "passive = true", `
f.toml:1:1: passive: is a section; write [passive] and its keys below
  1 | passive = true
    | ^`},
		{"section as a list", "[[passive]]\nports = 'any'", `
f.toml:1:3: passive: is a section; write [passive] and its keys below
  1 | [[passive]]
    |   ^`},
		{"range turned round", "passive.ports = \"50100-50000\"", `
f.toml:1:1: passive.ports: 50100-50000: the first port is greater than the last; write 50000-50100
  1 | passive.ports = "50100-50000"
    | ^`},
		{"time without unit", "[limits]\nidle_timeout = 30", `
f.toml:2:1: limits.idle_timeout: 30: a time needs its unit; write 30s for seconds or 30m for minutes
  2 | idle_timeout = 30
    | ^`},
		{"number as text", "limits.max_sessions = '3'", `
f.toml:1:1: limits.max_sessions: "3": is a number; write it without quotes
  1 | limits.max_sessions = '3'
    | ^`},
		{"number out of bounds", "limits.max_sessions = 0", `
f.toml:1:1: limits.max_sessions: 0: out of bounds; write a number from 1 to 2147483647
  1 | limits.max_sessions = 0
    | ^`},
		{"truth as text", "anonymous = 'yes'", `
f.toml:1:1: anonymous: "yes": write true or false, without quotes
  1 | anonymous = 'yes'
    | ^`},
		{"umask as number", "files.umask = 22", `
f.toml:1:1: files.umask: 22: octal digits stand in quotes; write "022"
  1 | files.umask = 22
    | ^`},
		{"word that is not known", "log.format = 'xml'", `
f.toml:1:1: log.format: "xml": not known; write text or json
  1 | log.format = 'xml'
    | ^`},
		{"list for one value", "root = ['a', 'b']", `
f.toml:1:1: root: is one value, not a list; write it without brackets
  1 | root = ['a', 'b']
    | ^`},
		{"unknown field of a table", "passive.external = [{ adress = '10.0.0.1' }]", `
f.toml:1:1: passive.external: unknown key adress; known are clients, address, tls
  1 | passive.external = [{ adress = '10.0.0.1' }]
    | ^`},
		{"a password is not shown", "user = ['secret']", `
f.toml:1:1: user: no colon; write NAME:PASSWORD`},
		{"nor in a list of lists", "user = [['secret']]", `
f.toml:1:1: user: (hidden): not a text; write it in quotes`},
		{"nor behind a slip in the name", "usr = ['alice:secret']", `
f.toml:1:1: usr: unknown key; did you mean user?`},
		{"nor behind one of TOML", "user = ['alice:secret'", `
f.toml:1:22: array is incomplete`},
		{"key said twice", "root = 'a'\nroot = 'b'", `
f.toml:2:1: key root is already defined
  2 | root = 'b'
    | ^`},
		{"no TOML", "listen = \":21\"\nroot = \n", `
f.toml:2:8: unexpected character U+000A at start of value
  2 | root = 
    |        ^`},
		{"two mistakes", "root = 3\nbanner = ''\numask = '1'\n", `
f.toml:1:1: root: 3: not a text; write it in quotes
  1 | root = 3
    | ^
f.toml:3:1: umask: unknown key; did you mean files.umask?
  3 | umask = '1'
    | ^`},
		{"control characters are not echoed", "banner = \"\\u001B[31m\"", `
f.toml:1:1: banner: "\x1b[31m": holds a control character or a broken one; take it out
  1 | banner = "\u001B[31m"
    | ^`},
		{"columns count characters", "passive = { 'pörts' = 1, 'äh' = 2 }", `
f.toml:1:13: passive.pörts: unknown key; did you mean passive.ports?
  1 | passive = { 'pörts' = 1, 'äh' = 2 }
    |             ^
f.toml:1:26: passive.äh: unknown key; "towpath config keys" lists all
  1 | passive = { 'pörts' = 1, 'äh' = 2 }
    |                          ^`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := &Settings{Config: Default(), origins: map[string]Origin{}}
			err := s.parse("f.toml", []byte(tt.text))
			if err == nil {
				t.Fatal("accepted")
			}
			if strings.ContainsRune(err.Error(), 0x1b) {
				t.Errorf("%q writes control characters on the terminal", err)
			}
			want := strings.TrimPrefix(tt.want, "\n")
			if got := err.Error(); got != want {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
}

func TestRefusalsOutsideFiles(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ variable, want string }{
		{"TOWPATH_PASIVE__PORTS=1-2", "TOWPATH_PASIVE__PORTS: sets nothing; did you mean TOWPATH_PASSIVE__PORTS?"},
		{"TOWPATH_PASSIVE__PORTS=2-1", "TOWPATH_PASSIVE__PORTS: passive.ports: 2-1: the first port is greater than the last; write 1-2"},
		{"TOWPATH_ANONYMOUS=yes", `TOWPATH_ANONYMOUS: anonymous: "yes": neither true nor false`},
		{`TOWPATH_USER=["a`, "TOWPATH_USER: user: not a list as TOML writes it"},
		{"TOWPATH_ROOT=\xff", `TOWPATH_ROOT: root: "\xff": not UTF-8`},
	} {
		if _, err := Load(Sources{Environ: []string{tt.variable}}); err == nil || !strings.HasPrefix(err.Error(), tt.want) {
			t.Errorf("%s: %v", tt.variable, err)
		}
	}
	fs := pflag.NewFlagSet("serve", pflag.ContinueOnError)
	BindFlags(fs)
	if err := fs.Parse([]string{"--passive-ports", "2-1"}); err == nil || !strings.Contains(err.Error(), "write 1-2") {
		t.Errorf("--passive-ports 2-1: %v", err)
	}
	// A bad secret is refused, and not by pflag, who would repeat it.
	if _, err := Load(Sources{Flags: flags(t, "--user", "secret")}); err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("--user secret: %v", err)
	}
}

func TestWhereFilesAreFound(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	named := write(t, dir, "named.toml", "root = '/named'")
	write(t, dir, "xdg/towpath/towpath.toml", "root = '/xdg'")
	write(t, dir, "home/.config/towpath/towpath.toml", "root = '/home'")
	env := []string{"HOME=" + dir + "/home", "XDG_CONFIG_HOME=" + dir + "/xdg"}
	for want, src := range map[string]Sources{
		"/named": {Environ: env, Flags: flags(t, "--config", named)},
		"/xdg":   {Environ: env},
		"/home":  {Environ: env[:1]},
	} {
		s, err := Load(src)
		if err != nil || s.Root != want || len(s.Read) != 1 {
			t.Errorf("root %v, %v; want %s", s, err, want)
		}
	}
	_, err := Load(Sources{File: filepath.Join(dir, "none.toml"), Environ: env})
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file that was named and is not there: %v", err)
	}
	if told := new(Error); errors.As(err, &told) {
		t.Errorf("%v is about the file, not about a setting", err)
	}
	if _, err := Load(Sources{File: write(t, dir, "big.toml", strings.Repeat("#", maxFile+1))}); err == nil || !strings.Contains(err.Error(), "larger than") {
		t.Errorf("a file without end: %v", err)
	}
}

func TestShow(t *testing.T) {
	t.Parallel()
	s := &Settings{Config: Default(), origins: map[string]Origin{}}
	text := "banner = \"\"\"Ahoy \\\"all\\\"\nΩ\\\\\\u0009\"\"\"\nuser = ['alice:secret']\n[tls]\nself_signed = true\n[log]\nlevel = 'warn'\n"
	if err := s.parse("f.toml", []byte(text)); err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	if err := s.Write(&b, Show{Origin: true}); err != nil {
		t.Fatal(err)
	}
	want := `banner = "Ahoy \"all\"\nΩ\\\t"           # f.toml:1
user = ["alice:****"]                    # f.toml:3

[tls]
self_signed = true                       # f.toml:5

[log]
level = "warn"                           # f.toml:7
`
	if diff := cmp.Diff(want, b.String()); diff != "" {
		t.Error(diff)
	}
}

// FuzzFile reads any text as a file. What is accepted is shown so that it
// reads as the same settings.
func FuzzFile(f *testing.F) {
	f.Add([]byte("listen = ':21'\n[passive]\nports = '50000-50100'\nexternal = ['auto', {address = '10.0.0.1', clients = ['10.0.0.0/8']}]\n"))
	f.Add([]byte("[[passive.external]]\naddress = 'if:eth0'\ntls = false\n[[tls.hosts]]\nname = 'a.b'\ncert = 'c'\n"))
	f.Add([]byte("passive = { ports = 'any' }\nlimits.idle_timeout = 'off'\nfiles.umask = '077'\nlimits.min_rate = '1KiB/s'"))
	f.Add([]byte("banner = \"\\u001F\\\\\\\"\"\n'' = 1\n\"a.b\".c = 2\n[[listen]]\nx = [[1], {}]\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		s := &Settings{Config: Default(), origins: map[string]Origin{}}
		if err := s.parse("f.toml", data); err != nil {
			if err.Error() == "" {
				t.Error("an error without a word")
			}
			return
		}
		var b strings.Builder
		if err := s.Write(&b, Show{Effective: true, Origin: true, Secrets: true}); err != nil {
			t.Fatal(err)
		}
		again := &Settings{Config: Default(), origins: map[string]Origin{}}
		if err := again.parse("g.toml", []byte(b.String())); err != nil {
			t.Fatalf("%v\n%s", err, &b)
		}
		for i, k := range s.Keys() {
			if diff := cmp.Diff(k.Texts(), again.Keys()[i].Texts()); diff != "" {
				t.Errorf("%s: %s", k.Name, diff)
			}
		}
	})
}
