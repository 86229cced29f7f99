package capture_test

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
	"github.com/klauspost/compress/zstd"

	"towpath/capture"
)

// record is a packet as a test compares it.
type record struct {
	number, index int
	at            time.Time
	link          capture.Link
	length        int
	data          string
	offset        int64
}

func read(t tb, src io.Reader) ([]record, *capture.Reader, error) {
	t.Helper()
	r, err := capture.NewReader(src, "test")
	if err != nil {
		return nil, nil, err
	}
	defer func() {
		if err := r.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	}()
	var all []record
	for p, err := range r.Packets() {
		if err != nil {
			return all, r, err
		}
		all = append(all, record{p.Number, p.Interface, p.Time.Time(), p.Link, p.Length, string(p.Data), p.Offset})
	}
	return all, r, nil
}

var packetTime = time.Date(2024, 2, 29, 12, 34, 56, 123456789, time.UTC)

// pcapFile is a file of two packets.
func pcapFile(order binary.ByteOrder, magic uint32, header, link int) []byte {
	b := make([]byte, 24)
	order.PutUint32(b, magic)
	order.PutUint16(b[4:], 2)
	order.PutUint16(b[6:], 4)
	order.PutUint32(b[16:], 262144)
	order.PutUint32(b[20:], uint32(link))
	for i, data := range []string{"first", "second"} {
		h := make([]byte, header)
		order.PutUint32(h, uint32(packetTime.Unix()))
		frac := packetTime.Nanosecond()
		if magic != 0xa1b23c4d {
			frac /= 1000
		}
		order.PutUint32(h[4:], uint32(frac))
		order.PutUint32(h[8:], uint32(len(data)))
		order.PutUint32(h[12:], uint32(len(data)+i*100))
		b = append(append(b, h...), data...)
	}
	return b
}

func TestPcap(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		order binary.ByteOrder
		magic uint32
		head  int
		at    time.Time
	}{
		{"little", binary.LittleEndian, 0xa1b2c3d4, 16, packetTime.Truncate(time.Microsecond)},
		{"big", binary.BigEndian, 0xa1b2c3d4, 16, packetTime.Truncate(time.Microsecond)},
		{"little, ns", binary.LittleEndian, 0xa1b23c4d, 16, packetTime},
		{"big, ns", binary.BigEndian, 0xa1b23c4d, 16, packetTime},
		{"little, patched", binary.LittleEndian, 0xa1b2cd34, 24, packetTime.Truncate(time.Microsecond)},
		{"big, patched", binary.BigEndian, 0xa1b2cd34, 24, packetTime.Truncate(time.Microsecond)},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			file := pcapFile(c.order, c.magic, c.head, 101)
			want := []record{
				{1, 0, c.at, capture.LinkRaw, 5, "first", 24},
				{2, 0, c.at, capture.LinkRaw, 106, "second", int64(24 + c.head + 5)},
			}
			for _, around := range []struct {
				name string
				src  func() io.Reader
			}{
				{"plain", func() io.Reader { return bytes.NewReader(file) }},
				{"byte by byte", func() io.Reader { return iotest.OneByteReader(bytes.NewReader(file)) }},
				{"gzip", func() io.Reader { return bytes.NewReader(gzipped(t, file)) }},
				{"zstd", func() io.Reader { return bytes.NewReader(zstded(t, file)) }},
			} {
				got, r, err := read(t, around.src())
				if err != nil || !slices.Equal(got, want) {
					t.Errorf("%s: %v, %v; want %v", around.name, got, err, want)
					continue
				}
				if n := r.Notes(); len(n) != 1 || n[0].ID != capture.NoteSnapped || n[0].Count != 1 {
					t.Errorf("%s: notes %v", around.name, n)
				}
			}
		})
	}
}

func gzipped(t tb, b []byte) []byte {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	if _, err := w.Write(b); err != nil {
		t.Fatalf("%v", err)
	}
	if err := w.Close(); err != nil {
		t.Fatalf("%v", err)
	}
	return out.Bytes()
}

func zstded(t tb, b []byte) []byte {
	w, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatalf("%v", err)
	}
	defer func() { _ = w.Close() }()
	return w.EncodeAll(b, nil)
}

// Whatever the length that a file is cut to, what is before the cut is read.
func TestCut(t *testing.T) {
	t.Parallel()
	var ng bytes.Buffer
	w := capture.NewWriter(&ng)
	for i, data := range []string{"first", "second"} {
		if err := w.Write(&capture.Packet{Number: i + 1, Time: capture.InstantOf(packetTime), Link: capture.LinkRaw, Length: len(data), Data: []byte(data)}); err != nil {
			t.Fatal(err)
		}
	}
	for name, file := range map[string][]byte{
		"pcap":   pcapFile(binary.LittleEndian, 0xa1b23c4d, 16, 101),
		"pcapng": ng.Bytes(),
	} {
		whole, _, err := read(t, bytes.NewReader(file))
		if err != nil || len(whole) != 2 {
			t.Fatalf("%s: %v, %v", name, whole, err)
		}
		for n := range file {
			got, r, err := read(t, bytes.NewReader(file[:n]))
			if r == nil { // within the header
				if !capture.IsFormat(err) {
					t.Errorf("%s, %d bytes: %v", name, n, err)
				}
				continue
			}
			complete := 0
			for complete < 2 && int(whole[complete].offset)+len(file)-int(whole[1].offset) <= n {
				complete++ // both records are as long, as padded, or the second is longer
			}
			if err != nil || len(got) < complete || !slices.Equal(got, whole[:len(got)]) {
				t.Errorf("%s, %d bytes: %v, %v", name, n, got, err)
			}
			if notes := r.Notes(); len(notes) == 0 && len(got) == 2 {
				t.Errorf("%s, %d bytes: no note", name, n)
			}
		}
		z := gzipped(t, file)
		got, r, err := read(t, bytes.NewReader(z[:len(z)-6]))
		if err != nil || !slices.Equal(got, whole) || len(r.Notes()) == 0 {
			t.Errorf("%s in gzip without its end: %d packets, %v", name, len(got), err)
		}
	}
}

func TestNoCapture(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ file, want string }{
		{"", "it is empty"},
		{"ab", "it has 2 bytes"},
		{"220 hello\r\n", `it begins with "220 ", want pcap or pcapng`},
		{"snoop\x00\x00\x00", "(snoop)"},
		{"GMBU\x00\x00", "(Network Monitor)"},
		{"BZh91AY", "compressed, but not with gzip or zstd"},
		{"\xd4\xc3\xb2\xa1\x02\x00", "ends within its header"},
		{"\xd4\xc3\xb2\xa1\x09\x00" + strings.Repeat("\x00", 18), "pcap version 9, want 2"},
		{"\n\r\r\n\x1c\x00\x00\x00abcd", "a section gives 61626364 for the order of bytes"},
		{string(gzipped(t, []byte("hello"))), `it begins with "hell"`},
		{string(gzipped(t, gzipped(t, []byte("hello")))), `it begins with "\x1f\x8b`},
	} {
		_, _, err := read(t, strings.NewReader(c.file))
		if !capture.IsFormat(err) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: %v, want %q", c.file, err, c.want)
		}
	}
	if _, err := capture.Open(filepath.Join(t.TempDir(), "none.pcap")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
	broken := errors.New("the disk is gone")
	if _, _, err := read(t, iotest.ErrReader(broken)); !errors.Is(err, broken) {
		t.Errorf("broken from the start: %v", err)
	}
	file := pcapFile(binary.LittleEndian, 0xa1b2c3d4, 16, 1)
	got, _, err := read(t, io.MultiReader(bytes.NewReader(file), iotest.ErrReader(broken)))
	if len(got) != 2 || !errors.Is(err, broken) {
		t.Errorf("broken later: %d packets, %v", len(got), err)
	}
}

func TestDamaged(t *testing.T) {
	t.Parallel()
	file := pcapFile(binary.LittleEndian, 0xa1b2c3d4, 16, 1)
	file[24+16+5+8+3] = 0x7f // the length of the second
	got, r, err := read(t, bytes.NewReader(file))
	if err != nil || len(got) != 1 || len(r.Notes()) != 1 || r.Notes()[0].ID != capture.NoteDamaged {
		t.Errorf("%d packets, %v, notes %v", len(got), err, r.Notes())
	}
}

// Sections of both byte orders, interfaces of different links and clocks, and
// blocks that are not packets.
func TestPcapng(t *testing.T) {
	t.Parallel()
	var file []byte
	for _, order := range []binary.AppendByteOrder{binary.LittleEndian, binary.BigEndian} {
		block := func(kind uint32, body []byte) {
			n := uint32(12 + len(body))
			file = order.AppendUint32(order.AppendUint32(file, kind), n)
			file = order.AppendUint32(append(file, body...), n)
		}
		u16, u32, u64 := order.AppendUint16, order.AppendUint32, order.AppendUint64
		block(0x0a0d0d0a, u64(u16(u16(u32(nil, 0x1a2b3c4d), 1), 0), 1<<64-1))
		block(1, u32(u16(u16(nil, 1), 0), 6)) // Ethernet, of which 6 bytes are kept, in µs
		option := func(b []byte, code uint16, v string) []byte {
			b = append(u16(u16(b, code), uint16(len(v))), v...)
			return append(b, make([]byte, -len(b)&3)...)
		}
		i := option(option(option(u32(u16(u16(nil, 276), 0), 0), 2, "any\x00\x01"), 9, "\x8a"), 14, string(u64(nil, 1000))) // 1/1024 s, 1000 s late
		block(1, i)
		block(4, []byte{0, 0, 0, 0})                                                           // names
		block(6, append(u32(u32(u32(u32(u32(nil, 1), 0), 2048+512), 3), 3), 'o', 'n', 'e', 0)) // at 2.5 s
		block(2, append(u32(u32(u32(u32(u16(u16(nil, 0), 3), 0), 7e6), 2), 9), 't', 'w', 0, 0))
		block(3, append(u32(nil, 8), "sixsix\x00\x00"...))
		block(0xbad, []byte("whatever"))
		block(5, option(u32(u32(u32(nil, 1), 0), 0), 5, string(u64(nil, 42))))
	}
	got, r, err := read(t, bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	for i := range got {
		got[i].offset = 0
	}
	var want []record
	for s := range 2 {
		want = append(want,
			record{3*s + 1, 2*s + 1, time.Unix(1002, 5e8).UTC(), capture.LinkSLL2, 3, "one", 0},
			record{3*s + 2, 2 * s, time.Unix(7, 0).UTC(), capture.LinkEthernet, 9, "tw", 0},
			record{3*s + 3, 2 * s, time.Time{}, capture.LinkEthernet, 8, "sixsix", 0})
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
	if i := r.Interfaces(); len(i) != 4 || i[3].Name != "any" || i[0].SnapLength != 6 {
		t.Errorf("interfaces %+v", i)
	}
	var notes []string
	for _, n := range r.Notes() {
		notes = append(notes, n.String())
	}
	if want := []string{"any: 42 packets were lost while recording", "any: 42 packets were lost while recording", "of 4 packets only the beginning was recorded"}; !slices.Equal(notes, want) {
		t.Errorf("notes %q, want %q", notes, want)
	}
}

// What another reader gives of a file, ours gives too.
func TestSameAsPcapgo(t *testing.T) {
	t.Parallel()
	for _, name := range captures(t) {
		t.Run(filepath.Base(name), func(t *testing.T) {
			t.Parallel()
			b, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			got, _, err := read(t, bytes.NewReader(b))
			if err != nil {
				t.Fatal(err)
			}
			var source interface {
				ReadPacketData() ([]byte, gopacket.CaptureInfo, error)
			}
			src := io.Reader(bytes.NewReader(b))
			if b[0] == 0x1f {
				if src, err = gzip.NewReader(src); err != nil {
					t.Fatal(err)
				}
			}
			if source, err = pcapgo.NewReader(src); err != nil {
				source, err = pcapgo.NewNgReader(bytes.NewReader(b), pcapgo.NgReaderOptions{WantMixedLinkType: true})
			}
			if err != nil {
				t.Fatal(err)
			}
			for i, g := range got {
				data, info, err := source.ReadPacketData()
				if err != nil {
					t.Fatalf("packet %d: %v", i+1, err)
				}
				if g.number != i+1 || g.data != string(data) || g.length != info.Length || !g.at.Equal(info.Timestamp) {
					t.Fatalf("packet %d: %d bytes of %d at %v, want %d of %d at %v", i+1, len(g.data), g.length, g.at, len(data), info.Length, info.Timestamp)
				}
			}
			if _, _, err := source.ReadPacketData(); err == nil {
				t.Errorf("there are more than %d packets", len(got))
			}
		})
	}
}

// captures are the files in testdata, and those in TOWPATH_CAPTURES if it names
// a directory.
func captures(t testing.TB) []string {
	t.Helper()
	var all []string
	for _, dir := range []string{"testdata", os.Getenv("TOWPATH_CAPTURES")} {
		if dir == "" {
			continue
		}
		for _, pattern := range []string{"*.*cap*", "*/*.*cap*"} {
			files, err := filepath.Glob(filepath.Join(dir, pattern))
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, files...)
		}
	}
	if len(all) == 0 {
		t.Fatal("no captures in testdata")
	}
	return all
}

// What is written is read back, and another reader reads it too.
func TestWriter(t *testing.T) {
	t.Parallel()
	var file bytes.Buffer
	w := capture.NewWriter(&file)
	w.Describe(0, 0, capture.Interface{Name: "eth0", Description: "outside", Link: capture.LinkEthernet, SnapLength: 2000, Filter: "port 21"})
	packets := []*capture.Packet{
		{Number: 1, Time: capture.InstantOf(packetTime), Link: capture.LinkEthernet, Length: 100, Data: []byte("one")},
		{Number: 2, Time: capture.InstantOf(packetTime) + 1, Interface: 1, Link: capture.LinkRaw, Length: 4, Data: []byte("four")},
		{Number: 1, File: 1, Time: capture.InstantOf(packetTime.Add(time.Hour)), Link: capture.LinkSLL2, Length: 0},
	}
	for _, p := range packets {
		if err := w.Write(p); err != nil {
			t.Fatal(err)
		}
	}
	got, r, err := read(t, bytes.NewReader(file.Bytes()))
	if err != nil || len(got) != 3 {
		t.Fatalf("%v, %v", got, err)
	}
	other, err := pcapgo.NewNgReader(bytes.NewReader(file.Bytes()), pcapgo.NgReaderOptions{WantMixedLinkType: true})
	if err != nil {
		t.Fatal(err)
	}
	for i, p := range packets {
		if g := got[i]; g.number != i+1 || g.index != i || !g.at.Equal(p.Time.Time()) || g.link != p.Link || g.length != p.Length || g.data != string(p.Data) {
			t.Errorf("packet %d: %+v", i, g)
		}
		data, info, err := other.ReadPacketData()
		if err != nil || string(data) != string(p.Data) || !info.Timestamp.Equal(p.Time.Time()) || info.Length != p.Length || layers.LinkType(p.Link) != linkOf(info, other) {
			t.Errorf("packet %d by another reader: %q, %+v, %v", i, data, info, err)
		}
	}
	if i := r.Interfaces()[0]; i != (capture.Interface{Name: "eth0", Description: "outside", Link: capture.LinkEthernet, SnapLength: 2000, Filter: "port 21"}) {
		t.Errorf("interface %+v", i)
	}
	if err := w.Write(&capture.Packet{Number: 7, Data: []byte("xx"), Length: 1, Time: capture.InstantOf(packetTime)}); err == nil {
		t.Error("more kept than there was")
	}
	full := capture.NewWriter(failing{})
	if err := full.Write(packets[0]); err == nil {
		t.Error("no error where writing fails")
	}
}

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, errors.New("full") }

func linkOf(info gopacket.CaptureInfo, r *pcapgo.NgReader) layers.LinkType {
	i, err := r.Interface(info.InterfaceIndex)
	if err != nil {
		return 0
	}
	return i.LinkType
}

// FuzzReader: whatever a file holds, reading it ends, and what was read can be
// written and read again.
func FuzzReader(f *testing.F) {
	f.Add(pcapFile(binary.LittleEndian, 0xa1b2c3d4, 16, 1))
	f.Add(pcapFile(binary.BigEndian, 0xa1b23c4d, 16, 276))
	f.Add(pcapFile(binary.BigEndian, 0xa1b2cd34, 24, 0))
	f.Add(gzipped(f, pcapFile(binary.LittleEndian, 0xa1b2c3d4, 16, 1)))
	f.Add(zstded(f, pcapFile(binary.LittleEndian, 0xa1b2c3d4, 16, 1)))
	var ng bytes.Buffer
	w := capture.NewWriter(&ng)
	for i := range 3 {
		if err := w.Write(&capture.Packet{Time: capture.InstantOf(packetTime), Interface: i, Link: capture.LinkRaw, Length: 2, Data: []byte{1, 2}}); err != nil {
			f.Fatal(err)
		}
	}
	f.Add(ng.Bytes())
	f.Fuzz(func(t *testing.T, file []byte) {
		// What is small compressed may be endless, so there is an end to it here.
		r, err := capture.NewReader(bytes.NewReader(file), "fuzz")
		if err != nil {
			return
		}
		defer func() { _ = r.Close() }() // read only
		var out bytes.Buffer
		w := capture.NewWriter(&out)
		tr := capture.NewTracker(&listener{t: t, limit: -1}, capture.Options{Connections: 100})
		var want []string
		for p, err := range r.Packets() {
			if err != nil || p.Number > 1000 {
				break
			}
			if len(p.Data) > p.Length {
				t.Fatalf("packet %d: %d bytes of %d", p.Number, len(p.Data), p.Length)
			}
			tr.Packet(p)
			if p.Time.IsZero() || w.Write(p) != nil {
				continue
			}
			want = append(want, fmt.Sprintf("%v %v %d %x", p.Time, p.Link, p.Length, p.Data))
		}
		tr.Close()
		_, _ = r.Notes(), tr.Notes()
		if w.Err() != nil {
			t.Fatal(w.Err())
		}
		again, err := capture.NewReader(&out, "again")
		if err != nil {
			t.Fatal(err)
		}
		i := 0
		for p, err := range again.Packets() {
			if err != nil {
				t.Fatal(err)
			}
			if got := fmt.Sprintf("%v %v %d %x", p.Time, p.Link, p.Length, p.Data); i >= len(want) || got != want[i] {
				t.Fatalf("packet %d: %s, want one of %d", i, got, len(want))
			}
			i++
		}
		if i != len(want) {
			t.Fatalf("%d packets again, want %d: %v", i, len(want), again.Notes())
		}
	})
}
