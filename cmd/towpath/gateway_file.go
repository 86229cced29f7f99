package main

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"github.com/spf13/pflag"

	"towpath/internal/config"
)

// readFlagFile sets flags by a file in TOML, whose keys are their names:
//
//	listen = [":21"]
//	to = ["10.0.0.5", "10.0.0.6"]
//	health = "10s"
func readFlagFile(name string, f *pflag.FlagSet) error {
	text, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	keys := map[string]any{}
	if err := toml.Unmarshal(text, &keys); err != nil {
		if d, ok := errors.AsType[*toml.DecodeError](err); ok {
			line, column := d.Position()
			return fmt.Errorf("%s:%d:%d: %s", name, line, column, strings.TrimPrefix(d.Error(), "toml: "))
		}
		return fmt.Errorf("%s: %w", name, err)
	}
	var wrong []*config.Error
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		flag := f.Lookup(key)
		if flag == nil || key == "config" {
			like, err := likeFlag(key, f), fmt.Errorf("there is no key %q", key)
			if like != "" {
				err = fmt.Errorf("%w; did you mean %s?", err, like)
			} else {
				err = fmt.Errorf("%w; \"towpath config keys --gateway\" lists all", err)
			}
			wrong = append(wrong, config.Locate(name, text, key, keys[key], gatewaySecrets[like], err))
			continue
		}
		if err := setFlag(flag, keys[key]); err != nil {
			wrong = append(wrong, config.Locate(name, text, key, keys[key], gatewaySecrets[key], err))
		}
		flag.Changed = true
	}
	slices.SortStableFunc(wrong, func(a, b *config.Error) int { return a.Origin.Line - b.Origin.Line })
	var errs []error
	for _, e := range wrong {
		errs = append(errs, e)
	}
	return errors.Join(errs...)
}

// likeFlag proposes the flag that is meant, or "".
func likeFlag(key string, f *pflag.FlagSet) string {
	var names []string
	f.VisitAll(func(f *pflag.Flag) {
		if f.Name != "config" {
			names = append(names, f.Name)
		}
	})
	return config.Nearest(strings.ReplaceAll(key, "_", "-"), names)
}

// gatewaySecrets are the keys whose values are passwords.
var gatewaySecrets = map[string]bool{"health-user": true, "socks-user": true}

// setFlag gives a flag a value of TOML.
func setFlag(flag *pflag.Flag, value any) error {
	list, many := value.([]any)
	for _, v := range append([]any{value}, list...) {
		if _, table := v.(map[string]any); table {
			return errors.New("is a table; write one value, or a list of them")
		}
	}
	if slices.ContainsFunc(list, func(v any) bool { _, nested := v.([]any); return nested }) {
		return errors.New("is a list of lists; write one list")
	}
	if !many {
		err := flag.Value.Set(fmt.Sprint(value))
		if _, number := errors.AsType[*strconv.NumError](err); number {
			want := "a whole number"
			if flag.Value.Type() == "bool" {
				want = "true or false"
			}
			return fmt.Errorf("%q: want %s", fmt.Sprint(value), want)
		}
		return err
	}
	to, ok := flag.Value.(pflag.SliceValue)
	if !ok {
		return errors.New("is a list; write one value, without brackets")
	}
	texts := make([]string, len(list))
	for i, v := range list {
		texts[i] = fmt.Sprint(v)
	}
	return to.Replace(texts)
}

// replaceFlag gives a flag the value of another.
func replaceFlag(flag, by *pflag.Flag) error {
	if list, ok := by.Value.(pflag.SliceValue); ok {
		return flag.Value.(pflag.SliceValue).Replace(list.GetSlice())
	}
	return flag.Value.Set(by.Value.String())
}
