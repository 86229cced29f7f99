package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/lmittmann/tint"
	"golang.org/x/term"

	"towpath/ftpserver"
	"towpath/internal/config"
	"towpath/internal/xferlog"
)

// logs are the places where a server writes down what happens.
type logs struct {
	slog  *slog.Logger
	file  *logFile // nil: standard error
	kept  []*xferlog.Writer
	event func(ftpserver.Event)
}

// openLogs opens what the settings name.
func openLogs(c *config.Config) (*logs, error) {
	l := &logs{}
	var out io.Writer = os.Stderr
	if c.Log.File != "" {
		f, err := openLogFile(c.Log.File)
		if err != nil {
			return nil, fmt.Errorf("log.file: %w", err)
		}
		l.file, out = f, f
	}
	l.slog = slog.New(handler(out, c.Log))
	for _, k := range []struct {
		name   string
		format xferlog.Format
	}{{c.Log.XferLog, xferlog.Xferlog}, {c.Log.Vsftpd, xferlog.Vsftpd}} {
		if k.name == "" {
			continue
		}
		w, err := xferlog.Open(k.name, k.format, l.slog)
		if err != nil {
			return nil, errors.Join(err, l.close())
		}
		l.kept = append(l.kept, w)
	}
	if len(l.kept) > 0 {
		l.event = func(e ftpserver.Event) {
			for _, w := range l.kept {
				w.Event(e)
			}
		}
	}
	return l, nil
}

// handler writes the log: in colours on a terminal, else as text or JSON.
func handler(out io.Writer, c config.Log) slog.Handler {
	var level slog.Level
	_ = level.UnmarshalText([]byte(c.Level)) // one of the four that the settings allow
	if c.Format == "json" {
		return slog.NewJSONHandler(out, &slog.HandlerOptions{Level: level})
	}
	if f, ok := out.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		return tint.NewTextHandler(out, &tint.Options{Level: level, TimeFormat: time.TimeOnly, NoColor: os.Getenv("NO_COLOR") != ""})
	}
	return slog.NewTextHandler(out, &slog.HandlerOptions{Level: level})
}

// reopen lets logrotate move the files away.
func (l *logs) reopen() {
	for _, w := range l.kept {
		if err := w.Reopen(); err != nil {
			l.slog.Error("a transfer log could not be opened again", "err", err)
		}
	}
	if l.file != nil {
		if err := l.file.reopen(); err != nil {
			l.slog.Error("the log could not be opened again", "err", err)
		}
	}
}

func (l *logs) close() error {
	var errs []error
	for _, w := range l.kept {
		errs = append(errs, w.Close())
	}
	if l.file != nil {
		errs = append(errs, l.file.Close())
	}
	return errors.Join(errs...)
}

// logFile is a log that can be opened anew under its name.
type logFile struct {
	mu sync.Mutex
	*os.File
	name string
}

func openLogFile(name string) (*logFile, error) {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o640)
	if err != nil {
		return nil, err
	}
	return &logFile{File: f, name: name}, nil
}

func (f *logFile) Write(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.File.Write(p)
}

func (f *logFile) reopen() error {
	fresh, err := openLogFile(f.name)
	if err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	old := f.File
	f.File = fresh.File
	return old.Close()
}

// transcriptsIn writes each session's dialogue to a file of its own.
func transcriptsIn(dir string, log *slog.Logger) func(uint64, netip.AddrPort) io.WriteCloser {
	return func(session uint64, peer netip.AddrPort) io.WriteCloser {
		addr := strings.NewReplacer(":", "-", "%", "-").Replace(peer.Addr().String())
		name := fmt.Sprintf("%s-%d-%s.txt", time.Now().UTC().Format("20060102T150405"), session, addr)
		f, err := os.OpenFile(filepath.Join(dir, name), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o640)
		if err != nil {
			log.Error("no transcript of this session", "session", session, "err", err)
			return nil
		}
		return f
	}
}
