package listing_test

import (
	"fmt"
	"os"
	"strings"
	"time"

	"towpath/ftp/listing"
)

// A listing may hold lines that are no entries; they come out in their place.
func ExampleRead() {
	data := strings.NewReader("total 8\r\n" +
		"drwxr-xr-x    2 ada      crew         4096 Jan  2  2006 harbour\r\n" +
		"ls: sky: Permission denied\r\n" +
		"-rw-r--r--    1 ada      crew           12 Jan  2 03:04 sea.txt\r\n")
	now := time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)
	for e, err := range listing.Read(data, listing.Options{Now: now, Dialect: listing.Unix}) {
		if err != nil {
			fmt.Println(err)
			continue
		}
		fmt.Println(e.Type, e.Name, e.Size, e.Time.Format(time.DateTime))
	}
	// Output:
	// dir harbour 4096 2006-01-02 00:00:00
	// listing line 3: "ls: sky: Permission denied": want mode, links, owner, group, size, date and name, "-rw-r--r-- 1 ada crew 4 Jan  2 03:04 sea.txt"
	// file sea.txt 12 2026-01-02 03:04:00
}

// The facts that OPTS MLST selects are the ones that MLSD sends.
func ExampleAppendMLSx() {
	facts, err := listing.ParseFacts("Size;Modify;")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("200", facts.OptsReply())
	line := listing.AppendMLSx(nil, &listing.Entry{
		Name: "sea.txt",
		Type: listing.File,
		Size: 12,
		Time: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
	}, facts)
	_, _ = os.Stdout.Write(line) // an Example's output
	// Output:
	// 200 MLST OPTS size;modify;
	// size=12;modify=20260102030405; sea.txt
}
