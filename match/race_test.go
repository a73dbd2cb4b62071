//go:build race

package match_test

// raceFactor is by how much tests with many queries are smaller under the race
// detector, which makes them slower by more than that.
const raceFactor = 10
