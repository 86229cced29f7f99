package userfile

import (
	"bytes"
	"strings"

	"github.com/pelletier/go-toml/v2/unstable"
)

// entry is one expression of a TOML document: a [header], or a key = value.
type entry struct {
	// path is the whole key, from the root of the document.
	path   []string
	header bool
	// start and end enclose the expression, without blanks or comments; key and
	// value are where those begin. They are offsets in the document.
	start, key, value, end int
}

// spot is where a key and its value stand, as offsets in the document.
type spot struct{ key, value int }

// outline returns the expressions of a document in their order, and the spots
// of all keys by their joined paths, including those in inline tables. The
// document is known to be sound TOML; of another, the sound beginning is told.
func outline(data []byte) (entries []entry, spots map[string]spot) {
	spots = make(map[string]spot)
	var p unstable.Parser
	p.Reset(data)
	var table []string
	for p.NextExpression() {
		e := p.Expression()
		switch e.Kind {
		case unstable.Table, unstable.ArrayTable:
			path, first, last := keyOf(e.Key())
			table = path
			start := bytes.LastIndexByte(data[:first], '[')
			if e.Kind == unstable.ArrayTable {
				start--
			}
			end := last + bytes.IndexByte(data[last:], ']') + 1
			entries = append(entries, entry{path: path, header: true, start: start, key: first, end: end})
			if _, ok := spots[joined(path)]; !ok {
				spots[joined(path)] = spot{first, first}
			}
		case unstable.KeyValue:
			path, first, value := place(data, table, e, spots)
			entries = append(entries, entry{path: path, start: first, key: first, value: value, end: int(e.Raw.Offset + e.Raw.Length)})
		}
	}
	return entries, spots
}

// place notes the spots of a key = value and of those in its inline tables.
func place(data []byte, table []string, e *unstable.Node, spots map[string]spot) (path []string, first, value int) {
	key, first, last := keyOf(e.Key())
	path = append(table[:len(table):len(table)], key...)
	value = last + bytes.IndexByte(data[last:], '=') + 1
	value += len(data[value:]) - len(bytes.TrimLeft(data[value:], " \t"))
	spots[joined(path)] = spot{first, value}
	if e.Value().Kind == unstable.InlineTable {
		for it := e.Value().Children(); it.Next(); {
			if it.Node().Kind == unstable.KeyValue {
				place(data, path, it.Node(), spots)
			}
		}
	}
	return path, first, value
}

// keyOf returns the parts of a key and where it begins and ends.
func keyOf(it unstable.Iterator) (path []string, start, end int) {
	start = -1
	for it.Next() {
		n := it.Node()
		path = append(path, string(n.Data))
		if start < 0 {
			start = int(n.Raw.Offset)
		}
		end = int(n.Raw.Offset + n.Raw.Length)
	}
	return path, start, end
}

func joined(path []string) string { return strings.Join(path, "\x00") }

// under tells whether path begins with prefix.
func under(path []string, prefix ...string) bool {
	if len(path) < len(prefix) {
		return false
	}
	for i, p := range prefix {
		if path[i] != p {
			return false
		}
	}
	return true
}
