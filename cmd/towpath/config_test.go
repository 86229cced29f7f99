package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"towpath/internal/config"
)

// configVerb runs "towpath config" and returns what it wrote and its exit status.
func configVerb(args ...string) (stdout, stderr string, status int) {
	var out, told bytes.Buffer
	cmd := configCommand()
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	cmd.SetArgs(args)
	cmd.SetOut(&out)
	cmd.SetErr(&told)
	if err := cmd.Execute(); err != nil {
		status = exitUsage
		if e, ok := errors.AsType[*exitError](err); ok {
			status = e.code
		}
		told.WriteString(err.Error())
	}
	return out.String(), told.String(), status
}

func configFile(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestConfigCheck(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	base := "root = '" + filepath.ToSlash(root) + "'\npassive.ports = '20000-30000'\n"
	for _, tt := range []struct {
		name, text string
		status     int
		want       string
	}{
		{"fine", base, 0, "0 errors, 0 warnings"},
		{"a finding", base + "tls.require = true\n", 1, "error: tls.require ("},
		{"a refusal", base + "passive.prots = 'any'\n", 1, ":3:1: passive.prots: unknown key; did you mean passive.ports?"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			out, told, status := configVerb("check", configFile(t, "f.toml", tt.text))
			if status != tt.status || !strings.Contains(out+told, tt.want) {
				t.Errorf("status %d, want %d:\n%s%s\nwant %q", status, tt.status, out, told, tt.want)
			}
		})
	}
	if _, told, status := configVerb("check", filepath.Join(root, "none.toml")); status != 2 || !strings.Contains(told, "none.toml") {
		t.Errorf("a file that is not there: status %d, %s", status, told)
	}
	out, _, _ := configVerb("check", "--json", configFile(t, "f.toml", base+"tls.require = true\n"))
	var found []config.Finding
	if err := json.Unmarshal([]byte(strings.ReplaceAll(out, `"severity":"error"`, `"severity":2`)), &found); err != nil || len(found) != 1 || found[0].Key != "tls.require" {
		t.Errorf("%v, %v:\n%s", found, err, out)
	}
}

// Whoever reads JSON gets it also where values are refused, and where there is no
// file, with the exit status that people get.
func TestConfigCheckJSON(t *testing.T) {
	t.Parallel()
	type found = map[string]any
	toml := configFile(t, "f.toml", "listen = ':21'\npassive.ports = 'a; b'\n  limits.max_sessions = true\nuser = 'geheim'\nwrong = 7\n")
	broken := configFile(t, "f.toml", "listen = [\n")
	gateway := configFile(t, "g.toml", "to = '10.0.0.5'\nread-only = 7\nidle-timeout = [1, 2]\nsocks-users = ['a:geheim']\n")
	vsftpd := configFile(t, "vsftpd.conf", "listen=YES\n")
	none := filepath.Join(t.TempDir(), "none.toml")
	for _, tt := range []struct {
		args   []string
		status int
		want   []found
	}{
		{[]string{toml}, 1, []found{
			{
				"key": "passive.ports", "origin": toml + ":2", "file": toml, "line": 2.0, "column": 1.0, "value": "a; b",
				"problem": `"a; b": not a range of ports`, "advice": "write two numbers from 1 to 65535 as 50000-50100, or any",
			},
			{
				"key": "limits.max_sessions", "origin": toml + ":3", "file": toml, "line": 3.0, "column": 3.0, "value": "true",
				"problem": "true: not a whole number", "advice": `"towpath config keys" says what it takes`,
			},
			{
				"key": "user", "origin": toml + ":4", "file": toml, "line": 4.0, "column": 1.0,
				"problem": "no colon", "advice": "write NAME:PASSWORD",
			},
			{
				"key": "wrong", "origin": toml + ":5", "file": toml, "line": 5.0, "column": 1.0,
				"problem": "unknown key", "advice": `"towpath config keys" lists all`,
			},
		}},
		{[]string{broken}, 1, []found{{"key": "", "origin": broken + ":1", "file": broken, "line": 1.0, "advice": "write it as TOML is written (https://toml.io)"}}},
		{[]string{"--gateway", gateway}, 1, []found{
			{"key": "read-only", "origin": gateway + ":2", "line": 2.0, "column": 1.0, "value": "7", "problem": `"7": want true or false`, "advice": `"towpath config keys --gateway" says what it takes`},
			{"key": "idle-timeout", "line": 3.0, "value": "1, 2", "advice": "write one value, without brackets"},
			{"key": "socks-users", "line": 4.0, "advice": "did you mean socks-user?"},
		}},
		{[]string{vsftpd}, 1, []found{
			{"key": "", "file": vsftpd, "line": 1.0},
			{"problem": vsftpd + " looks like a configuration of vsftpd", "advice": "this takes it over: towpath config import " + vsftpd + " -o towpath.toml"},
		}},
		{[]string{none}, 2, []found{{"key": ""}}},
	} {
		out, told, status := configVerb(append([]string{"check", "--json"}, tt.args...)...)
		var got []found
		if err := json.Unmarshal([]byte(out), &got); err != nil || status != tt.status || told != "" || strings.Contains(out, "geheim") {
			t.Errorf("%q: status %d, want %d; %v\n%s%s", tt.args, status, tt.status, err, out, told)
		}
		if len(got) != len(tt.want) {
			t.Errorf("%q: %d findings, want %d:\n%s", tt.args, len(got), len(tt.want), out)
			continue
		}
		for i, want := range tt.want {
			if got[i]["severity"] != "error" {
				t.Errorf("%q: %v is no error", tt.args, got[i])
			}
			for k, v := range want {
				if got[i][k] != v {
					t.Errorf("%q: %s is %v, want %v", tt.args, k, got[i][k], v)
				}
			}
		}
		if _, _, plain := configVerb(append([]string{"check"}, tt.args...)...); plain != status {
			t.Errorf("%q: status %d with --json, %d without", tt.args, status, plain)
		}
	}
}

func TestConfigShow(t *testing.T) {
	t.Parallel()
	file := configFile(t, "f.toml", "user = 'alice:secret'\n[limits]\nidle_timeout = '10m'\n")
	out, _, status := configVerb("show", "--origin", file)
	if status != 0 || strings.Contains(out, "secret") || !strings.Contains(out, file+":3") || strings.Contains(out, "keep_alive") {
		t.Errorf("status %d:\n%s", status, out)
	}
	if out, _, _ := configVerb("show", "--effective", file); !strings.Contains(out, `keep_alive = "45s"`) {
		t.Errorf("--effective:\n%s", out)
	}
	if _, told, status := configVerb("show", configFile(t, "bad.toml", "x = 1\n")); status != exitConfig || told == "" {
		t.Errorf("a bad file: status %d, %s", status, told)
	}
}

func TestConfigKeys(t *testing.T) {
	t.Parallel()
	out, _, _ := configVerb("keys")
	c := config.Default()
	for _, k := range c.Keys() {
		if !strings.Contains(out, k.Name) || !strings.Contains(out, k.Env()) || !strings.Contains(out, k.Doc) {
			t.Errorf("%s is not told of", k.Name)
		}
	}
	if out, _, _ := configVerb("keys", "xferlog"); strings.Count(out, "TOWPATH_") != 1 {
		t.Errorf("keys xferlog:\n%s", out)
	}
}

func TestConfigImport(t *testing.T) {
	t.Parallel()
	old := configFile(t, "vsftpd.conf", "listen=YES\npasv_min_port=50100\npasv_max_port=50000\npam_service_name=ftp\n")
	out := filepath.Join(t.TempDir(), "towpath.toml")
	_, told, status := configVerb("import", old, "-o", out)
	if status != 0 || !strings.Contains(told, "pasv_max_port=50000 is below pasv_min_port=50100") || !strings.Contains(told, "pam_service_name=ftp") {
		t.Errorf("status %d, %s", status, told)
	}
	if shown, told, status := configVerb("show", out); status != 0 || !strings.Contains(shown, `ports = "50000-50100"`) {
		t.Errorf("what was written: status %d, %s%s", status, shown, told)
	}
	if _, told, status := configVerb("import", old, "-o", out); status == 0 || !strings.Contains(told, "exists") {
		t.Errorf("a file that is there is overwritten: status %d, %s", status, told)
	}
	if _, told, status := configVerb("import", old, "--from", "wuftpd"); status != exitConfig || !strings.Contains(told, "wuftpd") {
		t.Errorf("--from wuftpd: status %d, %s", status, told)
	}
}

// The file of a gateway is checked and shown as that of serve is.
func TestConfigGateway(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		text   string
		status int
		want   []string
		not    string
	}{
		{"to = '10.0.0.5'\ntls = 'refuse'", 0, []string{"0 errors, 0 warnings, 0 hints"}, ""},
		{"to = '10.0.0.5'\nhealth-user = 'anna:geheim'\nbalance = 'lest'", 1, []string{`"lest": not a way to choose`}, "geheim"},
		{"to = '10.0.0.5'\nhealth-user = 'anna:geheim'", 1, []string{"warning: health-user (", "chmod o= ", "hint: tls (default)"}, "geheim"},
		{"insecure-server = true\nto = '10.0.0.5'", 1, []string{"warning: insecure-server ("}, ""},
		{"health_user = 'anna:geheim'\nread-only = 7\nto = ['10.0.0.5']", 1, []string{
			`:1:1: health_user: there is no key "health_user"; did you mean health-user?`, `:2:1: read-only: "7": want true or false`,
		}, "geheim"},
		{"to = '10.0.0.5'\n[record]\nx = 1", 1, []string{":2:2: record: is a table; write one value"}, "map["},
		{"to = [['10.0.0.5']]", 1, []string{":1:1: to: is a list of lists; write one list"}, ""},
		{"socks = '203.0.113.1:1080'\nallow = 'a'", 1, []string{"203.0.113.1 is a public address"}, ""},
	} {
		file := configFile(t, "g.toml", tt.text)
		out, told, status := configVerb("check", "--gateway", file)
		if runtime.GOOS == "windows" && strings.Contains(strings.Join(tt.want, ""), "chmod") {
			continue // files have no such mode
		}
		if status != tt.status {
			t.Errorf("%q: status %d, want %d:\n%s%s", tt.text, status, tt.status, out, told)
		}
		for _, want := range tt.want {
			if !strings.Contains(out+told, want) {
				t.Errorf("%q:\n%s%s\nwant %s", tt.text, out, told, want)
			}
		}
		if tt.not != "" && strings.Contains(out+told, tt.not) {
			t.Errorf("%q: the password is shown:\n%s%s", tt.text, out, told)
		}
	}
	if _, told, status := configVerb("check", "--gateway", filepath.Join(t.TempDir(), "none")); status != configUnknown {
		t.Errorf("without a file: status %d, %s", status, told)
	}

	file := configFile(t, "g.toml", "to = ['10.0.0.5 weight=2', \"10.0.0.6\"]\nrate = '10 MiB/s'\nsocks-user = 'a:b'")
	out, told, status := configVerb("show", "--gateway", "--origin", file)
	if want := `to = ["10.0.0.5 weight=2", "10.0.0.6"]`; status != 0 || !strings.Contains(out, want) || !strings.Contains(out, `socks-user = ["a:****"]`) || strings.Contains(out, "balance") {
		t.Errorf("status %d\n%s%s", status, out, told)
	}

	// What is written with all defaults is read as what nobody says.
	out, told, status = configVerb("show", "--gateway", "--effective", configFile(t, "g.toml", "to = 'a'"))
	if status != 0 {
		t.Fatalf("status %d, %s", status, told)
	}
	if again, told, _ := configVerb("show", "--gateway", "--effective", configFile(t, "g.toml", out)); again != out {
		t.Errorf("%s%s\nwant\n%s", again, told, out)
	}
	if out, _, _ := configVerb("keys", "--gateway", "drain"); !strings.Contains(out, `drain-timeout  --drain-timeout  default "1m"`) {
		t.Errorf("%s", out)
	}
	if out, _, _ := configVerb("example", "--gateway"); !strings.Contains(out, "\n#balance = \"least\"\n") {
		t.Errorf("%s", out)
	}
}
