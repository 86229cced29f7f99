// The attacks on FTP servers that are known, and the test that makes each one:
//
//	bounce                                TestBounce, TestBounceConnectsNowhere
//	data connection stolen or injected    TestStolenData, TestStolenDataTLS
//	stealing as denial                    TestStolenData, TestStolenDataTLS
//	TLS without resumption                TestUnboundData
//	passive ports: guessing, exhaustion   TestPassivePortsAreClosed, TestPassivePortsRunOut, TestSessionsCappedByPorts
//	EPSV ALL ignored                      TestEPSVAll
//	"..", absolute, UNC, NUL              TestPathsEndAtTheTop
//	symbolic links, and the race          TestLinksLeadOut, TestLinkRace
//	special files                         TestFIFO
//	SITE and its masks                    TestSiteIsAnAllowList, TestSetIDBits
//	control bytes in stored names         TestHostileNamesInListings, TestHostileNamesInReplies, TestHostileNamesOnDisk, TestNamesThatCannotBeMade
//	parser differences                    TestHostileLines, TestOverlongLine, TestNoEndOfLine
//	STARTTLS injection                    TestInjectionBehindAUTH, TestAUTHForgetsTheLogin
//	TLS: truncation, old, twice           TestTruncatedUpload, TestOldTLS, TestTwiceAUTH, TestNoClearText
//	ALPACA, cross-protocol                TestForeignALPN, TestHTTPVerbs
//	glob and listing bombs                TestGlobBomb, TestMatchesAreCapped, TestWideDirectory, TestLongStat
//	slowloris, stalls                     TestLoginDeadline, TestIdle, TestStalledHandshake, TestStalledTransfers
//	unread replies                        TestUnreadReplies
//	lost control connection               TestLostControl
//	floods before login                   TestCommandsBeforeLoginAreCounted, TestConnectionFlood
//	brute force, enumeration              TestBruteForce, TestBanReachesOpenSessions, TestFailuresHoldNoPlace, TestEnumeration
//	numbers: REST, sizes, dates           TestStrictNumbers
//	log and terminal injection            TestLogInjection
//	secrets in logs and transcripts       TestSecretsStaySecret
//	processor: MODE Z                     TestInflationIsLimited, TestDeflatedPlaces
//	quota                                 TestQuotaOfParallelUploads, TestQuotaKeepsNoParts, TestQuotaIsGivenBackOnce
//	rights                                TestRightsOfEveryCommand, TestRenameGainsNoRights, TestLinkGainsNoRights
package ftpserver_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"net/netip"
	"strconv"
	"syscall"
	"testing"
	"time"

	"towpath/ftp"
	"towpath/ftpserver"
	"towpath/ftptest"
	"towpath/storage"
)

// patience is how long a test waits for what should come at once.
const patience = time.Minute

// as makes [ftptest.User] the user u, whose tree is fsys.
func as(fsys storage.FS, u ftpserver.User) ftptest.Option {
	return func(o *ftpserver.Options) {
		o.Login = func(_ context.Context, l ftpserver.Login) (*ftpserver.User, error) {
			if l.Name != ftptest.User || l.Password != ftptest.Password {
				return nil, ftpserver.ErrRefused
			}
			one := u
			one.Name, one.Root = l.Name, fsys
			return &one, nil
		}
	}
}

// rightsOf gives the users that admit lets in these rights.
func rightsOf(admit loginFunc, rights func(string) ftpserver.Rights) loginFunc {
	return func(ctx context.Context, l ftpserver.Login) (*ftpserver.User, error) {
		u, err := admit(ctx, l)
		if err == nil {
			u.Rights = rights
		}
		return u, err
	}
}

type loginFunc = func(context.Context, ftpserver.Login) (*ftpserver.User, error)

// restricted gives rights by path; what no rule names has all.
func restricted(rules map[string]ftpserver.Rights) func(string) ftpserver.Rights {
	return func(path string) ftpserver.Rights {
		if r, ok := rules[path]; ok {
			return r
		}
		return ftpserver.All
	}
}

// passivePort announces passive mode and returns the port.
func passivePort(t *testing.T, c *ftptest.Conn) netip.AddrPort {
	t.Helper()
	r := c.Do("EPSV", 229)
	a, err := ftp.ParseExtendedPassive(r.Lines[0])
	if err != nil {
		t.Fatal(err)
	}
	return netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), a.Port())
}

// connect opens a connection to a port from an address of loopback. One that is
// cut before it is known here to stand gives nothing, as one that is cut afterwards.
func connect(t *testing.T, from string, to netip.AddrPort) net.Conn {
	t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}, Timeout: patience}
	c, err := d.Dial("tcp", to.String())
	if errors.Is(err, syscall.ECONNRESET) && from != "127.0.0.1" {
		return cutAtOnce{err: err}
	}
	if err != nil {
		if from != "127.0.0.1" {
			t.Skipf("this system has no %s: %v", from, err)
		}
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(patience))
	return c
}

// cutAtOnce is a connection that was reset before its opener knew that it stood.
type cutAtOnce struct {
	net.Conn
	err error
}

func (c cutAtOnce) Read([]byte) (int, error)  { return 0, c.err }
func (c cutAtOnce) Write([]byte) (int, error) { return 0, c.err }
func (c cutAtOnce) Close() error              { return nil }

// codes sends lines, each of which must have exactly one answer of this code.
func codes(t *testing.T, c *ftptest.Conn, lines map[string]int) {
	t.Helper()
	for line, code := range lines {
		if got := alone(t, c, line); got != code {
			t.Errorf("C: %q\nS: %d, want %d", line, got, code)
		}
	}
}

// freePorts finds n ports in a row that nobody uses.
func freePorts(t *testing.T, n int) ftpserver.PortRange {
	t.Helper()
	for range 1000 {
		low := 4000 + rand.IntN(5000) // below those that the kernel and our pools choose from
		var held []net.Listener
		for i := range n {
			l, err := net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(low+i))
			if err != nil {
				break
			}
			held = append(held, l)
		}
		for _, l := range held {
			_ = l.Close() // was never used
		}
		if len(held) == n {
			return ftpserver.PortRange{Low: uint16(low), High: uint16(low + n - 1)}
		}
	}
	t.Fatalf("no %d free ports in a row", n)
	return ftpserver.PortRange{}
}
