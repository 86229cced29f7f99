package main

import (
	"net"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Who says the password of --socks-user goes through, and nobody else.
func TestGatewaySOCKS(t *testing.T) {
	t.Parallel()
	s := serveDir(t, t.TempDir())
	write(t, filepath.Join(s.dir, "sea.txt"), "through a lock")
	g := gatewayBefore(t, s.dir, "--socks", "127.0.0.1:0", "--allow", "127.0.0.1:1-65535", "--socks-user", "lock:keeper:1")
	at := g.port("SOCKS5, and control connections in it")
	g.out.await(t, `^  curl -x socks5h://USER:PASSWORD@`)
	fetch := func(login string) (string, error) {
		out, err := command(t, "towpath", "cat", "--proxy", "socks5://"+login+"127.0.0.1:"+at, "ftp://"+user+"@"+s.addr+"/sea.txt").Output()
		return string(out), err
	}
	if got, err := fetch("lock:keeper%3A1@"); err != nil || got != "through a lock" {
		t.Errorf("%q, %v", got, err)
	}
	for _, login := range []string{"", "lock:keeper@", "keeper:keeper%3A1@"} {
		got, err := fetch(login)
		if _, failed := err.(*exec.ExitError); !failed || got != "" {
			t.Errorf("%q: %q, %v", login, got, err)
		}
	}
	if strings.Contains(g.log.text(), "keeper:1") {
		t.Error("the log shows the password")
	}
}

// A SOCKS proxy that the Internet reaches wants a login, or rules that let only
// some in.
func TestGatewayGuarded(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		at   string
		with gatewayFlags
		open bool
	}{
		{at: "127.0.0.1"},
		{at: "192.168.0.1"},
		{at: "100.64.0.1"},
		{at: "fd00::1"},
		{at: "203.0.113.1", open: true},
		{at: "2001:db8::1", open: true},
		{at: "203.0.113.1", with: gatewayFlags{socksUsers: []string{"a:b"}}},
		{at: "203.0.113.1", with: gatewayFlags{rules: []string{"allow from=10.0.0.0/8", "deny"}}},
		{at: "203.0.113.1", with: gatewayFlags{rules: []string{"deny from=10.0.0.0/8"}}, open: true},
		{at: "203.0.113.1", with: gatewayFlags{rules: []string{"deny do=write"}}, open: true},
	} {
		err := tt.with.guarded(&net.TCPAddr{IP: net.ParseIP(tt.at), Port: 1080})
		if (err != nil) != tt.open || tt.open && !strings.Contains(err.Error(), "--socks-user NAME:PASSWORD") {
			t.Errorf("%s %v %v: %v", tt.at, tt.with.socksUsers, tt.with.rules, err)
		}
	}
}
