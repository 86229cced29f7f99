package config

import (
	"errors"
	"fmt"
	"strings"

	"towpath/ftpserver"
)

// maxBanner bounds the file of a greeting, in bytes: a reply holds 64 KiB.
const maxBanner = 32 << 10

// ServerOptions gives what c says to the server. Login, TLS, HostTLS, Log,
// Events and Transcript are left for the caller, who opens accounts,
// certificates and logs. RequireTLS holds only together with TLS.
func (c *Config) ServerOptions() (ftpserver.Options, error) {
	banner, err := c.banner()
	if err != nil {
		return ftpserver.Options{}, err
	}
	for _, f := range c.contradictions() {
		if f.Severity == Wrong {
			err = errors.Join(err, f)
		}
	}
	if err != nil {
		return ftpserver.Options{}, err
	}
	l := c.Limits
	return ftpserver.Options{
		Banner: banner,

		RequireTLS: c.TLS.Require,
		Binding: map[string]ftpserver.Binding{
			"prefer":  ftpserver.BindPrefer,
			"require": ftpserver.BindRequire,
			"off":     ftpserver.BindOff,
		}[c.TLS.Binding],

		NoPassive:        !c.Passive.Enable,
		PassivePorts:     c.Passive.Ports,
		Told:             c.Passive.External,
		AcceptTimeout:    clockOf(c.Passive.AcceptTimeout),
		AllowForeignData: c.Passive.AllowForeignData,

		NoActive:       !c.Active.Enable,
		ActivePort:     uint16(c.Active.Port),
		ConnectTimeout: clockOf(c.Active.ConnectTimeout),
		AllowForeign:   c.Active.AllowForeign,
		AllowLowPorts:  c.Active.AllowLowPorts,
		FixPrivatePort: c.Active.FixPrivatePort,

		MaxSessions:     l.MaxSessions,
		MaxPerAddress:   l.MaxPerAddress,
		LoginTimeout:    clockOf(l.LoginTimeout),
		IdleTimeout:     clockOf(l.IdleTimeout),
		MaxIdleTimeout:  clockOf(l.MaxIdleTimeout),
		StallTimeout:    clockOf(l.StallTimeout),
		MinRate:         int64(l.MinRate),
		MaxFailures:     l.MaxFailures,
		FailureDelay:    clockOf(l.FailureDelay),
		MaxFailureDelay: clockOf(l.MaxFailureDelay),
		BanAfter:        orNever(l.BanAfter),
		BanFor:          clockOf(l.BanFor),
		CommandRate:     orNever(l.CommandRate),
		KeepAlive:       clockOf(l.KeepAlive),

		MaxMatches:    l.MaxMatches,
		MaxInflate:    l.MaxInflate,
		AllowSymlinks: c.Files.AllowSymlinks,
		DOSListing:    c.Files.DOSListing,
	}, nil
}

// orNever gives n as [ftpserver.Options] want a limit that can be absent:
// there, zero means the default and a negative number no limit.
func orNever(n int) int {
	if n == 0 {
		return -1
	}
	return n
}

// banner is the text of the greeting.
func (c *Config) banner() (string, error) {
	if c.BannerFile == "" {
		return c.Banner, nil
	}
	data, err := readAll(c.BannerFile)
	if err != nil {
		return "", fmt.Errorf("banner_file: %w", err)
	}
	if len(data) > maxBanner {
		return "", fmt.Errorf("banner_file: %s: %d bytes; a greeting has at most %d", c.BannerFile, len(data), maxBanner)
	}
	return strings.TrimRight(strings.ReplaceAll(string(data), "\r\n", "\n"), "\n"), nil
}
