package firewall_test

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	route "github.com/vishvananda/netlink"

	"towpath/firewall"
	"towpath/internal/alone"
)

// TestSeveral has several processes of one host make rules, as far as one process
// can play them: each has tables of its own, and takes nothing of the others.
func TestSeveral(t *testing.T) {
	t.Parallel()
	if !alone.Inside(t) {
		return
	}
	closed := func(c io.Closer) {
		t.Helper()
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}
	first := openNetfilter(t, firewall.NetfilterOptions{})
	_, err := firewall.OpenNetfilter(firewall.NetfilterOptions{})
	if !errors.Is(err, firewall.ErrTaken) || !strings.Contains(err.Error(), fmt.Sprintf("process %d (", os.Getpid())) {
		t.Errorf("the table of another: %v, want to hear whose it is", err)
	}
	openNetfilter(t, firewall.NetfilterOptions{Table: "towpath_two"})
	closed(first)
	openNetfilter(t, firewall.NetfilterOptions{})

	one := openConntrack(t, firewall.ConntrackOptions{})
	two := openConntrack(t, firewall.ConntrackOptions{Table: "towpath_two_control"})
	if err := two.Sweep(); err == nil || !strings.Contains(err.Error(), "that has the table towpath_control") {
		t.Errorf("sweeping beside another: %v", err)
	}
	closed(one)
	if err := two.Sweep(); err != nil {
		t.Error(err)
	}

	rules := func() (n int) {
		t.Helper()
		all, err := route.RuleList(route.FAMILY_V4)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range all {
			if r.Table == firewall.DefaultRoutes {
				n++
			}
		}
		return n
	}
	install := func(table string, transparent bool) io.Closer {
		t.Helper()
		c, err := firewall.Redirection{Table: table, To: 2121, Transparent: transparent}.Install()
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	a, b := install("", true), install("towpath_two_redirect", true)
	c := install("towpath_three_redirect", false)
	for _, end := range []io.Closer{a, b, c} {
		if n := rules(); n != 1 {
			t.Errorf("%d rules for one mark, want 1", n)
		}
		closed(end)
	}
	if n := rules(); n != 1 { // the one who might have needed it took it over
		t.Errorf("%d rules are left, want 1", n)
	}
	closed(install("", false))
	if n := rules(); n != 0 {
		t.Errorf("%d rules are left behind one who needs none", n)
	}
}
