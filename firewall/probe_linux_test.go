package firewall_test

import (
	"errors"
	"io/fs"
	"os"
	"strings"
	"testing"

	"towpath/firewall"
	"towpath/internal/alone"
)

// TestProbe finds everything in a namespace of its own, leaves nothing behind,
// and sees a helper that is attached.
func TestProbe(t *testing.T) {
	t.Parallel()
	if !alone.Inside(t) {
		return
	}
	p := firewall.Probe(t.Context(), 21)
	t.Logf("\n%v", p)
	if err := errors.Join(p.Conntrack, p.Netfilter, p.Redirect, p.Transparent, p.Standing); err != nil {
		t.Errorf("not everything works: %v", err)
	}
	if len(p.Helped) != 0 {
		t.Errorf("helped ports %v, and there is no rule", p.Helped)
	}
	if left := tables(t); left != "" {
		t.Errorf("tables that are left: %q", left)
	}
	h := firewall.Helper{Ports: []uint16{21, 2121}}
	for range 2 {
		if err := h.Install(); err != nil {
			t.Skipf("the kernel has no FTP helper: %v", err)
		}
	}
	if got := tables(t); got != "towpath_ftp" {
		t.Errorf("tables with the helper: %q, want towpath_ftp", got)
	}
	p = firewall.Probe(t.Context(), 21, 22)
	if len(p.Helped) != 1 || p.Helped[0] != 21 || !strings.Contains(p.String(), "port 21: the kernel's FTP helper") {
		t.Errorf("helped ports %v, want 21:\n%v", p.Helped, p)
	}
	for range 2 {
		if err := h.Remove(); err != nil {
			t.Fatal(err)
		}
	}
	if left := tables(t); left != "" {
		t.Errorf("tables that are left: %q", left)
	}
}

// TestProbeForbidden says what is missing to one who may do nothing.
func TestProbeForbidden(t *testing.T) {
	t.Parallel()
	if os.Geteuid() == 0 {
		t.Skip("root may do everything, and shall do nothing to the network of this machine")
	}
	p := firewall.Probe(t.Context(), 21)
	if !errors.Is(p.Netfilter, fs.ErrPermission) {
		t.Skipf("this process may change the rules of its network, or there are none: %v", p.Netfilter)
	}
	if text := p.String(); !strings.Contains(text, "CAP_NET_ADMIN") || !errors.Is(p.Standing, firewall.ErrNotPermitted) {
		t.Errorf("it is not said what is missing:\n%s", text)
	}
}

// TestProbeDropped waits for no connection that a filter drops, as long as TCP
// does: a gateway starts by probing.
func TestProbeDropped(t *testing.T) {
	t.Parallel()
	if !alone.Inside(t) {
		return
	}
	strict(t)
	if p := firewall.Probe(t.Context(), 21); p.Conntrack == nil || !strings.Contains(p.Conntrack.Error(), `the rule "iif lo accept" lets it in`) {
		t.Errorf("expectations: %v", p.Conntrack)
	}
}
