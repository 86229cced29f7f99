package topology

import (
	"encoding"
	"fmt"
	"reflect"
	"strconv"
	"strings"

	"towpath/internal/quote"
)

// Format is the inverse of [Parse]. It writes what the encoder of the TOML
// library would, in the form that a hand would: one line for each interface and
// each rule.
func (n *Network) Format() ([]byte, error) {
	if err := n.Validate(); err != nil {
		return nil, err
	}
	var b strings.Builder
	table(&b, reflect.ValueOf(n).Elem())
	return []byte(b.String()), nil
}

// field is a field of a struct that is written: its key and value.
type field struct {
	key   string
	value reflect.Value
}

// fields leaves out what is zero, and so need not be said.
func fields(v reflect.Value) []field {
	var all []field
	for i := range v.NumField() {
		key, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("toml"), ",")
		if f := v.Field(i); !f.IsZero() && (f.Kind() != reflect.Slice || f.Len() > 0) {
			all = append(all, field{key, f})
		}
	}
	return all
}

// table writes the whole: what is a struct, or a list of them, gets a header.
func table(b *strings.Builder, v reflect.Value) {
	for _, f := range fields(v) {
		switch {
		case isText(f.value) || f.value.Kind() != reflect.Struct && f.value.Kind() != reflect.Slice:
			fmt.Fprintf(b, "%s = %s\n", f.key, inline(f.value))
		case f.value.Kind() == reflect.Struct:
			fmt.Fprintf(b, "\n[%s]\n", f.key)
			rows(b, f.value)
		default:
			for i := range f.value.Len() {
				fmt.Fprintf(b, "\n[[%s]]\n", f.key)
				rows(b, f.value.Index(i))
			}
		}
	}
}

// rows writes the keys of one table; lists of tables take a line for each.
func rows(b *strings.Builder, v reflect.Value) {
	for _, f := range fields(v) {
		if f.value.Kind() == reflect.Slice && !isText(f.value) && f.value.Type().Elem().Kind() == reflect.Struct && !isText(f.value.Index(0)) {
			fmt.Fprintf(b, "%s = [\n", f.key)
			for i := range f.value.Len() {
				fmt.Fprintf(b, "  %s,\n", inline(f.value.Index(i)))
			}
			b.WriteString("]\n")
			continue
		}
		fmt.Fprintf(b, "%s = %s\n", f.key, inline(f.value))
	}
}

func isText(v reflect.Value) bool {
	_, ok := v.Interface().(encoding.TextMarshaler)
	return ok
}

// inline writes a value on one line.
func inline(v reflect.Value) string {
	if m, ok := v.Interface().(encoding.TextMarshaler); ok {
		text, err := m.MarshalText()
		if err != nil {
			panic("topology: format: " + err.Error()) // Validate has passed it
		}
		return quote.TOML(string(text))
	}
	switch v.Kind() {
	case reflect.Pointer:
		return inline(v.Elem())
	case reflect.Struct:
		var parts []string
		for _, f := range fields(v) {
			parts = append(parts, f.key+" = "+inline(f.value))
		}
		if len(parts) == 0 {
			return "{}"
		}
		return "{ " + strings.Join(parts, ", ") + " }"
	case reflect.Slice:
		var parts []string
		for i := range v.Len() {
			parts = append(parts, inline(v.Index(i)))
		}
		return "[" + strings.Join(parts, ", ") + "]"
	case reflect.Bool:
		return strconv.FormatBool(v.Bool())
	case reflect.Uint16:
		return strconv.FormatUint(v.Uint(), 10)
	case reflect.String:
		return quote.TOML(v.String())
	}
	panic("topology: format: no form for " + v.Type().String())
}
