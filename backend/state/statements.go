package state

// Statements of the writer.
const (
	wBegin = iota
	wCommit
	wRollback
	wUnclean
	wSaveSums
	wTrimmed
	wLookup
	wInsertOutbox
	wUpsertDocument
	wDeleteDocument
	wChunkEnd
	wPayloadBetween
	wCommitOutbox
	wCommitDocuments
	wSetCursor
	wUnpark
	wPark
	wUnparkPassed
	wUnparkStore
	wUnparkOne
	wBury
	wDropTombstones
	wTrimGraves
	wGrave
	wAddGrave
	wTrimOutbox
	wSetMeta
	wAddEvent
	wTrimEvents
	wSetPhase
	wKeptSize
	wKeep
	wKeepPayload
	wUnkeep
	wUnkeepPayload
	wRelease
	wClearKept
	wClearKeptPayloads
	wRecordConflict
	wKeepConflict
	wConflictHow
	wSettleConflict
	wDropSettled
	wConflictRemoved
	wConflictBack
	wCountDropped
	writeStatements
)

var writeSQL = [writeStatements]string{
	wBegin:    `BEGIN IMMEDIATE`,
	wCommit:   `COMMIT`,
	wRollback: `ROLLBACK`,
	wUnclean:  `UPDATE header SET clean = 0`,
	wSaveSums: `UPDATE header SET clean = 1, issued = ?, documents = ?, bytes = ?, payload = ?`,
	wTrimmed:  `UPDATE header SET issued = ?, trimmed = ?`,
	wLookup:   `SELECT deleted, hash, size, folder FROM documents WHERE id = ?`,
	wInsertOutbox: `INSERT INTO outbox(seq, op_id, id, folder, kind, hash, base, at, origin, git, payload)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
	wUpsertDocument: `INSERT INTO documents(id, deleted, type, seq, size, created, updated, hash, git, folder, source)
		VALUES (?, 0, ?, ?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT(id) DO UPDATE SET deleted = 0, type = excluded.type, seq = excluded.seq, size = excluded.size,
			created = excluded.created, updated = excluded.updated, hash = excluded.hash, git = excluded.git, source = excluded.source`,
	wDeleteDocument: `UPDATE documents SET deleted = 1, seq = ?, size = 0, updated = ?, hash = x'', git = ? WHERE id = ?`,
	wChunkEnd:       `SELECT seq FROM outbox WHERE seq > ? AND seq <= ? ORDER BY seq LIMIT 1 OFFSET ?`,
	wPayloadBetween: `SELECT coalesce(sum(length(payload)), 0) FROM outbox WHERE seq > ? AND seq <= ?`,
	wCommitOutbox:   `UPDATE outbox SET git = ?1, payload = NULL WHERE seq > ?2 AND seq <= ?3`,
	wCommitDocuments: `UPDATE documents SET git = ?1
		WHERE id IN (SELECT id FROM outbox WHERE seq > ?2 AND seq <= ?3) AND seq > ?2 AND seq <= ?3`,
	wSetCursor: `INSERT INTO cursors(store, seq, attached) VALUES (?, ?, ?)
		ON CONFLICT(store) DO UPDATE SET seq = excluded.seq, attached = excluded.attached`,
	wUnpark:      `DELETE FROM parked WHERE id = ? AND store = ? AND seq <= ?`,
	wPark:        `INSERT INTO parked(id, store, seq, op_id, reason, detail, at) VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
	wUnparkStore: `DELETE FROM parked WHERE store = ?`,
	wUnparkOne:   `DELETE FROM parked WHERE store = ? AND id = ?`,
	wUnparkPassed: `WITH passed AS MATERIALIZED (SELECT id, max(seq) AS seq FROM outbox WHERE seq > ?2 AND seq <= ?3 GROUP BY id)
		DELETE FROM parked WHERE store = ?1 AND id IN (SELECT id FROM passed)
			AND seq < (SELECT passed.seq FROM passed WHERE passed.id = parked.id)`,
	wBury: `INSERT OR REPLACE INTO graves(id, folder, seq) SELECT id, folder, seq FROM documents
		WHERE id IN (SELECT id FROM outbox WHERE seq <= ?1 AND kind = 1)
		AND deleted = 1 AND seq <= ?1 AND NOT EXISTS (SELECT 1 FROM parked WHERE parked.id = documents.id)`,
	wTrimGraves: `DELETE FROM graves WHERE seq <= (SELECT seq FROM graves ORDER BY seq DESC LIMIT 1 OFFSET ?)`,
	wGrave:      `SELECT folder FROM graves WHERE id = ?`,
	wAddGrave:   `INSERT OR IGNORE INTO graves(id, folder, seq) SELECT ?1, ?2, ?3 WHERE NOT EXISTS (SELECT 1 FROM documents WHERE id = ?1)`,
	// A tombstone whose delete a store refused stays: it says that the document
	// which that store still shows is none.
	wDropTombstones: `DELETE FROM documents WHERE id IN (SELECT id FROM outbox WHERE seq <= ?1 AND kind = 1)
		AND deleted = 1 AND seq <= ?1 AND NOT EXISTS (SELECT 1 FROM parked WHERE parked.id = documents.id)`,
	wCountDropped: `SELECT count(*) FROM dropped`,
	wTrimOutbox:   `DELETE FROM outbox WHERE seq <= ?`,
	wSetMeta:      `INSERT INTO meta(key, value) VALUES (?, ?) ON CONFLICT(key) DO UPDATE SET value = excluded.value`,
	wAddEvent:     `INSERT INTO events(at, level, kind, text, next) VALUES (?, ?, ?, ?, ?)`,
	wTrimEvents:   `DELETE FROM events WHERE n <= (SELECT max(n) FROM events) - ?`,

	wRecordConflict:  recordConflict,
	wKeepConflict:    keepConflict,
	wConflictHow:     conflictHow,
	wSettleConflict:  settleConflict,
	wDropSettled:     dropSettled,
	wConflictRemoved: conflictRemoved,
	wConflictBack:    conflictBack,
	wSetPhase: `INSERT OR REPLACE INTO phase(one, name, since, configured, wanted, step, begun, asked)
		VALUES (1, ?, ?, ?, ?, ?, ?, ?)`,
	wKeptSize:      `SELECT seq, size FROM kept WHERE id = ?`,
	wKeep:          `INSERT OR REPLACE INTO kept(id, seq, hash, size) VALUES (?, ?, ?, ?)`,
	wKeepPayload:   `INSERT OR REPLACE INTO kept_payloads(id, payload) VALUES (?, ?)`,
	wUnkeep:        `DELETE FROM kept WHERE id = ?`,
	wUnkeepPayload: `DELETE FROM kept_payloads WHERE id = ?`,
	wRelease: `UPDATE outbox SET git = '` + keptMark + `', payload = NULL
		WHERE seq > ? AND seq <= ? AND payload IS NOT NULL`,
	wClearKeptPayloads: `DELETE FROM kept_payloads WHERE id IN (SELECT id FROM kept ORDER BY id LIMIT ?)`,
	wClearKept:         `DELETE FROM kept WHERE id IN (SELECT id FROM kept ORDER BY id LIMIT ?) RETURNING size`,
}

// Statements of the readers.
const (
	qLookup = iota
	qPage
	qPageType
	qPageContains
	qPageBoth
	qCountType
	qCountContains
	qCountBoth
	qScan
	qNext
	qNewest
	qOldest
	qParkedAt
	qParkedIn
	qEvents
	qGrave
	qParkedAmong
	qParkedFor
	qKept
	qKeptPage
	qUnkept
	qIssued
	qConflicts
	qConflictsOpen
	qConflictsCount
	qConflict
	qConflictsOf
	readStatements
)

const (
	rowColumns      = `id, deleted, type, seq, size, created, updated, hash, git, folder, source`
	outgoingColumns = `seq, op_id, id, folder, kind, hash, base, at, origin, git, payload`
	listed          = ` FROM documents WHERE deleted = 0`
	pageOf          = ` ORDER BY id LIMIT ? OFFSET ?`
	ofType          = ` AND type = ?`
	containing      = ` AND instr(id, ?) > 0`
)

var readSQL = [readStatements]string{
	qLookup:        `SELECT ` + rowColumns + ` FROM documents WHERE id = ?`,
	qPage:          `SELECT ` + rowColumns + listed + pageOf,
	qPageType:      `SELECT ` + rowColumns + listed + ofType + pageOf,
	qPageContains:  `SELECT ` + rowColumns + listed + containing + pageOf,
	qPageBoth:      `SELECT ` + rowColumns + listed + ofType + containing + pageOf,
	qCountType:     `SELECT count(*)` + listed + ofType,
	qCountContains: `SELECT count(*)` + listed + containing,
	qCountBoth:     `SELECT count(*)` + listed + ofType + containing,
	qScan:          `SELECT ` + rowColumns + ` FROM documents WHERE id > ? AND deleted = 0 ORDER BY id LIMIT ?`,
	qNext:          `SELECT ` + outgoingColumns + ` FROM outbox WHERE seq > ? ORDER BY seq LIMIT ?`,
	qNewest: `SELECT ` + outgoingColumns + ` FROM outbox
		WHERE seq = (SELECT seq FROM documents WHERE id = ?)`,
	qOldest:      `SELECT at FROM outbox WHERE seq > ? ORDER BY seq LIMIT 1`,
	qParkedAt:    `SELECT store, id, seq, op_id, reason, detail, at FROM parked WHERE id = ? ORDER BY store`,
	qParkedIn:    `SELECT store, id, seq, op_id, reason, detail, at FROM parked WHERE store = ? ORDER BY seq LIMIT ?`,
	qEvents:      `SELECT at, level, kind, text, next FROM events ORDER BY n DESC LIMIT ?`,
	qGrave:       `SELECT folder FROM graves WHERE id = ?`,
	qParkedAmong: `SELECT count(*) FROM parked WHERE store = ?`,
	qParkedFor:   `SELECT count(*) FROM parked WHERE store = ? AND reason = ?`,
	qKept:        `SELECT hash, payload FROM kept JOIN kept_payloads USING (id) WHERE id = ?`,
	qKeptPage:    `SELECT id, seq, hash, size FROM kept WHERE id > ? ORDER BY id LIMIT ?`,
	qUnkept: `SELECT ` + rowColumns + ` FROM documents WHERE id > ? AND deleted = 0
		AND NOT EXISTS (SELECT 1 FROM kept WHERE kept.id = documents.id AND kept.hash = documents.hash) ORDER BY id LIMIT ?`,
	qIssued: `SELECT ` + outgoingColumns + ` FROM outbox WHERE id = ? AND kind = 0 ORDER BY seq`,

	qConflicts:      conflictsAll,
	qConflictsOpen:  conflictsOpen,
	qConflictsCount: conflictsCount,
	qConflict:       conflictNamed,
	qConflictsOf:    conflictsOf,
}
