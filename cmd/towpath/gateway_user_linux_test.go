package main

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"towpath/internal/sandbox"
)

// A gateway that was started as root becomes somebody else when its rules are made,
// and can still take them away. One that makes none keeps no right at all.
func TestGatewayBecomesUser(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("only root may become another user")
	}
	nobody, err := sandbox.Lookup("nobody", "")
	if err != nil {
		t.Skipf("this host has no user nobody: %v", err)
	}
	for plane, rights := range map[string]string{"kernel": "0000000000001000", "user": "0000000000000000"} {
		logs := t.TempDir()
		if err := os.Chmod(filepath.Dir(logs), 0o755); err != nil { // the way to it
			t.Fatal(err)
		}
		record := filepath.Join(logs, "record")
		c := command(t, "towpath", "gateway", "--listen", ":21", "--to", "192.0.2.1", "--data", plane, "--user-id", "nobody", "--record", record)
		c.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET} // its rules shall not be those of this host
		try := command(t, "towpath", "--version")
		try.SysProcAttr = c.SysProcAttr
		if err := try.Run(); err != nil {
			t.Skipf("the kernel makes no network namespace for us: %v", err)
		}
		p := start(t, c)
		p.log.await(t, "privileges")
		p.out.await(t, `^Try:$`)
		status := read(t, "/proc/"+strconv.Itoa(p.Process.Pid)+"/status")
		for _, want := range []string{"\nUid:\t" + strings.Repeat(strconv.Itoa(nobody.UID)+"\t", 3), "\nCapEff:\t" + rights, "\nCapPrm:\t" + rights, "\nNoNewPrivs:\t1\n"} {
			if !strings.Contains(status, want) {
				t.Errorf("%s: the process lacks %q:\n%s", plane, want, status)
			}
		}
		if fi, err := os.Stat(record); err != nil || int(fi.Sys().(*syscall.Stat_t).Uid) != nobody.UID {
			t.Errorf("%s: the record is not his: %v, %v", plane, fi, err)
		}
		p.signal(syscall.SIGTERM)
		if code := p.wait(); code != 0 {
			t.Errorf("%s: exit code %d", plane, code)
		}
	}
}
