//go:build !linux

package probe

import (
	"context"
	"runtime"

	"towpath/doctor/check"
)

// helper is for Linux, whose kernel can rewrite announcements.
func (p *probe) helper(context.Context) check.Check {
	return check.Check{Minor: true, Evidence: "on " + runtime.GOOS + " it cannot be seen whether the system's firewall reads FTP"}
}
