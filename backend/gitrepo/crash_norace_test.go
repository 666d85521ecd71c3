//go:build !race

package gitrepo

const raced = false
