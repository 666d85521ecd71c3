//go:build race

package gitrepo

// raced: everything takes ten times as long, and finds other things.
const raced = true
