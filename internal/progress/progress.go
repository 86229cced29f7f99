// Package progress shows how transfers go on: as rows that are painted again and
// again on a terminal, as a line now and then elsewhere, or as JSON events.
//
// It counts and paints; it moves no bytes and knows no FTP. One goroutine paints
// for all files, and counting bytes takes no lock, so that ten thousand files
// cost no more than those that are under way.
package progress

import (
	"cmp"
	"io"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"towpath/internal/units"
)

// Options say how progress is shown. The zero value writes a line every ten
// seconds. [Detect] fills them in for a file such as os.Stderr.
type Options struct {
	// Terminal paints rows and moves the cursor.
	Terminal bool
	// Width returns the columns of the terminal, and is asked for each frame.
	// Default 80.
	Width func() int
	// Rows is how many files have a row of their own. Default 5.
	Rows int
	// Color shows failures in red and what is done in green.
	Color bool
	// JSON writes events instead, one JSON object in each line. It wins over
	// Terminal.
	JSON bool
	// Frame takes each frame, in place of painting it: for a program that has
	// the terminal to itself. It is called with nil at the end, when the rows
	// are written out for good. JSON wins over it, too.
	Frame func(rows []string)
	// Interval is the time between frames, lines or progress events. Default
	// 200 ms on a terminal, 1 s for JSON, 10 s elsewhere.
	Interval time.Duration
}

// Progress shows files. Its methods are safe for concurrent use.
type Progress struct {
	out    io.Writer
	o      Options
	show   style
	stop   chan struct{}
	ended  chan struct{}
	closed sync.Once

	mu    sync.Mutex
	err   error   // the first of out; nothing is written behind it
	files []*File // under way, and those that were done last, as they began
	count counts
	meter meter // of all files together
}

// style is one way to show progress. Its methods are called with the lock held
// and return what is to be written.
type style interface {
	started(f *File) string
	done(f *File) string
	tick() string
	note(text string) string
	close() string
}

// counts are sums over all files.
type counts struct {
	began        time.Time
	files        int   // that were begun
	done, failed int   // that ended well, or not
	moved, here  int64 // bytes of ended files: moved, and there before
	sized        int64 // sizes of ended files

	expected      int   // files that [Progress.Expect] told of
	expectedBytes int64 // and their bytes, -1 if not known
}

// New shows progress on w until it is closed.
func New(w io.Writer, o Options) *Progress {
	o.Rows = cmp.Or(o.Rows, 5)
	if o.Width == nil {
		o.Width = func() int { return 80 }
	}
	p := &Progress{out: w, o: o, stop: make(chan struct{}), ended: make(chan struct{})}
	p.count = counts{began: time.Now(), expectedBytes: -1}
	switch {
	case o.JSON:
		p.show = &events{p}
		p.o.Interval = cmp.Or(o.Interval, time.Second)
	case o.Frame != nil:
		p.show = &framer{p}
		p.o.Interval = cmp.Or(o.Interval, 200*time.Millisecond)
	case o.Terminal:
		p.show = &painter{p: p}
		p.o.Interval = cmp.Or(o.Interval, 200*time.Millisecond)
	default:
		p.show = &lines{p: p}
		p.o.Interval = cmp.Or(o.Interval, 10*time.Second)
	}
	go p.run()
	return p
}

func (p *Progress) run() {
	defer close(p.ended)
	tick := time.NewTicker(p.o.Interval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			p.mu.Lock()
			p.measure(time.Now())
			p.write(p.show.tick())
			p.mu.Unlock()
		case <-p.stop:
			return
		}
	}
}

// Expect tells how much there will be in all: files, and bytes, -1 if that is
// not known. Without it the total is that of the files begun so far.
func (p *Progress) Expect(files int, bytes int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.count.expected, p.count.expectedBytes = files, bytes
}

// File begins a file of size bytes, -1 if that is not known. The name is for
// people, and may hold anything.
func (p *Progress) File(name string, size int64) *File {
	now := time.Now()
	f := &File{p: p, name: name, began: now}
	f.size.Store(max(size, -1))
	f.meter.start(now)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.count.files++
	if p.meter.last.IsZero() {
		p.meter.start(now)
	}
	p.files = append(p.files, f)
	p.write(p.show.started(f))
	return f
}

// Write shows text above the rows, or between the lines: a warning, say. It
// should end with \n.
func (p *Progress) Write(text []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.write(p.show.note(string(text)))
	return len(text), p.err
}

// Close shows how all has ended, and returns the first error of the writer.
func (p *Progress) Close() error {
	p.closed.Do(func() {
		close(p.stop)
		<-p.ended
		p.mu.Lock()
		defer p.mu.Unlock()
		p.measure(time.Now())
		p.write(p.show.close())
	})
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.err
}

func (p *Progress) write(text string) {
	if text == "" || p.err != nil {
		return
	}
	_, p.err = io.WriteString(p.out, text)
}

// measure takes the rates anew.
func (p *Progress) measure(now time.Time) {
	moved := p.count.moved
	for _, f := range p.files {
		if !f.ended {
			n := f.moved.Load()
			f.meter.add(now, n)
			moved += n
		}
	}
	if !p.meter.last.IsZero() {
		p.meter.add(now, moved)
	}
}

// File is one file that is transferred. Its methods are safe for concurrent use.
type File struct {
	p     *Progress
	name  string
	began time.Time

	size  atomic.Int64 // -1 if not known
	moved atomic.Int64
	here  atomic.Int64 // before it began

	// Below the lock of p.
	meter meter
	ended bool
	took  time.Duration
	err   error
}

// Add tells that n more bytes have been moved.
func (f *File) Add(n int64) { f.moved.Add(n) }

// Moved is how many bytes [File.Add] has told of.
func (f *File) Moved() int64 { return f.moved.Load() }

// Skip tells that n bytes had been there before: a transfer goes on where an
// earlier one stopped. They count for the share and not for the rate.
func (f *File) Skip(n int64) { f.here.Store(n) }

// SetSize tells the size when it comes to be known.
func (f *File) SetSize(size int64) { f.size.Store(max(size, -1)) }

// Done ends the file; err is nil if it was transferred whole. Only the first
// call counts.
func (f *File) Done(err error) {
	p := f.p
	p.mu.Lock()
	defer p.mu.Unlock()
	if f.ended {
		return
	}
	f.ended, f.err, f.took = true, err, time.Since(f.began)
	c := &p.count
	c.moved += f.moved.Load()
	c.here += f.here.Load()
	if size := f.size.Load(); err != nil {
		c.failed++
		c.sized = units.Sum(c.sized, f.at()) // no more of it will come
	} else {
		c.done++
		c.sized = units.Sum(c.sized, max(size, f.at()))
	}
	p.write(p.show.done(f))
	p.forget()
}

// at is how much of the file is there.
func (f *File) at() int64 { return f.here.Load() + f.moved.Load() }

// forget drops ended files that no row will show: the oldest first.
func (p *Progress) forget() {
	ended := 0
	for _, f := range p.files {
		if f.ended {
			ended++
		}
	}
	if ended > p.o.Rows {
		i := slices.IndexFunc(p.files, func(f *File) bool { return f.ended })
		p.files = slices.Delete(p.files, i, i+1)
	}
}

// total is where all files together stand.
type total struct {
	files, done, failed int
	at, size            int64 // size -1 if not known
	moved               int64
	rate                float64
	took                time.Duration
}

func (p *Progress) total() total {
	c := &p.count
	t := total{
		files: max(c.files, c.expected), done: c.done, failed: c.failed,
		at: c.here + c.moved, moved: c.moved, size: c.sized,
		rate: p.meter.rate, took: time.Since(c.began),
	}
	for _, f := range p.files {
		if f.ended {
			continue
		}
		t.at += f.at()
		t.moved += f.moved.Load()
		if size := f.size.Load(); size < 0 {
			t.size = -1
		} else if t.size >= 0 {
			t.size = units.Sum(t.size, max(size, f.at()))
		}
	}
	switch {
	case c.expectedBytes >= 0:
		t.size = max(c.expectedBytes, t.at)
	case c.expected > c.files, t.size == math.MaxInt64: // of those to come nothing is known, or what is cannot be
		t.size = -1
	}
	return t
}
