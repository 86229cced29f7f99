package ftp

import "strings"

// Features are what a server says it can do beyond RFC 959 (RFC 2389): the
// names in upper case with their parameters. The zero value has none.
type Features map[string]string

// ParseFeatures reads the reply to FEAT. The first and the last line hold no
// feature; the blank in front of the others may be missing, and names may be
// in lower case. A name that comes again, as AUTH SSL and AUTH TLS do from
// vsftpd, has its parameters joined by a semicolon. Any other reply than a
// 211 of several lines has no features.
func ParseFeatures(r Reply) Features {
	f := Features{}
	if r.Code != 211 || len(r.Lines) < 3 {
		return f
	}
	for _, line := range r.Lines[1 : len(r.Lines)-1] {
		name, param, _ := strings.Cut(strings.TrimSpace(line), " ")
		if name == "" {
			continue
		}
		name = strings.ToUpper(name)
		if before := f[name]; before != "" && param != "" {
			param = strings.TrimSuffix(before, ";") + ";" + param
		} else if param == "" {
			param = before
		}
		f[name] = param
	}
	return f
}

// Has says whether the server has the feature; name may be in any case.
func (f Features) Has(name string) bool {
	_, ok := f[strings.ToUpper(name)]
	return ok
}

// Param returns what stands behind the feature's name: "STREAM" for REST,
// "type*;size*;modify*;" for MLST, "TLS;SSL" for AUTH.
func (f Features) Param(name string) string { return f[strings.ToUpper(name)] }
