package serverside

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
)

// listening reads the sockets that the kernel lists as waiting for connections.
func listening() ([]uint16, error) {
	var all []uint16
	for _, name := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		text, err := os.ReadFile(name)
		switch {
		case absent(err) && name != "/proc/net/tcp": // a kernel without IPv6
			continue
		case err != nil:
			return nil, err
		}
		ports, err := listeners(text)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		all = append(all, ports...)
	}
	slices.Sort(all)
	return slices.Compact(all), nil
}

// listeners reads /proc/net/tcp: a line for each socket, with the local address
// in the second field and the state in the fourth, 0A for one that listens.
func listeners(text []byte) ([]uint16, error) {
	var ports []uint16
	lines := bufio.NewScanner(bytes.NewReader(text))
	for first := true; lines.Scan(); first = false {
		f := strings.Fields(lines.Text())
		if first || len(f) < 4 || f[3] != "0A" {
			continue
		}
		_, port, _ := strings.Cut(f[1], ":")
		n, err := strconv.ParseUint(port, 16, 16)
		if err != nil {
			return nil, fmt.Errorf("local address %q: want it as 0100007F:0015", f[1])
		}
		ports = append(ports, uint16(n))
	}
	return ports, lines.Err()
}

// kernelHelper looks for nf_conntrack_ftp, and whether it takes ports by itself.
func kernelHelper() (h Helper, err error) {
	const module = "/sys/module/nf_conntrack_ftp"
	if _, err := os.Stat(module); absent(err) {
		return h, nil
	} else if err != nil {
		return h, err
	}
	h.Loaded = true
	automatic, err := os.ReadFile("/proc/sys/net/netfilter/nf_conntrack_helper")
	if err != nil || strings.TrimSpace(string(automatic)) != "1" { // gone since Linux 6.0
		return h, nil
	}
	text, err := os.ReadFile(module + "/parameters/ports")
	if err != nil {
		return h, err
	}
	for p := range strings.SplitSeq(strings.TrimSpace(string(text)), ",") {
		n, err := strconv.ParseUint(p, 10, 16)
		if err != nil {
			return h, fmt.Errorf("%s/parameters/ports: %q is no port", module, p)
		}
		h.Ports = append(h.Ports, uint16(n))
	}
	return h, nil
}

// absent says whether a file is not there, as opposed to not readable.
func absent(err error) bool { return errors.Is(err, os.ErrNotExist) }
