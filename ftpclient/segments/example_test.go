package segments_test

import (
	"context"
	"fmt"
	"log"
	"os"

	"towpath/ftpclient"
	"towpath/ftpclient/segments"
)

// A download that is called again with Resume goes on where it was, whatever
// ended it. The file has its name only when it is whole.
func ExampleGet() {
	ctx := context.Background()
	pool, err := ftpclient.NewPool("ftp.example.org:21", ftpclient.Options{TLS: ftpclient.Explicit}, 4)
	if err != nil {
		log.Fatal(err)
	}
	defer pool.Close()
	size, err := segments.Get(ctx, pool, "pub/sea.iso", "sea.iso.part", segments.Options{
		Sessions: 4,
		Resume:   true,
		Note:     func(text string) { fmt.Fprintln(os.Stderr, text) },
	})
	if err != nil {
		log.Fatal(err) // sea.iso.part and its status stay
	}
	if err := os.Rename("sea.iso.part", "sea.iso"); err != nil {
		log.Fatal(err)
	}
	fmt.Println(size, "bytes")
}

func ExamplePut() {
	ctx := context.Background()
	pool, err := ftpclient.NewPool("ftp.example.org:21", ftpclient.Options{User: "alice", Password: "secret", TLS: ftpclient.Explicit}, 4)
	if err != nil {
		log.Fatal(err)
	}
	defer pool.Close()
	size, err := segments.Put(ctx, pool, "sea.iso", "upload/sea.iso", segments.Options{Sessions: 4, Resume: true, Verify: true})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(size, "bytes")
}
