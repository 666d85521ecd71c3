//go:build !linux

package durable

func datasync(h Handle) error { return h.Sync() }
