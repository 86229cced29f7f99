package main

import (
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"towpath/firewall"
	"towpath/topology"
)

// completeChoices lets Tab offer the values of each flag whose usage names them as
// one|two|three, of c and all verbs below it, unless something better is offered.
func completeChoices(c *cobra.Command) {
	offer := func(f *pflag.Flag) {
		if name, _ := pflag.UnquoteUsage(f); strings.Contains(name, "|") {
			complete(c, f.Name, strings.Split(name, "|"))
		}
	}
	c.LocalFlags().VisitAll(offer)
	for _, verb := range c.Commands() {
		completeChoices(verb)
	}
}

// complete lets Tab offer values of a flag, and no files.
func complete(c *cobra.Command, flag string, values []string) {
	if _, known := c.GetFlagCompletionFunc(flag); !known {
		_ = c.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp)) // the flag is there
	}
}

// formats are the firewalls that rules can be written for.
func formats() (names []string) {
	for _, f := range firewall.Formats {
		names = append(names, f.Name)
	}
	return names
}

// networks offers the catalogue, and where there is none of the name, files.
func networks(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
	var names []cobra.Completion
	for _, n := range topology.Catalogue() {
		names = append(names, cobra.CompletionWithDesc(n.Name, n.Title))
	}
	return names, cobra.ShellCompDirectiveDefault
}
