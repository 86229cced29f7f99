//go:build unix

package ftpclient_test

import (
	"fmt"
	"os"
	"testing"

	"towpath/internal/strangers"
)

// victimEnv holds the errand of a process that is to be killed on its way.
const victimEnv = "TOWPATH_TEST_ERRAND"

func TestMain(m *testing.M) {
	if text := os.Getenv(victimEnv); text != "" {
		fmt.Fprintln(os.Stderr, halfway([]byte(text)))
		os.Exit(1)
	}
	os.Exit(strangers.Main(m))
}
