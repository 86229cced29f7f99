package gateway_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"

	"towpath/firewall"
	"towpath/ftptest"
	"towpath/gateway"
	"towpath/internal/ports"
)

// book keeps what is written, and says when it is closed.
type book struct {
	mu sync.Mutex
	bytes.Buffer
	closed chan struct{}
}

func (b *book) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Buffer.Write(p)
}

func (b *book) Close() error { close(b.closed); return nil }

// The account of a session says it all, by names that others may count on; the
// transcript shows what the server heard and said.
func TestAccount(t *testing.T) {
	t.Parallel()
	srv := ftptest.Serve(t, ftptest.Files{"sea.txt": "0123456789"})
	kept := &book{closed: make(chan struct{})}
	g := serve(t, srv.Addr, func(o *gateway.Options) {
		o.Transcript = func(uint64, netip.AddrPort) io.WriteCloser { return kept }
	})
	c := g.login(t)
	c.Do("PORT 127,0,0,1,0,22", 501)
	if got := c.Get("RETR sea.txt"); got != "0123456789" {
		t.Errorf("%q", got)
	}
	c.Do("QUIT", 221)
	_ = c.Close()
	r := g.record(t)
	<-kept.closed
	for _, want := range []string{"C: PASS ****\n", "C: EPSV\nS: 229 ", "C: RETR sea.txt\nS: 150", "S: 501 PORT names port 22", "S: 221"} {
		plain := slices.DeleteFunc(strings.SplitAfter(kept.String(), "\n"), func(l string) bool { return strings.HasPrefix(l, "#") })
		if !strings.Contains(strings.Join(plain, ""), want) {
			t.Errorf("the transcript lacks %q:\n%s", want, kept.String())
		}
	}
	if len(r.Alarms) != 1 || r.Alarms[0].Check != 4 || r.Refused != 1 || r.User != ftptest.User {
		t.Errorf("%+v", r)
	}
	b, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	var m map[string]any
	if err := json.Unmarshal(b, &m); err != nil {
		t.Fatal(err)
	}
	for _, key := range strings.Fields("schema_version session began ended client local user server server_addr from commands replies refused data alarms up down reason") {
		if _, ok := m[key]; !ok {
			t.Errorf("no %q in %s", key, b)
		}
	}
	data := m["data"].([]any)[0].(map[string]any)
	for _, key := range strings.Fields("number client_told server_said client_mode server_mode plane pinhole opened used_by used closed why command up down code") {
		if _, ok := data[key]; !ok {
			t.Errorf("no %q in %v", key, data)
		}
	}
}

// When the ports are used up, the next one hears so, and those who have one keep
// it.
func TestPortsUsedUp(t *testing.T) {
	t.Parallel()
	// Not one of those that the kernel gives away meanwhile.
	free, err := ports.New(ports.Range{Low: 20000, High: 32000}).Listen(t.Context(), loopback)
	if err != nil {
		t.Fatal(err)
	}
	port := free.Port()
	_ = free.Close()
	srv := ftptest.Serve(t, ftptest.Files{"sea.txt": "0123456789"})
	g := serve(t, srv.Addr, func(o *gateway.Options) { o.Ports = firewall.Port(port) })
	first, second := g.login(t), g.login(t)
	first.Do("EPSV", 229)
	for _, verb := range []string{"EPSV", "PASV"} {
		if r := second.Do(verb, 425); !strings.Contains(fmt.Sprint(r), "no port to announce") {
			t.Error(r)
		}
	}
	if got := first.Get("RETR sea.txt"); got != "0123456789" {
		t.Errorf("%q", got)
	}
	if got := second.Get("RETR sea.txt"); got != "0123456789" {
		t.Errorf("%q", got)
	}
}
