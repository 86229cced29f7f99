package interop

import (
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"towpath/ftptest"
)

// What all tests share: the binary, and certificate and key of its servers.
var binary, certFile, keyFile string

func TestMain(m *testing.M) {
	code, err := prepared(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "interop:", err)
		code = 1
	}
	os.Exit(code)
}

// prepared runs the tests with the binary built, and names what was missing.
func prepared(m *testing.M) (code int, err error) {
	dir, err := os.MkdirTemp("", "towpath-interop-")
	if err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	// Whoever has built it already, or wants to know of a packaged one, says where.
	if binary = os.Getenv("TOWPATH_BINARY"); binary == "" {
		binary = filepath.Join(dir, "towpath")
		build := exec.Command("go", "build", "-o", binary, "towpath/cmd/towpath")
		build.Env = append(os.Environ(), "CGO_ENABLED=0") // as it is shipped
		if out, err := build.CombinedOutput(); err != nil {
			return 1, fmt.Errorf("go build: %w\n%s", err, out)
		}
	}
	certFile, keyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	if err := writeCertificate(); err != nil {
		return 1, err
	}
	code = m.Run()
	for _, pkg := range slices.Sorted(maps.Keys(missing.packages)) {
		fmt.Printf("interop: %s was not tested: apt-get install %s\n", missing.packages[pkg], pkg)
	}
	return code, nil
}

// writeCertificate writes the certificate of the test servers, which is its
// own authority, for the servers to show and the clients to trust.
func writeCertificate() error {
	c := ftptest.Certificate()
	key, err := pkcs8(c.PrivateKey)
	if err != nil {
		return err
	}
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Certificate[0]})
	return errors.Join(os.WriteFile(certFile, cert, 0o600), os.WriteFile(keyFile, key, 0o600))
}

// missing are the packages of clients that are not installed.
var missing struct {
	sync.Mutex
	packages map[string]string // package: client
}

// need skips the test unless c is installed and runs.
func need(t *testing.T, c client) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var err error
	for _, p := range c.programs {
		_, notThere := exec.LookPath(p)
		err = errors.Join(err, notThere)
	}
	if err == nil && c.probe != nil {
		err = exec.CommandContext(ctx, c.probe[0], c.probe[1:]...).Run()
	}
	if err == nil {
		return
	}
	missing.Lock()
	defer missing.Unlock()
	if missing.packages == nil {
		missing.packages = make(map[string]string)
	}
	missing.packages[c.pkg] = c.name
	t.Skipf("%s is not installed (Debian: apt-get install %s): %v", c.name, c.pkg, err)
}
