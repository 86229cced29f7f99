package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"towpath/ftp"
)

// variable is what lftp calls a setting, and the flag that it is here. A flag of
// transfers is kept aside and given to the verbs that have it.
type variable struct {
	flag   string
	values map[string]string // lftp's value: the flag's; nil: any, as it is
	verb   bool              // a flag of some verbs only
}

var onOrOff = map[string]string{"on": "true", "yes": "true", "true": "true", "1": "true", "off": "", "no": "", "false": "", "0": ""}

// inverted is onOrOff for a flag that says the contrary.
var inverted = map[string]string{"on": "", "yes": "", "true": "", "1": "", "off": "true", "no": "true", "false": "true", "0": "true"}

// variables are lftp's names for what we have, too.
var variables = map[string]variable{
	"ftp:prefer-epsv":                {flag: "disable-epsv", values: inverted},
	"ftp:fix-pasv-address":           {flag: "ftp-skip-pasv-ip", values: map[string]string{"on": "", "yes": "", "true": "", "off": "no", "no": "no", "false": "no"}},
	"ftp:ignore-pasv-address":        {flag: "ftp-skip-pasv-ip", values: map[string]string{"on": "", "yes": "", "true": "", "off": "no", "no": "no", "false": "no"}},
	"ftp:charset":                    {flag: "charset"},
	"ftp:ssl-force":                  {flag: "ssl-reqd", values: onOrOff},
	"ftp:ssl-allow":                  {flag: "tls", values: map[string]string{"on": "try", "yes": "try", "true": "try", "off": "", "no": "", "false": ""}},
	"ftp:port-ipv4":                  {flag: "ftp-port"},
	"ssl:verify-certificate":         {flag: "insecure", values: inverted},
	"ssl:ca-file":                    {flag: "cacert"},
	"ssl:cert-file":                  {flag: "cert"},
	"ssl:key-file":                   {flag: "key"},
	"net:timeout":                    {flag: "connect-timeout"},
	"net:max-retries":                {flag: "retry"},
	"net:socket-bind-ipv4":           {flag: "interface"},
	"net:limit-rate":                 {flag: "limit-rate", verb: true},
	"pget:default-n":                 {flag: "segments", verb: true},
	"xfer:verify":                    {flag: "verify", values: onOrOff, verb: true},
	"xfer:clobber":                   {flag: "", values: map[string]string{"on": "", "yes": "", "true": ""}},
	"mirror:parallel-transfer-count": {flag: "parallel", verb: true},
}

// ftp:passive-mode and ftp:port-range have no flag of their own.

// set shows variables, or sets one.
func (r *call) set() error {
	if len(r.words) == 0 {
		return r.showSettings()
	}
	name, value := r.words[0].Text, ""
	if len(r.words) == 2 {
		value = r.words[1].Text
	}
	if !strings.Contains(name, ":") { // lftp takes what is behind the colon alone
		for _, v := range slices.Sorted(maps.Keys(variables)) {
			if strings.HasSuffix(v, ":"+name) {
				name = v
				break
			}
		}
	}
	switch name {
	case "ftp:passive-mode", "passive-mode":
		mode := map[string]string{"on": "on", "true": "on", "yes": "on", "1": "on", "off": "off", "no": "off", "false": "off", "0": "off", "auto": "auto", "": "auto"}[value]
		if mode == "" {
			return misuse("set ftp:passive-mode %s: want on, off or auto", value)
		}
		return r.mode(mode)
	case "ftp:port-range", "port-range":
		if value == "full" {
			value = ""
		}
		if value != "" {
			value = "-:" + value
		}
		if _, _, err := parseFTPPort(value); err != nil {
			return err
		}
		return r.setFlag("ftp-port", value)
	}
	v, ok := variables[name]
	if !ok {
		return misuse("set %s: there is no such variable here; set alone lists those that there are", ftp.Escape(name))
	}
	if v.values != nil && value != "" {
		is, ok := v.values[strings.ToLower(value)]
		if !ok {
			return misuse("set %s %s: want %s", name, value, strings.Join(slices.Sorted(maps.Keys(v.values)), ", "))
		}
		value = is
	}
	switch {
	case v.flag == "":
		return nil // as it always is
	case v.verb:
		return r.setForVerbs(v.flag, value)
	case v.flag == "ftp-skip-pasv-ip" && value == "no":
		return r.own.Flags().Set(v.flag, "false")
	}
	return r.setFlag(v.flag, value)
}

// setForVerbs keeps a flag for the verbs that have it, if one of them takes it.
func (s *client) setForVerbs(flag, value string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if value == "" || value == "0" {
		delete(s.settings, flag)
		return nil
	}
	for _, c := range s.verbs() {
		if f := c.Flags(); f.Lookup(flag) != nil {
			if err := f.Set(flag, value); err != nil {
				return misuse("--%s: %w", flag, err)
			}
			s.settings[flag] = value
			return nil
		}
	}
	return misuse("no verb has the flag --%s", flag)
}

// showSettings lists the variables, and the flags that they stand for.
func (r *call) showSettings() error {
	lines := []string{"ftp:passive-mode on|off|auto", "ftp:port-range LOW-HIGH  (--ftp-port)"}
	for name, v := range variables {
		line := name
		if v.flag != "" {
			line += "  (--" + v.flag + ")"
		}
		if now, ok := r.given[v.flag]; ok && v.flag != "" {
			line += "  now " + ftp.Escape(now)
		}
		lines = append(lines, line)
	}
	slices.Sort(lines)
	_, err := fmt.Fprintln(r.out, strings.Join(lines, "\n"))
	return err
}
