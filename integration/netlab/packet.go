package netlab

import (
	"encoding/binary"
	"net/netip"
)

const (
	minIPv4Header = 20
	minTCPHeader  = 20
	protocolTCP   = 6

	flagRST = 0x04
	flagACK = 0x10
)

// destination returns the last byte of the destination of an IPv4 packet inside
// the lab; what else a host sends (IPv6, multicast) ends at the switch.
func destination(packet []byte) (byte, bool) {
	if len(packet) < minIPv4Header || packet[0]>>4 != 4 || [3]byte(packet[16:19]) != subnet {
		return 0, false
	}
	return packet[19], true
}

// connKey names one direction of a TCP connection between two given hosts.
type connKey struct{ fromPort, toPort uint16 }

// segment is what a reset has to know of a TCP packet.
type segment struct {
	from, to netip.AddrPort
	seq, ack uint32
	payload  uint32 // bytes
}

func (s segment) key() connKey { return connKey{s.from.Port(), s.to.Port()} }

// parseSegment reads a TCP packet. It is not ok for any other, for a fragment and
// for one that carries no acknowledgement, as the first of a connection.
func parseSegment(packet []byte) (segment, bool) {
	ipHeader := int(packet[0]&0x0f) * 4
	if packet[9] != protocolTCP || binary.BigEndian.Uint16(packet[6:])&0x3fff != 0 || len(packet) < ipHeader+minTCPHeader {
		return segment{}, false
	}
	tcp := packet[ipHeader:]
	tcpHeader := int(tcp[12]>>4) * 4
	total := int(binary.BigEndian.Uint16(packet[2:]))
	if tcp[13]&flagACK == 0 || total < ipHeader+tcpHeader || total > len(packet) {
		return segment{}, false
	}
	return segment{
		from:    netip.AddrPortFrom(netip.AddrFrom4([4]byte(packet[12:16])), binary.BigEndian.Uint16(tcp)),
		to:      netip.AddrPortFrom(netip.AddrFrom4([4]byte(packet[16:20])), binary.BigEndian.Uint16(tcp[2:])),
		seq:     binary.BigEndian.Uint32(tcp[4:]),
		ack:     binary.BigEndian.Uint32(tcp[8:]),
		payload: uint32(total - ipHeader - tcpHeader),
	}, true
}

// resetPacket makes the packet by which from seems to reset its connection to to.
// A kernel believes it only when seq is the very next byte that it expects (RFC
// 5961).
func resetPacket(from, to netip.AddrPort, seq, ack uint32) []byte {
	const size = minIPv4Header + minTCPHeader
	p := make([]byte, size)
	p[0] = 0x45
	binary.BigEndian.PutUint16(p[2:], size)
	p[8] = 64 // time to live
	p[9] = protocolTCP
	copy(p[12:], from.Addr().AsSlice())
	copy(p[16:], to.Addr().AsSlice())
	binary.BigEndian.PutUint16(p[10:], checksum(p[:minIPv4Header], 0))

	tcp := p[minIPv4Header:]
	binary.BigEndian.PutUint16(tcp, from.Port())
	binary.BigEndian.PutUint16(tcp[2:], to.Port())
	binary.BigEndian.PutUint32(tcp[4:], seq)
	binary.BigEndian.PutUint32(tcp[8:], ack)
	tcp[12] = minTCPHeader / 4 << 4
	tcp[13] = flagRST | flagACK
	// The pseudo header: addresses, protocol and length.
	sum := sumWords(p[12:20], protocolTCP+minTCPHeader)
	binary.BigEndian.PutUint16(tcp[16:], checksum(tcp, sum))
	return p
}

// checksum is that of RFC 1071 over data of even length.
func checksum(data []byte, sum uint32) uint16 {
	sum = sumWords(data, sum)
	for sum>>16 != 0 {
		sum = sum&0xffff + sum>>16
	}
	return ^uint16(sum)
}

func sumWords(data []byte, sum uint32) uint32 {
	for i := 0; i < len(data); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(data[i:]))
	}
	return sum
}
