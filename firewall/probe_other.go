//go:build !linux

package firewall

import "context"

// Probe finds on this system that nothing works.
func Probe(context.Context, ...uint16) Planes {
	return Planes{Conntrack: errConntrack, Netfilter: errNetfilter, Redirect: errRedirect, Transparent: errRedirect, Standing: errHelper}
}
