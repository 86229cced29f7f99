package progress

import (
	"slices"
	"strings"
)

// framer gives its rows away, and writes only what stays.
type framer struct{ p *Progress }

func (r *framer) started(*File) string { return "" } // the next frame has it

func (r *framer) done(f *File) string {
	if f.err == nil {
		return ""
	}
	return failure(f) + "\n"
}

func (r *framer) note(text string) string { return text }

func (r *framer) tick() string {
	r.p.o.Frame(r.p.rows())
	return ""
}

// close writes the last rows, less those of files whose failure has been told.
func (r *framer) close() string {
	r.p.o.Frame(nil)
	r.p.files = slices.DeleteFunc(r.p.files, func(f *File) bool { return f.err != nil })
	if len(r.p.files) == 0 {
		return ""
	}
	color := r.p.o.Color
	r.p.o.Color = false // it is text now
	defer func() { r.p.o.Color = color }()
	return strings.Join(r.p.rows(), "\n") + "\n"
}
