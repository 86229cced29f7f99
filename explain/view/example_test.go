package view_test

import (
	"context"
	"fmt"

	"towpath/explain"
	"towpath/explain/view"
)

// The verdict of a capture and its reasons, in English and in Japanese. WriteText, WriteLadder,
// WriteHTML and the others show the whole of it.
func Example() {
	s, err := explain.Explain(context.Background(), []string{"../testdata/captures/dnat-passive-noalg-client.pcap"}, explain.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, l := range []explain.Lang{explain.English, explain.Japanese} {
		v := view.New(s, l)
		fmt.Println(v.Verdict())
		for _, f := range v.Reasons() {
			fmt.Println(f.ID, f.Text)
		}
	}
	// Output:
	// 2 sessions, 2 transfers: 2 failed.
	// inside-address 227 names 10.166.2.33, but the control connection is with 10.45.1.1: from where the client stands that address leads nowhere. A NAT is between, and nothing on it translates the announcement.
	// 2 セッション、転送 2 件：失敗 2。
	// inside-address 227 が示すアドレスは 10.166.2.33 ですが、制御コネクションの相手は 10.45.1.1 です。クライアントのいる場所からそのアドレスには届きません。途中に NAT があり、通知を変換していません。
}
