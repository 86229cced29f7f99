//go:build !linux

package ftpserver

import "net"

// quickACK does nothing: only Linux can acknowledge at once by request.
func quickACK(*net.TCPConn) {}
