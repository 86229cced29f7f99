//go:build unix

package sandbox

import (
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
)

func TestLookup(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		user, group string
		uid, gid    int
		err         string
	}{
		{"root", "", 0, 0, ""},
		{"0", "", 0, 0, ""},
		{"root", "12345678", 0, 12345678, ""},
		{"12345678", "0", 12345678, 0, ""},
		{"", "12345678", os.Getuid(), 12345678, ""},
		{"12345678", "", 0, 0, "user 12345678 is not in the user database; a group must be named too"},
		{"nosuchuser", "", 0, 0, `user "nosuchuser" is not known on this system`},
		{"-1", "0", 0, 0, `user "-1" is not known`},
		{"4294967295", "0", 0, 0, `user "4294967295" is not known`},
		{"4294967296", "0", 0, 0, `user "4294967296" is not known`},
		{"root", "nosuchgroup", 0, 0, `group "nosuchgroup" is not known on this system`},
		{"root", "4294967295", 0, 0, `group "4294967295" is not known`},
	} {
		id, err := Lookup(tt.user, tt.group)
		switch {
		case tt.err != "":
			if err == nil || !strings.Contains(err.Error(), tt.err) {
				t.Errorf("%s:%s: error %v, want %s", tt.user, tt.group, err, tt.err)
			}
		case err != nil:
			t.Errorf("%s:%s: %v", tt.user, tt.group, err)
		case id.UID != tt.uid || id.GID != tt.gid || !slices.Contains(id.Groups, tt.gid):
			t.Errorf("%s:%s: %+v", tt.user, tt.group, id)
		}
	}
	id, err := Lookup("0", "12345678")
	if want := "root(0):12345678(12345678)"; err != nil || id.String() != want {
		t.Errorf("%v, %v, want %s", id, err, want)
	}
	if _, err := Lookup(strconv.Itoa(os.Getuid()), strconv.Itoa(os.Getgid())); err != nil {
		t.Errorf("own numbers: %v", err)
	}
}
