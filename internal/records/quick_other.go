//go:build !linux

package records

import "net"

// quickACK does nothing: only Linux can acknowledge at once by request.
func quickACK(*net.TCPConn) {}
