package capture_test

import (
	"path/filepath"
	"slices"
	"testing"
)

// What is known of captures of others: how many connections there are, and how
// many bytes each side of each sent.
func TestCaptures(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		file string
		want [][2]int64 // client, server
		lost int64
	}{
		{"zeek-ipv4.pcap", [][2]int64{{180, 3146}, {0, 342}, {0, 77}, {342, 0}, {77, 0}}, 0},
		// More than 4 GiB, by the reply to SIZE 5416666670, of which the capture has little.
		{"zeek-bigtransfer.pcap", [][2]int64{{104, 1041}, {0, 270}, {0, 5416666670}}, 5416642848},
		{"arkime-ftp.pcap", [][2]int64{{38, 90}}, 0},
		{"sv-active-loopback.pcap", [][2]int64{{92, 284}, {39, 0}}, 0},
		{"sv-malformed-port-null.pcap", [][2]int64{{113, 297}}, 0},
		{"zeek-ftp-many-port-expected.pcap.gz", [][2]int64{{11792, 11}}, 0},
	} {
		t.Run(c.file, func(t *testing.T) {
			t.Parallel()
			conns, notes := summarise(t, filepath.Join("testdata", c.file))
			var got [][2]int64
			var lost int64
			for _, c := range conns {
				got = append(got, [2]int64{c.Side(client).Bytes, c.Side(server).Bytes})
				lost += c.Side(client).Missing + c.Side(server).Missing
			}
			if !slices.Equal(got, c.want) || lost != c.lost || len(notes) != 0 {
				t.Errorf("bytes %v, %d missing, notes %v; want %v and %d", got, lost, notes, c.want, c.lost)
			}
		})
	}
}
