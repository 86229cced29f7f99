package serverside

import (
	"net"
	"slices"
	"testing"
)

const table4 = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:0015 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1 0000000000000000 100 0 0 10 0
   1: 0100007F:C350 0100007F:8000 01 00000000:00000000 00:00000000 00000000     0        0 2 1 0000000000000000 100 0 0 10 0
   2: 00000000:C351 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 3 1 0000000000000000 100 0 0 10 0
`

// Sockets that listen are told from those that are connected.
func TestListeners(t *testing.T) {
	t.Parallel()
	got, err := listeners([]byte(table4))
	if err != nil || !slices.Equal(got, []uint16{21, 50001}) {
		t.Errorf("%v, %v", got, err)
	}
	if _, err := listeners([]byte("head\n 0: 0100007F:XYZ 0:0 0A\n")); err == nil {
		t.Error("a port that is none is taken")
	}
}

// A socket of ours is among those that the kernel lists.
func TestListening(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	all, err := listening()
	if err != nil {
		t.Fatal(err)
	}
	if port := uint16(l.Addr().(*net.TCPAddr).Port); !slices.Contains(all, port) {
		t.Errorf("%d is not among %v", port, all)
	}
}

func FuzzListeners(f *testing.F) {
	f.Add([]byte(table4))
	f.Fuzz(func(t *testing.T, text []byte) {
		ports, err := listeners(text)
		if err != nil && len(ports) > 0 {
			t.Errorf("%v and %v", ports, err)
		}
	})
}
