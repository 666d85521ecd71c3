//go:build race

package govcd

// raced: the race detector makes everything ten times as slow.
const raced = true
