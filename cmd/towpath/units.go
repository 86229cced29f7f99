package main

import (
	"github.com/spf13/pflag"

	"towpath/internal/units"
)

// unit is a flag with a value that has a unit.
type unit[T any] struct {
	to     *T
	parse  func(string) (T, error)
	format func(T) string
	kind   string
}

// span is a flag for a time, pace for bytes a second.
func span(to *units.Duration) pflag.Value {
	return unit[units.Duration]{to, units.ParseDuration, units.FormatDuration, "time"}
}

func pace(to *units.Rate) pflag.Value {
	return unit[units.Rate]{to, units.ParseRate, units.FormatRate, "rate"}
}

// Set implements [pflag.Value], as String and Type do.
func (u unit[T]) Set(s string) (err error) {
	v, err := u.parse(s)
	if err == nil {
		*u.to = v
	}
	return err
}

func (u unit[T]) String() string {
	if u.to == nil {
		return "" // pflag asks a zero value
	}
	return u.format(*u.to)
}

func (u unit[T]) Type() string { return u.kind }
