package lab

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"syscall"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// host is one network namespace: a client, a server, a router, or a switch.
type host struct {
	name string
	ns   netns.NsHandle
	nl   *netlink.Handle
}

// newHost makes a namespace in which nothing is but loopback, up.
func newHost(name string) (*host, error) {
	h := &host{name: name}
	made := make(chan error, 1)
	// The thread that unshares is not given back to others: it ends with its
	// goroutine, since that ends locked.
	go func() {
		runtime.LockOSThread()
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			made <- os.NewSyscallError("unshare", err)
			return
		}
		// The /proc that is mounted may be that of other processes than ours; its
		// thread-self is right all the same.
		fd, err := unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		h.ns = netns.NsHandle(fd)
		made <- err
	}()
	if err := <-made; err != nil {
		return nil, fmt.Errorf("host %s: %w", name, err)
	}
	err := h.do(func() (err error) { h.nl, err = netlink.NewHandle(); return err })
	if err == nil {
		err = h.up("lo")
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("host %s: %w", name, err), h.close())
	}
	return h, nil
}

func (h *host) close() error {
	if h.nl != nil {
		h.nl.Close()
	}
	return h.ns.Close()
}

// do runs f on a thread that is on the host: sockets that f opens and programs
// that it starts belong there.
func (h *host) do(f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // for ever: the thread ends with the goroutine
		if err := netns.Set(h.ns); err != nil {
			done <- fmt.Errorf("host %s: %w", h.name, err)
			return
		}
		done <- f()
	}()
	return <-done
}

// start starts a program on the host. It is killed when we end, whichever way.
func (h *host) start(cmd *exec.Cmd) error {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setpgid = true // so that its children can be ended with it
	return h.do(cmd.Start)
}

// kill ends a program that was started on a host, and its children.
func kill(cmd *exec.Cmd) {
	_ = unix.Kill(-cmd.Process.Pid, unix.SIGKILL) // it may have ended
	_ = cmd.Wait()                                // as it must, killed
}

// sysctl sets a value below /proc/sys/net.
func (h *host) sysctl(name, value string) error {
	return h.do(func() error { return os.WriteFile("/proc/sys/net/"+name, []byte(value), 0) })
}

// up brings an interface up.
func (h *host) up(name string) error {
	l, err := h.nl.LinkByName(name)
	if err != nil {
		return fmt.Errorf("host %s: interface %s: %w", h.name, name, err)
	}
	return h.nl.LinkSetUp(l)
}

// address gives an interface an address.
func (h *host) address(name string, a netip.Prefix) error {
	l, err := h.nl.LinkByName(name)
	if err == nil {
		err = h.nl.AddrAdd(l, &netlink.Addr{
			IPNet: ipNet(a),
			Flags: unix.IFA_F_NODAD, // IPv6 would wait to see whether somebody else has it
		})
	}
	if err != nil {
		return fmt.Errorf("host %s: address %v on %s: %w", h.name, a, name, err)
	}
	return nil
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: net.IP(p.Addr().AsSlice()), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}

// wire joins two hosts by a cable: an interface on each, both up.
func wire(a *host, aName string, b *host, bName string) error {
	veth := &netlink.Veth{
		LinkAttrs:     netlink.LinkAttrs{Name: aName, MTU: 1500, Namespace: netlink.NsFd(int(a.ns))},
		PeerName:      bName,
		PeerNamespace: netlink.NsFd(int(b.ns)),
	}
	if err := a.nl.LinkAdd(veth); err != nil {
		return fmt.Errorf("cable from %s of %s to %s of %s: %w", aName, a.name, bName, b.name, err)
	}
	return errors.Join(a.up(aName), b.up(bName))
}

// bridge makes a switch out of a host: all its interfaces are one segment.
func (h *host) bridge(ports ...string) error {
	br := &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "br0"}}
	if err := h.nl.LinkAdd(br); err != nil {
		return fmt.Errorf("switch %s: %w", h.name, err)
	}
	for _, p := range ports {
		l, err := h.nl.LinkByName(p)
		if err == nil {
			err = h.nl.LinkSetMaster(l, br)
		}
		if err != nil {
			return fmt.Errorf("switch %s: port %s: %w", h.name, p, err)
		}
	}
	return h.up("br0")
}
