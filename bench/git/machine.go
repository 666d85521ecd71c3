package main

import (
	"context"
	"fmt"
	"syscall"

	"github.com/caiatech/caiatop/bench/beside"
)

// facts say where a run was made.
type facts struct {
	beside.Machine
	Memory     string `json:"memory"`
	Git        string `json:"git"`
	FileSystem string `json:"file_system"`
	FreeBytes  int64  `json:"free_bytes"`
}

func machineFacts(ctx context.Context, dir string) (facts, error) {
	git, err := realGit{dir}.run(ctx, nil, "version")
	if err != nil {
		return facts{}, fmt.Errorf("git is the peer and the judge, install it: %w", err)
	}
	var fs syscall.Statfs_t
	if err := syscall.Statfs(dir, &fs); err != nil {
		return facts{}, fmt.Errorf("file system of %s: %w", dir, err)
	}
	return facts{
		Machine: beside.ThisMachine(), Memory: beside.Field("/proc/meminfo", "MemTotal"), Git: git,
		FileSystem: fileSystem(int64(fs.Type)), FreeBytes: free(fs), //nolint:unconvert // its type differs between machines
	}, nil
}

func free(fs syscall.Statfs_t) int64 {
	return int64(fs.Bavail) * int64(fs.Bsize) //nolint:gosec,unconvert // no disk has 8 EiB; types differ between machines
}

// fileSystem names what statfs gives as a number.
func fileSystem(magic int64) string {
	names := map[int64]string{0xef53: "ext4", 0x01021994: "tmpfs", 0x58465342: "xfs", 0x9123683e: "btrfs", 0x794c7630: "overlay", 0x2fc12fc1: "zfs", 0x6969: "nfs"}
	if name, ok := names[magic]; ok {
		return name
	}
	return fmt.Sprintf("file system %#x", magic)
}

// resident returns the memory of this process that is in RAM, in bytes, now and
// at its peak; 0 where /proc is missing.
func resident() (now, peak int64) {
	kib := func(key string) int64 {
		var n int64
		if _, err := fmt.Sscanf(beside.Field("/proc/self/status", key), "%d kB", &n); err != nil {
			return 0
		}
		return n << 10
	}
	return kib("VmRSS"), kib("VmHWM")
}

// What a document needs on the disk while it is measured: three repositories
// and a copy, the stream, and two files in three folders of a worktree.
const (
	bytesPerDoc  = 7 * 1500
	worktreeDoc  = 5 * 4096
	inodesPerDoc = 4
	bytesPerLog  = 2 * 8 << 10 // a commit of the history, before and in the copy
)

// worktreeDocs is the largest size at which real git gets a worktree: its
// checkout takes minutes beyond.
const worktreeDocs = 200_000

// noRoom says why a size cannot be measured, "" if it can.
func noRoom(dir string, n, commits int) string {
	var fs syscall.Statfs_t
	if err := syscall.Statfs(dir, &fs); err != nil {
		return fmt.Sprintf("the disk cannot be asked how much is free: %v", err)
	}
	need, files := int64(n)*bytesPerDoc+int64(commits)*bytesPerLog, int64(0)
	if n <= worktreeDocs {
		need, files = need+int64(n)*worktreeDoc, int64(n)*inodesPerDoc
	}
	need += 256 << 20
	if has := free(fs); has < need {
		return fmt.Sprintf("it needs %s in %s, which has %s", show(float64(need), inBytes), dir, show(float64(has), inBytes))
	}
	if fs.Files > 0 && int64(fs.Ffree) < files { //nolint:gosec // no disk has that many
		return fmt.Sprintf("it needs %d files in %s, which has room for %d", files, dir, fs.Ffree)
	}
	return ""
}
