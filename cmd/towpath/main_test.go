package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// programs are what the test binary is when it is started under their names:
// towpath itself, and what some tests need beside it. So the race detector
// looks at the processes that tests start, too.
var programs = map[string]func(){"towpath": main, "pftp": main}

func TestMain(m *testing.M) {
	name := strings.TrimSuffix(filepath.Base(os.Args[0]), ".exe")
	if run, ok := programs[name]; ok {
		run()
		os.Exit(0)
	}
	code, err := withPrograms(m.Run)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = max(code, 1)
	}
	os.Exit(code)
}

// withPrograms runs with the programs in PATH.
func withPrograms(run func() int) (code int, err error) {
	dir, err := os.MkdirTemp("", "towpath-programs")
	if err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	self, err := os.Executable()
	if err != nil {
		return 1, err
	}
	for name := range programs {
		if runtime.GOOS == "windows" {
			name += ".exe"
		}
		at := filepath.Join(dir, name)
		if os.Link(self, at) != nil { // another disk
			if err := os.Symlink(self, at); err != nil {
				return 1, err
			}
		}
	}
	if err := os.Setenv("PATH", dir+string(os.PathListSeparator)+os.Getenv("PATH")); err != nil {
		return 1, err
	}
	return run(), nil
}
