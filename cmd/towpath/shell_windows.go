package main

import (
	"os/exec"
	"syscall"
)

const (
	defaultEditor = "notepad"
	defaultPager  = "more"
)

// outside runs a line by cmd.exe, or that itself.
func outside(line string) *exec.Cmd {
	sh := firstSet("COMSPEC")
	if sh == "" {
		sh = "cmd"
	}
	c := exec.Command(sh)
	if line != "" { // cmd.exe reads its line in a way of its own
		c.SysProcAttr = &syscall.SysProcAttr{CmdLine: `"` + sh + `" /s /c "` + line + `"`}
	}
	return c
}
