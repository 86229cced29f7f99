package firewall

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// ownerVariable has the test binary open a pinhole and wait to be killed.
const ownerVariable = "TOWPATH_FIREWALL_OWNER"

func TestMain(m *testing.M) {
	if os.Getenv(ownerVariable) == "" {
		os.Exit(m.Run())
	}
	if err := owner(); err != nil {
		fmt.Println("error:", err)
		os.Exit(1)
	}
}

// owner opens a pinhole, says so, and waits for its standard input to end.
func owner() error {
	n, err := OpenNetfilter(NetfilterOptions{})
	if err != nil {
		return err
	}
	if _, err := n.Open(context.Background(), Pinhole{
		From: netip.MustParseAddr("127.0.0.2"), To: netip.MustParseAddrPort("127.0.0.1:50000"), Life: time.Minute,
	}); err != nil {
		return err
	}
	fmt.Println("open")
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

// Owner is the command of a process that opens a pinhole from 127.0.0.2 to
// 127.0.0.1:50000, prints "open", and goes on for as long as its input does.
func Owner(t *testing.T) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := exec.CommandContext(t.Context(), self)
	c.Env = append(os.Environ(), ownerVariable+"=1")
	return c
}

// insideVariable says that this process is in a network namespace of its own.
const insideVariable = "TOWPATH_FIREWALL_INSIDE"

// InNamespace has the test that calls it run in a network namespace of its own,
// where an ordinary user may do as root does, by starting the test binary
// again. It reports whether it is there already. The namespace goes with its
// last process, whatever is left in it.
func InNamespace(t testing.TB) bool {
	t.Helper()
	if os.Getenv(insideVariable) != "" {
		loopback(t)
		return true
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	args := []string{"-test.run=^" + t.Name() + "$", "-test.v", "-test.timeout=2m"}
	if b, ok := t.(*testing.B); ok {
		if b.N > 1 {
			return false // there it counts for itself
		}
		args = []string{"-test.run=^$", "-test.bench=^" + t.Name() + "$", "-test.timeout=2m"}
	}
	c := exec.CommandContext(t.Context(), self, args...)
	c.Env = append(os.Environ(), insideVariable+"=1", "PATH="+os.Getenv("PATH")+":/usr/sbin:/sbin")
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
	ifr, err := unix.NewIfreq("lo")
	if err != nil {
		t.Fatal(err)
	}
	ifr.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	if err := unix.IoctlIfreq(s, unix.SIOCSIFFLAGS, ifr); err != nil {
		t.Fatalf("switching lo on: %v", err)
	}
}
