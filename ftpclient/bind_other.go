//go:build !linux

package ftpclient

import (
	"context"
	"syscall"
)

// bindLate is for Linux, which can choose the local port late.
func bindLate(context.Context, string, string, syscall.RawConn) error { return nil }
