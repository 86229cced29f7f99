//go:build unix

package ftpclient_test

import (
	"errors"
	"fmt"
	"os"
	"testing"
)

// victimEnv holds the errand of a process that is to be killed on its way.
const victimEnv = "TOWPATH_TEST_ERRAND"

func TestMain(m *testing.M) {
	if text := os.Getenv(victimEnv); text != "" {
		fmt.Fprintln(os.Stderr, halfway([]byte(text)))
		os.Exit(1)
	}
	code := m.Run()
	if copied != "" {
		if err := os.RemoveAll(copied); err != nil {
			fmt.Fprintln(os.Stderr, errors.Join(errors.New("what was unpacked stays"), err))
			code = max(code, 1)
		}
	}
	os.Exit(code)
}
