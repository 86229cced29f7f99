package ftpserver

import (
	"bytes"
	"compress/zlib"
	"io"
	"testing"
)

// deflated is what a deflater makes of want, written in pieces of a size.
func deflated(t testing.TB, want []byte, piece int) []byte {
	t.Helper()
	var out bytes.Buffer
	d := new(session).newDeflater(&out)
	for b := want; len(b) > 0; b = b[min(len(b), piece):] {
		if _, err := d.Write(b[:min(len(b), piece)]); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// What gets smaller is compressed, what does not is stored, in one stream that
// every zlib reads.
func TestDeflater(t *testing.T) {
	t.Parallel()
	text := bytes.Repeat([]byte("Two ways lie side by side. "), 50_000)
	dense := noise(2*probe + 11*firstStretch/4) // it ends near the end of a second, longer stretch
	for name, want := range map[string]struct {
		data []byte
		most int
	}{
		"nothing":            {nil, 32},
		"text":               {text, len(text) / 20},
		"noise":              {dense, len(dense) + len(dense)/150},
		"a probe of noise":   {dense[:probe], probe + probe/150},
		"as far as it turns": {dense[:probe+firstStretch], probe + firstStretch + 1<<13},
		"both in turn":       {bytes.Join([][]byte{text, dense, text, dense, text}, nil), 2*len(dense) + len(text)},
	} {
		for _, piece := range []int{1000, 64 << 10, 1 << 20} {
			got := deflated(t, want.data, piece)
			if len(got) > want.most {
				t.Errorf("%s: %d bytes, of %d, want %d at most", name, len(got), len(want.data), want.most)
			}
			z, err := zlib.NewReader(bytes.NewReader(got))
			if err != nil {
				t.Fatal(name, err)
			}
			back, err := io.ReadAll(z)
			if err != nil || !bytes.Equal(back, want.data) {
				t.Errorf("%s in pieces of %d: %d of %d bytes came back, %v", name, piece, len(back), len(want.data), err)
			}
		}
	}
}

func FuzzDeflater(f *testing.F) {
	f.Add([]byte("sea"), uint16(3), uint32(2<<20))
	f.Fuzz(func(t *testing.T, seed []byte, piece uint16, size uint32) {
		want := noise(int(size % (3 << 20)))
		copy(want, seed)
		if len(seed) > 0 && len(want) > 0 {
			at := int(seed[0]) * len(want) / 256
			clear(want[at : at+(len(want)-at)/2])
		}
		z, err := zlib.NewReader(bytes.NewReader(deflated(t, want, 1+int(piece))))
		if err != nil {
			t.Fatal(err)
		}
		if back, err := io.ReadAll(z); err != nil || !bytes.Equal(back, want) {
			t.Fatalf("%d of %d bytes, %v", len(back), len(want), err)
		}
	})
}
