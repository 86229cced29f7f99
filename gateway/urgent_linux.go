package gateway

import (
	"net"
	"syscall"
)

// urgent says the interrupt of Telnet and its Synch (RFC 854), so that a server
// hears ABOR while it sends: IAC IP, then an urgent IAC. DM is to follow.
func urgent(c net.Conn) bool {
	raw, err := c.(*net.TCPConn).SyscallConn()
	if err != nil {
		return false
	}
	var sent error
	err = raw.Write(func(fd uintptr) bool {
		if sent = syscall.Sendto(int(fd), []byte{iac, telnetIP}, 0, nil); sent == syscall.EAGAIN {
			return false
		}
		if sent == nil {
			sent = syscall.Sendto(int(fd), []byte{iac}, syscall.MSG_OOB, nil)
		}
		return true
	})
	return err == nil && sent == nil
}
