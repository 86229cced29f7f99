package userfile_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"towpath/accounts"
	"towpath/accounts/accountstest"
	"towpath/accounts/userfile"
)

func parse(t *testing.T, text string) *userfile.Book {
	t.Helper()
	b, err := userfile.Parse([]byte(text))
	if err != nil {
		t.Fatalf("Parse: %v", err)
	}
	return b
}

// What an account says counts, then what the defaults say.
func TestParseDefaults(t *testing.T) {
	t.Parallel()
	b := parse(t, `
user.dotted.privilege = 3

[defaults]
home = "/srv/ftp/{user}"
rights = ["list", "write"]
access_limit = 5
idle_timeout = "15m"
rate_down = "1MiB"

[user.alice]
access_limit = 0
rights = { "/" = "readonly", "/in" = ["write", "mkdir"] }

[user."bob@example.com".rights]
"/b" = "all"
"/a" = "none"

[user.anonymous]
any_password = true
home = "/srv/{user}/public"
`)
	base := accounts.Account{AccessLimit: 5, IdleTimeout: 15 * time.Minute, DownloadRate: 1 << 20, Rights: accounts.Rules{{Path: "/", Rights: accounts.List | accounts.Write}}}
	want := []*accounts.Account{base.Clone(), base.Clone(), base.Clone(), base.Clone()}
	want[0].Name, want[0].Home, want[0].Privilege = "dotted", "/srv/ftp/dotted", 3
	want[1].Name, want[1].Home, want[1].AccessLimit = "alice", "/srv/ftp/alice", 0
	want[1].Rights = accounts.Rules{{Path: "/", Rights: accounts.ReadOnly}, {Path: "/in", Rights: accounts.Write | accounts.Mkdir}}
	want[2].Name, want[2].Home = "bob@example.com", "/srv/ftp/bob@example.com"
	want[2].Rights = accounts.Rules{{Path: "/a"}, {Path: "/b", Rights: accounts.All}}
	want[3].Name, want[3].Home, want[3].AnyPassword, want[3].Rights = "anonymous", "/srv/anonymous/public", true, nil
	if d := cmp.Diff(want, b.Accounts()); d != "" {
		t.Errorf("accounts (-want +got):\n%s", d)
	}
	if got := b.Template("carol"); got.Home != "/srv/ftp/carol" || got.AccessLimit != 5 {
		t.Errorf("template %+v", got)
	}
}

// Each mistake is told with its place, its value and what would be right.
func TestParseErrors(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ text, want string }{
		{"[user.a]\nhome = \"/x\"\nhme = \"/y\"\n", `3:1: user.a.hme: this key is not known: want one of password, any_password`},
		{"[defaults]\nhomes = 1", `2:1: defaults.homes: this key is not known: want one of state, home`},
		{"[users.a]", `1:2: users: this key is not known: want [defaults] or [user.NAME]`},
		{"user = 1", `1:1: user: this is not a table: want [user.NAME]`},
		{"[user]\na = 1", `2:1: user.a: this is not a table: want [user.NAME]`},
		{"defaults = []", `1:1: defaults: this is not a table: want [defaults]`},
		{"[[user]]", `1:3: user: this is not a table`},
		{"[user.a]\n  access_limit = \"many\"", `2:18: user.a.access_limit: "many": want a whole number from 0`},
		{"[user.a]\naccess_limit = -1", `2:16: user.a.access_limit: -1: want a whole number from 0`},
		{"[user.a]\naccess_limit = 99999999999", `99999999999: want a whole number from 0 to 2147483647`},
		{"[user.a]\nprivilege = 1.5", `1.5: want a whole number`},
		{"[user.a]\nidle_timeout = 900", `2:16: user.a.idle_timeout: 900: want a time such as`},
		{"[user.a]\nidle_timeout = \"15 minutes\"", `"15 minutes": want a time such as`},
		{"[user.a]\nidle_timeout = \"-1s\"", `"-1s": want a time such as`},
		{"[user.a]\nquota_bytes = \"10 apples\"", `"10 apples": want bytes such as`},
		{"[user.a]\nquota_bytes = -5", `-5: want bytes such as`},
		{"[user.a]\nrate_up = true", `true: want bytes such as`},
		{"[user.a]\nstate = \"blocked\"", `state "blocked": want "active" or "block"`},
		{"[user.a]\nrequire_tls = \"yes\"", `"yes": want true or false`},
		{"[user.a]\nhome = \"srv/ftp\"", `"srv/ftp": want an absolute path`},
		{"[user.a]\nallow = \"10.0.0.0/8\"", `want networks such as`},
		{"[user.a]\nallow = [\"10.0.0.1/8\"]", `2:9: user.a.allow: network "10.0.0.1/8" has bits behind its length: want 10.0.0.0/8 or 10.0.0.1`},
		{"[user.a]\nallow = [10]", `10: want networks such as`},
		{"[user.a]\nrights = [\"reed\"]", `right "reed": want none, readonly, all`},
		{"[user.a]\nrights = 7", `7: want words such as`},
		{"[user.a]\nrights = {}", `want rights for a path`},
		{"[user.a]\nrights = {\"in\" = \"all\"}", `rights for "in": want an absolute path as the user sees it, such as "/in"`},
		{"[user.a]\nrights = {\"/\" = [\"list\", 3]}", `for "/": 3: want words`},
		{"[user.a]\ncharset = \"klingon\"", `charset "klingon": want one of UTF-8, GBK`},
		{"[user.a]\ngreeting = 1", `1: want text`},
		{"[user.a]\ngreeting = \"\\u0000\"", `want text without NUL`},
		{"[user.a]\npassword = 12345", `2:12: user.a.password: want a password hash in quotes`},
		{"[user.a]\npassword = \"open sesame\"", `2:12: user.a.password: this is no password hash`},
		{"[defaults]\npassword = \"x\"", `this key belongs to [user.NAME]`},
		{"[user.\"a/b\"]", `1:2: user."a/b": account name "a/b" has '/' in it`},
		{"[user.\"\"]", `account name is empty`},
		{"[user.a]\nany_password = true\nrights = \"all\"", `1:2: user.a: account "a" takes any password and may write`},
		{"[user.a]\n[user.a]", `2:`},
		{"[user.a]\nhome = \"/x\"\nhome = \"/y\"", `3:1: home: key home is already defined`},
		{"[user.a\n", `1:8: `},
		{"[user.a]\nhome = /x", `2:8: `},
		{"\xff", `1:1: `},
	} {
		_, err := userfile.Parse([]byte(tt.text))
		if err == nil {
			t.Errorf("%q passes: want %q", tt.text, tt.want)
			continue
		}
		if !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%q:\n%v\nwant %q", tt.text, err, tt.want)
		}
		if strings.Contains(err.Error(), "sesame") || strings.Contains(err.Error(), "12345") {
			t.Errorf("%q: a password is shown: %v", tt.text, err)
		}
		if _, ok := errors.AsType[*userfile.Error](err); !ok {
			t.Errorf("%q: %T is no *Error", tt.text, err)
		}
	}
}

// All mistakes are told, in their order.
func TestParseTellsAll(t *testing.T) {
	t.Parallel()
	_, err := userfile.Parse([]byte("[user.a]\nhomme = 1\nprivilege = -1\nzeal = 2\n[user.b]\nstate = 3\n"))
	if err == nil {
		t.Fatal("want an error")
	}
	var places []string
	for line := range strings.Lines(err.Error()) {
		place, _, _ := strings.Cut(line, ": ")
		places = append(places, place)
	}
	if d := cmp.Diff([]string{"2:1", "3:13", "4:1", "6:9"}, places); d != "" {
		t.Errorf("places (-want +got):\n%s", d)
	}
}

func TestFormat(t *testing.T) {
	t.Parallel()
	const text = `[defaults]
home = "/srv/ftp/{user}"
idle_timeout = "1h"

[user.alice]
password = "` + accountstest.Hash + `"
comment = "höre\tzu \"x\" \\o/"
state = "block"
home = ""
rights = { "/" = "readonly", "/in" = ["list", "write"] }
privilege = 7
access_limit = 3
idle_timeout = "1m30s"
allow = ["192.0.2.0/24", "2001:db8::1"]
require_tls = true
quota_bytes = "10GiB"
quota_files = 1000
rate_up = 1500001
rate_down = 0
charset = "sjis"
greeting = "Hello,\nworld"

[user."bob@example.com"]
rights = "all"
`
	if d := cmp.Diff(text, string(parse(t, text).Format())); d != "" {
		t.Errorf("Format (-want +got):\n%s", d)
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{
		"", "# nothing\n", "[defaults]\nhome = '/srv/{user}'\n[user.a]\npassword = \"\"\n",
		"[user.a]\nrights = {\"/\" = \"all\", '/x' = ['list']}\n[user.a.b]\n", "user.a.home = '/x'\nuser.b = {home = '/y', state = 'block'}\n",
		"[user]\na.privilege = 1\na.allow = [\n'10.0.0.0/8', # x\n]\r\n", "[[user]]", "[user.\"x\\u0000y\"]\ngreeting = '''\na\nb'''\n",
		"[user.a]\nidle_timeout = '1h'\nquota_bytes = '1.5GB'\nrate_up = 7\ncharset='latin1'\n",
		"[user.anonymous]\nany_password = true\n",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		b, err := userfile.Parse([]byte(text))
		if err != nil {
			if _, ok := errors.AsType[*userfile.Error](err); !ok {
				t.Errorf("%T is no *Error: %v", err, err)
			}
			return
		}
		formatted := b.Format()
		again, err := userfile.Parse(formatted)
		if err != nil {
			t.Fatalf("%q was written as %q, which is wrong: %v", text, formatted, err)
		}
		if d := cmp.Diff(b.Accounts(), again.Accounts(), prefixes); d != "" {
			t.Errorf("%q was written as %q (-was +is):\n%s", text, formatted, d)
		}
		if d := cmp.Diff(b.Template("zz"), again.Template("zz"), prefixes); d != "" {
			t.Errorf("defaults of %q (-was +is):\n%s", text, d)
		}
	})
}
