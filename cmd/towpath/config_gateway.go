package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"text/tabwriter"

	"github.com/spf13/pflag"

	"towpath/gateway"
	"towpath/internal/config"
	"towpath/internal/quote"
)

// gatewayFile is the file that the unit of the gateway names.
const gatewayFile = "/etc/towpath/gateway.toml"

// gatewaySettings are the settings of a gateway as a file gives them.
type gatewaySettings struct {
	file  string
	v     *gatewayFlags
	flags *pflag.FlagSet
}

// loadGateway reads the file that args may name, as towpath gateway would. What is
// wrong with single keys is an error; the rest is for check.
func loadGateway(args []string) (*gatewaySettings, error) {
	s := newGatewaySettings()
	if len(args) > 0 {
		s.file = args[0]
	}
	return s, readFlagFile(s.file, s.flags)
}

// check says what is wrong with the settings, or looks so. No port is bound, no
// server is asked, no rule is made.
func (s *gatewaySettings) check() (found []config.Finding) {
	add := func(severity config.Severity, key, problem, advice string) {
		found = append(found, config.Finding{Severity: severity, Key: key, Origin: s.origin(key), Problem: problem, Advice: advice})
	}
	err := s.v.check()
	if err == nil {
		g := &gatewayService{}
		_, err = g.options(s.v)
		err = errors.Join(err, g.close())
	}
	if err == nil && s.v.socks != "" {
		var at *net.TCPAddr
		if at, err = net.ResolveTCPAddr("tcp", s.v.socks); err == nil {
			err = s.v.guarded(at)
		}
	}
	if err != nil {
		add(config.Wrong, "all together", err.Error(), "the gateway does not start so")
		return found
	}
	v := s.v
	if info, err := os.Stat(s.file); err == nil && info.Mode().Perm()&0o004 != 0 && (v.healthUser != "" || len(v.socksUsers) > 0) {
		key := "health-user"
		if v.healthUser == "" {
			key = "socks-user"
		}
		add(config.Warning, key, s.file+" holds a password and can be read by everybody", "chmod o= "+s.file)
	}
	if v.insecure {
		add(config.Warning, "insecure-server", "true: whoever stands between this gateway and a server can be it", "name its authority (ca) or its key (pin)")
	}
	if len(v.foreign) > 0 {
		add(config.Warning, "insecure-foreign", "announcements of others' addresses are believed, which is what bounce attacks need", "leave it out, unless these networks take part in FXP")
	}
	if v.transparent && !v.install {
		add(config.Hint, "transparent", "nobody is led here by the gateway itself", "set install-rules = true, or write the rules of \"towpath gateway plan\" into your own")
	}
	if must(gateway.ParseClientTLS(v.tls)) == gateway.PassTLS {
		add(config.Hint, "tls", "pass: what is announced under TLS cannot be repaired", "set cert, or self-signed = true, to end TLS here")
	}
	return found
}

// origin says where a key was set.
func (s *gatewaySettings) origin(key string) string {
	if f := s.flags.Lookup(key); f != nil && !f.Changed {
		return "default"
	}
	return s.file
}

// gatewayLine is a flag as it stands in a file.
func gatewayLine(f *pflag.Flag, secrets bool) string {
	texts := []string{f.Value.String()}
	list, many := f.Value.(pflag.SliceValue)
	if many {
		texts = list.GetSlice()
	}
	for i, t := range texts {
		if gatewaySecrets[f.Name] && !secrets && t != "" {
			t, _, _ = strings.Cut(t, ":")
			t += ":****"
		}
		switch f.Value.Type() {
		case "bool", "int":
		default:
			t = quote.TOML(t)
		}
		texts[i] = t
	}
	if many {
		return f.Name + " = [" + strings.Join(texts, ", ") + "]"
	}
	return f.Name + " = " + texts[0]
}

// each visits what a file may hold, in the order of the flags.
func (s *gatewaySettings) each(visit func(*pflag.Flag)) {
	s.flags.SortFlags = false
	s.flags.VisitAll(func(f *pflag.Flag) {
		if f.Name != "config" {
			visit(f)
		}
	})
}

// show writes the settings as TOML.
func (s *gatewaySettings) show(w io.Writer, show config.Show) error {
	var b strings.Builder
	s.each(func(f *pflag.Flag) {
		if !f.Changed && !show.Effective {
			return
		}
		line := gatewayLine(f, show.Secrets)
		if show.Origin {
			line = fmt.Sprintf("%-40s # %s", line, s.origin(f.Name))
		}
		b.WriteString(line + "\n")
	})
	_, err := io.WriteString(w, b.String())
	return err
}

// newGatewaySettings are those that hold when nobody says anything.
func newGatewaySettings() *gatewaySettings {
	s := &gatewaySettings{file: gatewayFile, v: &gatewayFlags{}, flags: pflag.NewFlagSet("gateway", pflag.ContinueOnError)}
	s.v.bind(s.flags)
	return s
}

// writeGatewayKeys lists the keys that name word.
func writeGatewayKeys(out io.Writer, word string) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	newGatewaySettings().each(func(f *pflag.Flag) {
		_, usage := pflag.UnquoteUsage(f)
		if !strings.Contains(strings.ToLower(f.Name+" "+usage), word) {
			return
		}
		_, value, _ := strings.Cut(gatewayLine(f, false), " = ")
		fmt.Fprintf(w, "%s\t--%s\tdefault %s\n  %s\n", f.Name, f.Name, value, usage)
	})
	return w.Flush()
}

// writeGatewayExample writes a file with every key, its meaning and its default,
// all of them as comments.
func writeGatewayExample(w io.Writer) error {
	var b strings.Builder
	b.WriteString(`# Settings of "towpath gateway --config FILE". What is commented out is the
# default. A flag wins over this file. "towpath config check --gateway FILE" looks
# at it before it counts.
`)
	newGatewaySettings().each(func(f *pflag.Flag) {
		_, usage := pflag.UnquoteUsage(f)
		fmt.Fprintf(&b, "\n%s#%s\n", config.Wrap(usage, "# ", 80), gatewayLine(f, false))
	})
	_, err := io.WriteString(w, b.String())
	return err
}
