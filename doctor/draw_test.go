package doctor_test

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"towpath/doctor"
	"towpath/topology"
)

// Each network of the catalogue is drawn: well formed, with the machines that
// were met, a lane for each mode and a cross for each failure, inside the frame.
func TestDrawings(t *testing.T) {
	t.Parallel()
	for _, n := range topology.Catalogue() {
		cases := doctor.Predict(n)
		var b strings.Builder
		if err := doctor.NewReport(n, cases).WriteSVG(&b); err != nil {
			t.Fatal(err)
		}
		var words []string
		for d := xml.NewDecoder(strings.NewReader(b.String())); ; {
			token, err := d.Token()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatalf("%s: %v\n%s", n.Name, err, b.String())
			}
			if text, ok := token.(xml.CharData); ok {
				words = append(words, string(text))
			}
		}
		said := strings.Join(words, "\n")
		crosses, fail := strings.Count(b.String(), "l12 12m0 -12l-12 12"), 0
		for _, v := range cases {
			for _, s := range v.Path {
				if !strings.Contains(said, s.Node) {
					t.Errorf("%s: %s is not drawn", n.Name, s.Node)
				}
			}
			if !strings.Contains(said, string(v.Mode)) || !strings.Contains(said, string(v.Cause)) {
				t.Errorf("%s: %s or its cause %q is not written", n.Name, v.Mode, v.Cause)
			}
			if !v.Works {
				fail++
			}
		}
		if crosses != fail {
			t.Errorf("%s: %d crosses for %d failures", n.Name, crosses, fail)
		}
	}
}

// Names that come from a file are no markup.
func TestPageEscapes(t *testing.T) {
	t.Parallel()
	n, err := topology.Lookup("server-inside")
	if err != nil {
		t.Fatal(err)
	}
	n.Title = "<script>alert(1)</script>"
	var b strings.Builder
	if err := doctor.NewReport(n, doctor.Predict(n)).WriteHTML(&b); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(b.String(), "<script>") || !strings.Contains(b.String(), "&lt;script&gt;") || !strings.Contains(b.String(), "<svg") {
		t.Errorf("%s", b.String())
	}
}

// The JSON has the keys that others read.
func TestJSON(t *testing.T) {
	t.Parallel()
	n, err := topology.Lookup("server-inside-alg-tls")
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	if err := doctor.NewReport(n, doctor.Predict(n)).WriteJSON(&b); err != nil {
		t.Fatal(err)
	}
	var got struct {
		Cases []struct {
			Mode, Hop, Seen, Cause, ALG string
			TLS, Works                  bool
			Repairs                     []struct {
				Changes []struct{ ID, Node, Text string }
			}
		}
	}
	if err := json.Unmarshal([]byte(b.String()), &got); err != nil {
		t.Fatal(err)
	}
	if len(got.Cases) != 4 {
		t.Fatalf("%d cases, want 4", len(got.Cases))
	}
	port, pasv := got.Cases[0], got.Cases[2]
	if !port.Works || !port.TLS || port.Repairs == nil {
		t.Errorf("%+v", port)
	}
	if pasv.Mode != "PASV" || pasv.Works || pasv.Hop != "internet" || pasv.Seen != "time-out" || pasv.Cause != "inside-address" ||
		pasv.ALG != "alg-blind" || len(pasv.Repairs) < 3 || pasv.Repairs[0].Changes[0].ID != "mode" {
		t.Errorf("%+v", pasv)
	}
}

// Where a network goes against the rule of thumb, it is said, and only there.
func TestRemark(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"client-inside":                "",
		"client-inside-strict":         "passive mode fails too",
		"client-inside-two-addresses":  "do not come from one address",
		"server-inside":                "",
		"server-inside-strict":         "active mode fails too",
		"server-inside-no-source-nat":  "nobody translates",
		"server-guarded-strict":        "",
		"client-inside-strict-alg":     "",
		"client-inside-strict-alg-tls": "passive mode fails too",
	} {
		n, err := topology.Lookup(name)
		if err != nil {
			t.Fatal(err)
		}
		r := doctor.NewReport(n, doctor.Predict(n))
		if (want == "") != (r.Remark == "") || !strings.Contains(r.Remark, want) {
			t.Errorf("%s: %q, want %q", name, r.Remark, want)
		}
	}
}

// The picture of docs/nat.md is what the program draws.
func TestPicture(t *testing.T) {
	t.Parallel()
	n, err := topology.Textbook{NAT: topology.AtServer}.Network()
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	if err := doctor.NewReport(n, doctor.Predict(n)).WriteSVG(&b); err != nil {
		t.Fatal(err)
	}
	const name = "../docs/nat.svg"
	if *update {
		if err := os.WriteFile(name, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), b.String()); diff != "" {
		t.Errorf("-update would change it: -file +drawn\n%s", diff)
	}
}

// The title is what the file of somebody else has.
func TestTitleOrdersNothing(t *testing.T) {
	t.Parallel()
	n := lookup(t, "no-nat")
	n.Title = "a \x1b[2Jnet 网"
	var b strings.Builder
	if err := doctor.NewReport(n, doctor.Predict(n)).WriteText(&b); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(b.String(), "\x1b") || !strings.Contains(b.String(), "net 网") {
		t.Errorf("%q", b.String())
	}
}
