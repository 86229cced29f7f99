package alivetest

import (
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// Vanish has the kernel lose all that the connections would hear or say from now
// on: they acknowledge nothing and answer no question. It is for a network
// namespace of one's own (package internal/alone), and looks at ports alone.
func Vanish(t testing.TB, conns ...*net.TCPConn) {
	t.Helper()
	rules := &nftables.Conn{}
	table := rules.AddTable(&nftables.Table{Family: nftables.TableFamilyINet, Name: "vanished"})
	chain := rules.AddChain(&nftables.Chain{
		Table: table, Name: "input", Type: nftables.ChainTypeFilter, Hooknum: nftables.ChainHookInput, Priority: nftables.ChainPriorityRaw,
	})
	for _, c := range conns {
		acknowledged(t, c)
		port := binaryutil.BigEndian.PutUint16(uint16(c.LocalAddr().(*net.TCPAddr).Port))
		for _, at := range []uint32{0, 2} { // where TCP has the ports of source and destination
			rules.AddRule(&nftables.Rule{Table: table, Chain: chain, Exprs: []expr.Any{
				&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1},
				&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{unix.IPPROTO_TCP}},
				&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: at, Len: 2},
				&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: port},
				&expr.Verdict{Kind: expr.VerdictDrop},
			}})
		}
	}
	if err := rules.Flush(); err != nil {
		t.Fatalf("connections cannot vanish: %v", err)
	}
}

// acknowledged waits until the other end has all that was said. The kernel tells
// nobody when that is, so it is asked again and again.
func acknowledged(t testing.TB, c *net.TCPConn) {
	t.Helper()
	raw, err := c.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var wrong error
	err = raw.Control(func(fd uintptr) {
		until := time.Now().Add(30 * time.Second)
		for n := 1; n > 0 && wrong == nil; time.Sleep(time.Millisecond) {
			if n, wrong = unix.IoctlGetInt(int(fd), unix.SIOCOUTQ); n > 0 && time.Now().After(until) {
				wrong = fmt.Errorf("%d bytes were never acknowledged", n)
			}
		}
	})
	if err != nil || wrong != nil {
		t.Fatalf("what is under way: %v, %v", err, wrong)
	}
}
