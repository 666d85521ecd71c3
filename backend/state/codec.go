package state

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math"
	"time"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/store"
)

// A payload holds the files of a document:
//
//	version (1 byte), number of files (uvarint),
//	then for each file: length and name, length and data (lengths as uvarint),
//	then CRC-32C of everything before it (4 bytes, big endian).
const (
	payloadVersion = 1
	checksumSize   = 4
	// payloadFiles bounds the files of one payload.
	payloadFiles = 16
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// encodePayload returns the payload of d.
func encodePayload(d document.Document) ([]byte, error) {
	files, err := d.Files(document.AnyBytes)
	if err != nil {
		return nil, err
	}
	size := 2 + checksumSize
	for _, f := range files {
		size += 2*binary.MaxVarintLen32 + len(f.Name) + len(f.Data)
	}
	out := make([]byte, 0, size)
	out = append(out, payloadVersion)
	out = binary.AppendUvarint(out, uint64(len(files)))
	for _, f := range files {
		out = binary.AppendUvarint(out, uint64(len(f.Name)))
		out = append(out, f.Name...)
		out = binary.AppendUvarint(out, uint64(len(f.Data)))
		out = append(out, f.Data...)
	}
	return binary.BigEndian.AppendUint32(out, crc32.Checksum(out, castagnoli)), nil
}

// decodePayload reads what encodePayload returned. Everything else is
// store.ErrCorrupt.
func decodePayload(payload []byte) (document.Document, error) {
	body := len(payload) - checksumSize
	if body < 2 {
		return document.Document{}, fmt.Errorf("%w: a payload of %d bytes", store.ErrCorrupt, len(payload))
	}
	if crc32.Checksum(payload[:body], castagnoli) != binary.BigEndian.Uint32(payload[body:]) {
		return document.Document{}, fmt.Errorf("%w: the checksum of a payload differs", store.ErrCorrupt)
	}
	if payload[0] != payloadVersion {
		return document.Document{}, fmt.Errorf("%w: a payload of version %d, %d is known", store.ErrCorrupt, payload[0], payloadVersion)
	}
	rest := payload[1:body]
	count, n := binary.Uvarint(rest)
	if n <= 0 || count > payloadFiles {
		return document.Document{}, fmt.Errorf("%w: a payload of %d files", store.ErrCorrupt, count)
	}
	rest = rest[n:]
	files := make(map[string][]byte, count)
	for range count {
		var name, data []byte
		var ok bool
		if name, rest, ok = cutField(rest); ok {
			data, rest, ok = cutField(rest)
		}
		if !ok {
			return document.Document{}, fmt.Errorf("%w: a payload ends too early", store.ErrCorrupt)
		}
		files[string(name)] = data
	}
	if len(rest) > 0 {
		return document.Document{}, fmt.Errorf("%w: a payload has %d bytes too many", store.ErrCorrupt, len(rest))
	}
	d, err := document.FromFiles(files, document.Type{})
	if err != nil {
		return document.Document{}, fmt.Errorf("%w: a payload: %w", store.ErrCorrupt, err)
	}
	return d, nil
}

// cutField splits a length and as many bytes off the front of b.
func cutField(b []byte) (field, rest []byte, ok bool) {
	length, n := binary.Uvarint(b)
	if n <= 0 || length > uint64(len(b)-n) {
		return nil, nil, false
	}
	end := n + int(length)
	return b[n:end:end], b[end:], true
}

// Times outside of these do not fit into nanoseconds since 1970.
var (
	firstInstant = time.Unix(0, math.MinInt64)
	lastInstant  = time.Unix(0, math.MaxInt64)
)

// timeColumn returns t as it is stored.
func timeColumn(t time.Time) any {
	if t.Before(firstInstant) || t.After(lastInstant) {
		return t.UTC().Format(time.RFC3339Nano)
	}
	return t.UnixNano()
}

// hashColumn returns h as it is stored: nothing costs nothing.
func hashColumn(h document.Hash) []byte {
	if h.IsZero() {
		return []byte{}
	}
	return h[:]
}

func parseTime(column any) (time.Time, error) {
	switch v := column.(type) {
	case int64:
		return time.Unix(0, v).UTC(), nil
	case string:
		t, err := time.Parse(time.RFC3339Nano, v)
		if err != nil {
			return time.Time{}, fmt.Errorf("%w: a time: %w", store.ErrCorrupt, err)
		}
		return t.UTC(), nil
	}
	return time.Time{}, fmt.Errorf("%w: a time is stored as %T", store.ErrCorrupt, column)
}

func parseHash(column []byte) (document.Hash, error) {
	var h document.Hash
	if len(column) != 0 && len(column) != len(h) {
		return h, fmt.Errorf("%w: a hash has %d bytes", store.ErrCorrupt, len(column))
	}
	copy(h[:], column)
	return h, nil
}

func parseKey(id, folder string) (store.Key, error) {
	var key store.Key
	var err error
	if key.ID, err = document.ParseID(id); err != nil {
		return key, fmt.Errorf("%w: the index: %w", store.ErrCorrupt, err)
	}
	if key.Folder, err = document.ParsePath(folder); err != nil {
		return key, fmt.Errorf("%w: the folder of %q: %w", store.ErrCorrupt, id, err)
	}
	return key, nil
}
