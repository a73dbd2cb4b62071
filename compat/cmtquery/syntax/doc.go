// Package syntax is what a program written for CometBFT v1.0 imports in place
// of its libs/pubsub/query/syntax: the scanner, the parser and the tree of its
// query language, under the same names.
//
//	query     = condition { "AND" condition }
//	condition = tag ( order ( number | time | date )
//	                | "=" ( number | time | date | string )
//	                | "CONTAINS" string
//	                | "EXISTS" )
//	order     = "<" | "<=" | ">" | ">="
//
//	tag       letters, digits, ".", "_" and "-", with no "." or "-" in front, and no digit of ASCII
//	number    5, 3.25 or 3.
//	time      TIME 2006-01-02T15:04:05Z, one space after TIME, years 1900 to 2999
//	date      DATE 2006-01-02, the same
//	string    'anything but a quote'
//
// Blanks of Unicode divide tokens where nothing else does. Words are in upper
// case.
//
// A string that does not end is an error. CometBFT's parser drops it if it
// stands where AND could, and takes the rest for the query.
package syntax
