package firewall_test

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"github.com/vishvananda/netlink"

	"towpath/firewall"
	"towpath/firewall/firewalltest"
	"towpath/internal/alone"
)

// strict sets up a filter that lets nothing in and nothing across but answers,
// what is related, and what our mark is on.
func strict(t *testing.T) *nftables.Conn {
	t.Helper()
	return dropping(t, expr.CtStateBitESTABLISHED|expr.CtStateBitRELATED)
}

// dropping is a filter that lets connections in those states in, and what our
// mark is on.
func dropping(t *testing.T, states uint32) *nftables.Conn {
	t.Helper()
	c, err := nftables.New()
	if err != nil {
		t.Fatal(err)
	}
	drop := nftables.ChainPolicyDrop
	table := c.AddTable(&nftables.Table{Name: "admin", Family: nftables.TableFamilyINet})
	for name, hook := range map[string]*nftables.ChainHook{"input": nftables.ChainHookInput, "forward": nftables.ChainHookForward} {
		chain := c.AddChain(&nftables.Chain{
			Name: name, Table: table, Type: nftables.ChainTypeFilter,
			Hooknum: hook, Priority: nftables.ChainPriorityFilter, Policy: &drop,
		})
		for _, field := range []struct {
			key  expr.CtKey
			bits uint32
		}{
			{expr.CtKeySTATE, states},
			{expr.CtKeyMARK, firewall.DefaultMark},
		} {
			c.AddRule(&nftables.Rule{Table: table, Chain: chain, Exprs: []expr.Any{
				&expr.Ct{Key: field.key, Register: 1},
				&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: 4, Mask: binaryutil.NativeEndian.PutUint32(field.bits), Xor: make([]byte, 4)},
				&expr.Cmp{Op: expr.CmpOpNeq, Register: 1, Data: make([]byte, 4)},
				&expr.Verdict{Kind: expr.VerdictAccept},
			}})
		}
	}
	if err := c.Flush(); err != nil {
		if errors.Is(err, syscall.EOPNOTSUPP) || errors.Is(err, syscall.ENOENT) {
			t.Skipf("the kernel has no nftables with conntrack: %v", err)
		}
		t.Fatal(err)
	}
	return c
}

// arrivals are the connections that came to listeners: where, and from whom.
type arrivals struct {
	came   chan [2]netip.AddrPort
	wanted int // those that their clients have seen opened, and nobody asked for yet
}

// world is one for the kit, of real sockets on this host.
func (a *arrivals) world(t *testing.T, opener firewall.Opener) firewalltest.World {
	return firewalltest.World{
		Opener: opener,
		Connect: func(from netip.Addr, to netip.AddrPort, expected bool) bool {
			ok := connect(t, netip.AddrPortFrom(from, 0), to, expected)
			if ok {
				a.wanted++
			}
			return ok
		},
		Pass: time.Sleep, // the clock is the kernel's
		Came: func() (to, by netip.AddrPort) {
			for ; a.wanted > 0; a.wanted-- {
				last := <-a.came
				to, by = last[0], last[1]
			}
			return to, by
		},
	}
}

func listenAt(t *testing.T, addrs ...netip.AddrPort) *arrivals {
	t.Helper()
	all := &arrivals{came: make(chan [2]netip.AddrPort, 1000)}
	for _, a := range addrs {
		l, err := net.Listen("tcp", a.String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = l.Close() }) // the namespace ends with the test
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				all.came <- [2]netip.AddrPort{a, c.RemoteAddr().(*net.TCPAddr).AddrPort()}
				_ = c.Close() // the client has what it wanted
			}
		}()
	}
	return all
}

func openNetfilter(t *testing.T, o firewall.NetfilterOptions) *firewall.Netfilter {
	t.Helper()
	n, err := firewall.OpenNetfilter(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	})
	return n
}

// tables are the names of the tables that there are.
func tables(t *testing.T) string {
	t.Helper()
	c, err := nftables.New()
	if err != nil {
		t.Fatal(err)
	}
	all, err := c.ListTables()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, table := range all {
		names = append(names, table.Name)
	}
	return strings.Join(names, " ")
}

// TestNetfilter puts the kit to the kernel, with packets that go through its
// filter.
func TestNetfilter(t *testing.T) {
	t.Parallel()
	if !alone.Inside(t) {
		return
	}
	strict(t)
	came := listenAt(t, firewalltest.Server, firewalltest.Second, firewalltest.Server6)
	firewalltest.TestOpener(t, func(t *testing.T) firewalltest.World {
		return came.world(t, openNetfilter(t, firewall.NetfilterOptions{}))
	})
	if left := tables(t); left != "admin" {
		t.Errorf("tables that are left: %q, want admin alone", left)
	}
}

// TestNetfilterGoesWithItsProcess kills the owner of an open pinhole.
func TestNetfilterGoesWithItsProcess(t *testing.T) {
	t.Parallel()
	if !alone.Inside(t) {
		return
	}
	strict(t)
	listenAt(t, firewalltest.Server)
	for _, kill := range []bool{false, true} {
		owner := firewall.Owner(t)
		in, err := owner.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		out, err := owner.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := owner.Start(); err != nil {
			t.Fatal(err)
		}
		if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != "open\n" {
			t.Fatalf("the owner says %q, %v", line, err)
		}
		if got := tables(t); got != "admin towpath" {
			t.Errorf("tables while the owner lives: %q", got)
		}
		if _, err := firewall.OpenNetfilter(firewall.NetfilterOptions{}); err == nil || !strings.Contains(err.Error(), "another process has it") {
			t.Errorf("a second owner: error %v", err)
		}
		other, err := firewall.OpenNetfilter(firewall.NetfilterOptions{Table: "other"})
		if err != nil {
			t.Errorf("a second owner of another table: %v", err)
		} else if err := other.Close(); err != nil {
			t.Error(err)
		}
		if kill {
			if err := owner.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			_ = owner.Wait() // "signal: killed", as it was told
		} else {
			if !connect(t, netip.AddrPortFrom(firewalltest.Client, 0), firewalltest.Server, true) {
				t.Error("the owner's pinhole lets nothing through")
			}
			if err := errors.Join(in.Close(), owner.Wait()); err != nil {
				t.Error(err)
			}
		}
		if left := tables(t); left != "admin" {
			t.Errorf("tables when the owner is gone, killed %v: %q, want admin alone", kill, left)
		}
		if connect(t, netip.AddrPortFrom(firewalltest.Client, 0), firewalltest.Server, false) {
			t.Errorf("the pinhole is open when the owner is gone, killed %v", kill)
		}
	}
}

// TestLedOnAsAnother6 has both planes change both addresses in IPv6.
func TestLedOnAsAnother6(t *testing.T) {
	t.Parallel()
	if !alone.Inside(t) {
		return
	}
	from, proxy := netip.MustParseAddr("2001:db8::2"), netip.MustParseAddr("2001:db8::4")
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range []netip.Addr{from, proxy} {
		address := &netlink.Addr{IPNet: &net.IPNet{IP: a.AsSlice(), Mask: net.CIDRMask(128, 128)}, Flags: syscall.IFA_F_NODAD}
		if err := netlink.AddrAdd(lo, address); err != nil {
			t.Skipf("IPv6 is switched off here: %v", err)
		}
	}
	const port = 2121
	related(t, port)
	hold(t, netip.AddrPortFrom(firewalltest.Server6.Addr(), port))
	came := listenAt(t, firewalltest.Server6)
	n := openNetfilter(t, firewall.NetfilterOptions{})
	c := sessions{t, port, openConntrack(t, firewall.ConntrackOptions{Ports: []uint16{port}})}
	for name, opener := range map[string]firewall.Opener{"nftables": n, "conntrack": c} {
		w := came.world(t, opener)
		hole, err := w.Open(t.Context(), firewall.Pinhole{
			From: from, Via: firewalltest.Gate6, To: firewalltest.Server6, As: netip.AddrPortFrom(proxy, 0), Life: time.Minute,
		})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if got := firewall.Plane(hole); got != name {
			t.Errorf("opened by %q, want %q", got, name)
		}
		if !w.Connect(from, firewalltest.Gate6, true) {
			t.Fatalf("%s: not connected", name)
		}
		if _, by := w.Came(); by.Addr() != proxy {
			t.Errorf("%s: the listener sees %v, want %v", name, by, proxy)
		}
		if err := hole.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestNetfilterSweeps finds a table without owner, as a process leaves it on
// kernels that know no owners.
func TestNetfilterSweeps(t *testing.T) {
	t.Parallel()
	if !alone.Inside(t) {
		return
	}
	c := strict(t)
	left := c.AddTable(&nftables.Table{Name: firewall.DefaultTable, Family: nftables.TableFamilyINet})
	c.AddChain(&nftables.Chain{Name: "left", Table: left})
	if err := c.Flush(); err != nil {
		t.Fatal(err)
	}
	n := openNetfilter(t, firewall.NetfilterOptions{})
	chains, err := c.ListChainsOfTableFamily(nftables.TableFamilyINet)
	if err != nil {
		t.Fatal(err)
	}
	for _, chain := range chains {
		if chain.Name == "left" {
			t.Error("what was left is still there")
		}
	}
	if err := n.Close(); err != nil {
		t.Error(err)
	}
	if _, err := n.Open(t.Context(), firewall.Pinhole{From: firewalltest.Client, To: firewalltest.Server, Life: time.Second}); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("Open after Close: %v, want %v", err, io.ErrClosedPipe)
	}
	if err := n.Close(); err != nil {
		t.Errorf("Close again: %v", err)
	}
}

// TestNetfilterOptions checks what needs no kernel.
func TestNetfilterOptions(t *testing.T) {
	t.Parallel()
	if _, err := firewall.OpenNetfilter(firewall.NetfilterOptions{Mark: 3}); err == nil || !strings.Contains(err.Error(), "mark 0x3: several bits") {
		t.Errorf("a mark of two bits: error %v", err)
	}
	if got, want := (firewall.NetfilterOptions{}).Rule(), "ct mark and 0x200000 != 0 accept"; got != want {
		t.Errorf("the rule is %q, want %q", got, want)
	}
}
