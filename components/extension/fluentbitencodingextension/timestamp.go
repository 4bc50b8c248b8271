package fluentbitencodingextension

import (
	"math"
	"time"
)

// clock reads timestamps. Those of neighbours have their minutes in common.
type clock struct {
	minute  [len(minuteLayout)]byte
	seconds int64 // since the epoch, of the minute; 0: none is known
}

const minuteLayout = "2006-01-02T15:04"

// parse reads an ISO 8601 date and time, with any fraction and zone, or a number since the epoch, as nanoseconds since
// the epoch. Digits after the ninth of the fraction are cut. It reports false for what is neither, and for times that are
// not after 1970-01-01T00:00:00Z or not before 2262: the first is that of no time in pdata, later ones have no int64.
func (c *clock) parse(text []byte) (int64, bool) {
	if len(text) > 4 && text[4] == '-' && isDigit(text[3]) { // and not an exponent
		return c.parseISO(text)
	}
	return parseEpoch(text)
}

func (c *clock) parseISO(text []byte) (int64, bool) {
	const whole = len("2006-01-02T15:04:05")
	if len(text) < whole || text[whole-3] != ':' {
		return 0, false
	}
	if c.seconds == 0 || [len(minuteLayout)]byte(text) != c.minute {
		var layout [len(minuteLayout)]byte
		copy(layout[:], text)
		switch layout[10] {
		case 't', ' ':
			layout[10] = 'T'
		}
		minute, err := time.Parse(minuteLayout, string(layout[:]))
		if err != nil {
			return 0, false
		}
		c.minute, c.seconds = [len(minuteLayout)]byte(text), minute.Unix()
	}
	second, ok := twoDigits(text[whole-2:])
	if !ok || second > 60 { // 60 is a leap second
		return 0, false
	}
	seconds := c.seconds + second
	text = text[whole:]

	var nanos int64
	if len(text) > 0 && (text[0] == '.' || text[0] == ',') {
		text = text[1:]
		digits := 0
		for ; digits < len(text) && isDigit(text[digits]); digits++ {
			if digits < 9 {
				nanos = 10*nanos + int64(text[digits]-'0')
			}
		}
		if digits == 0 {
			return 0, false
		}
		for n := digits; n < 9; n++ {
			nanos *= 10
		}
		text = text[digits:]
	}
	offset, ok := parseZone(text)
	if !ok {
		return 0, false
	}
	return unixNano(seconds-offset, nanos)
}

// parseZone returns the seconds that the zone is ahead of UTC. Without a zone the time is UTC.
func parseZone(text []byte) (int64, bool) {
	if len(text) == 0 || len(text) == 1 && text[0]|0x20 == 'z' {
		return 0, true
	}
	sign := int64(1)
	switch text[0] {
	case '+':
	case '-':
		sign = -1
	default:
		return 0, false
	}
	text = text[1:]
	hours, ok := twoDigits(text)
	if !ok || hours > 23 {
		return 0, false
	}
	text = text[2:]
	if len(text) == 0 {
		return sign * hours * 3600, true
	}
	if text[0] == ':' {
		text = text[1:]
	}
	minutes, ok := twoDigits(text)
	if !ok || minutes > 59 || len(text) != 2 {
		return 0, false
	}
	return sign * (hours*3600 + minutes*60), true
}

func twoDigits(text []byte) (int64, bool) {
	if len(text) < 2 || !isDigit(text[0]) || !isDigit(text[1]) {
		return 0, false
	}
	return int64(text[0]-'0')*10 + int64(text[1]-'0'), true
}

func isDigit(c byte) bool { return c-'0' <= 9 }

func unixNano(seconds, nanos int64) (int64, bool) {
	const second = int64(time.Second)
	if seconds < 0 || seconds > math.MaxInt64/second-1 || seconds == 0 && nanos == 0 {
		return 0, false
	}
	return seconds*second + nanos, true
}

// maxMantissaDigits is how many decimal digits an uint64 has room for.
const maxMantissaDigits = 19

// parseEpoch reads a decimal number without the error of a float. An integer is in the unit that VictoriaLogs takes it
// for (app/vlinsert/insertutil/timestamp.go); what has a fraction or an exponent is in seconds.
func parseEpoch(text []byte) (int64, bool) {
	var mantissa uint64
	digits, power, i := 0, 0, 0 // the value is mantissa times ten to the power
	isInteger, point, any := true, false, false
	for ; i < len(text); i++ {
		c := text[i]
		if c == '.' && !point {
			point, isInteger = true, false
			continue
		}
		if !isDigit(c) {
			break
		}
		any = true
		switch {
		case digits < maxMantissaDigits:
			mantissa = 10*mantissa + uint64(c-'0')
			if mantissa > 0 {
				digits++
			}
			if point {
				power--
			}
		case !point:
			power++
		}
	}
	if !any || mantissa == 0 {
		return 0, false
	}
	if i < len(text) {
		exponent, ok := parseExponent(text[i:])
		if !ok {
			return 0, false
		}
		isInteger = false
		power += exponent
	}
	power += 9
	if isInteger {
		for limit, unit := uint64(1<<31), 9; unit > 0 && mantissa >= limit; limit, unit = limit*1000, unit-3 {
			power -= 3
		}
	}
	for ; power < 0 && mantissa > 0; power++ {
		mantissa /= 10
	}
	if mantissa == 0 {
		return 0, false
	}
	for ; power > 0; power-- {
		if mantissa > math.MaxInt64/10 {
			return 0, false
		}
		mantissa *= 10
	}
	if mantissa > math.MaxInt64 {
		return 0, false
	}
	return int64(mantissa), true
}

// maxExponent is beyond that of any time: a message of so many digits is over every limit.
const maxExponent = 1 << 30

// parseExponent reads the `e9` of a number.
func parseExponent(text []byte) (int, bool) {
	if text[0]|0x20 != 'e' {
		return 0, false
	}
	text = text[1:]
	sign := 1
	if len(text) > 0 && (text[0] == '+' || text[0] == '-') {
		if text[0] == '-' {
			sign = -1
		}
		text = text[1:]
	}
	if len(text) == 0 {
		return 0, false
	}
	exponent := 0
	for _, c := range text {
		if !isDigit(c) {
			return 0, false
		}
		exponent = min(10*exponent+int(c-'0'), maxExponent)
	}
	return sign * exponent, true
}
