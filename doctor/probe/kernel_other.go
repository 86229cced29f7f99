//go:build !linux

package probe

import (
	"context"
	"runtime"

	"towpath/doctor/check"
)

// helper is for Linux, whose kernel can rewrite announcements.
func (p *probe) helper(context.Context) check.Check {
	return check.Check{Minor: true, Evidence: p.say("probe.helper.system", "system", runtime.GOOS)}
}
