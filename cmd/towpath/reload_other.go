//go:build !unix

package main

import "os"

// reloadSignals are none: this system has no SIGHUP.
var reloadSignals []os.Signal
