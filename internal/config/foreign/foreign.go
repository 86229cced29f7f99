// Package foreign reads the configurations of other FTP servers and says them
// in Towpath's words: vsftpd.conf, proftpd.conf, and Pure-FTPd's in its three
// forms (a file, a directory with one file for each setting, a command line).
//
// What has no counterpart is named with the reason, and so is what looks wrong:
// a reader loses nothing without being told. Accounts are not carried over, as
// these servers leave them to PAM and to files of their own.
package foreign

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"

	"towpath/internal/config"
)

// Server names whose configuration it is.
type Server string

// The servers.
const (
	Vsftpd   Server = "vsftpd"
	ProFTPD  Server = "proftpd"
	PureFTPd Server = "pureftpd"
)

// Servers lists them.
var Servers = []Server{Vsftpd, ProFTPD, PureFTPd}

// Line is one line of a foreign configuration.
type Line struct {
	// File and Number say where it stands. Number 0: nowhere, it is a default
	// of that server, which Text writes out.
	File   string
	Number int
	Text   string
}

// String gives "vsftpd.conf:12: pasv_min_port=50000".
func (l Line) String() string {
	switch {
	case l.File == "":
		return clean(l.Text)
	case l.Number == 0:
		return clean("default of " + l.File + ": " + l.Text)
	default:
		return clean(fmt.Sprintf("%s:%d: %s", l.File, l.Number, l.Text))
	}
}

// Setting is one of Towpath's, made from one or more lines.
type Setting struct {
	Key    string
	Values []string
	From   []Line
}

// Note is something to tell about a line.
type Note struct {
	Kind NoteKind
	Line Line
	Text string
}

// NoteKind says what a note is about.
type NoteKind int

// The kinds of notes.
const (
	// NoCounterpart: the line was left out, for this reason.
	NoCounterpart NoteKind = iota
	// Differs: it was carried over, or needs nothing, and is not quite the same.
	Differs
	// LooksWrong: the line does not say what its author will have meant.
	LooksWrong
)

// Import is what was read.
type Import struct {
	Server   Server
	Settings []Setting
	Notes    []Note

	// scratch checks values: what it refuses is not written.
	scratch config.Config
}

// source is one text with its name.
type source struct {
	name string
	text string
}

// maxFile bounds a foreign configuration file, in bytes.
const maxFile = 1 << 20

// Read reads the configuration at path. An empty server means that it is to be
// found out; an error says when it cannot.
func Read(path string, server Server) (*Import, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.IsDir() {
		if server != "" && server != PureFTPd {
			return nil, fmt.Errorf("%s: is a directory; %s is configured by a file", path, server)
		}
		return readDirectory(path)
	}
	src, err := readSource(path)
	if err != nil {
		return nil, err
	}
	if server == "" {
		if server, err = Detect(src.text); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
	}
	switch server {
	case Vsftpd:
		return readVsftpd(src), nil
	case ProFTPD:
		return readProFTPD(src, includes(path)), nil
	case PureFTPd:
		return readPureFTPd(src), nil
	}
	return nil, fmt.Errorf("%q: not a server whose configuration is known; write vsftpd, proftpd or pureftpd", server)
}

func readSource(path string) (source, error) {
	f, err := os.Open(path)
	if err != nil {
		return source{}, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	switch {
	case err != nil:
		return source{}, err
	case len(data) > maxFile:
		return source{}, fmt.Errorf("%s: larger than %d bytes: not a configuration", path, maxFile)
	}
	return source{path, utf8Text(data)}, nil
}

// utf8Text takes bytes that are no UTF-8 for Latin-1, which is what old
// configurations are written in.
func utf8Text(data []byte) string {
	if utf8.Valid(data) {
		return string(data)
	}
	var b strings.Builder
	for _, c := range data {
		b.WriteRune(rune(c))
	}
	return b.String()
}

// includes returns what follows Include: it finds the files that a pattern of
// ProFTPD names, seen from the directory of path when it is relative.
func includes(path string) func(pattern string) ([]source, error) {
	return func(pattern string) ([]source, error) {
		if !filepath.IsAbs(pattern) {
			pattern = filepath.Join(filepath.Dir(path), pattern)
		}
		names, err := filepath.Glob(pattern)
		if err != nil {
			return nil, err
		}
		if len(names) == 0 {
			return nil, &fs.PathError{Op: "open", Path: pattern, Err: fs.ErrNotExist}
		}
		var all []source
		for _, n := range names {
			info, err := os.Stat(n)
			if err == nil && info.IsDir() {
				inside, globErr := filepath.Glob(filepath.Join(n, "*"))
				if globErr != nil {
					return nil, globErr
				}
				for _, f := range inside {
					src, err := readSource(f)
					if err != nil {
						return nil, err
					}
					all = append(all, src)
				}
				continue
			}
			src, err := readSource(n)
			if err != nil {
				return nil, err
			}
			all = append(all, src)
		}
		return all, nil
	}
}

// ErrUnknown is what is said of a configuration of which [Detect] cannot tell whose it is.
var ErrUnknown = errors.New("cannot tell whose configuration it is: that of vsftpd, ProFTPD or Pure-FTPd")

// Detect finds out whose configuration a text is, by the words that it begins
// its lines with.
func Detect(text string) (Server, error) {
	score := map[Server]int{}
	for _, l := range contentLines(text) {
		name, _, assigns := strings.Cut(l, "=")
		if _, ok := vsftpdOptions[strings.TrimSpace(name)]; assigns && ok {
			score[Vsftpd]++
		}
		word := strings.ToLower(strings.Fields(l)[0])
		if _, ok := proftpdDirectives[word]; ok || strings.HasPrefix(l, "<") {
			score[ProFTPD]++
		}
		if _, ok := pureftpdSettings[word]; ok {
			score[PureFTPd]++
		}
		if strings.HasPrefix(l, "-") || filepath.Base(word) == "pure-ftpd" {
			score[PureFTPd] += 2
		}
	}
	ranked := slices.Clone(Servers)
	slices.SortStableFunc(ranked, func(a, b Server) int { return cmp.Compare(score[b], score[a]) })
	if score[ranked[0]] == score[ranked[1]] {
		return "", ErrUnknown
	}
	return ranked[0], nil
}

// contentLines are the lines that are neither blank nor comments.
func contentLines(text string) (lines []string) {
	for l := range strings.SplitSeq(text, "\n") {
		if l = strings.TrimSpace(l); l != "" && l[0] != '#' {
			lines = append(lines, l)
		}
	}
	return lines
}

func newImport(s Server) *Import { return &Import{Server: s, scratch: config.Default()} }

// set gives one of our keys its value. A value that we would refuse becomes a
// note. Said twice, the last counts, as in all these servers.
func (m *Import) set(key string, from []Line, values ...string) {
	for _, k := range m.scratch.Keys() {
		if k.Name != key {
			continue
		}
		if err := k.Set(values...); err != nil {
			m.note(LooksWrong, from[len(from)-1], fmt.Sprintf("%s cannot take it: %v", key, err))
			return
		}
		m.drop(key)
		m.Settings = append(m.Settings, Setting{key, values, from})
		return
	}
	panic("foreign: no such key: " + key)
}

// add appends to one of our lists.
func (m *Import) add(key string, from Line, value string) {
	for _, s := range m.Settings {
		if s.Key == key {
			m.set(key, append(slices.Clone(s.From), from), append(slices.Clone(s.Values), value)...)
			return
		}
	}
	m.set(key, []Line{from}, value)
}

// has reports whether a key was set.
func (m *Import) has(key string) bool {
	return slices.ContainsFunc(m.Settings, func(s Setting) bool { return s.Key == key })
}

// drop takes a key back.
func (m *Import) drop(key string) {
	m.Settings = slices.DeleteFunc(m.Settings, func(s Setting) bool { return s.Key == key })
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

func (m *Import) note(k NoteKind, l Line, text string) {
	m.Notes = append(m.Notes, Note{k, l, text})
}

// Config gives the settings themselves, with our defaults for the rest.
func (m *Import) Config() config.Config { return m.scratch }

// Wrong tells the lines that look wrong, of those that made a setting whose key
// begins with one of the words.
func (m *Import) Wrong(keys ...string) []string {
	var all []string
	for _, n := range m.Notes {
		concerns := func(s Setting) bool {
			return slices.Contains(s.From, n.Line) && slices.ContainsFunc(keys, func(k string) bool { return strings.HasPrefix(s.Key, k) })
		}
		if n.Kind == LooksWrong && slices.ContainsFunc(m.Settings, concerns) {
			all = append(all, fmt.Sprintf("%v: %s", n.Line, clean(n.Text)))
		}
	}
	return all
}

// headings are what stands above the notes of each kind.
var headings = map[NoteKind]string{
	LooksWrong:    "What looks wrong:",
	NoCounterpart: "What has no counterpart and was left out:",
	Differs:       "What is not quite the same:",
}

// WriteNotes writes the notes, kind by kind, each with its line; prefix stands
// before each line of text.
func (m *Import) WriteNotes(w io.Writer, prefix string) error {
	b := bufio.NewWriter(w)
	for _, kind := range []NoteKind{LooksWrong, NoCounterpart, Differs} {
		heading := headings[kind]
		for _, n := range m.Notes {
			if n.Kind != kind {
				continue
			}
			if heading != "" {
				fmt.Fprintf(b, "%s%s\n", prefix, heading)
				heading = ""
			}
			fmt.Fprintf(b, "%s  %v\n%s      %s\n", prefix, n.Line, prefix, clean(n.Text))
		}
	}
	return b.Flush()
}

// WriteTOML writes the settings as a configuration of Towpath, each below the
// lines that it comes from, and the notes as comments at the end. What it
// writes can be loaded.
func (m *Import) WriteTOML(w io.Writer) error {
	b := bufio.NewWriter(w)
	fmt.Fprintf(b, "# Made by \"towpath config import\" from a configuration of %s.\n", m.Server)
	section := ""
	for _, k := range m.scratch.Keys() {
		for _, s := range m.Settings {
			if s.Key != k.Name {
				continue
			}
			if k.Section() != section {
				section = k.Section()
				fmt.Fprintf(b, "\n[%s]\n", section)
			} else {
				fmt.Fprintln(b)
			}
			for _, l := range s.From {
				fmt.Fprintf(b, "# %v\n", l)
			}
			fmt.Fprintln(b, k.Line(s.Values))
		}
	}
	if len(m.Notes) > 0 {
		fmt.Fprintln(b)
	}
	if err := b.Flush(); err != nil {
		return err
	}
	return m.WriteNotes(w, "# ")
}

// clean makes a text fit for one line of a comment: TOML allows no control
// characters there but the tab.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if r != '\t' && (r < ' ' || r >= 0x7f && r < 0xa0) || r == utf8.RuneError {
			return '?'
		}
		return r
	}, s)
}
