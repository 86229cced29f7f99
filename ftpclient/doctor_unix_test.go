//go:build unix

package ftpclient_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"towpath/doctor/check"
	"towpath/doctor/probe"
	"towpath/ftpclient"
	"towpath/internal/strangers"
)

// TestDoctorWithStrangers has the doctor look at the servers of others, which
// say each thing in words of their own.
func TestDoctorWithStrangers(t *testing.T) {
	t.Parallel()
	for _, who := range strangers.Peers {
		t.Run(who.Name, func(t *testing.T) {
			t.Parallel()
			s := who.Start(t)
			if err := os.WriteFile(filepath.Join(s.Root, "sea.txt"), []byte("x"), 0o644); err != nil {
				t.Fatal(err)
			}
			o := ftpclient.Options{User: who.User, Password: who.Password, DataTimeout: patience, Timeout: patience}
			r, err := probe.Run(testContext(t), probe.Target{Addr: s.Addr(), Options: o, Idle: 10 * time.Millisecond})
			if err != nil {
				t.Fatal(err)
			}
			var all bytes.Buffer
			if err := r.WriteText(&all, true); err != nil {
				t.Fatal(err)
			}
			t.Log(all.String())
			if r.Answer() != check.Yes || !strings.HasSuffix(r.Verdict, " PASV, EPSV, PORT and EPRT work.") { // some run without TLS here
				t.Errorf("%v: %s", r.Answer(), r.Verdict)
			}
		})
	}
}
