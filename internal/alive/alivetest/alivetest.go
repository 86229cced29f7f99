// Package alivetest makes ends of connections vanish, as machines do that lose
// their power or their cable.
package alivetest
