package firewall

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"towpath/internal/alone"
)

// wanted finds a program, or skips the test.
func wanted(t *testing.T, name string) string {
	t.Helper()
	program, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("%s is not installed: what is written for it is compared and not loaded", name)
	}
	return program
}

// run runs a program that must not fail.
func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// written is a file with what a format makes of a server's rules.
func written(t *testing.T, format string, s Server, side Side) string {
	t.Helper()
	f, err := FormatNamed(format)
	if err != nil {
		t.Fatal(err)
	}
	set, err := s.Plan(side)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	if err := f.Write(&b, set); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "rules")
	if err := os.WriteFile(name, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// listen answers on an address until the test ends.
func listen(t *testing.T, at string) {
	t.Helper()
	l, err := net.Listen("tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() }) // the process ends with the test
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_ = c.Close() // being connected is all that was wanted
		}
	}()
}

// reaches reports whether a connection comes about. A filter that drops shows
// by silence only: where that is expected it is not waited for long.
func reaches(t *testing.T, from, to string, expected bool) bool {
	t.Helper()
	patience := 300 * time.Millisecond
	if expected {
		patience = time.Minute
	}
	d := net.Dialer{Timeout: patience, LocalAddr: net.TCPAddrFromAddrPort(netip.MustParseAddrPort(from))}
	c, err := d.DialContext(t.Context(), "tcp", to)
	if err == nil {
		_ = c.Close() // being connected is all that was wanted
		return true
	}
	if nerr, ok := errors.AsType[net.Error](err); !ok || !nerr.Timeout() && !errors.Is(err, syscall.EPERM) {
		t.Errorf("%s to %s: %v, want a connection or silence", from, to, err)
	}
	return false
}

// passes tries what the first of the cases should let through, and what not.
func passes(t *testing.T, open bool) {
	t.Helper()
	var tries sync.WaitGroup
	defer tries.Wait()
	for _, tt := range []struct {
		from, to string
		want     bool
	}{
		{"127.0.0.2:0", "127.0.0.1:21", open},
		{"127.0.0.2:0", "127.0.0.1:50000", open},
		{"127.0.0.2:0", "127.0.0.1:50004", open},
		{"127.0.0.2:0", "127.0.0.1:50005", false},
		{"127.0.0.2:0", "127.0.0.1:49999", false},
		{"127.0.0.2:0", "127.0.0.1:22", false},
		{"[::1]:0", "[::1]:21", open},
		{"[::1]:0", "[::1]:50005", false},
	} {
		tries.Go(func() {
			if got := reaches(t, tt.from, tt.to, tt.want); got != tt.want {
				t.Errorf("%s to %s: connected is %v, want %v", tt.from, tt.to, got, tt.want)
			}
		})
	}
}

func listenAll(t *testing.T) {
	t.Helper()
	for _, port := range []int{21, 22, 49999, 50000, 50004, 50005} {
		listen(t, fmt.Sprintf("127.0.0.1:%d", port))
	}
	for _, port := range []int{21, 50005} {
		listen(t, fmt.Sprintf("[::1]:%d", port))
	}
}

// strictTable is the table of a host that lets nothing in but answers.
const strictTable = `table inet filter {
	chain input {
		type filter hook input priority filter; policy drop;
		ct state established,related accept
	}
	chain forward { type filter hook forward priority filter; policy drop; }
	chain output { type filter hook output priority filter; policy accept; }
}
`

// TestNftablesLoaded loads the rules of nftables twice, in a namespace whose
// own filter lets nothing in, and connects.
func TestNftablesLoaded(t *testing.T) {
	t.Parallel()
	if !alone.Inside(t) {
		return
	}
	nft := wanted(t, "nft")
	strict := filepath.Join(t.TempDir(), "strict")
	if err := os.WriteFile(strict, []byte(strictTable), 0o600); err != nil {
		t.Fatal(err)
	}
	run(t, nft, "-f", strict)
	listenAll(t)
	passes(t, false)
	rules := written(t, "nftables", cases[0].server, AtServer)
	run(t, nft, "-f", rules)
	run(t, nft, "insert", "rule", "inet", "filter", "input", "jump", "towpath_input")
	once := run(t, nft, "list", "ruleset")
	passes(t, true)
	run(t, nft, "-f", rules)
	if again := run(t, nft, "list", "ruleset"); again != once {
		t.Errorf("loaded a second time it is another:\n%s\nbefore:\n%s", again, once)
	}
	run(t, nft, "flush", "chain", "inet", "filter", "towpath_input")
	passes(t, false)
	for _, c := range cases {
		for _, side := range sidesOf(c.server, Sides) {
			run(t, nft, "-c", "-f", written(t, "nftables", c.server, side))
		}
	}
	nat := written(t, "nftables", cases[2].server, AtRouter)
	run(t, nft, "-f", nat)
	once = run(t, nft, "list", "table", "inet", "towpath_nat")
	run(t, nft, "-f", nat)
	if again := run(t, nft, "list", "table", "inet", "towpath_nat"); again != once {
		t.Errorf("loaded a second time it is another:\n%s\nbefore:\n%s", again, once)
	}
	run(t, nft, "delete", "table", "inet", "towpath_nat")
}

// translated loads what ufw is given for translating addresses, as ufw does, and
// looks whether the rules of others are still there.
func translated(t *testing.T) {
	t.Helper()
	program := wanted(t, "iptables-restore")
	text, err := os.ReadFile(written(t, "ufw", cases[2].server, AtRouter))
	if err != nil {
		t.Fatal(err)
	}
	var rules strings.Builder
	for line := range strings.Lines(string(text)) {
		line = strings.TrimPrefix(line, "#   ")
		if rules.Len() > 0 || line == "*nat\n" {
			rules.WriteString(line)
		}
		if line == "COMMIT\n" {
			break
		}
	}
	run(t, "iptables", "-w", "-t", "nat", "-A", "PREROUTING", "-p", "tcp", "--dport", "8080", "-j", "REDIRECT", "--to-ports", "80")
	once := 0
	for range 2 {
		c := exec.CommandContext(t.Context(), program, "-w", "-n")
		c.Stdin = strings.NewReader(rules.String())
		if out, err := c.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s\n%s", err, out, rules.String())
		}
		list := run(t, "iptables", "-w", "-t", "nat", "-S")
		n := strings.Count(list, "DNAT")
		if once == 0 {
			once = n
		}
		if !strings.Contains(list, "8080") || n == 0 || n != once {
			t.Errorf("want %d rules of DNAT, and that for 8080 of another:\n%s", once, list)
		}
	}
}

// TestIptablesLoaded does the same with the script for iptables.
func TestIptablesLoaded(t *testing.T) {
	t.Parallel()
	if !alone.Inside(t) {
		return
	}
	for _, program := range []string{wanted(t, "iptables"), wanted(t, "ip6tables")} {
		if out, err := exec.Command(program, "-w", "-A", "INPUT", "-m", "conntrack", "--ctstate", "ESTABLISHED", "-j", "ACCEPT").CombinedOutput(); err != nil {
			t.Skipf("%s cannot be used in a namespace here: %v\n%s", program, err, out)
		}
		run(t, program, "-w", "-P", "INPUT", "DROP")
	}
	listenAll(t)
	passes(t, false)
	list := func() string { return run(t, "iptables", "-w", "-S") + run(t, "ip6tables", "-w", "-S") }
	before := list()
	rules := written(t, "iptables", cases[0].server, AtServer)
	run(t, "sh", rules)
	once := list()
	passes(t, true)
	run(t, "sh", rules)
	if again := list(); again != once {
		t.Errorf("run a second time it is another:\n%s\nbefore:\n%s", again, once)
	}
	run(t, "sh", rules, "remove")
	if after := list(); after != before {
		t.Errorf("something is left:\n%s\nbefore:\n%s", after, before)
	}
	translated(t)
	for _, c := range cases {
		for _, side := range sidesOf(c.server, Sides) {
			rules := written(t, "iptables", c.server, side)
			run(t, "sh", rules)
			run(t, "sh", rules)
			run(t, "sh", rules, "remove")
			if after := list(); after != before {
				t.Errorf("%s, %s: something is left:\n%s\nbefore:\n%s", c.name, side, after, before)
			}
		}
	}
}
