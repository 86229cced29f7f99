package xferlog_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"towpath/ftpserver"
	"towpath/internal/xferlog"
)

// vsftpdLine is the whole form of a line: nothing a client says may break out
// of its quotes and brackets.
var vsftpdLine = regexp.MustCompile(`^\w{3} \w{3} [ \d]\d \d\d:\d\d:\d\d \d{4} \[pid \d+\] ` +
	`(?:\[[^]"[]+\] (?:OK|FAIL) (?:LOGIN|UPLOAD|DOWNLOAD)|CONNECT): Client "[^"]+"` +
	`(?:, "[^"]*")?(?:, \d+ bytes, \d+\.\d\dKbyte/sec)?\n$`)

// failedLogin is what fail2ban's filter for vsftpd looks for, behind the time
// that it cuts off; the group is the address it bans.
var failedLogin = regexp.MustCompile(`^.{24} \[pid \d+\] \[[^\]]+\] FAIL LOGIN: Client "([0-9a-fA-F:.]+)"(?:\s*$|,)`)

func TestVsftpd(t *testing.T) {
	t.Parallel()
	wrong := errors.New("wrong")
	for _, tt := range []struct {
		e      ftpserver.Event
		want   string
		banned string // the address, where fail2ban would count a failure
	}{
		{
			ftpserver.SessionEvent{Session: 2, Time: at, Peer: peer("192.0.2.1"), What: ftpserver.SessionBegan},
			`[pid 2] CONNECT: Client "192.0.2.1"`, "",
		},
		{
			ftpserver.SessionEvent{Session: 2, Time: at, Peer: peer("192.0.2.1"), What: ftpserver.SessionRefused, Reason: "too many sessions"},
			`[pid 2] CONNECT: Client "192.0.2.1", "Connection refused: too many sessions"`, "",
		},
		{ftpserver.SessionEvent{Session: 2, Time: at, What: ftpserver.SessionEnded}, "", ""},
		{
			ftpserver.LoginEvent{Session: 2, Time: at, Peer: peer("192.0.2.1"), User: "joe"},
			`[pid 2] [joe] OK LOGIN: Client "192.0.2.1"`, "",
		},
		{
			ftpserver.LoginEvent{Session: 2, Time: at, Peer: peer("192.0.2.1"), User: "joe", Err: wrong},
			`[pid 2] [joe] FAIL LOGIN: Client "192.0.2.1"`, "192.0.2.1",
		},
		{
			ftpserver.LoginEvent{Session: 3, Time: at, Peer: peer("2001:db8::1"), User: "no such user", Err: wrong},
			`[pid 3] [no such user] FAIL LOGIN: Client "2001:db8::1"`, "2001:db8::1",
		},
		{
			ftpserver.LoginEvent{Session: 3, Time: at, Peer: peer("::ffff:192.0.2.1"), Err: wrong},
			`[pid 3] [?] FAIL LOGIN: Client "192.0.2.1"`, "192.0.2.1",
		},
		{
			ftpserver.LoginEvent{Session: 3, Time: at, Peer: peer("fe80::1%eth0"), User: "灯\xff", Err: wrong},
			`[pid 3] [灯_] FAIL LOGIN: Client "fe80::1"`, "fe80::1",
		},
		{ // an attacker who wants somebody else banned
			ftpserver.LoginEvent{Session: 3, Time: at, Peer: peer("192.0.2.1"), User: `x] FAIL LOGIN: Client "198.51.100.9"`, Err: wrong},
			`[pid 3] [x_ FAIL LOGIN: Client _198.51.100.9_] FAIL LOGIN: Client "192.0.2.1"`, "192.0.2.1",
		},
		{ // the same by way of a second line
			ftpserver.LoginEvent{Session: 3, Time: at, Peer: peer("192.0.2.1"), User: "x\r\nSun Nov  1 04:00:00 2026 [pid 2] [y] FAIL LOGIN: Client \"198.51.100.9\""},
			`[pid 3] [x__Sun Nov  1 04:00:00 2026 _pid 2_ _y_ FAIL LOGIN: Client _198.51.100.9_] OK LOGIN: Client "192.0.2.1"`, "",
		},
		{
			ftpserver.TransferEvent{Session: 2, Start: at.Add(-2 * time.Second), Duration: 2 * time.Second, Peer: peer("192.0.2.1"), User: "joe", Verb: "RETR", Path: "/a b", Bytes: 92160},
			`[pid 2] [joe] OK DOWNLOAD: Client "192.0.2.1", "/a b", 92160 bytes, 45.00Kbyte/sec`, "",
		},
		{
			ftpserver.TransferEvent{Session: 2, Start: at, Peer: peer("192.0.2.1"), User: "joe", Verb: "STOU", Path: "/a\"\n", Bytes: 1024, Err: wrong},
			`[pid 2] [joe] FAIL UPLOAD: Client "192.0.2.1", "/a__", 1024 bytes, 10.00Kbyte/sec`, "",
		},
	} {
		got := string(xferlog.Vsftpd(nil, tt.e))
		want := ""
		if tt.want != "" {
			want = "Sun Nov  1 04:00:00 2026 " + tt.want + "\n"
		}
		if got != want {
			t.Errorf("%q, want\n%q", got, want)
		}
		banned := ""
		if m := failedLogin.FindStringSubmatch(got); m != nil {
			banned = m[1]
		}
		if banned != tt.banned {
			t.Errorf("%q: bans %q, want %q", got, banned, tt.banned)
		}
	}
}

// TestFail2ban asks fail2ban itself, with the filter that its package brings.
func TestFail2ban(t *testing.T) {
	t.Parallel()
	const filter = "/etc/fail2ban/filter.d/vsftpd.conf"
	program, err := exec.LookPath("fail2ban-regex")
	if err != nil {
		t.Skip("fail2ban is not installed: its filter is tested by TestVsftpd's regular expression only")
	}
	if _, err := os.Stat(filter); err != nil {
		t.Skipf("fail2ban brings no filter for vsftpd: %v", err)
	}
	var text []byte
	now := time.Now()
	for _, addr := range []string{"192.0.2.1", "2001:db8::1", "::ffff:192.0.2.3"} {
		for _, user := range []string{"joe", "no such user", "", `x] FAIL LOGIN: Client "198.51.100.9"`, "a\nb"} {
			e := ftpserver.LoginEvent{Session: 2, Time: now, Peer: peer(addr), User: user, Err: errors.New("wrong")}
			text = xferlog.Vsftpd(text, e)
			e.Err = nil
			text = xferlog.Vsftpd(text, e)
		}
		text = xferlog.Vsftpd(text, ftpserver.SessionEvent{Session: 2, Time: now, Peer: peer(addr)})
		text = xferlog.Vsftpd(text, ftpserver.TransferEvent{
			Start: now, Peer: peer(addr), Verb: "STOR",
			Path: "/\nSun Nov  1 04:00:00 2026 [pid 2] [y] FAIL LOGIN: Client \"198.51.100.9\"",
		})
	}
	file := filepath.Join(t.TempDir(), "vsftpd.log")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(program, "-v", file, filter).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	m := regexp.MustCompile(`(\d+) lines, \d+ ignored, (\d+) matched`).FindSubmatch(out)
	if m == nil {
		t.Fatalf("no count in\n%s", out)
	}
	lines, _ := strconv.Atoi(string(m[1]))
	matched, _ := strconv.Atoi(string(m[2]))
	if lines != strings.Count(string(text), "\n") || matched != 15 {
		t.Errorf("fail2ban matched %d of %d lines, want 15 of %d:\n%s\n%s", matched, lines, strings.Count(string(text), "\n"), text, out)
	}
	for _, addr := range []string{"192.0.2.1", "2001:db8::1", "192.0.2.3"} {
		if n := len(regexp.MustCompile(`(?m)^\|?\s+`+regexp.QuoteMeta(addr)+`\s`).FindAll(out, -1)); n != 5 {
			t.Errorf("fail2ban would count %d failures of %s, want 5:\n%s", n, addr, out)
		}
	}
	if regexp.MustCompile(`(?m)^\|?\s+198\.51\.100\.9\s`).Match(out) {
		t.Errorf("fail2ban would ban a stranger:\n%s", out)
	}
}
