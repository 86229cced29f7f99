package explain

import (
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// Files come out under safe names, what is not whole says so, and nothing else
// is left behind.
func TestExtract(t *testing.T) {
	t.Parallel()
	p := newTape()
	w := p.dial(clientAt, serverAt).open()
	w.talk(t, login+`
		C: EPSV
		S: 229 ok (|||50000|)
		C: RETR ../../etc/pass:wd
		D: client 198.51.100.2:50000 server 5000
		S: 226 done
		C: EPSV
		S: 229 ok (|||50001|)
		C: LIST
		D: client 198.51.100.2:50001 server 20
		S: 226 done
		C: EPSV
		S: 229 ok (|||50002|)
		C: STOR nothing
		D: client 198.51.100.2:50002 client 0
		S: 226 done
		C: EPSV
		S: 229 ok (|||50003|)
		C: RETR cut.bin
		D: client 198.51.100.2:50003 reset
		S: 426 cut`)
	w.dial("192.0.2.7:41999", "198.51.100.2:8080").open().say(0, "GET / of nobody's session")
	w.close(0)
	dir := filepath.Join(t.TempDir(), "new")
	s := told(t, Options{Extract: dir}, p)
	want := map[string]int{"0001-001-pass_wd": 5000, "0001-002-LIST.txt": 20, "0001-003-nothing": 0, "0001-004-cut.bin.incomplete": len("the beginning")}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		b, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if n, ok := want[e.Name()]; err != nil || !ok || n != len(b) {
			t.Errorf("%s with %d bytes, %v; want %v", e.Name(), len(b), err, want)
		}
		delete(want, e.Name())
	}
	if len(want) > 0 {
		t.Errorf("%v are not there", want)
	}
	if got := s.Sessions[0].Transfers[0]; got.File != "0001-001-pass_wd" || len(got.SHA256) != 64 {
		t.Errorf("%+v names no file or digest", got)
	}
}

// What is missing in the capture is a hole in the file, and the story says where.
func TestExtractGap(t *testing.T) {
	t.Parallel()
	p := newTape()
	w := p.dial(clientAt, serverAt).open()
	w.talk(t, login+"C: EPSV\nS: 229 ok (|||50000|)\nC: RETR a.bin")
	d := w.dial("192.0.2.7:41000", "198.51.100.2:50000").open()
	d.say(1, strings.Repeat("a", 1000))
	d.seq[1] += 500 // the capture has lost these
	d.say(1, strings.Repeat("b", 1000))
	d.close(1)
	w.talk(t, "S: 226 done")
	w.close(0)
	dir := t.TempDir()
	x := told(t, Options{Extract: dir}, p).Sessions[0].Transfers[0]
	if x.Complete || x.SHA256 != "" || x.Bytes != 2500 || !slices.Equal(x.Gaps, []Gap{{1000, 1500}}) {
		t.Errorf("got %+v, want 2500 bytes without those from 1000 to 1500", x)
	}
	b, err := os.ReadFile(filepath.Join(dir, "0001-001-a.bin.incomplete"))
	if err != nil || string(b) != strings.Repeat("a", 1000)+strings.Repeat("\x00", 500)+strings.Repeat("b", 1000) {
		t.Errorf("%d bytes, %v; want the first and the last thousand in their places", len(b), err)
	}
}

func TestFileName(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]string{
		"a.txt": "0001-001-a.txt", "/pub/a b.txt": "0001-001-a b.txt", "..": "0001-001-data", "": "0001-001-data", "/": "0001-001-_",
		`C:\x\con`: "0001-001-con", ".hidden": "0001-001-hidden", "x\x1b[31m": "0001-001-x_[31m", "größe": "0001-001-größe", "a.": "0001-001-a",
		strings.Repeat("ü", 200): "0001-001-" + strings.Repeat("ü", 75),
	} {
		if got := fileName(1, 0, &Transfer{Path: path, Complete: true}); got != want {
			t.Errorf("%q: %q, want %q", path, got, want)
		}
	}
	// What is not the file is not called so.
	n := int64(10)
	for want, x := range map[string]Transfer{
		"0001-001-a.tls":               {Path: "a", Bytes: 10, Complete: true, Protected: true, Coding: "Z"},
		"0001-001-a":                   {Path: "a", Complete: true, Protected: true},
		"0001-001-a.mode-E.incomplete": {Path: "a", Bytes: 10, Coding: "E"},
		"0001-001-a.incomplete":        {Path: "a", Bytes: 10, Coding: "Z", Decoded: &n},
	} {
		if got := fileName(1, 0, &x); got != want {
			t.Errorf("%+v: %q, want %q", x, got, want)
		}
	}
}

func TestFilter(t *testing.T) {
	t.Parallel()
	p := newTape()
	for _, c := range []string{"192.0.2.7:40000", "192.0.2.8:40001"} {
		w := p.dial(c, serverAt).open()
		user := "anna"
		if strings.HasPrefix(c, "192.0.2.8") {
			user = "ben"
		}
		w.talk(t, "S: 220 ready\nC: USER "+user+"\nS: 331 x\nC: PASS x\nS: 230 x\nC: EPSV\nS: 229 (|||50000|)\nC: RETR /pub/"+user+".txt\nD: client 198.51.100.2:50000 server 10\nS: 226 x")
		w.close(0)
		p.now = p.now.Add(time.Hour)
	}
	for _, c := range []struct {
		filter Filter
		want   string
	}{
		{Filter{}, "anna ben"},
		{Filter{Host: prefix(t, "192.0.2.8")}, "ben"},
		{Filter{Host: prefix(t, "192.0.2.0/24")}, "anna ben"},
		{Filter{Port: 50000}, "anna ben"},
		{Filter{Port: 40001}, "ben"},
		{Filter{User: "anna"}, "anna"},
		{Filter{File: "anna.*"}, "anna"},
		{Filter{File: "/pub/b*"}, "ben"},
		{Filter{Since: newTape().now.Add(30 * time.Minute)}, "ben"},
		{Filter{Until: newTape().now.Add(30 * time.Minute)}, "anna"},
		{Filter{User: "anna", Port: 40001}, ""},
	} {
		var got []string
		for _, x := range told(t, Options{Filter: c.filter}, p).Sessions {
			got = append(got, x.User)
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%+v: %v, want %s", c.filter, got, c.want)
		}
	}
}

func prefix(t *testing.T, s string) netip.Prefix {
	t.Helper()
	if p, err := netip.ParsePrefix(s); err == nil {
		return p
	}
	a, err := netip.ParseAddr(s)
	if err != nil {
		t.Fatal(err)
	}
	return netip.PrefixFrom(a, a.BitLen())
}
