// Package accountstest is the kit that every [accounts.Store] passes.
//
// It asks only for what the interfaces promise. What a store does when its
// file or its database goes away is for the store's own tests.
package accountstest

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"towpath/accounts"
)

// Hash is an argon2id hash of "sea horse", cheaper than [accounts.Hash] makes
// them.
const Hash = "$argon2id$v=19$m=64,t=1,p=1$c2Vhc2Vhc2Vhc2VhMTIzNA$HfO5chC08wDyFvAU85dgmdtJH8cVsg9GrPCEEduBojQ"

// Password is what [Hash] was made of.
const Password = "sea horse"

// Full returns an account that has a value in every field.
func Full(name string) *accounts.Account {
	return &accounts.Account{
		Name:  name,
		Hash:  Hash,
		State: accounts.Blocked,
		Home:  "/srv/ftp/" + name,
		Rights: accounts.Rules{
			{Path: "/", Rights: accounts.ReadOnly},
			{Path: "/in \"coming\"", Rights: accounts.List | accounts.Write | accounts.Mkdir},
		},
		Privilege:    7,
		AccessLimit:  3,
		IdleTimeout:  90 * time.Second,
		Networks:     []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("2001:db8::1/128")},
		RequireTLS:   true,
		Quota:        accounts.Quota{Bytes: 10 << 30, Files: 1000},
		UploadRate:   1 << 20,
		DownloadRate: 1_500_001,
		Charset:      "Shift-JIS",
		Greeting:     "Welcome,\n\"" + name + "\" \\o/",
		Comment:      "höre\tzu",
	}
}

// TestStore checks a store. make returns one that has the accounts given and
// no others. If the store is an [accounts.Editor] that is checked as well.
func TestStore(t *testing.T, make func(t *testing.T, list ...*accounts.Account) accounts.Store) {
	t.Run("find", func(t *testing.T) {
		ctx := t.Context()
		list := []*accounts.Account{Full("alice"), {Name: "bob", Hash: Hash}, {Name: "Ünï cøde@example.com", AnyPassword: true}}
		s := make(t, list...)
		for _, want := range list {
			got, err := s.Find(ctx, want.Name)
			if err != nil {
				t.Errorf("Find(%q): %v", want.Name, err)
				continue
			}
			check(t, got, want)
		}
		for _, name := range []string{"", "Alice", "alice ", "ali", "alice'--", "%", "nobody", "a\x00b", "\xff", "."} {
			if a, err := s.Find(ctx, name); a != nil || !errors.Is(err, accounts.ErrNotFound) {
				t.Errorf("Find(%q) is %v, %v: want ErrNotFound", name, a, err)
			}
		}
	})
	if _, ok := make(t).(accounts.Editor); !ok {
		return
	}
	open := func(t *testing.T, list ...*accounts.Account) accounts.Editor {
		return make(t, list...).(accounts.Editor)
	}
	t.Run("add", func(t *testing.T) { testAdd(t, open(t)) })
	t.Run("add what cannot be", func(t *testing.T) { testAddWrong(t, open(t)) })
	t.Run("update", func(t *testing.T) { testUpdate(t, open(t, Full("alice"), Full("bob"))) })
	t.Run("remove", func(t *testing.T) { testRemove(t, open(t, Full("alice"), Full("bob"))) })
	t.Run("at once", func(t *testing.T) { testAtOnce(t, open(t, &accounts.Account{Name: "counter", Rights: readOnly})) })
}

var readOnly = accounts.Rules{{Path: "/", Rights: accounts.ReadOnly}}

func check(t *testing.T, got, want *accounts.Account) {
	t.Helper()
	prefixes := cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })
	if d := cmp.Diff(inFull(want), inFull(got), prefixes); d != "" {
		t.Errorf("account %q (-want +got):\n%s", want.Name, d)
	}
}

// inFull says the rights that no rules mean.
func inFull(a *accounts.Account) *accounts.Account {
	if len(a.Rights) == 0 {
		a = a.Clone()
		a.Rights = readOnly
	}
	return a
}

func find(t *testing.T, s accounts.Store, name string) *accounts.Account {
	t.Helper()
	a, err := s.Find(t.Context(), name)
	if err != nil {
		t.Fatalf("Find(%q): %v", name, err)
	}
	return a
}

func names(t *testing.T, e accounts.Editor) map[string]bool {
	t.Helper()
	set := map[string]bool{}
	for a, err := range e.List(t.Context()) {
		if err != nil {
			t.Fatalf("List: %v", err)
		}
		if set[a.Name] {
			t.Errorf("List has %q twice", a.Name)
		}
		set[a.Name] = true
	}
	return set
}

func testAdd(t *testing.T, e accounts.Editor) {
	a := Full("alice")
	if err := e.Add(t.Context(), a); err != nil {
		t.Fatalf("Add: %v", err)
	}
	a.Home = "/elsewhere" // the store has its own
	a.Rights[0].Rights = accounts.All
	check(t, find(t, e, "alice"), Full("alice"))
	if err := e.Add(t.Context(), &accounts.Account{Name: "alice"}); !errors.Is(err, accounts.ErrExists) {
		t.Errorf("a second alice: %v: want ErrExists", err)
	}
	check(t, find(t, e, "alice"), Full("alice"))
	if d := cmp.Diff(map[string]bool{"alice": true}, names(t, e)); d != "" {
		t.Errorf("List (-want +got):\n%s", d)
	}
}

func testAddWrong(t *testing.T, e accounts.Editor) {
	for _, a := range []*accounts.Account{
		{},
		{Name: "../etc"},
		{Name: "plain", Hash: "secret"},
		{Name: "loose", AnyPassword: true, Rights: accounts.Rules{{Path: "/", Rights: accounts.All}}},
		{Name: "relative", Rights: accounts.Rules{{Path: "in", Rights: accounts.Read}}},
		{Name: "negative", Quota: accounts.Quota{Bytes: -1}},
	} {
		if err := e.Add(t.Context(), a); err == nil {
			t.Errorf("Add took %+v", a)
		}
	}
	if got := names(t, e); len(got) > 0 {
		t.Errorf("the store has %v: want none", got)
	}
}

func testUpdate(t *testing.T, e accounts.Editor) {
	want := Full("alice")
	want.State, want.Home, want.AccessLimit, want.Greeting = accounts.Active, "", 0, ""
	want.Rights, want.Networks = readOnly, nil
	change := func(a *accounts.Account) error {
		a.Name = "mallory" // has no effect
		a.State, a.Home, a.AccessLimit, a.Greeting = accounts.Active, "", 0, ""
		a.Rights, a.Networks = readOnly, nil
		return nil
	}
	if err := e.Update(t.Context(), "alice", change); err != nil {
		t.Fatalf("Update: %v", err)
	}
	check(t, find(t, e, "alice"), want)
	check(t, find(t, e, "bob"), Full("bob"))

	refused := errors.New("refused")
	err := e.Update(t.Context(), "bob", func(a *accounts.Account) error {
		a.Home = "/nowhere"
		a.Rights[0].Rights = accounts.All
		return refused
	})
	if !errors.Is(err, refused) {
		t.Errorf("Update with an error: %v: want that error", err)
	}
	err = e.Update(t.Context(), "bob", func(a *accounts.Account) error {
		a.AccessLimit = -1
		return nil
	})
	if err == nil {
		t.Error("Update took an access limit of -1")
	}
	check(t, find(t, e, "bob"), Full("bob"))
	if err := e.Update(t.Context(), "carol", change); !errors.Is(err, accounts.ErrNotFound) {
		t.Errorf("Update of nobody: %v: want ErrNotFound", err)
	}
	if d := cmp.Diff(map[string]bool{"alice": true, "bob": true}, names(t, e)); d != "" {
		t.Errorf("List (-want +got):\n%s", d)
	}
}

func testRemove(t *testing.T, e accounts.Editor) {
	if err := e.Remove(t.Context(), "alice"); err != nil {
		t.Fatalf("Remove: %v", err)
	}
	if _, err := e.Find(t.Context(), "alice"); !errors.Is(err, accounts.ErrNotFound) {
		t.Errorf("Find after Remove: %v: want ErrNotFound", err)
	}
	check(t, find(t, e, "bob"), Full("bob"))
	if err := e.Remove(t.Context(), "alice"); !errors.Is(err, accounts.ErrNotFound) {
		t.Errorf("a second Remove: %v: want ErrNotFound", err)
	}
	if err := e.Add(t.Context(), Full("alice")); err != nil {
		t.Errorf("Add after Remove: %v", err)
	}
}

// testAtOnce has many change the same account and others: no change is lost.
func testAtOnce(t *testing.T, e accounts.Editor) {
	ctx := context.WithoutCancel(t.Context())
	const many = 8
	var wg sync.WaitGroup
	for i := range many {
		wg.Go(func() {
			err := e.Update(ctx, "counter", func(a *accounts.Account) error {
				a.Privilege++
				return nil
			})
			if err != nil {
				t.Errorf("Update: %v", err)
			}
			if err := e.Add(ctx, Full(fmt.Sprintf("user%d", i))); err != nil {
				t.Errorf("Add: %v", err)
			}
			if _, err := e.Find(ctx, "counter"); err != nil {
				t.Errorf("Find: %v", err)
			}
		})
	}
	wg.Wait()
	if got := find(t, e, "counter").Privilege; got != many {
		t.Errorf("%d of %d changes are there", got, many)
	}
	if got := len(names(t, e)); got != many+1 {
		t.Errorf("%d accounts: want %d", got, many+1)
	}
}
