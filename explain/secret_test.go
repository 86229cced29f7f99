package explain

import (
	"strings"
	"testing"
)

// A server that repeats a password does not give it away, and a password of few
// letters does not take them from what others say.
func TestBlot(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ password, reply, want string }{
		{"abc", "Login failed for anna: password abc", "Login failed for anna: password ****"},
		{"abc", "'abc' (abc): abc.", "'****' (****): ****."},
		{"abc", "abcd, _abc, 1abc and xabc", "abcd, _abc, 1abc and xabc"},
		{"a", "a user has a password: a", "**** user has **** password: ****"},
		{"a", "Last failure at 12a", "Last failure at 12a"},
		{"aa", "aaa aa", "aaa ****"},
		{"é", "café é", "café ****"},
		{"!", "No! Never !", "No! Never ****"},
		{"12", "12 of 120 users, 12 left", "**** of 120 users, **** left"},
		{"wordy", "password wordywordy", "password ********"},
	} {
		t.Run(c.password+" in "+c.reply, func(t *testing.T) {
			t.Parallel()
			s := played(t, Options{}, "S: 220 ready\nC: USER anna\nS: 331 password\nC: PASS "+c.password+"\nS: 530 "+c.reply+"\nC: STAT\nS: 211 "+c.reply)
			if got := s.Commands[2].Reply; got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
			// What else is said has nothing to do with a short one.
			if got := s.Commands[3].Reply; len(c.password) <= mostWord && got != c.reply {
				t.Errorf("got %q, want %q", got, c.reply)
			}
			shown := played(t, Options{ShowSecrets: true}, "S: 220 ready\nC: USER anna\nS: 331 password\nC: PASS "+c.password+"\nS: 530 "+c.reply)
			if got := shown.Commands[2].Reply; got != c.reply {
				t.Errorf("with secrets: got %q, want %q", got, c.reply)
			}
			for _, f := range s.Findings {
				if strings.Contains(f.Text, "password "+c.password) {
					t.Errorf("%s tells the password: %s", f.ID, f.Text)
				}
			}
		})
	}
}

// What is said of a new name is hidden too, as some servers repeat the old login.
func TestBlotUser(t *testing.T) {
	t.Parallel()
	s := played(t, Options{}, "S: 220 ready\nC: USER anna\nS: 331 password\nC: PASS abc\nS: 530 no\nC: USER ben\nS: 331 not abc again")
	if got := s.Commands[3].Reply; got != "not **** again" {
		t.Errorf("got %q", got)
	}
}
