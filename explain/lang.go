package explain

import "towpath/internal/words"

// Lang is a language to tell a story in; the zero value is [English].
type Lang = words.Lang

// The languages.
const (
	English     = words.English
	Simplified  = words.Simplified // Chinese, as Traditional is
	Traditional = words.Traditional
	Japanese    = words.Japanese
)

// ParseLang reads the name of a language, as en, zh-Hans, zh-Hant or ja, or that of
// a place where it is written: zh-TW, ja_JP.
func ParseLang(s string) (Lang, error) { return words.ParseLang(s) }
