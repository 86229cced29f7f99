package xferlog

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"towpath/ftpserver"
)

// A Format appends the line, with its end, that tells an event; it appends
// nothing for events that its log does not have.
type Format func(b []byte, e ftpserver.Event) []byte

// Xferlog tells transfers as wu-ftpd does; see [Entry].
func Xferlog(b []byte, e ftpserver.Event) []byte {
	if t, ok := e.(ftpserver.TransferEvent); ok {
		t.Start = t.Start.Local()
		return Of(t).AppendTo(b)
	}
	return b
}

// Vsftpd tells connections, logins and transfers as vsftpd does, with the
// number of the session in place of a process:
//
//	Sat Nov 21 04:00:00 2026 [pid 2] CONNECT: Client "192.0.2.1"
//	Sat Nov 21 04:00:01 2026 [pid 2] [joe] FAIL LOGIN: Client "192.0.2.1"
//	Sat Nov 21 04:00:09 2026 [pid 2] [joe] OK LOGIN: Client "192.0.2.1"
//	Sat Nov 21 04:00:12 2026 [pid 2] [joe] OK DOWNLOAD: Client "192.0.2.1", "/a", 92160 bytes, 45.00Kbyte/sec
//
// Fail2ban's filter for vsftpd finds each refused login, whatever its reason;
// those that vsftpd itself words otherwise (user lists) escape it there.
func Vsftpd(b []byte, e ftpserver.Event) []byte {
	switch e := e.(type) {
	case ftpserver.SessionEvent:
		switch e.What {
		case ftpserver.SessionBegan:
			b = begin(b, e.Time, e.Session)
			return fmt.Appendf(b, "CONNECT: Client \"%s\"\n", address(e.Peer))
		case ftpserver.SessionRefused:
			b = begin(b, e.Time, e.Session)
			return fmt.Appendf(b, "CONNECT: Client \"%s\", \"Connection refused: %s\"\n", address(e.Peer), quoted(e.Reason))
		case ftpserver.SessionEnded: // vsftpd does not tell
		}
	case ftpserver.LoginEvent:
		b = begin(b, e.Time, e.Session)
		return fmt.Appendf(b, "[%s] %s LOGIN: Client \"%s\"\n", quoted(e.User), result(e.Err), address(e.Peer))
	case ftpserver.TransferEvent:
		b = begin(b, e.Start.Add(e.Duration), e.Session)
		what := "UPLOAD"
		if e.Verb == "RETR" {
			what = "DOWNLOAD"
		}
		took := e.Duration
		if took <= 0 {
			took = 100 * time.Millisecond // what vsftpd takes when its clock saw none
		}
		return fmt.Appendf(b, "[%s] %s %s: Client \"%s\", \"%s\", %d bytes, %.2fKbyte/sec\n",
			quoted(e.User), result(e.Err), what, address(e.Peer), quoted(e.Path), e.Bytes, float64(e.Bytes)/1024/took.Seconds())
	}
	return b
}

func begin(b []byte, at time.Time, session uint64) []byte {
	return fmt.Appendf(at.Local().AppendFormat(b, stamp), " [pid %d] ", session)
}

func result(err error) string {
	if err != nil {
		return "FAIL"
	}
	return "OK"
}

// quoted makes s fit between the quotes and brackets of a line.
func quoted(s string) string {
	return clean(s, func(r rune) bool { return strings.ContainsRune(`"[]`, r) })
}

// address is the client's as filters want it: IPv4 in its own form when it
// came through an IPv6 socket, and no zone.
func address(a netip.AddrPort) string {
	if !a.IsValid() {
		return "?"
	}
	return a.Addr().Unmap().WithZone("").String()
}
