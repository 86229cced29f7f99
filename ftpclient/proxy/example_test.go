package proxy_test

import (
	"fmt"

	"towpath/ftpclient"
	"towpath/ftpclient/proxy"
)

// A client goes through a proxy unless the server is one of those that need none.
func ExampleServer_Dialer() {
	server := "ftp.example.org:21"
	p, err := proxy.Parse("socks5://alice:secret@proxy.example.org")
	if err != nil {
		panic(err)
	}
	none, err := proxy.ParseExceptions("localhost, .example.com, 10.0.0.0/8")
	if err != nil {
		panic(err)
	}
	var o ftpclient.Options
	if !none.Match(server) {
		if o.Dialer, err = p.Dialer(nil); err != nil {
			panic(err)
		}
	}
	_, active := o.Dialer.(ftpclient.Binder)
	fmt.Printf("%s through %v, active mode: %v\n", server, p, active)
	// Output: ftp.example.org:21 through socks5://proxy.example.org:1080, active mode: true
}
