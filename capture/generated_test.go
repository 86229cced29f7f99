package capture_test

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"towpath/capture"
)

// sums hashes what each side of each connection sends.
type sums struct{ conns []*summed }

type summed struct {
	*capture.Conn
	sum [2]hash.Hash
}

func (s *sums) Open(c *capture.Conn) capture.Stream {
	one := &summed{Conn: c, sum: [2]hash.Hash{sha256.New(), sha256.New()}}
	s.conns = append(s.conns, one)
	return one
}

func (s *summed) Data(d capture.Direction, _ int64, b []byte, _ *capture.Packet) bool {
	s.sum[d].Write(b)
	return true
}
func (s *summed) Gap(capture.Direction, int64, int64, *capture.Packet) {}
func (s *summed) Close(*capture.Conn)                                  {}

func summarise(t testing.TB, name string) ([]*summed, []capture.Note) {
	t.Helper()
	r, err := capture.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }() // read only
	s := &sums{}
	tr := capture.NewTracker(s, capture.Options{})
	for p, err := range r.Packets() {
		if err != nil {
			t.Fatal(err)
		}
		tr.Packet(p)
	}
	tr.Close()
	return s.conns, append(r.Notes(), tr.Notes()...)
}

// A file of sessions written by another program, which says what is in them,
// through whatever a network does to packets.
func TestGenerated(t *testing.T) {
	t.Parallel()
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("python3 is not installed: captures cannot be generated")
	}
	for _, options := range [][]string{
		nil,
		{"--drop=0.02"},
		{"--ooo=0.1", "--dup=0.1", "--split"},
		{"--frag", "--dup=0.1", "--ooo=0.1", "--drop=0.02"},
		{"--link=sll", "--frag"},
		{"--link=null", "--ipv6", "--drop=0.02"},
		{"--link=sll2", "--format=pcapns"},
		{"--link=raw", "--ipv6", "--format=pcapng", "--ooo=0.05", "--dup=0.05"},
	} {
		t.Run(fmt.Sprint(options), func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			name, manifest := filepath.Join(dir, "generated"), filepath.Join(dir, "manifest")
			args := append([]string{"../bench/genftp.py", name, "--manifest", manifest, "--sessions=8", "--bytes=500000"}, options...)
			if out, err := exec.CommandContext(t.Context(), python, args...).CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			conns, notes := summarise(t, name)
			if len(notes) != 0 {
				t.Errorf("notes %v", notes)
			}
			truth, err := os.ReadFile(manifest)
			if err != nil {
				t.Fatal(err)
			}
			whole := 0
			lines := bufio.NewScanner(bytes.NewReader(truth))
			for lines.Scan() {
				var want struct {
					Size   int64
					SHA256 string
					From   [2]any `json:"data_from"`
					To     [2]any `json:"data_to"`
				}
				if err := json.Unmarshal(lines.Bytes(), &want); err != nil {
					t.Fatal(err)
				}
				i := slices.IndexFunc(conns, func(c *summed) bool {
					return c.Client.Addr().String() == want.From[0] && float64(c.Client.Port()) == want.From[1] &&
						c.Server.Addr().String() == want.To[0] && float64(c.Server.Port()) == want.To[1]
				})
				if i < 0 {
					t.Fatalf("no connection from %v to %v", want.From, want.To)
				}
				c, d := conns[i], capture.FromClient
				if c.Side(d).Bytes == 0 {
					d = capture.FromServer
				}
				side := c.Side(d)
				if side.Bytes != want.Size || c.Side(d.Reverse()).Bytes != 0 || c.Ended != capture.Finished {
					t.Errorf("%v to %v: %d bytes, want %d; %v", want.From, want.To, side.Bytes, want.Size, c.Ended)
				}
				if right := hex.EncodeToString(c.sum[d].Sum(nil)) == want.SHA256; right != (side.Missing == 0) {
					t.Errorf("%v to %v: %d bytes missing, and the digest is right: %v", want.From, want.To, side.Missing, right)
				} else if right {
					whole++
				}
			}
			if drops := slices.ContainsFunc(options, func(o string) bool { return o == "--drop=0.02" }); len(conns) != 16 || drops == (whole == 8) {
				t.Errorf("%d connections, %d files whole", len(conns), whole)
			}
		})
	}
}
