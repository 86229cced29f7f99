package lab

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/nftables"
	"golang.org/x/sys/unix"

	"towpath/doctor"
	"towpath/firewall"
	"towpath/ftp"
	"towpath/internal/strangers"
	"towpath/internal/words"
	"towpath/topology"
)

// forbids is why the kernel lets us build nothing.
var forbids error

func TestMain(m *testing.M) {
	code, entered, err := Enter()
	if forbids = err; entered || err != nil {
		flag.Parse()
		// Sessions that fail wait: more of them than there are processors have room.
		if err := flag.Set("test.parallel", "8"); err != nil {
			panic(err)
		}
		code = m.Run()
	}
	os.Exit(code)
}

// begin begins a test that builds something.
func begin(t *testing.T) {
	t.Helper()
	if forbids != nil {
		t.Skip(forbids)
	}
	t.Parallel()
}

// The kernel counts in seconds: what is less than one is one, and not none.
func TestIdle(t *testing.T) {
	begin(t)
	n, err := topology.Lookup("client-inside-forgetful")
	if err != nil {
		t.Fatal(err)
	}
	n.Node("router").Idle = topology.Duration(300 * time.Millisecond)
	w, err := build(n)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := w.close(); err != nil {
			t.Error(err)
		}
	}()
	if err := w.hosts["router"].do(func() error {
		text, err := os.ReadFile("/proc/sys/net/netfilter/nf_conntrack_tcp_timeout_established")
		if got := strings.TrimSpace(string(text)); got != "1" {
			t.Errorf("it forgets after %s s, want 1", got)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
}

// Every network of the catalogue can be built.
func TestBuild(t *testing.T) {
	begin(t)
	for _, n := range topology.Catalogue() {
		t.Run(n.Name, func(t *testing.T) {
			t.Parallel()
			w, err := build(n)
			if err != nil {
				t.Fatal(err)
			}
			if err := w.close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// compare runs all modes in networks, and fails where one is not as predicted.
// (make lab does it for the whole catalogue.)
func compare(t *testing.T, l *Lab, names ...string) []Result {
	t.Helper()
	return compareIn(t, l, lookup(t, names...)...)
}

func lookup(t *testing.T, names ...string) (networks []*topology.Network) {
	t.Helper()
	for _, name := range names {
		n, err := topology.Lookup(name)
		if err != nil {
			t.Fatal(err)
		}
		networks = append(networks, n)
	}
	return networks
}

// slots are for so many cases at once, in all tests.
var slots = make(chan struct{}, 16)

func compareIn(t *testing.T, l *Lab, networks ...*topology.Network) []Result {
	t.Helper()
	var (
		all     sync.WaitGroup
		mu      sync.Mutex
		results []Result
	)
	for _, n := range networks {
		for _, v := range doctor.Predict(n) {
			all.Go(func() {
				slots <- struct{}{}
				r, err := l.Case(t.Context(), n, v.Mode)
				<-slots
				mu.Lock()
				defer mu.Unlock()
				results = append(results, r)
				switch {
				case err != nil:
					t.Error(err)
				case r.Disagreement != "":
					t.Errorf("%s %v: %s\n%s\n%s", n.Name, v.Mode, r.Disagreement, r.Observed.Said, strings.Join(r.Observed.Dialogue, "\n"))
				case r.Unexplained != "" && r.Observed.Lost > 0: // with holes they cannot tell
					t.Logf("%s %v: %s", n.Name, v.Mode, r.Unexplained)
				case r.Unexplained != "":
					t.Errorf("%s %v: %s", n.Name, v.Mode, r.Unexplained)
				}
			})
		}
	}
	all.Wait()
	return results
}

// Networks that chance has drawn, where it was not.
func TestOddCases(t *testing.T) {
	begin(t)
	shut := func(name string, do topology.Action) func(*topology.Network) {
		return func(n *topology.Network) {
			n.Node(name).Firewall = []topology.Rule{{Ports: topology.Port(21), Do: do}}
		}
	}
	for _, c := range []struct {
		like   string
		mode   doctor.Mode
		change func(*topology.Network)
	}{
		{"balancer-sticky", doctor.EPSV, shut("server-b", topology.Drop)},
		{"ipv6-client-ipv4-server", doctor.EPSV, shut("server", topology.Reset)},
		{"hairpin", doctor.EPSV, shut("server", topology.Reset)},
		{"ipv4-client-ipv6-server", doctor.PASV, func(n *topology.Network) { n.Session.TLS = true }},
		{"client-inside-gateway", doctor.PORT, func(n *topology.Network) { // the gateway refuses it
			n.Node("client").Client.External = netip.MustParseAddr("33.1.1.1")
		}},
		{"ipv6-client-ipv4-server", doctor.EPRT, func(n *topology.Network) { // the gateway comes to the server alone
			n.Node("client").Firewall = []topology.Rule{{Ports: topology.Range(1024, 65535), Do: topology.Drop}}
		}},
		{"server-inside-client-guarded", doctor.EPRT, func(n *topology.Network) {
			n.Node("internet").SourceNAT = []topology.SourceNAT{{Out: "outside"}}
		}},
	} {
		t.Run(c.like+" "+string(c.mode), func(t *testing.T) {
			t.Parallel()
			n := lookup(t, c.like)[0]
			c.change(n)
			slots <- struct{}{}
			defer func() { <-slots }()
			r, err := (&Lab{}).Case(t.Context(), n, c.mode)
			if err != nil {
				t.Fatal(err)
			}
			if r.Disagreement != "" || r.Predicted.Works {
				t.Errorf("%s\n%s", r.Disagreement, r.Observed.Said)
			}
		})
	}
}

// What is predicted is what happens: one network of each kind.
func TestCases(t *testing.T) {
	begin(t)
	compare(t, &Lab{}, "client-inside", "client-inside-strict-alg-tls", "client-inside-split", "client-inside-in-turn",
		"server-inside-stateful", "server-inside-no-source-nat-alg", "server-inside-range-small", "server-inside-clear-again",
		"hairpin-published", "balancer", "ipv6-strict-alg")
}

// Gateways do what is predicted of them: between modes and versions of IP, under
// TLS, redirected and dialled; and in the place of the helper of the kernel.
func TestGateway(t *testing.T) {
	begin(t)
	compare(t, &Lab{}, "client-inside-gateway", "client-inside-gateway-blind", "server-inside-gateway-tls", "server-guarded-gateway-passive",
		"server-guarded-gateway-active", "balancer-gateway", "ipv4-client-ipv6-server", "ipv6-client-ipv4-server")
	for _, n := range lookup(t, "client-inside-strict-alg", "server-inside-strict-alg") {
		for _, plane := range Planes[1:] {
			compareIn(t, &Lab{Plane: plane}, n.WithGateway())
		}
	}
}

// A gateway that is killed leaves no rule behind, not even for the connection
// that was announced; and one that is started then carries on.
func TestGatewayKilled(t *testing.T) {
	begin(t)
	n, err := topology.Lookup("client-inside-strict-alg")
	if err != nil {
		t.Fatal(err)
	}
	n = n.WithGateway()
	l := &Lab{Plane: "nftables"}
	w, err := build(n)
	if err != nil {
		t.Fatal(err)
	}
	defer w.close()
	end, err := l.serve(t.Context(), w, n.Node("server"))
	if err != nil {
		t.Fatal(err)
	}
	defer end()
	router, client := w.hosts["router"], w.hosts["client"]
	order := l.gatewayOn(n, n.Node("router"))
	session := func() (at netip.AddrPort) {
		t.Helper()
		c, err := client.dial(t.Context(), n.Session.To)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		in := bufio.NewReader(c)
		for _, turn := range [][2]string{{"", "220"}, {"USER ftp\r\n", "331"}, {"PASS secret\r\n", "230"}, {"PASV\r\n", "227"}} {
			if _, err := c.Write([]byte(turn[0])); err != nil {
				t.Fatal(err)
			}
			line := turn[1] + "-"
			for strings.HasPrefix(line, turn[1]+"-") || line[0] == ' ' {
				if line, err = in.ReadString('\n'); err != nil {
					t.Fatal(err)
				}
			}
			if !strings.HasPrefix(line, turn[1]) {
				t.Fatalf("%q: heard %q", turn[0], line)
			}
			if turn[1] == "227" {
				if at, err = ftp.ParsePassive(line[3:]); err != nil {
					t.Fatal(err)
				}
			}
		}
		return at
	}
	stop, err := router.perform(t.Context(), "gateway", order)
	if err != nil {
		t.Fatal(err)
	}
	at := session()
	if got := tables(t, router); !slices.Contains(got, firewall.DefaultTable) {
		t.Errorf("tables %v while it runs", got)
	}
	stop() // kill -9
	if got := tables(t, router); slices.ContainsFunc(got, func(s string) bool { return strings.HasPrefix(s, firewall.DefaultTable) }) {
		t.Errorf("tables %v are left", got)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if c, err := client.dial(ctx, at); err == nil {
		_ = c.Close()
		t.Errorf("%v still leads to somebody", at)
	}
	stop, err = router.perform(t.Context(), "gateway", order)
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	session()
}

// tables are the names of those in the kernel of a host.
func tables(t *testing.T, h *host) (names []string) {
	t.Helper()
	err := h.do(func() error {
		c, err := nftables.New()
		if err != nil {
			return err
		}
		all, err := c.ListTables()
		for _, table := range all {
			names = append(names, table.Name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// The gateway withstands what the helper of the kernel falls to.
func TestAttack(t *testing.T) {
	begin(t)
	all, err := (&Lab{}).Attack(t.Context(), 16)
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	if err := WriteOnslaughts(&text, all); err != nil {
		t.Fatal(err)
	}
	kernel := 0
	for _, o := range all {
		if o.Fell["gateway"] != "" || o.Failed["gateway"] != "" {
			t.Errorf("check %d, %s: the gateway falls: %s%s", o.Check, o.Name, o.Fell["gateway"], o.Failed["gateway"])
		}
		if o.Fell["kernel"] != "" {
			kernel++
		}
	}
	if kernel < 7 {
		t.Errorf("the helper of the kernel falls to %d attacks only; are they attacks?\n%s", kernel, &text)
	}
	if want := "The gateway withstands 20 of 20 attacks."; !strings.Contains(text.String(), want) {
		t.Errorf("want %q in\n%s", want, &text)
	}
}

// A NAT with a short memory takes the 226 away, and a NOOP now and then saves it.
func TestLost226(t *testing.T) {
	begin(t)
	for _, r := range compare(t, &Lab{}, "client-inside-forgetful", "client-inside-kept-alive") {
		if !strings.HasPrefix(string(r.Mode), "P") && r.Mode != doctor.EPSV || r.Mode == doctor.PORT {
			continue
		}
		if kept := r.Network == "client-inside-kept-alive"; r.Observed.Works != kept {
			t.Errorf("%s %v: works: %v", r.Network, r.Mode, r.Observed.Works)
		}
	}
}

// Servers and clients of others, where they are installed.
func TestStrangers(t *testing.T) {
	begin(t)
	for _, l := range []*Lab{{Server: "vsftpd", Client: "curl"}, {Server: "proftpd"}, {Server: "pureftpd"}, {Client: "lftp"}, {Client: "tnftp"}} {
		withOthers(t, l, lookup(t, "client-inside", "server-inside-strict", "server-inside-published"))
	}
}

// Gateways serve them as the helper of the kernel does, and where it cannot:
// under TLS, and between versions of IP. (docs/lab.md tells of all networks.)
func TestGatewayStrangers(t *testing.T) {
	begin(t)
	networks := lookup(t, "server-inside-gateway-tls", "ipv4-client-ipv6-server", "client-inside-strict-alg", "server-inside-strict-alg")
	for i, n := range networks[2:] {
		networks[i+2] = n.WithGateway()
	}
	for _, l := range []*Lab{{Server: "vsftpd", Client: "curl"}, {Server: "proftpd", Client: "lftp"}, {Server: "pureftpd", Client: "tnftp"}} {
		withOthers(t, l, networks)
	}
}

// withOthers compares in a subtest with programs of others.
func withOthers(t *testing.T, l *Lab, networks []*topology.Network) {
	unpacked, err := filepath.Abs("../.peers/usr/sbin")
	if err != nil {
		t.Fatal(err)
	}
	l.Programs = []string{unpacked}
	t.Run(l.Server+l.Client, func(t *testing.T) {
		t.Parallel()
		for _, p := range []string{l.Server, l.Client} {
			if p == "" {
				continue
			}
			if _, err := l.find(p); err != nil {
				t.Skip(err)
			}
		}
		all := compareIn(t, l, networks...)
		skipped := 0
		for _, r := range all {
			if r.Skipped != "" {
				t.Logf("%s %s: %s", r.Network, r.Mode, r.Skipped)
				skipped++
			}
		}
		if skipped == len(all) {
			t.Skip(all[0].Skipped)
		}
	})
}

// The recordings are there, one for each machine, and the page shows each case.
func TestReport(t *testing.T) {
	begin(t)
	dir := t.TempDir()
	l := &Lab{Captures: filepath.Join(dir, "captures")}
	cases := compare(t, l, "server-inside-stateful")
	left, err := topology.Lookup("client-inside")
	if err != nil {
		t.Fatal(err)
	}
	cases = append(cases, Result{Network: left.Name, Mode: doctor.EPSV, Predicted: doctor.PredictMode(left, doctor.EPSV), Skipped: "nobody was asked to run it", net: left})
	r := NewReport(l, cases)
	for _, c := range r.Cases {
		if c.Skipped != "" {
			continue
		}
		found, err := filepath.Glob(filepath.Join(c.Observed.Captures, "*.pcapng"))
		if err != nil || len(found) != 4 {
			t.Errorf("%s %s: recordings %v, %v; want those of client, router, internet and server", c.Network, c.Mode, found, err)
		}
	}
	var text, page strings.Builder
	if err := r.WriteText(&text); err != nil {
		t.Fatal(err)
	}
	if want := "4 of 4 cases went as predicted; the recordings tell the cause of 2 of 2 failures; 1 were not run; server towpath, client towpath."; !strings.Contains(text.String(), want) {
		t.Errorf("want %q in\n%s", want, text.String())
	}
	if err := r.WriteHTML(&page, dir); err != nil {
		t.Fatal(err)
	}
	text.Reset()
	if err := r.In(words.Japanese).WriteText(&text); err != nil {
		t.Fatal(err)
	}
	if want := "タイムアウト（internet）"; !strings.Contains(text.String(), want) {
		t.Errorf("want %q in\n%s", want, text.String())
	}
	for _, want := range []string{"(ends at internet)", "(ends at router)", ">PASV<", "captures/server-inside-stateful/PORT/router.pcapng", "captures/server-inside-stateful/PORT/story.html", "nobody was asked"} {
		if !strings.Contains(page.String(), want) {
			t.Errorf("want %q in the page", want)
		}
	}
	inBrowser(t, "report", page.String(), 4)

	// And that of the doctor.
	n, err := topology.Lookup("double-nat")
	if err != nil {
		t.Fatal(err)
	}
	page.Reset()
	if err := doctor.NewReport(n, doctor.Predict(n)).WriteHTML(&page); err != nil {
		t.Fatal(err)
	}
	inBrowser(t, "prediction", page.String(), 1)
}

// Scratch files lie in memory, where nobody outside sees them.
func TestScratch(t *testing.T) {
	begin(t)
	var fs unix.Statfs_t
	if err := unix.Statfs(scratch(), &fs); err != nil {
		t.Fatal(err)
	}
	if scratch() == os.TempDir() {
		t.Skip("this kernel lets us mount nothing")
	}
	if fs.Type != unix.TMPFS_MAGIC {
		t.Errorf("%s is a file system of type %#x", scratch(), fs.Type)
	}
}

// inBrowser opens a page in Chromium, where it is installed, and counts its
// drawings.
func inBrowser(t *testing.T, what, page string, drawings int) {
	t.Run("in Chromium: "+what, func(t *testing.T) {
		if got := strings.Count(strangers.Browse(t, page), "<figure>"); got != drawings {
			t.Errorf("the browser shows %d drawings, want %d", got, drawings)
		}
	})
}

// When the lab is killed, nothing is left.
func TestKilled(t *testing.T) {
	begin(t)
	if os.Getenv("LAB_TEST_WAIT") != "" { // we are the one to be killed
		n, err := topology.Lookup("server-inside")
		if err != nil {
			t.Fatal(err)
		}
		w, err := build(n)
		if err != nil {
			t.Fatal(err)
		}
		stop, err := (&Lab{}).serve(t.Context(), w, w.net.Node("server"))
		if err != nil {
			t.Fatal(err)
		}
		defer stop()
		fmt.Println("built")
		_, _ = io.Copy(io.Discard, os.Stdin) // which ends with the test, should it not kill us
		return
	}
	cmd := exec.Command("/proc/self/exe", "-test.run=^TestKilled$")
	cmd.Env = append(os.Environ(), "LAB_TEST_WAIT=1")
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 6)
	if _, err := out.Read(buf); err != nil || string(buf) != "built\n" {
		t.Fatalf("%q, %v", buf, err)
	}
	children := tree(t, cmd.Process.Pid)
	if len(children) < 2 {
		t.Errorf("%d processes below, want those of the lab and its server", len(children))
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // killed
	// The pipe ends when the last of them that holds it has ended.
	for {
		if _, err := out.Read(buf); err != nil {
			break
		}
	}
}

// tree returns the processes below one.
func tree(t *testing.T, pid int) []int {
	t.Helper()
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	parents := map[int][]int{}
	for _, file := range stats {
		b, err := os.ReadFile(file)
		if err != nil {
			continue // it has ended
		}
		i := strings.LastIndexByte(string(b), ')')
		f := strings.Fields(string(b)[i+1:])
		p, err1 := strconv.Atoi(f[1])
		me, err2 := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		if err1 == nil && err2 == nil {
			parents[p] = append(parents[p], me)
		}
	}
	var below []int
	for _, c := range parents[pid] {
		below = append(append(below, c), tree(t, c)...)
	}
	slices.Sort(below)
	return below
}
