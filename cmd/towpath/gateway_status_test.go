package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"towpath/gateway"
)

// An administrator sees what a gateway does, and keeps sessions away from a
// server, which a reload does not undo.
func TestGatewayStatus(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "sea.bin"), content(8<<20))
	one, two := serveDir(t, dir, "--download-rate", "64KiB"), serveDir(t, dir)
	at, err := os.MkdirTemp("", "gateway") // a short name, as sockets want
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(at) }) // the process has taken away what it made
	socket := filepath.Join(at, "control")
	g := gatewayBefore(t, dir, "--to", one.addr+" name=one,"+two.addr+" name=two", "--balance", "order", "--control", socket)
	g.out.await(t, `tells "towpath gateway status --control `+regexp.QuoteMeta(socket)+`"\.$`)
	ask := func(args ...string) string {
		t.Helper()
		c := command(t, "towpath", append(append([]string{"gateway"}, args...), "--control", socket)...)
		out, err := c.Output()
		if err != nil {
			t.Fatalf("%v: %v", args, err)
		}
		return string(out)
	}
	has := func(text string, patterns ...string) {
		t.Helper()
		for _, p := range patterns {
			if !regexp.MustCompile(`(?m)` + p).MatchString(text) {
				t.Errorf("no %s in:\n%s", p, text)
			}
		}
	}

	c := g.login()
	c.Passive()
	c.Do("RETR sea.bin", 150)
	d := c.Data()
	if _, err := d.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	has(ask("status"), `^Gateway before .*, process \d+, running for `, `^one +127\S+ +up +1 +1 +0 `, `^two +127\S+ +up +0 +0 +0 `,
		`^1 +127\S+ +test +one .* RETR sea\.bin, passive, by user$`, `^sessions +1 now, 1 begun`, `^ports +`)
	var s gatewayStatus
	if err := json.Unmarshal([]byte(ask("status", "--json")), &s); err != nil {
		t.Fatal(err)
	}
	if len(s.Records) != 1 || s.Records[0].User != "test" || s.Records[0].Data[0].Down <= 0 || s.Stats.Active != 1 {
		t.Errorf("%+v", s)
	}

	has(ask("drain", "one"), `^one +127\S+ +draining +1 `)
	second := g.login()
	has(ask("status"), `^two +127\S+ +up +1 `)
	if len(reloadSignals) > 0 {
		g.signal(syscall.SIGHUP)
		g.log.await(t, "configuration read again")
		has(ask("status"), `^one +127\S+ +draining +1 `)
	}
	second.Do("QUIT", 221)
	has(ask("undrain", "one"), `^one +127\S+ +up +1 `)

	no := command(t, "towpath", "gateway", "drain", "three", "--control", socket)
	if out, err := no.CombinedOutput(); err == nil || !strings.Contains(string(out), `no server is named "three"; there are one, two`) {
		t.Errorf("%v, %s", err, out)
	}
	// A second gateway does not take the socket of the first.
	other := start(t, command(t, "towpath", "gateway", "--to", two.addr, "--listen", "127.0.0.1:0", "--data", "user", "--control", socket))
	if code := other.wait(); code != exitUnavailable {
		t.Errorf("exit code %d", code)
	}
	other.log.await(t, "control: another process has it")
	g.kill()
	none := command(t, "towpath", "gateway", "status", "--control", socket+"x")
	if out, err := none.CombinedOutput(); err == nil || !strings.Contains(string(out), "no gateway runs with a control socket at "+socket+"x") {
		t.Errorf("%v, %s", err, out)
	}
}

// Columns begin at one place, whatever the script of a name, and a name does
// nothing to the terminal.
func TestGatewayStatusColumns(t *testing.T) {
	t.Parallel()
	s := gatewayStatus{Purpose: "gateway", Records: []*gateway.Record{
		{Session: 1, Visitor: gateway.Visitor{User: "山田"}, Server: "one"}, {Session: 2, Visitor: gateway.Visitor{User: "\u202eeve\x1b[2J"}, Server: "two"},
	}}
	var b strings.Builder
	if err := s.write(&b); err != nil {
		t.Fatal(err)
	}
	const want = `
SESSION  CLIENT            USER         SERVER  FOR  TO SERVER  TO CLIENT  NOW
1        invalid AddrPort  山田         one     0s   0 B        0 B        -
2        invalid AddrPort  �eve\x1b[2J  two     0s   0 B        0 B        -
`
	if !strings.Contains(b.String(), want) {
		t.Errorf("got\n%s", b.String())
	}
}
