package accounts_test

import (
	"math"
	"strings"
	"testing"

	"towpath/accounts"
	"towpath/accounts/accountstest"
)

func TestMemory(t *testing.T) {
	t.Parallel()
	accountstest.TestStore(t, func(t *testing.T, list ...*accounts.Account) accounts.Store {
		m, err := accounts.NewMemory(list...)
		if err != nil {
			t.Fatal(err)
		}
		return m
	})
}

// Of joined stores the first that knows a name answers.
func TestJoin(t *testing.T) {
	t.Parallel()
	one, err1 := accounts.NewMemory(&accounts.Account{Name: "alice", Home: "/1"})
	two, err2 := accounts.NewMemory(&accounts.Account{Name: "alice", Home: "/2"}, &accounts.Account{Name: "bob", Home: "/2"})
	if err1 != nil || err2 != nil {
		t.Fatal(err1, err2)
	}
	s := accounts.Join(one, two)
	for name, home := range map[string]string{"alice": "/1", "bob": "/2"} {
		if a, err := s.Find(t.Context(), name); err != nil || a.Home != home {
			t.Errorf("Find(%q) = %+v, %v: want home %s", name, a, err, home)
		}
	}
	accountstest.TestStore(t, func(t *testing.T, list ...*accounts.Account) accounts.Store {
		m, err := accounts.NewMemory(list...)
		if err != nil {
			t.Fatal(err)
		}
		empty, err := accounts.NewMemory()
		if err != nil {
			t.Fatal(err)
		}
		return accounts.Join(empty, m)
	})
}

func TestCheckName(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"alice", "a b", "ünï@example.com", "...", "-x", strings.Repeat("x", 255)} {
		if err := accounts.CheckName(name); err != nil {
			t.Errorf("%q: %v", name, err)
		}
	}
	for _, name := range []string{
		"", ".", "..", "a/b", `a\b`, "{user}", " a", "a ", "a\nb", "a\x00", "\x1b[m", "\u009b31m", "\xff", strings.Repeat("x", 256),
	} {
		if err := accounts.CheckName(name); err == nil {
			t.Errorf("%q passes", name)
		}
	}
}

func TestSizes(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]int64{
		"0": 0, "1": 1, "1048576": 1 << 20, "1MiB": 1 << 20, "1MB": 1e6, "10 GiB": 10 << 30, "1.5KiB": 1536,
		"9223372036854775807": math.MaxInt64, "1g": 1e9,
	} {
		if got, err := accounts.ParseSize(s); got != want || err != nil {
			t.Errorf("ParseSize(%q) = %d, %v: want %d", s, got, err, want)
		}
	}
	for _, s := range []string{"", "-1", "+1", "MiB", "10 apples", "9223372036854775808", "100EiB", "NaN", "0x10"} {
		if got, err := accounts.ParseSize(s); err == nil {
			t.Errorf("ParseSize(%q) = %d: want an error", s, got)
		}
	}
}

func FuzzSize(f *testing.F) {
	for _, s := range []string{"0", "1024", "10GiB", "1.5kb", "9007199254740993", "-5", ""} {
		f.Add(s, int64(len(s))<<10)
	}
	f.Fuzz(func(t *testing.T, s string, n int64) {
		if got, err := accounts.ParseSize(s); err == nil {
			again, err := accounts.ParseSize(accounts.FormatSize(got))
			if got < 0 || err != nil || again != got {
				t.Errorf("%q is %d, written %s, read %d, %v", s, got, accounts.FormatSize(got), again, err)
			}
		}
		if n < 0 {
			return
		}
		if got, err := accounts.ParseSize(accounts.FormatSize(n)); got != n || err != nil {
			t.Errorf("%d is written %s and read %d, %v", n, accounts.FormatSize(n), got, err)
		}
	})
}

func FuzzNetwork(f *testing.F) {
	for _, s := range []string{"192.0.2.7", "192.0.2.0/24", "2001:db8::/32", "::ffff:192.0.2.7", "10.1.2.3/8", "fe80::1%eth0", "0.0.0.0/0", "x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		n, err := accounts.ParseNetwork(s)
		if err != nil {
			return
		}
		if again, err := accounts.ParseNetwork(accounts.FormatNetwork(n)); err != nil || again != n || n != n.Masked() {
			t.Errorf("%q is %v, written %s, read %v, %v", s, n, accounts.FormatNetwork(n), again, err)
		}
	})
}

func TestParseNetwork(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ given, says string }{
		{"10.1.2.3/8", "want 10.0.0.0/8 or 10.1.2.3"},
		{"10.0.0.0/33", "want an address"},
		{"localhost", "want an address"},
		{"fe80::1%eth0", "want an address"},
		{"::ffff:10.0.0.0/104", "want an address"},
	} {
		if n, err := accounts.ParseNetwork(tt.given); err == nil || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("ParseNetwork(%q) = %v, %v: want an error with %q", tt.given, n, err, tt.says)
		}
	}
}
