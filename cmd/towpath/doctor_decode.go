package main

import (
	"encoding/json"
	"errors"
	"strings"

	"github.com/spf13/cobra"

	"towpath/doctor"
)

func doctorDecodeCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "decode LINE",
		Short: "Read the address and the port in a PORT, EPRT, 227 or 229",
		Long: `Read the address and the port in a PORT, EPRT, 227 or 229: the arithmetic, who
connects to whom, and what is remarkable about it.

LINE is one line of a dialogue, with the arrow or not that a program has put in
front of it in its log; or the numbers alone.

The exit status is 0 if nothing is remarkable, 1 if there are remarks, and 2 if
it cannot be read.`,
		Example: `  towpath doctor decode 'PORT 192,168,10,160,192,245'
  towpath doctor decode '227 Entering Passive Mode (10,0,0,5,195,80).'
  towpath doctor decode '229 Entering Extended Passive Mode (|||6446|)'
  towpath doctor decode 192,245
  towpath doctor decode --lang ja 'PORT 192,168,10,160,192,245'`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			lang, err := spoken(cmd)
			if err != nil {
				return err
			}
			a, err := doctor.Decode(strings.Join(args, " "))
			if u, ok := errors.AsType[*doctor.Unreadable](err); ok {
				err = errors.New(u.In(lang))
			}
			out := cmd.OutOrStdout()
			switch {
			case err != nil && asJSON:
				_ = json.NewEncoder(out).Encode(map[string]string{"line": a.Line, "error": err.Error()}) // the exit status says it too
				return exit(doctorUnknown, errors.New(""))
			case err != nil:
				return exit(doctorUnknown, err)
			case asJSON:
				err = json.NewEncoder(out).Encode(a.In(lang))
			default:
				err = a.In(lang).WriteText(out)
			}
			if err == nil && len(a.Remarks) > 0 {
				err = exit(doctorFindings, errors.New(""))
			}
			return err
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "write JSON")
	return cmd
}
