//go:build !linux

package alive

import (
	"net"
	"time"
)

// Conn has TCP ask so often whether the other end of c lives. c may be what a
// listener made of a connection. 0 and less is never, and changes nothing.
func Conn(c net.Conn, every time.Duration) {
	t, ok := c.(interface {
		SetKeepAliveConfig(net.KeepAliveConfig) error
	})
	if ok && every > 0 {
		_ = t.SetKeepAliveConfig(net.KeepAliveConfig{Enable: true, Idle: every, Interval: every, Count: probes}) // a wish
	}
}

// Listener cannot do so for all connections of a listener here.
func Listener(net.Listener, time.Duration) bool { return false }
