package main

import "testing"

func TestRanOut(t *testing.T) {
	t.Parallel()
	const progress = "fuzz: elapsed: 2s, execs: 17905 (7484/sec), new interesting: 43 (total: 52)\n"
	for said, want := range map[string]bool{
		progress + "--- FAIL: FuzzExternal (2.39s)\n    context deadline exceeded\nFAIL\n":                                                                                      true,
		progress + "--- FAIL: FuzzParse (0.26s)\n    --- FAIL: FuzzParse (0.00s)\n        url_test.go:212: context deadline exceeded\n":                                         false,
		progress + "--- FAIL: FuzzParse (0.26s)\n    fuzzing process hung or terminated unexpectedly: exit status 2\n    Failing input written to testdata/fuzz/FuzzParse/d1\n": false,
		"": false,
	} {
		if got := ranOut(said); got != want {
			t.Errorf("%q: %v, want %v", said, got, want)
		}
	}
}
