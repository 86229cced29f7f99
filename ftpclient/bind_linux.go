package ftpclient

import (
	"context"
	"syscall"
)

// ipBindAddressNoPort is IP_BIND_ADDRESS_NO_PORT of ip(7).
const ipBindAddressNoPort = 24

// bindLate leaves the choice of the local port to connect. At bind the other end
// is not known yet, so that a port must be free altogether; after some thousand
// uploads, whose connections rest in TIME_WAIT on our side, looking for one took
// 5 ms of the kernel each time.
func bindLate(_ context.Context, _, _ string, c syscall.RawConn) error {
	// A kernel that cannot do it binds as ever.
	return c.Control(func(fd uintptr) { _ = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_IP, ipBindAddressNoPort, 1) })
}
