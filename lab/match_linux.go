package lab

import (
	"encoding/binary"
	"net/netip"

	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// The conditions and ends of rules, as nft(8) has them. Each uses register 1,
// and 2 where it needs a second.

func join(parts ...[]expr.Any) (all []expr.Any) {
	for _, p := range parts {
		all = append(all, p...)
	}
	return all
}

func equals(data []byte) expr.Any { return &expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: data} }

// protocol: meta l4proto tcp
func protocol(number byte) []expr.Any {
	return []expr.Any{&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1}, equals([]byte{number})}
}

// from: iifname "eth0"
func from(name string) []expr.Any {
	return []expr.Any{&expr.Meta{Key: expr.MetaKeyIIFNAME, Register: 1}, equals(interfaceName(name))}
}

// towards: oifname "eth0"
func towards(name string) []expr.Any {
	return []expr.Any{&expr.Meta{Key: expr.MetaKeyOIFNAME, Register: 1}, equals(interfaceName(name))}
}

func interfaceName(s string) []byte {
	b := make([]byte, unix.IFNAMSIZ)
	copy(b, s)
	return b
}

// source: ip saddr 10.0.0.0/8
func source(p netip.Prefix) []expr.Any { return network(p, 12, 8) }

// destination: ip daddr 10.0.0.0/8
func destination(p netip.Prefix) []expr.Any { return network(p, 16, 24) }

// network compares an address in the header with p; it is at offset v4 or v6.
func network(p netip.Prefix, v4, v6 uint32) []expr.Any {
	at, family := v4, byte(unix.NFPROTO_IPV4)
	if p.Addr().Is6() {
		at, family = v6, unix.NFPROTO_IPV6
	}
	length := p.Addr().BitLen() / 8
	mask := make([]byte, length)
	for i := range p.Bits() {
		mask[i/8] |= 0x80 >> (i % 8)
	}
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyNFPROTO, Register: 1}, equals([]byte{family}),
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: at, Len: uint32(length)},
		&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: uint32(length), Mask: mask, Xor: make([]byte, length)},
		equals(p.Masked().Addr().AsSlice()),
	}
}

// toPort: tcp dport low-high
func toPort(low, high uint16) []expr.Any {
	return join(protocol(unix.IPPROTO_TCP), ports(2, low, high))
}

func ports(offset uint32, low, high uint16) []expr.Any {
	return []expr.Any{
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: offset, Len: 2},
		&expr.Range{Op: expr.CmpOpEq, Register: 1, FromData: bigEndian(low), ToData: bigEndian(high)},
	}
}

func bigEndian(n uint16) []byte { return binary.BigEndian.AppendUint16(nil, n) }

// state: ct state established,related
func state(bits uint32) []expr.Any {
	return []expr.Any{
		&expr.Ct{Key: expr.CtKeySTATE, Register: 1},
		&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: 4, Mask: native(bits), Xor: make([]byte, 4)},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: 1, Data: make([]byte, 4)},
	}
}

// marked: ct mark and bits != 0
func marked(bits uint32) []expr.Any {
	return []expr.Any{
		&expr.Ct{Key: expr.CtKeyMARK, Register: 1},
		&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: 4, Mask: native(bits), Xor: make([]byte, 4)},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: 1, Data: make([]byte, 4)},
	}
}

const (
	established = expr.CtStateBitESTABLISHED
	related     = expr.CtStateBitRELATED
)

func native(n uint32) []byte { return binaryutil.NativeEndian.PutUint32(n) }

func verdict(k expr.VerdictKind) []expr.Any { return []expr.Any{&expr.Verdict{Kind: k}} }

// reset: reject with tcp reset
func reset() []expr.Any {
	return join(protocol(unix.IPPROTO_TCP), []expr.Any{&expr.Reject{Type: unix.NFT_REJECT_TCP_RST}})
}

// unreachable: reject with icmpx port-unreachable
func unreachable() []expr.Any {
	return []expr.Any{&expr.Reject{Type: unix.NFT_REJECT_ICMPX_UNREACH, Code: unix.NFT_REJECT_ICMPX_PORT_UNREACH}}
}

// translate: snat to a, dnat to a:port; a port of 0 keeps the one there is.
func translate(kind expr.NATType, to netip.AddrPort) []expr.Any {
	family := uint32(unix.NFPROTO_IPV4)
	if to.Addr().Is6() {
		family = unix.NFPROTO_IPV6
	}
	nat := &expr.NAT{Type: kind, Family: family, RegAddrMin: 1}
	all := []expr.Any{&expr.Immediate{Register: 1, Data: to.Addr().AsSlice()}}
	if to.Port() != 0 {
		nat.RegProtoMin, nat.Specified = 2, true
		all = append(all, &expr.Immediate{Register: 2, Data: bigEndian(to.Port())})
	}
	return append(all, nat)
}

// redirect: redirect to :port
func redirect(port uint16) []expr.Any {
	return []expr.Any{&expr.Immediate{Register: 1, Data: bigEndian(port)}, &expr.Redir{RegisterProtoMin: 1}}
}

// helper: ct helper set "ftp"; the helper is an object of the table.
func helper(name string) []expr.Any {
	return []expr.Any{&expr.Objref{Type: unix.NFT_OBJECT_CT_HELPER, Name: name}}
}
