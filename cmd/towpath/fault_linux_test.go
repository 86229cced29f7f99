package main

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
)

func init() { programs["towpath-small-disk"] = serveSmallDisk }

// serveSmallDisk is "towpath serve DIR" in a mount namespace of its own, where
// DIR is a disk of 4 MiB.
func serveSmallDisk() {
	err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, "")
	if err == nil {
		err = syscall.Mount("tmpfs", os.Args[2], "tmpfs", 0, "size=4m")
	}
	if err != nil {
		fmt.Println("cannot mount:", err)
		os.Exit(1)
	}
	main()
}

// A full disk refuses the upload that does not fit, keeps the old file, and
// has room again for what does.
func TestDiskFull(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c := command(t, "towpath-small-disk", serveArgs(dir)...)
	c.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}
	if os.Geteuid() != 0 {
		c.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		c.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}}
		c.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}}
	}
	// Asked beforehand: "towpath version" there.
	try := command(t, "towpath-small-disk", "version", t.TempDir())
	try.SysProcAttr = c.SysProcAttr
	if out, err := try.CombinedOutput(); errors.Is(err, syscall.EPERM) || strings.HasPrefix(string(out), "cannot mount") {
		t.Skipf("this kernel lets nobody but root make a mount namespace: %v %s", err, out)
	}
	s := launch(t, dir, c)
	client := s.login()
	old := content(1 << 20)
	client.Put("STOR old", old)
	for _, command := range []string{"STOR old", "STOR new", "APPE old", "STOU"} {
		d := begin(client, command)
		_, _ = d.Write([]byte(content(8 << 20))) // cut off on the way
		_ = d.Close()
		client.Expect(452)
		if got := names(client); got != "old" {
			t.Errorf("%s: %q are there, want the old file alone", command, got)
		}
		if client.Get("RETR old") != old {
			t.Errorf("%s: the old file has changed", command)
		}
		if n := size(t, client, "new"); n >= 0 {
			t.Errorf("%s: %d bytes are left in the way", command, n)
		}
		client.Put("STOR other", content(2<<20))
		client.Do("DELE other", 250)
	}
	if again := s.login(); names(again) != "old" {
		t.Error("the server does not go on")
	}
}
