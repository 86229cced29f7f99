package firewall

import (
	"bytes"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"towpath/internal/alone"
)

// ours is what nft lists of a table that belongs to a process: that, and whose.
var ours = regexp.MustCompile(`\tflags owner\n\n| # progname .*`)

// TestPlannedIsInstalled compares what nft lists of our tables with what it
// makes of the text that is written of them.
func TestPlannedIsInstalled(t *testing.T) {
	t.Parallel()
	if !alone.Inside(t) {
		return
	}
	nft := wanted(t, "nft")
	for name, planned := range plannedTables(t) {
		var text bytes.Buffer
		if err := planned.write(&text); err != nil {
			t.Fatal(err)
		}
		own, err := planned.own(0)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		list := func() string {
			all := run(t, nft, "list", "ruleset")
			return ours.ReplaceAllString(all, "")
		}
		installed := list()
		if err := own.Close(); err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(t.TempDir(), "rules")
		// With an owner it would go with nft.
		if err := os.WriteFile(file, bytes.ReplaceAll(text.Bytes(), []byte("\tflags owner\n"), nil), 0o600); err != nil {
			t.Fatal(err)
		}
		run(t, nft, "-f", file)
		if loaded := list(); loaded != installed {
			t.Errorf("%s: nft makes of the text\n%s\nand of what is installed\n%s", name, loaded, installed)
		}
		run(t, nft, "flush", "ruleset")
	}
}

// plannedTables are all tables that we make, with everything that can be in
// them.
func plannedTables(t *testing.T) map[string]*table {
	t.Helper()
	o, err := NetfilterOptions{}.withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	c, err := ConntrackOptions{Ports: []uint16{21, 2121}}.withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	expectations, _ := c.table()
	all := map[string]*table{
		"pinholes": &o.table().table, "expectations": expectations, "helper": Helper{Table: "towpath_ftp", Ports: []uint16{21}}.table(),
	}
	nets := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("192.0.2.1/32"), netip.MustParsePrefix("2001:db8::/32")}
	for name, r := range map[string]Redirection{
		"redirection":      {},
		"redirection, all": {Ports: []uint16{21, 2121}, Interfaces: []string{"eth0", "eth1"}, Clients: nets, Except: nets},
		"through":          {Transparent: true},
		"through, all":     {Transparent: true, Interfaces: []string{"eth0"}, Clients: nets, Except: nets[:1]},
	} {
		r.To = 2121
		r, err := r.withDefaults()
		if err != nil {
			t.Fatal(err)
		}
		all[name] = r.table()
	}
	return all
}
