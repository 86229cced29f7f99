//go:build !unix

package ftpserver

import "net"

// waiting cannot look without reading here. Only an upload that can afford to
// wait finds out.
func waiting(net.Conn) bool { return false }
