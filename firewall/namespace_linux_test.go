package firewall

import (
	"context"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"testing"
	"time"
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
