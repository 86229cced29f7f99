package explain

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"towpath/capture"
	"towpath/internal/words"
)

// plainly is a session as JSON, without what only a whole story knows.
func plainly(t *testing.T, s *Session) string {
	t.Helper()
	x := *s.In(words.English)
	x.ID, x.Transfers = 0, nil
	for _, y := range s.Transfers {
		z := *y
		z.Sum = ""
		x.Transfers = append(x.Transfers, &z)
	}
	b, err := json.Marshal(x)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// heard are the sessions of a capture, in no order, with as many of them let go
// as can be if go is set.
func heard(t *testing.T, b []byte, letGo bool) (all []string, gone int) {
	t.Helper()
	src, err := capture.NewReader(bytes.NewReader(b), "told")
	if err != nil {
		t.Fatal(err)
	}
	var o Options
	if letGo {
		o.Told = func(s *Session) bool {
			gone++
			all = append(all, plainly(t, s))
			return false
		}
	}
	teller := NewTeller(o)
	if err := teller.Read(t.Context(), src, "told"); err != nil {
		t.Fatal(err)
	}
	for _, s := range teller.Story().Sessions {
		all = append(all, plainly(t, s))
	}
	slices.Sort(all)
	return all, gone
}

// A session that is told as soon as it is over is what it is when all is known,
// also if the capture is damaged.
func TestTold(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(filepath.Join("testdata", "captures", "*.pcap*"))
	if err != nil || len(files) < 10 {
		t.Fatalf("%d captures: %v", len(files), err)
	}
	sessions, gone := 0, 0
	for _, file := range files {
		whole, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for seed := range uint64(5) {
			r := rand.New(rand.NewPCG(seed, uint64(len(whole))))
			b := bytes.Clone(whole)
			for range seed {
				b[24+r.IntN(len(b)-24)] = byte(r.IntN(256))
			}
			want, _ := heard(t, b, false)
			got, n := heard(t, b, true)
			if !slices.Equal(want, got) {
				t.Errorf("%s, seed %d: %s", file, seed, firstDifference(want, got))
			}
			sessions, gone = sessions+len(want), gone+n
		}
	}
	if t.Logf("%d of %d sessions were let go", gone, sessions); gone < sessions/4 {
		t.Errorf("only %d of %d sessions were let go", gone, sessions)
	}
}

func firstDifference(want, got []string) string {
	for i := range min(len(want), len(got)) {
		if want[i] != got[i] {
			return "want\n" + want[i] + "\ngot\n" + got[i]
		}
	}
	return "some are missing, or told twice"
}
