//go:build !windows

package main

import (
	"os/exec"
)

const (
	defaultEditor = "vi"
	defaultPager  = "more"
)

// outside runs a line by the shell of the user, or that shell itself.
func outside(line string) *exec.Cmd {
	sh := firstSet("SHELL")
	if sh == "" {
		sh = "/bin/sh"
	}
	if line == "" {
		return exec.Command(sh)
	}
	return exec.Command(sh, "-c", line)
}
