package document

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"time"
)

// Root is the folder that holds every document of a repository.
const Root = "documents"

// Layout says where new documents are placed. Existing ones stay where they
// are found.
type Layout int

const (
	// LayoutFanOut is documents/{type}/{YYYY-MM}/{x}/{y}/{z}/{id}, with x y z
	// the first three hex digits of SHA-256(id): the 16-way fan-out keeps the
	// cost of a commit flat. It is the default.
	LayoutFanOut Layout = iota
	// LayoutLibrary is documents/{type}/{YYYY}/{MM}/{id}, as the CAIA Library
	// writes it.
	LayoutLibrary
)

// ParseLayout accepts "fanout" and "library".
func ParseLayout(s string) (Layout, error) {
	switch s {
	case "", "fanout":
		return LayoutFanOut, nil
	case "library":
		return LayoutLibrary, nil
	}
	return 0, fmt.Errorf("%w: layout %q is neither fanout nor library", ErrInvalid, s)
}

// String returns the name that ParseLayout accepts.
func (l Layout) String() string {
	if l == LayoutLibrary {
		return "library"
	}
	return "fanout"
}

// Folder returns the folder of a new document. The month is that of created,
// in UTC.
func (l Layout) Folder(t Type, created time.Time, id ID) Path {
	created = created.UTC()
	if l == LayoutLibrary {
		return Path{Root + "/" + t.s + "/" + created.Format("2006/01") + "/" + id.s}
	}
	sum := sha256.Sum256([]byte(id.s))
	fan := hex.EncodeToString(sum[:2])
	return Path{Root + "/" + t.s + "/" + created.Format("2006-01") + "/" + fan[:1] + "/" + fan[1:2] + "/" + fan[2:3] + "/" + id.s}
}

// IDOfFolder returns the identity that the last segment of a document's folder
// names, and whether the folder has the shape of either layout.
func IDOfFolder(folder Path) (ID, bool) {
	parts := strings.Split(folder.s, "/")
	fanOut := len(parts) == 7 && len(parts[2]) == 7 && len(parts[3]) == 1 && len(parts[4]) == 1 && len(parts[5]) == 1
	library := len(parts) == 5 && len(parts[2]) == 4 && len(parts[3]) == 2
	if parts[0] != Root || (!fanOut && !library) {
		return ID{}, false
	}
	id, err := ParseID(parts[len(parts)-1])
	return id, err == nil
}
