// Package lab builds networks that exist on paper ([topology.Network]) out of
// Linux network namespaces, and runs FTP sessions in them, so that what was
// predicted can be held against what happens.
//
// It needs no root and calls no program to build: a user namespace, netlink and
// nftables do. It predicts nothing itself; that is for package doctor.
package lab
