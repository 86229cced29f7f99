package listing

import (
	"io/fs"
	"testing"
	"time"
)

var sea = Entry{
	Name: "sea.txt", Type: File, Size: 4096, Mode: 0o644, Perm: PermRead | PermWrite,
	Time:  time.Date(2026, 1, 2, 15, 4, 5, 0, time.UTC),
	Owner: "ada", Group: "crew", Device: 0x801, Inode: 0xbeef,
}

// with returns sea with a change.
func with(change func(e *Entry)) Entry {
	e := sea
	change(&e)
	return e
}

func TestAppendMLSx(t *testing.T) {
	tests := []struct {
		name  string
		e     Entry
		facts Facts
		want  string
	}{
		{"default", sea, DefaultFacts, "type=file;size=4096;modify=20260102150405;perm=rw; sea.txt"},
		{"all", sea, AllFacts, "type=file;size=4096;modify=20260102150405;perm=rw;unique=801gbeef;unix.mode=0644;unix.owner=ada;unix.group=crew; sea.txt"},
		{"none", sea, 0, " sea.txt"},
		{"a directory has no size", with(func(e *Entry) { e.Type = Dir }), FactType | FactSize, "type=dir; sea.txt"},
		{"cdir", with(func(e *Entry) { e.Type, e.Name = CDir, "." }), FactType | FactSize, "type=cdir; ."},
		{"link", with(func(e *Entry) { e.Type, e.Target = Link, "/x" }), FactType, "type=OS.unix=slink:/x; sea.txt"},
		{"a target cannot end its fact", with(func(e *Entry) { e.Type, e.Target = Link, "a; b" }), FactType, "type=OS.unix=slink; sea.txt"},
		{"fifo", with(func(e *Entry) { e.Mode |= fs.ModeNamedPipe }), FactType, "type=OS.unix=fifo; sea.txt"},
		{"unknown", Entry{Name: "x", Size: -1}, AllFacts, "perm=;unix.mode=0000; x"},
		{"set-id bits", with(func(e *Entry) { e.Mode = 0o751 | fs.ModeSetuid | fs.ModeSticky }), FactMode, "unix.mode=5751; sea.txt"},
		{"an owner cannot end its fact", with(func(e *Entry) { e.Owner = "a;b c\r" }), FactOwner, "unix.owner=a_b_c_; sea.txt"},
		{"a name cannot end the line", with(func(e *Entry) { e.Name = "a\r\nb\x00\x7f\té" }), 0, ` a\x0D\x0Ab\x00\x7F\x09é`},
		{"time in another zone", with(func(e *Entry) { e.Time = e.Time.In(time.FixedZone("", 3600)) }), FactModify, "modify=20260102150405; sea.txt"},
		{"year beyond four digits", with(func(e *Entry) { e.Time = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC) }), FactModify, " sea.txt"},
		{"created", with(func(e *Entry) { e.Created = e.Time }), FactCreate, "create=20260102150405; sea.txt"},
		{"media type", with(func(e *Entry) { e.MediaType = "text/plain" }), FactMediaType, "media-type=text/plain; sea.txt"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := string(AppendMLSx(nil, &tt.e, tt.facts)); got != tt.want+"\r\n" {
				t.Errorf("got  %q\nwant %q", got, tt.want+"\r\n")
			}
		})
	}
}

func TestAppendUnix(t *testing.T) {
	now := time.Date(2026, 1, 10, 0, 0, 0, 0, time.UTC)
	tests := []struct {
		name string
		e    Entry
		want string
	}{
		{"file", sea, "-rw-r--r--    1 ada      crew             4096 Jan  2 15:04 sea.txt"},
		{"directory", with(func(e *Entry) { e.Type, e.Mode, e.Links = Dir, 0o755|fs.ModeDir, 3 }), "drwxr-xr-x    3 ada      crew             4096 Jan  2 15:04 sea.txt"},
		{"link", with(func(e *Entry) { e.Type, e.Mode, e.Target = Link, 0o777, "a\nb" }), `lrwxrwxrwx    1 ada      crew             4096 Jan  2 15:04 sea.txt -> a\x0Ab`},
		{"set-id and sticky", with(func(e *Entry) { e.Mode = 0o754 | fs.ModeSetuid | fs.ModeSetgid | fs.ModeSticky }), "-rwsr-sr-T    1 ada      crew             4096 Jan  2 15:04 sea.txt"},
		{"set-id without x", with(func(e *Entry) { e.Mode = 0o641 | fs.ModeSetuid | fs.ModeSetgid | fs.ModeSticky }), "-rwSr-S--t    1 ada      crew             4096 Jan  2 15:04 sea.txt"},
		{"device", with(func(e *Entry) { e.Mode = 0o600 | fs.ModeDevice | fs.ModeCharDevice }), "crw-------    1 ada      crew             4096 Jan  2 15:04 sea.txt"},
		{"unknown", Entry{Name: "x", Size: -1}, "?---------    1 ftp      ftp                 0 Jan  1  1970 x"},
		{"half a year old", with(func(e *Entry) { e.Time = now.Add(-halfYear) }), "-rw-r--r--    1 ada      crew             4096 Jul 11  2025 sea.txt"},
		{"not quite half a year old", with(func(e *Entry) { e.Time = now.Add(time.Minute - halfYear) }), "-rw-r--r--    1 ada      crew             4096 Jul 11 09:06 sea.txt"},
		{"in the future", with(func(e *Entry) { e.Time = now.Add(time.Second) }), "-rw-r--r--    1 ada      crew             4096 Jan 10  2026 sea.txt"},
		{"long owner, large size", with(func(e *Entry) { e.Owner, e.Size = "john smith", 1<<63-1 }), "-rw-r--r--    1 john_smith crew     9223372036854775807 Jan  2 15:04 sea.txt"},
		{"a name cannot end the line", with(func(e *Entry) { e.Name = " a\r\nb" }), `-rw-r--r--    1 ada      crew             4096 Jan  2 15:04  a\x0D\x0Ab`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := string(AppendUnix(nil, &tt.e, now)); got != tt.want+"\r\n" {
				t.Errorf("got  %q\nwant %q", got, tt.want+"\r\n")
			}
		})
	}
}

func TestAppendDOS(t *testing.T) {
	tests := []struct {
		name string
		e    Entry
		want string
	}{
		{"file", sea, "01-02-26  03:04PM                 4096 sea.txt"},
		{"directory", with(func(e *Entry) { e.Type = Dir }), "01-02-26  03:04PM       <DIR>          sea.txt"},
		{"midnight", with(func(e *Entry) { e.Time = time.Date(1999, 12, 31, 0, 5, 0, 0, time.UTC) }), "12-31-99  12:05AM                 4096 sea.txt"},
		{"noon", with(func(e *Entry) { e.Time = time.Date(2000, 12, 31, 12, 5, 0, 0, time.UTC) }), "12-31-00  12:05PM                 4096 sea.txt"},
		{"a year that two digits cannot tell", with(func(e *Entry) { e.Time = time.Date(1969, 12, 31, 1, 5, 0, 0, time.UTC) }), "12-31-1969  01:05AM                 4096 sea.txt"},
		{"unknown", Entry{Name: "x", Size: -1}, "01-01-70  12:00AM                    0 x"},
		{"a name cannot end the line", with(func(e *Entry) { e.Name = "a\nb" }), `01-02-26  03:04PM                 4096 a\x0Ab`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := string(AppendDOS(nil, &tt.e)); got != tt.want+"\r\n" {
				t.Errorf("got  %q\nwant %q", got, tt.want+"\r\n")
			}
		})
	}
}

// No entry may cost an allocation: a listing of 10,000 is one of the things
// that servers are measured by.
func TestAppendAllocatesNothing(t *testing.T) {
	b := make([]byte, 0, 1024)
	e := with(func(e *Entry) { e.Target, e.Unique, e.MediaType, e.Created = "x", "1", "text/plain", e.Time })
	now := e.Time
	for _, f := range []struct {
		name string
		f    func()
	}{
		{"MLSx", func() { AppendMLSx(b, &e, AllFacts) }},
		{"Unix", func() { AppendUnix(b, &e, now) }},
		{"DOS", func() { AppendDOS(b, &e) }},
	} {
		if n := testing.AllocsPerRun(100, f.f); n != 0 {
			t.Errorf("%s: %v allocations for an entry, want none", f.name, n)
		}
	}
}

func BenchmarkAppendMLSx(b *testing.B) {
	benchmarkAppend(b, func(buf []byte, e *Entry) []byte { return AppendMLSx(buf, e, DefaultFacts|FactMode) })
}

func BenchmarkAppendUnix(b *testing.B) {
	benchmarkAppend(b, func(buf []byte, e *Entry) []byte { return AppendUnix(buf, e, sea.Time) })
}

func BenchmarkAppendDOS(b *testing.B) { benchmarkAppend(b, AppendDOS) }

// benchmarkAppend formats 10,000 entries an iteration, into one buffer.
func benchmarkAppend(b *testing.B, appendTo func([]byte, *Entry) []byte) {
	e := sea
	buf := make([]byte, 0, 4096)
	b.ReportAllocs()
	for b.Loop() {
		for i := range 10_000 {
			e.Size = int64(i) << 10
			buf = appendTo(buf[:0], &e)
		}
	}
}
