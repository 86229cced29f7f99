package ftpclient_test

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log"
	"os"
	"strings"
	"testing"

	"towpath/ftpclient"
	"towpath/ftptest"
)

// The server that the examples speak with.
func exampleServer() (addr string, closed func()) {
	t := &exampleT{}
	s := ftptest.Serve(t, ftptest.Files{"sea.txt": "0123456789", "harbour/boat.txt": "towed"}, ftptest.TLS)
	return s.Addr, t.close
}

// exampleT is as much of a testing.TB as ftptest needs.
type exampleT struct {
	testing.TB
	cleanups []func()
}

func (t *exampleT) Helper()                   {}
func (t *exampleT) Cleanup(f func())          { t.cleanups = append(t.cleanups, f) }
func (t *exampleT) Fatalf(f string, a ...any) { log.Fatalf(f, a...) }

func (t *exampleT) close() {
	for _, f := range t.cleanups {
		f()
	}
}

func ExampleDial() {
	addr, closed := exampleServer()
	defer closed()
	ctx := context.Background()
	c, err := ftpclient.Dial(ctx, addr, ftpclient.Options{
		User: "test", Password: "secret",
		TLS: ftpclient.Explicit, TLSConfig: ftptest.ClientTLS(),
	})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Get(ctx, "sea.txt", os.Stdout, ftpclient.From(4)); err != nil {
		log.Fatal(err)
	}
	fmt.Println()
	for f, err := range c.Walk(ctx, "/harbour") {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(f.Path, f.Type)
	}
	// Output:
	// 456789
	// /harbour/boat.txt file
}

func ExamplePool() {
	addr, closed := exampleServer()
	defer closed()
	ctx := context.Background()
	p, err := ftpclient.NewPool(addr, ftpclient.Options{User: "test", Password: "secret"}, 4)
	if err != nil {
		log.Fatal(err)
	}
	defer p.Close()
	err = p.Do(ctx, func(c *ftpclient.Client) error {
		_, err := c.Put(ctx, "rope", strings.NewReader("hemp"), ftpclient.Verify())
		return err
	})
	fmt.Println(err)
	// Output: <nil>
}

func ExampleClient_Open() {
	addr, closed := exampleServer()
	defer closed()
	ctx := context.Background()
	c, err := ftpclient.Dial(ctx, addr, ftpclient.Options{User: "test", Password: "secret"})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	f, err := c.Open(ctx, "sea.txt")
	if err != nil {
		log.Fatal(err)
	}
	defer f.Close()
	if _, err := f.Seek(-3, io.SeekEnd); err != nil {
		log.Fatal(err)
	}
	b, err := io.ReadAll(f)
	fmt.Println(string(b), err)
	// Output: 789 <nil>
}

func ExampleClient_Put() {
	addr, closed := exampleServer()
	defer closed()
	ctx := context.Background()
	c, err := ftpclient.Dial(ctx, addr, ftpclient.Options{User: "test", Password: "secret", Retries: 3})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	n, err := c.Put(ctx, "cargo", strings.NewReader("coal and salt"), ftpclient.Progress(func(moved int64) {
		fmt.Println("moved", moved)
	}))
	fmt.Println(n, err)
	// Output:
	// moved 13
	// 13 <nil>
}

// A cut download goes on where the file here ends.
func ExampleResume() {
	addr, closed := exampleServer()
	defer closed()
	ctx := context.Background()
	c, err := ftpclient.Dial(ctx, addr, ftpclient.Options{User: "test", Password: "secret"})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	f, err := os.CreateTemp("", "sea")
	if err != nil {
		log.Fatal(err)
	}
	defer os.Remove(f.Name())
	defer f.Close()
	if _, err := f.WriteString("0123"); err != nil { // what an earlier run has brought
		log.Fatal(err)
	}
	n, err := c.Get(ctx, "sea.txt", f, ftpclient.Resume())
	fmt.Println(n, err)
	// Output: 6 <nil>
}

// Walk goes on behind errors; names that lead elsewhere are errors, too.
func ExampleClient_Walk() {
	addr, closed := exampleServer()
	defer closed()
	ctx := context.Background()
	c, err := ftpclient.Dial(ctx, addr, ftpclient.Options{User: "test", Password: "secret"})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	for f, err := range c.Walk(ctx, "/") {
		if err != nil {
			log.Print(err)
			continue
		}
		fmt.Println(f.Path, f.Type, f.Size)
	}
	// Unordered output:
	// /harbour dir -1
	// /harbour/boat.txt file 5
	// /sea.txt file 10
}

// What takes an fs.FS takes a server.
func ExampleClient_FS() {
	addr, closed := exampleServer()
	defer closed()
	ctx := context.Background()
	c, err := ftpclient.Dial(ctx, addr, ftpclient.Options{User: "test", Password: "secret"})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	names, err := fs.Glob(c.FS(ctx), "*/*.txt")
	fmt.Println(names, err)
	// Output: [harbour/boat.txt] <nil>
}

// Attempts tell how data connections came about, and why not.
func ExampleClient_Attempts() {
	addr, closed := exampleServer()
	defer closed()
	ctx := context.Background()
	c, err := ftpclient.Dial(ctx, addr, ftpclient.Options{User: "test", Password: "secret"})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Get(ctx, "sea.txt", io.Discard); err != nil {
		log.Fatal(err)
	}
	for _, a := range c.Attempts() {
		fmt.Println(a.Mode, a.Command.Verb, a.Err)
	}
	// Output: EPSV RETR <nil>
}

// A server whose certificate nobody has signed is known by its key.
func ExampleOptions_pin() {
	addr, closed := exampleServer()
	defer closed()
	ctx := context.Background()
	pin := sha256.Sum256(ftptest.Certificate().Leaf.RawSubjectPublicKeyInfo) // from a safe place
	c, err := ftpclient.Dial(ctx, addr, ftpclient.Options{
		User: "test", Password: "secret", TLS: ftpclient.Explicit,
		TLSConfig: &tls.Config{
			InsecureSkipVerify: true, // VerifyConnection looks instead, at data connections too
			VerifyConnection: func(s tls.ConnectionState) error {
				if sha256.Sum256(s.PeerCertificates[0].RawSubjectPublicKeyInfo) != pin {
					return errors.New("this is another server")
				}
				return nil
			},
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	n, err := c.Get(ctx, "sea.txt", io.Discard)
	fmt.Println(n, err)
	// Output: 10 <nil>
}

// Two servers exchange a file, and none of it comes here. Where they do not, it
// goes through here.
func ExampleFXP() {
	one, closeOne := exampleServer()
	defer closeOne()
	other, closeOther := exampleServer()
	defer closeOther()
	ctx := context.Background()
	from, err := ftpclient.Dial(ctx, one, ftpclient.Options{User: "test", Password: "secret"})
	if err != nil {
		log.Fatal(err)
	}
	defer from.Close()
	to, err := ftpclient.Dial(ctx, other, ftpclient.Options{User: "test", Password: "secret"})
	if err != nil {
		log.Fatal(err)
	}
	defer to.Close()
	err = ftpclient.FXP(ctx, from, "sea.txt", to, "copy.txt")
	if errors.Is(err, ftpclient.ErrFXP) {
		var w *ftpclient.Writer
		if w, err = to.Create(ctx, "copy.txt"); err == nil {
			if _, err = from.Get(ctx, "sea.txt", w); err == nil {
				err = w.Close()
			} else {
				w.Abort()
			}
		}
	}
	if err != nil {
		log.Fatal(err)
	}
	size, err := to.Size(ctx, "copy.txt")
	fmt.Println(size, err)
	// Output: 10 <nil>
}

func ExampleClient_Copy() {
	addr, closed := exampleServer()
	defer closed()
	ctx := context.Background()
	c, err := ftpclient.Dial(ctx, addr, ftpclient.Options{User: "test", Password: "secret"})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	err = c.Copy(ctx, "sea.txt", "harbour/sea.txt")
	if errors.Is(err, ftpclient.ErrUnsupported) {
		log.Fatal("this server does not copy: get it, and put it")
	}
	if err != nil {
		log.Fatal(err)
	}
	_, err = c.Get(ctx, "harbour/sea.txt", os.Stdout)
	fmt.Println("", err)
	// Output: 0123456789 <nil>
}
