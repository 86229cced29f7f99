package capture_test

import (
	"bytes"
	"strings"
	"testing"

	"towpath/capture"
)

// nobody follows connections without looking at what passes.
type nobody struct{}

func (nobody) Open(*capture.Conn) capture.Stream { return nil }

// BenchmarkTracker reads files as they are on disk: one of large packets, and
// one of many short connections.
func BenchmarkTracker(b *testing.B) {
	for _, c := range []struct {
		name         string
		conns, turns int
		data         string
	}{
		{"large", 100, 100, strings.Repeat("x", 1460)},
		{"small", 5000, 3, "226 done\r\n"},
	} {
		b.Run(c.name, func(b *testing.B) {
			w := &wire{wrap: plain}
			for i := range c.conns {
				t := newTalk(w, "192.0.2.1:40000", "192.0.2.2:21", uint32(i+1)*100000).open()
				for range c.turns {
					t.send(server, ack, c.data)
					t.send(client, ack, "")
				}
				t.close()
			}
			w.number()
			var file bytes.Buffer
			out := capture.NewWriter(&file)
			for _, p := range w.packets {
				if err := out.Write(p); err != nil {
					b.Fatal(err)
				}
			}
			b.SetBytes(int64(file.Len()))
			b.ReportAllocs()
			for b.Loop() {
				r, err := capture.NewReader(bytes.NewReader(file.Bytes()), "bench")
				if err != nil {
					b.Fatal(err)
				}
				t := capture.NewTracker(nobody{}, capture.Options{})
				for p, err := range r.Packets() {
					if err != nil {
						b.Fatal(err)
					}
					t.Packet(p)
				}
				t.Close()
				if t.Stats().Connections != int64(c.conns) {
					b.Fatalf("%d connections", t.Stats().Connections)
				}
			}
			b.ReportMetric(float64(len(w.packets))*float64(b.N)/b.Elapsed().Seconds(), "packets/s")
		})
	}
}
