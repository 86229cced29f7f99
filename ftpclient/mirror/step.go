package mirror

import (
	"fmt"
	"time"

	"github.com/dustin/go-humanize"

	"towpath/ftp"
)

// Op is what a step does.
type Op string

// The operations.
const (
	Fetch  Op = "fetch"  // a file comes from the server
	Send   Op = "send"   // a file goes to the server
	Make   Op = "make"   // a directory is made
	Link   Op = "link"   // a link is made
	Delete Op = "delete" // a file, link or empty directory is removed
	Retime Op = "retime" // a file gets its time

	settle Op = "compare" // digests are compared; it is never told of
)

// Step is one thing to do in the target.
type Step struct {
	Op   Op
	Path string // below both directories, joined by slashes; "." for themselves
	Dir  bool   // it is a directory
	Size int64  // of a file that moves, -1 if not known
	Time time.Time
	// Target is where a link leads.
	Target string
}

// String shows the step, safe for a terminal: "fetch sub/a.txt (1.2 KiB)".
func (s Step) String() string {
	text := string(s.Op) + " " + ftp.Escape(s.Path)
	switch {
	case s.Dir:
		text += "/"
	case s.Op == Link:
		text += " -> " + ftp.Escape(s.Target)
	case s.Op == Retime:
		text += " (" + s.Time.UTC().Format(time.DateTime) + ")"
	case (s.Op == Fetch || s.Op == Send) && s.Size >= 0:
		text += fmt.Sprintf(" (%s)", humanize.IBytes(uint64(s.Size)))
	}
	return text
}
