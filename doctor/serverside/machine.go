package serverside

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/netip"
	"slices"
	"time"

	"towpath/firewall"
	"towpath/ftp"
	"towpath/internal/config"
)

// Machine is what is asked of the machine that the server runs on. [This] is
// the one that we run on.
type Machine struct {
	// Addresses are those of its interfaces.
	Addresses func() ([]netip.Addr, error)
	// Resolve finds the addresses of a name.
	Resolve func(ctx context.Context, name string) ([]netip.Addr, error)
	// Bind binds an address, and lets it go.
	Bind func(ctx context.Context, addr string) error
	// Greeting connects to an address and returns the first line that is said.
	Greeting func(ctx context.Context, addr string) (string, error)
	// Listening are the TCP ports on which programs listen.
	Listening func() ([]uint16, error)
	// Rules reads the rules of its firewall.
	Rules func() (Rules, error)
	// Helper says what the kernel's FTP helper does by itself.
	Helper func() (Helper, error)
	Now    func() time.Time
}

// Rules are those of a firewall: see [firewall.Standing].
type Rules interface {
	Input(to netip.AddrPort) (firewall.Leave, string)
	Helped(way firewall.Way, port uint16) firewall.Leave
}

// Helper is the FTP helper of a kernel.
type Helper struct {
	// Loaded is true if the kernel has it.
	Loaded bool
	// Ports are those that it reads without a rule; since Linux 6.0 none.
	Ports []uint16
}

// This is the machine that we run on.
func This() Machine {
	return Machine{
		Addresses: ownAddresses,
		Resolve: func(ctx context.Context, name string) ([]netip.Addr, error) {
			ctx, cancel := context.WithTimeout(ctx, patience)
			defer cancel()
			return net.DefaultResolver.LookupNetIP(ctx, "ip", name)
		},
		Bind: func(ctx context.Context, addr string) error {
			var c net.ListenConfig
			l, err := c.Listen(ctx, config.ListenNetwork(addr), addr)
			if err != nil {
				return err
			}
			return l.Close()
		},
		Greeting:  greeting,
		Listening: listening,
		Rules: func() (Rules, error) {
			s, err := firewall.ReadStanding(0)
			if err != nil {
				return nil, err
			}
			return s, nil
		},
		Helper: kernelHelper,
		Now:    time.Now,
	}
}

// patience is how long others may take to answer.
const patience = 5 * time.Second

func ownAddresses() ([]netip.Addr, error) {
	all, err := net.InterfaceAddrs()
	if err != nil {
		return nil, err
	}
	var own []netip.Addr
	for _, a := range all {
		if n, ok := a.(*net.IPNet); ok {
			if ip, ok := netip.AddrFromSlice(n.IP); ok {
				own = append(own, ip.Unmap())
			}
		}
	}
	slices.SortFunc(own, netip.Addr.Compare)
	return slices.Compact(own), nil
}

func greeting(ctx context.Context, addr string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var d net.Dialer
	c, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return "", err
	}
	defer c.Close()
	if err := c.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return "", err
	}
	line, err := bufio.NewReaderSize(io.LimitReader(c, ftp.MaxLine), ftp.MaxLine).ReadString('\n')
	if err != nil && line == "" {
		return "", err
	}
	return line, nil
}
