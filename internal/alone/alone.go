// Package alone runs tests in a network namespace of their own, where an ordinary
// user may do as root does: rules, interfaces, routes.
package alone
