package accounts_test

import (
	"strings"
	"testing"

	"towpath/accounts"
)

// Every sum of rights reads back as itself.
func TestRightsRoundTrip(t *testing.T) {
	t.Parallel()
	for r := accounts.Rights(0); r <= accounts.All|accounts.Admin; r++ {
		got, err := accounts.ParseRights(r.String())
		if err != nil || got != r {
			t.Fatalf("ParseRights(%q) = %v, %v: want %#x", r, got, err, uint16(r))
		}
	}
}

func TestParseRights(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]accounts.Rights{
		"none":                0,
		"readonly":            accounts.List | accounts.Read,
		"all":                 accounts.All,
		"all admin":           accounts.All | accounts.Admin,
		"list,read, write":    accounts.List | accounts.Read | accounts.Write,
		"none list":           accounts.List,
		"readonly link chmod": accounts.ReadOnly | accounts.Link | accounts.Chmod,
	} {
		if got, err := accounts.ParseRights(s); got != want || err != nil {
			t.Errorf("ParseRights(%q) = %v, %v: want %v", s, got, err, want)
		}
	}
	for _, s := range []string{"", " , ", "reed", "List", "list;read"} {
		if r, err := accounts.ParseRights(s); err == nil || !strings.Contains(err.Error(), "mkdir rmdir") {
			t.Errorf("ParseRights(%q) = %v, %v: want an error that names the words", s, r, err)
		}
	}
	if accounts.All&accounts.Admin != 0 {
		t.Error("all has admin in it")
	}
}

func TestRulesAt(t *testing.T) {
	t.Parallel()
	rules := accounts.Rules{
		{Path: "/", Rights: accounts.ReadOnly},
		{Path: "/in", Rights: accounts.Write},
		{Path: "/in/private", Rights: 0},
		{Path: "/in/private/mine", Rights: accounts.All},
	}
	for path, want := range map[string]accounts.Rights{
		"/":                          accounts.ReadOnly,
		"/a/b":                       accounts.ReadOnly,
		"/in":                        accounts.Write,
		"/in/":                       accounts.Write,
		"/in/x/y":                    accounts.Write,
		"/inbox":                     accounts.ReadOnly,
		"/in/private":                0,
		"/in/private/x":              0,
		"/in/privately":              accounts.Write,
		"/in/private/mine/too":       accounts.All,
		"/in/./private//mine":        accounts.All,
		"/in/private/mine/../secret": 0,
		"in":                         accounts.Write,
		"":                           accounts.ReadOnly,
		"/../in":                     accounts.Write,
	} {
		if got := rules.At(path); got != want {
			t.Errorf("At(%q) = %v, want %v", path, got, want)
		}
	}
	if got := accounts.Rules(nil).At("/x"); got != accounts.ReadOnly {
		t.Errorf("no rules: %v, want readonly", got)
	}
	if got := rules[1:].At("/x"); got != 0 {
		t.Errorf("a path that no rule holds: %v, want none", got)
	}
}

func TestRulesCheck(t *testing.T) {
	t.Parallel()
	for _, rules := range []accounts.Rules{
		{{Path: ""}},
		{{Path: "in"}},
		{{Path: "/in/"}},
		{{Path: "/a/../b"}},
		{{Path: "/a\nb"}},
		{{Path: "/\xff"}},
		{{Path: "/a"}, {Path: "/a"}},
		{{Path: "/", Rights: 1 << 15}},
	} {
		if err := rules.Check(); err == nil {
			t.Errorf("%q pass", rules)
		}
	}
}
