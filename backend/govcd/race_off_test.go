//go:build !race

package govcd

const raced = false
