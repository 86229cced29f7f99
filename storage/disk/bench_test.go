package disk

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"towpath/storage"
)

// eachBench runs a benchmark on a tree of each form that holds /a/b/c/file
// and /many with ten thousand entries.
func eachBench(b *testing.B, bench func(b *testing.B, f *FS)) {
	dir := b.TempDir()
	for _, d := range []string{"a/b/c", "many"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			b.Fatal(err)
		}
	}
	files := []string{"file", "a/b/c/file"}
	for i := range 10_000 {
		files = append(files, fmt.Sprintf("many/file-%05d.txt", i))
	}
	for _, name := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("text"), 0o644); err != nil {
			b.Fatal(err)
		}
	}
	for name, o := range forms {
		o.Sync = SyncOff
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			bench(b, open(b, dir, o))
		})
	}
}

func BenchmarkList(b *testing.B) {
	eachBench(b, func(b *testing.B, f *FS) {
		for b.Loop() {
			n := 0
			for _, err := range f.List(b.Context(), "/many") {
				if err != nil {
					b.Fatal(err)
				}
				n++
			}
			if n != 10_000 {
				b.Fatalf("%d entries", n)
			}
		}
	})
}

func BenchmarkStat(b *testing.B) {
	eachBench(b, func(b *testing.B, f *FS) {
		for _, name := range []string{"/file", "/a/b/c/file"} {
			b.Run(name, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if _, err := f.Stat(b.Context(), name); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	})
}

func BenchmarkOpen(b *testing.B) {
	eachBench(b, func(b *testing.B, f *FS) {
		for b.Loop() {
			r, err := f.Open(b.Context(), "/a/b/c/file", 0)
			if err != nil {
				b.Fatal(err)
			}
			if err := r.Close(); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkUpload writes files of 1 KiB, new ones and over an old one.
func BenchmarkUpload(b *testing.B) {
	text := make([]byte, 1<<10)
	eachBench(b, func(b *testing.B, f *FS) {
		put := func(b *testing.B, name string) {
			w, err := f.Create(b.Context(), name, storage.How{Owner: "anna"})
			if err != nil {
				b.Fatal(err)
			}
			if _, err := w.Write(text); err != nil {
				b.Fatal(err)
			}
			if err := w.Commit(); err != nil {
				b.Fatal(err)
			}
		}
		b.Run("new", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				put(b, "/new")
				b.StopTimer()
				if err := f.Remove(b.Context(), "/new"); err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
			}
		})
		b.Run("over", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				put(b, "/over")
			}
		})
	})
}
