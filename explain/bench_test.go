package explain

import (
	"os"
	"testing"
)

// BenchmarkExplain tells the capture that TOWPATH_CAPTURE names: all of it, and
// as for a text that shows few sessions of many.
func BenchmarkExplain(b *testing.B) {
	file := os.Getenv("TOWPATH_CAPTURE")
	if file == "" {
		b.Skip("TOWPATH_CAPTURE names no file")
	}
	info, err := os.Stat(file)
	if err != nil {
		b.Fatal(err)
	}
	for name, o := range map[string]Options{"kept": {}, "let go": {Told: func(*Session) bool { return false }}} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(info.Size())
			packets := 0
			for b.Loop() {
				s, err := Explain(b.Context(), []string{file}, o)
				if err != nil {
					b.Fatal(err)
				}
				packets += s.Captures[0].Packets
			}
			b.ReportMetric(float64(packets)/b.Elapsed().Seconds(), "packets/s")
		})
	}
}
