// Package match finds, among many queries, those that an event matches.
package match
