//go:build race

package redisbridge

const raceEnabled = true
