//go:build !race

package githttp

const raced = false
