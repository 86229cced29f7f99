package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	catalogue "towpath/internal/words" // words are those of the shell here
)

const langFlag = "lang"

// spoken is the language that a command of doctor answers in: that of --lang,
// else that of the locale.
func spoken(cmd *cobra.Command) (catalogue.Lang, error) {
	f := cmd.Flag(langFlag)
	if f == nil || !f.Changed {
		return catalogue.Locale(os.Environ()), nil
	}
	l, err := catalogue.ParseLang(f.Value.String())
	if err != nil {
		return l, exit(doctorUnknown, fmt.Errorf("--lang %w", err))
	}
	return l, nil
}

// What doctor says by its exit status, beside 0.
const (
	doctorFindings = 1
	doctorUnknown  = 2
)

// doctorCommand makes "towpath doctor": what stands between a server and its
// clients. With a URL it looks at that server.
func doctorCommand() *cobra.Command {
	cmd := doctorProbeCommand()
	cmd.PersistentFlags().String(langFlag, "", "speak this `LANGUAGE`: en, zh-Hans, zh-Hant or ja (default: that of the locale)")
	for _, verb := range []*cobra.Command{doctorDecodeCommand(), doctorPredictCommand(), doctorRulesCommand(), doctorServerCommand()} {
		// Wrong flags end a verb of the client by another status.
		verb.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return err })
		cmd.AddCommand(verb)
	}
	return cmd
}
