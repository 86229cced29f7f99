//go:build !linux

package gateway

import "syscall"

// lateBind is how it is here without asking.
func lateBind(string, string, syscall.RawConn) error { return nil }
