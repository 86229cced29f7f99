package config

import (
	"fmt"
	"io/fs"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// thisHost asks the kernel. What it does not tell is taken as harmless.
func thisHost() host {
	h := osHost()
	if !mayBindLow() {
		h.lowest = 1024
		if data, err := os.ReadFile("/proc/sys/net/ipv4/ip_unprivileged_port_start"); err == nil {
			_, _ = fmt.Sscan(string(data), &h.lowest) // on an error 1024 stays
		}
	}
	if data, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range"); err == nil {
		h.ephemeral, _ = ParsePorts(strings.Join(strings.Fields(string(data)), "-")) // on an error: not known
	}
	return h
}

// mayBindLow reports whether this process has CAP_NET_BIND_SERVICE, as root does.
func mayBindLow() bool {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		return os.Geteuid() == 0
	}
	return data[0].Effective&(1<<unix.CAP_NET_BIND_SERVICE) != 0
}

func worldReadable(info fs.FileInfo) bool { return info.Mode().Perm()&0o004 != 0 }
