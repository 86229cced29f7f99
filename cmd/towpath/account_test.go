package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"towpath/accounts"
	"towpath/accounts/accountstest"
	"towpath/accounts/userfile"
)

// account runs the verb and returns what it wrote and the code it ends with.
func account(t *testing.T, stdin string, args ...string) (stdout string, code int, err error) {
	t.Helper()
	var out, log bytes.Buffer
	c := accountCommand()
	c.SilenceErrors, c.SilenceUsage = true, true
	c.SetArgs(args)
	c.SetIn(strings.NewReader(stdin))
	c.SetOut(&out)
	c.SetErr(&log)
	err = c.ExecuteContext(t.Context())
	if e, ok := errors.AsType[*exitError](err); ok {
		code = e.code
	} else if err != nil {
		code = exitUsage
	}
	if log.Len() > 0 {
		t.Logf("stderr: %s", log.String())
	}
	return out.String(), code, err
}

func mustAccount(t *testing.T, stdin string, args ...string) string {
	t.Helper()
	out, _, err := account(t, stdin, args...)
	if err != nil {
		t.Fatalf("account %q: %v", args, err)
	}
	return out
}

func findAccount(t *testing.T, path, name string) *accounts.Account {
	t.Helper()
	f, err := userfile.Open(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	a, err := f.Find(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// The life of an account, from nothing to nothing.
// Accounts as JSON do nothing to a terminal, whatever somebody has written in the file.
func TestAccountJSONIsPlain(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	if err := writeAccountJSON(&b, accountView{Name: "a", Comment: "x\u009b31m\u202ey<"}); err != nil {
		t.Fatal(err)
	}
	if want := `"x\u009b31m\u202ey\u003c"`; !strings.Contains(b.String(), want) {
		t.Errorf("%q\nwant %s", b.String(), want)
	}
}

func TestAccountLife(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "new", "accounts.toml")
	in := func(args ...string) []string { return append(args, "--accounts", path) }

	out := mustAccount(t, "first line\nsecond\n", in("add", "alice", "--password-stdin", "--home", "/srv/{user}",
		"--rights", "readonly", "--rights", "/in=list,write", "--access-limit", "3", "--idle-timeout", "15m",
		"--privilege", "7", "--allow", "192.0.2.0/24,10.0.0.1", "--require-tls", "--quota-bytes", "10GiB",
		"--quota-files", "1000", "--rate-up", "1MiB", "--rate-down", "500kB", "--charset", "sjis",
		"--greeting", "Ahoy", "--comment", "the boss")...)
	if want := "added alice to " + path + "\n"; out != want {
		t.Errorf("add wrote %q, want %q", out, want)
	}
	a := findAccount(t, path, "alice")
	if ok, err := accounts.Check(a.Hash, "first line"); !ok || err != nil {
		t.Errorf("the password is not the first line: %v, %v", ok, err)
	}
	home, err := filepath.Abs("/srv/alice")
	if err != nil {
		t.Fatal(err)
	}

	want := map[string]any{
		"name": "alice", "state": "active", "password": "argon2id", "comment": "the boss", "home": home,
		"rights":    map[string]any{"/": []any{"readonly"}, "/in": []any{"list", "write"}},
		"privilege": 7., "access_limit": 3., "idle_timeout": "15m0s", "allow": []any{"192.0.2.0/24", "10.0.0.1"},
		"require_tls": true, "quota_bytes": float64(10 << 30), "quota_files": 1000., "rate_up": float64(1 << 20),
		"rate_down": 500000., "charset": "sjis", "greeting": "Ahoy",
	}
	var got map[string]any
	if err := json.Unmarshal([]byte(mustAccount(t, "", in("show", "alice", "--json")...)), &got); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("show --json (-want +got):\n%s", d)
	}

	mustAccount(t, "", in("block", "alice")...)
	if got := findAccount(t, path, "alice").State; got != accounts.Blocked {
		t.Errorf("blocked, the state is %v", got)
	}
	mustAccount(t, "", in("unblock", "alice")...)
	mustAccount(t, "", in("set", "alice", "--allow", "", "--quota-bytes", "0", "--rights", "all")...)
	if a := findAccount(t, path, "alice"); a.State != accounts.Active || len(a.Networks) != 0 || a.Quota.Bytes != 0 || a.Rights.At("/in") != accounts.All || a.Privilege != 7 {
		t.Errorf("unblocked and set, it is %+v", a)
	}
	mustAccount(t, "other\r\n", in("passwd", "alice", "--password-stdin")...)
	if ok, err := accounts.Check(findAccount(t, path, "alice").Hash, "other"); !ok || err != nil {
		t.Errorf("the password did not change: %v, %v", ok, err)
	}
	mustAccount(t, "", in("rm", "alice")...)
	if got := mustAccount(t, "", in("list", "--json")...); got != "[]\n" {
		t.Errorf("removed, list says %q", got)
	}
}

func TestAccountPasswords(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "accounts.toml")
	in := func(args ...string) []string { return append(args, "--accounts", path) }
	out := mustAccount(t, "", in("add", "made", "--generate")...)
	_, password, ok := strings.Cut(strings.TrimSpace(out), "password: ")
	if ok, err := accounts.Check(findAccount(t, path, "made").Hash, password); !ok || err != nil || len(password) < 20 {
		t.Errorf("the password made up is not the password: %q", out)
	}
	if !ok {
		t.Errorf("no password is told: %q", out)
	}
	mustAccount(t, "", in("add", "argv", "--insecure-password", "x y")...)
	if ok, err := accounts.Check(findAccount(t, path, "argv").Hash, "x y"); !ok || err != nil {
		t.Errorf("--insecure-password: %v, %v", ok, err)
	}
	mustAccount(t, "", in("add", "old", "--hash", accountstest.Hash)...)
	if got := findAccount(t, path, "old").Hash; got != accountstest.Hash {
		t.Errorf("--hash: %q", got)
	}
	mustAccount(t, "", in("add", "none", "--no-password")...)
	if got := findAccount(t, path, "none"); got.Hash != "" || got.AnyPassword {
		t.Errorf("--no-password: %+v", got)
	}
	mustAccount(t, "", in("add", "anonymous", "--any-password")...)
	if got := findAccount(t, path, "anonymous"); got.Hash != "" || !got.AnyPassword {
		t.Errorf("--any-password: %+v", got)
	}
}

func TestAskPasswordTwice(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		typed []string
		want  string // "": an error
	}{
		{[]string{"a", "a"}, "a"},
		{[]string{"a", "b", "c", "c"}, "c"},
		{[]string{"a", "b", "c", "d", "e", "f"}, ""},
		{[]string{""}, ""},
		{[]string{"a"}, ""},
	} {
		typed := tt.typed
		got, err := askPasswordTwice("alice", func(prompt string) (string, error) {
			if len(typed) == 0 {
				return "", io.ErrUnexpectedEOF
			}
			s := typed[0]
			typed = typed[1:]
			return s, nil
		})
		if got != tt.want || (err == nil) != (tt.want != "") {
			t.Errorf("typed %q: %q, %v: want %q", tt.typed, got, err, tt.want)
		}
	}
}

func TestAccountList(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "accounts.toml")
	text := `[defaults]
home = "/srv/ftp/{user}"
[user.alice]
password = "` + accountstest.Hash + `"
access_limit = 4
quota_bytes = "10GiB"
rights = { "/" = "readonly", "/港" = ["list", "write"] }
[user.bob]
state = "block"
[user.anonymous]
any_password = true
home = "/pub\u001b[31m"
`
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	want := `NAME       STATE   PASSWORD  SESSIONS  QUOTA     RIGHTS                     HOME
alice      active  argon2id  4         10GiB     /=readonly /港=list,write  /srv/ftp/alice
bob        block   none      no limit  no limit  readonly                   /srv/ftp/bob
anonymous  active  any       no limit  no limit  readonly                   /pub\x1b[31m
`
	if d := cmp.Diff(want, mustAccount(t, "", "list", "--accounts", path)); d != "" {
		t.Errorf("list (-want +got):\n%s", d)
	}
	show := mustAccount(t, "", "show", "bob", "--accounts", path)
	for _, line := range []string{"name:              bob\n", "state:             block\n", "home:              /srv/ftp/bob\n", "sessions at once:  no limit\n", "allowed from:      everywhere\n"} {
		if !strings.Contains(show, line) {
			t.Errorf("show has no %q:\n%s", line, show)
		}
	}
	for _, out := range []string{show, mustAccount(t, "", "list", "--json", "--accounts", path), mustAccount(t, "", "show", "alice", "--accounts", path)} {
		if strings.Contains(out, "$argon2id$") {
			t.Errorf("a hash is shown:\n%s", out)
		}
	}
}

// Each mistake has its code, says what would be right, and changes nothing.
func TestAccountMistakes(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	good, bad := filepath.Join(dir, "good.toml"), filepath.Join(dir, "bad.toml")
	const text = "[user.alice]\n[user.anonymous]\nany_password = true\n"
	if err := errors.Join(os.WriteFile(good, []byte(text), 0o600), os.WriteFile(bad, []byte("[user.alice]\nhme = 1\n"), 0o600)); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		args string
		code int
		says string
	}{
		{"frobnicate", exitUsage, `"frobnicate": there is no such verb`},
		{"add", exitUsage, "NAME is missing"},
		{"add bob carol", exitUsage, `"carol" is too much`},
		{"add bob", exitUsage, "want --password-stdin or --generate"},
		{"add bob --generate --no-password", exitUsage, "none of the others can be"},
		{"add ../bob --generate", exitUsage, "has '/' in it"},
		{"add bob --rights reed", exitUsage, `--rights: right "reed"`},
		{"add bob --rights in=read", exitUsage, `want an absolute path`},
		{"add bob --quota-bytes 10x", exitUsage, `--quota-bytes: size "10x"`},
		{"add bob --allow 10.0.0.1/8", exitUsage, "want 10.0.0.0/8"},
		{"add bob --charset klingon", exitUsage, "want one of UTF-8"},
		{"add bob --access-limit -1", exitUsage, "access limit -1: want 0 or more"},
		{"add bob --access-limit many", exitUsage, `"many"`},
		{"add bob --any-password --rights all", exitUsage, "want readonly"},
		{"add bob --hash secret", exitUsage, "this is no password hash"},
		{"add bob --frobnicate", exitUsage, "--frobnicate"},
		{"add bob --password-stdin", exitData, "the password is empty"},
		{"add alice --generate", exitCreate, `account exists: "alice"`},
		{"passwd bob --generate", exitNoUser, `no such account: "bob"`},
		{"passwd anonymous --generate", exitData, "takes any password"},
		{"set alice", exitUsage, "nothing to set"},
		{"set bob --home /x", exitNoUser, "no such account"},
		{"show bob", exitNoUser, "no such account"},
		{"block bob", exitNoUser, "no such account"},
		{"rm bob", exitNoUser, "no such account"},
		{"list --accounts " + filepath.Join(dir, "none.toml"), exitNoInput, `"towpath account add" makes one`},
		{"list --accounts " + bad, exitConfig, "bad.toml:2:1: user.alice.hme: this key is not known"},
		{"block alice --accounts " + bad, exitConfig, "bad.toml:2:1"},
		{"list --accounts " + dir, exitIO, "not a regular file"},
		{"add bob --generate --accounts " + filepath.Join(good, "x"), exitIO, "x"},
	} {
		if runtime.GOOS == "windows" && tt.code == exitIO {
			continue // Windows has other errors for these
		}
		args := append([]string{"--accounts", good}, strings.Fields(tt.args)...)
		_, code, err := account(t, "", args...)
		if err == nil || code != tt.code || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: code %d, %v: want %d and %q", tt.args, code, err, tt.code, tt.says)
		}
	}
	if got, err := os.ReadFile(good); err != nil || string(got) != text {
		t.Errorf("the file is now %q, %v", got, err)
	}
}

func TestAccountsPath(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TOWPATH_ACCOUNTS", "")
	t.Setenv("XDG_CONFIG_HOME", dir)
	t.Setenv("HOME", dir)
	t.Setenv("AppData", dir)
	config, err := os.UserConfigDir()
	if err != nil {
		t.Fatal(err)
	}
	own := filepath.Join(config, "towpath", "accounts.toml")
	if err := errors.Join(os.MkdirAll(filepath.Dir(own), 0o755), os.WriteFile(own, nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	if got := accountsPath(""); got != own {
		t.Errorf("with a file of one's own: %s, want %s", got, own)
	}
	t.Setenv("TOWPATH_ACCOUNTS", "/env.toml")
	if got := accountsPath(""); got != "/env.toml" {
		t.Errorf("with $TOWPATH_ACCOUNTS: %s", got)
	}
	if got := accountsPath("/flag.toml"); got != "/flag.toml" {
		t.Errorf("with --accounts: %s", got)
	}
}
