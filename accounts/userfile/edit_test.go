package userfile_test

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"towpath/accounts"
	"towpath/accounts/accountstest"
	"towpath/accounts/userfile"
)

var prefixes = cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })

// write makes an accounts file and opens it.
func write(t testing.TB, text string) *userfile.File {
	t.Helper()
	path := filepath.Join(t.TempDir(), "accounts.toml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := userfile.Open(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func read(t testing.TB, f *userfile.File) string {
	t.Helper()
	b, err := os.ReadFile(f.Path())
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

const byHand = `# The accounts of the harbour office.
# Ask Ada before you change this.

[defaults]
home = "/srv/ftp/{user}"   # all under one roof
access_limit = 4

# --- people ---

# Alice is the boss.
[user.alice]
home = '/home/alice'  # her own
# rights = "all" some day
rights = ["list",   # look
          "read"]
privilege = 9

# Bob left a note.
[user.bob]
access_limit = 2
[user.bob.rights]
"/" = "readonly"
"/in" = "all"
# end of bob

# --- machines ---

[user.crane]
charset = "gbk"
`

func TestEdit(t *testing.T) {
	t.Parallel()
	set := func(name string, change func(*accounts.Account)) func(*userfile.File) error {
		return func(f *userfile.File) error {
			return f.Update(t.Context(), name, func(a *accounts.Account) error { change(a); return nil })
		}
	}
	rm := func(name string) func(*userfile.File) error {
		return func(f *userfile.File) error { return f.Remove(t.Context(), name) }
	}
	for _, tt := range []struct {
		name     string
		edit     func(*userfile.File) error
		old, new string // the part of byHand that changes
	}{
		{"value in place", set("alice", func(a *accounts.Account) { a.Home = "/home/a" }), `home = '/home/alice'  # her own`, `home = "/home/a"  # her own`},
		{"value over lines", set("alice", func(a *accounts.Account) { a.Rights[0].Rights = accounts.All }), "[\"list\",   # look\n          \"read\"]", `"all"`},
		{"new key", set("alice", func(a *accounts.Account) { a.State = accounts.Blocked }), "privilege = 9\n", "privilege = 9\nstate = \"block\"\n"},
		{"several keys", set("crane", func(a *accounts.Account) { a.Charset, a.RequireTLS, a.Quota.Bytes = "big5", true, 5<<30 }), `charset = "gbk"
`, `charset = "big5"
require_tls = true
quota_bytes = "5GiB"
`},
		{"over a default", set("crane", func(a *accounts.Account) { a.AccessLimit = 0 }), "charset = \"gbk\"\n", "charset = \"gbk\"\naccess_limit = 0\n"},
		{"a table of rights", set("bob", func(a *accounts.Account) { a.Rights = accounts.Rules{{Path: "/", Rights: accounts.All}} }), `access_limit = 2
[user.bob.rights]
"/" = "readonly"
"/in" = "all"
`, `access_limit = 2
rights = "all"
`},
		{"nothing", set("bob", func(*accounts.Account) {}), "", ""},
		{"remove alice", rm("alice"), "# Alice is the boss.\n[user.alice]\nhome = '/home/alice'  # her own\n# rights = \"all\" some day\nrights = [\"list\",   # look\n          \"read\"]\nprivilege = 9\n\n", ""},
		{"remove bob", rm("bob"), `# Bob left a note.
[user.bob]
access_limit = 2
[user.bob.rights]
"/" = "readonly"
"/in" = "all"
# end of bob

`, ""},
		{"remove the last", rm("crane"), "[user.crane]\ncharset = \"gbk\"\n", ""},
		{"add", func(f *userfile.File) error {
			a := f.Template("dora")
			a.Hash, a.Privilege = accountstest.Hash, 1
			return f.Add(t.Context(), a)
		}, "charset = \"gbk\"\n", "charset = \"gbk\"\n\n[user.dora]\npassword = \"" + accountstest.Hash + "\"\nprivilege = 1\n"},
		{"add without a default", func(f *userfile.File) error { return f.Add(t.Context(), &accounts.Account{Name: "e f"}) }, "charset = \"gbk\"\n", "charset = \"gbk\"\n\n[user.\"e f\"]\nhome = \"\"\naccess_limit = 0\n"},
		{"add anonymous", func(f *userfile.File) error {
			a := f.Template("anonymous")
			a.AnyPassword = true
			return f.Add(t.Context(), a)
		}, "charset = \"gbk\"\n", "charset = \"gbk\"\n\n[user.anonymous]\nany_password = true\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for _, eol := range []string{"\n", "\r\n"} {
				if strings.Count(byHand, tt.old) != 1 && tt.old != "" {
					t.Fatalf("%q is not once in the file", tt.old)
				}
				crlf := strings.NewReplacer("\n", eol)
				f := write(t, crlf.Replace(byHand))
				if err := tt.edit(f); err != nil {
					t.Fatal(err)
				}
				want := crlf.Replace(strings.Replace(byHand, tt.old, tt.new, 1))
				if d := cmp.Diff(want, read(t, f)); d != "" {
					t.Errorf("with %q (-want +got):\n%s", eol, d)
				}
			}
		})
	}
}

// Ways to write accounts that are not a table of their own.
func TestEditOtherShapes(t *testing.T) {
	t.Parallel()
	block := func(a *accounts.Account) error { a.State = accounts.Blocked; return nil }
	for _, tt := range []struct{ name, text, blocked, removed string }{
		{"dotted", "user.a.home = '/a' # x\nuser.b.home = '/b'\n", "user.b.home = '/b'\n\n[user.a]\nstate = \"block\"\nhome = \"/a\"\n", "user.b.home = '/b'\n"},
		{"dotted in a table", "[user]\nb.home = '/b'\na.home = '/a'\na.state = 'active'", "[user]\nb.home = '/b'\na.home = '/a'\na.state = \"block\"", "[user]\nb.home = '/b'\n"},
		{"inline", "user.a = {home = '/a'}\n", "[user.a]\nstate = \"block\"\nhome = \"/a\"\n", ""},
		{"no line end", "[user.a]", "[user.a]\nstate = \"block\"\n", ""},
		{"only beneath", "[user.a.rights]\n'/' = 'all'\n", "[user.a]\nstate = \"block\"\nrights = \"all\"\n", ""},
		{"header last", "[user.a.rights]\n'/' = 'all'\n[user.a]\nhome = '/a'\n[user.b]\n", "[user.a.rights]\n'/' = 'all'\n[user.a]\nhome = '/a'\nstate = \"block\"\n[user.b]\n", "[user.b]\n"},
		{"top comment", "# top\n[user.a]\n", "# top\n[user.a]\nstate = \"block\"\n", "# top\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := write(t, tt.text)
			if err := f.Update(t.Context(), "a", block); err != nil {
				t.Errorf("block: %v", err)
			} else if d := cmp.Diff(tt.blocked, read(t, f)); d != "" {
				t.Errorf("blocked (-want +got):\n%s", d)
			}
			f = write(t, tt.text)
			if err := f.Remove(t.Context(), "a"); err != nil {
				t.Errorf("remove: %v", err)
			} else if d := cmp.Diff(tt.removed, read(t, f)); d != "" {
				t.Errorf("removed (-want +got):\n%s", d)
			}
		})
	}
}

// What cannot be edited is left alone, and said.
func TestEditRefuses(t *testing.T) {
	t.Parallel()
	const text = "user = { a = { home = '/a' }, b = { home = '/b' } }\n"
	f := write(t, text)
	for what, err := range map[string]error{
		"add":    f.Add(t.Context(), &accounts.Account{Name: "c"}),
		"remove": f.Remove(t.Context(), "a"),
		"update": f.Update(t.Context(), "a", func(a *accounts.Account) error { a.State = accounts.Blocked; return nil }),
	} {
		if err == nil || !strings.Contains(err.Error(), "change it by hand") {
			t.Errorf("%s: %v: want to be sent to the file", what, err)
		}
	}
	if got := read(t, f); got != text {
		t.Errorf("the file is now %q", got)
	}
}

// Any change of any account is in the file afterwards, and no other change.
func TestEditProperty(t *testing.T) {
	t.Parallel()
	word := rapid.StringMatching(`[a-z"\\\n# =\[\]{}']{0,8}`)
	rights := rapid.Custom(func(t *rapid.T) accounts.Rules {
		rules := accounts.Rules{{Path: "/", Rights: accounts.Rights(rapid.Uint16Range(0, 1<<13-1).Draw(t, "rights"))}}
		if rapid.Bool().Draw(t, "more") {
			rules = append(rules, accounts.Rule{Path: "/a b\"'#", Rights: accounts.Read})
		}
		return rules
	})
	path := filepath.Join(t.TempDir(), "accounts.toml")
	rapid.Check(t, func(t *rapid.T) {
		if err := os.WriteFile(path, []byte(byHand), 0o600); err != nil {
			t.Fatal(err)
		}
		f, err := userfile.Open(path, nil)
		if err != nil {
			t.Fatal(err)
		}
		want := map[string]*accounts.Account{}
		for a := range f.List(t.Context()) {
			want[a.Name] = a.Clone()
		}
		for range rapid.IntRange(1, 4).Draw(t, "edits") {
			name := rapid.SampledFrom([]string{"alice", "bob", "crane", "dora d."}).Draw(t, "name")
			change := func(a *accounts.Account) error {
				a.Greeting, a.Comment = word.Draw(t, "greeting"), word.Draw(t, "comment")
				a.Rights = rights.Draw(t, "rules")
				a.Quota.Bytes = rapid.Int64Range(0, 1<<62).Draw(t, "quota")
				a.RequireTLS = rapid.Bool().Draw(t, "tls")
				return nil
			}
			var err error
			switch {
			case want[name] == nil:
				a := &accounts.Account{Name: name}
				_ = change(a) // never fails
				err = f.Add(t.Context(), a)
				want[name] = a
			case rapid.IntRange(0, 3).Draw(t, "what") == 0:
				err = f.Remove(t.Context(), name)
				delete(want, name)
			default:
				err = f.Update(t.Context(), name, func(a *accounts.Account) error {
					err := change(a)
					want[name] = a.Clone()
					return err
				})
			}
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
		got := map[string]*accounts.Account{}
		for a := range f.List(t.Context()) {
			got[a.Name] = a.Clone()
		}
		for _, accts := range []map[string]*accounts.Account{want, got} {
			for _, a := range accts {
				if len(a.Rights) == 0 { // written in full, it is the same
					a.Rights = accounts.Rules{{Path: "/", Rights: accounts.ReadOnly}}
				}
			}
		}
		if d := cmp.Diff(want, got, prefixes); d != "" {
			t.Fatalf("accounts (-want +got):\n%s", d)
		}
		if text, err := os.ReadFile(path); err != nil || !strings.HasPrefix(string(text), byHand[:strings.Index(byHand, "# Alice")]) {
			t.Fatalf("the top of the file is gone: %v\n%s", err, text)
		}
	})
}
