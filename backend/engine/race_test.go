//go:build race

package engine

// raced: everything takes ten times as long, and counts are smaller.
const raced = true
