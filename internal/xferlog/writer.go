package xferlog

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"

	"towpath/ftpserver"
)

// backlog is how many bytes of lines wait for a slow disk before lines are lost.
const backlog = 1 << 20

// Writer keeps a log file. Sessions hand their events over in memory and never
// wait for the disk: a file that takes no lines (disk full, server of a network
// disk gone) costs at most lines, which are counted. What could not be written
// is tried again with the next event. A Writer is safe for concurrent use.
type Writer struct {
	name   string
	format Format
	log    *slog.Logger
	open   func() (io.WriteCloser, error)

	mu      sync.Mutex // never held while writing
	pending []byte
	lost    int // lines since the last report
	closed  bool

	wake   chan struct{}
	orders chan order
	done   chan struct{}

	// What follows belongs to run.
	file   io.WriteCloser
	batch  []byte // being written
	broken bool   // batch begins in the middle of a line
	failed bool   // the failure was reported
}

// order asks run to do something between two writes.
type order struct {
	do     func() error
	result chan error
}

// Open opens a log file for appending, and makes it (mode 0640) if it is not
// there. Faults of later writes go to log, once until it writes again.
func Open(name string, format Format, log *slog.Logger) (*Writer, error) {
	return start(name, format, log, func() (io.WriteCloser, error) {
		return os.OpenFile(name, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o640)
	})
}

func start(name string, format Format, log *slog.Logger, open func() (io.WriteCloser, error)) (*Writer, error) {
	file, err := open()
	if err != nil {
		return nil, fmt.Errorf("log file: %w", err)
	}
	w := &Writer{
		name: name, format: format, log: log, open: open, file: file,
		wake: make(chan struct{}, 1), orders: make(chan order), done: make(chan struct{}),
	}
	go w.run()
	return w, nil
}

// Event logs an event. It does not block. Events after Close are dropped.
func (w *Writer) Event(e ftpserver.Event) {
	line := w.format(nil, e)
	if len(line) == 0 {
		return
	}
	w.mu.Lock()
	fits := !w.closed && len(w.pending)+len(line) <= backlog
	first := !fits && !w.closed && w.lost == 0
	if fits {
		w.pending = append(w.pending, line...)
	} else {
		w.lost++
	}
	w.mu.Unlock()
	if first {
		w.log.Error("log file takes no lines, lines are lost", "file", w.name)
	}
	select {
	case w.wake <- struct{}{}:
	default: // run will find the line when it wakes
	}
}

// Reopen opens the file by its name again, after a program such as logrotate
// has moved it. Lines that came before go to the old file. If the new one
// cannot be opened the old one stays in use.
func (w *Writer) Reopen() error {
	return w.ask(func() error {
		file, err := w.open()
		if err != nil {
			return fmt.Errorf("reopen log file: %w", err)
		}
		_ = w.flush() // reported there; what stays goes to the new file
		if w.broken { // the rest of a line is no line in a new file
			w.batch = w.batch[bytes.IndexByte(w.batch, '\n')+1:]
			w.broken = false
			w.mu.Lock()
			w.lost++
			w.mu.Unlock()
		}
		old := w.file
		w.file = file
		if err := old.Close(); err != nil {
			return fmt.Errorf("close old log file: %w", err)
		}
		return nil
	})
}

// Close writes what waits and closes the file; it waits for the disk. Only the
// first call does anything.
func (w *Writer) Close() error {
	w.mu.Lock()
	again := w.closed
	w.closed = true
	w.mu.Unlock()
	if again {
		return nil
	}
	err := w.ask(func() error {
		err := w.flush()
		if err := errors.Join(err, w.file.Close()); err != nil {
			return fmt.Errorf("close log file: %w", err)
		}
		return nil
	})
	close(w.done)
	return err
}

// ask has run do something, and waits for it.
func (w *Writer) ask(do func() error) error {
	o := order{do: do, result: make(chan error, 1)}
	select {
	case w.orders <- o:
		return <-o.result
	case <-w.done:
		return os.ErrClosed
	}
}

// run writes. It is the only one to touch the file.
func (w *Writer) run() {
	for {
		select {
		case <-w.wake:
			_ = w.flush() // reported there
		case o := <-w.orders:
			o.result <- o.do()
		case <-w.done:
			return
		}
	}
}

// flush writes what waits. What it cannot write stays for the next time.
func (w *Writer) flush() error {
	for {
		if len(w.batch) == 0 {
			w.mu.Lock()
			w.batch, w.pending = w.pending, nil
			w.mu.Unlock()
			if len(w.batch) == 0 {
				return nil
			}
		}
		n, err := w.file.Write(w.batch)
		if n > 0 {
			w.broken = w.batch[n-1] != '\n'
		}
		w.batch = w.batch[n:]
		if err != nil {
			if !w.failed {
				w.failed = true
				w.log.Error("log file cannot be written, lines wait in memory", "file", w.name, "err", err)
			}
			return err
		}
		w.report()
	}
}

// report tells the end of a failure and what it cost.
func (w *Writer) report() {
	w.mu.Lock()
	lost := w.lost
	w.lost = 0
	w.mu.Unlock()
	if w.failed || lost > 0 {
		w.failed = false
		w.log.Warn("log file is written again", "file", w.name, "lost", lost)
	}
}
