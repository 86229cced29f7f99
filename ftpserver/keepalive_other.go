//go:build !linux

package ftpserver

import (
	"net"
	"time"
)

// keepAlive cannot be set for all connections of a listener here.
func keepAlive(net.Listener, time.Duration) bool { return false }
