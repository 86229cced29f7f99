package accounts_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	"towpath/accounts"
)

// A door to two accounts. Errors tell the log why; the client learns only that
// it is refused.
func Example() {
	hash, err := accounts.Hash("sea horse")
	if err != nil {
		fmt.Println(err)
		return
	}
	store, err := accounts.NewMemory(
		&accounts.Account{Name: "alice", Hash: hash, Rights: accounts.Rules{
			{Path: "/", Rights: accounts.ReadOnly},
			{Path: "/incoming", Rights: accounts.List | accounts.Write},
		}},
		&accounts.Account{Name: "bob", Hash: hash, State: accounts.Blocked},
	)
	if err != nil {
		fmt.Println(err)
		return
	}
	door := accounts.NewAuthenticator(store, accounts.AuthOptions{})
	for _, name := range []string{"alice", "bob", "carol"} {
		a, leave, err := door.Enter(context.Background(), accounts.Attempt{
			Name: name, Password: "sea horse", Peer: netip.MustParseAddr("192.0.2.7"),
		})
		if errors.Is(err, accounts.ErrRefused) {
			fmt.Printf("%s: %v\n", name, err)
			continue
		}
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Printf("%s may %v in /incoming/today\n", a.Name, a.Rights.At("/incoming/today"))
		leave()
	}
	// Output:
	// alice may list write in /incoming/today
	// bob: login refused: the account is blocked
	// carol: login refused: there is no such account
}
