package explain

import (
	"os"
	"testing"
)

// BenchmarkExplain tells the capture that TOWPATH_CAPTURE names.
func BenchmarkExplain(b *testing.B) {
	file := os.Getenv("TOWPATH_CAPTURE")
	if file == "" {
		b.Skip("TOWPATH_CAPTURE names no file")
	}
	info, err := os.Stat(file)
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(info.Size())
	packets := 0
	for b.Loop() {
		s, err := Explain(b.Context(), []string{file}, Options{})
		if err != nil {
			b.Fatal(err)
		}
		packets += s.Captures[0].Packets
	}
	b.ReportMetric(float64(packets)/b.Elapsed().Seconds(), "packets/s")
}
