package accounts

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// Cheap hashes: of "sea horse", and of nothing anybody knows.
const (
	cheapHash = "$argon2id$v=19$m=64,t=1,p=1$c2Vhc2Vhc2Vhc2VhMTIzNA$HfO5chC08wDyFvAU85dgmdtJH8cVsg9GrPCEEduBojQ"
	otherHash = "$argon2id$v=19$m=64,t=1,p=1$c2Vhc2Vhc2Vhc2VhMTIzNQ$HfO5chC08wDyFvAU85dgmdtJH8cVsg9GrPCEEduBojQ"
)

var peer = netip.MustParseAddr("192.0.2.7")

func try(name, password string) Attempt { return Attempt{Name: name, Password: password, Peer: peer} }

// door returns an authenticator for accounts of every kind.
func door(t *testing.T, o AuthOptions) (*Authenticator, *Memory) {
	t.Helper()
	net := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	m, err := NewMemory(
		&Account{Name: "alice", Hash: cheapHash},
		&Account{Name: "blocked", Hash: cheapHash, State: Blocked},
		&Account{Name: "inside", Hash: cheapHash, Networks: net},
		&Account{Name: "crypted", Hash: cheapHash, RequireTLS: true},
		&Account{Name: "empty"},
		&Account{Name: "anonymous", AnyPassword: true},
		&Account{Name: "blockedanonymous", AnyPassword: true, State: Blocked},
		&Account{Name: "two", Hash: cheapHash, AccessLimit: 2},
	)
	if err != nil {
		t.Fatal(err)
	}
	m.byID["broken"] = &Account{Name: "broken", Hash: "sea horse"} // a store that does not check
	return NewAuthenticator(m, o), m
}

func TestVerify(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a, _ := door(t, AuthOptions{})
		mapped := netip.MustParseAddr("::ffff:10.1.2.3")
		for _, tt := range []struct {
			attempt Attempt
			why     string // "": let in
		}{
			{try("alice", "sea horse"), ""},
			{try("alice", "sea house"), "the password is wrong"},
			{try("alice", ""), "the password is wrong"},
			{try("Alice", "sea horse"), "there is no such account"},
			{try("nobody", "decoy"), "there is no such account"}, // the decoy opens nothing
			{try("", ""), "there is no such account"},
			{try("blocked", "sea horse"), "the account is blocked"},
			{try("blocked", "wrong"), "the account is blocked"},
			{try("inside", "sea horse"), "may not be used from 192.0.2.7"},
			{Attempt{Name: "inside", Password: "sea horse", Peer: mapped}, ""},
			{try("crypted", "sea horse"), "requires TLS"},
			{Attempt{Name: "crypted", Password: "sea horse", Peer: peer, TLS: true}, ""},
			{try("empty", ""), "has no password"},
			{try("empty", "decoy"), "has no password"},
			{try("broken", "sea horse"), "this is no password hash"},
			{try("anonymous", "me@example.com"), ""},
			{try("anonymous", ""), ""},
			{try("blockedanonymous", ""), "the account is blocked"},
		} {
			start := time.Now()
			got, err := a.Verify(t.Context(), tt.attempt)
			spent := time.Since(start)
			if tt.why == "" {
				if err != nil || got.Name != tt.attempt.Name || spent != 0 {
					t.Errorf("%v: %v after %v: want to be let in at once", tt.attempt.LogValue(), err, spent)
				}
				continue
			}
			if got != nil || !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), tt.why) {
				t.Errorf("%v: %v: want a refusal because %s", tt.attempt.LogValue(), err, tt.why)
			}
			if spent != 500*time.Millisecond {
				t.Errorf("%v: refused after %v: want the same time for all", tt.attempt.LogValue(), spent)
			}
		}
	})
}

// All slots for hashing are taken. Only who needs no hash gets through; whether
// somebody waits must not depend on what exists, so every refusal does.
func TestRefusalsHash(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a, _ := door(t, AuthOptions{Parallel: 1})
		if _, err := a.Verify(t.Context(), try("alice", "sea horse")); err != nil {
			t.Fatal(err)
		}
		a.slots <- struct{}{}
		for _, tt := range []Attempt{try("alice", "sea horse"), try("anonymous", "x")} {
			if _, err := a.Verify(t.Context(), tt); err != nil {
				t.Errorf("%v waits or fails: %v", tt.LogValue(), err)
			}
		}
		for _, tt := range []Attempt{
			try("alice", "wrong"), try("nobody", "x"), try("blocked", "sea horse"), try("empty", ""),
			try("broken", "x"), try("crypted", "sea horse"), try("blockedanonymous", "x"),
		} {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			if _, err := a.Verify(ctx, tt); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%v: %v: want to wait for a slot until the end", tt.LogValue(), err)
			}
			cancel()
		}
		<-a.slots
		if len(a.slots) != 0 {
			t.Errorf("%d slots are still taken", len(a.slots))
		}
	})
}

// A remembered password lasts for its time, for its account and for its hash.
func TestRemember(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a, m := door(t, AuthOptions{Parallel: 1, Remember: time.Hour})
		login := func(name, password string) error {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			_, err := a.Verify(ctx, try(name, password))
			return err
		}
		if err := login("alice", "sea horse"); err != nil {
			t.Fatal(err)
		}
		a.slots <- struct{}{} // from here on only memory lets in
		time.Sleep(time.Hour - time.Second)
		if err := login("alice", "sea horse"); err != nil {
			t.Errorf("within the hour: %v", err)
		}
		if err := login("two", "sea horse"); err == nil {
			t.Error("the password of alice lets in another")
		}
		if err := login("alice", "sea horsf"); err == nil {
			t.Error("another password lets in alice")
		}
		change := func(f func(*Account)) {
			err := m.Update(t.Context(), "alice", func(a *Account) error { f(a); return nil })
			if err != nil {
				t.Fatal(err)
			}
		}
		change(func(a *Account) { a.Hash = otherHash })
		if err := login("alice", "sea horse"); err == nil {
			t.Error("the old password is remembered for a new hash")
		}
		change(func(a *Account) { a.Hash, a.State = cheapHash, Blocked })
		if err := login("alice", "sea horse"); err == nil {
			t.Error("a blocked account is let in from memory")
		}
		change(func(a *Account) { a.State = Active })
		time.Sleep(time.Second)
		if err := login("alice", "sea horse"); err == nil {
			t.Error("a password is remembered after the hour")
		}
		<-a.slots
		if err := login("alice", "sea horse"); err != nil {
			t.Errorf("hashed again: %v", err)
		}
	})
}

func TestRecallIsBounded(t *testing.T) {
	t.Parallel()
	r := newRecall(time.Hour, 3)
	var keys []digest
	for i := range 10 {
		keys = append(keys, r.key("alice", "hash", fmt.Sprint(i)))
		r.learn(keys[i])
		r.learn(keys[i]) // twice is once
	}
	for i, k := range keys {
		if got, want := r.knows(k), i >= 7; got != want {
			t.Errorf("password %d of 10 is known: %v, want %v", i, got, want)
		}
	}
	if len(r.until) != 3 || len(r.order) != 3 {
		t.Errorf("%d and %d are remembered: want 3", len(r.until), len(r.order))
	}
	if r.key("ab", "c", "d") == r.key("a", "bc", "d") {
		t.Error("two attempts have one key")
	}
	if newRecall(time.Hour, 3).key("a", "b", "c") == r.key("a", "b", "c") {
		t.Error("two processes have one key")
	}
	off := newRecall(-1, 3)
	off.learn(keys[0])
	if off.knows(keys[0]) {
		t.Error("something is remembered though nothing should be")
	}
}

// A store that fails is no refusal: the log must not call it a wrong password.
func TestVerifyStoreFails(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		lost := errors.New("connection lost")
		a := NewAuthenticator(failing{lost}, AuthOptions{})
		_, err := a.Verify(t.Context(), try("alice", "x"))
		if !errors.Is(err, lost) || errors.Is(err, ErrRefused) {
			t.Errorf("%v: want the error of the store, and no refusal", err)
		}
	})
}

type failing struct{ err error }

func (f failing) Find(context.Context, string) (*Account, error) { return nil, f.err }

func TestEnter(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a, _ := door(t, AuthOptions{})
		var leave [2]func()
		for i := range leave {
			var err error
			if _, leave[i], err = a.Enter(t.Context(), try("two", "sea horse")); err != nil {
				t.Fatal(err)
			}
		}
		if _, _, err := a.Enter(t.Context(), try("two", "sea horse")); !errors.Is(err, ErrTooMany) {
			t.Errorf("a third session of two: %v: want ErrTooMany", err)
		}
		if _, _, err := a.Enter(t.Context(), try("two", "wrong")); !errors.Is(err, ErrRefused) {
			t.Errorf("a wrong password while full: %v: want ErrRefused", err)
		}
		leave[0]()
		leave[0]() // twice is once
		if got := a.Sessions.Open("two"); got != 1 {
			t.Errorf("%d sessions are open, want 1", got)
		}
		if _, _, err := a.Enter(t.Context(), try("two", "sea horse")); err != nil {
			t.Errorf("after one has left: %v", err)
		}
	})
}

func TestWait(t *testing.T) {
	t.Parallel()
	a := &Authenticator{step: 500 * time.Millisecond}
	for spent, want := range map[time.Duration]time.Duration{0: 500, 20: 480, 499: 1, 500: 500, 730: 270} {
		if got := a.wait(spent * time.Millisecond); got != want*time.Millisecond {
			t.Errorf("after %d ms wait %v, want %d ms", spent, got, want)
		}
	}
	if got := (&Authenticator{step: -1}).wait(time.Second); got != 0 {
		t.Errorf("switched off, wait %v", got)
	}
}

// Secrets hide themselves.
func TestAttemptLogValue(t *testing.T) {
	t.Parallel()
	if s := try("alice", "sea horse").LogValue().String(); strings.Contains(s, "sea") || !strings.Contains(s, "alice") {
		t.Errorf("logged as %s", s)
	}
}

// What a login costs that is remembered, and one that is not.
func BenchmarkVerify(b *testing.B) {
	hash, err := Hash("sea horse")
	if err != nil {
		b.Fatal(err)
	}
	m, err := NewMemory(&Account{Name: "alice", Hash: hash})
	if err != nil {
		b.Fatal(err)
	}
	for name, remember := range map[string]time.Duration{"remembered": time.Hour, "hashed": -1} {
		b.Run(name, func(b *testing.B) {
			a := NewAuthenticator(m, AuthOptions{Remember: remember})
			for b.Loop() {
				if _, err := a.Verify(b.Context(), try("alice", "sea horse")); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
