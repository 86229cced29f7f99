package ftpserver

import (
	"net"
	"time"
)

// keepAliveProbes are how many times nobody may answer before a control
// connection counts as dead.
const keepAliveProbes = 4

// keepConnAlive switches TCP keep-alive on for one connection, as far as its
// system can.
func keepConnAlive(conn net.Conn, every time.Duration) {
	if t, ok := conn.(*net.TCPConn); ok && every > 0 {
		_ = t.SetKeepAliveConfig(net.KeepAliveConfig{Enable: true, Idle: every, Interval: every, Count: keepAliveProbes}) // a wish
	}
}
