package ftpclient_test

import (
	"context"
	"fmt"
	"io"
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
