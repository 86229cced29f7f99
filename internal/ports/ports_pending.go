//go:build !linux

package ports

import "net"

// isPending does not know: only on Linux is an accept behind it sure not to
// block.
func isPending(*net.TCPListener) bool { return false }
