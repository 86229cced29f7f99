package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"

	"towpath/ftp"
	"towpath/ftptest"
	"towpath/internal/alone"
)

// patient is a server in the namespace of its listener that lets everybody in and
// listens for data until the test ends, whatever becomes of the session.
func patient(t *testing.T, control, data net.Listener) {
	t.Helper()
	t.Cleanup(func() { _, _ = control.Close(), data.Close() }) // the test is over
	go func() {
		for {
			c, err := control.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				fmt.Fprint(c, "220 Ahoy.\r\n") // the reader notices
				for in := bufio.NewScanner(c); in.Scan(); {
					reply := "200 Fine."
					switch verb, _, _ := strings.Cut(in.Text(), " "); verb {
					case "USER":
						reply = "331 Password?"
					case "PASS":
						reply = "230 Welcome."
					case "PASV":
						reply = "227 (" + ftp.FormatHostPort(netip.MustParseAddrPort(data.Addr().String())) + ")"
					case "QUIT":
						reply = "221 Bye."
					}
					fmt.Fprint(c, reply+"\r\n")
				}
			}()
		}
	}()
	go func() {
		for {
			d, err := data.Accept()
			if err != nil {
				return
			}
			fmt.Fprint(d, "let in")
			_ = d.Close()
		}
	}()
}

// TestGatewayKilled kills a gateway that has had the kernel expect a data
// connection, for which the server still waits. The next gateway takes back what
// the first has opened, and serves as it did.
func TestGatewayKilled(t *testing.T) {
	t.Parallel()
	if !alone.Inside(t) {
		return
	}
	client, server := around(t)
	// The router translates for others as well: it does so for what is expected,
	// whoever expects it.
	rules := &nftables.Conn{}
	table := rules.AddTable(&nftables.Table{Family: nftables.TableFamilyINet, Name: "router"})
	nat := rules.AddChain(&nftables.Chain{Table: table, Name: "nat", Type: nftables.ChainTypeNAT, Hooknum: nftables.ChainHookPostrouting, Priority: nftables.ChainPriorityNATSource})
	rules.AddRule(&nftables.Rule{Table: table, Chain: nat, Exprs: []expr.Any{&expr.Masq{}}})
	if err := rules.Flush(); err != nil {
		t.Fatal(err)
	}
	var control, data net.Listener
	server.do(t, func() {
		var err error
		if control, err = net.Listen("tcp", "10.0.0.5:21"); err != nil {
			t.Fatal(err)
		}
		if data, err = net.Listen("tcp", "10.0.0.5:50000"); err != nil {
			t.Fatal(err)
		}
	})
	patient(t, control, data)
	// come is the client at a port that he was told.
	come := func(at netip.AddrPort) (said string, err error) {
		client.do(t, func() {
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			var d net.Dialer
			var c net.Conn
			if c, err = d.DialContext(ctx, "tcp", at.String()); err != nil {
				return
			}
			defer c.Close()
			var b []byte
			b, err = io.ReadAll(c)
			said = string(b)
		})
		return said, err
	}
	run := func() *process {
		g := start(t, command(t, "towpath", "gateway", "--listen", "203.0.113.1:21", "--to", "10.0.0.5", "--data", "kernel", "--log-json"))
		g.out.await(t, `^  tcp 21 +control connections$`)
		g.out.await(t, `^Try:$`)
		return g
	}
	// passive has the gateway open the way, and returns what the client is told.
	passive := func() (told netip.AddrPort) {
		client.do(t, func() {
			c := ftptest.Dial(t, "203.0.113.1:21")
			c.Expect(220)
			c.Do("USER test", 331)
			c.Do("PASS secret", 230)
			var err error
			if told, err = ftp.ParsePassive(c.Do("PASV", 227).Lines[0]); err != nil {
				t.Fatal(err)
			}
		})
		return told
	}
	first := run()
	if said, err := come(passive()); err != nil || said != "let in" {
		t.Fatalf("%q, %v", said, err)
	}
	told := passive()
	// A second one does not take it for a leftover.
	second := start(t, command(t, "towpath", "gateway", "--listen", "203.0.113.1:2121", "--to", "10.0.0.5"))
	if code := second.wait(); code != exitUnavailable {
		t.Errorf("a second gateway with the same tables: exit code %d", code)
	}
	second.log.await(t, `table inet towpath: another process has it: process `+fmt.Sprint(first.Process.Pid)+` \(towpath`)
	first.kill()
	run()
	if said, err := come(told); err == nil {
		t.Errorf("what a gateway opened that was killed is open: %q", said)
	}
	if said, err := come(passive()); err != nil || said != "let in" {
		t.Errorf("behind the next gateway: %q, %v", said, err)
	}
}
