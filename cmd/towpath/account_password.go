package main

import (
	"bufio"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"towpath/accounts"
)

// accountPassword says where a password comes from.
type accountPassword struct {
	stdin, generate, any, none bool
	given, ready               string
}

func (p *accountPassword) register(c *cobra.Command) {
	c.Flags().BoolVar(&p.stdin, "password-stdin", false, "read the password from the first line of standard input")
	c.Flags().BoolVar(&p.generate, "generate", false, "make a password up and print it, once")
	c.Flags().StringVar(&p.ready, "hash", "", "take a password `HASH` that is there already: argon2id, bcrypt, yescrypt or crypt")
	c.Flags().StringVar(&p.given, "insecure-password", "", "take `PASSWORD` from the command line, where all on this machine can read it")
}

func (p *accountPassword) names() []string {
	return []string{"password-stdin", "generate", "hash", "insecure-password"}
}

// hash returns the hash of the password, and the password if it was made up.
func (p *accountPassword) hash(c *cobra.Command, name string) (hash, generated string, err error) {
	var password string
	switch {
	case c.Flags().Changed("hash"):
		if err := accounts.CheckHash(p.ready); err != nil {
			return "", "", exit(exitUsage, fmt.Errorf("--hash: %w", err))
		}
		return p.ready, "", nil
	case p.generate:
		generated = rand.Text()
		password = generated
	case p.stdin:
		password, err = firstPasswordLine(c.InOrStdin())
	case c.Flags().Changed("insecure-password"):
		password = p.given
	default:
		in, ok := c.InOrStdin().(*os.File)
		if !ok || !term.IsTerminal(int(in.Fd())) {
			return "", "", exit(exitUsage, errors.New("standard input is no terminal to ask for a password: want --password-stdin or --generate"))
		}
		password, err = askPasswordTwice(name, func(prompt string) (string, error) {
			fmt.Fprint(c.ErrOrStderr(), prompt)
			b, err := term.ReadPassword(int(in.Fd()))
			fmt.Fprintln(c.ErrOrStderr())
			return string(b), err
		})
	}
	if err == nil {
		hash, err = accounts.Hash(password)
	}
	if err != nil {
		return "", "", exit(exitData, err)
	}
	return hash, generated, nil
}

// askPasswordTwice asks for a password until it was said twice alike, up to three times.
func askPasswordTwice(name string, ask func(prompt string) (string, error)) (string, error) {
	for range 3 {
		first, err := ask("Password for " + name + ": ")
		if err != nil {
			return "", err
		}
		if err := accounts.CheckPassword(first); err != nil {
			return "", err
		}
		second, err := ask("Again: ")
		if err != nil {
			return "", err
		}
		if first == second {
			return first, nil
		}
	}
	return "", errors.New("the two passwords were not alike, three times")
}

// firstPasswordLine reads a line and no more than a password may have.
func firstPasswordLine(r io.Reader) (string, error) {
	line, err := bufio.NewReader(io.LimitReader(r, 64<<10)).ReadString('\n')
	if err != nil && err != io.EOF {
		return "", fmt.Errorf("reading the password: %w", err)
	}
	return strings.TrimSuffix(strings.TrimSuffix(line, "\n"), "\r"), nil
}

func tellPassword(c *cobra.Command, generated string) {
	if generated != "" {
		fmt.Fprintf(c.OutOrStdout(), "password: %s\n", generated)
	}
}
