// Package instant reads the dates and times of event values as points in time
// without taking memory.
package instant

import (
	"cmp"
	"time"
)

// An Instant is a point in time between the years -1 and 10000, so wider than
// a count of nanoseconds in an int64 could be. Equal instants are ==.
type Instant struct {
	sec  int64 // since 1970-01-01T00:00:00Z
	nsec int32 // 0 … 999,999,999
}

// Compare returns -1, 0 or +1 as i is before, equal to or after j.
func (i Instant) Compare(j Instant) int {
	if c := cmp.Compare(i.sec, j.sec); c != 0 {
		return c
	}
	return cmp.Compare(i.nsec, j.nsec)
}

// Unix returns the instant as seconds since 1970-01-01T00:00:00Z and the
// nanoseconds within that second.
func (i Instant) Unix() (sec int64, nsec int32) { return i.sec, i.nsec }

// Time returns the instant as a time in UTC.
func (i Instant) Time() time.Time { return time.Unix(i.sec, int64(i.nsec)).UTC() }

// Parse reads a whole text as [ParseDate] or [ParseTime] does.
func Parse(s string) (Instant, bool) {
	if len(s) == len(time.DateOnly) {
		return ParseDate(s)
	}
	return ParseTime(s)
}

// ParseDate reads a date and returns its midnight in UTC. It accepts what
// time.Parse(time.DateOnly, s) does.
func ParseDate(s string) (Instant, bool) {
	if len(s) != len(time.DateOnly) {
		return Instant{}, false
	}
	days, ok := parseDay(s)
	return Instant{sec: days * secondsPerDay}, ok
}

// ParseTime reads a date and time with an offset. It accepts what
// time.Parse(time.RFC3339, s) does, which is more than RFC 3339: the hour may
// have one digit, a comma may stand for the point before a fraction, of which
// nine digits count, and offsets go up to 24:60.
func ParseTime(s string) (Instant, bool) {
	const shortest = "2006-01-02T5:04:05Z"
	if len(s) < len(shortest) || s[len("2006-01-02")] != 'T' {
		return Instant{}, false
	}
	days, okDay := parseDay(s)
	clock, rest, okClock := parseClock(s[len("2006-01-02T"):])
	nsec, rest := parseFraction(rest)
	offset, okOffset := parseOffset(rest)
	return Instant{sec: days*secondsPerDay + clock - offset, nsec: nsec}, okDay && okClock && okOffset
}

const secondsPerDay = 24 * 60 * 60

// parseDay reads the date that s begins with and returns its day, counted from
// 1970-01-01. s has at least the length of a date.
func parseDay(s string) (int64, bool) {
	_ = s[len("2006-01-02")-1]
	var d digits
	year := d.two(s[0], s[1])*100 + d.two(s[2], s[3])
	month := d.two(s[5], s[6])
	day := d.two(s[8], s[9])
	if !d.ok() || s[4] != '-' || s[7] != '-' ||
		month < 1 || month > 12 || day < 1 || day > 28 && day > daysIn(month, year) {
		return 0, false
	}
	return daysSince1970(year, month, day), true
}

// digits reads digits and remembers whether all of them were, to be asked once
// in the end. Times are parsed for every value that meets a DATE or TIME.
type digits struct {
	bad byte // its high bit is set for good by a byte that was no digit
}

func (d *digits) ok() bool { return d.bad < 0x80 }

// one reads a digit.
func (d *digits) one(c byte) int64 {
	n := c - '0'         // beyond 9, one of n and
	d.bad |= n | (9 - n) // 9-n has the high bit
	return int64(n)
}

// two reads a number of two digits.
func (d *digits) two(tens, ones byte) int64 { return d.one(tens)*10 + d.one(ones) }

func daysIn(month, year int64) int64 {
	if month == 2 {
		if year%4 == 0 && (year%100 != 0 || year%400 == 0) {
			return 29
		}
		return 28
	}
	return 30 + (month+month>>3)&1
}

// daysSince1970 counts days in the proleptic Gregorian calendar. Years begin
// in March here, so that the leap day comes last: 153 days are the five months
// from March to July, and again from August to December.
func daysSince1970(year, month, day int64) int64 {
	const yearZeroTo1970 = 719468 // days from 0000-03-01 to 1970-01-01
	if month <= 2 {
		year, month = year-1, month+12
	}
	year += 400 // keeps the divisions of year 0 away from negative numbers
	return 365*year + year/4 - year/100 + year/400 - 146097 +
		(153*(month-3)+2)/5 + day - 1 - yearZeroTo1970
}

// parseClock reads h:mm:ss or hh:mm:ss and returns it in seconds with what
// follows. s has at least the length of "5:04:05Z".
func parseClock(s string) (seconds int64, rest string, ok bool) {
	var d digits
	hour := d.one(s[0])
	if s[1] != ':' {
		hour = hour*10 + d.one(s[1])
		s = s[1:]
	}
	const follows = ":04:05"
	s = s[1:]
	if len(s) < len(follows) {
		return 0, "", false
	}
	minute, second := d.two(s[1], s[2]), d.two(s[4], s[5])
	ok = d.ok() && s[0] == ':' && s[3] == ':' && hour < 24 && minute < 60 && second < 60
	return (hour*60+minute)*60 + second, s[len(follows):], ok
}

// nanoseconds holds the value of the last of n digits of a fraction of a second.
var nanoseconds = [...]int32{1: 1e8, 1e7, 1e6, 1e5, 1e4, 1e3, 1e2, 1e1, 1}

// parseFraction reads a fraction of a second, if there is one, and returns it
// in nanoseconds with what follows.
func parseFraction(s string) (nsec int32, rest string) {
	if len(s) < 2 || s[0] != '.' && s[0] != ',' || !isDigit(s[1]) {
		return 0, s
	}
	i := 1
	for ; i < len(s) && i < len(nanoseconds) && isDigit(s[i]); i++ {
		nsec = nsec*10 + int32(s[i]-'0')
	}
	nsec *= nanoseconds[i-1]
	for i < len(s) && isDigit(s[i]) {
		i++
	}
	return nsec, s[i:]
}

// parseOffset reads all of s as Z or ±hh:mm and returns it in seconds.
func parseOffset(s string) (seconds int64, ok bool) {
	if s == "Z" {
		return 0, true
	}
	if len(s) != len("+07:00") || s[3] != ':' || s[0] != '+' && s[0] != '-' {
		return 0, false
	}
	var d digits
	hours, minutes := d.two(s[1], s[2]), d.two(s[4], s[5])
	seconds = (hours*60 + minutes) * 60
	if s[0] == '-' {
		seconds = -seconds
	}
	return seconds, d.ok() && hours <= 24 && minutes <= 60
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }
