package alone

import (
	"bytes"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// variable says that this process is in a network namespace of its own.
const variable = "TOWPATH_ALONE"

// Inside has the test or benchmark that calls it run in a network namespace of its
// own, by starting the test binary again. It reports whether it is there already;
// then the loopback interface is on. The namespace goes with its last process,
// whatever is left in it. Where the kernel makes none the test is skipped.
func Inside(t testing.TB) bool {
	t.Helper()
	if os.Getenv(variable) != "" {
		loopback(t)
		return true
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	// What is parallel in there waits, mostly: for packets that do not come, say.
	args := []string{"-test.run=^" + t.Name() + "$", "-test.v", "-test.timeout=2m", "-test.parallel=16"}
	if b, ok := t.(*testing.B); ok {
		if b.N > 1 {
			return false // there it counts for itself
		}
		args = []string{"-test.run=^$", "-test.bench=^" + t.Name() + "$", "-test.timeout=2m"}
	}
	c := exec.CommandContext(t.Context(), self, args...)
	c.Env = append(os.Environ(), variable+"=1", "PATH="+os.Getenv("PATH")+":/usr/sbin:/sbin")
	c.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNET,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
	}
	var out bytes.Buffer
	c.Stdout, c.Stderr = &out, &out
	if err := c.Start(); err != nil {
		t.Skipf("the kernel makes no namespace for us: %v (user.max_user_namespaces, kernel.unprivileged_userns_clone or AppArmor may forbid it)", err)
	}
	err = c.Wait()
	switch text := out.String(); {
	case err != nil:
		t.Errorf("%v\n%s", err, text)
	case strings.Contains(text, "--- SKIP: "+t.Name()+" "):
		t.Skip(text)
	default:
		t.Log(text)
	}
	return false
}

// loopback switches the one interface of a new namespace on.
func loopback(t testing.TB) {
	t.Helper()
	s, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Close(s) }() // nothing was written
	r, err := unix.NewIfreq("lo")
	if err != nil {
		t.Fatal(err)
	}
	r.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	if err := unix.IoctlIfreq(s, unix.SIOCSIFFLAGS, r); err != nil {
		t.Fatalf("switch lo on: %v", err)
	}
}
