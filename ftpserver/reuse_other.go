//go:build !unix

package ftpserver

import "syscall"

// reuse does nothing where SO_REUSEADDR means something else (Windows).
func reuse(_, _ string, _ syscall.RawConn) error { return nil }
