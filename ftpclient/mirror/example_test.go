package mirror_test

import (
	"context"
	"fmt"
	"log"
	"os"

	"towpath/ftpclient"
	"towpath/ftpclient/mirror"
)

func Example() {
	ctx := context.Background()
	pool, err := ftpclient.NewPool("ftp.example.org:21", ftpclient.Options{TLS: ftpclient.Explicit}, 4)
	if err != nil {
		log.Fatal(err)
	}
	defer pool.Close()
	result, err := mirror.Down(ctx, pool, "pub", "copy", mirror.Options{
		Parallel: 4,
		Delete:   true,
		Failed:   func(path string, err error) { fmt.Fprintln(os.Stderr, path, err) },
	})
	fmt.Println(result.Moved, "files came,", result.Same, "were here")
	if err != nil {
		log.Fatal(err)
	}
}

// A pattern without a slash is about names anywhere. The last rule that matches
// counts.
func ExampleGlob() {
	var rules []mirror.Rule
	for _, r := range []struct {
		pattern string
		include bool
	}{{"*.o", false}, {"cache/", false}, {"keep.o", true}} {
		rule, err := mirror.Glob(r.pattern, r.include)
		if err != nil {
			log.Fatal(err)
		}
		rules = append(rules, rule)
	}
	fmt.Println(len(rules), "rules")
	_, err := mirror.Glob("a[", true)
	fmt.Println(err)
	// Output:
	// 3 rules
	// "a[" is no pattern; want one such as *.txt, sub/**/*.o or cache/
}

func ExampleStep_String() {
	fmt.Println(mirror.Step{Op: mirror.Fetch, Path: "sub/a.txt", Size: 1234})
	fmt.Println(mirror.Step{Op: mirror.Delete, Path: "old", Dir: true})
	fmt.Println(mirror.Step{Op: mirror.Fetch, Path: "bell\a", Size: -1})
	// Output:
	// fetch sub/a.txt (1.2 KiB)
	// delete old/
	// fetch bell\x07
}
