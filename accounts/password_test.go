package accounts_test

import (
	"strings"
	"testing"

	"towpath/accounts"
	"towpath/accounts/accountstest"
)

// What libxcrypt 4.4 makes of one password.
const cryptPassword = "Grüße, sea!"

var cryptHashes = map[string]string{
	"$6$rounds=1000$saltsalt$BDUIvzPToVOT3HMwiiWLtaX1Ndb08WxcZip3oEYVfTnym0yAF3Qm7f3JkPD2GaafFgjNtBmTuhAO0vzeMqI//.": "sha512-crypt",
	"$6$seasalt$nuMJpq5ldyhNJetc.iHPOZm.sDPOwiLRVpHfXHla4FH5cqyYndqKE7l95nas53FZX1e7vGrNi27TdYPjoQY5U.":              "sha512-crypt",
	"$5$rounds=1234$abc$P5Va8e/WylJBZMV8xfeXX4ZZS0jXWDcwW7O.9pAGGh2":                                                 "sha256-crypt",
	"$5$abcd$37HTJ/cNzam7J6gZevJmTvM8NSbPEkIUxRRgSMjpK9.":                                                            "sha256-crypt",
	"$1$abcd$Y8f6fNYOZ1lTa31A0OE0M1":                                                                                 "md5-crypt",
	"$2b$05$abcdefghijklmnopqrstuu0puyKE60wyoLuETtCB/EkH9I1.c4W9e":                                                   "bcrypt",
	"$2y$05$abcdefghijklmnopqrstuu0puyKE60wyoLuETtCB/EkH9I1.c4W9e":                                                   "bcrypt",
	"$y$j75$F5Jx5fExrKuPp53xLKQ..1$EwwlshZaJsMmPak2dP45dkXQe8Ucxq4MSdTDrqmoOU8":                                      "yescrypt",
}

func TestCheckReadsOldHashes(t *testing.T) {
	t.Parallel()
	for hash, scheme := range cryptHashes {
		if ok, err := accounts.Check(hash, cryptPassword); !ok || err != nil {
			t.Errorf("%s: the right password: %v, %v", hash, ok, err)
		}
		for _, wrong := range []string{"", "Grüße, sea", "Grüße, sea!\x00", strings.Repeat("x", 2000)} {
			if ok, err := accounts.Check(hash, wrong); ok || err != nil {
				t.Errorf("%s: the wrong password %.20q: %v, %v", hash, wrong, ok, err)
			}
		}
		if got := accounts.Scheme(hash); got != scheme {
			t.Errorf("Scheme(%q) = %q, want %q", hash, got, scheme)
		}
	}
	if ok, err := accounts.Check(accountstest.Hash, accountstest.Password); !ok || err != nil {
		t.Errorf("the hash of the kit: %v, %v", ok, err)
	}
}

func TestHash(t *testing.T) {
	t.Parallel()
	one, err1 := accounts.Hash("sea horse")
	two, err2 := accounts.Hash("sea horse")
	if err1 != nil || err2 != nil {
		t.Fatal(err1, err2)
	}
	if !strings.HasPrefix(one, "$argon2id$v=19$m=19456,t=2,p=1$") || one == two {
		t.Errorf("hashes %s and %s: want two of argon2id with salts of their own", one, two)
	}
	if ok, err := accounts.Check(one, "sea horse"); !ok || err != nil {
		t.Errorf("the right password: %v, %v", ok, err)
	}
	if ok, err := accounts.Check(one, "sea house"); ok || err != nil {
		t.Errorf("the wrong password: %v, %v", ok, err)
	}
	for _, s := range []string{"", "a\nb", "a\rb", "a\x00", strings.Repeat("x", 1025)} {
		if h, err := accounts.Hash(s); err == nil {
			t.Errorf("Hash(%.20q) = %s: want an error", s, h)
		}
	}
}

// A salt may be short or missing; crypt(3) takes that.
func TestCheckShortSalts(t *testing.T) {
	t.Parallel()
	for _, hash := range []string{"$1$$" + strings.Repeat("a", 22), "$5$$" + strings.Repeat("a", 43), "$6$x$" + strings.Repeat("a", 86)} {
		for _, password := range []string{"", "x", strings.Repeat("x", 1024)} {
			if ok, err := accounts.Check(hash, password); ok || err != nil {
				t.Errorf("Check(%q, %.10q) = %v, %v: want a plain no", hash, password, ok, err)
			}
		}
	}
}

// A hash that is wrong, or would take the machine down, is told apart at once,
// and never shown: it may be a password in the wrong place.
func TestCheckHashRefuses(t *testing.T) {
	t.Parallel()
	const key22, key43 = "aaaaaaaaaaaaaaaaaaaaaa", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	for _, hash := range []string{
		"", "secret1", "{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=", "*", "!", "x",
		"$argon2id$", "$argon2i$v=19$m=64,t=1,p=1$c2Vhc2Vhc2VhMTIz$" + key43,
		"$argon2id$v=16$m=64,t=1,p=1$c2Vhc2Vhc2VhMTIz$" + key43,
		"$argon2id$v=19$m=99999999,t=1,p=1$c2Vhc2Vhc2VhMTIz$" + key43,
		"$argon2id$v=19$m=64,t=0,p=1$c2Vhc2Vhc2VhMTIz$" + key43,
		"$argon2id$v=19$m=64,t=1,p=256$c2Vhc2Vhc2VhMTIz$" + key43,
		"$argon2id$v=19$t=1,m=64,p=1$c2Vhc2Vhc2VhMTIz$" + key43,
		"$argon2id$v=19$m=64,t=1,p=1$c2Vh$" + key43,
		"$argon2id$v=19$m=64,t=1,p=1$c2Vhc2Vhc2VhMTIz$",
		"$2b$31$abcdefghijklmnopqrstuu0puyKE60wyoLuETtCB/EkH9I1.c4W9e",
		"$2b$05$tooshort", "$2b$xx$abcdefghijklmnopqrstuu0puyKE60wyoLuETtCB/EkH9I1.c4W9e",
		"$6$salt$short", "$6$rounds=999999999$salt$" + strings.Repeat("a", 86), "$6$saltsaltsaltsalt5$" + strings.Repeat("a", 86),
		"$5$rounds=1$a$" + key43, "$5$a$" + strings.Repeat("!", 43),
		"$1$waytoolong$" + key22, "$1$a$" + key22 + "a", "$1$a",
		"$y$", "$y$jzz$abcd$" + key43, "$y$jFT$abcd$" + key43, "$y$j75$a$" + key43, "$y$k75$abcd$" + key43,
	} {
		err := accounts.CheckHash(hash)
		if err == nil {
			t.Errorf("%q passes", hash)
			continue
		}
		if tail := hash[strings.LastIndexByte(hash, '$')+1:]; len(tail) > 5 && strings.Contains(err.Error(), tail) {
			t.Errorf("%q is shown by %q", hash, err)
		}
		if ok, err := accounts.Check(hash, ""); ok || err == nil {
			t.Errorf("Check(%q) = %v, %v: want an error", hash, ok, err)
		}
	}
}

func FuzzCheckHash(f *testing.F) {
	f.Add(accountstest.Hash)
	for hash := range cryptHashes {
		f.Add(hash)
	}
	f.Fuzz(func(t *testing.T, hash string) {
		if accounts.CheckHash(hash) == nil && accounts.Scheme(hash) == "" {
			t.Errorf("%q passes and is of no scheme", hash)
		}
	})
}
