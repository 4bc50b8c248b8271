package fluentbitencodingextension

import "bytes"

// appendFlat adds the record of a message that is one object of texts, numbers and literals without an escape, as most
// are, straight from its bytes. It reports whether the message was such a one. If not, or if the record is one to reject,
// nothing was added, and the message is for the parser.
func (u *unmarshaler) appendFlat(data []byte, arrived int64) bool {
	if bytes.IndexByte(data, '\\') >= 0 || !u.scanFlat(data) || u.takeTime(arrived, 0) != nil {
		return false
	}
	u.add(arrived)
	return true
}

// scanFlat sorts the members of a flat object. It takes what fastjson takes, and less.
func (u *unmarshaler) scanFlat(data []byte) bool {
	u.record.clear()
	u.names.next = 0
	data = skipSpace(data)
	if len(data) == 0 || data[0] != '{' {
		return false
	}
	for {
		var n *name
		var v value
		if n, data = u.scanKey(skipSpace(data[1:])); n == nil {
			return false
		}
		if data = skipSpace(data); len(data) == 0 || data[0] != ':' {
			return false
		}
		if v, data = scanValue(skipSpace(data[1:])); v.kind == kindAbsent {
			return false
		}
		u.member(n, v)
		if data = skipSpace(data); len(data) == 0 {
			return false
		}
		switch data[0] {
		case ',':
		case '}':
			return len(skipSpace(data[1:])) == 0
		default:
			return false
		}
	}
}

// scanKey returns the name that data begins with, nil if that is none, and what follows it.
func (u *unmarshaler) scanKey(data []byte) (*name, []byte) {
	if len(data) == 0 || data[0] != '"' {
		return nil, nil
	}
	data = data[1:]
	// The record before had the same key here, most of the time.
	if n := u.names.expected(); n != nil && len(data) > len(n.text) && data[len(n.text)] == '"' && string(data[:len(n.text)]) == n.text {
		u.names.next++
		return n, data[len(n.text)+1:]
	}
	end := bytes.IndexByte(data, '"')
	if end < 0 {
		return nil, nil
	}
	return u.names.find(data[:end]), data[end+1:]
}

// scanValue returns the value that data begins with, an absent one if it is none or has others in it, and what follows.
func scanValue(data []byte) (value, []byte) {
	if len(data) == 0 {
		return value{}, nil
	}
	switch first := data[0]; {
	case first == '"':
		end := bytes.IndexByte(data[1:], '"') + 1
		if end == 0 {
			return value{}, nil
		}
		return value{kind: kindString, inMessage: true, text: data[1:end:end]}, data[end+1:]
	case first == '-' || '0' <= first && first <= '9':
		end := 1
		for end < len(data) && isNumberByte(data[end]) {
			end++
		}
		if end == 1 && first == '-' {
			return value{}, nil // of what it may be the beginning, the parser knows
		}
		return value{kind: kindNumber, inMessage: true, text: data[:end:end]}, data[end:]
	case bytes.HasPrefix(data, []byte("true")):
		return value{kind: kindTrue}, data[len("true"):]
	case bytes.HasPrefix(data, []byte("false")):
		return value{kind: kindFalse}, data[len("false"):]
	case bytes.HasPrefix(data, []byte("null")):
		return value{kind: kindNull}, data[len("null"):]
	}
	return value{}, nil
}

func isNumberByte(c byte) bool {
	return '0' <= c && c <= '9' || c == '.' || c == '-' || c == '+' || c == 'e' || c == 'E'
}

func skipSpace(data []byte) []byte {
	for len(data) > 0 && (data[0] == ' ' || data[0] == '\n' || data[0] == '\t' || data[0] == '\r') {
		data = data[1:]
	}
	return data
}
