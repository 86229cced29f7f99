package systemd

import (
	"errors"
	"fmt"
	"net"

	"github.com/coreos/go-systemd/v22/activation"
)

// Socket is a listening socket that the service manager opened.
type Socket struct {
	// Name is what FileDescriptorName= of the socket unit says, or the name
	// of the unit; "LISTEN_FD_3" and so on when the manager gave none.
	Name string
	net.Listener
}

// Sockets takes the sockets that the service manager hands over (sd_listen_fds(3)),
// in their order, and clears the variables of the protocol. Without any it
// returns none. One that is not a listening stream socket is an error, and then
// all are closed.
func Sockets() ([]Socket, error) {
	var (
		sockets []Socket
		faults  []error
	)
	for _, f := range activation.Files(true) {
		l, err := net.FileListener(f) // a duplicate, close-on-exec and non-blocking
		_ = f.Close()                 // reading nothing from it, so nothing can be lost
		if err != nil {
			faults = append(faults, fmt.Errorf("socket %q of the service manager is no listening stream socket: %w", f.Name(), err))
			continue
		}
		sockets = append(sockets, Socket{Name: f.Name(), Listener: l})
	}
	if faults == nil {
		return sockets, nil
	}
	for _, s := range sockets {
		faults = append(faults, s.Close())
	}
	return nil, errors.Join(faults...)
}
