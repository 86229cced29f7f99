package main

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
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
	var errs []error
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		flag := f.Lookup(key)
		if flag == nil || key == "config" {
			errs = append(errs, config.Locate(name, text, key, false, fmt.Errorf("there is no key %q; the keys are the flags of towpath gateway", key)))
			continue
		}
		if err := setFlag(flag, keys[key]); err != nil {
			errs = append(errs, config.Locate(name, text, key, gatewaySecrets[key], err))
		}
	}
	return errors.Join(errs...)
}

// gatewaySecrets are the keys whose values are passwords.
var gatewaySecrets = map[string]bool{"health-user": true, "socks-user": true}

// setFlag gives a flag a value of TOML.
func setFlag(flag *pflag.Flag, value any) error {
	list, many := value.([]any)
	if !many {
		return flag.Value.Set(fmt.Sprint(value))
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
