//go:build !linux

package capture

import (
	"context"
	"errors"
	"fmt"
	"runtime"
)

// Live listens on an interface, which works on Linux only.
func Live(_ context.Context, name string, _ LiveOptions) (Source, error) {
	return nil, fmt.Errorf("listen on %s: %w on %s; record with tcpdump -w - and read from standard input", name, errors.ErrUnsupported, runtime.GOOS)
}
