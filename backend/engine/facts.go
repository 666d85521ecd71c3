package engine

import (
	"slices"
	"time"

	"github.com/caiatech/caiatop/backend/govc"
	"github.com/caiatech/caiatop/backend/govcd"
)

// Facts is what is known of the service and of the way to it, beside how it
// does. Zero values are unknown and are shown as such; texts that came from the
// service are unsanitised.
type Facts struct {
	// Described: the service said what it is. Nothing up to Durable means
	// anything before.
	Described      bool
	Dialect        string // govc.DialectV1 or govc.DialectV2
	Reason         string // why this dialect, in a sentence
	Version        string
	Implementation string // "" for a plain govc
	Capabilities   []Capability
	Embedded       bool
	Durable        *bool // nil: it does not say

	// Lineage and Epoch name the repository that this state belongs to; "" and 0
	// before the first attachment.
	Lineage string
	Epoch   int64
	// Tip is the newest commit at the service that is known here, "" if none is.
	Tip   string
	TipAt time.Time

	Access  Access
	TLS     TLS
	Latency Latency
}

// Access is who we are to the service.
type Access struct {
	Known   bool
	Method  string   // "none", "token", "api key" or "login"
	Subject string   // "" if the service does not say
	Rights  []string // "docs: write", sorted
	Expires time.Time
	CSRF    bool // every write needs a token of its own
}

// TLS is how the connection to the service is protected.
type TLS struct {
	Version  string // "TLS 1.3"; "" for none, or none yet
	Peer     string // name in the certificate
	OwnCA    bool   // certificates are checked against an authority of ours
	Insecure bool   // the certificate is not checked at all
}

// Latency says where the time of a request goes. A part that did not happen, as
// a name that needs no look-up, is 0.
type Latency struct {
	// DNS, Connect and TLS are of the newest connection that was made.
	DNS, Connect, TLS time.Duration
	// FirstByte is the median of the last good probes, from a request to the
	// first byte of its answer.
	FirstByte time.Duration
	Reused    bool // the newest probe needed no new connection
	At        time.Time
}

// Capability is one thing that a service may be able to do.
type Capability struct {
	Name string
	Has  bool
	// Means says what it brings, or what its lack means.
	Means string
}

// knownCapabilities are all that this program knows, what matters most first,
// with what each brings and what its lack means.
var knownCapabilities = []struct{ name, brings, lack string }{
	{govcd.CapBatch, "many documents in one request and one commit", "one file a request"},
	{govcd.CapMatch, "nobody's write is overwritten unseen", "a window between read and write, in which others' writes are overwritten"},
	{govcd.CapKey, "a lost answer is asked for again", "after a lost answer everything is read before it is sent again"},
	{govcd.CapDelete, "what is deleted is gone from the newest tree", "hidden, not erased"},
	{govcd.CapEvents, "others' writes are told as they happen", "others' writes: best effort, found when they are read"},
	{govcd.CapRecursiveTree, "documents can be listed", "no listing: only what the newest commits name is found"},
	{govcd.CapTreePage, "long listings come page by page", "a listing is one answer, however long"},
	{govcd.CapFullTree, "each commit holds all files", "a commit holds only the files that it changed"},
	{govcd.CapFolder, "a document is read in one consistent answer", "a document is read file by file"},
	{govcd.CapFolders, "many documents are compared in one request", "one document a request when comparing"},
	{govcd.CapLogPath, "the log of one document can be asked for", "no log of one document; its history is in git here"},
	{govcd.CapLogPage, "a long log is read from where it was left", "a log is read from its newest commit on"},
	{govcd.CapCommitTime, "commits carry the time of the write", "commits carry the time of their arrival"},
	{govcd.CapStage, "clients stage apart from each other", "staging is shared: others' files may get into our commits"},
	{govcd.CapEmpty, "empty files are taken as they are", "empty files are encoded"},
	{govcd.CapBase64, "binary files are taken as they are", "binary files are encoded"},
	{govcd.CapRef, "earlier versions can be read there", "no reads of earlier versions there; git here has them"},
	{govcd.CapDiff, "it compares commits", "nothing is missed: differences are made here"},
	{govcd.CapSearch, "it finds files by words", "nothing is missed: texts are searched here"},
	{govcd.CapBranches, "it has branches", "nothing is missed: one branch is used"},
	{govcd.CapMerge, "it merges branches", "nothing is missed: conflicts are kept as copies"},
	{govcd.CapTags, "it has tags", "nothing is missed: tags are not used"},
}

// byDialect is what API v1 does without announcing it.
var byDialect = map[string]string{
	govcd.CapDelete:        "by API v1: every file of a document is removed",
	govcd.CapRecursiveTree: "by API v1, without versions: listed documents are read one by one",
}

// CapabilitiesOf says of each capability that this program knows whether a
// service has it, then names those that it announces beside them.
func CapabilitiesOf(info govc.Info) []Capability {
	var out []Capability
	for _, known := range knownCapabilities {
		c := Capability{Name: known.name, Has: info.Has(known.name), Means: known.lack}
		if c.Has {
			c.Means = known.brings
		}
		if means, ok := byDialect[c.Name]; ok && info.Dialect == govc.DialectV1 {
			c.Has, c.Means = true, means
		}
		out = append(out, c)
	}
	for _, name := range info.Capabilities {
		if !slices.ContainsFunc(out, func(c Capability) bool { return c.Name == name }) {
			out = append(out, Capability{Name: name, Has: true, Means: "this version of caiatop has no use for it"})
		}
	}
	return out
}

// FactsOf is what a service says of itself.
func FactsOf(info govc.Info) Facts {
	f := Facts{
		Described: true, Dialect: info.Dialect, Reason: info.Reason, Version: info.Version, Implementation: info.Implementation,
		Capabilities: CapabilitiesOf(info), Embedded: info.Embedded,
	}
	if info.Implementation == govcd.Implementation {
		f.Durable = &info.Durable
	}
	return f
}

// Facts returns what is known of the service now.
func (e *Engine) Facts() Facts { return e.Stats().Facts }

// factsLocked completes what the service said with what is known here. The
// caller holds the mutex.
func (e *Engine) factsLocked() Facts {
	f := e.view.facts
	f.Embedded = e.o.Embedded != nil
	f.Lineage, f.Epoch = e.o.State.Meta(metaLineage), e.epoch()
	return f
}

// noteTip remembers the newest commit at the service.
func (e *Engine) noteTip(commit string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if commit != "" && commit != e.view.facts.Tip {
		e.view.facts.Tip, e.view.facts.TipAt = commit, e.o.Now()
	}
}

// describe takes over what the service says of itself. What is known of the way
// to it stays. The caller holds the mutex.
func (v *view) describe(info govc.Info) {
	f := FactsOf(info)
	f.Tip, f.TipAt, f.Access, f.TLS, f.Latency = v.facts.Tip, v.facts.TipAt, v.facts.Access, v.facts.TLS, v.facts.Latency
	v.info, v.facts = info, f
}
