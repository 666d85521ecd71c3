//go:build race

package githttp

// raced: everything takes ten times as long, and what counts much is left out.
const raced = true
