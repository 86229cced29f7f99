// Package segments moves one big file over several sessions at once.
//
// A download writes each segment to its place in the file, and notes beside it
// which are done, so that it can be taken up again whatever ended it. When a
// session has nothing left to do it takes over half of what the slowest still
// has. An upload sends parts that the server joins.
//
// It decides who moves what; the bytes are moved by ftpclient.
package segments

import (
	"io/fs"

	"towpath/ftpclient"
	"towpath/internal/sole"
)

// ErrBusy: somebody else, here or in another process, fetches into the same file.
var ErrBusy = sole.ErrBusy

// Options say how a file is moved.
type Options struct {
	// Sessions is how many move it at most. Servers that allow fewer, and
	// files too small for so many, get fewer. Default: 4.
	Sessions int
	// Resume goes on where an earlier call stopped, if the file on the server
	// is still the same by size and time. Otherwise it begins anew.
	Resume bool
	// Verify compares digests when all is there; see [ftpclient.Client.Compare].
	Verify bool
	// Limiter, if not nil, is the rate of all sessions together.
	Limiter ftpclient.Limiter
	// Progress is told how many bytes of the file have arrived, first with
	// those of an earlier call. It may go down when the file has changed. Calls
	// come one at a time.
	Progress func(arrived int64)
	// As is what the file is called when it is whole. If "", it keeps its name.
	// Only downloads ask.
	As string
	// Mode, if not 0, is its permissions; else those of the umask. Only
	// downloads ask.
	Mode fs.FileMode
	// Note is told what the user should know: that the file has changed, that
	// the server allows fewer sessions. Calls come one at a time.
	Note func(text string)
}

func (o *Options) fill() {
	if o.Sessions <= 0 {
		o.Sessions = 4
	}
	if o.Progress == nil {
		o.Progress = func(int64) {}
	}
	if o.Note == nil {
		o.Note = func(string) {}
	}
}

// least is the smallest segment: for less, beginning a transfer costs more than
// it gains.
const least = 1 << 20
