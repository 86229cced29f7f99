package lab

import (
	"os/user"
	"testing"
)

func TestLent(t *testing.T) {
	t.Parallel()
	me := &user.User{Username: "horse", Uid: "1001"}
	for text, want := range map[string]uint64{
		"":                     0,
		"barge:100000:65536\n": 0,
		"barge:100000:65536\nhorse:165536:65536\n": 165536,
		"horse:165536:65535":                       165536,
		"horse:165536:1000\nhorse:231072:65536\n":  231072, // the first is too small
		"1001:300000:65536\n":                      300000,
		"horse:many:65536\nhorse:1\n:::\n":         0,
		"horse:-1:65536\nhorse:5000000000:65536\n": 0,
	} {
		if got, ok := lent(text, me); got != want || ok != (want > 0) {
			t.Errorf("%q: got %d, %v, want %d", text, got, ok, want)
		}
	}
}
