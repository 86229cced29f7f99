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
)

// TestDoctorWithStrangers has the doctor look at the servers of others, which
// say each thing in words of their own.
func TestDoctorWithStrangers(t *testing.T) {
	t.Parallel()
	for _, who := range strangers {
		t.Run(who.name, func(t *testing.T) {
			t.Parallel()
			s := host(t, who.program, who.asRoot, who.command)
			if err := os.WriteFile(filepath.Join(s.root, "sea.txt"), []byte("x"), 0o644); err != nil {
				t.Fatal(err)
			}
			o := ftpclient.Options{User: who.user, Password: who.password, DataTimeout: patience, Timeout: patience}
			r, err := probe.Run(testContext(t), probe.Target{Addr: s.addr(), Options: o, Idle: 10 * time.Millisecond})
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
