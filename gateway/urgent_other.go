//go:build !linux

package gateway

import "net"

// urgent is not said here: the command goes on without an interrupt.
func urgent(net.Conn) bool { return false }
