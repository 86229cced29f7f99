package doctor_test

import (
	"fmt"

	"towpath/doctor"
	"towpath/topology"
)

func ExamplePredict() {
	n, err := topology.Lookup("server-inside")
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, v := range doctor.Predict(n) {
		if v.Works {
			fmt.Println(v.Mode, "works")
			continue
		}
		fmt.Printf("%s fails at %s (%s): %s\n", v.Mode, v.Hop, v.Seen, v.Why)
	}
	// Output:
	// PORT works
	// EPRT works
	// PASV fails at internet (time-out): 227 names 33.1.1.33: from where the client stands that address leads nowhere; its packets end at internet.
	// EPSV fails at router (refused): The client connects to 44.1.1.1:32768; that address is of router, which forwards port 32768 to nobody.
}

func ExampleDecode() {
	a, err := doctor.Decode("PORT 192,168,10,160,192,245")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(a.Address, a.Port)
	fmt.Println(a.Sum)
	fmt.Println(a.Means)
	for _, r := range a.Remarks {
		fmt.Println(r.ID)
	}
	// Output:
	// 192.168.10.160 49397
	// 192*256+245 = 49397
	// Active mode: the client listens on 192.168.10.160:49397, and the server connects to it.
	// private
}
