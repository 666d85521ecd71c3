package govcd

// Implementation is what /version answers as "implementation".
const Implementation = "caiatop-govcd"

// The capabilities that /version announces.
const (
	// CapDelete: DELETE files?path= removes a file or a folder.
	CapDelete = "delete"
	// CapFullTree: every commit's tree holds all files, not only those staged.
	CapFullTree = "tree.full"
	// CapRecursiveTree: tree?recursive=true lists all files with their blob
	// hashes; view=committed leaves out what is only staged.
	CapRecursiveTree = "tree.recursive"
	// CapFolder: GET folder?path= answers all files of one folder as the newest
	// commit has them, in one consistent answer.
	CapFolder = "folder.read"
	// CapFolders: POST folders answers many folders as CapFolder does one, all
	// of the same commit.
	CapFolders = "folders.read"
	// CapLogPath: commits?path= lists only the commits that changed a file or
	// folder, and marks those that removed it; offset= skips.
	CapLogPath = "log.path"
	// CapCommitTime: a commit request may name its "timestamp".
	CapCommitTime = "commit.time"
	// CapBatch: POST batch changes many files in one request and one commit.
	CapBatch = "batch"
	// CapNewFolder: an item of a batch may want the folder of its file to be new,
	// so that a writer of new documents need not look first.
	CapNewFolder = "batch.new-folder"
	// CapMatch: If-Match on writes and commits, ETag on reads.
	CapMatch = "if-match"
	// CapKey: Idempotency-Key on commits and batches.
	CapKey = "idempotency-key"
	// CapEmpty: content may be empty.
	CapEmpty = "content.empty"
	// CapBase64: content may be anything: "encoding":"base64".
	CapBase64 = "content.base64"
	// CapRef: ref= on reads names a commit, a branch or a tag.
	CapRef = "read.ref"
	// CapStage: the header X-Stage names a staging area of one client.
	CapStage = "stage.client"
	// CapLogPage: commits?since= leaves out what came before a time or a commit.
	CapLogPage = "log.page"
	// CapTreePage: tree?recursive=true&limit=&after= lists page by page.
	CapTreePage = "tree.page"
	// CapBranches: branches are made, listed and deleted; branch= on reads and
	// writes names one.
	CapBranches = "branches"
	// CapMerge: POST merge merges three ways.
	CapMerge = "merge"
	// CapTags: tags are made, listed and deleted.
	CapTags = "tags"
	// CapDiff: GET diff compares two commits.
	CapDiff = "diff"
	// CapEvents: GET events streams commits as they are made.
	CapEvents = "events"
	// CapSearch: GET search finds files by words.
	CapSearch = "search"
	// CapAccess: rights at repositories hold on every route, 401 is told from 403,
	// and auth/whoami says what a credential may do.
	CapAccess = "access"
	// CapGit: git clones and fetches /{id}.git.
	CapGit = "git.http"
	// CapFrame: folder, folders and batch answer, and batch takes, the binary form
	// of package frame.
	CapFrame = "frame"
)

// capabilities are all that is announced, in their order.
var capabilities = []string{
	CapDelete, CapFullTree, CapRecursiveTree, CapFolder, CapFolders, CapLogPath, CapCommitTime,
	CapBatch, CapNewFolder, CapMatch, CapKey, CapEmpty, CapBase64, CapRef, CapStage,
	CapLogPage, CapTreePage, CapBranches, CapMerge, CapTags, CapDiff, CapEvents, CapSearch, CapAccess, CapGit, CapFrame,
}
